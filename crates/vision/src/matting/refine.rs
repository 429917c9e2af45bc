//! From labels of the reduced picture to alpha at full size, exact to about a pixel.

use image::{GrayImage, Luma, RgbImage};
use rayon::prelude::*;

use super::backdrop::{Sample, Surface};
use super::lab::{Lab, lab};
use super::mask::Mask;
use super::mixture::Mixture;
use super::model::{BACKDROP_FLOOR, Background, FLOOR, PARTS, UNKNOWN, cheapest, evidence, lit, place};

/// What is known at the reduced size.
pub(crate) struct Models<'a> {
    pub(crate) background: &'a Background,
    /// Whether each reduced pixel may be a shadow.
    pub(crate) shadows: &'a [bool],
}

/// Half the width of the band along the outline that is cut again, in reduced pixels.
const BAND: usize = 2;
/// Samples a model is fitted to.
const SAMPLES: usize = 6_000;

/// The alpha of `picture`, whose reduced labels are `reduced`.
pub(crate) fn refine(picture: &RgbImage, reduced: &Mask, models: &Models) -> GrayImage {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    // Nearest reduced pixel of every column and row.
    let columns: Vec<usize> = (0..width).map(|x| (x * reduced.width + reduced.width / 2) / width).collect();
    let rows: Vec<usize> = (0..height).map(|y| (y * reduced.height + reduced.height / 2) / height).collect();
    let parent =
        |i: usize| rows[i / width].min(reduced.height - 1) * reduced.width + columns[i % width].min(reduced.width - 1);
    let mut mask = Mask::new(width, height, (0..width * height).map(|i| reduced.labels[parent(i)]).collect());

    if (width, height) != (reduced.width, reduced.height) {
        let in_band: Vec<bool> =
            (0..reduced.labels.len()).into_par_iter().map(|i| reduced.near_edge(i, BAND)).collect();
        let band: Vec<usize> = (0..width * height).filter(|&i| in_band[parent(i)]).collect();
        let labels = cut_band(picture, &mask, &band, &in_band, &parent, models);
        for (&pixel, label) in band.iter().zip(labels) {
            mask.labels[pixel] = label;
        }
        tidy(&mut mask);
    }
    soften(picture, &mask)
}

/// Cuts the band again with models that know the noise of the full size.
fn cut_band(
    picture: &RgbImage,
    mask: &Mask,
    band: &[usize],
    in_band: &[bool],
    parent: &(impl Fn(usize) -> usize + Sync),
    models: &Models,
) -> Vec<bool> {
    let (width, height) = (mask.width, mask.height);
    let sample = |i: usize| place(i, width, height, colour(picture, i));
    let step = (width * height).div_ceil(SAMPLES * 4).max(1);
    let (mut subject, mut backdrop): (Vec<Lab>, Vec<Sample>) = (Vec::new(), Vec::new());
    for i in (0..width * height).step_by(step) {
        if mask.labels[i] {
            let sample = sample(i);
            if models.background.leaves_to_subject(&sample, models.shadows[parent(i)]) {
                subject.push(sample.colour);
            }
        } else if !in_band[parent(i)] {
            backdrop.push(sample(i));
        }
    }
    let background = match models.background {
        Background::Plain(surfaces) => {
            backdrop.retain(|sample| lit(surfaces, sample) > 2.0 * UNKNOWN);
            let noisier = |surface: &Surface| {
                let own: Vec<Sample> =
                    backdrop.iter().copied().filter(|sample| surface.lit(sample) >= lit(surfaces, sample)).collect();
                surface.with_noise(&own, BACKDROP_FLOOR)
            };
            Background::Plain(surfaces.iter().map(noisier).collect())
        }
        Background::Busy(mixture) => {
            let colours: Vec<Lab> = backdrop.iter().map(|sample| sample.colour).collect();
            Background::Busy(Mixture::fit(&colours, PARTS, FLOOR).unwrap_or_else(|| mixture.clone()))
        }
    };
    let subject = Mixture::fit(&subject, PARTS, FLOOR);
    let pull: Vec<f32> = band
        .par_iter()
        .map(|&i| evidence(&background, subject.as_ref(), &sample(i), models.shadows[parent(i)]))
        .collect();
    cheapest(mask, band, &pull, |i| colour(picture, i))
}

/// Specks that only the full size shows.
fn tidy(mask: &mut Mask) {
    mask.drop_islands();
    mask.fill_holes(|_| true);
}

fn rgb(picture: &RgbImage, i: usize) -> [u8; 3] {
    let raw = picture.as_raw();
    [raw[3 * i], raw[3 * i + 1], raw[3 * i + 2]]
}

fn colour(picture: &RgbImage, i: usize) -> Lab {
    lab(rgb(picture, i))
}

/// Alpha from labels: pixels on both sides of the outline get the share of the subject's colour nearby that, with
/// the background's nearby, makes up theirs.
fn soften(picture: &RgbImage, mask: &Mask) -> GrayImage {
    let alpha: Vec<u8> = (0..mask.labels.len())
        .into_par_iter()
        .map(|i| {
            if mask.near_edge(i, 1) {
                (mixed_share(picture, mask, i) * 255.0).round() as u8
            } else if mask.labels[i] {
                255
            } else {
                0
            }
        })
        .collect();
    GrayImage::from_fn(mask.width as u32, mask.height as u32, |x, y| {
        Luma([alpha[y as usize * mask.width + x as usize]])
    })
}

/// How much of pixel `i`, which lies at the outline, is subject.
fn mixed_share(picture: &RgbImage, mask: &Mask, i: usize) -> f32 {
    /// Squared RGB distance below which the two sides are too alike to tell shares.
    const ALIKE: f32 = 24.0 * 24.0;
    const REACH: usize = 4;
    let covered = || {
        let (inside, all) = mask.around(i, 1).fold((0, 0), |(n, all), j| (n + i32::from(mask.labels[j]), all + 1));
        inside as f32 / all as f32
    };
    let mut sums = [[0.0f32; 3]; 2];
    let mut counts = [0.0f32; 2];
    for j in mask.around(i, REACH) {
        // Pixels right at the outline are mixtures themselves.
        if !mask.near_edge(j, 1) {
            let side = usize::from(mask.labels[j]);
            counts[side] += 1.0;
            for (sum, value) in sums[side].iter_mut().zip(rgb(picture, j)) {
                *sum += f32::from(value);
            }
        }
    }
    if counts[0] < 3.0 || counts[1] < 3.0 {
        return covered();
    }
    let [outside, inside] = [0, 1].map(|side| sums[side].map(|sum| sum / counts[side]));
    let (mut along, mut length) = (0.0, 0.0);
    for ((value, out), into) in rgb(picture, i).into_iter().zip(outside).zip(inside) {
        along += (f32::from(value) - out) * (into - out);
        length += (into - out) * (into - out);
    }
    if length < ALIKE {
        return covered();
    }
    let share = (along / length).clamp(0.0, 1.0);
    // The cut has seen more than this one colour: it is never overruled by more than a little.
    if mask.labels[i] { share.max(0.35) } else { share.min(0.65) }
}
