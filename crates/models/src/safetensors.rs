//! A look at a safetensors file's header: that it can be read, and that its tensors tile the file exactly.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::error::{ModelError, ModelErrorKind};

/// The most bytes of a header, as the format itself limits it.
const MOST: u64 = 100_000_000;

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Header {
    /// Tensors.
    pub tensors: usize,
    /// Their elements.
    pub parameters: u64,
    /// The type of most elements, such as `float16`.
    pub precision: String,
}

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The header's entries, in file order. A map would lose one of two tensors of the same name.
struct Entries(Vec<(String, Tensor)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        let tensor = map.next_value().map_err(|error| A::Error::custom(format!("{name}: {error}")))?;
                        entries.push((name, tensor));
                    }
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Walk)
    }
}

impl Header {
    /// Reads and checks the header of a file.
    ///
    /// # Errors
    /// `Damaged` where it does not parse, or where sizes, shapes, offsets and the file's length do not fit together.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let io = |error| ModelError::io("read", path, error);
        let damaged = |what: String| ModelError::new(ModelErrorKind::Damaged, format!("{}: {what}", path.display()));
        let mut file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        if length < 8 {
            return Err(damaged(format!("{length} bytes are no safetensors file")));
        }
        let mut prefix = [0; 8];
        file.read_exact(&mut prefix).map_err(io)?;
        let size = u64::from_le_bytes(prefix);
        if size > MOST || size > length - 8 {
            return Err(damaged(format!("it claims a header of {size} bytes, and the file has {length}")));
        }
        let mut bytes = Vec::new();
        file.take(size).read_to_end(&mut bytes).map_err(io)?;
        let entries: Entries = serde_json::from_slice(&bytes).map_err(|error| {
            let sentence = format!("{}: its header cannot be understood", path.display());
            ModelError::caused(ModelErrorKind::Damaged, sentence, error)
        })?;
        tile(entries.0, length - 8 - size).map_err(damaged)
    }
}

/// Checks that the tensors fill `bytes` without a gap or an overlap.
fn tile(mut tensors: Vec<(String, Tensor)>, bytes: u64) -> Result<Header, String> {
    let mut elements: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut parameters = 0u64;
    for (name, tensor) in &tensors {
        let name = name.escape_debug();
        let (kind, width) = dtype(&tensor.dtype)
            .ok_or_else(|| format!("tensor `{name}` has the unknown type `{}`", tensor.dtype.escape_debug()))?;
        let count = tensor.shape.iter().try_fold(1u64, |count, side| count.checked_mul(*side));
        let (begin, end) = tensor.data_offsets;
        let wanted = count.and_then(|count| count.checked_mul(width));
        if wanted.is_none() || end.checked_sub(begin) != wanted {
            return Err(format!("tensor `{name}` of shape {:?} has offsets {begin} to {end}", tensor.shape));
        }
        let count = count.unwrap_or(0);
        parameters = parameters.saturating_add(count);
        let sum = elements.entry(kind).or_default();
        *sum = sum.saturating_add(count);
    }
    let mut names: Vec<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("tensor `{}` is there twice", twice[0].escape_debug()));
    }
    tensors.sort_by_key(|(_, tensor)| tensor.data_offsets);
    let mut at = 0;
    for (name, tensor) in &tensors {
        if tensor.data_offsets.0 != at {
            let name = name.escape_debug();
            return Err(format!("tensor `{name}` begins at byte {} and not at {at}", tensor.data_offsets.0));
        }
        at = tensor.data_offsets.1;
    }
    if at != bytes {
        return Err(format!("its tensors have {at} bytes, and {bytes} follow the header"));
    }
    let precision = elements.into_iter().max_by_key(|(_, count)| *count).map_or("none", |(kind, _)| kind);
    Ok(Header { tensors: tensors.len(), parameters, precision: precision.into() })
}

/// A type's name and its bytes.
fn dtype(name: &str) -> Option<(&'static str, u64)> {
    Some(match name {
        "F64" => ("float64", 8),
        "F32" => ("float32", 4),
        "F16" => ("float16", 2),
        "BF16" => ("bfloat16", 2),
        "F8_E4M3" => ("float8_e4m3", 1),
        "F8_E5M2" => ("float8_e5m2", 1),
        "I64" => ("int64", 8),
        "I32" => ("int32", 4),
        "I16" => ("int16", 2),
        "I8" => ("int8", 1),
        "U64" => ("uint64", 8),
        "U32" => ("uint32", 4),
        "U16" => ("uint16", 2),
        "U8" => ("uint8", 1),
        "BOOL" => ("bool", 1),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(json: &str, data: usize) -> Result<Header, String> {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        std::fs::write(&path, bytes).unwrap();
        Header::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_good_header() {
        let json = r#"{"__metadata__":{"a":"b"},"b":{"dtype":"F16","shape":[2,3],"data_offsets":[4,16]},
            "a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#;
        let header = header(json, 16).unwrap();
        assert_eq!(header, Header { tensors: 2, parameters: 7, precision: "float16".into() });
    }

    #[test]
    fn a_header_that_lies() {
        let one = |dtype: &str, shape: &str, offsets: &str| {
            format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        for (json, data, complaint) in [
            (one("F16", "[2]", "[0,4]"), 3, "3 follow the header"),
            (one("F16", "[2]", "[0,4]"), 5, "5 follow the header"),
            (one("F16", "[2]", "[0,6]"), 6, "offsets 0 to 6"),
            (one("F16", "[2]", "[4,0]"), 4, "offsets 4 to 0"),
            (one("F16", "[2]", "[2,6]"), 6, "begins at byte 2"),
            (one("F3", "[2]", "[0,4]"), 4, "unknown type `F3`"),
            (one("F16", "[9223372036854775807,9223372036854775807]", "[0,4]"), 4, "of shape"),
            (one("F16", "[-1]", "[0,4]"), 4, "cannot be understood"),
            ("[1, 2".into(), 0, "cannot be understood"),
            ("{\"a\":1}".into(), 0, "cannot be understood"),
            (
                r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#
                    .into(),
                2,
                "is there twice",
            ),
        ] {
            let error = header(&json, data).unwrap_err();
            assert!(error.contains(complaint), "{json}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        for bytes in [&b"short"[..], &[255; 8], &[255; 64], &[9, 0, 0, 0, 0, 0, 0, 0, b'{']] {
            std::fs::write(&path, bytes).unwrap();
            let error = Header::read(&path).unwrap_err();
            assert_eq!(error.kind(), ModelErrorKind::Damaged);
            assert!(error.to_string().contains("x.safetensors"));
        }
    }
}
