//! The provider `sluice`: questions about what the proxies have counted, and their answers.

use crds::{
    analysis::{LatencyMetric, SluiceMetric},
    duration,
};
use operator_judge::latency::{BUCKETS, Until};

/// The shortest and the longest window, in seconds.
pub const WINDOWS: (u32, u32) = (10, 600);

/// The window where none is given, in seconds.
const WINDOW: u32 = 60;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// What of the requests.
    pub quantity: Quantity,
    /// To which version they were sent.
    pub version: Whose,
    /// How far back they are counted, in seconds.
    pub window: u32,
}

/// What of the requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// The share of bad ones.
    ErrorRate,
    /// The latency in seconds that this share of them does not exceed.
    Latency(f64),
    /// How many there are a second.
    RequestRate,
}

/// A version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Of the Rollout or the Experiment to which the run belongs.
    Owner(Of),
    /// Of the Rollout with this name.
    Rollout(String, Role),
    /// The one with this pod-template hash.
    Hash(String),
}

/// `of`: which version of its owner a run means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// It does not say: the new version of a Rollout, the only template of an Experiment.
    Absent,
    /// A version of a Rollout, or a template that is called so.
    Role(Role),
    /// A template of an Experiment.
    Template(String),
}

/// Which version of a Rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The new one.
    Canary,
    /// The one before it.
    Stable,
}

impl Role {
    /// As `of` says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Stable => "stable",
        }
    }
}

impl Of {
    fn parse(written: Option<&str>) -> Self {
        match written {
            None => Self::Absent,
            Some(text) => {
                let role = [Role::Canary, Role::Stable].into_iter().find(|role| role.as_str() == text);
                role.map_or_else(|| Self::Template(text.to_owned()), Self::Role)
            }
        }
    }

    /// The version of a Rollout.
    ///
    /// # Errors
    /// It is none of a Rollout's, as a sentence for the user.
    pub fn role(&self) -> Result<Role, String> {
        match self {
            Self::Absent => Ok(Role::Canary),
            Self::Role(role) => Ok(*role),
            Self::Template(other) => Err(format!("of {other:?} must be canary or stable")),
        }
    }

    /// Which of the templates of an Experiment, by their names.
    ///
    /// # Errors
    /// It is none of them, or it does not say which, as a sentence for the user.
    pub fn template<'t>(&self, templates: &[&'t str]) -> Result<&'t str, String> {
        let called = |name: &str| templates.iter().copied().find(|it| *it == name);
        let all = || templates.join(", ");
        let name = match (self, templates) {
            (Self::Absent, [only]) => return Ok(only),
            (Self::Absent, _) => {
                let canary = called(Role::Canary.as_str());
                return canary.ok_or_else(|| format!("say in of which template is meant: {}", all()));
            }
            (Self::Role(role), _) => role.as_str(),
            (Self::Template(name), _) => name,
        };
        called(name).ok_or_else(|| format!("of {name:?} must be a template of the Experiment: {}", all()))
    }
}

/// What the proxies have counted of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Of so many seconds, at least one.
    pub seconds: u32,
    /// First tries that were bad.
    pub bad: u64,
    /// All first tries, by bucket of latency ([`operator_judge::latency`]).
    pub ended: Vec<u64>,
}

impl Question {
    /// Reads a question.
    ///
    /// # Errors
    /// The first thing that is wrong with it, as a sentence for the user.
    pub fn parse(metric: &SluiceMetric) -> Result<Self, String> {
        let SluiceMetric { error_rate, latency, request_rate, of, pod_template_hash, rollout, window } =
            metric;
        let quantity = match (error_rate, latency, request_rate) {
            (Some(_), None, None) => Quantity::ErrorRate,
            (None, Some(LatencyMetric { quantile }), None) => Quantity::Latency(within(*quantile)?),
            (None, None, Some(_)) => Quantity::RequestRate,
            _ => return Err("exactly one of errorRate, latency and requestRate must be there".to_owned()),
        };
        let which = Of::parse(of.as_deref());
        let version = match (pod_template_hash, rollout) {
            (None, None) => Whose::Owner(which),
            (None, Some(rollout)) => Whose::Rollout(rollout.clone(), which.role()?),
            (Some(_), _) if of.is_some() || rollout.is_some() => {
                return Err("podTemplateHash names the version: of and rollout must not be there".to_owned());
            }
            (Some(hash), _) => Whose::Hash(hash.clone()),
        };
        Ok(Self { quantity, version, window: seconds(window.as_deref())? })
    }

