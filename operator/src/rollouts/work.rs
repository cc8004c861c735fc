//! The workers: passes over Rollouts that are due, while the lease is held.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use operator_core::{plan::Wake, traffic::ObjectName};
use tokio::{
    sync::{Notify, watch},
    task::{Id, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    Controller, Error, Pass, execute,
    objects::key,
    queue::{Queue, QueueMeasure},
};
use crate::{clock, errors::chain, lease::Tenure, telemetry::PassOutcome};

/// The shortest wait for a moment that a plan names: it may lie in the past by the digits that a time is cut to.
const SHORTEST_WAKE: Duration = Duration::from_millis(50);

/// The Rollouts that are due, shared between those who wish and those who work.
#[derive(Debug, Default)]
pub struct Worklist {
    queue: Mutex<Queue>,
    news: Notify,
}

impl Worklist {
    /// Wishes to look at Rollouts now.
    pub fn add(&self, rollouts: BTreeSet<ObjectName>) {
        if rollouts.is_empty() {
            return;
        }
        let now = Instant::now();
        self.with(|queue| rollouts.into_iter().for_each(|it| queue.add(it, now)));
        self.news.notify_one();
    }

    /// How the queue does.
    pub(crate) fn measure(&self, now: Instant) -> QueueMeasure {
        self.with(|queue| queue.measure(now))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        change(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The loop that hands out work.
pub(super) struct Workers {
    pub(super) controller: Arc<Controller>,
    pub(super) list: Arc<Worklist>,
    pub(super) tenure: watch::Receiver<Tenure>,
    /// Passes at the same time.
    pub(super) most: usize,
    /// After this time a Rollout is looked at though nothing has changed.
    pub(super) resync: Duration,
}

impl Workers {
    /// Works until `stop` is cancelled; passes under way end by themselves.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut passes: JoinSet<Result<Pass, Error>> = JoinSet::new();
        let mut names: BTreeMap<Id, ObjectName> = BTreeMap::new();
        let mut acting = false;
        loop {
            let holds = self.tenure.borrow_and_update().holds(Instant::now());
            if holds != acting {
                info!(acting = holds, "the lease of Rollouts");
                acting = holds;
                if acting {
                    // Whatever happened meanwhile: look at everything afresh.
                    let all = self.controller.stores.rollouts.all();
                    self.list.add(all.iter().map(|it| key(&it.metadata)).collect());
                }
            }
            while acting && passes.len() < self.most {
                let Some(name) = self.list.with(|queue| queue.take(Instant::now())) else { break };
                let (controller, rollout) = (self.controller.clone(), name.clone());
                let pass = passes.spawn(async move { controller.pass(&rollout).await });
                names.insert(pass.id(), name);
            }
            let next = self.list.with(|queue| queue.next()).filter(|_| acting && passes.len() < self.most);
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.list.news.notified() => {}
                Some(ended) = passes.join_next_with_id() => self.ended(&mut names, ended),
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
                Ok(()) = self.tenure.changed() => {}
            }
        }
        while let Some(ended) = passes.join_next_with_id().await {
            self.ended(&mut names, ended);
        }
    }

    fn ended(
        &self,
        names: &mut BTreeMap<Id, ObjectName>,
        ended: Result<(Id, Result<Pass, Error>), tokio::task::JoinError>,
    ) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(name) = names.remove(&id) else { return };
        let now = Instant::now();
        match ended.map(|(_, result)| result) {
            Ok(Ok(Pass::Settled(wake))) => {
                let at = now + self.until(wake, clock::now());
                self.list.with(|queue| {
                    queue.finished(&name, now);
                    queue.add(name, at);
                });
            }
            Ok(Ok(Pass::Moved)) => self.list.with(|queue| queue.moved(&name, now)),
            Ok(Ok(Pass::Gone)) => self.list.with(|queue| queue.finished(&name, now)),
            Ok(Err(error)) => {
                if error.is_stale() {
                    debug!(rollout = %name, error = %chain(&error), "planning again");
                } else {
                    self.controller.failed(&name, &error);
                }
                self.list.with(|queue| queue.failed(&name, now));
            }
            Err(panic) => {
                error!(rollout = %name, error = %panic, "a pass ended in a defect of this program");
                self.list.with(|queue| queue.failed(&name, now));
            }
        }
    }

    fn until(&self, wake: Wake, now: DateTime<Utc>) -> Duration {
        match wake {
            Wake::OnChange => self.resync,
            Wake::At(time) => (time - now).to_std().unwrap_or_default().clamp(SHORTEST_WAKE, self.resync),
        }
    }
}

impl Controller {
    /// One measured pass.
    async fn pass(&self, name: &ObjectName) -> Result<Pass, Error> {
        let begun = Instant::now();
        let result = self.reconcile(name, clock::now()).await;
        if let Err(Error::Execute(error)) = &result {
            self.refused(name, error, clock::now()).await;
        }
        let outcome = match &result {
            Ok(Pass::Gone) => return result,
            Ok(Pass::Settled(_)) => PassOutcome::Settled,
            Ok(Pass::Moved) => PassOutcome::Moved,
            Err(_) => PassOutcome::Failed,
        };
        self.metrics.reconciled(name, outcome, begun.elapsed());
        result
    }

    fn failed(&self, name: &ObjectName, error: &Error) {
        self.metrics.failed(name);
        warn!(rollout = %name, error = %chain(error), "failed to look after a Rollout; trying again");
    }
}

impl Error {
    /// Whether planning again is all that is needed.
    fn is_stale(&self) -> bool {
        match self {
            Self::Execute(error) => execute::Error::is_stale(error),
            Self::Status(_) => false,
        }
    }
}
