//! Pictures drawn from distance functions, and readings of a field's samples.

use orfeas_engine::{Engine, EngineError, Inflate, Picture, Request, Silent};
use orfeas_field::Field;

/// A picture whose alpha is the coverage of `level >= 0`, a distance in pixels; x right, y down, from the corner.
pub fn drawn(side: u32, level: impl Fn(f32, f32) -> f32) -> Picture {
    let mut rgba = Vec::new();
    for y in 0..side {
        for x in 0..side {
            let alpha = (level(x as f32 + 0.5, y as f32 + 0.5) + 0.5).clamp(0.0, 1.0);
            rgba.extend([10, 20, 30, (alpha * 255.0).round() as u8]);
        }
    }
    Picture::new(side, side, rgba).unwrap()
}

/// The same without soft edges.
pub fn hard(side: u32, inside: impl Fn(i32, i32) -> bool) -> Picture {
    drawn(side, |x, y| if inside(x as i32, y as i32) { 1.0 } else { -1.0 })
}

pub fn try_inflate(picture: &Picture, resolution: u32) -> Result<Field, EngineError> {
    Inflate::new(resolution).unwrap().generate(picture, &Request::default(), &mut Silent)
}

pub fn inflated(picture: &Picture, resolution: u32) -> Field {
    try_inflate(picture, resolution).unwrap()
}

/// Whether each sample is inside, `[n, n, n]`, z fastest.
pub struct Solid {
    pub size: usize,
    pub inside: Vec<bool>,
}

impl Solid {
    pub fn of(field: &Field) -> Self {
        let size = field.grid.samples()[0];
        assert_eq!(field.grid.samples(), [size; 3]);
        let inside = (0..size * size * size)
            .map(|at| field.grid.sample([at / (size * size), at / size % size, at % size]).is_sign_positive())
            .collect();
        Self { size, inside }
    }

    pub fn at(&self, x: usize, y: usize, z: usize) -> bool {
        self.inside[(x * self.size + y) * self.size + z]
    }

    pub fn count(&self) -> usize {
        self.inside.iter().filter(|inside| **inside).count()
    }

    /// Sizes of the parts that samples with the value `wanted` form by their six neighbours.
    pub fn parts(&self, wanted: bool) -> Vec<usize> {
        let n = self.size;
        let mut seen = vec![false; self.inside.len()];
        let mut parts = Vec::new();
        for start in 0..self.inside.len() {
            if seen[start] || self.inside[start] != wanted {
                continue;
            }
            seen[start] = true;
            let mut stack = vec![start];
            let mut size = 0;
            while let Some(at) = stack.pop() {
                size += 1;
                for (stride, place) in [(1, at % n), (n, at / n % n), (n * n, at / (n * n))] {
                    let mut visit = |other: usize| {
                        if !seen[other] && self.inside[other] == wanted {
                            seen[other] = true;
                            stack.push(other);
                        }
                    };
                    if place > 0 {
                        visit(at - stride);
                    }
                    if place + 1 < n {
                        visit(at + stride);
                    }
                }
            }
            parts.push(size);
        }
        parts
    }

    /// Holes of the plane z = 0: regions of outside samples that do not reach the border.
    pub fn holes(&self) -> usize {
        let n = self.size;
        let plane = |x: usize, y: usize| self.at(x, y, n / 2);
        let mut seen = vec![false; n * n];
        let mut holes = 0;
        for start in 0..n * n {
            if seen[start] || plane(start / n, start % n) {
                continue;
            }
            seen[start] = true;
            let (mut stack, mut open) = (vec![start], false);
            while let Some(at) = stack.pop() {
                let (x, y) = (at / n, at % n);
                if x == 0 || y == 0 || x + 1 == n || y + 1 == n {
                    open = true;
                    continue;
                }
                for (x, y) in [(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)] {
                    if !seen[x * n + y] && !plane(x, y) {
                        seen[x * n + y] = true;
                        stack.push(x * n + y);
                    }
                }
            }
            holes += usize::from(!open);
        }
        holes
    }

    /// No sample of the grid's border is inside.
    pub fn closed(&self) -> bool {
        let last = self.size - 1;
        (0..self.size).all(|a| {
            (0..self.size).all(|b| {
                [0, last].iter().all(|&edge| !self.at(edge, a, b) && !self.at(a, edge, b) && !self.at(a, b, edge))
            })
        })
    }
}

/// Where the samples along `axis` through `from` change sign, in samples, linearly interpolated.
pub fn crossings(field: &Field, from: [usize; 3], axis: usize) -> Vec<f32> {
    let size = field.grid.samples()[axis];
    let value = |at: usize| {
        let mut place = from;
        place[axis] = at;
        field.grid.sample(place)
    };
    (1..size)
        .filter(|at| value(at - 1).is_sign_positive() != value(*at).is_sign_positive())
        .map(|at| (at - 1) as f32 + value(at - 1) / (value(at - 1) - value(at)))
        .collect()
}

/// A small generator of pseudo-random numbers (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }
}
