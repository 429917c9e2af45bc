//! glTF 2.0 with embedded buffers, and its binary container.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;
use serde_json::Value;

use super::{Affine, MAX_TRIANGLES, MAX_VERTICES, max_inflated};
use crate::Mesh;
use crate::error::SurfaceError;
use crate::meshopt;
use crate::place::from_gltf;

/// Nodes above one another, and nodes visited in all: a document may name a node many times.
const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 100_000;

/// Extensions that change where the vertices are; without them a file that requires others is still read rightly.
const GEOMETRY_EXTENSIONS: [&str; 2] = ["KHR_draco_mesh_compression", "KHR_meshopt_compression"];
const MESHOPT: &str = "EXT_meshopt_compression";

pub(super) fn glb(bytes: &[u8]) -> Result<Mesh, SurfaceError> {
    let word = |at: usize| {
        let word = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
        word.map(|word| u32::from_le_bytes(*word) as usize)
            .ok_or_else(|| SurfaceError::damaged("a GLB that is cut off"))
    };
    if !bytes.starts_with(b"glTF") || word(4)? != 2 {
        return Err(SurfaceError::damaged("no GLB of version 2"));
    }
    let total = word(8)?;
    let (mut at, mut text, mut binary) = (12, None, None);
    while at < total {
        let (length, kind) = (word(at)?, word(at + 4)?);
        let chunk = bytes.get(at + 8..).and_then(|rest| rest.get(..length));
        let chunk = chunk.ok_or_else(|| SurfaceError::damaged("a GLB chunk that is cut off"))?;
        match kind {
            0x4e4f_534a if text.is_none() => text = Some(chunk),
            0x004e_4942 if binary.is_none() => binary = Some(chunk),
            _ => {}
        }
        at += 8 + length;
    }
    document(text.ok_or_else(|| SurfaceError::damaged("a GLB without JSON"))?, binary, max_inflated(bytes.len()))
}

pub(super) fn gltf(bytes: &[u8]) -> Result<Mesh, SurfaceError> {
    document(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes), None, max_inflated(bytes.len()))
}

/// Reads a document; compressed views become at most `limit` bytes, all together.
fn document(text: &[u8], binary: Option<&[u8]>, limit: u64) -> Result<Mesh, SurfaceError> {
    let json: Value = serde_json::from_slice(text).map_err(|error| SurfaceError::damaged(format!("glTF: {error}")))?;
    let required = json["extensionsRequired"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(name) = required.iter().filter_map(Value::as_str).find(|name| GEOMETRY_EXTENSIONS.contains(name)) {
        return Err(SurfaceError::unsupported(format!("the glTF extension {name}")));
    }
    let mut buffers = Vec::new();
    for (number, buffer) in list(&json, "buffers").iter().enumerate() {
        buffers.push(match buffer["uri"].as_str() {
            None if number == 0 => Cow::Borrowed(binary.unwrap_or_default()),
            None => Cow::Borrowed([].as_slice()),
            Some(uri) => Cow::Owned(data(uri)?),
        });
    }
    let unpacked = unpacked(&json, &buffers, limit)?;
    let mut scene = Scene { json: &json, buffers, unpacked, meshes: Vec::new(), mesh: Mesh::default(), nodes: 0 };
    for mesh in list(&json, "meshes") {
        let part = scene.primitives(mesh)?;
        scene.meshes.push(part);
    }
    let roots: Vec<usize> = match &json["scenes"][index(&json["scene"]).unwrap_or(0)]["nodes"] {
        Value::Array(nodes) => nodes.iter().filter_map(index).collect(),
        // Without a scene all nodes that are nobody's child are shown.
        _ => {
            let nodes = list(&json, "nodes");
            let children: std::collections::HashSet<usize> =
                nodes.iter().flat_map(|node| list(node, "children")).filter_map(index).collect();
            (0..nodes.len()).filter(|node| !children.contains(node)).collect()
        }
    };
    for root in roots {
        scene.visit(root, Affine::IDENTITY, 0)?;
    }
    let mesh = scene.mesh;
    Ok(Mesh { vertices: from_gltf(&mesh.vertices), triangles: mesh.triangles })
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn index(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|value| usize::try_from(value).ok())
}

/// The bytes of a `data:` address.
fn data(uri: &str) -> Result<Vec<u8>, SurfaceError> {
    let Some(rest) = uri.strip_prefix("data:") else {
        return Err(SurfaceError::unsupported("a glTF whose buffer is another file"));
    };
    let text = rest.split_once(";base64,").ok_or_else(|| SurfaceError::damaged("a buffer that is not base64"))?.1;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(|error| SurfaceError::damaged(format!("a buffer that is not base64: {error}")))
}

struct Scene<'a> {
    json: &'a Value,
    buffers: Vec<Cow<'a, [u8]>>,
    /// Views that were compressed, by number.
    unpacked: HashMap<usize, Vec<u8>>,
    meshes: Vec<Mesh>,
    mesh: Mesh,
    nodes: usize,
}

