//! What cutting out does to a picture: frayed, eaten or haloed edges, holes, what is left of a shadow.

use image::{Rgba, RgbaImage};

use crate::random::Rng;

/// How badly a picture was cut out.
#[derive(Clone, Debug, Default)]
pub struct Flaws {
    /// Pixels that the outline is moved outwards (inwards where negative), for a picture of 224.
    grow: i32,
    /// Times the alpha is blurred.
    blur: usize,
    /// The backdrop's colour that shines through at the edge, and how much.
    halo: Option<([u8; 3], f32)>,
    /// Holes and leftovers: middle and half-axes in shares of the side, and the alpha there.
    patches: Vec<([f32; 4], u8)>,
    /// Standard deviation of the sensor's noise, in steps of a byte.
    noise: f32,
    seed: u64,
}

impl Flaws {
    /// None for about half the pictures.
    #[must_use]
    pub fn random(r: &mut Rng) -> Self {
        let noise = if r.chance(0.4) { r.range(0.0, 6.0) } else { 0.0 };
        let mut flaws = Self { noise, seed: r.next(), ..Self::default() };
        if r.chance(0.45) {
            return flaws;
        }
        flaws.grow = r.pick(&[-2, -1, -1, 0, 0, 1, 1, 2]);
        flaws.blur = r.int(0, 2);
        if r.chance(0.35) {
            let grey = r.range(90.0, 255.0);
            let mut channel = || (grey + r.range(-25.0, 25.0)).clamp(0.0, 255.0) as u8;
            flaws.halo = Some(([channel(), channel(), channel()], 0.7));
        }
        if r.chance(0.12) {
            for _ in 0..r.int(1, 2) {
                flaws
                    .patches
                    .push(([r.range(0.25, 0.75), r.range(0.25, 0.75), r.range(0.01, 0.035), r.range(0.01, 0.035)], 0));
            }
        }
        if r.chance(0.08) {
            flaws
                .patches
                .push(([r.range(0.35, 0.65), 0.955, r.range(0.1, 0.3), r.range(0.01, 0.025)], r.pick(&[60, 120, 200])));
        }
        flaws
    }

    /// Does it to a picture.
    #[must_use]
    pub fn apply(&self, mut image: RgbaImage) -> RgbaImage {
        let side = image.width();
        let steps = (self.grow.unsigned_abs() as f32 * side as f32 / 224.0).round() as u32;
        for _ in 0..steps {
            image = neighbourhood(&image, |own, around| {
                let alphas = around.iter().map(|pixel| pixel.0[3]);
                if self.grow < 0 {
                    Rgba([own.0[0], own.0[1], own.0[2], alphas.min().unwrap_or(0).min(own.0[3])])
                } else {
                    let best = around.iter().max_by_key(|pixel| pixel.0[3]).copied().unwrap_or(own);
                    if best.0[3] > own.0[3] { best } else { own }
                }
            });
        }
        for _ in 0..self.blur {
            image = neighbourhood(&image, |own, around| {
                let sum: u32 = around.iter().map(|pixel| u32::from(pixel.0[3])).sum();
                let alpha = ((2 * u32::from(own.0[3]) + sum) / 6) as u8;
                let from = if own.0[3] == 0 {
                    around.iter().max_by_key(|pixel| pixel.0[3]).copied().unwrap_or(own)
                } else {
                    own
                };
                Rgba([from.0[0], from.0[1], from.0[2], alpha])
            });
        }
        for &([x, y, rx, ry], alpha) in &self.patches {
            for (px, py, pixel) in image.enumerate_pixels_mut() {
                let (dx, dy) = ((px as f32 / side as f32 - x) / rx, (py as f32 / side as f32 - y) / ry);
                if dx * dx + dy * dy < 1.0 {
                    if alpha == 0 {
                        pixel.0[3] = 0;
                    } else if pixel.0[3] < alpha {
                        *pixel = Rgba([60, 60, 62, alpha]);
                    }
                }
            }
        }
        if let Some((colour, share)) = self.halo {
            for pixel in image.pixels_mut().filter(|pixel| pixel.0[3] > 0 && pixel.0[3] < 250) {
                let mix = share * (1.0 - f32::from(pixel.0[3]) / 255.0) + 0.1;
                for (channel, other) in pixel.0.iter_mut().zip(colour) {
                    *channel = (f32::from(*channel) * (1.0 - mix) + f32::from(other) * mix) as u8;
                }
            }
        }
        if self.noise > 0.3 {
            let mut r = Rng::new("noise", &[self.seed]);
            for pixel in image.pixels_mut().filter(|pixel| pixel.0[3] > 0) {
                for channel in &mut pixel.0[..3] {
                    // Two uniform numbers are normal enough here.
                    let n = (r.unit() + r.unit() - 1.0) * 2.4 * self.noise;
                    *channel = (f32::from(*channel) + n).clamp(0.0, 255.0) as u8;
                }
            }
        }
        image
    }
}

/// A picture in which each pixel is made of the old one and its four neighbours.
fn neighbourhood(image: &RgbaImage, make: impl Fn(Rgba<u8>, [Rgba<u8>; 4]) -> Rgba<u8>) -> RgbaImage {
    let nothing = Rgba([0; 4]);
    let (width, height) = image.dimensions();
    RgbaImage::from_fn(width, height, |x, y| {
        let at = |x: Option<u32>, y: Option<u32>| match (x, y) {
            (Some(x), Some(y)) if x < width && y < height => *image.get_pixel(x, y),
            _ => nothing,
        };
        let around = [
            at(x.checked_sub(1), Some(y)),
            at(Some(x + 1), Some(y)),
            at(Some(x), y.checked_sub(1)),
            at(Some(x), Some(y + 1)),
        ];
        make(*image.get_pixel(x, y), around)
    })
}
