//! Quadric error metric (Garland and Heckbert 1997), planes weighted by area.

/// The sum of squared distances to weighted planes, as `pᵀ A p + 2 b p + c`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quadric {
    /// Upper triangle of A: xx, xy, xz, yy, yz, zz.
    a: [f64; 6],
    b: [f64; 3],
    c: f64,
}

/// Pulls the optimum towards the middle of the edge, as part of the weight: decides where the planes leave a direction
/// free (a flat region, a straight ridge), and is far too weak to matter where they do not.
const PULL: f64 = 1e-3;

impl Quadric {
    /// A plane by its unit normal and a point on it.
    pub(crate) fn plane(normal: [f64; 3], point: [f64; 3], weight: f64) -> Self {
        let [x, y, z] = normal;
        let d = -(x * point[0] + y * point[1] + z * point[2]);
        Self {
            a: [x * x, x * y, x * z, y * y, y * z, z * z].map(|v| v * weight),
            b: [x, y, z].map(|v| v * d * weight),
            c: d * d * weight,
        }
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self {
            a: std::array::from_fn(|k| self.a[k] + other.a[k]),
            b: std::array::from_fn(|k| self.b[k] + other.b[k]),
            c: self.c + other.c,
        }
    }

    /// The sum of the weights (normals have length one, so it is the trace of A).
    pub(crate) fn weight(&self) -> f64 {
        self.a[0] + self.a[3] + self.a[5]
    }

    pub(crate) fn error(&self, [x, y, z]: [f64; 3]) -> f64 {
        let [xx, xy, xz, yy, yz, zz] = self.a;
        let square = xx * x * x + yy * y * y + zz * z * z + 2.0 * (xy * x * y + xz * x * z + yz * y * z);
        (square + 2.0 * (self.b[0] * x + self.b[1] * y + self.b[2] * z) + self.c).max(0.0)
    }

    /// The point of least error near `middle`; `None` where numbers fail.
    pub(crate) fn optimum(&self, middle: [f64; 3]) -> Option<[f64; 3]> {
        let pull = self.weight() * PULL;
        let [xx, xy, xz, yy, yz, zz] = self.a;
        let (xx, yy, zz) = (xx + pull, yy + pull, zz + pull);
        // The adjugate of a symmetric matrix.
        let (c00, c01, c02) = (yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy);
        let (c11, c12, c22) = (xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy);
        let inverse = 1.0 / (xx * c00 + xy * c01 + xz * c02);
        let [x, y, z]: [f64; 3] = std::array::from_fn(|k| pull * middle[k] - self.b[k]);
        let point = [c00 * x + c01 * y + c02 * z, c01 * x + c11 * y + c12 * z, c02 * x + c12 * y + c22 * z]
            .map(|v| v * inverse);
        point.iter().all(|v| v.is_finite()).then_some(point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_planes_meet_in_a_point() {
        let point = [0.3, -0.2, 0.7];
        let sum = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.6, 0.8]]
            .map(|normal| Quadric::plane(normal, point, 2.0))
            .iter()
            .fold(Quadric::default(), |sum, plane| sum.plus(plane));
        assert!(sum.error(point) < 1e-12);
        assert!((sum.error([1.3, -0.2, 0.7]) - 2.0).abs() < 1e-9);
        let found = sum.optimum([0.31, -0.21, 0.71]).unwrap();
        assert!((0..3).all(|k| (found[k] - point[k]).abs() < 1e-3), "{found:?}");
    }

    #[test]
    fn a_single_plane_keeps_the_middle_within_it() {
        let plane = Quadric::plane([0.0, 0.0, 1.0], [0.0, 0.0, 2.0], 1.0);
        let found = plane.optimum([5.0, 6.0, 2.5]).unwrap();
        assert!((found[0] - 5.0).abs() < 1e-9 && (found[1] - 6.0).abs() < 1e-9 && (found[2] - 2.0).abs() < 1e-2);
    }
}
