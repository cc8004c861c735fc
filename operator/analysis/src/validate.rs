//! What a metric may ask for, in Argo's words and order: only the first thing that is wrong is said.

use std::collections::BTreeSet;

use crds::{analysis::Metric, duration};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

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
        1 => Ok(()),
        _ => wrong("multiple providers specified"),
    }
}
