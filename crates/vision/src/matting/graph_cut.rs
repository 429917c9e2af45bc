//! Segmentation in the manner of GrabCut (Rother, Kolmogorov, Blake 2004), made for photographs of one thing: the
//! border says what the background looks like, and nobody needs to draw a rectangle.

use image::{GrayImage, RgbImage};
use rayon::prelude::*;

use super::Matting;
use super::backdrop::{Sample, Surface};
use super::lab::{Lab, lab};
use super::mask::Mask;
use super::mixture::Mixture;
use super::model::{
    BACKDROP_FLOOR, Background, Canvas, FLOOR, PARTS, UNKNOWN, background_of_border, cheapest, evidence, lit, shaded,
};
use super::refine::{Models, refine};
use crate::VisionError;
use crate::resize::{Raster, resize_area};

/// The subject is what neither the backdrop nor its shadow explains.
///
/// The picture is reduced to `working_side`, where background and subject models and the labels are improved in turn
/// by minimum cuts; then the labels along the outline are cut again at full size, and the outermost pixels get the
/// alpha that mixes the colours on both sides into theirs.
///
/// It is made for a subject before a background that differs from it: a studio sweep, a table, a wall, with gradients,
/// soft shadows and noise. It knows no objects, so a cluttered room, hard shadows and camouflage are beyond it.
#[derive(Clone, Copy, Debug)]
pub struct GraphCutMatting {
    /// Longer side of the reduced picture, in pixels.
    pub working_side: u32,
    /// How often models and labels are improved.
    pub rounds: u32,
}

impl Default for GraphCutMatting {
    fn default() -> Self {
        Self { working_side: 320, rounds: 3 }
    }
}

/// Less of the picture is no subject.
const LEAST_SHARE: f32 = 0.003;
/// More of the picture leaves no background to tell it from.
const MOST_SHARE: f32 = 0.97;

/// How unlikely deep shadows are, in nats per squared depth: where a third of the light is left, two nats.
const DEEP_SHADOWS: f32 = 24.0;
/// The same with less trust in shadows.
const FAINT_SHADOWS: f32 = 42.0;
/// A rim whose step is more than this share of the depth inside is the edge of a thing.
const CRISP: f32 = 0.6;

const NOTHING: VisionError = VisionError::NoSubject("nothing stands out from the background");

impl Matting for GraphCutMatting {
    fn name(&self) -> &'static str {
        "graph-cut"
    }

    fn alpha(&self, picture: &RgbImage) -> Result<GrayImage, VisionError> {
        let canvas = self.reduced(picture);
        // Where deep shadow explains all there is, the thing itself may be grey: look again with less trust in it.
        self.segment(picture, &canvas, DEEP_SHADOWS).or_else(|_| self.segment(picture, &canvas, FAINT_SHADOWS))
    }
}

impl GraphCutMatting {
    /// The alpha of `picture`, reduced to `canvas`, under one opinion of shadows.
    fn segment(&self, picture: &RgbImage, canvas: &Canvas, deep: f32) -> Result<GrayImage, VisionError> {
        let mut background = background_of_border(canvas, deep).ok_or(NOTHING)?;
        let shadows = may_be_shadow(canvas, &background);
        let mut mask = first_guess(canvas, &background, &shadows).without_specks();
        check_share(&mask)?;

        let all: Vec<usize> = (0..canvas.colours.len()).collect();
        let mut pull = Vec::new();
        for round in 0..self.rounds.max(1) {
            let subject: Vec<Lab> = all
                .iter()
                .filter(|&&i| mask.labels[i] && background.leaves_to_subject(&canvas.sample(i), shadows[i]))
                .map(|&i| canvas.colours[i])
                .collect();
            let subject = Mixture::fit(&subject, PARTS, FLOOR);
            if round > 0 {
                background = refit(canvas, background, &mask);
            }
            pull = all
                .par_iter()
                .map(|&i| evidence(&background, subject.as_ref(), &canvas.sample(i), shadows[i]))
                .collect();
            let labels = cheapest(&mask, &all, &pull, |i| canvas.colours[i]);
            let settled = labels == mask.labels;
            mask.labels = labels;
            check_share(&mask)?;
            if settled {
                break;
            }
        }
        mask.drop_islands();
        mask.fill_holes(|hole| hole.iter().map(|&i| pull[i]).sum::<f32>() < -(hole.len() as f32));
        check_share(&mask)?;
        Ok(refine(picture, &mask, &Models { background: &background, shadows: &shadows }))
    }

    /// The picture in Lab, its longer side at most `working_side`.
    fn reduced(&self, picture: &RgbImage) -> Canvas {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let factor = (self.working_side.max(32) as f32 / width.max(height) as f32).min(1.0);
        let fit = |side: usize| ((side as f32 * factor).round() as usize).clamp(1, side);
        let small = resize_area(&Raster::new(picture.as_raw().clone(), width, height, 3), fit(width), fit(height));
        let colours = small.data.chunks_exact(3).map(|p| lab([p[0], p[1], p[2]])).collect();
        Canvas { width: small.width, height: small.height, colours }
    }
}

