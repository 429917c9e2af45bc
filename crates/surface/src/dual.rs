//! Dual contouring over the blocks of a sparse grid: edges and corners of the shape stay what they are.
//!
//! The mesh is the dual of marching cubes': a vertex for every loop of surface in a cell (Nielson 2004), a quadrilateral
//! for every crossed edge of the grid. Marching cubes' loops make a closed manifold, hence so does their dual, but for one
//! thing: where two cells meet in a face whose corners alternate, and both its segments belong to the same two loops,
//! the two vertices would be joined by two edges that fall into one. Those get a vertex of their own on each segment.
//! A vertex lies where the planes of the crossings around its loop meet best (Ju et al. 2002), within its cell.

use orfeas_field::{BLOCK_EDGE, Field};
use rayon::prelude::*;

use crate::Mesh;
use crate::blocks::{Blocks, for_cells};
use crate::error::{SurfaceError, SurfaceErrorKind};
use crate::extract::Record;
use crate::mesh::{area_normal, dot};
use crate::quadric::Quadric;
use crate::table::{CaseTable, case_table};

/// How close a vertex may come to its cell's faces, in cells. Vertices of the cells around an edge cannot meet then.
const MARGIN: f64 = 0.04;

/// A place in the grid of samples, counted from one block before it, as the padded blocks are.
type Place = [usize; 3];

fn moved(place: Place, axis: usize) -> Place {
    std::array::from_fn(|k| place[k] + usize::from(k == axis))
}

/// The bit of a cube corner for an axis.
fn bit(axis: usize) -> usize {
    4 >> axis
}

/// Extracts the surface as [`crate::extract`] does, with its features: in the field's unit and axes, closed, 2-manifold,
/// consistently oriented, without degenerate triangles.
///
/// # Errors
/// As [`crate::extract`].
pub fn dual(field: &Field) -> Result<Mesh, SurfaceError> {
    let blocks = Blocks::new(field);
    let table = case_table();
    let active = blocks.active();
    let mut cells: Vec<Cells> =
        active.par_iter().with_min_len(64).filter_map(|at| Cells::new(&blocks, table, *at)).collect();
    if cells.is_empty() {
        return Err(SurfaceError::new(SurfaceErrorKind::Empty, "the field has no inside"));
    }
    let mut of_block = vec![u32::MAX; blocks.slots.len()];
    let mut count = 0usize;
    for (number, cells) in cells.iter_mut().enumerate() {
        of_block[cells.at] = number as u32;
        cells.first_vertex = count as u32;
        count += cells.vertices as usize;
        if count >= u32::MAX as usize {
            return Err(SurfaceError::limit("the surface has more than 2³² vertices"));
        }
    }
    let grid = Grid { blocks: &blocks, table, cells: &cells, of_block: &of_block };
    let vertices: Vec<Vec<[f32; 3]>> = cells.par_iter().with_min_len(32).map(|cells| grid.vertices(cells)).collect();
    let vertices = vertices.concat();
    let triangles: Vec<Vec<[u32; 3]>> =
        cells.par_iter().with_min_len(32).map(|cells| grid.triangles(cells, &vertices)).collect();
    Ok(Mesh { triangles: triangles.concat(), vertices })
}

/// A block's cells that the surface passes.
struct Cells {
    /// The padded block.
    at: usize,
    /// Word x, bit `8 y + z`: cells with surface.
    active: [u64; BLOCK_EDGE],
    /// Active cells before each word.
    before: [u16; BLOCK_EDGE],
    /// Sign case of each active cell.
    cases: Vec<u8>,
    /// First vertex of each active cell, within the block: one for each loop, then two for each split face.
    firsts: Vec<u16>,
    /// Bit `axis` of each active cell: its upper face on that axis has vertices of its own.
    split: Vec<u8>,
    /// The block's crossed edges, and how the surface passes each.
    edges: Record,
    crossings: Vec<Crossing>,
    vertices: u32,
    first_vertex: u32,
}

/// Where the surface passes an edge of the grid, in cells above its lower end, and the direction in which the field
/// falls there, of length one or, where the field is flat, 0.
struct Crossing {
    along: f32,
    normal: [f32; 3],
}

