//! What a judge is asked to watch.

use serde::{Deserialize, Serialize};

use crate::evidence::Prior;
use crate::level::Level;
use crate::margin::Margin;

/// What a judge watches, how much worse is allowed, and how often it may be wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The chance, over the whole rollout, that a canary within its margins is condemned. Metrics share it by their
    /// parts.
    pub alpha: Level,
    /// The chance, for each metric, that one that exceeds its margin is called healthy.
    pub beta: Level,
    /// The chance that a split that happened as intended is called broken.
    pub split: Level,
    /// Bad requests.
    pub errors: Option<Errors>,
    /// Slow requests.
    pub latency: Option<Latency>,
    /// Without a second that could be compared for this many seconds the judge says that it has no data.
    pub no_data_after: u32,
}

impl Default for Settings {
    /// Errors alone, with half as many again allowed plus one in a thousand.
    fn default() -> Self {
        Self {
            alpha: Level::ONE_IN_A_THOUSAND,
            beta: Level::ONE_IN_TWENTY,
            split: Level::ONE_IN_A_THOUSAND,
            errors: Some(Errors::default()),
            latency: None,
            no_data_after: 60,
        }
    }
}

impl Settings {
    /// Whether a judge with these settings was asked the same, whatever edges it has chosen since.
    #[must_use]
    pub fn ask_the_same(&self, asked: &Self) -> bool {
        let chosen = asked.latency.as_ref().is_some_and(|it| it.edges.is_empty());
        let mut own = self.clone();
        if let Some(latency) = own.latency.as_mut().filter(|_| chosen) {
            latency.edges.clear();
        }
        own == *asked
    }

    /// The metric's part of alpha.
    #[must_use]
    pub fn alpha_of(&self, metric: Metric) -> Level {
        let [errors, latency] =
            [self.errors.as_ref().map(|it| it.part), self.latency.as_ref().map(|it| it.part)]
                .map(|part| part.unwrap_or(0.0).max(f64::MIN_POSITIVE));
        let part = match metric {
            Metric::Errors => errors,
            Metric::Latency => latency,
        };
        self.alpha.part(part, errors + latency)
    }
}

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Metric {
    /// Bad requests.
    Errors,
    /// Slow requests.
    Latency,
}

/// How bad requests are judged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// How much worse is allowed.
    pub margin: Margin,
    /// What is known of the stable version.
    pub prior: Prior,
    /// Its part of alpha, beside that of other metrics. Above 0.
    pub part: f64,
}

impl Default for Errors {
    fn default() -> Self {
        // Within these numbers no margin can be refused.
        let margin = Margin::new(1.5, 0.001).unwrap_or(Margin::NONE);
        Self { margin, prior: Prior::UNKNOWN, part: 1.0 }
    }
}

/// How latencies are judged: at each edge of the histogram the share of slower requests is compared, and the evidence
/// is the mean over the edges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The edges. Without any, the judge chooses them by the first requests of the stable version, and compares what
    /// comes after these.
    pub edges: Vec<Edge>,
    /// How many buckets slower the canary may be: in a histogram whose edges grow by a constant factor, a shift by `n`
    /// buckets is a factor of the latency, exactly.
    pub shift: usize,
    /// How much more of the requests than of the stable version's may be slower, beside the shift: a share.
    pub allowance: f64,
    /// Its part of alpha, beside that of other metrics. Above 0.
    pub part: f64,
}

/// One edge of the histogram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "(usize, Prior)", into = "(usize, Prior)")]
pub struct Edge {
    /// The number of the bucket that ends there.
    pub bucket: usize,
    /// The share of the stable version's requests that are slower, as far as is known.
    pub prior: Prior,
}

impl Latency {
    /// Edges with less than this beyond them are watched, but a healthy verdict does not wait for them: to prove
    /// anything of one request in a thousand takes hundreds of thousands.
    pub const PROVEN_FROM: f64 = 0.05;

    /// A healthy verdict has to prove something of this edge. There is always one: if all are far out, the nearest.
    #[must_use]
    pub fn is_proven(&self, edge: &Edge) -> bool {
        let most = self.edges.iter().map(|it| it.prior.rate()).fold(0.0, f64::max);
        edge.prior.rate() >= most.min(Self::PROVEN_FROM)
    }

    /// The margin at each edge.
    #[must_use]
    pub fn margin(&self) -> Margin {
        Margin::new(1.0, self.allowance).unwrap_or(Margin::NONE)
    }
}

impl From<(usize, Prior)> for Edge {
    fn from((bucket, prior): (usize, Prior)) -> Self {
        Self { bucket, prior }
    }
}

impl From<Edge> for (usize, Prior) {
    fn from(edge: Edge) -> Self {
        (edge.bucket, edge.prior)
    }
}
