//! The workers: passes over objects that are due, while the lease is held.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
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

/// The objects that are due, shared between those who wish and those who work.
#[derive(Debug, Default)]
pub struct Worklist {
    queue: Mutex<Queue>,
    news: Notify,
}

/// The lists of both controllers that live on the same stores. What one of them writes is in the stores before the watch
/// tells of it, and is no news then: whom else it concerns has to be told at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Worklists {
    /// Of Rollouts.
    pub(crate) rollouts: Arc<Worklist>,
    /// Of Experiments.
    pub(crate) experiments: Arc<Worklist>,
}

impl Worklist {
    /// Wishes to look at objects now.
    pub fn add(&self, objects: BTreeSet<ObjectName>) {
        if objects.is_empty() {
            return;
        }
        let now = Instant::now();
        self.with(|queue| objects.into_iter().for_each(|it| queue.add(it, now)));
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

/// A controller: it looks after the objects of one kind, each by itself.
pub(crate) trait Controls: Send + Sync + 'static {
    /// Why a pass failed.
    type Error: std::error::Error + Send + 'static;
    /// The kind, in words.
    const WHAT: &'static str;

    /// All objects there are.
    fn everything(&self) -> BTreeSet<ObjectName>;
    /// One pass over an object.
    fn pass(&self, name: &ObjectName) -> impl Future<Output = Result<Pass, Self::Error>> + Send;
    /// A pass has failed, and not only because something had changed.
    fn failed(&self, name: &ObjectName);
    /// Whether looking again is all that is needed.
    fn is_stale(error: &Self::Error) -> bool;
}

/// The loop that hands out work.
pub(crate) struct Workers<C> {
    pub(crate) controller: Arc<C>,
    pub(crate) list: Arc<Worklist>,
    pub(crate) tenure: watch::Receiver<Tenure>,
    /// Passes at the same time.
    pub(crate) most: usize,
    /// After this time an object is looked at though nothing has changed.
    pub(crate) resync: Duration,
}

impl<C: Controls> Workers<C> {
    /// Works until `stop` is cancelled; passes under way end by themselves.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut passes: JoinSet<Result<Pass, C::Error>> = JoinSet::new();
        let mut names: BTreeMap<Id, ObjectName> = BTreeMap::new();
        let mut acting = false;
        loop {
            let holds = self.tenure.borrow_and_update().holds(Instant::now());
            if holds != acting {
                info!(acting = holds, objects = C::WHAT, "the lease of Rollouts");
                acting = holds;
                if acting {
                    // Whatever happened meanwhile: look at everything afresh.
                    self.list.add(self.controller.everything());
                }
            }
            while acting && passes.len() < self.most {
                let Some(name) = self.list.with(|queue| queue.take(Instant::now())) else { break };
                let (controller, object) = (self.controller.clone(), name.clone());
                let pass = passes.spawn(async move { controller.pass(&object).await });
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
        ended: Result<(Id, Result<Pass, C::Error>), tokio::task::JoinError>,
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
                if C::is_stale(&error) {
                    debug!(object = %name, error = %chain(&error), "planning again");
                } else {
                    self.controller.failed(&name);
                    let error = chain(&error);
                    warn!(object = %name, kind = C::WHAT, %error, "failed to look after an object; trying again");
                }
                self.list.with(|queue| queue.failed(&name, now));
            }
            Err(panic) => {
                error!(object = %name, kind = C::WHAT, error = %panic, "a pass ended in a defect of this program");
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

impl Controls for Controller {
    type Error = Error;
    const WHAT: &'static str = "Rollouts";

    fn everything(&self) -> BTreeSet<ObjectName> {
        self.stores.rollouts.all().iter().map(|it| key(&it.metadata)).collect()
    }

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

    fn failed(&self, name: &ObjectName) {
        self.metrics.failed(name);
    }

    fn is_stale(error: &Error) -> bool {
        match error {
            Error::Execute(error) => execute::Error::is_stale(error),
            Error::Status(_) => false,
        }
    }
}
