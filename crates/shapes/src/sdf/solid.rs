//! A finished object: a tree of parts, and a grid of cells in each of which only the parts that matter there are kept.
//!
//! The values are the whole tree's, bit for bit: a part is left out of a cell only where intervals show that it can
//! never be the one that decides there. That is what makes pictures and samples cheap.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Link, Paint, Part, Primitive, Shape, smooth_min};
use crate::math::{Placement, Vec3, v};

/// Two corners of a box.
pub type Bounds3 = (Vec3, Vec3);

/// Cells along an axis; [`COARSE`] doubled some times.
const CELLS: usize = 24;
/// The same while the object's size is still being measured.
const FIRST_CELLS: usize = 12;
/// Cells along an axis of the first, coarse grid that the finer ones are made from.
const COARSE: usize = 6;
/// Half the side of the cube that the cells fill. Beyond it the whole tree is asked.
const EXTENT: f32 = 1.02;

/// A tree whose leaves are numbers of parts.
#[derive(Clone, Debug)]
enum Node {
    Part(u32),
    /// What matters of a part thereabouts, and the part's number.
    Local(Arc<Part>, u32),
    Union(Vec<Node>, f32),
    Cut(Box<Node>, Box<Node>, f32),
    Both(Box<Node>, Box<Node>, f32),
}

/// One cell of the grid.
#[derive(Clone, Debug)]
pub struct Cell {
    node: Node,
    /// Distances in the cell are between these.
    pub low: f32,
    /// See `low`.
    pub high: f32,
}

/// A finished object, its longest side from -[`Solid::HALF`] to [`Solid::HALF`] and its box around the origin.
#[derive(Clone, Debug)]
pub struct Solid {
    parts: Vec<Part>,
    root: Node,
    cells: Vec<Cell>,
    /// Cells along an axis.
    count: usize,
}

impl Solid {
    /// Half the longest side. The model's box is ±1.01; Hunyuan3D-2's shapes nearly fill it.
    pub const HALF: f32 = 0.95;

    /// Finishes a shape: fits it into the box.
    #[must_use]
    pub fn new(mut shape: Shape) -> Self {
        // First by the boxes of its parts, which may be too large, then by its surface.
        for round in 0..2 {
            let (low, high) =
                if round == 0 { shape.bounds() } else { Self::build(&shape, FIRST_CELLS).surface_bounds() };
            let size = high - low;
            let scale = 2.0 * Self::HALF / size.largest().max(1e-6);
            let middle = (low + high) * 0.5;
            shape = shape.placed(&Placement::shift(-middle).then(&Placement::scaled(scale)));
        }
        Self::build(&shape, CELLS)
    }

    fn build(shape: &Shape, count: usize) -> Self {
        let mut parts = Vec::new();
        let root = flatten(shape, &mut parts);
        let mut solid = Self { parts, root, cells: Vec::new(), count };
        // From coarse to fine, each cell from the one around it.
        let mut above: Vec<Cell> = Vec::new();
        let mut side = COARSE;
        loop {
            let radius = 3f32.sqrt() * EXTENT / side as f32;
            let cell = |i: usize| {
                let [x, y, z] = unfold(i, side).map(|k| k / 2);
                let half = side / 2;
                let from = above.get((x * half + y) * half + z).map_or(&solid.root, |cell| &cell.node);
                let mut cell = solid.prune(from, centre(i, side), radius);
                // Where the surface is near, it pays to look at fewer edges of figures too.
                if side > COARSE && cell.low < 0.5 * radius && cell.high > -0.5 * radius {
                    solid.localise(&mut cell.node, centre(i, side), radius);
                }
                cell
            };
            let cells = (0..side.pow(3)).into_par_iter().with_min_len(256).map(cell).collect();
            if side == count {
                solid.cells = cells;
                return solid;
            }
            (above, side) = (cells, 2 * side);
        }
    }

    /// Leaves out what does not matter within `radius` of a point of the parts themselves.
    fn localise(&self, node: &mut Node, p: Vec3, radius: f32) {
        let (part, index) = match node {
            Node::Part(index) => (&self.parts[*index as usize], *index),
            Node::Local(part, index) => (&**part, *index),
            Node::Union(nodes, _) => return nodes.iter_mut().for_each(|node| self.localise(node, p, radius)),
            Node::Cut(a, b, _) | Node::Both(a, b, _) => {
                self.localise(a, p, radius);
                return self.localise(b, p, radius);
            }
        };
        let (own, own_radius) = (part.placement.back(p), radius / part.placement.scale);
        if let Some(primitive) = part.primitive.near(own, own_radius) {
            let (placement, paint) = (part.placement, part.paint);
            *node = Node::Local(Arc::new(Part { primitive, placement, paint }), index);
        }
    }

