//! What a judge says, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::counts::{Counts, Second};
use crate::judge::{Comparison, Judge};
use crate::latency::{LEARNED_FROM, Until};
use crate::power::{Growth, seconds_to};
use crate::settings::Metric;

/// What a judge says at one moment.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a verdict that nobody reads protects nobody"]
pub struct Verdict {
    /// What it comes to.
    pub outcome: Outcome,
    /// What is known of each metric that is watched.
    pub evidence: Vec<Evidence>,
    /// What is known of the split.
    pub split: SplitEvidence,
    /// Seconds that were left out because versions were mixed.
    pub dropped: u64,
}

/// The three verdicts.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The canary is worse than its margin allows. Final.
    Fail(Condemned),
    /// No metric exceeds its margin, and there is evidence for that.
    Pass,
    /// Neither is known.
    Continue(Waiting),
}

/// Why there is no verdict yet.
#[derive(Clone, Debug, PartialEq)]
pub enum Waiting {
    /// Nothing is watched.
    NothingToJudge,
    /// No second could be compared yet, or none for some time. Missing data never passes.
    NoData {
        /// The last second that could be compared.
        since: Option<Second>,
    },
    /// What is usual of the stable version is not known yet, so slow requests cannot be told.
    Latencies {
        /// Requests of the stable version until now.
        seen: u64,
    },
    /// Requests were not split as intended, so the counts cannot be trusted to clear the canary.
    SplitNotAsIntended {
        /// The share that the canary is meant to get now, and the requests of both that were counted at that.
        now: Option<(f64, [u64; 2])>,
    },
    /// There is not enough evidence.
    Evidence {
        /// The metric that is farthest from a verdict.
        metric: Metric,
        /// The verdict that the rates point to.
        towards: Towards,
        /// Seconds until then, if requests come and fail as they do now; `None` if that is more than thirty days.
        eta: Option<u64>,
    },
}

/// A verdict to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// FAIL
    Fail,
    /// PASS
    Pass,
}

/// When a canary was condemned, and on what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condemned {
    /// The second whose requests settled it.
    pub second: Second,
    /// What was known then.
    pub evidence: Evidence,
}

/// What is known of one metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The metric.
    pub metric: Metric,
    /// Of latency: where the versions differ most.
    pub edge: Option<Compared>,
    /// Requests and bad (or slow) requests that it rests on.
    pub counts: Counts,
    /// The highest rate that the margin allows the canary.
    pub limit: f64,
    /// Natural logarithm of the evidence against the canary.
    pub against: f64,
    /// What it has to reach.
    pub needed_against: f64,
    /// Natural logarithm of the evidence for it; of latency: at the edge where there is least.
    pub healthy: f64,
    /// What that has to reach.
    pub needed_healthy: f64,
}

/// The buckets at whose ends latencies are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Of the canary: as far beyond the other as it may be slower.
    pub canary: usize,
    /// Of the stable version.
    pub stable: usize,
}

/// What is known of the split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SplitEvidence {
    /// Natural logarithm of the evidence that it was not as intended.
    pub against: f64,
    /// What it has to reach.
    pub needed: f64,
    /// The share that the canary is meant to get now, and the requests of both that were counted at that.
    pub now: Option<(f64, [u64; 2])>,
}

impl SplitEvidence {
    /// Requests were not split as intended.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.against >= self.needed
    }
}

impl Verdict {
    /// There is evidence for the canary in every metric, and the split happened as intended: what PASS says, also where
    /// nothing could be compared lately.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        match &self.outcome {
            Outcome::Pass => true,
            Outcome::Continue(Waiting::NoData { since: Some(_) }) => {
                !self.split.is_broken()
                    && !self.evidence.is_empty()
                    && self.evidence.iter().all(|it| it.healthy >= it.needed_healthy)
            }
            Outcome::Fail(_) | Outcome::Continue(_) => false,
        }
    }

    /// A verdict for the canary is expected, or what it takes is being learned.
    #[must_use]
    pub fn is_on_its_way(&self) -> bool {
        match &self.outcome {
            Outcome::Continue(Waiting::Evidence { towards, eta, .. }) => {
                *towards == Towards::Pass && eta.is_some()
            }
            Outcome::Continue(Waiting::Latencies { .. }) => true,
            Outcome::Continue(
                Waiting::NothingToJudge | Waiting::NoData { .. } | Waiting::SplitNotAsIntended { .. },
            )
            | Outcome::Fail(_)
            | Outcome::Pass => false,
        }
    }
}

