//! glTF 2.0 with embedded buffers, and its binary container.

use std::borrow::Cow;

use base64::Engine as _;
use serde_json::Value;

use super::{Affine, MAX_TRIANGLES, MAX_VERTICES};
use crate::Mesh;
use crate::error::SurfaceError;
use crate::place::from_gltf;

/// Nodes above one another, and nodes visited in all: a document may name a node many times.
const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 100_000;

/// Extensions that change where the vertices are; without them a file that requires others is still read rightly.
const GEOMETRY_EXTENSIONS: [&str; 4] =
    ["KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_meshopt_compression", "KHR_mesh_quantization"];

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
    document(text.ok_or_else(|| SurfaceError::damaged("a GLB without JSON"))?, binary)
}

pub(super) fn gltf(bytes: &[u8]) -> Result<Mesh, SurfaceError> {
    document(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes), None)
}

fn document(text: &[u8], binary: Option<&[u8]>) -> Result<Mesh, SurfaceError> {
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
    let mut scene = Scene { json: &json, buffers, meshes: Vec::new(), mesh: Mesh::default(), nodes: 0 };
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
            if positions.kind != "VEC3" || positions.component != 5126 {
                return Err(SurfaceError::unsupported("glTF positions that are not three floats"));
            }
            let vertices: Vec<[f32; 3]> = positions
                .items()
                .map(|b| {
                    std::array::from_fn(|k| f32::from_le_bytes([b[4 * k], b[4 * k + 1], b[4 * k + 2], b[4 * k + 3]]))
                })
                .collect();
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
        let view = &self.json["bufferViews"][index(&accessor["bufferView"]).ok_or_else(damaged)?];
        let buffer = self.buffers.get(index(&view["buffer"]).ok_or_else(damaged)?).ok_or_else(damaged)?;
        let start = index(&view["byteOffset"]).unwrap_or(0);
        let length = index(&view["byteLength"]).ok_or_else(damaged)?;
        let bytes = buffer.get(start..).and_then(|rest| rest.get(..length)).ok_or_else(damaged)?;
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
        Ok(Accessor { bytes, kind, component, size, stride, count })
    }
}

/// Items within a buffer; all of them lie within `bytes`.
struct Accessor<'a> {
    bytes: &'a [u8],
    kind: &'a str,
    component: u64,
    size: usize,
    stride: usize,
    count: usize,
}

impl Accessor<'_> {
    fn items(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count).map(|item| &self.bytes[item * self.stride..item * self.stride + self.size])
    }
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
