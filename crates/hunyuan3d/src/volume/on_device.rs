//! A volume's search on the device: what is asked of a level is found by kernels, points are made where they are asked, and of values only
//! the last level's leave, each with its sample's index.
//!
//! The host waits for how many samples there are to be asked, once a round (twice where they are grouped), and for whether values are finite
//! numbers, of a batch while the next one is computed; otherwise it launches.

use burn::tensor::{DType, Int, Tensor, TensorData};

use super::ask::{Choices, Part, Run, chunks_of_groups};
use super::axes::Axes;
use super::bricks::Bricks;
use super::close::{Border, filled};
use super::decode::{GROUP_STRIDE, MINI_GRID_STRIDE, MINI_GRIDS, Method};
use super::grid::Volume;
use super::refine::cells_of_groups;
use super::surface::{BAND, Known, SampleSet, band, crossed_cells};
use crate::ModelError;
use crate::device::{arrived, arrived_integers, put};
use crate::kernels::{Cells, DeviceCells, Fetch, Kernels, Ordered, SetOperation, Sides, Wanted, sets};

/// Samples along an edge up to which a search is on the device without being told to: sets of more take more memory than
/// [`crate::memory::MemoryNeed`] leaves them.
pub const WIDEST_ON_DEVICE: usize = 513;
/// Sets of the last level that there are at a time, at the most.
pub const SETS: usize = 12;
/// Queries whose points and logits are there together, about: enough that their values are put away while the next ones are computed.
const BATCH: usize = 1 << 18;

/// A set on the device.
#[derive(Clone)]
struct DeviceSet<B: Kernels>(Tensor<B, 3, Int>);

impl<B: Kernels> DeviceSet<B> {
    fn empty(samples: usize, device: &B::Device) -> Self {
        let words = sets::words(samples);
        // As one row: CubeCL puts short rows of more axes apart from each other, and kernels of ours want them in one piece.
        let row: Tensor<B, 1, Int> = Tensor::zeros([samples * samples * words], (device, DType::I32));
        Self(row.reshape([samples, samples, words]))
    }

    fn made(&self, operation: SetOperation, other: Option<&Self>, samples: usize) -> Self {
        Self(B::made_set(operation, self.0.clone(), other.map(|other| other.0.clone()), samples))
    }

    fn own(&self, operation: SetOperation, other: Option<&Self>) -> Self {
        self.made(operation, other, self.samples())
    }
}

impl<B: Kernels> SampleSet for DeviceSet<B> {
    fn samples(&self) -> usize {
        self.0.dims()[0]
    }

    fn complement(self) -> Self {
        self.own(SetOperation::Complement, None)
    }

    fn within(self, other: &Self) -> Self {
        self.own(SetOperation::Within, Some(other))
    }

    fn without(self, other: &Self) -> Self {
        self.own(SetOperation::Without, Some(other))
    }

    fn with(self, other: &Self) -> Self {
        self.own(SetOperation::With, Some(other))
    }

    fn dilated(&self, reach: usize) -> Self {
        self.own(SetOperation::Dilated(reach), None)
    }

    fn dilated_by_faces(&self) -> Self {
        self.own(SetOperation::DilatedByFaces, None)
    }

    fn doubled(&self, samples: usize) -> Self {
        self.made(SetOperation::Doubled, None, samples)
    }

    fn repeated(&self, samples: usize) -> Self {
        self.made(SetOperation::Repeated, None, samples)
    }

    fn is_seen_empty(&self) -> bool {
        false
    }
}

/// How a level's queries are grouped, whose queries look at keys of their own.
#[derive(Clone, Copy)]
enum Grouping {
    /// Not: all look at all keys.
    None,
    /// In the blocks of FlashVDM's first level.
    Blocks,
    /// In the cells of a coarse grid over the box that they fill.
    Box,
}

impl Grouping {
    /// Every how many-th query of a group chooses its keys.
    fn stride(self) -> usize {
        match self {
            Self::None => 1,
            Self::Blocks => MINI_GRID_STRIDE,
            Self::Box => GROUP_STRIDE,
        }
    }
}

