//! glTF 2.0: JSON with the buffer embedded, and the binary container (Khronos glTF 2.0 specification, chapter 4).

use std::io::{self, Write};

use orfeas_contract::GlbCompression;
use serde_json::{Value, json};

use super::FileOptions;
use super::stream::stream;
use crate::Mesh;
use crate::error::SurfaceError;
use crate::meshopt;
use crate::normals::smooth_normals;
use crate::place::to_gltf;

const ARRAY_BUFFER: u32 = 34962;
const ELEMENT_ARRAY_BUFFER: u32 = 34963;
const FLOAT: u32 = 5126;
const BYTE: u32 = 5120;
const UNSIGNED_SHORT: u32 = 5123;
const UNSIGNED_INT: u32 = 5125;
const MESHOPT: &str = "EXT_meshopt_compression";
const QUANTIZATION: &str = "KHR_mesh_quantization";
const ADDRESS: &str = "data:application/octet-stream;base64,";

/// A mesh in metres with y up, and its sizes.
struct Scene<'a> {
    mesh: &'a Mesh,
    normals: Vec<[f32; 3]>,
    /// Bytes of an index.
    index: usize,
}

impl<'a> Scene<'a> {
    fn new(mesh: &'a Mesh) -> Self {
        // A direction turns as a position does; its length does not matter to the turn.
        let normals = smooth_normals(mesh).into_iter().map(|[x, y, z]| [x, z, -y]).collect();
        let index = if mesh.vertices.len() < usize::from(u16::MAX) { 2 } else { 4 };
        Self { mesh, normals, index }
    }

    fn index_bytes(&self) -> usize {
        3 * self.mesh.triangles.len() * self.index
    }

    /// Bytes of all: positions, normals of `normal` bytes, indices, up to a multiple of four.
    fn bytes(&self, normal: usize) -> usize {
        (self.mesh.vertices.len() * (12 + normal) + self.index_bytes()).next_multiple_of(4)
    }

    /// The document without its buffers, and with views that have no buffer yet.
    fn document(&self, options: &FileOptions<'_>, normal: usize) -> Value {
        let (vertices, indices) = (self.mesh.vertices.len(), 3 * self.mesh.triangles.len());
        // Every coordinate grows with one in millimetres, or falls with it: the corners are those of the bounds.
        let (low, high) = self.mesh.bounds().unwrap_or_default();
        let [a, b] = [to_gltf(low), to_gltf(high)];
        let low: [f32; 3] = std::array::from_fn(|k| a[k].min(b[k]));
        let high: [f32; 3] = std::array::from_fn(|k| a[k].max(b[k]));
        let mut normals = json!({ "bufferView": 1, "componentType": FLOAT, "count": vertices, "type": "VEC3" });
        let mut normal_view =
            json!({ "byteOffset": 12 * vertices, "byteLength": normal * vertices, "target": ARRAY_BUFFER });
        if normal == 4 {
            normals["componentType"] = json!(BYTE);
            normals["normalized"] = json!(true);
            normal_view["byteStride"] = json!(4);
        }
        let name = options.name;
        json!({
            "asset": asset(options),
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
                { "bufferView": 0, "componentType": FLOAT, "count": vertices, "type": "VEC3", "min": low, "max": high },
                normals,
                { "bufferView": 2, "componentType": if self.index == 2 { UNSIGNED_SHORT } else { UNSIGNED_INT },
                  "count": indices, "type": "SCALAR" }
            ],
            "bufferViews": [
                { "byteOffset": 0, "byteLength": 12 * vertices, "target": ARRAY_BUFFER },
                normal_view,
                { "byteOffset": (12 + normal) * vertices, "byteLength": self.index_bytes(),
                  "target": ELEMENT_ARRAY_BUFFER }
            ]
        })
    }

    /// The document with one plain buffer.
    fn plain(&self, options: &FileOptions<'_>) -> Value {
        let mut document = self.document(options, 12);
        for view in document["bufferViews"].as_array_mut().into_iter().flatten() {
            view["buffer"] = json!(0);
        }
        document["buffers"] = json!([{ "byteLength": self.bytes(12) }]);
        document
    }

    /// Writes the plain buffer.
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let push = |bytes: &mut Vec<u8>, vector: [f32; 3]| {
            vector.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        };
        stream(&self.mesh.vertices, out, |bytes, vertex| push(bytes, to_gltf(*vertex)))?;
        stream(&self.normals, out, |bytes, normal| push(bytes, *normal))?;
        stream(&self.mesh.triangles, out, |bytes, triangle| {
            triangle.iter().for_each(|index| bytes.extend_from_slice(&index.to_le_bytes()[..self.index]));
        })?;
        let used = 24 * self.mesh.vertices.len() + self.index_bytes();
        out.write_all(&[0; 4][..self.bytes(12) - used])
    }

    /// The document with compressed views, and their buffer.
    ///
    /// Positions and triangles keep every bit; normals keep seven bits on an octahedron.
    fn meshopt(&self, options: &FileOptions<'_>) -> (Value, Vec<u8>) {
        let positions = self.mesh.vertices.iter().flat_map(|vertex| to_gltf(*vertex));
        let flat: Vec<u8> = positions.flat_map(f32::to_le_bytes).collect();
        let normals: Vec<u8> = self.normals.iter().flat_map(|normal| meshopt::octahedral(*normal)).collect();
        let ((positions, normals), triangles) = rayon::join(
            || (meshopt::encode_vertices(&flat, 12), meshopt::encode_vertices(&normals, 4)),
            || meshopt::encode_triangles(&self.mesh.triangles),
        );
        let mut document = self.document(options, 4);
        let mut buffer: Vec<u8> = Vec::new();
        let (vertices, indices) = (self.mesh.vertices.len(), 3 * self.mesh.triangles.len());
        let parts = [
            (positions, 12, vertices, "ATTRIBUTES", "NONE"),
            (normals, 4, vertices, "ATTRIBUTES", "OCTAHEDRAL"),
            (triangles, self.index, indices, "TRIANGLES", "NONE"),
        ];
        for (number, (bytes, stride, count, mode, filter)) in parts.into_iter().enumerate() {
            buffer.resize(buffer.len().next_multiple_of(4), 0);
            let view = &mut document["bufferViews"][number];
            view["buffer"] = json!(1);
            view["extensions"] = json!({ MESHOPT: {
                "buffer": 0, "byteOffset": buffer.len(), "byteLength": bytes.len(), "byteStride": stride, "count": count,
                "mode": mode, "filter": filter
            } });
            buffer.extend_from_slice(&bytes);
        }
        buffer.resize(buffer.len().next_multiple_of(4), 0);
        // Nobody stores the second buffer: it is where the decoded views would lie.
        document["buffers"] = json!([
            { "byteLength": buffer.len() },
            { "byteLength": self.bytes(4), "extensions": { MESHOPT: { "fallback": true } } }
        ]);
        // Normals of bytes are the one thing here that plain glTF does not know.
        document["extensionsUsed"] = json!([MESHOPT, QUANTIZATION]);
        document["extensionsRequired"] = json!([MESHOPT, QUANTIZATION]);
        (document, buffer)
    }
}

