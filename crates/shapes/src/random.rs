//! Seeded random numbers: the same on every machine and for every number of threads.

/// SplitMix64 (Steele, Lea and Flood 2014). Small, and good enough for choosing shapes.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The stream of a name and numbers: different names give unrelated streams.
    #[must_use]
    pub fn new(name: &str, numbers: &[u64]) -> Self {
        // FNV-1a over everything; SplitMix64's output function does the mixing.
        let mut state = 0xcbf2_9ce4_8422_2325_u64;
        let mut eat = |byte: u8| state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        name.bytes().for_each(&mut eat);
        eat(0);
        numbers.iter().flat_map(|number| number.to_le_bytes()).for_each(&mut eat);
        let mut rng = Self { state };
        rng.next();
        rng
    }

    /// 64 random bits.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to 1, exclusive.
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// From `low` to `high`.
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// A whole number from `low` to `high`, both included.
    pub fn int(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    /// Whether something happens that does so with this probability.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.int(0, from.len() - 1)]
    }

    /// -1 or 1.
    pub fn sign(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    /// Normally distributed with standard deviation 1 (Box and Muller 1958).
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f32::consts::TAU * self.unit()).cos()
    }

    /// A value near 1, within a factor of `1 + spread` either way.
    pub fn about(&mut self, value: f32, spread: f32) -> f32 {
        let most = (1.0 + spread).ln();
        value * self.range(-most, most).exp()
    }
}