/// Values of the last level on the host.
enum Values {
    /// Not yet; made when there is time.
    Begun(Box<dyn FnOnce() -> Result<Bricks, ModelError>>),
    There(Bricks),
}

/// A batch that is on its way to the host.
enum Pending {
    /// A batch of the last level: so many samples in each of these runs.
    Values { indices: Fetch, values: Fetch, runs: Vec<usize> },
    /// Whether a value was no finite number.
    Broken(Fetch),
}

/// A level that is being asked.
struct Level<B: Kernels> {
    axes: Axes,
    /// Its places' coordinates, `[3, samples]`.
    tables: Tensor<B, 2>,
    grouping: Grouping,
    part: Part,
    /// What is known of the side of samples that were asked; none: it is asked for by nobody.
    sides: Option<Sides<B>>,
    /// None: values stay on the device.
    values: Option<Values>,
    /// With what a score took the place of, which must be finite all the same.
    pending: Option<(Pending, Option<Fetch>)>,
}

impl<B: Kernels> Run<'_, '_, B> {
    /// Decodes levels of so many cells along an edge, coarse to fine.
    pub fn decode_on_device(&mut self, levels: &[usize]) -> Result<Volume, ModelError> {
        let (surface, close) = (self.options.level, self.options.close);
        let mut coarse: Option<Known<DeviceSet<B>>> = None;
        for (number, &resolution) in levels.iter().enumerate() {
            let (samples, last) = (resolution + 1, number + 1 == levels.len());
            let empty = || DeviceSet::<B>::empty(samples, &self.device);
            let coarse_inside = coarse.as_ref().map(|known| known.inside.clone());
            let first = match (coarse.take(), self.options.method) {
                (None, _) => empty().complement(),
                (Some(known), Method::NarrowBand) => crossed_cells(&known.inside, samples),
                (Some(known), _) => band(&known.near_surface(), samples, last),
            };
            // Where nothing is asked a finer level has the coarse one's side, if it is to be closed.
            let closes = coarse_inside.as_ref().filter(|_| close);
            let on_and_near = (!last).then(|| [empty().0, empty().0]);
            let sides_wanted = !last || closes.is_some();
            let begin = || -> Box<dyn FnOnce() -> Result<Bricks, ModelError>> {
                let Some(inside) = closes else { return Box::new(move || Ok(Bricks::uniform(samples, f32::NAN))) };
                let (fetch, edge) = (B::fetch_integers(inside.0.clone()), inside.samples());
                Box::new(move || Ok(filled(samples, &sets::arrived(edge, arrived_integers(fetch)?), surface)))
            };
            let values = last.then(|| Values::Begun(begin()));
            let sides = sides_wanted.then(|| Sides { inside: empty().0, on_and_near });
            let mut level = self.level(resolution, number, sides, values);
            let asked = self.ask_everything(&mut level, first, closes)?;
            self.finish(&mut level)?;
            if let Some(values) = level.values {
                return Ok(Volume { samples, bounds: self.options.bounds, values: values.made()? });
            }
            coarse = level.sides.and_then(|sides| known(sides, asked, closes));
        }
        Err(ModelError::request("a volume without levels holds nothing"))
    }

    fn level(&self, resolution: usize, number: usize, sides: Option<Sides<B>>, values: Option<Values>) -> Level<B> {
        let axes = match number {
            0 => Axes::even(self.options.bounds, resolution),
            _ => Axes::spaced(self.options.bounds, resolution),
        };
        let shape = [3, resolution + 1];
        let tables = put(TensorData::new(axes.coordinates(), shape), shape, &self.device);
        let grouping = match (self.options.method, number) {
            (Method::FlashVdm, 0) => Grouping::Blocks,
            (Method::FlashVdm, _) => Grouping::Box,
            _ => Grouping::None,
        };
        let part = Part { level: number, before: 0, all: 0 };
        Level { axes, tables, grouping, part, sides, values, pending: None }
    }

