//! The whole way from a field to a mesh that can be printed.

use orfeas_contract::{Options, PrintReport, SurfaceMethod};
use orfeas_field::Field;

use crate::error::{SurfaceError, SurfaceErrorKind};
use crate::nearest::largest_distance;
use crate::{Mesh, dual, extract, keep_components, place, report, smooth};

/// Vertices whose distance from the reduced mesh is measured, about; all where there are fewer.
const ERROR_SAMPLES: usize = 50_000;

/// How the surface is made of the field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// [`extract`]: marching cubes, the reference's look.
    #[default]
    MarchingCubes,
    /// [`dual`]: dual contouring, which keeps edges and corners.
    Dual,
}

/// What [`finish`] does beside extracting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FinishOptions {
    /// Longest side of the result, millimetres.
    pub size_mm: f32,
    /// Triangles to reduce to; a mesh with fewer passes as it is.
    pub target_faces: Option<u32>,
    /// How the surface is made.
    pub method: Method,
    /// A piece with a smaller share of the largest piece's faces is left out.
    pub floaters: f32,
    /// Whether cavities are filled.
    pub fill_cavities: bool,
    /// Iterations of smoothing that keeps the volume; 0: none.
    pub smooth: u32,
    /// Whether a mesh that cannot be printed is an error rather than a report that says so.
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

/// Extracts, leaves out floaters, smooths and reduces where asked, places at `size_mm` and reports.
///
/// `on_phase` is told the name of each phase as it begins: `extract`, `smooth`, `simplify`, `report`. `cancelled` is
/// asked between phases and, while simplifying, every few hundred milliseconds. The mesh is in millimetres with z up.
///
/// # Errors
/// [`SurfaceErrorKind::Empty`] without a surface, [`SurfaceErrorKind::NotPrintable`] where the report is not
/// printable and `fail_unprintable` is set, [`SurfaceErrorKind::Cancelled`], [`SurfaceErrorKind::Argument`] for an
/// impossible size.
pub fn finish(
    field: &Field,
    options: &FinishOptions,
    on_phase: &mut dyn FnMut(&str),
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<(Mesh, PrintReport), SurfaceError> {
    let check = || match cancelled() {
        true => Err(SurfaceError::new(SurfaceErrorKind::Cancelled, "cancelled")),
        false => Ok(()),
    };
    check()?;
    on_phase("extract");
    let mesh = match options.method {
        Method::MarchingCubes => extract(field)?,
        Method::Dual => dual(field)?,
    };
    let (mut mesh, removed) = keep_components(mesh, options.floaters, options.fill_cavities)?;
    check()?;
    if options.smooth > 0 {
        on_phase("smooth");
        smooth(&mut mesh, options.smooth);
        check()?;
    }
    // Vertices as they were before the reduction.
    let mut samples = Vec::new();
    if let Some(target) = options.target_faces.filter(|target| (*target as usize) < mesh.triangles.len()) {
        on_phase("simplify");
        let stride = mesh.vertices.len().div_ceil(ERROR_SAMPLES);
        samples = mesh.vertices.iter().step_by(stride).copied().collect();
        mesh = crate::simplify::simplify_while(mesh, target as usize, &|| !cancelled())?;
        check()?;
    }
    on_phase("report");
    let error = largest_distance(&samples, &mesh);
    let reduced = !samples.is_empty();
    let longest = mesh.longest_side();
    let mesh = place(mesh, options.size_mm)?;
    let mut report = report(&mesh, removed.floaters + removed.cavities);
    report.reduction_error_mm = reduced.then(|| error / longest * f64::from(options.size_mm));
    if options.fail_unprintable && !report.printable {
        let why = format!("the mesh cannot be printed: {}", report.reasons.join(", "));
        return Err(SurfaceError::new(SurfaceErrorKind::NotPrintable, why));
    }
    Ok((mesh, report))
}