/// What made the file, with the job and the essentials of the report in `extras`.
fn asset(options: &FileOptions<'_>) -> Value {
    let mut extras = serde_json::Map::new();
    if let Some(origin) = options.origin {
        extras.insert("job".into(), json!(origin.job));
        extras.insert("engine".into(), json!(origin.engine));
        extras.insert("model".into(), json!(origin.model));
        extras.insert("seed".into(), json!(origin.seed));
    }
    if let Some(report) = options.report {
        extras.insert(
            "report".into(),
            json!({
                "printable": report.printable, "reasons": report.reasons, "triangles": report.triangles,
                "watertight": report.watertight, "components": report.components, "volume_cm3": report.volume_cm3,
                "area_cm2": report.area_cm2, "bounds_mm": report.bounds_mm,
                "wall_thickness_mm": report.wall_thickness_mm
            }),
        );
    }
    let mut asset = json!({ "version": "2.0", "generator": "ORFEAS" });
    if !extras.is_empty() {
        asset["extras"] = Value::Object(extras);
    }
    asset
}

/// JSON with the buffer in a `data:` address.
pub(super) fn gltf(mesh: &Mesh, options: &FileOptions<'_>, out: &mut impl Write) -> Result<(), SurfaceError> {
    let scene = Scene::new(mesh);
    let mut document = scene.plain(options);
    document["buffers"][0]["uri"] = json!(ADDRESS);
    let text = document.to_string();
    // No name can hold this: its quotes are escaped.
    let at = text.find(&format!("\"uri\":\"{ADDRESS}\"")).map_or(text.len(), |at| at + 7 + ADDRESS.len());
    let (head, tail) = text.split_at(at);
    let mut all = || {
        out.write_all(head.as_bytes())?;
        let whole = Whole(&mut *out);
        let mut encoder = base64::write::EncoderWriter::new(whole, &base64::engine::general_purpose::STANDARD);
        scene.write(&mut encoder)?;
        encoder.finish()?;
        drop(encoder);
        out.write_all(tail.as_bytes())
    };
    all().map_err(|error| SurfaceError::io(&error))
}

/// A writer that takes all it is given: the encoder answers a part that was left with "nothing written", which is an error to
/// whoever writes on.
struct Whole<W>(W);

impl<W: Write> Write for Whole<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// The binary container: header, JSON chunk, binary chunk.
pub(super) fn glb(mesh: &Mesh, options: &FileOptions<'_>, out: &mut impl Write) -> Result<(), SurfaceError> {
    let scene = Scene::new(mesh);
    let (document, packed) = match options.glb_compression {
        GlbCompression::None => (scene.plain(options), None),
        GlbCompression::Meshopt => {
            let (document, packed) = scene.meshopt(options);
            (document, Some(packed))
        }
    };
    let mut text = document.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(4), b' ');
    let buffer = packed.as_ref().map_or(scene.bytes(12), Vec::len);
    let length = |bytes: usize| {
        u32::try_from(bytes).map(u32::to_le_bytes).map_err(|_| SurfaceError::limit("the mesh is too large for a GLB"))
    };
    let (total, text_length, buffer_length) = (length(28 + text.len() + buffer)?, length(text.len())?, length(buffer)?);
    let head: [&[u8]; 8] =
        [b"glTF", &2u32.to_le_bytes(), &total, &text_length, b"JSON", &text, &buffer_length, b"BIN\0"];
    let mut all = || {
        out.write_all(&head.concat())?;
        match &packed {
            Some(packed) => out.write_all(packed),
            None => scene.write(out),
        }
    };
    all().map_err(|error| SurfaceError::io(&error))
}