    /// The answer; NaN where there were no requests, except that these are then 0 a second.
    #[must_use]
    pub fn answer(&self, counted: &Counted) -> f64 {
        let requests = float(counted.requests());
        match self.quantity {
            Quantity::ErrorRate => float(counted.bad.min(counted.requests())) / requests,
            Quantity::Latency(quantile) => latency(&counted.ended, quantile),
            Quantity::RequestRate => requests / f64::from(counted.seconds.max(1)),
        }
    }
}

impl Counted {
    /// First tries that have ended.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.ended.iter().sum()
    }
}

fn within(quantile: f64) -> Result<f64, String> {
    let fits = quantile > 0.0 && quantile < 1.0;
    fits.then_some(quantile).ok_or_else(|| format!("latency.quantile {quantile} must be above 0 and below 1"))
}

fn seconds(window: Option<&str>) -> Result<u32, String> {
    let Some(window) = window else { return Ok(WINDOW) };
    let length = duration::parse(window).map_err(|why| format!("invalid window string: {why}"))?;
    let seconds = u32::try_from(length.num_seconds()).ok();
    let (shortest, longest) = WINDOWS;
    seconds
        .filter(|it| (shortest..=longest).contains(it))
        .ok_or_else(|| format!("window {window:?} must be from {shortest}s to {}m", longest / 60))
}

/// Within a bucket latencies are taken to lie evenly, as Prometheus takes them; in the last, which does not end, to be
/// where it begins.
fn latency(ended: &[u64], quantile: f64) -> f64 {
    let rank = float(ended.iter().sum()) * quantile;
    let edge = |bucket: usize| Until(bucket).milliseconds() / 1_000.0;
    let mut below = 0.0;
    for (bucket, count) in ended.iter().enumerate().filter(|(_, count)| **count > 0) {
        let count = float(*count);
        if below + count >= rank {
            let from = bucket.checked_sub(1).map_or(0.0, edge);
            let to = if bucket + 1 < BUCKETS { edge(bucket) } else { from };
            return from + (to - from) * (rank - below) / count;
        }
        below += count;
    }
    f64::NAN
}