fn check_share(mask: &Mask) -> Result<(), VisionError> {
    let share = mask.count() as f32 / mask.labels.len() as f32;
    if share < LEAST_SHARE {
        Err(NOTHING)
    } else if share > MOST_SHARE {
        Err(VisionError::NoSubject("the whole picture looks alike"))
    } else {
        Ok(())
    }
}

/// Where a darker backdrop may be its shadow. A grey thing on white has a shadow's colours too, but a shadow of a
/// soft light fades out, and a thing has an edge: connected regions of shadow's colours whose rim is a step of almost
/// their whole depth are things.
fn may_be_shadow(canvas: &Canvas, background: &Background) -> Vec<bool> {
    let Background::Plain(surfaces) = background else { return vec![false; canvas.colours.len()] };
    // Depth of the shadow that would explain a pixel, and whether the pixel is lit, or else could be in shadow.
    let (depth, (lit, dark)): (Vec<f32>, (Vec<bool>, Vec<bool>)) = (0..canvas.colours.len())
        .into_par_iter()
        .map(|i| {
            let sample = canvas.sample(i);
            let (depth, density) = shaded(surfaces, &sample);
            let lit = lit(surfaces, &sample) > UNKNOWN;
            (depth, (lit, !lit && density > UNKNOWN - 2.5))
        })
        .unzip();
    let dark = Mask::new(canvas.width, canvas.height, dark);
    let mut allowed = vec![true; depth.len()];
    for part in dark.parts(true) {
        // The step in depth across three pixels, wherever lit backdrop is beside the part. Beside something that is
        // neither lit nor shadow, a pixel may be half that thing's, and says nothing.
        let mut steps: Vec<f32> = part
            .pixels
            .iter()
            .filter(|&&i| dark.around(i, 1).any(|other| lit[other]))
            .filter(|&&i| dark.around(i, 2).all(|other| lit[other] || dark.labels[other]))
            .map(|&i| {
                let (least, most) = dark
                    .around(i, 1)
                    .map(|other| depth[other])
                    .fold((f32::MAX, f32::MIN), |(least, most), depth| (least.min(depth), most.max(depth)));
                most - least
            })
            .collect();
        if steps.is_empty() {
            continue;
        }
        let mut depths: Vec<f32> = part.pixels.iter().map(|&i| depth[i]).collect();
        if quantile(&mut steps, 0.5) > CRISP * quantile(&mut depths, 0.75) {
            for &i in &part.pixels {
                allowed[i] = false;
            }
        }
    }
    allowed
}

fn quantile(values: &mut [f32], share: f32) -> f32 {
    let at = ((values.len() - 1) as f32 * share) as usize;
    *values.select_nth_unstable_by(at, f32::total_cmp).1
}

/// What the background does not explain.
fn first_guess(canvas: &Canvas, background: &Background, shadows: &[bool]) -> Mask {
    let density: Vec<f32> = (0..canvas.colours.len())
        .into_par_iter()
        .map(|i| background.log_density(&canvas.sample(i), shadows[i]))
        .collect();
    let threshold = match background {
        Background::Plain(_) => UNKNOWN,
        // Rarer than nearly all of the border itself.
        Background::Busy(_) => {
            let margin = canvas.margin();
            let mut border: Vec<f32> =
                density.iter().enumerate().filter(|&(i, _)| canvas.in_border(i, margin)).map(|(_, &d)| d).collect();
            quantile(&mut border, 0.05) - 1.0
        }
    };
    Mask::new(canvas.width, canvas.height, density.iter().map(|&d| d < threshold).collect())
}

/// The background's model from all that is now called background, not from the border alone.
fn refit(canvas: &Canvas, background: Background, mask: &Mask) -> Background {
    match background {
        Background::Plain(surfaces) => {
            let outside: Vec<Sample> =
                (0..mask.labels.len()).filter(|&i| !mask.labels[i]).map(|i| canvas.sample(i)).collect();
            let better = |surface: &Surface| {
                let own: Vec<Sample> = outside
                    .iter()
                    .copied()
                    .filter(|sample| {
                        let density = surface.lit(sample);
                        density > UNKNOWN - 3.0 && density >= lit(&surfaces, sample)
                    })
                    .collect();
                surface.refitted(&own, BACKDROP_FLOOR)
            };
            Background::Plain(surfaces.iter().map(better).collect())
        }
        Background::Busy(mixture) => {
            let colours: Vec<Lab> =
                (0..mask.labels.len()).filter(|&i| !mask.labels[i]).map(|i| canvas.colours[i]).collect();
            Background::Busy(Mixture::fit(&colours, PARTS, FLOOR).unwrap_or(mixture))
        }
    }
}
