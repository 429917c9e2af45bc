//! The print report: what a person needs to know before printing.

use serde::{Deserialize, Serialize};

/// Measured on the final mesh, the same that every file of the job holds. What is not defined for a mesh is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// Connected surfaces; the wall of a closed hollow is one too.
    pub components: u64,
    /// Those of them that bound a closed hollow: they face inwards.
    #[serde(default)]
    pub cavities: u64,
    /// Those of them that face inwards and bound no hollow: turned inside out, beside others or around them.
    #[serde(default)]
    pub inverted_components: u64,
    /// Euler number: vertices - edges + triangles.
    #[serde(default)]
    pub euler: i64,
    /// Genus of all components together: handles, as many as a torus has one. Defined for closed, manifold, oriented
    /// surfaces.
    #[serde(default)]
    pub genus: Option<u64>,
    /// Enclosed volume in cubic centimetres (positive when the triangles face outwards).
    pub volume_cm3: f64,
    /// Surface area in square centimetres.
    pub area_cm2: f64,
    /// Size of the bounding box in millimetres, x y z with Z up.
    pub bounds_mm: [f64; 3],
    /// Centre of mass of the solid, in the file's coordinates. Defined for closed, oriented surfaces with a volume.
    #[serde(default)]
    pub centre_of_mass_mm: Option<[f64; 3]>,
    /// The thinnest wall that was found. Defined for printable meshes with a wall that has an opposite one.
    #[serde(default)]
    pub wall_thickness_mm: Option<f64>,
    /// How it was looked for.
    #[serde(default)]
    pub wall_thickness_sampling: Option<WallSampling>,
    /// Area that faces down, more than 45° from the vertical, and does not lie on the build plate (within 0.2 mm of
    /// the lowest point): what wants support.
    #[serde(default)]
    pub overhang_cm2: f64,
    /// Edges with a triangle on one side only.
    pub boundary_edges: u64,
    /// Edges with more than two triangles.
    pub non_manifold_edges: u64,
    /// Vertices whose triangles form more than one fan.
    pub non_manifold_vertices: u64,
    /// Triangles without area.
    pub degenerate_triangles: u64,
    /// Pieces that were left out of the files: far smaller than the largest one, or hollows that were to be filled.
    #[serde(default)]
    pub removed_components: u64,
    /// The farthest that reduction to `target_faces` moved the surface; null where nothing was reduced.
    #[serde(default)]
    pub reduction_error_mm: Option<f64>,
    /// Whether a slicer gets a solid, see [`PrintReport::printable`].
    #[serde(default)]
    pub printable: bool,
    /// Why it is not printable: a sentence each; empty where it is.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// What a person should look at before printing, though it can be printed: a sentence each.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// How the thinnest wall was looked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WallSampling {
    /// In words.
    pub method: String,
    /// Points of the surface that were looked at.
    pub samples: u64,
    /// Mean distance between them in millimetres: a thin place narrower than this can have been missed.
    pub error_mm: f64,
    /// Area whose wall is thinner than [`PrintReport::THIN_WALL_MM`].
    pub thin_cm2: f64,
}

impl PrintReport {
    /// Below this, two lines of a usual nozzle, a wall is warned about.
    pub const THIN_WALL_MM: f64 = 0.8;

    /// Whether a slicer gets a solid: closed, manifold, consistently oriented, of positive volume, nothing degenerate or inside out.
    #[must_use]
    pub fn printable(&self) -> bool {
        self.triangles > 0
            && self.watertight
            && self.manifold
            && self.oriented
            && self.degenerate_triangles == 0
            && self.volume_cm3 > 0.0
            && self.inverted_components == 0
    }
}