impl Scene<'_> {
    fn visit(&mut self, number: usize, parent: Affine, depth: usize) -> Result<(), SurfaceError> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(SurfaceError::limit("glTF nodes nested too deeply, or in a circle"));
        }
        let node = &self.json["nodes"][number];
        let map = parent.after(&local(node)?);
        if let Some(mesh) = index(&node["mesh"]) {
            let part = self.meshes.get(mesh).ok_or_else(|| SurfaceError::damaged("a node names no mesh"))?;
            map.append(&mut self.mesh, part)?;
        }
        for child in list(node, "children").iter().filter_map(index) {
            self.visit(child, map, depth + 1)?;
        }
        Ok(())
    }

    /// All triangles of a mesh, in its own coordinates.
    fn primitives(&self, mesh: &Value) -> Result<Mesh, SurfaceError> {
        let mut out = Mesh::default();
        for primitive in list(mesh, "primitives") {
            match primitive["mode"].as_u64().unwrap_or(4) {
                4 => {}
                // Points and lines have no surface.
                0..=3 => continue,
                _ => return Err(SurfaceError::unsupported("glTF strips and fans")),
            }
            let positions = self.accessor(&primitive["attributes"]["POSITION"])?;
            if positions.kind != "VEC3" {
                return Err(SurfaceError::damaged("glTF positions that are not three numbers"));
            }
            let vertices: Vec<[f32; 3]> = positions.items().map(|item| positions.vector(item)).collect();
            let indices: Vec<u32> = if primitive["indices"].is_null() {
                (0..vertices.len() as u32).collect()
            } else {
                let indices = self.accessor(&primitive["indices"])?;
                match (indices.kind, indices.component) {
                    ("SCALAR", 5121) => indices.items().map(|b| u32::from(b[0])).collect(),
                    ("SCALAR", 5123) => indices.items().map(|b| u32::from(u16::from_le_bytes([b[0], b[1]]))).collect(),
                    ("SCALAR", 5125) => indices.items().map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
                    _ => return Err(SurfaceError::damaged("glTF indices of a wrong type")),
                }
            };
            let triangles = indices.as_chunks::<3>().0.to_vec();
            Affine::IDENTITY.append(&mut out, &Mesh { vertices, triangles })?;
        }
        Ok(out)
    }

    fn accessor(&self, number: &Value) -> Result<Accessor<'_>, SurfaceError> {
        let damaged = || SurfaceError::damaged("a glTF accessor that does not fit its buffer");
        let accessor = &self.json["accessors"][index(number).ok_or_else(damaged)?];
        if !accessor["sparse"].is_null() {
            return Err(SurfaceError::unsupported("sparse glTF accessors"));
        }
        let number = index(&accessor["bufferView"]).ok_or_else(damaged)?;
        let view = &self.json["bufferViews"][number];
        let bytes = match self.unpacked.get(&number) {
            Some(bytes) => bytes.as_slice(),
            None => part(&self.buffers, view).ok_or_else(damaged)?,
        };
        let bytes = bytes.get(index(&accessor["byteOffset"]).unwrap_or(0)..).ok_or_else(damaged)?;
        let kind = accessor["type"].as_str().ok_or_else(damaged)?;
        let component = accessor["componentType"].as_u64().ok_or_else(damaged)?;
        let size = match component {
            5120 | 5121 => 1,
            5122 | 5123 => 2,
            5125 | 5126 => 4,
            _ => return Err(damaged()),
        } * if kind == "VEC3" { 3 } else { 1 };
        let stride = index(&view["byteStride"]).unwrap_or(size);
        let count = index(&accessor["count"]).ok_or_else(damaged)?;
        if count > MAX_VERTICES.max(3 * MAX_TRIANGLES) {
            return Err(SurfaceError::limit(format!("a glTF accessor of {count} items")));
        }
        let needed = count.saturating_sub(1).saturating_mul(stride).saturating_add(if count > 0 { size } else { 0 });
        if stride < size || needed > bytes.len() {
            return Err(damaged());
        }
        let normalized = accessor["normalized"].as_bool().unwrap_or(false);
        Ok(Accessor { bytes, kind, component, normalized, size, stride, count })
    }
}

/// Items within a buffer; all of them lie within `bytes`.
struct Accessor<'a> {
    bytes: &'a [u8],
    kind: &'a str,
    component: u64,
    /// Whole numbers stand for parts of the largest.
    normalized: bool,
    size: usize,
    stride: usize,
    count: usize,
}