    /// Parts of the whole tree.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The cell that a point lies in.
    #[must_use]
    pub fn cell(&self, p: Vec3) -> Option<&Cell> {
        let count = self.count;
        let at = |x: f32| (x + EXTENT) * (count as f32 / (2.0 * EXTENT));
        let (x, y, z) = (at(p.x), at(p.y), at(p.z));
        let within = |k: f32| k >= 0.0 && k < count as f32;
        // Rounded towards zero, which is down; `floor` is a call on processors without SSE 4.1.
        (within(x) && within(y) && within(z))
            .then(|| &self.cells[(x as i32 as usize * count + y as i32 as usize) * count + z as i32 as usize])
    }

    /// How far a ray from a point in the grid goes until it leaves its cell.
    #[must_use]
    pub fn way_out(&self, p: Vec3, inverse: Vec3) -> f32 {
        let (side, per_side) = (2.0 * EXTENT / self.count as f32, self.count as f32 / (2.0 * EXTENT));
        let axis = |x: f32, inverse: f32| {
            let at = ((x + EXTENT) * per_side) as i32 as f32;
            let wall = if inverse > 0.0 { at + 1.0 } else { at } * side - EXTENT;
            (wall - x) * inverse
        };
        axis(p.x, inverse.x).min(axis(p.y, inverse.y)).min(axis(p.z, inverse.z)).max(0.0)
    }

    /// Half the side of the cube that has cells.
    #[must_use]
    pub fn extent(&self) -> f32 {
        EXTENT
    }

    /// Signed distance, negative inside.
    #[must_use]
    pub fn distance(&self, p: Vec3) -> f32 {
        self.eval(self.cell(p).map_or(&self.root, |cell| &cell.node), p)
    }

    /// Signed distance by the whole tree: what [`Self::distance`] gives faster.
    #[must_use]
    pub fn distance_by_all(&self, p: Vec3) -> f32 {
        self.eval(&self.root, p)
    }

    /// Signed distance in a cell that the point is known to lie in.
    #[must_use]
    pub fn distance_in(&self, cell: &Cell, p: Vec3) -> f32 {
        self.eval(&cell.node, p)
    }

    /// The gradient of the distance, by differences (four points of a tetrahedron).
    #[must_use]
    pub fn gradient(&self, p: Vec3, step: f32) -> Vec3 {
        let corners = [v(1.0, -1.0, -1.0), v(-1.0, -1.0, 1.0), v(-1.0, 1.0, -1.0), v(1.0, 1.0, 1.0)];
        let sum = corners.iter().fold(Vec3::default(), |sum, k| sum + *k * self.distance(p + *k * step));
        sum * (1.0 / (4.0 * step))
    }

    /// The gradient where the distance is known, by differences forward: three distances instead of four, and as good
    /// for normals.
    #[must_use]
    pub fn gradient_from(&self, p: Vec3, distance: f32, step: f32) -> Vec3 {
        let ahead = |way: Vec3| self.distance(p + way * step) - distance;
        v(ahead(v(1.0, 0.0, 0.0)), ahead(v(0.0, 1.0, 0.0)), ahead(v(0.0, 0.0, 1.0))) * (1.0 / step)
    }

    /// The material at a point near the surface: the nearest part's.
    #[must_use]
    pub fn paint(&self, p: Vec3) -> Paint {
        let node = self.cell(p).map_or(&self.root, |cell| &cell.node);
        self.parts[self.nearest(node, p).1 as usize].paint
    }

    /// All materials.
    #[must_use]
    pub fn paints(&self) -> Vec<Paint> {
        let mut paints: Vec<Paint> = Vec::new();
        for part in &self.parts {
            if !paints.iter().any(|paint| paint.slot == part.paint.slot) {
                paints.push(part.paint);
            }
        }
        paints
    }

    /// The box of the surface, to about a hundredth of its size.
    #[must_use]
    pub fn surface_bounds(&self) -> Bounds3 {
        let sides: Vec<f32> = (0..6usize).into_par_iter().map(|side| self.outermost(side / 2, side % 2 == 1)).collect();
        (v(sides[0], sides[2], sides[4]), v(sides[1], sides[3], sides[5]))
    }

