//! What a metric may ask for, in Argo's words and order: only the first thing that is wrong is said.

use std::collections::BTreeSet;

use crds::{
    analysis::{Metric, MetricProvider},
    duration,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::traffic::Question;

/// A number that may be written as text. What is no number is zero, as in Go.
#[must_use]
pub fn whole(written: Option<&IntOrString>) -> i32 {
    match written {
        None => 0,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => text.parse().unwrap_or_default(),
    }
}

/// Whether all metrics make sense, after their arguments were filled in.
///
/// # Errors
/// The first thing that is wrong.
pub fn metrics(metrics: &[Metric]) -> Result<(), String> {
    if metrics.is_empty() {
        return Err("no metrics specified".to_owned());
    }
    let mut names = BTreeSet::new();
    for (index, it) in metrics.iter().enumerate() {
        if !names.insert(&it.name) {
            return Err(format!("metrics[{index}]: duplicate name '{}", it.name));
        }
        metric(it).map_err(|why| format!("metrics[{index}]: {why}"))?;
    }
    Ok(())
}

fn metric(metric: &Metric) -> Result<(), String> {
    let count = whole(metric.count.as_ref());
    let failures = whole(metric.failure_limit.as_ref());
    let successes = whole(metric.consecutive_success_limit.as_ref());
    let inconclusive = whole(metric.inconclusive_limit.as_ref());
    let errors = whole(metric.consecutive_error_limit.as_ref());
    let wrong = |text: &str| Err(text.to_owned());
    if inconclusive < 0 {
        return wrong("inconclusiveLimit must be >= 0");
    }
    if successes < 0 {
        return wrong("consecutiveSuccessLimit must be >= 0");
    }
    if failures < -1 {
        return wrong("failureLimit must be >= 0, or -1 to be disabled");
    }
    if failures < 0 && successes == 0 {
        return wrong("failureLimit and consecutiveSuccessLimit cannot both be disabled");
    }
    if count > 0 && failures < 0 && count < successes {
        return wrong("count must be >= consecutiveSuccessLimit");
    }
    if count > 0 && failures >= 0 && i64::from(count) < i64::from(failures) + i64::from(successes) {
        return Err(format!(
            "count ({count}) must be >= failureLimit + consecutiveSuccessLimit ({failures} + {successes}) if both >= 0"
        ));
    }
    if count > 0 && count < inconclusive {
        return wrong("count must be >= inconclusiveLimit");
    }
    if errors < 0 {
        return wrong("consecutiveErrorLimit must be >= 0");
    }
    if count > 1 && metric.interval.is_none() {
        return wrong("interval must be specified when count > 1");
    }
    for (field, written) in [("interval", &metric.interval), ("startDelay", &metric.initial_delay)] {
        if let Some(Err(why)) = written.as_deref().map(duration::parse) {
            return Err(format!("invalid {field} string: {why}"));
        }
    }
    match metric.provider.named().count() {
        0 => wrong("no provider specified"),
        1 => asked_of_proxies(&metric.provider),
        _ => wrong("multiple providers specified"),
    }
}

/// What Argo does not have is refused before a run begins.
fn asked_of_proxies(provider: &MetricProvider) -> Result<(), String> {
    let asked = provider.asked_of_proxies().map_err(|why| why.to_string());
    let question = asked.and_then(|asked| asked.as_ref().map(Question::parse).transpose());
    question.map(drop).map_err(|why| format!("provider.sluice: {why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn says(provider: &Value) -> Result<(), String> {
        metrics(&[serde_json::from_value(json!({"name": "m", "provider": provider})).unwrap()])
    }

    #[test]
    fn what_is_asked_of_proxies_is_read_before_a_run_begins() {
        let (good, bad) =
            (json!({"errorRate": {}}), json!({"errorRate": {}, "of": "old", "rollout": "shop"}));
        let why = "metrics[0]: provider.sluice: of \"old\" must be canary or stable";
        for written in [|it: &Value| json!({"sluice": it}), |it: &Value| json!({"plugin": {"sluice": it}})] {
            assert_eq!(says(&written(&good)), Ok(()));
            assert_eq!(says(&written(&bad)), Err(why.to_owned()));
        }
        let both = json!({"sluice": good, "plugin": {"sluice": good}});
        assert_eq!(says(&both), Err("metrics[0]: multiple providers specified".to_owned()));
        assert_eq!(says(&json!({"plugin": {"acme/metrics": bad}})), Ok(()));
    }
}
