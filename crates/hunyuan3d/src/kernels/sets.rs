//! Sets of a grid's samples on a device, so that a search near the surface need not leave it.
//!
//! A set is a tensor of integers, `[samples, samples, words]`, 32 samples along z in each. Every function has a body that does the work on
//! the host by [`Mask`], which is the definition of right and no faster than the host alone.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Int, Shape, Tensor, TensorData};

use super::Mask;

/// Words of a row of samples.
#[must_use]
pub fn words(samples: usize) -> usize {
    2 * samples.div_ceil(64)
}

/// What is made of one or two sets. In the order that the CUDA source has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOperation {
    /// [`Mask::complement`].
    Complement,
    /// [`Mask::within`].
    Within,
    /// [`Mask::without`].
    Without,
    /// [`Mask::with`].
    With,
    /// [`Mask::dilated`], so far.
    Dilated(usize),
    /// [`Mask::dilated_by_faces`].
    DilatedByFaces,
    /// [`Mask::doubled`].
    Doubled,
    /// [`Mask::repeated`].
    Repeated,
}

/// Sets of samples by their values.
#[derive(Debug)]
pub struct Sides<B: Backend> {
    /// Where the value is the level or more.
    pub inside: Tensor<B, 3, Int>,
    /// Where it is the level, and where it is near to it; none: nobody wants to know.
    pub on_and_near: Option<[Tensor<B, 3, Int>; 2]>,
}

/// A grid cut into cells, in whose order samples come: cell by cell, x slowest, and so within each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cells {
    samples: usize,
    /// Cells along an axis.
    along: usize,
    /// The first place of each cell along x, y and z, and the first that is in none.
    first: [Vec<usize>; 3],
}

impl Cells {
    /// A grid that is not cut.
    #[must_use]
    pub fn one(samples: usize) -> Self {
        Self::of(samples, 1, |_, _| 0)
    }

    /// By the cell that each place along an axis lies in; it must not fall.
    pub fn of(samples: usize, along: usize, cell: impl Fn(usize, usize) -> usize) -> Self {
        let first = |axis| {
            let places: Vec<usize> = (0..samples).map(|place| cell(axis, place)).collect();
            (0..=along).map(|cell| places.partition_point(|own| *own < cell)).collect()
        };
        Self { samples, along, first: [0, 1, 2].map(first) }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.along.pow(3)
    }

    /// The cell that a place along an axis lies in.
    fn cell(&self, axis: usize, place: usize) -> usize {
        self.first[axis].partition_point(|first| *first <= place) - 1
    }

    /// The cell of a sample.
    fn of_index(&self, index: u32) -> usize {
        let (n, index) = (self.samples, index as usize);
        let place = [index / (n * n), index / n % n, index % n];
        (0..3).fold(0, |cell, axis| cell * self.along + self.cell(axis, place[axis]))
    }

    /// A set's indices in the cells' order, cell by cell.
    fn sorted(&self, set: &Mask) -> Vec<Vec<u32>> {
        let mut sorted = vec![Vec::new(); self.count()];
        set.indices().into_iter().for_each(|index| sorted[self.of_index(index)].push(index));
        sorted
    }

    /// What kernels are told: the cell of each place, each cell's first place, the first row's piece of each cell.
    fn table(&self) -> Vec<i32> {
        let (n, along) = (self.samples, self.along);
        let cell_of = (0..3).flat_map(|axis| (0..n).map(move |place| self.cell(axis, place)));
        let first = self.first.iter().flatten().copied();
        let rows = |cell: usize| {
            let extent = |axis: usize, cell: usize| self.first[axis][cell + 1] - self.first[axis][cell];
            extent(0, cell / (along * along)) * extent(1, cell / along % along)
        };
        let mut pieces = vec![0];
        (0..self.count()).for_each(|cell| pieces.push(pieces[cell] + rows(cell)));
        cell_of.chain(first).chain(pieces).map(|number| number as i32).collect()
    }
}

/// [`Cells`] on a device.
#[derive(Clone, Debug)]
pub struct DeviceCells<B: Backend> {
    /// The same on the host.
    pub on_host: Cells,
    /// Cells along an axis.
    pub along: usize,
    /// [`Cells::table`].
    pub table: Tensor<B, 1, Int>,
}

impl<B: Backend> DeviceCells<B> {
    /// Puts them there.
    #[must_use]
    pub fn new(on_host: Cells, device: &B::Device) -> Self {
        let table = integers(on_host.table(), device);
        Self { along: on_host.along, on_host, table }
    }
}

/// A set's samples in the order of cells.
#[derive(Clone, Debug)]
pub struct Ordered<B: Backend> {
    /// The set.
    pub set: Tensor<B, 3, Int>,
    /// The order.
    pub cells: DeviceCells<B>,
    /// How many samples come before those of each row's piece, and how many there are; empty where the host sorts.
    pub places: Tensor<B, 1, Int>,
    /// `[cells + 1]`: how many come before those of each cell, and how many there are.
    pub starts: Tensor<B, 1, Int>,
}