    /// Asks a level at a set, and where that stops short of the surface until it does nowhere. Returns all that was asked.
    fn ask_everything(
        &mut self,
        level: &mut Level<B>,
        first: DeviceSet<B>,
        closes: Option<&DeviceSet<B>>,
    ) -> Result<DeviceSet<B>, ModelError> {
        let mut asked = first.clone();
        let mut next = first;
        while self.ask_set(level, next)? {
            let (Some(coarse_inside), Some(sides)) = (closes, &level.sides) else { break };
            let inside = DeviceSet(sides.inside.clone());
            next = Border::of(&asked, coarse_inside).open_ends(&inside, &asked);
            asked = asked.with(&next);
        }
        Ok(asked)
    }

    /// Asks a level at the samples of a set; false where there are none.
    fn ask_set(&mut self, level: &mut Level<B>, set: DeviceSet<B>) -> Result<bool, ModelError> {
        let samples = set.samples();
        let cells = match level.grouping {
            Grouping::None => Cells::one(samples),
            Grouping::Blocks => Cells::of(samples, MINI_GRIDS, |_, place| place / (samples / MINI_GRIDS)),
            Grouping::Box => {
                let bounds = B::fetch_integers(B::bounds_of_set(set.0.clone()));
                // While the device comes that far.
                self.finish(level)?;
                let bounds = arrived_integers(bounds)?;
                let corner = |at: usize| [0, 1, 2].map(|axis| bounds.get(at + axis).copied().unwrap_or_default());
                if corner(3)[0] == u32::MAX {
                    return Ok(false);
                }
                cells_of_groups(&level.axes, corner(0), corner(3))
            }
        };
        let ordered = B::ordered_set(set.0, DeviceCells::new(cells, &self.device));
        let starts = B::fetch_integers(ordered.starts.clone());
        self.finish(level)?;
        let starts: Vec<usize> = arrived_integers(starts)?.into_iter().map(|start| start as usize).collect();
        let count = starts.last().copied().unwrap_or_default();
        if count == 0 {
            return Ok(false);
        }
        level.part.all = level.part.before + count;
        self.ask_ordered(level, &ordered, &starts)?;
        level.part.before += count;
        Ok(true)
    }

    /// Asks at an ordered set, batch by batch. One is put away while the device computes the next.
    fn ask_ordered(&mut self, level: &mut Level<B>, ordered: &Ordered<B>, starts: &[usize]) -> Result<(), ModelError> {
        let sizes: Vec<usize> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mut choices = self.choices(level, ordered, starts, &sizes);
        let chunks = chunks_of_groups(&sizes, self.options.chunk);
        let of_chunk = |chunk: &[(usize, usize)]| -> usize { chunk.iter().map(|(_, queries)| queries).sum() };
        let mut together = 0;
        let batches = chunks.chunk_by(|chunk, next| {
            together += of_chunk(chunk);
            let more = together + of_chunk(next) <= BATCH;
            together = if more { together } else { 0 };
            more
        });
        let mut begin = 0;
        for batch in batches {
            let count = batch.iter().map(|chunk| of_chunk(chunk)).sum();
            let wanted = Wanted { begin, end: begin + count, stride: 1, to: starts, count };
            let indices = B::indices_of_set(ordered, wanted);
            let points = B::points_of_samples(indices.clone(), level.tables.clone());
            let (mut logits, mut at) = (Vec::new(), 0);
            for chunk in batch {
                let queries = of_chunk(chunk);
                let own = points.clone().narrow(1, at, queries);
                logits.push(self.logits(own, chunk, choices.as_mut()));
                at += queries;
                let Part { level, before, all } = level.part;
                self.tell(level, before + begin + at, all)?;
            }
            let mut logits = Tensor::cat(logits, 0);
            let mut replaced = None;
            if let Some(score) = self.options.score {
                replaced = Some(B::fetch(logits));
                logits = score.on_device::<B>(points)?;
            }
            let mut broken = None;
            if let Some(sides) = level.sides.take() {
                let (sides, of_batch) = B::sided(sides, indices.clone(), logits.clone(), self.options.level, BAND);
                (level.sides, broken) = (Some(sides), Some(of_batch));
            }
            let pending = if level.values.is_some() {
                let runs = runs(&sizes, begin, count);
                Some(Pending::Values { indices: B::fetch_integers(indices), values: B::fetch(logits), runs })
            } else {
                broken.map(|broken| Pending::Broken(B::fetch_integers(broken)))
            };
            let pending = pending.map(|pending| (pending, replaced));
            let before = std::mem::replace(&mut level.pending, pending);
            self.put_away(level, before)?;
            begin += count;
        }
        Ok(())
    }

