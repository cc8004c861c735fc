//! `maxSurge` and `maxUnavailable`.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// A number of pods, or a share of `spec.replicas`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Pods.
    Pods(i32),
    /// Percent; may be more than 100.
    Percent(i32),
}

impl Amount {
    /// An integer is a number of pods; a text is a percentage, with or without `%` (as in Argo). `None` if the text
    /// is neither.
    #[must_use]
    pub fn parse(written: &IntOrString) -> Option<Self> {
        match written {
            IntOrString::Int(pods) => Some(Self::Pods(*pods)),
            IntOrString::String(text) => text.replace('%', "").parse().ok().map(Self::Percent),
        }
    }

    /// [`Self::parse`], with a default for an absent value. An unreadable one is no pods, as in Argo.
    #[must_use]
    pub fn parse_or(written: Option<&IntOrString>, default: Self) -> Self {
        written.map_or(default, |written| Self::parse(written).unwrap_or(Self::Pods(0)))
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