/// Samples of an ordered set, by their numbers in it.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The first.
    pub begin: usize,
    /// The one behind the last.
    pub end: usize,
    /// Of each cell every so many, from its first on.
    pub stride: usize,
    /// Where, of all samples that are taken so, those of each cell begin.
    pub to: &'a [usize],
    /// How many there are.
    pub count: usize,
}

/// Values on their way to the host: waits for them, and, where the backend can, for nothing that was asked of the device after them. Fails with
/// the device's words.
pub type Fetch = Box<dyn FnOnce() -> Result<TensorData, String> + Send>;

/// A backend with what a search near the surface does on it.
pub trait SetKernels: Backend {
    /// Whether sets of samples are worth keeping on the device: it has kernels for them.
    fn keeps_sets(_device: &Self::Device) -> bool {
        false
    }

    /// A set made of one, or of two of one grid; on a grid of `samples` along an edge, where it is not the first set's.
    ///
    /// # Shapes
    /// `[samples, samples, words(samples)]`, all of them.
    fn made_set(
        operation: SetOperation,
        set: Tensor<Self, 3, Int>,
        other: Option<Tensor<Self, 3, Int>>,
        samples: usize,
    ) -> Tensor<Self, 3, Int> {
        made_set(operation, set, other, samples)
    }

    /// The least places of a set's samples along x, y and z, then the greatest; of none -1.
    ///
    /// # Shapes
    /// `[samples, samples, words]` → `[6]`.
    fn bounds_of_set(set: Tensor<Self, 3, Int>) -> Tensor<Self, 1, Int> {
        bounds_of_set(set)
    }

    /// Counts a set's samples in the order of cells.
    ///
    /// # Shapes
    /// `[samples, samples, words]`.
    fn ordered_set(set: Tensor<Self, 3, Int>, cells: DeviceCells<Self>) -> Ordered<Self> {
        ordered_set(set, cells)
    }

    /// Indices of some of an ordered set's samples.
    ///
    /// # Shapes
    /// → `[wanted.count]`.
    fn indices_of_set(ordered: &Ordered<Self>, wanted: Wanted<'_>) -> Tensor<Self, 1, Int> {
        indices_of_set(ordered, wanted)
    }

    /// Samples' coordinates, by those of all places along x, y and z.
    ///
    /// # Shapes
    /// indices `[points]`, axes `[3, samples]` in float32 → `[1, points, 3]` in float32.
    fn points_of_samples(indices: Tensor<Self, 1, Int>, axes: Tensor<Self, 2>) -> Tensor<Self, 3> {
        points_of_samples(indices, axes)
    }

    /// Adds samples, by their values, to sets which nobody else holds. With them comes whether a value was no finite number: 1, or 0.
    ///
    /// # Shapes
    /// sides `[samples, samples, words]`, indices and values `[count]` → sides, `[1]`.
    fn sided(
        sides: Sides<Self>,
        indices: Tensor<Self, 1, Int>,
        values: Tensor<Self, 1>,
        level: f32,
        near: f32,
    ) -> (Sides<Self>, Tensor<Self, 1, Int>) {
        sided(sides, indices, values, level, near)
    }

    /// Sends values to the host.
    fn fetch<const D: usize>(values: Tensor<Self, D>) -> Fetch {
        Box::new(|| values.try_into_data().map_err(|error| error.to_string()))
    }

    /// Sends integers to the host.
    fn fetch_integers<const D: usize>(values: Tensor<Self, D, Int>) -> Fetch {
        Box::new(|| values.try_into_data().map_err(|error| error.to_string()))
    }
}

/// Integers on a device.
pub fn integers<B: Backend>(values: Vec<i32>, device: &B::Device) -> Tensor<B, 1, Int> {
    let shape = Shape::new([values.len()]);
    Tensor::from_data(TensorData::new(values, shape), (device, DType::I32))
}

/// A set on the host.
pub fn to_host<B: Backend>(set: Tensor<B, 3, Int>) -> Mask {
    let samples = set.dims()[0];
    arrived(samples, integers_of(set.into_data()))
}

/// A set whose words have come to the host.
#[must_use]
pub fn arrived(samples: usize, words: Vec<u32>) -> Mask {
    Mask::from_words(samples, words.into_iter())
}

/// Integers of a tensor's data.
pub fn integers_of(data: TensorData) -> Vec<u32> {
    data.iter::<i32>().map(i32::cast_unsigned).collect()
}

/// A set on a device.
pub fn to_device<B: Backend>(mask: &Mask, device: &B::Device) -> Tensor<B, 3, Int> {
    let samples = mask.samples();
    let values: Vec<i32> = mask.words().map(u32::cast_signed).collect();
    integers(values, device).reshape([samples, samples, words(samples)])
}

