//! The AnalysisRun controller. `Controller::reconcile` is all of it on one screen: it observes a run,
//! `operator_analysis::plan` says what to measure, `measure` does, the plan is made again with what was taken, and its
//! status is recorded.
//!
//! | file | what it does |
//! |---|---|
//! | `objects`, `triggers` | what is kept of each kind, and which runs a change concerns |
//! | `measure`, `providers` | takes measurements |
//! | `execute` | talks to the API server while the lease is held |
//! | `run` | starts watches and workers |
//!
//! A pass waits for its measurements, and nothing else does: passes of other runs go on, and one timer wakes them all.

mod execute;
mod measure;
mod objects;
mod providers;
mod run;
mod triggers;

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, Utc};
use crds::{AnalysisRun, analysis::AnalysisRunStatus};
use operator_analysis::plan::{Event, EventKind, Plan, Run, Taken, plan, unmeasurable};
use operator_core::{effect, plan::Wake, traffic::ObjectName};
use serde_json::json;

pub(crate) use self::objects::StoredRun;
pub use self::run::{Context, Settings, run};
use self::{
    execute::Executor,
    measure::Measurer,
    objects::{Job, JobPod},
};
use crate::{
    clock,
    events::{Recorder, Subject},
    rollouts::{Controls, Pass, Store, difference, guarded, index_owned, key},
    telemetry::PassMetrics,
};

/// How often a status is recorded on top of what somebody else has written at the same time.
const ATTEMPTS: usize = 3;

/// All objects that runs are about.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) runs: Store<StoredRun>,
    pub(crate) jobs: Store<Job>,
    pub(crate) pods: Store<JobPod>,
}

impl Default for Stores {
    /// Empty ones, not complete.
    fn default() -> Self {
        Self {
            runs: Store::new(|_| Vec::new()),
            jobs: Store::new(index_owned),
            pods: Store::new(index_owned),
        }
    }
}

