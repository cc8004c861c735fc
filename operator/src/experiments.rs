//! The Experiment controller. `Controller::reconcile` is all of it on one screen: it observes an Experiment,
//! `operator_experiments::plan` decides, the effects are carried out, the status is recorded, and what happened is told.
//!
//! | file | what it does |
//! |---|---|
//! | `objects`, `triggers` | what is kept of an Experiment, and which ones a change concerns |
//! | `observe` | builds the world of one Experiment |
//!
//! It lives on the stores, the watches, the executor and the lease of the Rollout controller: the ReplicaSets, Services,
//! runs and templates of both are of the same kinds, and an Experiment is often a step of a Rollout.

mod objects;
mod observe;
pub(crate) mod triggers;

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use operator_core::{plan::Wake, traffic::ObjectName};
use operator_experiments::{
    World,
    plan::{News, Plan, plan, refused},
};
use serde_json::{Value, json};

pub(crate) use self::objects::StoredExperiment;
use self::{
    objects::Malformed,
    observe::{Observed, observe},
};
use crate::{
    clock,
    errors::chain,
    events::{Recorder, Subject},
    rollouts::{Controls, ExecuteError, Executor, Pass, Stores, controller, difference, guarded, key},
    telemetry::PassMetrics,
    traffic::TrafficStore,
};

/// Looks after Experiments, one at a time for each name.
pub(crate) struct Controller {
    pub(crate) stores: Arc<Stores>,
    pub(crate) traffic: Arc<TrafficStore>,
    pub(crate) executor: Executor,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: PassMetrics,
    /// The instance whose Experiments it acts on; empty: those without an instance.
    pub(crate) instance_id: String,
}

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    #[error("failed to compare the status with the recorded one")]
    Status(#[source] serde_json::Error),
}

impl Controller {
    /// One pass: observe, plan, execute, record and tell, wake. Why it was called does not matter.
    async fn reconcile(&self, name: &ObjectName, now: DateTime<Utc>) -> Result<Pass, Error> {
        // observe (no client: stores)
        let world = match observe(&self.stores, &self.traffic, name, &self.instance_id, now) {
            Observed::World(world) => world,
            Observed::Malformed { metadata, malformed } => {
                return self.refuse(name, &metadata, &malformed).await;
            }
            Observed::OfOthers => return Ok(Pass::Settled(Wake::OnChange)),
            Observed::Unlisted => {
                self.stores.covered(&name.namespace).await;
                return Ok(Pass::Moved);
            }
            Observed::Gone => return Ok(self.forget(name)),
        };
        // plan (no client: pure)
        let planned = plan(&world);
        // execute (client)
        let (plan, changed) = self.execute(&world, planned).await?;
        // record (client), and tell
        let recorded = self.record(name, &world, &plan).await?;
        if recorded {
            self.tell(&world.experiment.metadata, &plan.news);
        }
        // wake
        Ok(if recorded || changed { Pass::Moved } else { Pass::Settled(plan.wake) })
    }

    /// Carries out the effects one by one. One that the API server does not allow makes another plan, which records that;
    /// the rest of the effects is dropped. Tells whether something was written.
    async fn execute(&self, world: &World, plan: Plan) -> Result<(Plan, bool), Error> {
        let metadata = &world.experiment.metadata;
        let subject = Subject::of_kind::<crds::Experiment>(metadata);
        let mut changed = false;
        for effect in &plan.effects {
            match self.executor.carry_out(&subject, metadata, std::slice::from_ref(effect)).await {
                Ok(executed) => changed |= executed.changed,
                Err(error) => {
                    let source = std::error::Error::source(&error).filter(|_| error.refusal().is_some());
                    let ending = source.and_then(|source| refused(world, effect, &chain(source)));
                    return ending.map(|ending| (ending, changed)).ok_or(Error::Execute(error));
                }
            }
        }
        Ok((plan, changed))
    }

    /// Writes the status once, only what differs, on top of the version that was observed. Tells whether it wrote.
    async fn record(&self, name: &ObjectName, world: &World, plan: &Plan) -> Result<bool, Error> {
        let old = serde_json::to_value(&world.experiment.status).map_err(Error::Status)?;
        let new = serde_json::to_value(&plan.status).map_err(Error::Status)?;
        let old = if old.is_null() { json!({}) } else { old };
        let Some(difference) = difference(&old, &new) else { return Ok(false) };
        self.write(name, &world.experiment.metadata, &difference).await?;
        Ok(true)
    }

    async fn write(&self, name: &ObjectName, metadata: &ObjectMeta, status: &Value) -> Result<(), Error> {
        let version = metadata.resource_version.as_deref().unwrap_or_default();
        Ok(self.executor.write_experiment(name, guarded(status, version)).await?)
    }

    /// What happened, to the Experiment and, where it is of interest there, to the Rollout that it belongs to.
    fn tell(&self, metadata: &ObjectMeta, news: &[News]) {
        let own = Subject::of_kind::<crds::Experiment>(metadata);
        let rollout = controller(metadata).filter(|owner| owner.kind == "Rollout").map(|owner| {
            Subject::of(&ObjectMeta {
                namespace: metadata.namespace.clone(),
                name: Some(owner.name.clone()),
                uid: Some(owner.uid.clone()),
                ..ObjectMeta::default()
            })
        });
        for News { event, concerns_rollout } in news {
            self.recorder.record(&own, event);
            if let Some(rollout) = rollout.as_ref().filter(|_| *concerns_rollout) {
                self.recorder.record(rollout, event);
            }
        }
    }

    /// An Experiment that cannot be read ends as an error, once, so that whoever waits for it waits no longer.
    async fn refuse(
        &self,
        name: &ObjectName,
        metadata: &ObjectMeta,
        malformed: &Malformed,
    ) -> Result<Pass, Error> {
        if matches!(malformed.phase.as_deref(), Some("Successful" | "Failed" | "Error" | "Inconclusive")) {
            return Ok(Pass::Settled(Wake::OnChange));
        }
        let message = format!("Experiment spec invalid: {}", malformed.error);
        self.write(name, metadata, &json!({"phase": "Error", "message": message})).await?;
        Ok(Pass::Settled(Wake::OnChange))
    }

    fn forget(&self, name: &ObjectName) -> Pass {
        self.metrics.forget(name);
        Pass::Gone
    }
}

impl Controls for Controller {
    type Error = Error;
    const WHAT: &'static str = "Experiments";

    fn everything(&self) -> BTreeSet<ObjectName> {
        self.stores.experiments.all().iter().map(|it| key(&it.metadata)).collect()
    }

    async fn pass(&self, name: &ObjectName) -> Result<Pass, Error> {
        self.metrics.measure(name, self.reconcile(name, clock::now())).await
    }

    fn failed(&self, name: &ObjectName) {
        self.metrics.failed(name);
    }

    fn is_stale(error: &Error) -> bool {
        match error {
            Error::Execute(error) => error.is_stale(),
            Error::Status(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;
