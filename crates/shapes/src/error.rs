//! What goes wrong.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// No family has this name.
    #[error("there is no family {0:?}; `orfeas-train families` lists them")]
    UnknownFamily(String),
    /// The picture shows nothing.
    #[error("the picture of {family} {seed} shows nothing: {reason}")]
    NothingSeen {
        /// The family.
        family: &'static str,
        /// The seed.
        seed: u64,
        /// Why.
        reason: String,
    },
    /// A shard is not what it should be.
    #[error("shard: {0}")]
    Shard(String),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