    /// The least or greatest coordinate of the surface along an axis: layer by layer from outside, in the first layer
    /// of cells that has any surface.
    fn outermost(&self, axis: usize, upper: bool) -> f32 {
        const STEPS: usize = 6;
        let side = 2.0 * EXTENT / self.count as f32;
        let sign = if upper { 1.0 } else { -1.0 };
        let near = 0.75 * side / STEPS as f32;
        // Whether any point of each eighth of a cell can be near the surface, by the eighth's middle.
        let steepness = self.parts.iter().map(|part| part.primitive.steepness()).fold(1.0, f32::max);
        let reach = near + 1e-4 + steepness * 3f32.sqrt() * side / STEPS as f32;
        let live = |index: usize| {
            let corner = centre(index, self.count) - v(side, side, side) * 0.5;
            std::array::from_fn(|eighth| {
                let middle = [eighth / 4, eighth / 2 % 2, eighth % 2].map(|k| (k as f32 + 0.5) * side / 2.0);
                self.distance(corner + v(middle[0], middle[1], middle[2])).abs() <= reach
            })
        };
        for layer in 0..self.count {
            let layer = if upper { self.count - 1 - layer } else { layer };
            let across = |within: usize| {
                let (a, b) = (within / self.count, within % self.count);
                let [x, y, z] = [[layer, a, b], [a, layer, b], [a, b, layer]][axis];
                (x * self.count + y) * self.count + z
            };
            let open = |index: &usize| self.cells[*index].low <= 0.0 && self.cells[*index].high >= 0.0;
            let cells = (0..self.count * self.count).map(across).filter(open);
            let cells: Vec<(usize, [bool; 8])> = cells.map(|index| (index, live(index))).collect();
            let mut most = f32::MIN;
            // From its outer side inwards, until what lies deeper cannot come out as far as what is there.
            for deep in 0..STEPS {
                let deep = if upper { STEPS - 1 - deep } else { deep };
                let place = |k: usize| (k as f32 + 0.5) * side / STEPS as f32;
                for &(index, live) in &cells {
                    let cell = &self.cells[index];
                    let corner = centre(index, self.count) - v(side, side, side) * 0.5;
                    if sign * (corner.array()[axis] + place(deep)) + near * 2.01 <= most {
                        continue;
                    }
                    for step in 0..STEPS * STEPS {
                        let (a, b) = (step / STEPS, step % STEPS);
                        let within = [[deep, a, b], [a, deep, b], [a, b, deep]][axis];
                        let [i, j, k] = within.map(|step| step / (STEPS / 2));
                        if !live[4 * i + 2 * j + k] {
                            continue;
                        }
                        let [x, y, z] = within.map(place);
                        let p = corner + v(x, y, z);
                        let distance = self.distance_in(cell, p);
                        if distance.abs() < near {
                            // Twice as far as the distance at the most.
                            let normal = self.gradient(p, 1e-3);
                            let p = p - normal * (distance / normal.dot(normal).max(0.25));
                            if self.distance(p).abs() < 0.02 {
                                most = most.max(sign * p.array()[axis]);
                            }
                        }
                    }
                }
            }
            if most > f32::MIN {
                return sign * most;
            }
        }
        sign * EXTENT
    }

    /// Whether more than a hair is inside: the middle of at least one cell.
    #[must_use]
    pub fn has_inside(&self) -> bool {
        let inside =
            |(index, cell): (usize, &Cell)| cell.low < 0.0 && self.distance_in(cell, centre(index, self.count)) < 0.0;
        self.cells.iter().enumerate().any(inside)
    }

    /// Points in the cells that the surface may go through: the corner of each such cell, and the side of all.
    #[must_use]
    pub fn surface_cells(&self) -> (Vec<Vec3>, f32) {
        let side = 2.0 * EXTENT / self.count as f32;
        let near = |(index, cell): (usize, &Cell)| {
            (cell.low <= 0.0 && cell.high >= 0.0).then(|| centre(index, self.count) - v(side, side, side) * 0.5)
        };
        (self.cells.iter().enumerate().filter_map(near).collect(), side)
    }

    fn eval(&self, node: &Node, p: Vec3) -> f32 {
        match node {
            Node::Part(part) => self.parts[*part as usize].distance(p),
            Node::Local(part, _) => part.distance(p),
            Node::Union(nodes, k) => {
                let mut value = f32::MAX;
                for node in nodes {
                    let next = self.eval(node, p);
                    value = if *k > 0.0 { smooth_min(value, next, *k) } else { value.min(next) };
                }
                value
            }
            Node::Cut(a, b, k) => -smooth_min(-self.eval(a, p), self.eval(b, p), *k),
            Node::Both(a, b, k) => -smooth_min(-self.eval(a, p), -self.eval(b, p), *k),
        }
    }

