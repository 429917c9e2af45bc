//! An indexed triangle mesh.

/// Triangles over shared vertices.
///
/// Units and axes are the maker's: the model's unit with y up from [`crate::extract`], millimetres with z up from
/// [`crate::place`] and [`crate::read`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mesh {
    /// Positions, `[x, y, z]`.
    pub vertices: Vec<[f32; 3]>,
    /// Vertex indices, counter-clockwise seen from outside.
    pub triangles: Vec<[u32; 3]>,
}

impl Mesh {
    /// Lowest and highest coordinate on each axis; `None` for a mesh without vertices.
    #[must_use]
    pub fn bounds(&self) -> Option<([f32; 3], [f32; 3])> {
        let first = *self.vertices.first()?;
        Some(self.vertices.iter().fold((first, first), |(low, high), v| {
            (
                [low[0].min(v[0]), low[1].min(v[1]), low[2].min(v[2])],
                [high[0].max(v[0]), high[1].max(v[1]), high[2].max(v[2])],
            )
        }))
    }

    /// The longest side of the bounding box; 0 without vertices.
    pub(crate) fn longest_side(&self) -> f64 {
        let (low, high) = self.bounds().unwrap_or_default();
        (0..3).map(|k| f64::from(high[k]) - f64::from(low[k])).fold(0.0, f64::max)
    }

    /// The corners of a triangle.
    pub(crate) fn corners(&self, triangle: [u32; 3]) -> [[f32; 3]; 3] {
        triangle.map(|v| self.vertices[v as usize])
    }

    /// Whether every index names a vertex.
    pub(crate) fn indices_fit(&self) -> bool {
        let count = self.vertices.len();
        self.triangles.iter().all(|t| t.iter().all(|v| (*v as usize) < count))
    }

    /// Merges vertices of bit-equal positions (0 and -0 are equal), as a reader of STL must; the first of each keeps
    /// its place in the order. Triangles stay, even those that lose their area.
    #[must_use]
    pub fn welded(&self) -> Self {
        let key = |v: &[f32; 3]| v.map(|c| if c == 0.0 { 0 } else { c.to_bits() });
        // Open addressing over vertex numbers: a quarter of the time of the standard map, and memory known before.
        let size = (self.vertices.len() * 2).next_power_of_two().max(16);
        let mut slots = vec![u32::MAX; size];
        let mut target = Vec::with_capacity(self.vertices.len());
        let mut vertices: Vec<[f32; 3]> = Vec::with_capacity(self.vertices.len());
        for vertex in &self.vertices {
            let bits = key(vertex);
            let mut at = hash(bits) as usize & (size - 1);
            loop {
                match slots[at] {
                    u32::MAX => {
                        slots[at] = vertices.len() as u32;
                        target.push(vertices.len() as u32);
                        vertices.push(*vertex);
                        break;
                    }
                    other if key(&vertices[other as usize]) == bits => {
                        target.push(other);
                        break;
                    }
                    _ => at = (at + 1) & (size - 1),
                }
            }
        }
        let triangles = self.triangles.iter().map(|t| t.map(|v| target[v as usize])).collect();
        Self { vertices, triangles }
    }

    /// Whether two vertices lie in one place, which a format without vertices cannot tell apart.
    #[must_use]
    pub fn has_twin_vertices(&self) -> bool {
        self.welded().vertices.len() < self.vertices.len()
    }

    /// With vertices numbered as the triangles first name them, and without those that none names. Where no two lie in
    /// one place, this is how a reader of the STL file numbers them; what packs triangles likes it too.
    ///
    /// A mesh whose indices name no vertex stays as it is.
    #[must_use]
    pub fn in_order_of_use(self) -> Self {
        if !self.indices_fit() {
            return self;
        }
        let mut number = vec![u32::MAX; self.vertices.len()];
        let mut vertices = Vec::with_capacity(self.vertices.len());
        let mut triangles = self.triangles;
        for vertex in triangles.as_flattened_mut() {
            let number = &mut number[*vertex as usize];
            if *number == u32::MAX {
                *number = vertices.len() as u32;
                vertices.push(self.vertices[*vertex as usize]);
            }
            *vertex = *number;
        }
        Self { vertices, triangles }
    }

    /// Without the vertices that no triangle uses; order is kept.
    pub(crate) fn compacted(self) -> Self {
        let mut target = vec![u32::MAX; self.vertices.len()];
        for vertex in self.triangles.as_flattened() {
            target[*vertex as usize] = 0;
        }
        let mut vertices = Vec::new();
        for (slot, vertex) in target.iter_mut().zip(&self.vertices) {
            if *slot == 0 {
                *slot = vertices.len() as u32;
                vertices.push(*vertex);
            }
        }
        let mut triangles = self.triangles;
        for vertex in triangles.as_flattened_mut() {
            *vertex = target[*vertex as usize];
        }
        Self { vertices, triangles }
    }
}

/// Whether a slicer that works in f32 finds no area.
pub(crate) fn flat_in_single_precision([a, b, c]: [[f32; 3]; 3]) -> bool {
    let (u, v): ([f32; 3], [f32; 3]) = (std::array::from_fn(|k| b[k] - a[k]), std::array::from_fn(|k| c[k] - a[k]));
    let n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    n[0] * n[0] + n[1] * n[1] + n[2] * n[2] == 0.0
}

fn hash(bits: [u32; 3]) -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for word in bits {
        state = (state ^ u64::from(word)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        state ^= state >> 32;
    }
    state
}

/// `b - a` in double precision.
pub(crate) fn difference(a: [f32; 3], b: [f32; 3]) -> [f64; 3] {
    std::array::from_fn(|k| f64::from(b[k]) - f64::from(a[k]))
}

/// The vector product.
pub(crate) fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// The scalar product.
pub(crate) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// The normal of a triangle, twice as long as its area.
pub(crate) fn area_normal([a, b, c]: [[f32; 3]; 3]) -> [f64; 3] {
    cross(difference(a, b), difference(a, c))
}
