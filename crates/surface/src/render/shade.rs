//! Light.

use rayon::prelude::*;

use super::camera::{Camera, V3, add, cross, dot, scale, sub, unit};
use super::raster::{Buffer, NOTHING, raster};
use crate::Mesh;
use crate::error::{SurfaceError, SurfaceErrorKind};

/// Side of the shadow map and of the floor's occlusion map, in texels.
const SHADOW: usize = 1536;
const FLOOR: usize = 320;
/// Half the side of the square that they cover, in radii of the mesh.
const SHADOW_HALF: f32 = 1.1;
const FLOOR_HALF: f32 = 1.8;
/// Neighbouring triangles share a normal up to this cosine between theirs (about 40°).
const CREASE: f32 = 0.766;
/// Looks per sample; neighbouring samples look elsewhere, so their mean is smooth.
const SHADOW_LOOKS: usize = 8;
const OCCLUSION_LOOKS: usize = 10;
/// How far ambient occlusion reaches, in radii.
const OCCLUSION_REACH: f32 = 0.22;

const CLAY: V3 = [0.66, 0.645, 0.62];
const KEY: V3 = [-0.55, -0.75, 1.05];
const FILL: V3 = [0.95, -0.5, 0.3];
const RIM: V3 = [0.3, 0.95, 0.7];

/// A mesh of radius one around the origin, ready to be lit.
pub(super) struct Scene {
    mesh: Mesh,
    /// Normals of each triangle's corners.
    normals: Vec<[V3; 3]>,
    floor: f32,
    shadow: Buffer,
    /// The light's axes: right, down, towards it.
    light: [V3; 3],
    /// Light that reaches the floor from the sky, 0 to 1.
    sky: Vec<f32>,
    shadow_looks: [[f32; 2]; SHADOW_LOOKS],
    occlusion_looks: [[f32; 2]; OCCLUSION_LOOKS],
}

impl Scene {
    pub fn new(mesh: &Mesh) -> Result<Self, SurfaceError> {
        if !mesh.indices_fit() {
            return Err(SurfaceError::damaged("a triangle names a vertex that is not there"));
        }
        let (low, high) = mesh.bounds().unwrap_or_default();
        let middle = scale(add(low, high), 0.5);
        let radius = dot(sub(high, middle), sub(high, middle)).sqrt();
        if !(radius > 0.0 && radius.is_finite()) || mesh.triangles.is_empty() {
            return Err(SurfaceError::new(SurfaceErrorKind::Empty, "there is nothing to render"));
        }
        let vertices = mesh.vertices.iter().map(|v| scale(sub(*v, middle), 1.0 / radius)).collect();
        let mesh = Mesh { vertices, triangles: mesh.triangles.clone() };
        let towards = unit(KEY);
        let right = unit(cross(towards, [0.0, 0.0, 1.0]));
        let light = [right, cross(right, towards), towards];
        let texels = SHADOW as f32 / (2.0 * SHADOW_HALF);
        let points: Vec<V3> = mesh
            .vertices
            .par_iter()
            .map(|v| {
                [
                    (dot(*v, light[0]) + SHADOW_HALF) * texels,
                    (dot(*v, light[1]) + SHADOW_HALF) * texels,
                    dot(*v, towards),
                ]
            })
            .collect();
        let shadow = raster(SHADOW, SHADOW, &points, &mesh.triangles);
        let floor = (low[2] - middle[2]) / radius;
        let (normals, sky) = (corner_normals(&mesh), sky_on_floor(&mesh, floor));
        Ok(Self { mesh, normals, floor, shadow, light, sky, shadow_looks: spiral(), occlusion_looks: spiral() })
    }

    pub fn positions(&self) -> &[V3] {
        &self.mesh.vertices
    }

    pub fn triangles(&self) -> &[[u32; 3]] {
        &self.mesh.triangles
    }

