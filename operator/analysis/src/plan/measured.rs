//! Adds measurements to the results of their metrics.

use chrono::{DateTime, Utc};
use crds::analysis::{AnalysisPhase, AnalysisRunStatus, Measurement, MetricResult};

use super::{Resolved, Step, Taken};

pub(super) fn count(
    status: &mut AnalysisRunStatus,
    taken: &[Taken],
    resolved: &Resolved,
    now: DateTime<Utc>,
) {
    for Taken { metric, step, measurement, metadata } in taken {
        let index = status.metric_results.iter().position(|it| it.name == *metric);
        let index = index.unwrap_or_else(|| {
            status.metric_results.push(MetricResult {
                name: metric.clone(),
                phase: Some(AnalysisPhase::Running),
                dry_run: resolved.dry.contains(metric),
                metadata: metadata.clone(),
                ..MetricResult::default()
            });
            status.metric_results.len() - 1
        });
        let result = &mut status.metric_results[index];
        let mut measurement = measurement.clone();
        if measurement.phase.is_some_and(AnalysisPhase::is_completed) {
            finish(&mut measurement, result, step, now);
        }
        match (step, result.measurements.last_mut()) {
            (Step::Resume(_) | Step::Terminate(_), Some(last)) => *last = measurement,
            _ => result.measurements.push(measurement),
        }
    }
    let place = |name: &str| resolved.metrics.iter().position(|it| it.name == name);
    status.metric_results.sort_by_key(|it| place(&it.name));
}

fn finish(measurement: &mut Measurement, result: &mut MetricResult, step: &Step, now: DateTime<Utc>) {
    measurement.finished_at.get_or_insert(now);
    let one_more = |count: &mut i32| *count = count.saturating_add(1);
    match measurement.phase {
        Some(AnalysisPhase::Successful) => {
            one_more(&mut result.successful);
            one_more(&mut result.consecutive_success);
            if matches!(step, Step::Terminate(_)) {
                measurement.message = Some("Metric Terminated".to_owned());
            }
        }
        Some(AnalysisPhase::Failed) => one_more(&mut result.failed),
        Some(AnalysisPhase::Inconclusive) => one_more(&mut result.inconclusive),
        Some(AnalysisPhase::Error) => {
            one_more(&mut result.error);
            one_more(&mut result.consecutive_error);
        }
        Some(AnalysisPhase::Pending | AnalysisPhase::Running) | None => return,
    }
    if measurement.phase != Some(AnalysisPhase::Successful) {
        result.consecutive_success = 0;
    }
    if measurement.phase != Some(AnalysisPhase::Error) {
        one_more(&mut result.count);
        result.consecutive_error = 0;
    }
}
