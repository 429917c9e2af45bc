//! The ways to decode a volume.

use std::ops::ControlFlow;

use burn::tensor::Tensor;
use serde::Deserialize;

use super::ask::{Batch, Part, Run};
use super::axes::Axes;
use super::bricks::Bricks;
use super::close::{Border, filled};
use super::grid::Volume;
use super::on_device::WIDEST_ON_DEVICE;
use super::refine::Groups;
use super::score::Score;
use super::surface::{Known, band, crossed_cells};
use crate::ModelError;
use crate::kernels::Kernels;
use crate::vae::GeometryDecoder;

/// Below this many cells along an edge nothing is refined.
const MIN_RESOLUTION: usize = 63;
/// FlashVDM's first level is cut into this many blocks along an edge, each with keys of its own.
pub(super) const MINI_GRIDS: usize = 4;
/// Of a block's queries every so many choose its keys.
pub(super) const MINI_GRID_STRIDE: usize = 100;
/// The same for a group of the finer levels.
pub(super) const GROUP_STRIDE: usize = 50;
/// Queries whose points and logits come over together.
const AT_ONCE: usize = 1 << 20;

/// How a volume is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Every sample.
    Dense,
    /// Coarse to fine along the surface.
    #[default]
    Hierarchical,
    /// The same, with adaptive key selection.
    FlashVdm,
    /// Coarse to fine, asking only in cells that the surface passes through and, from there, wherever it leads. A piece that
    /// the coarse level does not see at all stays unseen a little more often.
    NarrowBand,
}

/// Where it is found out what to ask of a finer level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchOn {
    /// On the host: points cross over to the device, and all values back.
    Host,
    /// On the device, where values then stay but for the last level's.
    Device,
}

/// What is asked of a decoder.
#[derive(Clone, Copy, Debug)]
pub struct VolumeOptions {
    /// How.
    pub method: Method,
    /// Cells along an edge. FlashVDM rounds it to what its blocks divide.
    pub resolution: usize,
    /// The corners of the box, `[x, y, z]`; the reference's `box_v` of 1.01 is a cube around the origin.
    pub bounds: [[f32; 3]; 2],
    /// The logit at the surface (`mc_level`).
    pub level: f32,
    /// Queries at a time (`num_chunks`).
    pub chunk: usize,
    /// Whether refinement goes on until the surface is closed, where a level's band misses a part of it, and samples
    /// that were not asked get a side. The reference stops after the band and leaves NaN.
    pub close: bool,
    /// What takes the network's place in what is refined and returned, if something does.
    pub score: Option<Score>,
    /// Where the search is; none: where it is faster, as long as there is room.
    pub search: Option<SearchOn>,
}

impl VolumeOptions {
    /// The reference's box, level and chunk.
    #[must_use]
    pub fn new(method: Method, resolution: usize) -> Self {
        let bounds = [[-1.01; 3], [1.01; 3]];
        Self { method, resolution, bounds, level: 0.0, chunk: 8000, close: true, score: None, search: None }
    }
}

/// Told after each chunk: level, levels, queries done, queries of this level. Breaks to cancel.
pub type VolumeWatch<'a> = dyn FnMut(usize, usize, usize, usize) -> ControlFlow<()> + 'a;

/// Decodes a volume.
///
/// # Shapes
/// tokens as [`crate::vae::ShapeVae::tokens`] gives them, `[1, num_latents, width]`.
///
/// # Errors
/// [`crate::ModelErrorKind::Cancelled`] where the watch breaks, `Request` for options out of range, `Compute` where the
/// device fails.
pub fn decode<B: Kernels>(
    geometry: &GeometryDecoder<B>,
    tokens: Tensor<B, 3>,
    options: &VolumeOptions,
    watch: &mut VolumeWatch<'_>,
) -> Result<Volume, ModelError> {
    if options.resolution < 4 || options.resolution > 1024 {
        return Err(ModelError::request(format!("a resolution of {} is not from 4 to 1024", options.resolution)));
    }
    let [low, high] = options.bounds;
    if (0..3).any(|axis| !(low[axis].is_finite() && high[axis].is_finite() && low[axis] < high[axis])) {
        return Err(ModelError::request(format!("a box from {low:?} to {high:?} holds nothing")));
    }
    if !options.level.is_finite() {
        return Err(ModelError::request(format!("a level of {} is no finite number", options.level)));
    }
    if options.chunk == 0 {
        return Err(ModelError::request("a chunk of 0 queries at a time never comes to an end"));
    }
    let device = tokens.device();
    let keys = geometry.keys(tokens);
    let levels = levels(options);
    let mut run = Run { geometry, keys: &keys, device, options, levels: levels.len(), watch };
    let fits = levels.last().is_some_and(|resolution| *resolution < WIDEST_ON_DEVICE);
    let search = options.search.unwrap_or(match B::keeps_sets(&run.device) && fits {
        true => SearchOn::Device,
        false => SearchOn::Host,
    });
    if search == SearchOn::Device {
        return run.decode_on_device(&levels);
    }
    let mut volume = match options.method {
        Method::FlashVdm => run.first_level_in_blocks(levels[0])?,
        Method::Dense | Method::Hierarchical | Method::NarrowBand => run.first_level(levels[0])?,
    };
    for (index, &resolution) in levels.iter().enumerate().skip(1) {
        volume = run.refine(&volume, resolution, index, index + 1 == levels.len())?;
    }
    Ok(volume)
}