    /// The light that a sample sees, linear RGB.
    pub fn shade(&self, camera: &Camera, buffer: &Buffer, x: usize, y: usize) -> V3 {
        let (fx, fy) = (x as f32 + 0.5, y as f32 + 0.5);
        let ray = camera.ray(fx, fy);
        let (nearness, triangle) = buffer.at(x, y);
        let angle = noise(x, y) * std::f32::consts::TAU;
        let turn = [angle.cos(), angle.sin()];
        if triangle == NOTHING {
            return self.backdrop(camera, ray, [fx, fy], turn);
        }
        let point = add(camera.eye, scale(ray, 1.0 / nearness));
        let view = unit(scale(ray, -1.0));
        let (normal, flat) = self.normal(triangle, point, view);
        let occlusion = occlusion(&self.occlusion_looks, camera, buffer, [fx, fy], [point, flat], turn);
        let lit = self.lit(add(point, scale(flat, 0.012)), 0.02, turn);
        let height = point[2] - self.floor;
        // White floor: light comes back from below, less where the mesh itself keeps it dark.
        let sky = 0.5 + 0.5 * normal[2];
        let bounce = (1.0 - sky) * (0.35 + 0.65 * (height * 1.6).min(1.0));
        let ambient = occlusion * (0.36 * sky + 0.2 * bounce);
        let lambert = |towards: V3| (dot(normal, unit(towards)) * 0.92 + 0.08).max(0.0);
        let soft = 0.4 + 0.6 * occlusion;
        let diffuse = 0.86 * lambert(KEY) * lit + soft * (0.2 * lambert(FILL) + 0.2 * lambert(RIM)) + ambient;
        let gloss = |towards: V3, power: i32| dot(normal, unit(add(unit(towards), view))).max(0.0).powi(power);
        let edge = (1.0 - dot(normal, view).max(0.0)).powi(4);
        let shine = lit * 0.09 * gloss(KEY, 40) + soft * (0.03 * gloss(FILL, 25) + 0.10 * edge * sky);
        std::array::from_fn(|k| CLAY[k] * diffuse + shine)
    }

    /// A light grey sweep; where the floor would be, its shadows.
    fn backdrop(&self, camera: &Camera, ray: V3, place: [f32; 2], turn: [f32; 2]) -> V3 {
        let base = 0.78 - 0.14 * camera.part(place)[1];
        let shadow = if ray[2] < -1e-4 {
            let far = (self.floor - camera.eye[2]) / ray[2];
            let point = add(camera.eye, scale(ray, far));
            let distance = (point[0] * point[0] + point[1] * point[1]).sqrt();
            // Nothing is left of the shadow at the picture's edge, so that views stand side by side without a seam.
            let across = camera.part(place)[0];
            let edge = (across.min(1.0 - across) * 7.0).clamp(0.0, 1.0);
            let fade = (2.2 - distance).clamp(0.0, 1.0) * edge * edge * (3.0 - 2.0 * edge);
            if fade <= 0.0 {
                return [base, base * 1.002, base * 1.01];
            }
            let cast = 1.0 - self.lit(point, 0.075, turn);
            1.0 - fade * (1.0 - self.floor_sky(point) * (1.0 - 0.3 * cast))
        } else {
            1.0
        };
        [base * shadow, base * shadow * 1.002, base * shadow * 1.01]
    }

    /// The normal at a point of a triangle, smooth and flat, both on the viewer's side.
    fn normal(&self, triangle: u32, point: V3, view: V3) -> (V3, V3) {
        let [a, b, c] = self.mesh.corners(self.mesh.triangles[triangle as usize]);
        let flat = cross(sub(b, a), sub(c, a));
        let square = dot(flat, flat).max(f32::MIN_POSITIVE);
        let u = (dot(cross(sub(c, b), sub(point, b)), flat) / square).clamp(0.0, 1.0);
        let v = (dot(cross(sub(a, c), sub(point, c)), flat) / square).clamp(0.0, 1.0 - u);
        let [na, nb, nc] = self.normals[triangle as usize];
        let smooth = unit(add(add(scale(na, u), scale(nb, v)), scale(nc, 1.0 - u - v)));
        let flat = unit(flat);
        if dot(flat, view) < 0.0 { (scale(smooth, -1.0), scale(flat, -1.0)) } else { (smooth, flat) }
    }

