//! One task for the proxies of each scope: makes their objects, and makes them again when something else is asked for, when
//! one of them was changed, and after an error.

use std::{sync::Arc, time::Duration};

use kube::Client;
use operator_gateways::{Installation, Invalid, Names, Outcome, Parameters, Proxies, Source, wanted};
use operator_routes::{ObjectName, Scope, gateway::Demand};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use super::{
    super::Input,
    apply::{self, ApplyError, Made},
};
use crate::errors::chain;

/// Between two tries after an error; doubles up to the second.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(15);
/// How often parameters are read again.
const READ_AGAIN: Duration = Duration::from_secs(30);

/// Looks after the objects of the proxies of one scope until it is dropped.
pub(super) struct Keeper {
    demand: watch::Sender<Arc<Demand>>,
    again: Arc<Notify>,
    _stop: DropGuard,
}

impl Keeper {
    pub(super) fn start(
        client: Client,
        installation: Arc<Installation>,
        scope: Scope,
        demand: Arc<Demand>,
        inputs: mpsc::Sender<Input>,
        shutdown: &CancellationToken,
    ) -> Self {
        let (demand, demands) = watch::channel(demand);
        let again = Arc::new(Notify::new());
        let stop = shutdown.child_token();
        let task = Task {
            client,
            installation,
            scope,
            inputs,
            demands,
            again: Arc::clone(&again),
            told: None,
            made: Made::default(),
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(task.run()));
        Self { demand, again, _stop: stop.drop_guard() }
    }

    /// This is asked for now.
    pub(super) fn demand(&self, demand: Arc<Demand>) {
        self.demand.send_if_modified(|before| {
            let differs = **before != *demand;
            *before = demand;
            differs
        });
    }

    /// One of its objects was changed.
    pub(super) fn look_again(&self) {
        self.again.notify_one();
    }
}

/// When objects are taken away.
pub(super) enum Farewell {
    /// They are of no use any more.
    Now,
    /// The Gateway is there and somebody else's. One that is deleted takes them with it.
    IfForeign {
        gateway: ObjectName,
        /// Of the classes whose Gateways are ours.
        controllers: Arc<[String]>,
    },
}

/// Takes the objects of proxies away that belong to the object of this uid, and tries until that is done or the guard is
/// dropped.
pub(super) fn withdraw(
    client: &Client,
    farewell: Farewell,
    names: Names,
    uid: Arc<str>,
    shutdown: &CancellationToken,
) -> DropGuard {
    let client = client.clone();
    let stop = shutdown.child_token();
    let work = async move {
        let mut retry = RETRY_FIRST;
        loop {
            let done = match &farewell {
                Farewell::Now => apply::withdraw(&client, &names, &uid).await,
                Farewell::IfForeign { gateway, controllers } => {
                    apply::withdraw_if_foreign(&client, controllers, gateway, &names, &uid).await
                }
            };
            match done {
                Ok(objects) => {
                    if objects > 0 {
                        info!(proxies = %names.base, objects, "took proxies away that no Gateway asks for any more");
                    }
                    return;
                }
                Err(error) => {
                    warn!(proxies = %names.base, error = chain(&error), "failed to take proxies away");
                    sleep(retry).await;
                    retry = RETRY_LAST.min(retry * 2);
                }
            }
        }
    };
    tokio::spawn(stop.clone().run_until_cancelled_owned(work));
    stop.drop_guard()
}

struct Task {
    client: Client,
    installation: Arc<Installation>,
    scope: Scope,
    inputs: mpsc::Sender<Input>,
    demands: watch::Receiver<Arc<Demand>>,
    again: Arc<Notify>,
    told: Option<Outcome>,
    made: Made,
}

impl Task {
    async fn run(mut self) {
        let mut retry = RETRY_FIRST;
        loop {
            let demand = Arc::clone(&self.demands.borrow_and_update());
            let outcome = match self.make(&demand).await {
                Ok(outcome) => {
                    retry = RETRY_FIRST;
                    outcome
                }
                Err(error) => {
                    let text = chain(&error);
                    // Another write came between: the next look is at what it wrote.
                    if !error.is_conflict() {
                        warn!(scope = %self.scope, error = text, "failed to make proxies");
                        self.tell(Outcome::Failed(text)).await;
                    }
                    self.wait(Some(retry)).await;
                    retry = RETRY_LAST.min(retry * 2);
                    continue;
                }
            };
            self.tell(outcome).await;
            let has_parameters = demand.parameters.is_some() || demand.class_parameters.is_some();
            self.wait(has_parameters.then_some(READ_AGAIN)).await;
        }
    }

    /// Makes what is not as wanted.
    async fn make(&mut self, demand: &Demand) -> Result<Outcome, ApplyError> {
        let parameters = match self.parameters(demand).await? {
            Ok(parameters) => parameters,
            Err(invalid) => return Ok(Outcome::Invalid(invalid)),
        };
        let own = matches!(self.scope, Scope::Gateway(_));
        if own && parameters.proxies == Proxies::Shared && !self.made.any() {
            // The compiler is about to learn the same: nothing is begun that is of no use.
            return Ok(Outcome::Unknown);
        }
        let Some(names) = Names::of_scope(&self.scope, &demand.class) else { return Ok(Outcome::Unknown) };
        let objects = wanted(&self.scope, demand, &parameters, &self.installation);
        apply::apply(&self.client, &names, demand, &parameters, objects, &mut self.made).await?;
        Ok(Outcome::Made)
    }

    /// What the class sets, and the Gateway over it.
    async fn parameters(&self, demand: &Demand) -> Result<Result<Parameters, Invalid>, ApplyError> {
        let mut parameters = Parameters::default();
        let references = [(Source::Class, &demand.class_parameters), (Source::Gateway, &demand.parameters)];
        let (Scope::Gateway(owner) | Scope::Class(owner)) = &self.scope else { return Ok(Ok(parameters)) };
        for (from, reference) in references {
            let Some(reference) = reference else { continue };
            let name = match from.config_map(reference, owner) {
                Ok(name) => name,
                Err(invalid) => return Ok(Err(invalid)),
            };
            let Some(data) = apply::config_map(&self.client, &name).await? else {
                return Ok(Err(Invalid::Missing { from, name }));
            };
            match parameters.take(from, &name, &data) {
                Ok(taken) => parameters = taken,
                Err(invalid) => return Ok(Err(invalid)),
            }
        }
        Ok(Ok(parameters))
    }

    async fn tell(&mut self, outcome: Outcome) {
        if self.told.as_ref() != Some(&outcome) {
            self.told = Some(outcome.clone());
            // Nobody listens once the process ends.
            let _ = self.inputs.send(Input::Proxies(self.scope.clone(), outcome)).await;
        }
    }

    /// Until something else is asked for, an object was changed, or so long.
    async fn wait(&mut self, limit: Option<Duration>) {
        let changed = async {
            tokio::select! {
                changed = self.demands.changed() => if changed.is_err() {
                    // The keeper is gone, and this task is about to be.
                    std::future::pending::<()>().await;
                },
                () = self.again.notified() => {
                    // Several of its objects change together.
                    sleep(RETRY_FIRST).await;
                    self.made.forget();
                }
            }
        };
        match limit {
            Some(limit) => drop(timeout(limit, changed).await),
            None => changed.await,
        }
    }
}