impl Judge {
    /// The verdict at this moment. Reading it changes nothing, also not how much it can be trusted.
    pub fn verdict(&self, now: Second) -> Verdict {
        let evidence: Vec<_> =
            [Metric::Errors, Metric::Latency].into_iter().filter_map(|it| self.evidence(it)).collect();
        let now_split = self.split.share.map(|share| (share, [self.split.counts.0, self.split.counts.1]));
        let split =
            SplitEvidence { against: self.split.log(), needed: self.settings.split.needed(), now: now_split };
        let outcome = match &self.condemned {
            Some(condemned) => Outcome::Fail(condemned.clone()),
            None => self.waiting(now, &evidence, split).map_or(Outcome::Pass, Outcome::Continue),
        };
        Verdict { outcome, evidence, split, dropped: self.dropped }
    }

    /// What there is to wait for; `None` if nothing.
    fn waiting(&self, now: Second, evidence: &[Evidence], split: SplitEvidence) -> Option<Waiting> {
        if self.settings.errors.is_none() && self.settings.latency.is_none() {
            return Some(Waiting::NothingToJudge);
        }
        let patience = Second::from(self.settings.no_data_after);
        if self.compared_until.is_none_or(|until| now - until > patience) {
            return Some(Waiting::NoData { since: self.compared_until });
        }
        if split.is_broken() {
            return Some(Waiting::SplitNotAsIntended { now: split.now });
        }
        if self.settings.latency.as_ref().is_some_and(|it| it.edges.is_empty()) {
            return Some(Waiting::Latencies { seen: self.learned.arm.requests });
        }
        let unproven = evidence.iter().filter(|it| it.healthy < it.needed_healthy);
        let predicted = unproven.map(|it| (it.metric, self.predict(it)));
        // A verdict against the canary needs one metric, one for it needs all of them.
        let (metric, (towards, eta)) = predicted.min_by_key(|(_, (towards, eta))| match towards {
            Towards::Fail => (0, eta.unwrap_or(u64::MAX)),
            Towards::Pass => (1, u64::MAX - eta.unwrap_or(u64::MAX)),
        })?;
        Some(Waiting::Evidence { metric, towards, eta })
    }

    /// What is known of a metric; `None` if it is not watched.
    pub(crate) fn evidence(&self, metric: Metric) -> Option<Evidence> {
        let needed_against = self.settings.alpha_of(metric).needed();
        let needed_healthy = self.settings.beta.needed();
        let found = |edge: Option<Compared>, shown: &Comparison, against: f64, healthy: f64| Evidence {
            metric,
            edge,
            counts: shown.counts,
            limit: shown.limit(),
            against,
            needed_against,
            healthy,
            needed_healthy,
        };
        match metric {
            Metric::Errors => {
                let errors = self.errors.as_ref()?;
                Some(found(None, errors, errors.against.log(), errors.healthy.log()))
            }
            Metric::Latency => {
                let latency = self.settings.latency.as_ref()?;
                let edges = latency.edges.iter().zip(&self.edges);
                let (edge, worst) =
                    edges.max_by(|(_, a), (_, b)| a.against.log().total_cmp(&b.against.log()))?;
                let against = self.against(metric)?;
                let healthy = self.unproven_edge().map_or(0.0, |it| it.healthy.log());
                let compared =
                    Compared { canary: edge.bucket.saturating_add(latency.shift), stable: edge.bucket };
                Some(found(Some(compared), worst, against, healthy))
            }
        }
    }

    /// The edge that a healthy verdict waits for.
    fn unproven_edge(&self) -> Option<&Comparison> {
        let proven = self.edges.iter().filter(|it| !it.healthy.is_empty());
        proven.min_by(|a, b| a.healthy.log().total_cmp(&b.healthy.log()))
    }

