//! One pass over a run: what to measure now, and what the run has come to.

mod due;
mod judge;
mod measured;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use crds::analysis::{AnalysisPhase, AnalysisRunSpec, AnalysisRunStatus, Measurement, Metric, MetricResult};

use crate::{arguments, rules, validate};

/// Measuring again after an error, whatever the interval.
const ERROR_RETRY: TimeDelta = TimeDelta::seconds(10);

/// The shortest interval that is kept: a shorter or negative one would be measured without a break.
const SHORTEST_INTERVAL: TimeDelta = TimeDelta::seconds(1);

/// A run as it was observed.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// What is asked for.
    pub spec: &'a AnalysisRunSpec,
    /// What is recorded.
    pub status: &'a AnalysisRunStatus,
}

/// Something to measure. The metric is as it is written, without its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// What to measure.
    pub metric: Metric,
    /// How many measurements came before it; a Job is named by it.
    pub number: i32,
    /// How.
    pub step: Step,
}

/// How a measurement goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It begins.
    Take,
    /// It is under way: look how far it is.
    Resume(Measurement),
    /// It is under way, and nobody waits for it any more.
    Terminate(Measurement),
}

/// What became of a [`Task`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Name of the metric.
    pub metric: String,
    /// How it went.
    pub step: Step,
    /// The measurement, without secrets.
    pub measurement: Measurement,
    /// What the provider says of the metric, without secrets.
    pub metadata: BTreeMap<String, String>,
}

/// Whether an event is a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// News.
    Normal,
    /// Trouble.
    Warning,
}

/// Something to tell about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether it is trouble.
    pub kind: EventKind,
    /// A word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// What to do with a run.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a plan that is not carried out changes nothing"]
pub enum Plan {
    /// Measure these, at the same time, and plan again with what was taken.
    Measure(Vec<Task>),
    /// Record how the run is now.
    Record {
        /// The status that it has now.
        status: Box<AnalysisRunStatus>,
        /// What to tell about it.
        events: Vec<Event>,
        /// When to look again; `None`: when something changes.
        wake: Option<DateTime<Utc>>,
    },
    /// The run is over, and is to be deleted.
    Delete,
    /// The run is over. Look again at this time, if one is given.
    Rest(Option<DateTime<Utc>>),
}

/// Plans a pass. `taken` is what the tasks of the plan before it came to, of the same pass; without any the plan begins
/// with what is due.
pub fn plan(run: Run<'_>, taken: &[Taken], now: DateTime<Utc>) -> Plan {
    if run.status.phase.is_some_and(AnalysisPhase::is_completed) {
        return rest(run, now);
    }
    let resolved = match resolve(run.spec) {
        Ok(resolved) => resolved,
        Err(why) => return give_up(run, why, now),
    };
    let mut status = run.status.clone();
    if taken.is_empty() {
        let tasks = due::tasks(run, &resolved, now);
        if !tasks.is_empty() {
            return Plan::Measure(tasks);
        }
    } else {
        measured::count(&mut status, taken, &resolved, now);
    }
    let mut events = judge::judge(run, &mut status, &resolved, now);
    if status.phase.is_some_and(AnalysisPhase::is_completed) {
        status.completed_at = Some(now);
    }
    if status.phase != run.status.phase {
        events.extend(completion(status.phase));
    }
    forget_old(&mut status, &resolved);
    let wake = due::next(&status, &resolved, now);
    Plan::Record { status: Box::new(status), events, wake }
}

/// The measurements of a plan could not be taken at all, as when an argument is a key of a Secret that is not there.
pub fn unmeasurable(run: Run<'_>, why: &str, now: DateTime<Utc>) -> Plan {
    give_up(run, format!("Unable to resolve metric arguments: {why}"), now)
}

/// What a spec comes to.
struct Resolved {
    /// With arguments, and placeholders for secrets.
    metrics: Vec<Metric>,
    dry: BTreeSet<String>,
    kept: BTreeMap<String, usize>,
}