impl Crossing {
    fn new(blocks: &Blocks<'_>, at: usize, axis: usize, local: Place) -> Self {
        let along = blocks.crossing(at, axis, local);
        let base = blocks.position(at);
        let low: Place = std::array::from_fn(|k| base[k] * BLOCK_EDGE + local[k]);
        let high = moved(low, axis);
        let (a, b) = (blocks.gradient(low), blocks.gradient(high));
        let mut slope: [f64; 3] = std::array::from_fn(|k| {
            let ([a, trust_a], [b, trust_b]) = (<[f64; 2]>::from(a[k]), <[f64; 2]>::from(b[k]));
            let (weight_a, weight_b) = (trust_a * (1.0 - f64::from(along)), trust_b * f64::from(along));
            if weight_a + weight_b > 0.0 { (a * weight_a + b * weight_b) / (weight_a + weight_b) } else { 0.0 }
        });
        // Along the edge the two samples themselves say best.
        slope[axis] = f64::from(blocks.sample(high) - blocks.sample(low));
        let length = dot(slope, slope).sqrt();
        let known = length > 0.0 && length.is_finite();
        Self { along, normal: slope.map(|v| if known { (-v / length) as f32 } else { 0.0 }) }
    }
}

impl Cells {
    fn new(blocks: &Blocks<'_>, table: &CaseTable, at: usize) -> Option<Self> {
        let edges = Record::new(blocks, table, at)?;
        let mut crossings = Vec::new();
        edges.for_edges(|axis, place| crossings.push(Crossing::new(blocks, at, axis, place)));
        let mut own = Self {
            at,
            edges,
            crossings,
            active: [0; BLOCK_EDGE],
            before: [0; BLOCK_EDGE],
            cases: Vec::new(),
            firsts: Vec::new(),
            split: Vec::new(),
            vertices: 0,
            first_vertex: 0,
        };
        let base = blocks.position(at).map(|p| p * BLOCK_EDGE);
        for_cells(&blocks.planes(at), |x, place, case| {
            own.active[x] |= 1 << place;
            let cell = [base[0] + x, base[1] + (place as usize >> 3), base[2] + (place as usize & 7)];
            let split = (0..3).fold(0u8, |split, axis| {
                split | u8::from(alternates(case, axis) && falls_together(blocks, table, cell, case, axis)) << axis
            });
            own.cases.push(case as u8);
            own.firsts.push(own.vertices as u16);
            own.split.push(split);
            own.vertices += u32::from(table.rings[case]) + 2 * split.count_ones();
        });
        for x in 1..BLOCK_EDGE {
            own.before[x] = own.before[x - 1] + own.active[x - 1].count_ones() as u16;
        }
        Some(own)
    }

    /// The rank of a cell among the active ones.
    fn rank(&self, place: Place) -> usize {
        let bit = (place[1] % BLOCK_EDGE) * BLOCK_EDGE + place[2] % BLOCK_EDGE;
        let x = place[0] % BLOCK_EDGE;
        usize::from(self.before[x]) + (self.active[x] & ((1 << bit) - 1)).count_ones() as usize
    }
}

/// Whether the corners of a cell's upper face on an axis alternate.
fn alternates(case: usize, axis: usize) -> bool {
    let (u, v) = (bit((axis + 1) % 3), bit((axis + 2) % 3));
    let inside = |corner: usize| case >> (bit(axis) | corner) & 1;
    inside(0) == inside(u | v) && inside(u) == inside(v) && inside(0) != inside(u)
}

/// The two outside corners of a cell's upper face whose corners alternate.
fn outside_corners(case: usize, axis: usize) -> [usize; 2] {
    let (u, v) = (bit((axis + 1) % 3), bit((axis + 2) % 3));
    let up = bit(axis);
    if case >> up & 1 == 0 { [up, up | u | v] } else { [up | u.min(v), up | u.max(v)] }
}

/// Whether both segments of a cell's upper face, whose corners alternate, belong to one loop of this cell and to one of
/// the next.
fn falls_together(blocks: &Blocks<'_>, table: &CaseTable, cell: Place, case: usize, axis: usize) -> bool {
    let [first, second] = outside_corners(case, axis);
    // An edge of the face at each of the two corners: along the next axis.
    let along = (axis + 1) % 3;
    let edge = |corner: usize| edge_number(along, corner & !bit(along));
    let together = |case: usize, from: usize| {
        let rings = &table.ring_of[case];
        rings[edge(first ^ from)] == rings[edge(second ^ from)]
    };
    // In the next cell the face is the lower one.
    together(case, 0) && together(case_of(blocks, moved(cell, axis)), bit(axis))
}

/// The number of the cube edge that begins at a corner; as the table numbers them.
fn edge_number(axis: usize, corner: usize) -> usize {
    let (first, second) = match axis {
        0 => (corner >> 1 & 1, corner & 1),
        1 => (corner >> 2 & 1, corner & 1),
        _ => (corner >> 2 & 1, corner >> 1 & 1),
    };
    axis * 4 + first * 2 + second
}

