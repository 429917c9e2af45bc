//! The print report: what a person needs to know before printing.

use serde::{Deserialize, Serialize};

/// Measured on the final mesh, the same that every file of the job holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrintReport {
    /// Number of triangles.
    pub triangles: u64,
    /// Number of distinct vertices.
    pub vertices: u64,
    /// Every edge has a triangle on both sides: no holes.
    pub watertight: bool,
    /// Every edge has at most two triangles, and the triangles around every vertex form one fan.
    pub manifold: bool,
    /// Neighbouring triangles agree on which side is out.
    pub oriented: bool,
    /// Connected pieces.
    pub components: u64,
    /// Enclosed volume in cubic centimetres (positive when the triangles face outwards).
    pub volume_cm3: f64,
    /// Surface area in square centimetres.
    pub area_cm2: f64,
    /// Size of the bounding box in millimetres, x y z with Z up.
    pub bounds_mm: [f64; 3],
    /// Edges with a triangle on one side only.
    pub boundary_edges: u64,
    /// Edges with more than two triangles.
    pub non_manifold_edges: u64,
    /// Vertices whose triangles form more than one fan.
    pub non_manifold_vertices: u64,
    /// Triangles without area.
    pub degenerate_triangles: u64,
    /// Pieces that were too small to print and were left out of the files.
    #[serde(default)]
    pub removed_components: u64,
    /// How far the surface before a reduction is from the one after, at the most, in millimetres: from sampled vertices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduction_error_mm: Option<f64>,
}

impl PrintReport {
    /// Whether a slicer gets a solid: closed, manifold, consistently oriented, of positive volume, nothing degenerate.
    #[must_use]
    pub fn printable(&self) -> bool {
        self.triangles > 0
            && self.watertight
            && self.manifold
            && self.oriented
            && self.degenerate_triangles == 0
            && self.volume_cm3 > 0.0
    }
}
