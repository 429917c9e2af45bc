//! Marching cubes over the blocks of a sparse grid.
//!
//! The grid is thought of with one layer of outside samples around it, so the surface is closed even where the inside
//! reaches the box. A vertex belongs to a grid edge, an edge to the block of its lower sample; per block three bit
//! masks of 512 bits (crossed edges along x, y, z) and their running counts are all that is needed to number the
//! vertices: the number of an edge's vertex is a rank in the mask. Blocks are independent, the order of the output is
//! that of the blocks, hence the same for any number of threads.

use half::f16;
use orfeas_field::{BLOCK_EDGE, BLOCK_SAMPLES, BlockState, Field};
use rayon::prelude::*;

use crate::Mesh;
use crate::error::{SurfaceError, SurfaceErrorKind};
use crate::table::{CaseTable, case_table};

/// How close a vertex may come to a sample, in cells. Three vertices of one triangle never lie on one line then, nor
/// closer than about a hundredth of a cell: far more than the rounding of an f32 in a grid of a thousand cells.
const CLEARANCE: f32 = 0.02;

const OUTSIDE: u32 = u32::MAX - 1;
const INSIDE: u32 = u32::MAX;

/// One bit per sample of a block: word x, bit `8 y + z`, set where inside.
type Signs = [u64; BLOCK_EDGE];

/// Extracts the surface, in the field's unit and axes (x right, y up, z front).
///
/// The mesh is closed, 2-manifold and consistently oriented, without degenerate triangles and with no two vertices at
/// the same place. Method: Lorensen and Cline 1987 with the generated table of the crate's `table` module.
///
/// # Errors
/// [`SurfaceErrorKind::Empty`] where no sample is inside, [`SurfaceErrorKind::Limit`] beyond 2³² vertices.
pub fn extract(field: &Field) -> Result<Mesh, SurfaceError> {
    let blocks = Blocks::new(field);
    let table = case_table();
    let active = blocks.active();
    let mut records: Vec<Record> =
        active.par_iter().with_min_len(64).filter_map(|at| Record::new(&blocks, table, *at)).collect();
    if records.is_empty() {
        return Err(SurfaceError::new(SurfaceErrorKind::Empty, "the field has no inside"));
    }
    let (mut vertices, mut triangles) = (0usize, 0usize);
    let mut record_of = vec![u32::MAX; blocks.slots.len()];
    for (number, record) in records.iter_mut().enumerate() {
        record.first_vertex = vertices as u32;
        record_of[record.at] = number as u32;
        vertices += record.vertices as usize;
        triangles += record.triangles as usize;
        if vertices >= u32::MAX as usize {
            return Err(SurfaceError::limit("the surface has more than 2³² vertices"));
        }
    }
    let mut mesh = Mesh { vertices: vec![[0.0; 3]; vertices], triangles: vec![[0; 3]; triangles] };
    let mut work = Vec::with_capacity(records.len());
    let (mut vertex_rest, mut triangle_rest) = (mesh.vertices.as_mut_slice(), mesh.triangles.as_mut_slice());
    for record in &records {
        let (vertex_part, rest) = vertex_rest.split_at_mut(record.vertices as usize);
        vertex_rest = rest;
        let (triangle_part, rest) = triangle_rest.split_at_mut(record.triangles as usize);
        triangle_rest = rest;
        work.push((record, vertex_part, triangle_part));
    }
    work.par_iter_mut().with_min_len(64).for_each(|(record, vertices, triangles)| {
        record.place_vertices(&blocks, vertices);
        record.join(&blocks, table, &records, &record_of, triangles);
    });
    Ok(mesh)
}

/// The grid's blocks with one layer of outside blocks around them.
struct Blocks<'a> {
    field: &'a Field,
    samples: [usize; 3],
    /// Blocks per axis, with the two layers.
    padded: [usize; 3],
    /// Per padded block: `OUTSIDE`, `INSIDE`, or the number of its samples.
    slots: Vec<u32>,
    /// Per dense block.
    signs: Vec<Signs>,
}

impl<'a> Blocks<'a> {
    fn new(field: &'a Field) -> Self {
        let grid = &field.grid;
        let (samples, count) = (grid.samples(), grid.blocks());
        let padded = count.map(|n| n + 2);
        let mut slots = vec![OUTSIDE; padded[0] * padded[1] * padded[2]];
        let mut next = 0;
        for (number, state) in grid.states().enumerate() {
            let (x, y, z) = (number / (count[1] * count[2]), number / count[2] % count[1], number % count[2]);
            slots[((x + 1) * padded[1] + y + 1) * padded[2] + z + 1] = match state {
                BlockState::Outside => OUTSIDE,
                BlockState::Inside => INSIDE,
                BlockState::Dense => {
                    next += 1;
                    next - 1
                }
            };
        }
        let signs = grid.dense_values().par_iter().with_min_len(256).map(signs).collect();
        Self { field, samples, padded, slots, signs }
    }

    fn position(&self, at: usize) -> [usize; 3] {
        [at / (self.padded[1] * self.padded[2]), at / self.padded[2] % self.padded[1], at % self.padded[2]]
    }

