//! sRGB to CIE L*a*b* (D65): distances in it are about as large as they look.

use std::sync::LazyLock;

/// L* from 0 to 100, a* and b* roughly from -110 to 110.
pub(crate) type Lab = [f32; 3];

/// The sRGB transfer curve, for every 8-bit value.
static LINEAR: LazyLock<[f32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|value| {
        let v = value as f32 / 255.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    })
});

/// One colour.
pub(crate) fn lab([r, g, b]: [u8; 3]) -> Lab {
    let [r, g, b] = [r, g, b].map(|value| LINEAR[usize::from(value)]);
    let curve = |t: f32| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
    let x = curve((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505);
    let y = curve(0.2126 * r + 0.7152 * g + 0.0722 * b);
    let z = curve((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089);
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// Squared distance.
pub(crate) fn distance2(a: Lab, b: Lab) -> f32 {
    (0..3).map(|c| (a[c] - b[c]) * (a[c] - b[c])).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_colours() {
        let near = |rgb, expected: Lab| assert!(distance2(lab(rgb), expected) < 0.05, "{rgb:?} {:?}", lab(rgb));
        near([255, 255, 255], [100.0, 0.0, 0.0]);
        near([0, 0, 0], [0.0, 0.0, 0.0]);
        near([255, 0, 0], [53.24, 80.09, 67.2]);
        near([0, 0, 255], [32.3, 79.19, -107.86]);
    }
}
