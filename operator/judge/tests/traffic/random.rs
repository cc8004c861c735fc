//! Random numbers from a seed (`SplitMix64`), and the distributions that requests have.

#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xA24B_AED4_963E_E407).wrapping_add(0x9FB2_1C65_1E98_DF25))
    }

    /// In [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// How many of `n` happen, each with probability `p`.
    pub(crate) fn binomial(&mut self, n: u64, p: f64) -> u64 {
        if p <= 0.0 {
            return 0;
        }
        if p > 0.1 {
            return (0..n).map(|_| u64::from(self.unit() < p)).sum();
        }
        // From one that happens to the next.
        let scale = (-p).ln_1p().recip();
        let (mut at, mut happened) = (0_u64, 0);
        loop {
            let gap = ((1.0 - self.unit()).ln() * scale).floor();
            at = at.saturating_add(whole(gap)).saturating_add(1);
            if at > n {
                return happened;
            }
            happened += 1;
        }
    }

    /// How many happen in a time in which `mean` are to be expected.
    pub(crate) fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 50.0 {
            return whole((mean + mean.sqrt() * self.normal()).round().max(0.0));
        }
        let (mut left, mut happened) = (self.unit(), 0);
        let mut chance = (-mean).exp();
        let mut count = 0.0;
        while left > chance && chance > 0.0 {
            left -= chance;
            happened += 1;
            count += 1.0;
            chance *= mean / count;
        }
        happened
    }

    /// The standard normal distribution.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates; never negative")]
fn whole(number: f64) -> u64 {
    number as u64
}
