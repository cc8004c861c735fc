//! What can be seen of the new version at this traffic.
//!
//! No test finds what is not in the counts: a percent of errors does not show in ten requests. What is reckoned here
//! is what the tests of [`operator_judge`] find, which may be read at any moment, with nineteen chances in twenty.

use operator_judge::level::Level;
use operator_judge::margin::Margin;
use operator_judge::power::{Question, Stretch, detectable_slowdown};
use serde::Serialize;

use crate::forecast::{Forecast, Moment};

/// How likely it is that what is promised is found.
const CHANCE: f64 = 0.95;

/// How latencies are taken to spread: the deviation of their logarithm.
const SPREAD: f64 = 0.8;

/// The traffic, and what is asked of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Requests a second, of both versions. More than 0.
    pub requests: f64,
    /// The share of the old version's requests that are bad, between 0 and 1.
    pub error_rate: f64,
    /// How much worse the new version may be.
    pub margin: Margin,
    /// How often a good version may be condemned.
    pub alpha: Level,
    /// How often a bad one may be called healthy.
    pub beta: Level,
}

/// What can be seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Power {
    /// Requests a second.
    pub requests_per_second: f64,
    /// The share of the old version's requests that are bad.
    pub error_rate: f64,
    /// The share of bad requests that the new version is allowed.
    pub allowed_error_rate: f64,
    /// How often a good version may be condemned.
    pub alpha: f64,
    /// What is found by the end of each stage in which the new version got requests.
    pub stages: Vec<Findings>,
    /// Seconds after the start by which it is proven that the new version is within what is allowed, if it is as good as
    /// the old one; `None`: not before the promotion.
    pub proven_after: Option<f64>,
    /// Requests of the new version that this proof takes, on the average, if one in twenty goes to it.
    pub proof_takes_requests: f64,
}

/// What is found by the end of a stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    /// The step's number, from 1; `None`: the promotion.
    pub step: Option<usize>,
    /// Requests that the new version has got by then.
    pub requests: f64,
    /// The lowest share of bad requests that is found; `None`: not even a version that fails always.
    pub error_rate: Option<f64>,
    /// The least factor on all latencies that is found; `None`: not even a hundredfold one.
    pub slowdown: Option<f64>,
}

/// Reckons what can be seen of the new version in a forecast.
#[must_use]
pub fn power(forecast: &Forecast, load: &Load) -> Power {
    let question = Question::of_errors(load.margin, load.alpha, load.error_rate);
    let proof = Question { level: load.beta, ..question };
    let all = stretches(&forecast.moments, load.requests, forecast.earliest_end);
    let exposed = forecast.stages.iter().filter(|stage| stage.exposed_seconds > 0.0);
    let stages = exposed.map(|stage| {
        let until = stretches(&forecast.moments, load.requests, stage.starts + stage.takes);
        Findings {
            step: stage.step,
            requests: stage.exposed_seconds * load.requests,
            error_rate: question.detectable(&until, CHANCE),
            slowdown: detectable_slowdown(load.alpha, SPREAD, &until, CHANCE),
        }
    });
    Power {
        requests_per_second: load.requests,
        error_rate: load.error_rate,
        allowed_error_rate: load.margin.limit(load.error_rate).min(1.0),
        alpha: load.alpha.get(),
        stages: stages.collect(),
        proven_after: proof.seconds(load.error_rate, &all, CHANCE),
        proof_takes_requests: proof.canary_requests(load.error_rate, 0.05),
    }
}

/// The times with one weight each, up to this moment.
fn stretches(moments: &[Moment], rate: f64, until: i64) -> Vec<Stretch> {
    let ends = moments.iter().skip(1).map(|it| it.at).chain([i64::MAX]);
    let stretch = |(moment, end): (&Moment, i64)| {
        let seconds = (end.min(until) - moment.at).max(0);
        Stretch::whole(seconds.unsigned_abs(), rate, moment.weight / 100.0)
    };
    moments.iter().zip(ends).map(stretch).collect()
}