/// The sign case of any cell.
fn case_of(blocks: &Blocks<'_>, cell: Place) -> usize {
    (0..8).fold(0, |case, corner| {
        let place = [cell[0] + (corner >> 2), cell[1] + (corner >> 1 & 1), cell[2] + (corner & 1)];
        case | usize::from(blocks.inside(place)) << corner
    })
}

struct Grid<'a> {
    blocks: &'a Blocks<'a>,
    table: &'a CaseTable,
    cells: &'a [Cells],
    /// The number in `cells` of each padded block.
    of_block: &'a [u32],
}

impl Grid<'_> {
    fn owner(&self, cell: Place) -> &Cells {
        let at = self.blocks.at(cell.map(|p| p / BLOCK_EDGE));
        &self.cells[self.of_block[at] as usize]
    }

    /// Calls `each` with the place, case and rank of every active cell of a block.
    fn each(cells: &Cells, blocks: &Blocks<'_>, mut each: impl FnMut(Place, usize, usize)) {
        let base = blocks.position(cells.at).map(|p| p * BLOCK_EDGE);
        let mut rank = 0;
        for (x, word) in cells.active.iter().enumerate() {
            let mut rest = *word;
            while rest != 0 {
                let place = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                each([base[0] + x, base[1] + (place >> 3), base[2] + (place & 7)], cells.cases[rank].into(), rank);
                rank += 1;
            }
        }
    }

    /// Where the surface crosses the cube edge of a cell, in cells from the cell's lower corner, and the field's fall.
    fn crossing(&self, cell: Place, axis: usize, corner: usize) -> ([f64; 3], [f64; 3]) {
        let offset: Place = std::array::from_fn(|k| usize::from(corner & bit(k) != 0));
        let place: Place = std::array::from_fn(|k| cell[k] + offset[k]);
        let owner = self.owner(place);
        let [x, y, z] = place.map(|p| p % BLOCK_EDGE);
        let crossing = &owner.crossings[owner.edges.vertex(axis, x, y * BLOCK_EDGE + z) as usize];
        let point = std::array::from_fn(|k| offset[k] as f64 + if k == axis { f64::from(crossing.along) } else { 0.0 });
        (point, crossing.normal.map(f64::from))
    }

    fn vertices(&self, cells: &Cells) -> Vec<[f32; 3]> {
        let mut out = Vec::with_capacity(cells.vertices as usize);
        let bounds = self.blocks.field.bounds;
        let step: [f64; 3] =
            std::array::from_fn(|k| f64::from(bounds.max[k] - bounds.min[k]) / (self.blocks.samples[k] - 1) as f64);
        Self::each(cells, self.blocks, |cell, case, rank| {
            let mut put = |within: [f64; 3]| {
                out.push(std::array::from_fn(|k| {
                    (f64::from(bounds.min[k]) + step[k] * (cell[k] as f64 - BLOCK_EDGE as f64 + within[k])) as f32
                }));
            };
            for ring in 0..self.table.rings[case] {
                put(self.loop_vertex(cell, case, ring));
            }
            for axis in (0..3).filter(|axis| cells.split[rank] >> axis & 1 == 1) {
                for corner in outside_corners(case, axis) {
                    put(self.segment_middle(cell, axis, corner));
                }
            }
        });
        out
    }

    /// The middle of the segment that cuts a corner off a cell's upper face.
    fn segment_middle(&self, cell: Place, axis: usize, corner: usize) -> [f64; 3] {
        let ends = [1, 2].map(|turn| {
            let along = (axis + turn) % 3;
            self.crossing(cell, along, corner & !bit(along)).0
        });
        std::array::from_fn(|k| (ends[0][k] + ends[1][k]) / 2.0)
    }

    fn loop_vertex(&self, cell: Place, case: usize, ring: u8) -> [f64; 3] {
        let mut crossings = [([0.0; 3], [0.0; 3]); 12];
        let mut count = 0;
        for (edge, _) in self.table.ring_of[case].iter().enumerate().filter(|(_, of)| **of == ring) {
            let edge = self.table.edges[edge];
            crossings[count] = self.crossing(cell, usize::from(edge.axis), usize::from(edge.corner));
            count += 1;
        }
        let crossings = &crossings[..count];
        let mut middle = [0.0; 3];
        for (point, _) in crossings {
            middle = std::array::from_fn(|k| middle[k] + point[k] / count as f64);
        }
        let mut offset = [0.0; 3];
        // Several loops in a cell are details beneath its size: their middles keep them apart.
        if self.table.rings[case] == 1 {
            let planes = crossings.iter().map(|(point, normal)| {
                let from: [f64; 3] = std::array::from_fn(|k| point[k] - middle[k]);
                Quadric::plane(*normal, from, 1.0)
            });
            let sum = planes.fold(Quadric::default(), |sum, plane| sum.plus(&plane));
            offset = sum.optimum([0.0; 3]).unwrap_or_default();
        }
        std::array::from_fn(|k| (middle[k] + offset[k]).clamp(MARGIN, 1.0 - MARGIN))
    }

    /// The triangles of the crossed edges whose four cells begin with one of these.
    fn triangles(&self, cells: &Cells, vertices: &[[f32; 3]]) -> Vec<[u32; 3]> {
        let mut out = Vec::with_capacity(2 * cells.cases.len() + 16);
        Self::each(cells, self.blocks, |cell, case, _| {
            for axis in 0..3 {
                let (u, v) = ((axis + 1) % 3, (axis + 2) % 3);
                let corner = bit(u) | bit(v);
                let (low, high) = (case >> corner & 1 == 1, case >> (corner | bit(axis)) & 1 == 1);
                if low != high {
                    self.around(cell, axis, low, vertices, &mut out);
                }
            }
        });
        out
    }

    /// The polygon around the edge along `axis` at the cell's far corner on the other two axes.
    fn around(&self, cell: Place, axis: usize, low: bool, vertices: &[[f32; 3]], out: &mut Vec<[u32; 3]>) {
        let (u, v) = ((axis + 1) % 3, (axis + 2) % 3);
        // Counter-clockwise seen from the edge's upper end, each with where the edge begins in it.
        let around = [
            (cell, bit(u) | bit(v)),
            (moved(cell, u), bit(v)),
            (moved(moved(cell, u), v), 0),
            (moved(cell, v), bit(u)),
        ];
        // The faces between one and the next: whose upper face on which axis.
        let faces = [(0, u), (1, v), (3, u), (0, v)];
        let mut polygon = [0u32; 8];
        let mut count = 0;
        let mut middle = None;
        for ((place, corner), (below, face)) in around.into_iter().zip(faces) {
            let owner = self.owner(place);
            let rank = owner.rank(place);
            let case = usize::from(owner.cases[rank]);
            let ring = self.table.ring_of[case][edge_number(axis, corner)];
            polygon[count] = owner.first_vertex + u32::from(owner.firsts[rank]) + u32::from(ring);
            count += 1;
            let (place, corner) = around[below];
            let owner = self.owner(place);
            let rank = owner.rank(place);
            if owner.split[rank] >> face & 1 == 1 {
                let case = usize::from(owner.cases[rank]);
                // The edge's outside end is the corner that the segment cuts off.
                let outside = if low { corner | bit(axis) } else { corner };
                let second = outside_corners(case, face)[1] == outside;
                let before = (owner.split[rank] & ((1 << face) - 1)).count_ones() * 2;
                let loops = u32::from(self.table.rings[case]);
                middle.get_or_insert(count);
                polygon[count] =
                    owner.first_vertex + u32::from(owner.firsts[rank]) + loops + before + u32::from(second);
                count += 1;
            }
        }
        let polygon = &mut polygon[..count];
        if !low {
            polygon.reverse();
            middle = middle.map(|at| count - 1 - at);
        }
        match middle {
            // From a vertex of its own on, so that no diagonal joins two cells that an edge could join too.
            Some(first) => {
                polygon.rotate_left(first);
                out.extend((1..count - 1).map(|k| [polygon[0], polygon[k], polygon[k + 1]]));
            }
            None => out.extend(halves([polygon[0], polygon[1], polygon[2], polygon[3]], vertices)),
        }
    }
}

/// A quadrilateral as two triangles: by the diagonal that bends it less, unless that leaves one without area.
fn halves([a, b, c, d]: [u32; 4], vertices: &[[f32; 3]]) -> [[u32; 3]; 2] {
    let ways = [[[a, b, c], [a, c, d]], [[b, c, d], [b, d, a]]];
    let score = |[p, q]: [[u32; 3]; 2]| {
        let [p, q] = [p, q].map(|t| area_normal(t.map(|v| vertices[v as usize])));
        let (long, short) = (dot(p, p).sqrt(), dot(q, q).sqrt());
        let (least, most) = (long.min(short), long.max(short));
        // Slivers are worse than any bend.
        if least <= 1e-4 * most { -2.0 } else { dot(p, q) / (long * short) }
    };
    if score(ways[1]) > score(ways[0]) { ways[1] } else { ways[0] }
}
