//! The costs of calling a pixel subject or background, and the cut that is cheapest.

use rayon::prelude::*;

use super::backdrop::{Sample, Surface};
use super::lab::{Lab, distance2};
use super::mask::Mask;
use super::maxflow::CutGraph;
use super::mixture::Mixture;

/// ln of the density of a colour about which nothing is known: one over the volume of Lab that pictures use.
pub(crate) const UNKNOWN: f32 = -15.0;
/// A single pixel's evidence never counts for more, in nats: models are wrong more often than e^-14.
const STRONGEST: f32 = 14.0;
/// Cost of an edge between two pixels of equal colour, in nats.
const SMOOTHNESS: f32 = 7.0;
/// Least squared colour difference that counts as contrast: below it is noise.
const LEAST_CONTRAST: f32 = 12.0;
/// Parts of a colour mixture.
pub(crate) const PARTS: usize = 6;
/// Least variance of a mixture's parts.
pub(crate) const FLOOR: f32 = 3.0;
/// Least variance of the backdrop's residuals.
pub(crate) const BACKDROP_FLOOR: f32 = 1.5;

/// A Lab picture.
pub(crate) struct Canvas {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) colours: Vec<Lab>,
}

impl Canvas {
    /// Pixel `index` with its place.
    pub(crate) fn sample(&self, index: usize) -> Sample {
        place(index, self.width, self.height, self.colours[index])
    }

    /// How many pixels deep the border is that shows the background.
    pub(crate) fn margin(&self) -> usize {
        (self.width.min(self.height) / 32).max(2)
    }

    /// Whether the pixel lies within `margin` of the border.
    pub(crate) fn in_border(&self, index: usize, margin: usize) -> bool {
        let (x, y) = (index % self.width, index / self.width);
        x < margin || y < margin || x + margin >= self.width || y + margin >= self.height
    }
}

/// The sample of pixel `index` of a raster of `width` × `height`.
pub(crate) fn place(index: usize, width: usize, height: usize, colour: Lab) -> Sample {
    let (x, y) = (index % width, index / width);
    Sample { x: (2 * x + 1) as f32 / width as f32 - 1.0, y: (2 * y + 1) as f32 / height as f32 - 1.0, colour }
}

/// What the background looks like.
#[derive(Clone, Debug)]
pub(crate) enum Background {
    /// One smooth backdrop, or two that meet, such as a table and a wall.
    Plain(Vec<Surface>),
    /// Anything else: the colours of the border.
    Busy(Mixture),
}

/// What the border says of the background; `deep` is how unlikely deep shadows are, as in [`Surface`].
pub(crate) fn background_of_border(canvas: &Canvas, deep: f32) -> Option<Background> {
    let border: Vec<usize> = (0..canvas.colours.len()).filter(|&i| canvas.in_border(i, canvas.margin())).collect();
    let samples: Vec<Sample> = border.iter().map(|&i| canvas.sample(i)).collect();
    let surface = Surface::fit(&samples, BACKDROP_FLOOR, deep)?;
    if surface.explained > 0.45 && surface.spread < 10.0 {
        let rest: Vec<Sample> = samples.iter().copied().filter(|sample| surface.lit(sample) < UNKNOWN).collect();
        let on = |test: &dyn Fn(&&Sample) -> bool| rest.iter().filter(test).count() * 16 > samples.len();
        // A subject may leave the picture on one side; what leaves it left and right is a second backdrop.
        if !(on(&|sample| sample.x < -0.9) && on(&|sample| sample.x > 0.9)) {
            return Some(Background::Plain(vec![surface]));
        }
        if let Some(second) = Surface::fit(&rest, BACKDROP_FLOOR, deep)
            && second.explained > 0.6
            && second.spread < 10.0
        {
            return Some(Background::Plain(vec![surface, second]));
        }
    }
    let colours: Vec<Lab> = samples.iter().map(|sample| sample.colour).collect();
    Mixture::fit(&colours, PARTS, FLOOR).map(Background::Busy)
}

impl Background {
    /// ln of the density of `sample` as background.
    pub(crate) fn log_density(&self, sample: &Sample, may_be_shadow: bool) -> f32 {
        match self {
            Self::Plain(surfaces) => {
                let lit = lit(surfaces, sample);
                if may_be_shadow { lit.max(shaded(surfaces, sample).1) } else { lit }
            }
            Self::Busy(mixture) => mixture.log_density(sample.colour),
        }
    }

    /// Whether `sample` tells something of the subject's colours: what may as well be shadow does not.
    pub(crate) fn leaves_to_subject(&self, sample: &Sample, may_be_shadow: bool) -> bool {
        match self {
            Self::Plain(surfaces) => !may_be_shadow || shaded(surfaces, sample).1 < UNKNOWN,
            Self::Busy(_) => true,
        }
    }
}