    /// The padded block that lies `step` (0 or 1 an axis) above `at`.
    fn above(&self, at: usize, step: [usize; 3]) -> usize {
        at + (step[0] * self.padded[1] + step[1]) * self.padded[2] + step[2]
    }

    /// The padded blocks in whose cells the sign can change: those that are not, with the seven above them, all
    /// outside or all inside.
    fn active(&self) -> Vec<usize> {
        let [nx, ny, nz] = self.padded;
        (0..(nx - 1) * ny)
            .into_par_iter()
            .with_min_len(64)
            .flat_map_iter(|row| (0..nz - 1).map(move |z| row * nz + z))
            .filter(|at| {
                let first = self.slots[*at];
                let lonely = self.position(*at)[1] == ny - 1;
                !lonely
                    && (first < OUTSIDE
                        || (1..8).any(|k| self.slots[self.above(*at, [k >> 2, k >> 1 & 1, k & 1])] != first))
            })
            .collect()
    }

    /// Signs of a padded block; samples beyond the grid are outside.
    fn signs(&self, at: usize) -> Signs {
        let slot = self.slots[at];
        let mut signs = match slot {
            OUTSIDE => return [0; BLOCK_EDGE],
            INSIDE => [u64::MAX; BLOCK_EDGE],
            dense => self.signs[dense as usize],
        };
        let position = self.position(at);
        // Dense and inside blocks lie within the grid, so their position is at least one.
        let valid: [usize; 3] =
            std::array::from_fn(|k| (self.samples[k] + BLOCK_EDGE - position[k] * BLOCK_EDGE).min(BLOCK_EDGE));
        if valid != [BLOCK_EDGE; 3] {
            let row = (1u64 << valid[2]) - 1;
            let plane = (0..valid[1]).fold(0u64, |plane, y| plane | row << (8 * y));
            for (x, word) in signs.iter_mut().enumerate() {
                *word &= if x < valid[0] { plane } else { 0 };
            }
        }
        signs
    }

    /// The cells' corners: `[x][2 dy + dz]` is plane x of the samples, moved by dy and dz; nine planes.
    fn planes(&self, at: usize) -> [[u64; 4]; BLOCK_EDGE + 1] {
        let step = |x, y, z| self.signs(self.above(at, [x, y, z]));
        let low = [step(0, 0, 0), step(0, 0, 1), step(0, 1, 0), step(0, 1, 1)];
        let high = [step(1, 0, 0), step(1, 0, 1), step(1, 1, 0), step(1, 1, 1)];
        std::array::from_fn(|x| {
            let [here, z, y, yz] = if x < BLOCK_EDGE { low.map(|s| s[x]) } else { high.map(|s| s[0]) };
            let (along_z, y_along_z) = (shift_z(here, z), shift_z(y, yz));
            [here, along_z, here >> 8 | y << 56, along_z >> 8 | y_along_z << 56]
        })
    }

    /// One sample; `at` is the padded block, `local` the place in it.
    fn value(&self, at: usize, local: usize) -> f32 {
        match self.slots[at] {
            OUTSIDE => -1.0,
            INSIDE => 1.0,
            dense => half_to_f32(self.field.grid.dense_values()[dense as usize][local]),
        }
    }
}

/// The samples one step up in z: bit z of each byte gets bit z + 1, the last one bit 0 of the block above.
fn shift_z(here: u64, above: u64) -> u64 {
    const LOW_SEVEN: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    (here >> 1) & LOW_SEVEN | (above << 7) & !LOW_SEVEN
}

fn signs(values: &[f16; BLOCK_SAMPLES]) -> Signs {
    std::array::from_fn(|x| {
        let plane = &values[x * 64..x * 64 + 64];
        let mut word = 0u64;
        for (y, row) in plane.chunks_exact(8).enumerate() {
            let mut byte = 0u64;
            for (z, value) in row.iter().enumerate() {
                byte |= u64::from(!value.to_bits() >> 15) << z;
            }
            word |= byte << (8 * y);
        }
        word
    })
}

/// Exact for finite values, subnormal ones too (the product scales the exponent's bias); without the standard
/// conversion's look for what the processor can do.
fn half_to_f32(value: f16) -> f32 {
    let bits = u32::from(value.to_bits());
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits(0x7780_0000);
    f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16)
}

/// A block that owns crossed edges or cells with surface.
struct Record {
    /// The padded block.
    at: usize,
    /// Crossed edges: word `8 axis + x`, bit `8 y + z`.
    crossed: [u64; 24],
    /// Crossed edges before each word.
    before: [u16; 24],
    vertices: u32,
    triangles: u32,
    first_vertex: u32,
}

