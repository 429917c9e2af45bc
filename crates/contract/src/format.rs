//! The mesh formats that ORFEAS writes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A mesh file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Format {
    /// Binary STL, millimetres, Z up.
    Stl,
    /// Wavefront OBJ, millimetres, Z up.
    Obj,
    /// Binary little-endian PLY, millimetres, Z up.
    Ply,
    /// glTF 2.0 in its binary container, metres, Y up.
    Glb,
    /// glTF 2.0 as JSON with the buffer embedded, metres, Y up.
    Gltf,
    /// 3D Manufacturing Format, millimetres, Z up.
    ThreeMf,
}

/// A format name that ORFEAS does not write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown mesh format {0:?}; the known ones are {known}", known = Format::names().join(", "))]
pub struct UnknownFormat(pub String);

impl Format {
    /// All formats, the default first.
    pub const ALL: [Self; 6] = [Self::Stl, Self::Obj, Self::Ply, Self::Glb, Self::Gltf, Self::ThreeMf];

    /// The name on the wire, which is the file suffix without its dot.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stl => "stl",
            Self::Obj => "obj",
            Self::Ply => "ply",
            Self::Glb => "glb",
            Self::Gltf => "gltf",
            Self::ThreeMf => "3mf",
        }
    }

    /// The media type (IANA where one is registered).
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Stl => "model/stl",
            Self::Obj => "model/obj",
            Self::Ply => "application/x-ply",
            Self::Glb => "model/gltf-binary",
            Self::Gltf => "model/gltf+json",
            Self::ThreeMf => "model/3mf",
        }
    }

    /// All names, for messages.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        Self::ALL.iter().map(|format| format.name()).collect()
    }

    /// Reads a name as people write it: `stl`, `.STL`, `3mf`.
    ///
    /// # Errors
    /// [`UnknownFormat`] names the known ones.
    pub fn parse(text: &str) -> Result<Self, UnknownFormat> {
        let name = text.trim().trim_start_matches('.').to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| UnknownFormat(text.chars().take(32).collect()))
    }

    /// The format that a file name asks for by its suffix; none where it has no suffix.
    ///
    /// # Errors
    /// [`UnknownFormat`] for a suffix that is no known format.
    pub fn of_file_name(name: &str) -> Result<Option<Self>, UnknownFormat> {
        let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
        match last.rsplit_once('.') {
            Some((stem, suffix)) if !stem.is_empty() && !suffix.is_empty() => Self::parse(suffix).map(Some),
            _ => Ok(None),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Format {
    type Error = UnknownFormat;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Format> for String {
    fn from(format: Format) -> Self {
        format.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_people_write_them() {
        for format in Format::ALL {
            assert_eq!(Format::parse(format.name()), Ok(format));
            assert_eq!(Format::parse(&format!(".{}", format.name().to_uppercase())), Ok(format));
        }
        let unknown = Format::parse("step").unwrap_err().to_string();
        for name in Format::names() {
            assert!(unknown.contains(name), "{unknown}");
        }
    }

    #[test]
    fn a_file_name_asks_by_its_suffix() {
        assert_eq!(Format::of_file_name("out/duck.v2.GLB"), Ok(Some(Format::Glb)));
        assert_eq!(Format::of_file_name("duck"), Ok(None));
        assert_eq!(Format::of_file_name("a.b/duck"), Ok(None));
        assert_eq!(Format::of_file_name(".stl"), Ok(None));
        assert!(Format::of_file_name("duck.step").is_err());
    }
}
