//! Model files: Hunyuan3D-2 checkpoint folders, fetched in Hugging Face layout, verified, and looked after.
//!
//! A checkpoint is `config.yaml` and `model.fp16.safetensors` (or `model.safetensors`) of one subfolder of one repository. It is
//! made in a hidden folder beside its place and appears by one rename, with the licence it came under and a manifest
//! ([`Manifest`], `orfeas-model.json`) that names every file's size and SHA-256: a checkpoint folder is whole, or is not there.
//!
//! The repository's layout, URLs and API are the hf-hub crate's. The transfer is ours ([`pull`]): what the hub sends is untrusted
//! input, with a limit on every size, every redirect and every wait. `.ckpt` files (Python pickles) are neither fetched nor read.

mod catalogue;
mod download;
mod endpoint;
mod error;
mod files;
mod hash;
mod http;
mod hub;
mod licence;
mod local;
mod manifest;
mod observe;
mod pull;
mod safetensors;
mod store;
mod verify;

pub use catalogue::{KNOWN, Known, Source};
pub use endpoint::{Endpoint, HubOptions, Retry, Token};
pub use error::{ModelError, ModelErrorKind};
pub use files::{CONFIG, WEIGHTS};
pub use licence::LicenceText;
pub use manifest::{AcceptedLicence, CheckedAgainst, FileEntry, MANIFEST, Manifest};
pub use observe::{Event, Observer, Phase};
pub use pull::{Origin, Outcome, pull};
pub use safetensors::Header;
pub use store::{Installed, Store, models_folder};
pub use verify::{FileReport, Report, verify};
