//! How much worse than the stable version a canary may be.

use serde::{Deserialize, Serialize};

/// The canary's rate of bad requests may be `factor` times the stable version's plus `allowance`.
///
/// A margin is not a weakness: pods of one and the same version differ, and a canary that is one pod among many is
/// compared with an average. Without a margin such a difference, real but of no account, is found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Margin {
    factor: f64,
    allowance: f64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Written {
    factor: f64,
    allowance: f64,
}

/// A margin that is none.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum NoMargin {
    /// The factor is below 1, infinite or not a number.
    #[error("the factor of a margin must be at least 1 and at most 1000, not {0}")]
    Factor(f64),
    /// The allowance is no share below 1.
    #[error("the allowance of a margin must be at least 0 and less than 1, not {0}")]
    Allowance(f64),
}

impl Margin {
    /// No worse at all.
    pub const NONE: Self = Self { factor: 1.0, allowance: 0.0 };

    /// From `factor` (1 to 1000) and `allowance` (a share, 0 to less than 1).
    pub fn new(factor: f64, allowance: f64) -> Result<Self, NoMargin> {
        if !(1.0..=1000.0).contains(&factor) {
            return Err(NoMargin::Factor(factor));
        }
        if !(0.0..1.0).contains(&allowance) {
            return Err(NoMargin::Allowance(allowance));
        }
        Ok(Self { factor, allowance })
    }

    /// What the stable version's rate is multiplied by.
    #[must_use]
    pub const fn factor(self) -> f64 {
        self.factor
    }

    /// What is added to it.
    #[must_use]
    pub const fn allowance(self) -> f64 {
        self.allowance
    }

    /// The highest rate that is still allowed, given the stable version's. May exceed 1: then nothing is too bad.
    #[must_use]
    pub fn limit(self, stable: f64) -> f64 {
        self.factor * stable + self.allowance
    }
}

impl TryFrom<Written> for Margin {
    type Error = NoMargin;

    fn try_from(written: Written) -> Result<Self, NoMargin> {
        Self::new(written.factor, written.allowance)
    }
}

impl From<Margin> for Written {
    fn from(margin: Margin) -> Self {
        Self { factor: margin.factor, allowance: margin.allowance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_margin_is_refused() {
        for (factor, allowance) in
            [(0.9, 0.0), (f64::NAN, 0.0), (f64::INFINITY, 0.0), (1.0, 1.0), (1.0, -0.1)]
        {
            assert!(Margin::new(factor, allowance).is_err(), "{factor} {allowance}");
        }
        assert!((Margin::new(1.5, 0.001).unwrap().limit(0.01) - 0.016).abs() < 1e-12);
        assert!(serde_json::from_str::<Margin>(r#"{"factor":0,"allowance":0}"#).is_err());
    }
}
