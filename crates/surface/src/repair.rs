//! Repair of meshes from anywhere.

use serde::Serialize;

use crate::Mesh;

/// What [`repair`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RepairReport {
    /// Vertices that became one with another.
    pub welded_vertices: u64,
    /// Triangles that were taken away: without area, or there twice.
    pub removed_triangles: u64,
    /// Edges of more than two triangles that were taken apart.
    pub split_edges: u64,
    /// Holes that were closed.
    pub closed_holes: u64,
    /// Triangles that were turned round.
    pub flipped_triangles: u64,
    /// Vertices on another triangle's edge that were joined to it.
    pub stitched_t_junctions: u64,
}

/// Mends a mesh as far as it can be told how.
#[must_use]
pub fn repair(mesh: Mesh) -> (Mesh, RepairReport) {
    (mesh, RepairReport::default())
}