/// Calls `each` with the place and the sign case of every cell of a block that the surface passes.
fn for_cells(planes: &[[u64; 4]; BLOCK_EDGE + 1], mut each: impl FnMut(usize, u32, usize)) {
    for x in 0..BLOCK_EDGE {
        let (a, b) = (planes[x], planes[x + 1]);
        let any = a[0] | a[1] | a[2] | a[3] | b[0] | b[1] | b[2] | b[3];
        let all = a[0] & a[1] & a[2] & a[3] & b[0] & b[1] & b[2] & b[3];
        let mut cells = any & !all;
        while cells != 0 {
            let bit = cells.trailing_zeros();
            cells &= cells - 1;
            let mut case = 0;
            for k in 0..4 {
                case |= (a[k] >> bit & 1) << k | (b[k] >> bit & 1) << (k + 4);
            }
            each(x, bit, case as usize);
        }
    }
}

impl Record {
    fn new(blocks: &Blocks<'_>, table: &CaseTable, at: usize) -> Option<Self> {
        let planes = blocks.planes(at);
        let mut triangles = 0;
        for_cells(&planes, |_, _, case| triangles += u32::from(table.count[case]));
        if triangles == 0 {
            return None;
        }
        let mut crossed = [0; 24];
        for x in 0..BLOCK_EDGE {
            crossed[x] = planes[x][0] ^ planes[x + 1][0];
            crossed[8 + x] = planes[x][0] ^ planes[x][2];
            crossed[16 + x] = planes[x][0] ^ planes[x][1];
        }
        let mut before = [0; 24];
        let mut vertices = 0u32;
        for (before, word) in before.iter_mut().zip(crossed) {
            *before = vertices as u16;
            vertices += word.count_ones();
        }
        Some(Self { at, crossed, before, vertices, triangles, first_vertex: 0 })
    }

    fn vertex(&self, axis: usize, x: usize, bit: usize) -> u32 {
        let word = axis * 8 + x;
        let below = self.crossed[word] & ((1 << bit) - 1);
        self.first_vertex + u32::from(self.before[word]) + below.count_ones()
    }

    fn place_vertices(&self, blocks: &Blocks<'_>, vertices: &mut [[f32; 3]]) {
        let block = blocks.position(self.at);
        let bounds = blocks.field.bounds;
        let step: [f32; 3] = std::array::from_fn(|k| (bounds.max[k] - bounds.min[k]) / (blocks.samples[k] - 1) as f32);
        let mut out = vertices.iter_mut();
        for (word, crossed) in self.crossed.iter().enumerate() {
            let (axis, x) = (word / 8, word % 8);
            let stride = [64, 8, 1][axis];
            let up = blocks.above(self.at, std::array::from_fn(|k| usize::from(k == axis)));
            let mut rest = *crossed;
            while rest != 0 {
                let bit = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                let place = [x, bit >> 3, bit & 7];
                let local = x * 64 + bit;
                // Counted from one block before the grid, as the padded blocks are.
                let index = block[axis] * BLOCK_EDGE + place[axis];
                let along = if index < BLOCK_EDGE || index + 1 >= blocks.samples[axis] + BLOCK_EDGE {
                    // The cap where the inside reaches the box.
                    0.5
                } else {
                    let low = blocks.value(self.at, local);
                    let high = if place[axis] + 1 < BLOCK_EDGE {
                        blocks.value(self.at, local + stride)
                    } else {
                        blocks.value(up, local - stride * (BLOCK_EDGE - 1))
                    };
                    let along = low / (low - high);
                    // Both zero, of either sign.
                    if along.is_nan() { 0.5 } else { along.clamp(CLEARANCE, 1.0 - CLEARANCE) }
                };
                if let Some(vertex) = out.next() {
                    *vertex = std::array::from_fn(|k| {
                        let index = (block[k] * BLOCK_EDGE + place[k]) as f32 - BLOCK_EDGE as f32;
                        bounds.min[k] + step[k] * (index + if k == axis { along } else { 0.0 })
                    });
                }
            }
        }
    }

    fn join(
        &self,
        blocks: &Blocks<'_>,
        table: &CaseTable,
        records: &[Self],
        record_of: &[u32],
        triangles: &mut [[u32; 3]],
    ) {
        // The owner of an edge that begins beyond this block; the entry of a block without edges is never asked for.
        let owners: [&Self; 8] = std::array::from_fn(|k| {
            let owner = record_of[blocks.above(self.at, [k >> 2, k >> 1 & 1, k & 1])];
            records.get(owner as usize).unwrap_or(self)
        });
        let mut out = triangles.iter_mut();
        for_cells(&blocks.planes(self.at), |x, bit, case| {
            let (y, z) = (bit as usize >> 3, bit as usize & 7);
            let vertex = |edge: u8| -> u32 {
                let edge = table.edges[edge as usize];
                let corner = edge.corner as usize;
                let (x, y, z) = (x + (corner >> 2), y + (corner >> 1 & 1), z + (corner & 1));
                let owner = owners[(x >> 3) << 2 | (y >> 3) << 1 | z >> 3];
                owner.vertex(edge.axis as usize, x & 7, (y & 7) << 3 | z & 7)
            };
            for triangle in &table.triangles[case][..table.count[case] as usize] {
                if let Some(out) = out.next() {
                    *out = triangle.map(vertex);
                }
            }
        });
    }
}
