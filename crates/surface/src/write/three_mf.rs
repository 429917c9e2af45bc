//! 3D Manufacturing Format (3MF core specification 1.3): a zip of a model, its picture and what ties them together.

use std::io::Write;

use super::text::{push_float, push_integer};
use super::zip::Archive;
use super::{FileOptions, Origin, one_line, origin_line};
use crate::Mesh;
use crate::error::SurfaceError;

const CONTENT_TYPES: &[u8] = br#"<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/><Default Extension="png" ContentType="image/png"/></Types>
"#;
const MODEL: &str = "3D/3dmodel.model";
/// Its relationship says what it is. Its name does not: assimp 5.2 crashes on parts that are named `thumbnail`.
const THUMBNAIL: &str = "Metadata/preview.png";
const MODEL_TYPE: &str = "http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel";
const THUMBNAIL_TYPE: &str = "http://schemas.openxmlformats.org/package/2006/relationships/metadata/thumbnail";

pub(super) fn three_mf(mesh: &Mesh, options: &FileOptions<'_>, out: &mut impl Write) -> Result<(), SurfaceError> {
    let mut all = || {
        let mut archive = Archive::new(out);
        archive.store("[Content_Types].xml", CONTENT_TYPES)?;
        archive.store("_rels/.rels", relationships(options.thumbnail.is_some()).as_bytes())?;
        if let Some(png) = options.thumbnail {
            archive.store(THUMBNAIL, png)?;
        }
        let mut model = archive.deflate(MODEL)?;
        let text = |out: &mut Vec<u8>, text: &String| out.extend_from_slice(text.as_bytes());
        model.stream(&[head(options)], text)?;
        model.stream(&mesh.vertices, |bytes, position| {
            bytes.extend_from_slice(b"<vertex");
            for (axis, value) in [" x=\"", " y=\"", " z=\""].into_iter().zip(position) {
                bytes.extend_from_slice(axis.as_bytes());
                push_float(bytes, *value);
                bytes.push(b'"');
            }
            bytes.extend_from_slice(b"/>\n");
        })?;
        model.stream(&["</vertices><triangles>\n".to_owned()], text)?;
        model.stream(&mesh.triangles, |bytes, triangle| {
            bytes.extend_from_slice(b"<triangle");
            for (corner, vertex) in [" v1=\"", " v2=\"", " v3=\""].into_iter().zip(triangle) {
                bytes.extend_from_slice(corner.as_bytes());
                push_integer(bytes, u64::from(*vertex));
                bytes.push(b'"');
            }
            bytes.extend_from_slice(b"/>\n");
        })?;
        let end = "</triangles></mesh></object></resources><build><item objectid=\"1\"/></build></model>\n";
        model.stream(&[end.to_owned()], text)?;
        model.finish()?;
        archive.finish()
    };
    all().map_err(|error: std::io::Error| match error.kind() {
        std::io::ErrorKind::FileTooLarge => SurfaceError::limit("the mesh is too large for a 3MF file"),
        _ => SurfaceError::io(&error),
    })
}

fn relationships(thumbnail: bool) -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Relationships \
         xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">",
    );
    text.push_str(&format!("<Relationship Target=\"/{MODEL}\" Id=\"rel0\" Type=\"{MODEL_TYPE}\"/>"));
    if thumbnail {
        text.push_str(&format!("<Relationship Target=\"/{THUMBNAIL}\" Id=\"rel1\" Type=\"{THUMBNAIL_TYPE}\"/>"));
    }
    text.push_str("</Relationships>\n");
    text
}

/// Everything before the first vertex. Names that the specification does not know must stand in a namespace.
fn head(options: &FileOptions<'_>) -> String {
    let escaped = |text: &str| quick_xml::escape::escape(one_line(text)).into_owned();
    let name = escaped(options.name);
    let mut metadata = vec![("Title", name.clone()), ("Application", "ORFEAS".to_owned())];
    if let Some(origin) = options.origin {
        let Origin { job, engine, model, seed } = origin;
        metadata.push(("Description", escaped(&origin_line(origin))));
        metadata.extend([("orfeas:job", escaped(job)), ("orfeas:engine", escaped(engine))]);
        metadata.extend([("orfeas:model", escaped(model)), ("orfeas:seed", seed.to_string())]);
    }
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<model unit=\"millimeter\" xml:lang=\"en-US\" \
         xmlns=\"http://schemas.microsoft.com/3dmanufacturing/core/2015/02\" xmlns:orfeas=\"urn:orfeas\">\n",
    );
    for (key, value) in metadata {
        text.push_str(&format!("<metadata name=\"{key}\">{value}</metadata>\n"));
    }
    text.push_str(&format!("<resources><object id=\"1\" type=\"model\" name=\"{name}\"><mesh><vertices>\n"));
    text
}