    /// The queries that choose each group's keys, where they do.
    fn choices(&self, level: &Level<B>, ordered: &Ordered<B>, starts: &[usize], sizes: &[usize]) -> Option<Choices<B>> {
        if matches!(level.grouping, Grouping::None) {
            return None;
        }
        let stride = level.grouping.stride();
        let mut to = vec![0];
        sizes.iter().for_each(|size| to.push(to[to.len() - 1] + size.div_ceil(stride)));
        let (end, count) = (starts[sizes.len()], to[sizes.len()]);
        let choosing = B::indices_of_set(ordered, Wanted { begin: 0, end, stride, to: &to, count });
        let choosing = B::points_of_samples(choosing, level.tables.clone());
        Some(Choices::new(choosing, sizes, stride))
    }

    /// Puts away what is still on its way.
    fn finish(&self, level: &mut Level<B>) -> Result<(), ModelError> {
        match level.pending.take() {
            Some(pending) => self.put_away(level, Some(pending)),
            // What values are put over has time until the device computes.
            None => Ok(()),
        }
    }

    fn put_away(&self, level: &mut Level<B>, pending: Option<(Pending, Option<Fetch>)>) -> Result<(), ModelError> {
        // What values are put over is made while the device computes the first of them.
        if let Some(values) = level.values.take() {
            level.values = Some(Values::There(values.made()?));
        }
        let (pending, replaced) = pending.unzip();
        if let Some(replaced) = replaced.flatten() {
            arrived(replaced)?;
        }
        match (pending, &mut level.values) {
            (Some(Pending::Values { indices, values, runs }), Some(Values::There(bricks))) => {
                let (indices, values) = (arrived_integers(indices)?, arrived(values)?);
                bricks.set(&level.axes, &indices, &runs, &values);
                Ok(())
            }
            (Some(Pending::Broken(broken)), _) => match arrived_integers(broken)?.first() {
                Some(0) => Ok(()),
                _ => Err(ModelError::not_finite()),
            },
            _ => Ok(()),
        }
    }
}

impl Values {
    fn made(self) -> Result<Bricks, ModelError> {
        match self {
            Self::Begun(make) => make(),
            Self::There(bricks) => Ok(bricks),
        }
    }
}

/// Of groups of such sizes behind one another, how many of each lie in a range.
fn runs(sizes: &[usize], begin: usize, count: usize) -> Vec<usize> {
    let mut before = 0;
    let own = sizes.iter().map(|size| {
        let (low, high) = (before.max(begin), (before + size).min(begin + count));
        before += size;
        high.saturating_sub(low)
    });
    own.filter(|own| *own > 0).collect()
}

/// What a level says to the next finer one.
fn known<B: Kernels>(
    sides: Sides<B>,
    asked: DeviceSet<B>,
    coarse_inside: Option<&DeviceSet<B>>,
) -> Option<Known<DeviceSet<B>>> {
    let [on, near] = sides.on_and_near?.map(DeviceSet);
    let inside = DeviceSet(sides.inside);
    Some(match coarse_inside {
        Some(coarse) => {
            let unasked = coarse.repeated(asked.samples()).without(&asked);
            Known { inside: inside.with(&unasked), on, near, asked: None }
        }
        None => Known { inside, on, near, asked: Some(asked) },
    })
}
