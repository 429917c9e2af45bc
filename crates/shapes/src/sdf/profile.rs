//! Plane figures: what is turned on a lathe or extruded.

use crate::math::hypot;

/// A figure in the plane with its exact signed distance, negative inside.
#[derive(Clone, Debug)]
pub enum Profile {
    /// A closed polygon without self-intersections.
    Polygon(Polygon),
    /// Lines of one width.
    Strokes {
        /// From (x, y) to (x, y).
        segments: Vec<[f32; 4]>,
        /// Half the width.
        half_width: f32,
        /// Whether the ends are square rather than round.
        square: bool,
    },
}

/// Edges of a polygon, coordinate by coordinate so that the compiler can look at several at a time.
#[derive(Clone, Debug, Default)]
pub struct Polygon {
    ax: Vec<f32>,
    ay: Vec<f32>,
    ex: Vec<f32>,
    ey: Vec<f32>,
    inverse: Vec<f32>,
    /// (ex / ey) for the crossing test.
    slope: Vec<f32>,
    /// Crossings by edges that are not kept.
    crossings: u32,
}

impl Polygon {
    /// The polygon with these corners, in either sense of rotation. Corners that coincide are taken as one.
    #[must_use]
    pub fn new(corners: &[[f32; 2]]) -> Self {
        Self::with_edges(corners, corners.len())
    }

    /// The right half of a figure that is its own mirror image, from its first corner on the axis to its last: for
    /// points on the right the left half is never nearer, and a ray to the right never meets it.
    #[must_use]
    pub fn right_half(corners: &[[f32; 2]]) -> Self {
        Self::with_edges(corners, corners.len() - 1)
    }

    fn with_edges(corners: &[[f32; 2]], count: usize) -> Self {
        let mut polygon = Self::default();
        for (index, &[ax, ay]) in corners.iter().enumerate().take(count) {
            let [bx, by] = corners[(index + 1) % corners.len()];
            let (ex, ey) = (bx - ax, by - ay);
            let squared = ex * ex + ey * ey;
            if squared < 1e-12 {
                continue;
            }
            polygon.ax.push(ax);
            polygon.ay.push(ay);
            polygon.ex.push(ex);
            polygon.ey.push(ey);
            polygon.inverse.push(1.0 / squared);
            polygon.slope.push(if ey == 0.0 { 0.0 } else { ex / ey });
        }
        polygon
    }

    /// Signed distance.
    #[must_use]
    pub fn distance(&self, x: f32, y: f32) -> f32 {
        let count = self.ax.len();
        let (ax, ay, ex, ey) = (&self.ax[..count], &self.ay[..count], &self.ex[..count], &self.ey[..count]);
        let (inverse, slope) = (&self.inverse[..count], &self.slope[..count]);
        let mut nearest = f32::MAX;
        let mut crossings = self.crossings;
        for i in 0..count {
            let (wx, wy) = (x - ax[i], y - ay[i]);
            let t = ((wx * ex[i] + wy * ey[i]) * inverse[i]).clamp(0.0, 1.0);
            let (dx, dy) = (wx - ex[i] * t, wy - ey[i] * t);
            let squared = dx * dx + dy * dy;
            nearest = if squared < nearest { squared } else { nearest };
            // Half-open in y, so that a corner counts once.
            let spans = (wy >= 0.0) != (wy - ey[i] >= 0.0);
            crossings += u32::from(spans & (wx < wy * slope[i]));
        }
        let distance = nearest.sqrt();
        if crossings % 2 == 1 { -distance } else { distance }
    }

