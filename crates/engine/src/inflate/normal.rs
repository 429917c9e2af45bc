//! The normal distribution, for a Gaussian blur that is exact on pixels and can be turned back into a distance.

/// The cumulative distribution function, to 1.5e-7 (Abramowitz & Stegun 1964, 7.1.26).
pub(crate) fn cdf(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let series =
        t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let tail = 0.5 * series * (-z * z).exp();
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// The inverse of [`cdf`] on `[0.0005, 0.9995]`, to about 1e-9 (P. J. Acklam's rational approximation).
pub(crate) fn quantile(p: f64) -> f64 {
    let p = p.clamp(0.0005, 0.9995);
    let tail = p.min(1.0 - p);
    if tail >= 0.02425 {
        let q = p - 0.5;
        let r = q * q;
        let above = ((((-3.969_683_028_665_376e1 * r + 2.209_460_984_245_205e2) * r - 2.759_285_104_469_687e2) * r
            + 1.383_577_518_672_69e2)
            * r
            - 3.066_479_806_614_716e1)
            * r
            + 2.506_628_277_459_239;
        let below = ((((-5.447_609_879_822_406e1 * r + 1.615_858_368_580_409e2) * r - 1.556_989_798_598_866e2) * r
            + 6.680_131_188_771_972e1)
            * r
            - 1.328_068_155_288_572e1)
            * r
            + 1.0;
        return q * above / below;
    }
    let q = (-2.0 * tail.ln()).sqrt();
    let above = ((((-7.784_894_002_430_293e-3 * q - 3.223_964_580_411_365e-1) * q - 2.400_758_277_161_838) * q
        - 2.549_732_539_343_734)
        * q
        + 4.374_664_141_464_968)
        * q
        + 2.938_163_982_698_783;
    let below = (((7.784_695_709_041_462e-3 * q + 3.224_671_290_700_398e-1) * q + 2.445_134_137_142_996) * q
        + 3.754_408_661_907_416)
        * q
        + 1.0;
    let lower = above / below;
    if p < 0.5 { lower } else { -lower }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_undoes_the_other() {
        for step in -32..=32 {
            let x = f64::from(step) * 0.1;
            assert!((quantile(cdf(x)) - x).abs() < 1e-4, "{x}");
        }
        assert!((cdf(1.0) - 0.841_344_7).abs() < 1e-6);
    }
}
