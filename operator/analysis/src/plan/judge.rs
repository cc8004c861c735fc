//! The verdict on a run: the worst of its metrics that count, once all have ended or one has ended badly.

use chrono::{DateTime, Utc};
use crds::analysis::{AnalysisPhase, AnalysisRunStatus, MetricResult, RunSummary};

use super::{Event, Resolved, Run, ended, is_terminating};
use crate::assess;

/// Brings phases, messages and summaries up to date, and tells which metrics have ended.
pub(super) fn judge(
    run: Run<'_>,
    status: &mut AnalysisRunStatus,
    resolved: &Resolved,
    now: DateTime<Utc>,
) -> Vec<Event> {
    let terminating = is_terminating(run.spec, status);
    status.started_at.get_or_insert(now);
    let (mut counted, mut dry) = (RunSummary::default(), RunSummary::default());
    let mut events = Vec::new();
    let mut all_over = true;
    let mut worst: Option<(AnalysisPhase, Option<String>)> = None;
    for metric in &resolved.metrics {
        let is_dry = resolved.dry.contains(&metric.name);
        let summary = if is_dry { &mut dry } else { &mut counted };
        summary.count += 1;
        let Some(result) = status.metric_results.iter_mut().find(|it| it.name == metric.name) else {
            all_over = false;
            continue;
        };
        let phase = assess::phase(metric, result, terminating);
        if result.phase != Some(phase) {
            if phase.is_completed() {
                let reason = format!("Metric{}", phase.as_str());
                events.push(ended(phase, &reason, &format!("Metric '{}'", metric.name)));
            }
            if let Some(last) = result.measurements.last() {
                result.message.clone_from(&last.message);
            }
            result.phase = Some(phase);
        }
        if !phase.is_completed() {
            all_over = false;
            continue;
        }
        let exceeded = assess::exceeded(metric, result);
        // As in Argo a metric is good in the summary unless it exceeds a limit: one that never had enough good
        // measurements in a row is bad, and counted as good.
        add(summary, exceeded.as_ref().map_or(AnalysisPhase::Successful, |(phase, _)| *phase));
        let why = exceeded.map(|(_, why)| why);
        if is_dry {
            if let Some(why) = why {
                result.message = Some(format!("Metric assessed {} due to {why}", phase.as_str()));
            }
        } else if worst.as_ref().is_none_or(|(it, _)| phase.badness() > it.badness()) {
            let before = worst.and_then(|(_, message)| message);
            worst = Some((phase, why.map(|why| reason(result, phase, &why)).or(before)));
        }
    }
    status.run_summary = counted;
    status.dry_run_summary = Some(dry);
    let (phase, message) = match worst {
        // Ended before anything was measured.
        None if terminating => (AnalysisPhase::Successful, None),
        Some((phase, message)) if terminating || all_over => (phase, message),
        None if all_over && counted.count == 0 => (AnalysisPhase::Successful, None),
        _ => (AnalysisPhase::Running, None),
    };
    let by_hand = || (run.spec.terminate && phase.is_completed()).then(|| "Run Terminated".to_owned());
    let message = message.or_else(by_hand);
    if status.phase != Some(phase) {
        status.phase = Some(phase);
        status.message = message;
    }
    events
}

fn reason(result: &MetricResult, phase: AnalysisPhase, why: &str) -> String {
    let error = match &result.message {
        Some(message) => format!(": \"Error Message: {message}\""),
        None => String::new(),
    };
    format!("Metric \"{}\" assessed {} due to {why}{error}", result.name, phase.as_str())
}

fn add(summary: &mut RunSummary, phase: AnalysisPhase) {
    match phase {
        AnalysisPhase::Successful => summary.successful += 1,
        AnalysisPhase::Failed => summary.failed += 1,
        AnalysisPhase::Inconclusive => summary.inconclusive += 1,
        AnalysisPhase::Error => summary.error += 1,
        AnalysisPhase::Pending | AnalysisPhase::Running => {}
    }
}