    /// What of it matters within `radius` of a point: the same distances there, bit for bit, from fewer edges.
    fn near(&self, x: f32, y: f32, radius: f32) -> Self {
        // A hair more, for rounding.
        let radius = radius + 1e-4;
        let count = self.ax.len();
        let distance = |i: usize| {
            let (wx, wy) = (x - self.ax[i], y - self.ay[i]);
            let t = ((wx * self.ex[i] + wy * self.ey[i]) * self.inverse[i]).clamp(0.0, 1.0);
            hypot(wx - self.ex[i] * t, wy - self.ey[i] * t)
        };
        let distances: Vec<f32> = (0..count).map(distance).collect();
        let nearest = distances.iter().copied().fold(f32::MAX, f32::min);
        let mut kept = Self { crossings: self.crossings, ..Self::default() };
        for (i, distance) in distances.into_iter().enumerate() {
            let (x0, x1) = (self.ax[i].min(self.ax[i] + self.ex[i]), self.ax[i].max(self.ax[i] + self.ex[i]));
            let (y0, y1) = (self.ay[i].min(self.ay[i] + self.ey[i]), self.ay[i].max(self.ay[i] + self.ey[i]));
            let is_near = distance <= nearest + 2.0 * radius;
            // Rays go to the right.
            let never = y1 < y - radius || y0 > y + radius || x1 < x - radius;
            let always = y0 < y - radius && y1 > y + radius && x0 > x + radius;
            if is_near || !(never || always) {
                kept.ax.push(self.ax[i]);
                kept.ay.push(self.ay[i]);
                kept.ex.push(self.ex[i]);
                kept.ey.push(self.ey[i]);
                kept.inverse.push(self.inverse[i]);
                kept.slope.push(self.slope[i]);
            } else if always {
                kept.crossings += 1;
            }
        }
        kept
    }

    fn corners(&self) -> impl Iterator<Item = [f32; 2]> + '_ {
        let ends = self.ex.iter().zip(&self.ey).map(|(x, y)| [*x, *y]);
        self.ax.iter().zip(&self.ay).zip(ends).flat_map(|((x, y), end)| [[*x, *y], [x + end[0], y + end[1]]])
    }
}

impl Profile {
    /// A polygon.
    #[must_use]
    pub fn polygon(corners: &[[f32; 2]]) -> Self {
        Self::Polygon(Polygon::new(corners))
    }

    /// Signed distance.
    #[must_use]
    pub fn distance(&self, x: f32, y: f32) -> f32 {
        match self {
            Self::Polygon(polygon) => polygon.distance(x, y),
            Self::Strokes { segments, half_width, square } => {
                segments.iter().map(|segment| stroke(*segment, *half_width, *square, x, y)).fold(f32::MAX, f32::min)
            }
        }
    }

    /// What of it matters within `radius` of a point: the same distances there, bit for bit. `None` where that would
    /// save little.
    #[must_use]
    pub fn near(&self, x: f32, y: f32, radius: f32) -> Option<Self> {
        const FEW: usize = 6;
        match self {
            Self::Polygon(polygon) if polygon.ax.len() > FEW => {
                let kept = polygon.near(x, y, radius);
                (kept.ax.len() * 4 < polygon.ax.len() * 3).then_some(Self::Polygon(kept))
            }
            Self::Strokes { segments, half_width, square } if segments.len() > FEW => {
                let distance = |segment: &[f32; 4]| stroke(*segment, *half_width, *square, x, y);
                let nearest = segments.iter().map(distance).fold(f32::MAX, f32::min);
                let mut segments = segments.clone();
                segments.retain(|segment| distance(segment) <= nearest + 2.0 * radius + 1e-4);
                Some(Self::Strokes { segments, half_width: *half_width, square: *square })
            }
            _ => None,
        }
    }

    /// `[x low, y low, x high, y high]`.
    #[must_use]
    pub fn bounds(&self) -> [f32; 4] {
        let grow = |[a, b, c, d]: [f32; 4], x: f32, y: f32, by: f32| {
            [a.min(x - by), b.min(y - by), c.max(x + by), d.max(y + by)]
        };
        let nothing = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
        match self {
            Self::Polygon(polygon) => polygon.corners().fold(nothing, |bounds, [x, y]| grow(bounds, x, y, 0.0)),
            Self::Strokes { segments, half_width, square } => {
                let by = if *square { half_width * std::f32::consts::SQRT_2 } else { *half_width };
                segments
                    .iter()
                    .fold(nothing, |bounds, [ax, ay, bx, by_]| grow(grow(bounds, *ax, *ay, by), *bx, *by_, by))
            }
        }
    }
}

