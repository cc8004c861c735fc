//! `maxSurge` and `maxUnavailable`.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Invalid;

/// A number of pods, or a share of `spec.replicas`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Pods.
    Pods(i32),
    /// Percent; may be more than 100.
    Percent(i32),
}

impl Amount {
    /// Where the field is not set.
    pub const DEFAULT: Self = Self::Percent(25);

    /// An integer is a number of pods; a text is a percentage, with or without `%` (as in Argo). `None` if the text
    /// is neither.
    #[must_use]
    pub fn parse(written: &IntOrString) -> Option<Self> {
        match written {
            IntOrString::Int(pods) => Some(Self::Pods(*pods)),
            IntOrString::String(text) => text.replace('%', "").parse().ok().map(Self::Percent),
        }
    }

    /// A field that may be absent. Argo takes an unreadable text for 0, and then neither limit lets a pod move; here
    /// it is refused.
    pub(super) fn read(field: &str, written: Option<&IntOrString>) -> Result<Self, Invalid> {
        let Some(written) = written else { return Ok(Self::DEFAULT) };
        Self::parse(written).ok_or_else(|| {
            let why = "must be a number of pods, or a percentage such as 25%";
            Invalid::value(format!("spec.strategy.{field}"), written, why)
        })
    }

    /// In pods, parts rounded up. Never negative.
    #[must_use]
    pub fn rounded_up(self, replicas: i32) -> i32 {
        match self {
            Self::Pods(pods) => pods.max(0),
            Self::Percent(percent) => clamp((hundredths(percent, replicas) + 99) / 100),
        }
    }

    /// In pods, parts rounded down. Never negative.
    #[must_use]
    pub fn rounded_down(self, replicas: i32) -> i32 {
        match self {
            Self::Pods(pods) => pods.max(0),
            Self::Percent(percent) => clamp(hundredths(percent, replicas) / 100),
        }
    }
}

fn hundredths(percent: i32, replicas: i32) -> i64 {
    i64::from(percent.max(0)) * i64::from(replicas.max(0))
}

fn clamp(pods: i64) -> i32 {
    i32::try_from(pods).unwrap_or(i32::MAX)
}
