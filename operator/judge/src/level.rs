//! How often a verdict may be wrong.

use serde::{Deserialize, Serialize};

/// The chance, over a whole rollout and however often one looks, that a verdict is given that is wrong. Above 0 and
/// below 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Level(f64);

/// A level that is none.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a level must be more than 0 and less than 1, not {0}")]
pub struct NoLevel(f64);

impl Level {
    /// One in a thousand rollouts.
    pub const ONE_IN_A_THOUSAND: Self = Self(0.001);
    /// One in twenty.
    pub const ONE_IN_TWENTY: Self = Self(0.05);

    /// From a probability.
    pub fn new(level: f64) -> Result<Self, NoLevel> {
        if level > 0.0 && level < 1.0 { Ok(Self(level)) } else { Err(NoLevel(level)) }
    }

    /// The probability.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The evidence that a verdict needs: the natural logarithm of `1/level`.
    #[must_use]
    pub fn needed(self) -> f64 {
        -self.0.ln()
    }

    /// The part of this level that one of several tests may use, `part` of `all`. If each keeps to its part, all of
    /// them together keep to the level, however they depend on one another (Bonferroni).
    #[must_use]
    pub(crate) fn part(self, part: f64, all: f64) -> Self {
        Self(self.0 * part / all)
    }
}

impl TryFrom<f64> for Level {
    type Error = NoLevel;

    fn try_from(level: f64) -> Result<Self, NoLevel> {
        Self::new(level)
    }
}

impl From<Level> for f64 {
    fn from(level: Level) -> Self {
        level.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_probability_that_is_neither_0_nor_1() {
        for level in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(Level::new(level).is_err(), "{level}");
        }
        assert!((Level::ONE_IN_TWENTY.needed() - 20_f64.ln()).abs() < 1e-12);
        assert!((Level::ONE_IN_TWENTY.part(1.0, 2.0).get() - 0.025).abs() < 1e-12);
    }
}