/// Signed distance to one stroke.
fn stroke([ax, ay, bx, by]: [f32; 4], half_width: f32, square: bool, x: f32, y: f32) -> f32 {
    let (ex, ey, wx, wy) = (bx - ax, by - ay, x - ax, y - ay);
    let length = hypot(ex, ey).max(1e-6);
    let (along, across) = ((wx * ex + wy * ey) / length, (wx * ey - wy * ex).abs() / length);
    if square {
        let half = length / 2.0 + half_width;
        let (qx, qy) = ((along - length / 2.0).abs() - half, across - half_width);
        hypot(qx.max(0.0), qy.max(0.0)) + qx.max(qy).min(0.0)
    } else {
        hypot(across, along - along.clamp(0.0, length)) - half_width
    }
}

/// A smooth open line through points (centripetal enough for our profiles: Catmull and Rom 1974), `steps` pieces
/// between each two.
#[must_use]
pub fn spline(points: &[[f32; 2]], steps: usize) -> Vec<[f32; 2]> {
    let last = points.len() - 1;
    let mut line = Vec::with_capacity(last * steps + 1);
    for i in 0..last {
        let at = |k: usize, axis: usize| points[k][axis];
        for step in 0..steps {
            let t = step as f32 / steps as f32;
            line.push(std::array::from_fn(|axis| {
                let (p0, p1) = (at(i.saturating_sub(1), axis), at(i, axis));
                let (p2, p3) = (at(i + 1, axis), at((i + 2).min(last), axis));
                let (a, b) = (2.0 * p1, p2 - p0);
                let (c, d) = (2.0 * p0 - 5.0 * p1 + 4.0 * p2 - p3, 3.0 * p1 - p0 - 3.0 * p2 + p3);
                0.5 * (a + b * t + c * t * t + d * t * t * t)
            }));
        }
    }
    line.push(points[last]);
    line
}

/// A smooth closed line through points.
#[must_use]
pub fn closed_spline(points: &[[f32; 2]], steps: usize) -> Vec<[f32; 2]> {
    let count = points.len();
    let around: Vec<_> = (0..count + 3).map(|i| points[(i + count - 1) % count]).collect();
    let line = spline(&around, steps);
    line[steps..line.len() - 1 - steps].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_to_a_square_is_exact() {
        let square = Profile::polygon(&[[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]);
        for (x, y, wanted) in [(0.0, 0.0, -1.0), (0.5, 0.0, -0.5), (2.0, 0.0, 1.0), (4.0, 5.0, 5.0), (0.0, 1.0, 0.0)] {
            assert!((square.distance(x, y) - wanted).abs() < 1e-6, "{x} {y}");
        }
    }

    #[test]
    fn what_is_near_is_enough_near_by() {
        let polygon: Vec<[f32; 2]> = (0..24)
            .map(|i| (i as f32 * 0.2618, if i % 2 == 0 { 1.0 } else { 0.6 }))
            .map(|(angle, radius)| [radius * f32::cos(angle), radius * f32::sin(angle)])
            .collect();
        let segments = polygon.windows(2).map(|pair| [pair[0][0], pair[0][1], pair[1][0], pair[1][1]]).collect();
        let strokes = Profile::Strokes { segments, half_width: 0.1, square: true };
        for whole in [Profile::polygon(&polygon), strokes] {
            let mut fewer = 0;
            for i in 0..400 {
                let (x, y, radius) = (i as f32 % 20.0 / 8.0 - 1.2, (i / 20) as f32 / 8.0 - 1.2, 0.15);
                let Some(near) = whole.near(x, y, radius) else { continue };
                fewer += 1;
                for k in 0..16 {
                    let (angle, away) = (k as f32 * 0.39, radius * (k % 4) as f32 / 3.0);
                    let (x, y) = (x + away * angle.cos(), y + away * angle.sin());
                    assert_eq!(near.distance(x, y), whole.distance(x, y), "{x} {y}");
                }
            }
            assert!(fewer > 200, "{fewer}");
        }
    }

    #[test]
    fn a_closed_spline_goes_through_its_points() {
        let points = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]];
        let line = closed_spline(&points, 5);
        assert_eq!(line.len(), 20);
        for point in points {
            assert!(line.iter().any(|p| (p[0] - point[0]).hypot(p[1] - point[1]) < 1e-5));
        }
    }
}
