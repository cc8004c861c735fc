//! Starts the AnalysisRun controller: watches, then workers.

use std::{sync::Arc, time::Duration};

use crds::contract;
use kube::{Api, Client, Resource, core::NamespaceResourceScope};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{Controller, Stores, execute::Executor, measure::Measurer, providers::Asking, triggers};
use crate::{
    events::Recorder,
    lease::Tenure,
    lists::everything,
    rollouts::{Workers, Worklist, follow, instance, trim, trimmed},
    telemetry::{self, Gate, Metrics},
    traffic::TrafficStore,
};

/// Passes at the same time. A pass waits for its measurements and costs nothing meanwhile; requests have a bound of
/// their own.
const MOST_PASSES: usize = 4096;

/// How the AnalysisRun controller works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The only namespace to work on; `None`: all.
    pub namespace: Option<String>,
    /// The instance whose objects it acts on; empty: those without an instance.
    pub instance_id: String,
    /// After this time a run is looked at though nothing has changed.
    pub resync: Duration,
    /// The Prometheus of metrics that name none.
    pub prometheus_address: Option<String>,
    /// The operator's namespace, where providers have their Secrets.
    pub own_namespace: String,
}

/// What the AnalysisRun controller needs.
#[expect(missing_debug_implementations, reason = "a Client has no Debug")]
pub struct Context {
    /// The API server.
    pub client: Client,
    /// How it works.
    pub settings: Settings,
    /// Who may act.
    pub tenure: watch::Receiver<Tenure>,
    /// What the proxies count.
    pub traffic: Arc<TrafficStore>,
    /// Where events go.
    pub recorder: Recorder,
    /// Where metrics go.
    pub metrics: Metrics,
    /// Opened when all stores are complete.
    pub ready: Gate,
    /// The end.
    pub stop: CancellationToken,
}

/// Runs until `stop` is cancelled.
pub async fn run(context: Context) {
    let Context { client, settings, tenure, traffic, recorder, metrics, ready, stop } = context;
    let stores = Arc::new(Stores::default());
    let list = Arc::new(Worklist::default());
    let metrics = telemetry::show_runs(&metrics, tenure.clone(), stores.clone());
    let executor = Executor::new(client.clone(), tenure.clone());
    let asking = Asking::new(settings.prometheus_address.clone(), settings.own_namespace.clone());
    let measurer = Measurer { stores: stores.clone(), executor: executor.clone(), asking, traffic };
    let controller = Arc::new(Controller { stores: stores.clone(), executor, measurer, recorder, metrics });
    let workers =
        Workers { controller, list: list.clone(), tenure, most: MOST_PASSES, resync: settings.resync };
    let watches = Watches { client, settings, stores, list, stop: stop.clone() };
    let working = async {
        if stop.run_until_cancelled(watches.complete()).await.is_some() {
            info!(runs = watches.stores.runs.all().len(), "all stores of analysis are complete");
            ready.open();
            workers.run(stop.clone()).await;
        }
    };
    tokio::join!(watches.follow(), working);
}

/// The watches of the AnalysisRun controller.
struct Watches {
    client: Client,
    settings: Settings,
    stores: Arc<Stores>,
    list: Arc<Worklist>,
    stop: CancellationToken,
}

impl Watches {
    async fn follow(&self) {
        let Self { settings, stores, list, stop, .. } = self;
        let runs = follow(
            self.api(),
            everything().labels(&instance(&settings.instance_id)),
            Some,
            &stores.runs,
            |change| list.add(triggers::of_run(change)),
            stop,
        );
        let jobs = follow(
            self.api(),
            everything().labels(contract::ANALYSIS_RUN_UID_LABEL),
            trimmed(trim),
            &stores.jobs,
            |change| list.add(triggers::of_job(change)),
            stop,
        );
        let pods = follow(
            self.api(),
            everything().labels(contract::ANALYSIS_RUN_UID_LABEL),
            trimmed(trim),
            &stores.pods,
            |change| list.add(triggers::of_pod(stores, change)),
            stop,
        );
        tokio::join!(runs, jobs, pods);
    }

    async fn complete(&self) {
        let stores = &self.stores;
        tokio::join!(stores.runs.completed(), stores.jobs.completed(), stores.pods.completed());
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match &self.settings.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }
}