/// [`SetKernels::made_set`].
pub fn made_set<B: Backend>(
    operation: SetOperation,
    set: Tensor<B, 3, Int>,
    other: Option<Tensor<B, 3, Int>>,
    samples: usize,
) -> Tensor<B, 3, Int> {
    let device = set.device();
    let set = to_host(set);
    let other = other.map_or_else(|| Mask::empty(set.samples()), to_host);
    let made = match operation {
        SetOperation::Complement => set.complement(),
        SetOperation::Within => set.within(&other),
        SetOperation::Without => set.without(&other),
        SetOperation::With => set.with(&other),
        SetOperation::Dilated(reach) => set.dilated(reach),
        SetOperation::DilatedByFaces => set.dilated_by_faces(),
        SetOperation::Doubled => set.doubled(samples),
        SetOperation::Repeated => set.repeated(samples),
    };
    to_device(&made, &device)
}

/// [`SetKernels::bounds_of_set`].
pub fn bounds_of_set<B: Backend>(set: Tensor<B, 3, Int>) -> Tensor<B, 1, Int> {
    let (device, n) = (set.device(), set.dims()[0] as u32);
    let mut bounds = [i32::MAX, i32::MAX, i32::MAX, -1, -1, -1];
    for index in to_host(set).indices() {
        for (axis, place) in [index / n / n, index / n % n, index % n].into_iter().enumerate() {
            bounds[axis] = bounds[axis].min(place as i32);
            bounds[3 + axis] = bounds[3 + axis].max(place as i32);
        }
    }
    integers(bounds.to_vec(), &device)
}

/// [`SetKernels::ordered_set`].
pub fn ordered_set<B: Backend>(set: Tensor<B, 3, Int>, cells: DeviceCells<B>) -> Ordered<B> {
    let device = set.device();
    let mut starts = vec![0];
    for own in cells.on_host.sorted(&to_host(set.clone())) {
        starts.push(starts[starts.len() - 1] + own.len() as i32);
    }
    Ordered { set, places: integers(Vec::new(), &device), starts: integers(starts, &device), cells }
}

/// [`SetKernels::indices_of_set`].
pub fn indices_of_set<B: Backend>(ordered: &Ordered<B>, wanted: Wanted<'_>) -> Tensor<B, 1, Int> {
    let device = ordered.set.device();
    let sorted = ordered.cells.on_host.sorted(&to_host(ordered.set.clone()));
    let mut indices = vec![0; wanted.count];
    let mut number = 0;
    for (own, to) in sorted.iter().zip(wanted.to) {
        for (within, index) in own.iter().enumerate() {
            if (wanted.begin..wanted.end).contains(&number) && within.is_multiple_of(wanted.stride) {
                indices[to + within / wanted.stride - wanted.begin] = index.cast_signed();
            }
            number += 1;
        }
    }
    integers(indices, &device)
}

/// [`SetKernels::points_of_samples`].
pub fn points_of_samples<B: Backend>(indices: Tensor<B, 1, Int>, axes: Tensor<B, 2>) -> Tensor<B, 3> {
    let [_, n] = axes.dims();
    let row = |axis: usize, numbers: &Tensor<B, 1, Int>| {
        axes.clone().narrow(0, axis, 1).reshape([n]).select(0, numbers.clone()).unsqueeze_dim::<2>(1)
    };
    let rows = indices.clone() / n as i32;
    let places = [rows.clone() / n as i32, rows % n as i32, indices % n as i32];
    let columns = [0, 1, 2].map(|axis| row(axis, &places[axis]));
    Tensor::cat(columns.to_vec(), 1).unsqueeze()
}

/// [`SetKernels::sided`].
pub fn sided<B: Backend>(
    sides: Sides<B>,
    indices: Tensor<B, 1, Int>,
    values: Tensor<B, 1>,
    level: f32,
    near: f32,
) -> (Sides<B>, Tensor<B, 1, Int>) {
    let device = indices.device();
    let indices = integers_of(indices.into_data());
    let values: Vec<f32> = values.into_data().iter::<f32>().collect();
    let with = |set: Tensor<B, 3, Int>, test: &dyn Fn(f32) -> bool| {
        let mut mask = to_host(set);
        indices.iter().zip(&values).filter(|(_, value)| test(**value)).for_each(|(index, _)| mask.insert(*index));
        to_device(&mask, &device)
    };
    let broken = values.iter().any(|value| !value.is_finite());
    let inside = with(sides.inside, &|value| value >= level);
    let on_and_near = sides.on_and_near.map(|[on, close]| {
        [with(on, &|value| value - level == 0.0), with(close, &|value| (value - level).abs() < near)]
    });
    (Sides { inside, on_and_near }, integers(vec![i32::from(broken)], &device))
}