    fn nearest(&self, node: &Node, p: Vec3) -> (f32, u32) {
        match node {
            Node::Part(part) => (self.parts[*part as usize].distance(p), *part),
            Node::Local(part, index) => (part.distance(p), *index),
            Node::Union(nodes, _) => nodes
                .iter()
                .map(|node| self.nearest(node, p))
                .fold((f32::MAX, 0), |best, next| if next.0 < best.0 { next } else { best }),
            // What was cut away shows the material that is left.
            Node::Cut(a, b, k) => {
                let (value, part) = self.nearest(a, p);
                (-smooth_min(-value, self.eval(b, p), *k), part)
            }
            Node::Both(a, b, k) => {
                let ((a, part), b) = (self.nearest(a, p), self.eval(b, p));
                (-smooth_min(-a, -b, *k), part)
            }
        }
    }

    /// What of a node matters within `radius` of a point, and the interval of its values there.
    fn prune(&self, node: &Node, p: Vec3, radius: f32) -> Cell {
        match node {
            Node::Part(index) => prune_part(node, &self.parts[*index as usize], p, radius),
            Node::Local(part, _) => prune_part(node, part, p, radius),
            Node::Union(nodes, k) => {
                let mut cells: Vec<Cell> = nodes.iter().map(|node| self.prune(node, p, radius)).collect();
                let high = cells.iter().map(|cell| cell.high).fold(f32::MAX, f32::min);
                // Within k of the least a value changes it; what lies a few k beyond changes nothing, even by way of
                // others: a smooth union of any number is never more than k below its least.
                cells.retain(|cell| cell.low <= high + 3.0 * k);
                let low = cells.iter().map(|cell| cell.low).fold(f32::MAX, f32::min);
                // Each merging takes away a quarter of k at most, all together less than k.
                let low = low - k * (0.25 * (cells.len() - 1) as f32).min(1.0);
                let mut nodes: Vec<Node> = cells.into_iter().map(|cell| cell.node).collect();
                let node = if nodes.len() == 1 { nodes.remove(0) } else { Node::Union(nodes, *k) };
                Cell { node, low, high }
            }
            Node::Cut(a, b, k) => {
                let (a, b) = (self.prune(a, p, radius), self.prune(b, p, radius));
                // The tool is too far away to matter.
                if -b.low < a.low - k {
                    return a;
                }
                let (low, high) = (a.low.max(-b.high), a.high.max(-b.low) + k / 4.0);
                Cell { node: Node::Cut(Box::new(a.node), Box::new(b.node), *k), low, high }
            }
            Node::Both(a, b, k) => {
                let (a, b) = (self.prune(a, p, radius), self.prune(b, p, radius));
                if b.high < a.low - k {
                    return a;
                }
                let (low, high) = (a.low.max(b.low), a.high.max(b.high) + k / 4.0);
                Cell { node: Node::Both(Box::new(a.node), Box::new(b.node), *k), low, high }
            }
        }
    }
}

fn prune_part(node: &Node, part: &Part, p: Vec3, radius: f32) -> Cell {
    // A hair more than the steepness says, for rounding.
    let (value, change) = (part.distance(p), radius * part.primitive.steepness() + 1e-4);
    Cell { node: node.clone(), low: value - change, high: value + change }
}

fn flatten(shape: &Shape, parts: &mut Vec<Part>) -> Node {
    match shape {
        Shape::Part(part) => {
            let mut add = |part: Part| {
                parts.push(part);
                Node::Part(parts.len() as u32 - 1)
            };
            match &part.primitive {
                // Link by link, so that a cell keeps only the links that matter there.
                Primitive::Chain(balls) if balls.len() > 1 => {
                    let link = |pair: &[(Vec3, f32)]| Part {
                        primitive: Primitive::Link(Link::new(pair[0], pair[1])),
                        ..(**part).clone()
                    };
                    Node::Union(balls.windows(2).map(|pair| add(link(pair))).collect(), 0.0)
                }
                _ => add((**part).clone()),
            }
        }
        Shape::Union(shapes, k) => Node::Union(shapes.iter().map(|shape| flatten(shape, parts)).collect(), *k),
        Shape::Cut(a, b, k) => Node::Cut(Box::new(flatten(a, parts)), Box::new(flatten(b, parts)), *k),
        Shape::Both(a, b, k) => Node::Both(Box::new(flatten(a, parts)), Box::new(flatten(b, parts)), *k),
    }
}

fn unfold(index: usize, cells: usize) -> [usize; 3] {
    [index / (cells * cells), index / cells % cells, index % cells]
}

fn centre(index: usize, cells: usize) -> Vec3 {
    let [x, y, z] = unfold(index, cells).map(|k| (2.0 * k as f32 + 1.0) / cells as f32 - 1.0);
    v(x, y, z) * EXTENT
}
