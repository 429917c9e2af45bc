//! From the model's axes to the printer's, and to glTF's.

use crate::Mesh;
use crate::error::{SurfaceError, SurfaceErrorKind};

/// Turns and scales a mesh from model axes (x right, y up, z front) to millimetres with z up and the front towards -y:
/// x → x, y → z, z → -y. The longest side of the bounding box becomes `size_mm`, the middle lies on the z axis and
/// the lowest point on z = 0. It is a turn, so triangles keep their orientation.
///
/// # Errors
/// [`SurfaceErrorKind::Argument`] for a size that is not positive and finite, [`SurfaceErrorKind::Empty`] for a mesh
/// without extent.
pub fn place(mesh: Mesh, size_mm: f32) -> Result<Mesh, SurfaceError> {
    if !(size_mm.is_finite() && size_mm > 0.0) {
        return Err(SurfaceError::new(SurfaceErrorKind::Argument, format!("a size of {size_mm} mm")));
    }
    let (low, high) = mesh.bounds().unwrap_or_default();
    let [low, high] = [low, high].map(|corner| corner.map(f64::from));
    let side = (0..3).map(|k| high[k] - low[k]).fold(0.0, f64::max);
    if !(side.is_finite() && side > 0.0) {
        return Err(SurfaceError::new(SurfaceErrorKind::Empty, "the surface has no extent"));
    }
    let scale = f64::from(size_mm) / side;
    let (middle_x, middle_z) = ((low[0] + high[0]) / 2.0, (low[2] + high[2]) / 2.0);
    let Mesh { mut vertices, triangles } = mesh;
    for vertex in &mut vertices {
        let [x, y, z] = vertex.map(f64::from);
        *vertex = [((x - middle_x) * scale) as f32, ((middle_z - z) * scale) as f32, ((y - low[1]) * scale) as f32];
    }
    Ok(Mesh { vertices, triangles })
}

/// A position in glTF's convention (metres, y up, front towards +z) of one in millimetres with z up.
pub(crate) fn to_gltf([x, y, z]: [f32; 3]) -> [f32; 3] {
    // Division in double precision, so that the way back gives the same millimetres.
    let metres = |mm: f32| (f64::from(mm) / 1000.0) as f32;
    [metres(x), metres(z), metres(-y)]
}

/// The way back from [`to_gltf`].
pub(crate) fn from_gltf(vertices: &[[f32; 3]]) -> Vec<[f32; 3]> {
    let millimetres = |m: f32| (f64::from(m) * 1000.0) as f32;
    vertices.iter().map(|[x, y, z]| [millimetres(*x), millimetres(-*z), millimetres(*y)]).collect()
}