/// Looks after runs, one at a time for each name.
struct Controller {
    stores: Arc<Stores>,
    executor: Executor,
    measurer: Measurer,
    recorder: Recorder,
    metrics: PassMetrics,
}

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Execute(#[from] execute::Error),
    #[error(transparent)]
    Measure(measure::Error),
    #[error("failed to compare the status with the recorded one")]
    Status(#[source] serde_json::Error),
}

impl Controller {
    /// One pass: observe, plan, measure, plan, record, wake. Why it was called does not matter.
    async fn reconcile(&self, name: &ObjectName, now: DateTime<Utc>) -> Result<Pass, Error> {
        // observe (no client: stores)
        let Some(stored) = self.stores.runs.get(name) else { return Ok(self.forget(name)) };
        let run = match &stored.decoded {
            Ok(run) if run.metadata.deletion_timestamp.is_none() => run.as_ref().clone(),
            Ok(_) => return Ok(Pass::Settled(Wake::OnChange)),
            Err(_) => return self.refuse(name, &stored).await,
        };
        // plan (no client: pure)
        let nothing = AnalysisRunStatus::default();
        match plan(observed(&run, &nothing), &[], now) {
            // execute, record (client)
            Plan::Measure(tasks) => match self.measurer.measure(&run, &tasks).await {
                Ok(taken) => self.record(name, run, &taken).await,
                Err(measure::Error::Arguments(why)) => {
                    let plan = unmeasurable(observed(&run, &nothing), &why, now);
                    self.record_plan(name, &run, plan).await
                }
                Err(error) => Err(Error::Measure(error)),
            },
            plan => self.record_plan(name, &run, plan).await,
        }
    }

    /// Plans again with what was taken, and records it. Whoever changes the spec meanwhile, as by ending the run, must
    /// not make a measurement go for nothing.
    async fn record(&self, name: &ObjectName, mut run: AnalysisRun, taken: &[Taken]) -> Result<Pass, Error> {
        let nothing = AnalysisRunStatus::default();
        for attempt in 1.. {
            let plan = plan(observed(&run, &nothing), taken, clock::now());
            match self.record_plan(name, &run, plan).await {
                Err(Error::Execute(error)) if is_conflict(&error) && attempt < ATTEMPTS => {
                    let newer = self.executor.read_run(name).await?;
                    let same_status = match &newer.decoded {
                        Ok(newer) => newer.metadata.uid == run.metadata.uid && newer.status == run.status,
                        Err(_) => false,
                    };
                    self.stores.runs.written(newer.clone());
                    match newer.decoded {
                        Ok(newer) if same_status => run = *newer,
                        _ => return Err(Error::Execute(error)),
                    }
                }
                recorded => return recorded,
            }
        }
        Ok(Pass::Moved)
    }

    async fn record_plan(&self, name: &ObjectName, run: &AnalysisRun, plan: Plan) -> Result<Pass, Error> {
        let (status, events, wake) = match plan {
            Plan::Record { status, events, wake } => (status, events, wake),
            Plan::Delete => {
                self.executor.delete_run(name, run.metadata.uid.clone()).await?;
                return Ok(Pass::Settled(Wake::OnChange));
            }
            Plan::Rest(wake) => return Ok(Pass::Settled(wake.map_or(Wake::OnChange, Wake::At))),
            // Only a plan without measurements asks for some.
            Plan::Measure(_) => return Ok(Pass::Moved),
        };
        let old = serde_json::to_value(&run.status).map_err(Error::Status)?;
        let new = serde_json::to_value(&*status).map_err(Error::Status)?;
        let old = if old.is_null() { json!({}) } else { old };
        let difference = difference(&old, &new);
        let changed = difference.is_some();
        if let Some(difference) = difference {
            let version = run.metadata.resource_version.as_deref().unwrap_or_default();
            let written = self.executor.patch_run(name, guarded(&difference, version)).await?;
            self.tell(run, &events);
            self.stores.runs.written(written.clone());
            if let Ok(written) = &written.decoded {
                self.measurer.forget_jobs(written).await?;
            }
        }
        // What was recorded may end measurements that are under way: the next pass sees it.
        Ok(if changed { Pass::Moved } else { Pass::Settled(wake.map_or(Wake::OnChange, Wake::At)) })
    }

    /// A run that cannot be read ends as an error, once, so that whoever waits for it waits no longer.
    async fn refuse(&self, name: &ObjectName, stored: &StoredRun) -> Result<Pass, Error> {
        let Err(malformed) = &stored.decoded else { return Ok(Pass::Settled(Wake::OnChange)) };
        if matches!(malformed.phase.as_deref(), Some("Successful" | "Failed" | "Error" | "Inconclusive")) {
            return Ok(Pass::Settled(Wake::OnChange));
        }
        let message = format!("Analysis spec invalid: {}", malformed.error);
        let version = stored.metadata.resource_version.as_deref().unwrap_or_default();
        let patch = guarded(&json!({"phase": "Error", "message": message}), version);
        self.stores.runs.written(self.executor.patch_run(name, patch).await?);
        Ok(Pass::Settled(Wake::OnChange))
    }

    fn tell(&self, run: &AnalysisRun, events: &[Event]) {
        for Event { kind, reason, message } in events {
            let kind = match kind {
                EventKind::Normal => effect::EventKind::Normal,
                EventKind::Warning => effect::EventKind::Warning,
            };
            let event = effect::Event { kind, reason: reason.clone(), message: message.clone() };
            self.recorder.record(&Subject::of_kind::<AnalysisRun>(&run.metadata), &event);
        }
    }

    fn forget(&self, name: &ObjectName) -> Pass {
        self.metrics.forget(name);
        Pass::Gone
    }
}

impl Controls for Controller {
    type Error = Error;
    const WHAT: &'static str = "AnalysisRuns";

    fn everything(&self) -> BTreeSet<ObjectName> {
        self.stores.runs.all().iter().map(|it| key(&it.metadata)).collect()
    }

    async fn pass(&self, name: &ObjectName) -> Result<Pass, Error> {
        self.metrics.measure(name, self.reconcile(name, clock::now())).await
    }

    fn failed(&self, name: &ObjectName) {
        self.metrics.failed(name);
    }

    fn is_stale(error: &Error) -> bool {
        match error {
            Error::Execute(error) | Error::Measure(measure::Error::Api(error)) => error.is_stale(),
            Error::Measure(measure::Error::Arguments(_)) | Error::Status(_) => false,
        }
    }
}

fn observed<'a>(run: &'a AnalysisRun, nothing: &'a AnalysisRunStatus) -> Run<'a> {
    Run { spec: &run.spec, status: run.status.as_ref().unwrap_or(nothing) }
}

fn is_conflict(error: &execute::Error) -> bool {
    error.refusal().is_some_and(|(code, _)| code == 409)
}

#[cfg(test)]
mod tests;