/// ln of the density of `sample` under the surface that explains it best.
pub(crate) fn lit(surfaces: &[Surface], sample: &Sample) -> f32 {
    surfaces.iter().map(|surface| surface.lit(sample)).fold(f32::MIN, f32::max)
}

/// As [`Surface::shaded`], of the surface that explains `sample` best.
pub(crate) fn shaded(surfaces: &[Surface], sample: &Sample) -> (f32, f32) {
    surfaces
        .iter()
        .map(|surface| surface.shaded(sample))
        .fold((0.0, f32::MIN), |best, next| if next.1 > best.1 { next } else { best })
}

/// Evidence that `sample` is subject, in nats, from its colour alone.
pub(crate) fn evidence(
    background: &Background,
    subject: Option<&Mixture>,
    sample: &Sample,
    may_be_shadow: bool,
) -> f32 {
    // One part in twelve of the subject may have any colour.
    let known = subject.map_or(f32::MIN, |mixture| mixture.log_density(sample.colour));
    let as_subject = known.max(UNKNOWN - 2.5);
    (as_subject - background.log_density(sample, may_be_shadow)).clamp(-STRONGEST, STRONGEST)
}

/// The cheapest labels for the pixels in `nodes` of a grid of `width`, where `evidence` (in nats, positive for
/// subject, one a node) pulls at each pixel, neighbours of like colour hold together, and pixels outside `nodes` keep
/// the labels of `mask`.
pub(crate) fn cheapest(
    mask: &Mask,
    nodes: &[usize],
    evidence: &[f32],
    colour: impl Fn(usize) -> Lab + Sync,
) -> Vec<bool> {
    const FREE: u32 = u32::MAX;
    let (width, height) = (mask.width, mask.height);
    let mut node_of = vec![FREE; mask.labels.len()];
    for (node, &pixel) in nodes.iter().enumerate() {
        node_of[pixel] = node as u32;
    }
    // Each pair once: right, down left, down, down right.
    let steps: [(isize, usize, f32); 4] =
        [(1, 0, 1.0), (-1, 1, std::f32::consts::FRAC_1_SQRT_2), (0, 1, 1.0), (1, 1, std::f32::consts::FRAC_1_SQRT_2)];
    let pairs: Vec<(usize, usize, f32, f32)> = if nodes.len() == mask.labels.len() {
        pairs_of(nodes.par_iter().copied(), &steps, width, height, &colour)
    } else {
        // Pairs that reach into the band from outside start at pixels that are no nodes.
        let mut starts: Vec<usize> = nodes.iter().flat_map(|&pixel| mask.around(pixel, 1)).collect();
        starts.sort_unstable();
        starts.dedup();
        pairs_of(starts.into_par_iter(), &steps, width, height, &colour)
    };
    let mean = pairs.iter().map(|&(_, _, _, d)| f64::from(d)).sum::<f64>() / pairs.len().max(1) as f64;
    let scale = 1.0 / (2.0 * (mean as f32).max(LEAST_CONTRAST));

    let mut graph = CutGraph::new(nodes.len(), pairs.len());
    for (node, &nats) in evidence.iter().enumerate() {
        graph.add_terminal(node, nats.max(0.0), (-nats).max(0.0));
    }
    for (a, b, nearness, difference) in pairs {
        let capacity = SMOOTHNESS * nearness * (-difference * scale).exp();
        match (node_of[a], node_of[b]) {
            (FREE, FREE) => {}
            (FREE, node) => hold(&mut graph, node, mask.labels[a], capacity),
            (node, FREE) => hold(&mut graph, node, mask.labels[b], capacity),
            (p, q) => graph.add_edge(p as usize, q as usize, capacity),
        }
    }
    graph.solve()
}

/// An edge to a pixel whose label is fixed.
fn hold(graph: &mut CutGraph, node: u32, label: bool, capacity: f32) {
    let (source, sink) = if label { (capacity, 0.0) } else { (0.0, capacity) };
    graph.add_terminal(node as usize, source, sink);
}

/// Neighbouring pixels `(a, b, 1 / distance, squared colour difference)`.
fn pairs_of(
    starts: impl ParallelIterator<Item = usize>,
    steps: &[(isize, usize, f32); 4],
    width: usize,
    height: usize,
    colour: &(impl Fn(usize) -> Lab + Sync),
) -> Vec<(usize, usize, f32, f32)> {
    starts
        .flat_map_iter(|a| {
            let (x, y) = (a % width, a / width);
            let own = colour(a);
            steps.iter().filter_map(move |&(right, down, nearness)| {
                let column = x.checked_add_signed(right).filter(|&column| column < width)?;
                let row = Some(y + down).filter(|&row| row < height)?;
                let b = row * width + column;
                Some((a, b, nearness, distance2(own, colour(b))))
            })
        })
        .collect()
}
