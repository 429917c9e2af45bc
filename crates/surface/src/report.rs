//! The print report, counted on the mesh itself.

mod shape;
mod topology;
mod verdict;
mod walls;

use orfeas_contract::PrintReport;

use crate::Mesh;
use crate::components::labels;
use crate::nesting::ancestors;

pub(crate) use topology::root;

use topology::Fans;

/// Measures a mesh in millimetres with z up.
///
/// Vertices at bit-equal positions count as one, which is what a reader of the STL file sees. An edge of a triangle
/// that names a vertex twice is not counted; such a triangle, and one without area in single precision, is degenerate.
/// A mesh whose indices name no vertex is measured as empty. The same mesh gives the same report on every machine.
///
/// `removed` goes into the report as it is.
#[must_use]
pub fn report(mesh: &Mesh, removed: u64) -> PrintReport {
    let mut report =
        PrintReport { triangles: mesh.triangles.len() as u64, removed_components: removed, ..PrintReport::default() };
    if !mesh.triangles.is_empty() && mesh.indices_fit() {
        // Vertices that no triangle names are no part of what is printed.
        measure(&mesh.welded().compacted(), &mut report);
    }
    verdict::judge(&mut report);
    report
}

fn measure(mesh: &Mesh, report: &mut PrintReport) {
    let ((fans, shape), (labels, count)) =
        rayon::join(|| rayon::join(|| Fans::new(mesh), || shape::shape(mesh)), || labels(mesh));
    let topology = topology::topology(mesh, &fans);
    report.vertices = topology.used;
    report.watertight = topology.boundary == 0;
    report.manifold = topology.crowded == 0 && topology.split == 0;
    report.oriented = topology.disagreeing == 0;
    report.components = count as u64;
    report.euler = topology.used as i64 - topology.edges as i64 + topology.triangles as i64;
    report.boundary_edges = topology.boundary;
    report.non_manifold_edges = topology.crowded;
    report.non_manifold_vertices = topology.split;
    report.volume_cm3 = shape.volume / 6000.0;
    report.area_cm2 = shape.area / 200.0;
    report.bounds_mm = shape.size;
    report.overhang_cm2 = shape.overhang / 200.0;
    report.degenerate_triangles = shape.degenerate;
    let solid = report.watertight && report.oriented;
    if solid && report.manifold {
        // A closed, oriented surface of genus g has Euler number 2 - 2g.
        report.genus = u64::try_from(report.components as i64 - report.euler / 2).ok();
    }
    if solid && shape.volume > 0.0 {
        report.centre_of_mass_mm = Some(shape.centre);
    }
    if solid && count > 1 {
        let volumes = shape::volumes(mesh, &labels, count);
        if volumes.iter().any(|volume| *volume < 0.0) {
            let around = ancestors(mesh, &labels, count);
            let inwards = around.iter().zip(volumes).filter(|(_, volume)| *volume < 0.0);
            let (cavities, inverted): (Vec<_>, Vec<_>) = inwards.partition(|(around, _)| around.len() % 2 == 1);
            (report.cavities, report.inverted_components) = (cavities.len() as u64, inverted.len() as u64);
        }
    }
    if report.printable()
        && let Some(walls) = walls::walls(mesh, &fans, shape.area / 2.0)
    {
        report.wall_thickness_mm = walls.thinnest;
        report.wall_thickness_sampling = Some(walls.sampling);
    }
}