/// Counts of requests fit into the 53 bits that a double has.
#[expect(clippy::cast_precision_loss, reason = "2^53 requests are more than any window has")]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(fields: &Value) -> Result<Question, String> {
        let metric: SluiceMetric = serde_json::from_value(fields.clone()).map_err(|why| why.to_string())?;
        Question::parse(&metric)
    }

    #[test]
    fn a_question_has_defaults() {
        for (fields, expected) in [
            (json!({"errorRate": {}}), (Quantity::ErrorRate, Whose::Owner(Of::Absent), 60)),
            (
                json!({"errorRate": {}, "of": "canary"}),
                (Quantity::ErrorRate, Whose::Owner(Of::Role(Role::Canary)), 60),
            ),
            (
                json!({"errorRate": {}, "of": "baseline"}),
                (Quantity::ErrorRate, Whose::Owner(Of::Template("baseline".to_owned())), 60),
            ),
            (
                json!({"latency": {"quantile": 0.99}, "of": "stable", "rollout": "shop", "window": "2m"}),
                (Quantity::Latency(0.99), Whose::Rollout("shop".to_owned(), Role::Stable), 120),
            ),
            (
                json!({"requestRate": {}, "podTemplateHash": "5c9f"}),
                (Quantity::RequestRate, Whose::Hash("5c9f".to_owned()), 60),
            ),
        ] {
            let (quantity, version, window) = expected;
            assert_eq!(parse(&fields), Ok(Question { quantity, version, window }), "{fields}");
        }
    }

    #[test]
    fn a_question_that_makes_no_sense_is_told_so() {
        for (fields, why) in [
            (json!({}), "exactly one of errorRate, latency and requestRate must be there"),
            (
                json!({"errorRate": {}, "requestRate": {}}),
                "exactly one of errorRate, latency and requestRate must be there",
            ),
            (json!({"latency": {"quantile": 99}}), "latency.quantile 99 must be above 0 and below 1"),
            (json!({"latency": {}}), "missing field `quantile`"),
            (
                json!({"errorRate": {}, "of": "preview", "rollout": "shop"}),
                "of \"preview\" must be canary or stable",
            ),
            (
                json!({"errorRate": {}, "of": "stable", "podTemplateHash": "5c9f"}),
                "podTemplateHash names the version: of and rollout must not be there",
            ),
            (json!({"errorRate": {}, "window": "5s"}), "window \"5s\" must be from 10s to 10m"),
            (
                json!({"errorRate": {}, "window": "1"}),
                "invalid window string: time: missing unit in duration \"1\"",
            ),
        ] {
            assert_eq!(parse(&fields), Err(why.to_owned()), "{fields}");
        }
    }

    #[test]
    fn a_template_of_an_experiment_is_the_only_one_or_named() {
        let pair = ["baseline", "canary"];
        for (of, templates, expected) in [
            (None, &["trial"][..], Ok("trial")),
            (Some("trial"), &["trial"], Ok("trial")),
            (None, &pair, Ok("canary")),
            (Some("baseline"), &pair, Ok("baseline")),
            (Some("stable"), &["new", "stable"], Ok("stable")),
            (None, &["new", "old"], Err("say in of which template is meant: new, old")),
            (
                Some("stable"),
                &pair,
                Err("of \"stable\" must be a template of the Experiment: baseline, canary"),
            ),
        ] {
            let found = Of::parse(of).template(templates);
            assert_eq!(found, expected.map_err(str::to_owned), "{of:?} of {templates:?}");
        }
    }

    #[test]
    fn an_answer_is_a_number_that_conditions_compare() {
        // 90 within a quarter of a millisecond, 9 of about 8 ms, one that took longer than all edges.
        let mut ended = vec![0; BUCKETS];
        (ended[0], ended[20], ended[BUCKETS - 1]) = (90, 9, 1);
        let counted = Counted { seconds: 50, bad: 3, ended };
        let close = |fields: Value, expected: f64| {
            let answer = parse(&fields).unwrap().answer(&counted);
            assert!((answer / expected - 1.0).abs() < 1e-6, "{fields}: {answer}, not {expected}");
        };
        close(json!({"errorRate": {}}), 0.03);
        close(json!({"requestRate": {}}), 2.0);
        close(json!({"latency": {"quantile": 0.45}}), 0.000_131_072);
        close(json!({"latency": {"quantile": 0.9}}), 0.000_262_144);
        close(json!({"latency": {"quantile": 0.99}}), 0.008_388_608);
        close(json!({"latency": {"quantile": 0.999}}), 68.719_476_736);
    }

    #[test]
    fn without_requests_there_is_no_number() {
        let nothing = Counted { seconds: 60, ..Counted::default() };
        let answer = |fields: Value| parse(&fields).unwrap().answer(&nothing);
        assert!(answer(json!({"errorRate": {}})).is_nan());
        assert!(answer(json!({"latency": {"quantile": 0.5}})).is_nan());
        assert!(answer(json!({"requestRate": {}})).abs() < f64::EPSILON);
    }
}
