//! The surface: from a field to a printable triangle mesh, its report, its files and its picture.
//!
//! [`finish`] is the whole way: [`extract`] (marching cubes) or [`dual`] (dual contouring), [`keep_components`],
//! [`smooth`], [`simplify`], [`place`], [`report`].
//! A mesh that it returns is closed, 2-manifold and consistently oriented, or there is a typed error.

mod blocks;
mod buckets;
mod bvh;
mod components;
mod dual;
mod error;
mod extract;
mod finish;
mod mesh;
mod meshopt;
mod nearest;
mod nesting;
mod normals;
pub mod npy;
mod place;
mod quadric;
mod read;
mod render;
mod repair;
mod report;
mod simplify;
mod smooth;
mod table;
mod write;

pub use components::{Removed, keep_components};
pub use dual::dual;
pub use error::{SurfaceError, SurfaceErrorKind};
pub use extract::extract;
pub use finish::{FinishOptions, Method, finish};
pub use mesh::Mesh;
pub use place::place;
pub use read::{read, sniff};
pub use render::{RenderOptions, View, render, render_png, thumbnail};
pub use repair::{RepairReport, repair};
pub use report::report;
pub use simplify::simplify;
pub use smooth::smooth;
pub use write::{FileOptions, Origin, write, write_to};
