//! Which files a checkpoint is made of, and how large they may be.

use crate::error::{ModelError, ModelErrorKind};

/// The configuration's file name.
pub const CONFIG: &str = "config.yaml";

/// The weights' file names, the better one first: one of them is fetched.
pub const WEIGHTS: [&str; 2] = ["model.fp16.safetensors", "model.safetensors"];

/// What a licence file may be called in a repository's root, or beside a checkpoint.
pub(crate) const LICENCES: [&str; 5] = ["LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "License.txt"];

/// What goes with a licence where it is there.
pub(crate) const NOTICE: &str = "NOTICE";

/// Checksums that a folder may bring along.
pub(crate) const SUMS: &str = "SHA256SUMS";

/// The most bytes of a file that is not weights.
pub(crate) const SMALL: u64 = 1 << 20;

/// The most bytes of a file of weights; Hunyuan3D-2's largest has 4.6 GiB.
pub(crate) const LARGE: u64 = 64 << 30;

/// Whether a file may have this size.
pub(crate) fn limit(name: &str, size: u64) -> Result<(), ModelError> {
    let most = if WEIGHTS.contains(&name) { LARGE } else { SMALL };
    if (1..=most).contains(&size) {
        return Ok(());
    }
    let sentence = format!("{name} has {size} bytes; between 1 and {most} are taken");
    Err(ModelError::new(ModelErrorKind::Protocol, sentence))
}

/// The error of a folder without weights; `pickles` says that it has the `.ckpt` kind.
pub(crate) fn no_weights(place: &str, pickles: bool) -> ModelError {
    let why = if pickles {
        "it has only .ckpt, a Python pickle that could run code and that orfeas never reads"
    } else {
        "it has neither model.fp16.safetensors nor model.safetensors"
    };
    ModelError::new(ModelErrorKind::NotFound, format!("{place} has no weights to take: {why}"))
}
