//! The icons of the STATUS column and what they mean. The words and signs are those of Argo's plugin.

use crds::rollout::RolloutPhase;

use super::text::{Colour, Text};

/// How something is doing, at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    /// Not started yet.
    Waiting,
    /// Under way.
    Progressing,
    /// Paused.
    Paused,
    /// Good.
    Ok,
    /// Bad.
    Bad,
    /// Something is wrong that may pass.
    Warning,
    /// Nobody knows.
    Unknown,
    /// Neither good nor bad.
    Neutral,
    /// A word that is not known here.
    None,
}

impl Icon {
    /// One character.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Waiting => "◷",
            Self::Progressing => "◌",
            Self::Paused => "॥",
            Self::Ok => "✔",
            Self::Bad => "✖",
            Self::Warning => "⚠",
            Self::Unknown => "?",
            Self::Neutral => "•",
            Self::None => " ",
        }
    }

    /// The sign in its colour.
    #[must_use]
    pub fn text(self) -> Text {
        Text::coloured(self.sign(), self.colour())
    }

    const fn colour(self) -> Colour {
        match self {
            Self::Waiting | Self::Unknown => Colour::Yellow,
            Self::Progressing => Colour::Blue,
            Self::Ok => Colour::Green,
            Self::Bad | Self::Warning => Colour::Red,
            Self::Paused | Self::Neutral | Self::None => Colour::Default,
        }
    }
}

/// A word for the STATUS column, with its icon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The icon.
    pub icon: Icon,
    /// The word.
    pub word: String,
}

impl Status {
    /// `✔ Healthy`.
    #[must_use]
    pub fn text(&self) -> Text {
        self.icon.text().then(Text::plain(format!(" {}", self.word)))
    }

    /// The phase of a Rollout.
    #[must_use]
    pub fn of_rollout(phase: RolloutPhase) -> Self {
        let icon = match phase {
            RolloutPhase::Progressing => Icon::Progressing,
            RolloutPhase::Paused => Icon::Paused,
            RolloutPhase::Healthy => Icon::Ok,
            RolloutPhase::Degraded => Icon::Bad,
        };
        Self { icon, word: phase.as_str().to_owned() }
    }

    /// The phase of an AnalysisRun, a measurement or an Experiment.
    #[must_use]
    pub fn of_analysis(phase: &str) -> Self {
        let icon = match phase {
            "Successful" => Icon::Ok,
            "Inconclusive" => Icon::Unknown,
            "Failed" => Icon::Bad,
            "Error" => Icon::Warning,
            "Running" => Icon::Progressing,
            "Pending" => Icon::Waiting,
            _ => Icon::None,
        };
        Self { icon, word: phase.to_owned() }
    }
}

/// Names of `AnalysisRuns` and Jobs are coloured while they are not finished.
#[must_use]
pub fn analysis_name(name: &str, phase: &str) -> Text {
    let colour = match phase {
        "Pending" | "Running" => Colour::Blue,
        _ => Colour::Default,
    };
    Text::coloured(name, colour)
}
