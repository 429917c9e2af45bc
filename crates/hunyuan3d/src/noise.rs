//! The noise that a shape is made of: ours, documented, and the same on every device.
//!
//! Philox4x32-10 (Salmon et al. 2011) with the seed as its key and the sample's number as its counter gives uniform
//! words; Box and Muller's transform (1958) in float64 gives normal values, rounded once to float32. Logarithm and sines
//! come from the `libm` crate rather than the system's, so that the same seed is the same noise everywhere; it is made
//! on the host and carried to the device.

/// `count` values of the standard normal distribution.
#[must_use]
pub fn normal(seed: u64, count: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 3);
    let mut counter = 0u64;
    while values.len() < count {
        let words = philox([counter as u32, (counter >> 32) as u32, 0, 0], [seed as u32, (seed >> 32) as u32]);
        for pair in words.chunks_exact(2) {
            // Never 0, whose logarithm is none.
            let radius = (-2.0 * libm::log((f64::from(pair[0]) + 0.5) / 4_294_967_296.0)).sqrt();
            let angle = std::f64::consts::TAU * f64::from(pair[1]) / 4_294_967_296.0;
            values.extend([(radius * libm::cos(angle)) as f32, (radius * libm::sin(angle)) as f32]);
        }
        counter += 1;
    }
    values.truncate(count);
    values
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let [low0, high0] = halves(u64::from(counter[0]) * 0xd251_1f53);
        let [low1, high1] = halves(u64::from(counter[2]) * 0xcd9e_8d57);
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

fn halves(product: u64) -> [u32; 2] {
    [product as u32, (product >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of the authors' own distribution (Random123's `kat_vectors`, philox4x32 with 10 rounds).
    #[test]
    fn philox_is_philox() {
        let none = philox([0; 4], [0; 2]);
        assert_eq!(none, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let all = philox([u32::MAX; 4], [u32::MAX; 2]);
        assert_eq!(all, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]);
        assert_eq!(pi, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn the_noise_is_normal_and_hangs_on_the_seed_alone() {
        let values = normal(7, 100_000);
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / 1e5;
        let variance = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / 1e5;
        let fourth = values.iter().map(|v| f64::from(*v).powi(4)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02 && (fourth - 3.0).abs() < 0.1);
        assert_eq!(normal(7, 33), values[..33]);
        assert_ne!(normal(8, 33), values[..33]);
    }
}
