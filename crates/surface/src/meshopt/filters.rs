//! Filters: what an attribute becomes before it is encoded, or after it was decoded.

/// A unit vector as filter OCTAHEDRAL wants it in four bytes: two coordinates on the octahedron, one, and nothing.
pub(crate) fn octahedral(normal: [f32; 3]) -> [u8; 4] {
    let [x, y, z] = normal;
    let sum = (x.abs() + y.abs() + z.abs()).max(f32::MIN_POSITIVE);
    let (x, y) = (x / sum, y / sum);
    let [u, v] = if z < 0.0 { [(1.0 - y.abs()).copysign(x), (1.0 - x.abs()).copysign(y)] } else { [x, y] };
    let byte = |value: f32| (value * 127.0).round() as i8 as u8;
    [byte(u), byte(v), 127, 0]
}

/// The number that filter EXPONENTIAL keeps in a word: eight bits of exponent above 24 of mantissa, both signed.
pub(crate) fn exponential(word: u32) -> f32 {
    let exponent = word as i32 >> 24;
    let mantissa = (word as i32) << 8 >> 8;
    (f64::from(mantissa) * f64::from(exponent).exp2()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normals_come_back_by_the_formula_of_the_specification() {
        for n in 0..5000 {
            // A spiral over the sphere.
            let z = 1.0 - 2.0 * (n as f32 + 0.5) / 5000.0;
            let (sin, cos) = (n as f32 * 2.4).sin_cos();
            let r = (1.0 - z * z).sqrt();
            let normal = [r * cos, r * sin, z];
            let [u, v, one, _] = octahedral(normal).map(|byte| f32::from(byte as i8));
            let (mut x, mut y) = (u / one, v / one);
            let z = 1.0 - x.abs() - y.abs();
            let t = z.min(0.0);
            x -= t.copysign(x);
            y -= t.copysign(y);
            let length = (x * x + y * y + z * z).sqrt();
            let cosine = (x * normal[0] + y * normal[1] + z * normal[2]) / length;
            assert!(cosine > 0.9998, "{normal:?}: {cosine}");
        }
    }

    #[test]
    fn exponents_are_signed() {
        assert_eq!(exponential(0x0000_0005), 5.0);
        assert_eq!(exponential(0xff00_0005), 2.5);
        assert_eq!(exponential(0x02ff_ffff), -4.0);
    }
}