    /// How much of the key light reaches a point, 0 to 1.
    fn lit(&self, point: V3, spread: f32, turn: [f32; 2]) -> f32 {
        let texels = SHADOW as f32 / (2.0 * SHADOW_HALF);
        let depth = dot(point, self.light[2]);
        let place = [0, 1].map(|k| (dot(point, self.light[k]) + SHADOW_HALF) * texels);
        let mut open = 0;
        for look in &self.shadow_looks {
            let [dx, dy] = turned(*look, turn);
            let offset = spread * texels;
            let seen = self.shadow.look(place[0] + dx * offset, place[1] + dy * offset);
            open += usize::from(seen.is_none_or(|(nearest, _)| nearest <= depth + 0.01 + 0.5 * spread));
        }
        open as f32 / SHADOW_LOOKS as f32
    }

    /// Between the texels of the floor's map; one beyond it.
    fn floor_sky(&self, point: V3) -> f32 {
        let [x, y] = [0, 1].map(|k| (point[k] + FLOOR_HALF) / (2.0 * FLOOR_HALF) * FLOOR as f32 - 0.5);
        let last = (FLOOR - 1) as f32;
        if x < 0.0 || y < 0.0 || x >= last || y >= last {
            return 1.0;
        }
        let (column, row) = (x as usize, y as usize);
        let (u, v) = (x.fract(), y.fract());
        let at = |dx: usize, dy: usize| self.sky[(row + dy) * FLOOR + column + dx];
        (at(0, 0) * (1.0 - u) + at(1, 0) * u) * (1.0 - v) + (at(0, 1) * (1.0 - u) + at(1, 1) * u) * v
    }
}

/// A soft shoulder, so that highlights do not burn out.
pub(super) fn shoulder(light: f32) -> f32 {
    if light > 0.7 { 0.7 + 0.3 * (1.0 - (-(light - 0.7) / 0.3).exp()) } else { light }
}

/// sRGB.
pub(super) fn encode(light: f32) -> f32 {
    let soft = light.clamp(0.0, 1.0);
    if soft <= 0.003_130_8 { 12.92 * soft } else { 1.055 * soft.powf(1.0 / 2.4) - 0.055 }
}

/// Where looks go: a sunflower spiral in the unit circle.
fn spiral<const N: usize>() -> [[f32; 2]; N] {
    std::array::from_fn(|look| {
        let radius = ((look as f32 + 0.5) / N as f32).sqrt();
        let angle = look as f32 * 2.399_963;
        [radius * angle.cos(), radius * angle.sin()]
    })
}

/// A look turned by an angle, given as its cosine and sine.
fn turned([x, y]: [f32; 2], [cos, sin]: [f32; 2]) -> [f32; 2] {
    [x * cos - y * sin, x * sin + y * cos]
}

/// Interleaved gradient noise (Jimenez 2014), 0 to 1: neighbours differ much, so their mean is smooth.
fn noise(x: usize, y: usize) -> f32 {
    (52.982_918 * (0.067_110_56 * x as f32 + 0.005_837_15 * y as f32).fract()).fract()
}

/// How much of the surrounding light a point of the mesh gets, 0 to 1: what the depth buffer shows above its plane
/// nearby takes light away.
fn occlusion(
    looks: &[[f32; 2]],
    camera: &Camera,
    buffer: &Buffer,
    place: [f32; 2],
    [point, normal]: [V3; 2],
    turn: [f32; 2],
) -> f32 {
    let depth = dot(sub(point, camera.eye), sub(point, camera.eye)).sqrt();
    let reach = OCCLUSION_REACH * camera.zoom / depth;
    let mut taken = 0.0;
    for look in looks {
        let [dx, dy] = turned(*look, turn);
        let (x, y) = (place[0] + dx * reach, place[1] + dy * reach);
        let Some((nearness, _)) = buffer.look(x, y) else { continue };
        let other = add(camera.eye, scale(camera.ray(x.floor() + 0.5, y.floor() + 0.5), 1.0 / nearness));
        let to = sub(other, point);
        let square = dot(to, to);
        let above = (dot(normal, to) - 0.004) / square.sqrt().max(1e-6);
        taken += (above - 0.06).max(0.0) / (1.0 + 2.0 * square / OCCLUSION_REACH.powi(2));
    }
    (1.0 - 1.9 * taken / OCCLUSION_LOOKS as f32).clamp(0.12, 1.0)
}