    /// The edge at which there is most against the canary.
    fn worst_edge(&self) -> Option<&Comparison> {
        self.edges.iter().max_by(|a, b| a.against.log().total_cmp(&b.against.log()))
    }

    /// Which verdict the rates point to, and in how many seconds it comes if they stay.
    fn predict(&self, evidence: &Evidence) -> (Towards, Option<u64>) {
        let (worst, unproven) = match evidence.metric {
            Metric::Errors => (self.errors.as_ref(), self.errors.as_ref()),
            Metric::Latency => (self.worst_edge(), self.unproven_edge()),
        };
        if let Some(worst) = worst.filter(|it| it.canary_rate() > it.limit()) {
            return (Towards::Fail, self.eta(evidence.needed_against - evidence.against, worst));
        }
        let missing = evidence.needed_healthy - evidence.healthy;
        (Towards::Pass, unproven.and_then(|it| self.eta(missing, it)))
    }

    /// Seconds until so much evidence more is there.
    fn eta(&self, missing: f64, comparison: &Comparison) -> Option<u64> {
        let (canary, stable) = self.pace.now()?;
        let share = canary / (canary + stable);
        let rates = (comparison.canary_rate(), comparison.stable_rate());
        seconds_to(missing, Growth::of(comparison.margin, rates, share), canary + stable)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Fail(condemned) => write!(f, "FAIL: {}", condemned.evidence),
            Outcome::Pass => {
                f.write_str("PASS: no worse than allowed")?;
                self.evidence.iter().try_for_each(|it| write!(f, "; {it}"))
            }
            Outcome::Continue(waiting) => {
                write!(f, "CONTINUE: {waiting}")?;
                self.evidence.iter().try_for_each(|it| write!(f, "; {it}"))
            }
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingToJudge => f.write_str("no metric is watched"),
            Self::NoData { since: None } => f.write_str("no second yet in which both versions had requests"),
            Self::NoData { since: Some(_) } => {
                f.write_str("for some time there was no second in which both versions had requests")
            }
            Self::Latencies { seen } => {
                write!(f, "latencies of the stable version are known from {seen} of {LEARNED_FROM} requests")
            }
            Self::SplitNotAsIntended { now } => {
                f.write_str(
                    "requests were not counted in the shares in which they should have been split, \
                     so the counts cannot clear the canary",
                )?;
                let Some((share, [canary, stable])) = now else { return Ok(()) };
                let percent = 100.0 * share;
                write!(f, "; now {canary} of {} where {percent:.2} % are meant", canary + stable)
            }
            Self::Evidence { towards, eta, .. } => {
                let towards = match towards {
                    Towards::Fail => "FAIL",
                    Towards::Pass => "PASS",
                };
                match eta {
                    Some(seconds) => write!(f, "{towards} expected in {seconds} s"),
                    None => write!(f, "{towards} is out of reach at this traffic"),
                }
            }
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { canary, stable } = self.counts;
        let (bad, requests) = (canary.bad, canary.requests);
        match self.edge {
            None => write!(f, "{bad} of {requests} requests of the canary were bad, ")?,
            Some(Compared { canary, .. }) => {
                write!(f, "{bad} of {requests} requests of the canary took more than {}, ", Until(canary))?;
            }
        }
        write!(f, "{} of {} of the stable version", stable.bad, stable.requests)?;
        if let Some(Compared { stable, .. }) = self.edge {
            write!(f, " more than {}", Until(stable))?;
        }
        write!(
            f,
            "; evidence against {} of {}, for {} of {}",
            Odds(self.against),
            Odds(self.needed_against),
            Odds(self.healthy),
            Odds(self.needed_healthy),
        )
    }
}

/// Evidence as people read it: how many to one.
struct Odds(f64);

impl fmt::Display for Odds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.exp() {
            small if small < 10.0 => write!(f, "{small:.1}"),
            odds if odds < 1e6 => write!(f, "{odds:.0}"),
            huge => write!(f, "{huge:.0e}"),
        }
    }
}
