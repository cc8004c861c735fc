//! `analysis_run`: whole runs with measurements from a script.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use crds::analysis::{AnalysisPhase, AnalysisRunSpec, AnalysisRunStatus, Measurement};
use operator_analysis::plan::{Event, EventKind, Plan, Run, Step, Taken, Task, plan};
use serde_json::{Value, json};

use crate::Verdict;

/// The most passes of a row.
const PASSES: u64 = 25;

pub(crate) fn analysis_run(row: &Value) -> Verdict {
    let mut spec: AnalysisRunSpec = serde_json::from_value(row["spec"].clone()).expect("a spec");
    let mut status = AnalysisRunStatus::default();
    let mut script = Script { lines: &row["script"], played: BTreeMap::new() };
    let start: DateTime<Utc> = "2030-03-04T05:06:07Z".parse().expect("a time");
    let mut now = start;
    let mut trace = Vec::new();
    for pass in 0..PASSES {
        if row["terminate_before_reconcile"].as_u64() == Some(pass) {
            spec.terminate = true;
        }
        let run = Run { spec: &spec, status: &status };
        let mut next = plan(run, &[], now);
        if let Plan::Measure(tasks) = next {
            let taken: Vec<Taken> = tasks.iter().map(|it| script.play(it, now)).collect();
            next = plan(run, &taken, now);
        }
        let Plan::Record { status: recorded, events, wake } = next else { break };
        status = *recorded;
        assert!(settles(&spec, &status, now), "every plan changes something");
        let wait = wake.map(|it| (it - now).num_seconds());
        let phases: BTreeMap<_, _> =
            status.metric_results.iter().map(|it| (it.name.clone(), word(it.phase))).collect();
        trace.push(json!({
            "at": (now - start).num_seconds(),
            "events": events.iter().map(text).collect::<Vec<_>>(),
            "message": status.message.clone().unwrap_or_default(),
            "metric_phases": phases,
            "next_seconds": wait,
            "phase": word(status.phase),
        }));
        let to_come = row["terminate_before_reconcile"].as_u64().is_some_and(|it| it > pass);
        if status.phase.is_some_and(AnalysisPhase::is_completed) || wait.is_none() && !to_come {
            break;
        }
        now += TimeDelta::seconds(wait.map_or(10, |it| it + 1));
    }
    let results: Vec<Value> = status
        .metric_results
        .iter()
        .map(|it| {
            json!({
                "name": it.name, "phase": word(it.phase), "message": it.message.clone().unwrap_or_default(),
                "count": it.count, "successful": it.successful, "failed": it.failed,
                "inconclusive": it.inconclusive, "error": it.error, "consecutiveError": it.consecutive_error,
                "consecutiveSuccess": it.consecutive_success, "dryRun": it.dry_run,
                "measurements": it.measurements.len(),
            })
        })
        .collect();
    // Argo wishes to look again at some runs that are over, and then does nothing.
    let mut wanted = row["trace"].clone();
    for pass in wanted.as_array_mut().into_iter().flatten() {
        if !matches!(pass["phase"].as_str(), Some("" | "Pending" | "Running")) {
            pass["next_seconds"] = Value::Null;
        }
    }
    Verdict::equal(
        &json!([
            wanted,
            row["phase"],
            row["message"],
            row["metric_results"],
            row["run_summary"],
            row["dry_run_summary"]
        ]),
        &json!([
            trace,
            word(status.phase),
            status.message.clone().unwrap_or_default(),
            results,
            status.run_summary,
            status.dry_run_summary,
        ]),
    )
}

/// Whether what was recorded comes to rest at once: a metric that ended badly ends the others in the next pass.
fn settles(spec: &AnalysisRunSpec, status: &AnalysisRunStatus, now: DateTime<Utc>) -> bool {
    let mut status = status.clone();
    for _ in 0..3 {
        match plan(Run { spec, status: &status }, &[], now) {
            Plan::Record { status: again, events, .. } if *again == status => return events.is_empty(),
            Plan::Record { status: again, .. } => status = *again,
            Plan::Measure(_) | Plan::Rest(_) => return true,
            Plan::Delete => return false,
        }
    }
    false
}

/// The outcome of each measurement: `Phase[:message][~seconds]`; the last one repeats.
struct Script<'a> {
    lines: &'a Value,
    played: BTreeMap<String, usize>,
}

impl Script<'_> {
    fn play(&mut self, task: &Task, now: DateTime<Utc>) -> Taken {
        let name = &task.metric.name;
        let started_at = match &task.step {
            Step::Take => Some(now),
            Step::Resume(running) | Step::Terminate(running) => running.started_at,
        };
        let mut measurement = Measurement { started_at, ..Measurement::default() };
        if let Step::Terminate(_) = task.step {
            measurement.phase = Some(AnalysisPhase::Successful);
        } else {
            let lines = self.lines[name].as_array().expect("a script for each metric");
            let played = self.played.entry(name.clone()).or_default();
            let line = lines[(*played).min(lines.len() - 1)].as_str().expect("a line");
            *played += 1;
            let (line, seconds) = match line.split_once('~') {
                Some((line, seconds)) => (line, seconds.parse().ok()),
                None => (line, None),
            };
            let (phase, message) = match line.split_once(':') {
                Some((phase, message)) => (phase, Some(message.to_owned())),
                None => (line, None),
            };
            measurement.phase = serde_json::from_value(json!(phase)).ok();
            measurement.message = message;
            measurement.resume_at = seconds.map(|it| now + TimeDelta::seconds(it));
        }
        Taken { metric: name.clone(), step: task.step.clone(), measurement, metadata: BTreeMap::new() }
    }
}

fn word(phase: Option<AnalysisPhase>) -> &'static str {
    phase.map_or("", AnalysisPhase::as_str)
}

fn text(event: &Event) -> String {
    let kind = match event.kind {
        EventKind::Normal => "Normal",
        EventKind::Warning => "Warning",
    };
    format!("{kind} {} {}", event.reason, event.message)
}
