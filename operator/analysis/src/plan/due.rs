//! When metrics are measured.

use chrono::{DateTime, TimeDelta, Utc};
use crds::{
    analysis::{AnalysisPhase, AnalysisRunStatus, Metric, MetricResult},
    duration,
};

use super::{ERROR_RETRY, Resolved, Run, SHORTEST_INTERVAL, Step, Task, is_terminating, result};
use crate::assess;

/// The measurements that are to be taken now.
pub(super) fn tasks(run: Run<'_>, resolved: &Resolved, now: DateTime<Utc>) -> Vec<Task> {
    let terminating = is_terminating(run.spec, run.status);
    let written = run.spec.metrics.iter().zip(&resolved.metrics);
    let tasks = written.filter_map(|(written, metric)| {
        let known = result(run.status, &metric.name);
        let step = step(metric, known, run.status, terminating, now)?;
        let number = known.map_or(0, |it| it.count.saturating_add(it.error));
        Some(Task { metric: written.clone(), number, step })
    });
    tasks.collect()
}

fn step(
    metric: &Metric,
    known: Option<&MetricResult>,
    status: &AnalysisRunStatus,
    terminating: bool,
    now: DateTime<Utc>,
) -> Option<Step> {
    if known.is_some_and(is_over) {
        return None;
    }
    let last = known.and_then(|it| it.measurements.last());
    if let Some(running) = last.filter(|it| it.finished_at.is_none()) {
        // What is to end need not wait for its time.
        return match running.resume_at {
            _ if terminating => Some(Step::Terminate(running.clone())),
            Some(resume) if resume > now => None,
            _ => Some(Step::Resume(running.clone())),
        };
    }
    if terminating {
        return None;
    }
    let next = next_measurement(metric, known, status)?;
    // As in Argo an interval is over after its end, a delay at its end.
    let is_due = if last.is_some() { next < now } else { next <= now };
    is_due.then_some(Step::Take)
}

/// When something is to be done next, after the measurements of a pass. Never in the past, which would be at once
/// and again.
pub(super) fn next(
    status: &AnalysisRunStatus,
    resolved: &Resolved,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    if status.phase.is_some_and(AnalysisPhase::is_completed) {
        return None;
    }
    let times = resolved.metrics.iter().filter_map(|metric| {
        let known = result(status, &metric.name);
        if known.is_some_and(is_over) {
            return None;
        }
        match known.and_then(|it| it.measurements.last()) {
            Some(running) if running.finished_at.is_none() => running.resume_at,
            _ => next_measurement(metric, known, status),
        }
    });
    times.min().map(|it| it.max(now))
}

fn is_over(result: &MetricResult) -> bool {
    result.phase.is_some_and(AnalysisPhase::is_completed)
}

/// When the next measurement of a metric begins of which none is under way; `None`: there is none.
fn next_measurement(
    metric: &Metric,
    known: Option<&MetricResult>,
    status: &AnalysisRunStatus,
) -> Option<DateTime<Utc>> {
    let Some((known, last)) = known.and_then(|it| Some((it, it.measurements.last()?))) else {
        return match written(metric.initial_delay.as_ref()) {
            // The delay counts from the start of the run, which the first pass records.
            Some(delay) => status.started_at?.checked_add_signed(delay),
            None => Some(DateTime::UNIX_EPOCH),
        };
    };
    if assess::effective_count(metric).is_some_and(|count| known.count >= count) {
        return None;
    }
    let interval = match (last.phase, written(metric.interval.as_ref())) {
        (Some(AnalysisPhase::Error), _) | (_, None) => ERROR_RETRY,
        (_, Some(interval)) => interval.max(SHORTEST_INTERVAL),
    };
    last.finished_at?.checked_add_signed(interval)
}

/// A duration that was read before.
fn written(text: Option<&String>) -> Option<TimeDelta> {
    duration::parse(text?).ok()
}