/// Cells along an edge at each level, coarse to fine.
fn levels(options: &VolumeOptions) -> Vec<usize> {
    if options.method == Method::Dense {
        return vec![options.resolution];
    }
    let halvings = std::iter::successors(Some(options.resolution), |resolution| Some(resolution / 2));
    let mut levels: Vec<_> = halvings.take_while(|resolution| *resolution >= MIN_RESOLUTION).collect();
    if levels.is_empty() {
        levels.push(options.resolution);
    }
    levels.reverse();
    if options.method == Method::FlashVdm {
        // Python rounds halves to even; so does this.
        let blocks = (levels[0] as f64 / MINI_GRIDS as f64).round_ties_even() as usize;
        let first = blocks.max(1) * MINI_GRIDS - 1;
        for (index, level) in levels.iter_mut().enumerate() {
            *level = first << index;
        }
    }
    levels
}

impl<B: Kernels> Run<'_, '_, B> {
    fn first_level(&mut self, resolution: usize) -> Result<Volume, ModelError> {
        let axes = Axes::even(self.options.bounds, resolution);
        let samples = resolution + 1;
        let count = samples * samples * samples;
        let batches = (0..count).step_by(AT_ONCE).map(|before| Batch {
            indices: (before as u32..(before + AT_ONCE).min(count) as u32).collect(),
            groups: Vec::new(),
        });
        let part = Part { level: 0, before: 0, all: count };
        let values = self.ask(batches, &axes, 1, part, || Bricks::uniform(samples, f32::NAN))?;
        Ok(Volume { samples, bounds: self.options.bounds, values })
    }

    fn first_level_in_blocks(&mut self, resolution: usize) -> Result<Volume, ModelError> {
        let axes = Axes::even(self.options.bounds, resolution);
        let samples = resolution + 1;
        let edge = samples / MINI_GRIDS;
        let count = samples * samples * samples;
        let blocks = MINI_GRIDS * MINI_GRIDS * MINI_GRIDS;
        let of_block = |block| {
            let origin = [block / (MINI_GRIDS * MINI_GRIDS), block / MINI_GRIDS % MINI_GRIDS, block % MINI_GRIDS]
                .map(|b| b * edge);
            (0..edge * edge * edge).map(move |i| {
                let at = [origin[0] + i / (edge * edge), origin[1] + i / edge % edge, origin[2] + i % edge];
                ((at[0] * samples + at[1]) * samples + at[2]) as u32
            })
        };
        let batch =
            Batch { indices: (0..blocks).flat_map(of_block).collect(), groups: vec![edge * edge * edge; blocks] };
        let part = Part { level: 0, before: 0, all: count };
        let values = self.ask([batch], &axes, MINI_GRID_STRIDE, part, || Bricks::uniform(samples, f32::NAN))?;
        Ok(Volume { samples, bounds: self.options.bounds, values })
    }

    fn refine(&mut self, coarse: &Volume, resolution: usize, level: usize, last: bool) -> Result<Volume, ModelError> {
        let samples = resolution + 1;
        let axes = Axes::spaced(self.options.bounds, resolution);
        let (surface, close) = (self.options.level, self.options.close);
        let coarse_inside = coarse.values.mask(|value| value >= surface);
        let mut ask = match self.options.method {
            Method::NarrowBand => crossed_cells(&coarse_inside, samples),
            _ => band(&Known::of(&coarse.values, coarse_inside.clone(), surface).near_surface(), samples, last),
        };
        let mut indices = ask.indices();
        let mut part = Part { level, before: 0, all: indices.len() };
        let mut border = None;
        // The coarse level's side first, and what is asked over it.
        let begin = || {
            border = close.then(|| Border::of(&ask, &coarse_inside));
            if close { filled(samples, &coarse_inside, surface) } else { Bricks::uniform(samples, f32::NAN) }
        };
        let mut values = self.ask_level(&indices, &axes, part, begin)?;
        while let Some(own) = border.take() {
            let more = own.open_ends(&values.mask(|value| value >= surface), &ask);
            part.before += indices.len();
            indices = more.indices();
            if indices.is_empty() {
                break;
            }
            part.all = part.before + indices.len();
            ask = ask.with(&more);
            let begin = || {
                border = Some(Border::of(&ask, &coarse_inside));
                values
            };
            values = self.ask_level(&indices, &axes, part, begin)?;
        }
        Ok(Volume { samples, bounds: self.options.bounds, values })
    }

    /// Asks at samples of a finer level.
    fn ask_level(
        &mut self,
        indices: &[u32],
        axes: &Axes,
        part: Part,
        begin: impl FnOnce() -> Bricks,
    ) -> Result<Bricks, ModelError> {
        if self.options.method == Method::FlashVdm {
            let groups = Groups::of(indices, axes);
            return self.ask(groups.batches(AT_ONCE), axes, GROUP_STRIDE, part, begin);
        }
        let batches = indices.chunks(AT_ONCE).map(|batch| Batch { indices: batch.to_vec(), groups: Vec::new() });
        self.ask(batches, axes, 1, part, begin)
    }
}
