//! Marching cubes over the blocks of a sparse grid.
//!
//! A vertex belongs to a grid edge, an edge to the block of its lower sample; per block three bit
//! masks of 512 bits (crossed edges along x, y, z) and their running counts are all that is needed to number the
//! vertices: the number of an edge's vertex is a rank in the mask. Blocks are independent, the order of the output is
//! that of the blocks, hence the same for any number of threads.

use orfeas_field::{BLOCK_EDGE, Field};
use rayon::prelude::*;

use crate::Mesh;
use crate::blocks::{Blocks, for_cells};
use crate::error::{SurfaceError, SurfaceErrorKind};
use crate::table::{CaseTable, case_table};

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

/// A block that owns crossed edges or cells with surface.
pub(crate) struct Record {
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

impl Record {
    pub(crate) fn new(blocks: &Blocks<'_>, table: &CaseTable, at: usize) -> Option<Self> {
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

    /// The number of a crossed edge's vertex: its rank, after those of the blocks before.
    pub(crate) fn vertex(&self, axis: usize, x: usize, bit: usize) -> u32 {
        let word = axis * 8 + x;
        let below = self.crossed[word] & ((1 << bit) - 1);
        self.first_vertex + u32::from(self.before[word]) + below.count_ones()
    }

    fn place_vertices(&self, blocks: &Blocks<'_>, vertices: &mut [[f32; 3]]) {
        let block = blocks.position(self.at);
        let bounds = blocks.field.bounds;
        let step: [f32; 3] = std::array::from_fn(|k| (bounds.max[k] - bounds.min[k]) / (blocks.samples[k] - 1) as f32);
        let mut out = vertices.iter_mut();
        self.for_edges(|axis, place| {
            let along = blocks.crossing(self.at, axis, place);
            if let Some(vertex) = out.next() {
                *vertex = std::array::from_fn(|k| {
                    let index = (block[k] * BLOCK_EDGE + place[k]) as f32 - BLOCK_EDGE as f32;
                    bounds.min[k] + step[k] * (index + if k == axis { along } else { 0.0 })
                });
            }
        });
    }

    /// Calls `each` with the axis and the place of every crossed edge, in the order of their vertices.
    pub(crate) fn for_edges(&self, mut each: impl FnMut(usize, [usize; 3])) {
        for (word, crossed) in self.crossed.iter().enumerate() {
            let mut rest = *crossed;
            while rest != 0 {
                let bit = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                each(word / 8, [word % 8, bit >> 3, bit & 7]);
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
