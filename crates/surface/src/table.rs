//! The case table of marching cubes, generated rather than typed in.
//!
//! Lorensen and Cline 1987 with one rule for all faces instead of their rotations, which leave holes: where the four
//! corners of a face alternate, the two inside corners are joined and the outside ones cut off. The rule looks at the
//! face alone, so both cubes at a face draw the same segments on it and the surface is closed. Every loop of segments
//! in a cube becomes a disc whose diagonals never join two vertices of the same cube face: such a diagonal could also
//! be drawn by the neighbour cube, and the edge would then have four triangles.

use std::sync::OnceLock;

/// Corner `c` of a cube lies at `[c >> 2 & 1, c >> 1 & 1, c & 1]` (x, y, z).
pub(crate) type Corner = u8;

/// A cube edge: the axis it runs along and the corner at its lower end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CubeEdge {
    /// 0, 1, 2 for x, y, z.
    pub axis: u8,
    /// The lower end.
    pub corner: Corner,
}

/// For each of 256 sign cases (bit `c` set: corner `c` is inside) the triangles, as edge numbers 0..12.
pub(crate) struct CaseTable {
    /// The cube's edges by number.
    pub edges: [CubeEdge; 12],
    /// Triangles per case.
    pub count: [u8; 256],
    /// Up to five triangles per case, counter-clockwise seen from outside.
    pub triangles: [[[u8; 3]; MAX_TRIANGLES]; 256],
    /// Closed loops per case: the pieces of surface within the cube.
    pub rings: [u8; 256],
    /// The loop that each crossed edge is on, per case.
    pub ring_of: [[u8; 12]; 256],
}

/// The most triangles of any case.
pub(crate) const MAX_TRIANGLES: usize = 5;

/// The table, made at the first use (well under a millisecond).
pub(crate) fn case_table() -> &'static CaseTable {
    static TABLE: OnceLock<CaseTable> = OnceLock::new();
    TABLE.get_or_init(generate)
}

fn generate() -> CaseTable {
    let edges = cube_edges();
    let faces = faces();
    let mut table = CaseTable {
        edges,
        count: [0; 256],
        triangles: [[[0; 3]; MAX_TRIANGLES]; 256],
        rings: [0; 256],
        ring_of: [[u8::MAX; 12]; 256],
    };
    for case in 0..256usize {
        let mut made = Vec::new();
        for ring in loops(case as u8, &edges, &faces) {
            for edge in &ring {
                table.ring_of[case][*edge] = table.rings[case];
            }
            table.rings[case] += 1;
            triangulate(&ring, &edges, &mut made);
        }
        table.count[case] = made.len() as u8;
        table.triangles[case][..made.len()].copy_from_slice(&made);
    }
    table
}

fn cube_edges() -> [CubeEdge; 12] {
    std::array::from_fn(|edge| {
        let (axis, rest) = (edge / 4, edge % 4);
        let (high, low) = (rest >> 1, rest & 1);
        let corner = match axis {
            0 => high << 1 | low,
            1 => high << 2 | low,
            _ => high << 2 | low << 1,
        };
        CubeEdge { axis: axis as u8, corner: corner as u8 }
    })
}

/// The bit of `Corner` that tells the side on an axis.
fn axis_bit(axis: usize) -> u8 {
    4 >> axis
}

/// The corners of each face, counter-clockwise seen from outside the cube.
fn faces() -> [[Corner; 4]; 6] {
    std::array::from_fn(|face| {
        let (axis, side) = (face / 2, face % 2);
        let (u, v) = (axis_bit((axis + 1) % 3), axis_bit((axis + 2) % 3));
        let base = if side == 1 { axis_bit(axis) } else { 0 };
        if side == 1 { [base, base | u, base | u | v, base | v] } else { [base, base | v, base | u | v, base | u] }
    })
}

fn edge_between(edges: &[CubeEdge; 12], a: Corner, b: Corner) -> usize {
    let (low, bit) = (a & b, a ^ b);
    edges.iter().position(|e| e.corner == low && axis_bit(e.axis as usize) == bit).unwrap_or_default()
}

