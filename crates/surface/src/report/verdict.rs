//! What the numbers mean for a person who wants to print.

use orfeas_contract::PrintReport;

/// Fills in `printable`, `reasons` and `warnings` from the numbers.
pub(super) fn judge(report: &mut PrintReport) {
    report.printable = report.printable();
    report.reasons = reasons(report);
    report.warnings = warnings(report);
}

fn reasons(report: &PrintReport) -> Vec<String> {
    if report.triangles == 0 {
        return vec!["it has no triangles".into()];
    }
    if report.vertices == 0 {
        return vec!["its triangles name vertices that are not there".into()];
    }
    let mut reasons = Vec::new();
    let mut count = |number: u64, one: &str, many: &str| {
        if number > 0 {
            reasons.push(format!("{number} {}", if number == 1 { one } else { many }));
        }
    };
    count(report.boundary_edges, "edge is open: there is a hole", "edges are open: there are holes");
    count(report.non_manifold_edges, "edge joins more than two triangles", "edges join more than two triangles");
    count(
        report.non_manifold_vertices,
        "vertex is where the surface touches itself",
        "vertices are where the surface touches itself",
    );
    count(report.degenerate_triangles, "triangle has no area", "triangles have no area");
    if !report.oriented {
        reasons.push("neighbouring triangles disagree on which side is out".into());
    } else if report.watertight && report.volume_cm3 < 0.0 {
        reasons.push("it is inside out: the triangles face inwards".into());
    } else {
        match report.inverted_components {
            0 => {}
            1 => reasons.push("one of its pieces is inside out".into()),
            many => reasons.push(format!("{many} of its pieces are inside out")),
        }
    }
    // Holes and disagreement leave the volume without a meaning; it is named only where nothing else is.
    if reasons.is_empty() && !report.printable {
        reasons.push("it encloses no volume".into());
    }
    reasons
}

fn warnings(report: &PrintReport) -> Vec<String> {
    let mut warnings = Vec::new();
    let pieces = report.components.saturating_sub(report.cavities);
    if pieces > 1 {
        warnings.push(format!("it consists of {pieces} pieces, which print separately unless they overlap"));
    }
    match report.cavities {
        0 => {}
        1 => warnings.push("it has a closed hollow, which resin or powder cannot leave".into()),
        many => warnings.push(format!("it has {many} closed hollows, which resin or powder cannot leave")),
    }
    if let (Some(thinnest), Some(sampling)) = (report.wall_thickness_mm, &report.wall_thickness_sampling)
        && thinnest < PrintReport::THIN_WALL_MM
    {
        let share = 100.0 * sampling.thin_cm2 / report.area_cm2.max(f64::MIN_POSITIVE);
        let limit = PrintReport::THIN_WALL_MM;
        warnings.push(format!(
            "{share:.1} % of the surface has a wall thinner than {limit} mm, the thinnest {thinnest:.2} mm"
        ));
    }
    warnings
}