/// Per corner: the sum of the normals, weighted by area, of those triangles at the vertex that do not turn away from
/// this one by more than the crease angle.
fn corner_normals(mesh: &Mesh) -> Vec<[V3; 3]> {
    let faces: Vec<(V3, V3)> = mesh
        .triangles
        .par_iter()
        .map(|triangle| {
            let [a, b, c] = mesh.corners(*triangle);
            let normal = cross(sub(b, a), sub(c, a));
            (normal, unit(normal))
        })
        .collect();
    let mut first = vec![0u32; mesh.vertices.len() + 2];
    mesh.triangles.as_flattened().iter().for_each(|vertex| first[*vertex as usize + 2] += 1);
    for k in 2..first.len() {
        first[k] += first[k - 1];
    }
    let mut around = vec![0u32; mesh.triangles.len() * 3];
    for (number, vertex) in mesh.triangles.as_flattened().iter().enumerate() {
        let slot = &mut first[*vertex as usize + 1];
        around[*slot as usize] = number as u32 / 3;
        *slot += 1;
    }
    mesh.triangles
        .par_iter()
        .zip(&faces)
        .map(|(triangle, (own, direction))| {
            triangle.map(|vertex| {
                let fan = &around[first[vertex as usize] as usize..first[vertex as usize + 1] as usize];
                // A vertex of very many triangles is a cone's tip at best; its own normal will do.
                if fan.len() > 256 {
                    return unit(*own);
                }
                let near =
                    fan.iter().map(|t| &faces[*t as usize]).filter(|(_, other)| dot(*direction, *other) > CREASE);
                unit(near.fold([0.0; 3], |sum, (normal, _)| add(sum, *normal)))
            })
        })
        .collect()
}

/// Light from the sky on the floor: what stands low over a place darkens it and its surroundings.
fn sky_on_floor(mesh: &Mesh, floor: f32) -> Vec<f32> {
    let texels = FLOOR as f32 / (2.0 * FLOOR_HALF);
    let points: Vec<V3> = mesh
        .vertices
        .iter()
        .map(|v| [(v[0] + FLOOR_HALF) * texels, (v[1] + FLOOR_HALF) * texels, floor - v[2]])
        .collect();
    let lowest = raster(FLOOR, FLOOR, &points, &mesh.triangles);
    let layer = |height: f32, blur: f32| -> Vec<f32> {
        let cover = lowest
            .samples
            .iter()
            .map(|(nearness, triangle)| if *triangle == NOTHING { 0.0 } else { (nearness / height).exp() });
        blurred(cover.collect(), (blur * texels).max(1.0) as usize)
    };
    let (contact, wide) = (layer(0.06, 0.035), layer(0.5, 0.14));
    contact.iter().zip(&wide).map(|(contact, wide)| (1.0 - 0.5 * contact) * (1.0 - 0.45 * wide)).collect()
}

/// Three box blurs each way, close to a Gaussian.
fn blurred(mut map: Vec<f32>, radius: usize) -> Vec<f32> {
    for step in [1, FLOOR].repeat(3) {
        let mut out = vec![0.0; map.len()];
        for line in 0..FLOOR {
            // Along rows lines begin a row apart, along columns a texel apart.
            let start = line * if step == 1 { FLOOR } else { 1 };
            let value =
                |at: isize| if (0..FLOOR as isize).contains(&at) { map[start + at as usize * step] } else { 0.0 };
            let reach = radius as isize;
            let mut sum: f32 = (-reach..reach).map(value).sum();
            for at in 0..FLOOR as isize {
                sum += value(at + reach);
                out[start + at as usize * step] = sum / (2 * reach + 1) as f32;
                sum -= value(at - reach);
            }
        }
        map = out;
    }
    map
}
