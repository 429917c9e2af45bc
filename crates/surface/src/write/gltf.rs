//! glTF 2.0: JSON with the buffer embedded, and the binary container (Khronos glTF 2.0 specification, chapter 4).

use base64::Engine as _;
use serde_json::{Value, json};

use crate::Mesh;
use crate::error::SurfaceError;
use crate::normals::smooth_normals;
use crate::place::to_gltf;

const ARRAY_BUFFER: u32 = 34962;
const ELEMENT_ARRAY_BUFFER: u32 = 34963;
const FLOAT: u32 = 5126;
const UNSIGNED_SHORT: u32 = 5123;
const UNSIGNED_INT: u32 = 5125;

/// The document without the place of its buffer, and the buffer.
fn document(mesh: &Mesh, name: &str) -> (Value, Vec<u8>) {
    let positions = to_gltf(&mesh.vertices);
    // A direction turns as a position does; its length does not matter to the turn.
    let normals: Vec<[f32; 3]> = smooth_normals(mesh).into_iter().map(|[x, y, z]| [x, z, -y]).collect();
    let short = positions.len() < usize::from(u16::MAX);
    let index_bytes = mesh.triangles.len() * 3 * if short { 2 } else { 4 };
    let mut buffer = Vec::with_capacity(positions.len() * 24 + index_bytes + 4);
    for value in positions.as_flattened().iter().chain(normals.as_flattened()) {
        buffer.extend_from_slice(&value.to_le_bytes());
    }
    for index in mesh.triangles.as_flattened() {
        let bytes = index.to_le_bytes();
        buffer.extend_from_slice(if short { &bytes[..2] } else { &bytes });
    }
    buffer.resize(buffer.len().next_multiple_of(4), 0);
    let vertex_bytes = positions.len() * 12;
    let (low, high) = Mesh { vertices: positions, triangles: Vec::new() }.bounds().unwrap_or_default();
    let document = json!({
        "asset": { "version": "2.0", "generator": "ORFEAS" },
        "scene": 0,
        "scenes": [{ "nodes": [0] }],
        "nodes": [{ "mesh": 0, "name": name }],
        "meshes": [{
            "name": name,
            "primitives": [{
                "attributes": { "POSITION": 0, "NORMAL": 1 }, "indices": 2, "material": 0, "mode": 4
            }]
        }],
        "materials": [{
            "name": "grey",
            "pbrMetallicRoughness": {
                "baseColorFactor": [0.72, 0.72, 0.72, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.6
            }
        }],
        "accessors": [
            { "bufferView": 0, "componentType": FLOAT, "count": mesh.vertices.len(), "type": "VEC3", "min": low,
              "max": high },
            { "bufferView": 1, "componentType": FLOAT, "count": mesh.vertices.len(), "type": "VEC3" },
            { "bufferView": 2, "componentType": if short { UNSIGNED_SHORT } else { UNSIGNED_INT },
              "count": mesh.triangles.len() * 3, "type": "SCALAR" }
        ],
        "bufferViews": [
            { "buffer": 0, "byteOffset": 0, "byteLength": vertex_bytes, "target": ARRAY_BUFFER },
            { "buffer": 0, "byteOffset": vertex_bytes, "byteLength": vertex_bytes, "target": ARRAY_BUFFER },
            { "buffer": 0, "byteOffset": 2 * vertex_bytes, "byteLength": index_bytes, "target": ELEMENT_ARRAY_BUFFER }
        ],
        "buffers": [{ "byteLength": buffer.len() }]
    });
    (document, buffer)
}

/// JSON with the buffer in a `data:` address.
pub(super) fn gltf(mesh: &Mesh, name: &str) -> Result<Vec<u8>, SurfaceError> {
    let (mut document, buffer) = document(mesh, name);
    let mut address = String::from("data:application/octet-stream;base64,");
    base64::engine::general_purpose::STANDARD.encode_string(&buffer, &mut address);
    document["buffers"][0]["uri"] = Value::String(address);
    serde_json::to_vec(&document).map_err(|error| SurfaceError::io(&error))
}

/// The binary container: header, JSON chunk, binary chunk.
pub(super) fn glb(mesh: &Mesh, name: &str) -> Result<Vec<u8>, SurfaceError> {
    let (document, buffer) = document(mesh, name);
    let mut text = serde_json::to_vec(&document).map_err(|error| SurfaceError::io(&error))?;
    text.resize(text.len().next_multiple_of(4), b' ');
    let length = |bytes: usize| {
        u32::try_from(bytes).map(u32::to_le_bytes).map_err(|_| SurfaceError::limit("the mesh is too large for a GLB"))
    };
    let total = length(28 + text.len() + buffer.len())?;
    let (text_length, buffer_length) = (length(text.len())?, length(buffer.len())?);
    let parts: [&[u8]; 9] =
        [b"glTF", &2u32.to_le_bytes(), &total, &text_length, b"JSON", &text, &buffer_length, b"BIN\0", &buffer];
    Ok(parts.concat())
}