impl Accessor<'_> {
    fn items(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count).map(|item| &self.bytes[item * self.stride..item * self.stride + self.size])
    }

    /// Three numbers of whatever type (KHR_mesh_quantization allows bytes and shorts).
    fn vector(&self, b: &[u8]) -> [f32; 3] {
        let part = |value: f32, largest: f32| if self.normalized { (value / largest).max(-1.0) } else { value };
        std::array::from_fn(|k| match self.component {
            5120 => part(f32::from(b[k] as i8), 127.0),
            5121 => part(f32::from(b[k]), 255.0),
            5122 => part(f32::from(i16::from_le_bytes([b[2 * k], b[2 * k + 1]])), 32767.0),
            5123 => part(f32::from(u16::from_le_bytes([b[2 * k], b[2 * k + 1]])), 65535.0),
            5125 => u32::from_le_bytes([b[4 * k], b[4 * k + 1], b[4 * k + 2], b[4 * k + 3]]) as f32,
            _ => f32::from_le_bytes([b[4 * k], b[4 * k + 1], b[4 * k + 2], b[4 * k + 3]]),
        })
    }
}

/// The bytes that a view, or the description of its compressed form, points to.
fn part<'a>(buffers: &'a [Cow<'_, [u8]>], view: &Value) -> Option<&'a [u8]> {
    let buffer = buffers.get(index(&view["buffer"])?)?;
    buffer.get(index(&view["byteOffset"]).unwrap_or(0)..)?.get(..index(&view["byteLength"])?)
}

/// The views that are compressed by EXT_meshopt_compression. One whose filter or mode is not read stays packed, which
/// an accessor of positions or indices finds out.
fn unpacked(json: &Value, buffers: &[Cow<'_, [u8]>], limit: u64) -> Result<HashMap<usize, Vec<u8>>, SurfaceError> {
    let damaged = || SurfaceError::damaged("a compressed glTF view that does not fit its buffer");
    let mut views = HashMap::new();
    let mut total = 0u64;
    for (number, view) in list(json, "bufferViews").iter().enumerate() {
        let packed = &view["extensions"][MESHOPT];
        if packed.is_null() {
            continue;
        }
        let count = index(&packed["count"]).ok_or_else(damaged)?;
        let stride = index(&packed["byteStride"]).ok_or_else(damaged)?;
        total = total.saturating_add((count as u64).saturating_mul(stride as u64));
        if total > limit {
            return Err(SurfaceError::limit(format!("compressed views of more than {limit} bytes")));
        }
        let stream = part(buffers, packed).ok_or_else(damaged)?;
        let narrow = |indices: &[u32]| -> Result<Vec<u8>, SurfaceError> {
            match stride {
                2 => Ok(indices.iter().flat_map(|index| (*index as u16).to_le_bytes()).collect()),
                4 => Ok(indices.iter().flat_map(|index| index.to_le_bytes()).collect()),
                _ => Err(damaged()),
            }
        };
        let bytes = match (packed["mode"].as_str(), packed["filter"].as_str().unwrap_or("NONE")) {
            (Some("ATTRIBUTES"), "NONE") => meshopt::decode_vertices(stream, count, stride)?,
            (Some("ATTRIBUTES"), "EXPONENTIAL") => {
                let mut bytes = meshopt::decode_vertices(stream, count, stride)?;
                for word in bytes.as_chunks_mut::<4>().0 {
                    *word = meshopt::exponential(u32::from_le_bytes(*word)).to_le_bytes();
                }
                bytes
            }
            // Normals, tangents and rotations are not read.
            (Some("ATTRIBUTES"), "OCTAHEDRAL" | "QUATERNION") => continue,
            (Some("TRIANGLES"), "NONE") if count.is_multiple_of(3) => {
                narrow(meshopt::decode_triangles(stream, count / 3)?.as_flattened())?
            }
            (Some("INDICES"), "NONE") => narrow(&meshopt::decode_indices(stream, count)?)?,
            _ => return Err(damaged()),
        };
        views.insert(number, bytes);
    }
    Ok(views)
}

/// A node's own transform: a matrix (by columns), or translation, rotation and scale.
fn local(node: &Value) -> Result<Affine, SurfaceError> {
    let numbers = |key: &str, count: usize| -> Result<Option<Vec<f64>>, SurfaceError> {
        if node[key].is_null() {
            return Ok(None);
        }
        let found: Vec<f64> = list(node, key).iter().filter_map(Value::as_f64).collect();
        if found.len() == count { Ok(Some(found)) } else { Err(SurfaceError::damaged(format!("a node's {key}"))) }
    };
    if let Some(m) = numbers("matrix", 16)? {
        return Ok(Affine(std::array::from_fn(|r| std::array::from_fn(|c| m[4 * c + r]))));
    }
    let t = numbers("translation", 3)?.unwrap_or_else(|| vec![0.0; 3]);
    let q = numbers("rotation", 4)?.unwrap_or_else(|| vec![0.0, 0.0, 0.0, 1.0]);
    let s = numbers("scale", 3)?.unwrap_or_else(|| vec![1.0; 3]);
    let (x, y, z, w) = (q[0], q[1], q[2], q[3]);
    let rows = [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
        [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
        [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
    ];
    Ok(Affine(std::array::from_fn(|r| std::array::from_fn(|c| if c == 3 { t[r] } else { rows[r][c] * s[c] }))))
}
