//! The verdict on a metric from the counts of its measurements (reference §7.4).

use crds::analysis::{AnalysisPhase, Metric, MetricResult};

use crate::validate::whole;

/// Errors in a row that are tolerated where nothing is said.
const ERRORS_IN_A_ROW: i32 = 4;

/// How often a metric is measured; `None`: until the run ends.
#[must_use]
pub fn effective_count(metric: &Metric) -> Option<i32> {
    match (whole(metric.count.as_ref()), &metric.interval) {
        (0, None) => Some(1),
        (0, Some(_)) => None,
        (count, _) => Some(count),
    }
}

/// The verdict that a metric has once its last measurement is counted. `terminating`: nothing more is measured.
#[must_use]
pub fn phase(metric: &Metric, result: &MetricResult, terminating: bool) -> AnalysisPhase {
    if let Some(phase) = result.phase.filter(|it| it.is_completed()) {
        return phase;
    }
    let Some(last) = result.measurements.last() else {
        return if terminating { AnalysisPhase::Successful } else { AnalysisPhase::Pending };
    };
    if !last.phase.is_some_and(AnalysisPhase::is_completed) {
        return AnalysisPhase::Running;
    }
    if let Some((phase, _)) = exceeded(metric, result) {
        return phase;
    }
    let limit = whole(metric.consecutive_success_limit.as_ref());
    if limit > 0 && result.consecutive_success >= limit {
        return AnalysisPhase::Successful;
    }
    if effective_count(metric).is_some_and(|count| result.count >= count) {
        // So many good ones in a row were asked for and not reached.
        return match (limit > 0, whole(metric.failure_limit.as_ref()) >= 0) {
            (true, true) => AnalysisPhase::Inconclusive,
            (true, false) => AnalysisPhase::Failed,
            (false, _) => AnalysisPhase::Successful,
        };
    }
    if terminating { AnalysisPhase::Successful } else { AnalysisPhase::Running }
}

/// The limit that a metric has exceeded, if one: the verdict and why. An error beats what is inconclusive, and that
/// beats a failure.
#[must_use]
pub fn exceeded(metric: &Metric, result: &MetricResult) -> Option<(AnalysisPhase, String)> {
    let errors = metric.consecutive_error_limit.as_ref().map_or(ERRORS_IN_A_ROW, |it| whole(Some(it)));
    let inconclusive = whole(metric.inconclusive_limit.as_ref());
    let failures = whole(metric.failure_limit.as_ref());
    let over = |what: &str, count: i32, name: &str, limit: i32| {
        (count > limit).then(|| format!("{what} ({count}) > {name} ({limit})"))
    };
    if let Some(why) = over("consecutiveErrors", result.consecutive_error, "consecutiveErrorLimit", errors) {
        return Some((AnalysisPhase::Error, why));
    }
    if let Some(why) = over("inconclusive", result.inconclusive, "inconclusiveLimit", inconclusive) {
        return Some((AnalysisPhase::Inconclusive, why));
    }
    let why = over("failed", result.failed, "failureLimit", failures).filter(|_| failures >= 0)?;
    Some((AnalysisPhase::Failed, why))
}