/// The closed loops of crossed edges of a case, counter-clockwise seen from outside the solid.
fn loops(case: u8, edges: &[CubeEdge; 12], faces: &[[Corner; 4]; 6]) -> Vec<Vec<usize>> {
    let inside = |corner: Corner| case >> corner & 1 == 1;
    let mut next = [None::<usize>; 12];
    for face in faces {
        let crossings: Vec<(usize, bool)> = (0..4)
            .map(|k| (face[k], face[(k + 1) % 4]))
            .filter(|(a, b)| inside(*a) != inside(*b))
            .map(|(a, b)| (edge_between(edges, a, b), inside(a)))
            .collect();
        for (k, (edge, leaves)) in crossings.iter().enumerate() {
            if !leaves {
                // From where the face's border enters the solid back to where it left it: cuts off an outside run.
                next[*edge] = Some(crossings[(k + crossings.len() - 1) % crossings.len()].0);
            }
        }
    }
    let mut found = Vec::new();
    for start in 0..12 {
        let mut ring = Vec::new();
        let mut edge = start;
        while let Some(following) = next[edge].take() {
            ring.push(edge);
            edge = following;
        }
        if !ring.is_empty() {
            found.push(ring);
        }
    }
    found
}

/// Twice the coordinates of an edge's midpoint.
fn midpoint(edge: CubeEdge) -> [i32; 3] {
    std::array::from_fn(
        |axis| {
            if axis == edge.axis as usize { 1 } else { 2 * i32::from(edge.corner & axis_bit(axis) != 0) }
        },
    )
}

fn share_a_face(a: CubeEdge, b: CubeEdge) -> bool {
    let (a, b) = (midpoint(a), midpoint(b));
    (0..3).any(|axis| a[axis] == b[axis] && a[axis] != 1)
}

/// The triangulation of least diagonal length (dynamic programming over sub-polygons, Klincsek 1980) among those whose
/// diagonals join no two vertices of one cube face. Every loop has one; a test looks at all of them.
fn triangulate(ring: &[usize], edges: &[CubeEdge; 12], made: &mut Vec<[u8; 3]>) {
    let n = ring.len();
    let weight = |i: usize, j: usize| -> Option<i32> {
        if j - i == 1 || j - i == n - 1 {
            return Some(0);
        }
        let (a, b) = (edges[ring[i]], edges[ring[j]]);
        let (p, q) = (midpoint(a), midpoint(b));
        (!share_a_face(a, b)).then(|| (0..3).map(|k| (p[k] - q[k]).pow(2)).sum())
    };
    let mut best = vec![vec![None::<(i32, usize)>; n]; n];
    for i in 0..n - 1 {
        best[i][i + 1] = Some((0, 0));
    }
    for span in 2..n {
        for i in 0..n - span {
            let j = i + span;
            let Some(own) = weight(i, j) else { continue };
            best[i][j] = (i + 1..j).filter_map(|k| Some((own + best[i][k]?.0 + best[k][j]?.0, k))).min();
        }
    }
    let mut open = vec![(0, n - 1)];
    while let Some((i, j)) = open.pop() {
        if j - i < 2 {
            continue;
        }
        if let Some((_, k)) = best[i][j] {
            made.push([ring[i] as u8, ring[k] as u8, ring[j] as u8]);
            open.extend([(i, k), (k, j)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loop_is_a_disc_without_a_diagonal_in_a_face() {
        let (edges, faces) = (cube_edges(), faces());
        let mut most = 0;
        for case in 0..=255u8 {
            let rings = loops(case, &edges, &faces);
            let crossed = edges
                .iter()
                .filter(|e| (case >> e.corner & 1) != (case >> (e.corner | axis_bit(e.axis as usize)) & 1))
                .count();
            assert_eq!(rings.iter().map(Vec::len).sum::<usize>(), crossed, "case {case}");
            let expected: usize = rings.iter().map(|ring| ring.len() - 2).sum();
            assert_eq!(usize::from(case_table().count[case as usize]), expected, "case {case}");
            most = most.max(expected);
            for ring in &rings {
                let mut made = Vec::new();
                triangulate(ring, &edges, &mut made);
                for [a, b, c] in made.iter().map(|t| t.map(usize::from)) {
                    for (p, q) in [(a, b), (b, c), (c, a)] {
                        let at = |e| ring.iter().position(|r| *r == e).unwrap();
                        let apart = at(p).abs_diff(at(q));
                        let on_ring = apart == 1 || apart == ring.len() - 1;
                        assert!(on_ring || !share_a_face(edges[p], edges[q]), "case {case}: {p}-{q}");
                    }
                }
            }
        }
        assert_eq!(most, MAX_TRIANGLES);
    }

    #[test]
    fn one_inside_corner_faces_away_from_it() {
        let table = case_table();
        assert_eq!(table.count[1], 1);
        let [a, b, c] = table.triangles[1][0].map(|e| midpoint(table.edges[e as usize]));
        let (u, v): ([i32; 3], [i32; 3]) = (std::array::from_fn(|k| b[k] - a[k]), std::array::from_fn(|k| c[k] - a[k]));
        let normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
        assert!(normal.iter().all(|n| *n > 0), "{normal:?}");
    }
}
