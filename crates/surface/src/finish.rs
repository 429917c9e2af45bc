//! The whole way from a field to a mesh that can be printed.

use orfeas_contract::{Options, PrintReport, SurfaceMethod};
use orfeas_field::Field;

use crate::error::{SurfaceError, SurfaceErrorKind};
use crate::{Mesh, drop_dust, extract, place, report};

/// How the surface is taken from the field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// Marching cubes.
    #[default]
    MarchingCubes,
    /// A dual method, which keeps edges and corners.
    Dual,
}

/// What [`finish`] is told.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishOptions {
    /// Longest side in millimetres.
    pub size_mm: f32,
    /// Reduce to at most this many triangles.
    pub target_faces: Option<u32>,
    /// How the surface is taken from the field.
    pub method: Method,
    /// Share of the largest piece's faces below which a piece is left out.
    pub floaters: f32,
    /// Whether closed hollows are filled.
    pub fill_cavities: bool,
    /// Iterations of Taubin smoothing.
    pub smooth: u32,
    /// Whether an unprintable mesh is an error.
    pub fail_unprintable: bool,
}

impl Default for FinishOptions {
    fn default() -> Self {
        Self::from(&Options::default())
    }
}

impl From<&Options> for FinishOptions {
    fn from(options: &Options) -> Self {
        Self {
            size_mm: options.size_mm(),
            target_faces: options.target_faces,
            method: match options.surface {
                SurfaceMethod::MarchingCubes => Method::MarchingCubes,
                SurfaceMethod::Dual => Method::Dual,
            },
            floaters: options.floaters(),
            fill_cavities: options.fill_cavities,
            smooth: options.smooth.unwrap_or(0),
            fail_unprintable: options.fail_unprintable,
        }
    }
}

/// Extracts, leaves out dust, simplifies to at most `target_faces` where asked, places at `size_mm` and reports.
///
/// `on_phase` is told the name of each phase as it begins: `extract`, `simplify`, `report`. `cancelled` is asked
/// between phases and, while simplifying, every few hundred milliseconds. The mesh is in millimetres with z up.
///
/// # Errors
/// [`SurfaceErrorKind::Empty`] without a surface, [`SurfaceErrorKind::NotPrintable`] where the report is not
/// printable and `fail_unprintable` is set, [`SurfaceErrorKind::Cancelled`], [`SurfaceErrorKind::Argument`] for an
/// impossible size.
pub fn finish(
    field: &Field,
    options: &FinishOptions,
    on_phase: &mut dyn FnMut(&str),
    cancelled: &dyn Fn() -> bool,
) -> Result<(Mesh, PrintReport), SurfaceError> {
    let check = || match cancelled() {
        true => Err(SurfaceError::new(SurfaceErrorKind::Cancelled, "cancelled")),
        false => Ok(()),
    };
    check()?;
    on_phase("extract");
    let (mut mesh, removed) = drop_dust(extract(field)?)?;
    check()?;
    if let Some(target) = options.target_faces.filter(|target| (*target as usize) < mesh.triangles.len()) {
        on_phase("simplify");
        mesh = crate::simplify::simplify_while(mesh, target as usize, &|| !cancelled())?;
        check()?;
    }
    on_phase("report");
    let mesh = place(mesh, options.size_mm)?;
    let report = report(&mesh, removed);
    if options.fail_unprintable && !report.printable {
        let why = format!("the mesh cannot be printed: {}", report.reasons.join(", "));
        return Err(SurfaceError::new(SurfaceErrorKind::NotPrintable, why));
    }
    Ok((mesh, report))
}
