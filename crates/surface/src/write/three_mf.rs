//! 3D Manufacturing Format (3MF core specification 1.3): a zip of three parts.

use std::io::{Cursor, Write};

use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use super::text::{chunks, push_float, push_integer};
use crate::Mesh;
use crate::error::SurfaceError;

const CONTENT_TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>
"#;
const RELATIONSHIPS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Target="/3D/3dmodel.model" Id="rel0" Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/></Relationships>
"#;

pub(super) fn three_mf(mesh: &Mesh, name: &str) -> Result<Vec<u8>, SurfaceError> {
    // The fastest level: higher ones take several times as long for a tenth of the size. No time of day in the parts
    // (the default is 1980-01-01), so that the same mesh gives the same bytes.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1))
        .last_modified_time(zip::DateTime::DEFAULT);
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::with_capacity(16 * mesh.triangles.len() + 4096)));
    let mut part = |name: &str, parts: &[Vec<u8>]| -> Result<(), SurfaceError> {
        archive.start_file(name, options).map_err(|error| SurfaceError::io(&error))?;
        parts.iter().try_for_each(|part| archive.write_all(part)).map_err(|error| SurfaceError::io(&error))
    };
    part("[Content_Types].xml", &[CONTENT_TYPES.as_bytes().to_vec()])?;
    part("_rels/.rels", &[RELATIONSHIPS.as_bytes().to_vec()])?;
    part("3D/3dmodel.model", &model(mesh, name))?;
    Ok(archive.finish().map_err(|error| SurfaceError::io(&error))?.into_inner())
}

fn model(mesh: &Mesh, name: &str) -> Vec<Vec<u8>> {
    let name = quick_xml::escape::escape(name.chars().filter(|c| !c.is_control()).collect::<String>()).into_owned();
    let head = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<model unit=\"millimeter\" xml:lang=\"en-US\" \
         xmlns=\"http://schemas.microsoft.com/3dmanufacturing/core/2015/02\">\n<metadata \
         name=\"Title\">{name}</metadata>\n<metadata name=\"Application\">ORFEAS</metadata>\n<resources><object \
         id=\"1\" type=\"model\" name=\"{name}\"><mesh><vertices>\n"
    );
    let mut parts = vec![head.into_bytes()];
    parts.extend(chunks(&mesh.vertices, |out, position| {
        out.extend_from_slice(b"<vertex");
        for (axis, value) in [" x=\"", " y=\"", " z=\""].into_iter().zip(position) {
            out.extend_from_slice(axis.as_bytes());
            push_float(out, *value);
            out.push(b'"');
        }
        out.extend_from_slice(b"/>\n");
    }));
    parts.push(b"</vertices><triangles>\n".to_vec());
    parts.extend(chunks(&mesh.triangles, |out, triangle| {
        out.extend_from_slice(b"<triangle");
        for (corner, vertex) in [" v1=\"", " v2=\"", " v3=\""].into_iter().zip(triangle) {
            out.extend_from_slice(corner.as_bytes());
            push_integer(out, u64::from(*vertex));
            out.push(b'"');
        }
        out.extend_from_slice(b"/>\n");
    }));
    parts.push(b"</triangles></mesh></object></resources><build><item objectid=\"1\"/></build></model>\n".to_vec());
    parts
}
