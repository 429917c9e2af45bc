//! References to bytes that lie in an object-store bucket.

use serde::{Deserialize, Serialize};

use crate::Format;

/// Bytes in a bucket, with what is needed to know that they are the right ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRef {
    /// The bucket.
    pub bucket: String,
    /// The object's name in it, unique for each attempt.
    pub object: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes, lower-case hex.
    pub sha256: String,
}

/// One finished file of a completed job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshFile {
    /// The mesh format.
    pub format: Format,
    /// A file name to save it under.
    pub file_name: String,
    /// Where the bytes are.
    #[serde(flatten)]
    pub artifact: ArtifactRef,
}