fn resolve(spec: &AnalysisRunSpec) -> Result<Resolved, String> {
    let metrics = arguments::without_secrets(&spec.metrics, &spec.args)
        .map_err(|why| format!("Unable to resolve metric arguments: {why}"))?;
    let invalid = |why| format!("Analysis spec invalid: {why}");
    validate::metrics(&metrics).map_err(invalid)?;
    let dry = rules::dry_runs(spec, &metrics).map_err(invalid)?;
    let kept = rules::retention(spec, &metrics).map_err(invalid)?;
    Ok(Resolved { metrics, dry, kept })
}

fn give_up(run: Run<'_>, message: String, now: DateTime<Utc>) -> Plan {
    let phase = Some(AnalysisPhase::Error);
    let status =
        AnalysisRunStatus { phase, message: Some(message), completed_at: Some(now), ..run.status.clone() };
    Plan::Record { status: Box::new(status), events: completion(phase).into_iter().collect(), wake: None }
}

/// What is told of the end of a run.
fn completion(phase: Option<AnalysisPhase>) -> Option<Event> {
    let phase = phase.filter(|it| it.is_completed())?;
    Some(ended(phase, &format!("AnalysisRun{}", phase.as_str()), "Analysis"))
}

/// What is told of the end of a run or metric.
fn ended(phase: AnalysisPhase, reason: &str, what: &str) -> Event {
    let kind = match phase {
        AnalysisPhase::Failed | AnalysisPhase::Error => EventKind::Warning,
        AnalysisPhase::Pending
        | AnalysisPhase::Running
        | AnalysisPhase::Successful
        | AnalysisPhase::Inconclusive => EventKind::Normal,
    };
    let message = format!("{what} Completed. Result: {}", phase.as_str());
    Event { kind, reason: reason.to_owned(), message }
}

/// A run that is over lives as long as its strategy says. Runs of Argo before 1.7 have no time of their end: that of
/// the last measurement is as good.
fn rest(run: Run<'_>, now: DateTime<Utc>) -> Plan {
    let Some(strategy) = run.spec.ttl_strategy else { return Plan::Rest(None) };
    let seconds = match run.status.phase {
        Some(AnalysisPhase::Successful) => strategy.seconds_after_success,
        Some(AnalysisPhase::Failed) => strategy.seconds_after_failure,
        _ => None,
    };
    let Some(seconds) = seconds.or(strategy.seconds_after_completion) else { return Plan::Rest(None) };
    let measurements = run.status.metric_results.iter().flat_map(|it| &it.measurements);
    let ended = run.status.completed_at.or_else(|| measurements.filter_map(|it| it.finished_at).max());
    let Some(ended) = ended else { return Plan::Rest(None) };
    let end = ended + TimeDelta::seconds(i64::from(seconds.max(0)));
    if end <= now { Plan::Delete } else { Plan::Rest(Some(end)) }
}

/// Keeps the latest measurements of each metric.
fn forget_old(status: &mut AnalysisRunStatus, resolved: &Resolved) {
    for result in &mut status.metric_results {
        let kept = resolved.kept.get(&result.name).copied().unwrap_or(rules::KEPT);
        let old = result.measurements.len().saturating_sub(kept);
        result.measurements.drain(..old);
    }
}

/// Whether nothing new is measured: somebody said so, or a metric that counts has ended badly.
fn is_terminating(spec: &AnalysisRunSpec, status: &AnalysisRunStatus) -> bool {
    let bad = |phase| {
        matches!(phase, Some(AnalysisPhase::Failed | AnalysisPhase::Error | AnalysisPhase::Inconclusive))
    };
    spec.terminate || status.metric_results.iter().any(|it| !it.dry_run && bad(it.phase))
}

fn result<'a>(status: &'a AnalysisRunStatus, name: &str) -> Option<&'a MetricResult> {
    status.metric_results.iter().find(|it| it.name == name)
}
