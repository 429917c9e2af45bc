//! The whole way from a field to a mesh that can be printed.

use orfeas_contract::PrintReport;
use orfeas_field::Field;

use crate::error::{SurfaceError, SurfaceErrorKind};
use crate::{Mesh, drop_dust, extract, place, report};

/// Extracts, leaves out dust, simplifies to at most `target_faces` where asked, places at `size_mm` and reports.
///
/// `on_phase` is told the name of each phase as it begins: `extract`, `simplify`, `report`. `cancelled` is asked
/// between phases and, while simplifying, every few hundred milliseconds. The mesh is in millimetres with z up, and
/// the report printable.
///
/// # Errors
/// [`SurfaceErrorKind::Empty`] without a surface, [`SurfaceErrorKind::NotPrintable`] where the report is not
/// printable, [`SurfaceErrorKind::Cancelled`], [`SurfaceErrorKind::Argument`] for an impossible size.
pub fn finish(
    field: &Field,
    size_mm: f32,
    target_faces: Option<u32>,
    on_phase: &mut dyn FnMut(&str),
    cancelled: &dyn Fn() -> bool,
) -> Result<(Mesh, PrintReport), SurfaceError> {
    let check = || match cancelled() {
        true => Err(SurfaceError::new(SurfaceErrorKind::Cancelled, "cancelled")),
        false => Ok(()),
    };
    check()?;
    on_phase("extract");
    let (mut mesh, removed) = drop_dust(extract(field)?)?;
    check()?;
    if let Some(target) = target_faces.filter(|target| (*target as usize) < mesh.triangles.len()) {
        on_phase("simplify");
        mesh = crate::simplify::simplify_while(mesh, target as usize, &|| !cancelled())?;
        check()?;
    }
    on_phase("report");
    let mesh = place(mesh, size_mm)?;
    let report = report(&mesh, removed);
    if !report.printable() {
        return Err(SurfaceError::new(SurfaceErrorKind::NotPrintable, complaint(&report)));
    }
    Ok((mesh, report))
}

/// What keeps a mesh from being printed, in one sentence.
fn complaint(report: &PrintReport) -> String {
    let counts = [
        (report.boundary_edges, "open edges"),
        (report.non_manifold_edges, "edges with more than two triangles"),
        (report.non_manifold_vertices, "vertices where the surface touches itself"),
        (report.degenerate_triangles, "triangles without area"),
        (u64::from(!report.oriented), "change of orientation"),
        (u64::from(report.volume_cm3 <= 0.0), "volume that is not positive"),
    ];
    let parts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    format!("the mesh cannot be printed: {}", parts.join(", "))
}
