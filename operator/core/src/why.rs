//! The reason for a plan: one value that feeds the condition, the metric label and `kubectl sluice explain`.

use std::fmt;

/// Why a plan does what it does, or why it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The Rollout is at its stable version and nothing is left to do.
    UpToDate,
}

impl Why {
    /// A label of low cardinality for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::UpToDate => "up-to-date",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpToDate => f.write_str("the rollout is up to date"),
        }
    }
}
