//! Starts the Rollout controller, and that of Experiments, which lives on the same stores: watches, then workers.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crds::{analysis, contract};
use futures::future::join_all;
use k8s_openapi::api::networking::v1::Ingress;
use kube::{Api, Client, Resource, api::ApiResource, core::NamespaceResourceScope};
use operator_core::{key::Kind, traffic::ObjectName};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    Controller, Stores,
    execute::Executor,
    mappings::{Served, folded, follow_mappings},
    namespaces::follow_occupied,
    objects::{Pod, UNFINISHED, WatchedTemplate, trim, trim_ingress, trim_run, trim_service},
    routes::follow_routes,
    store::{Change, Stored},
    triggers,
    watch::{follow, trimmed},
    work::{Workers, Worklist, Worklists},
    workloads::KINDS,
};
use crate::{
    definitions,
    events::Recorder,
    experiments,
    lease::Tenure,
    lists::everything,
    telemetry::{self, Gate, Metrics, RolloutCounts, RolloutMetrics},
    traffic::{self, Connector, TrafficStore},
};

/// How long an operator of one namespace waits for what all namespaces share.
const SHARED: Duration = Duration::from_secs(10);

/// How the Rollout controller works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The only namespace to work on; `None`: all.
    pub namespace: Option<String>,
    /// The instance whose objects it acts on; empty: those without an instance.
    pub instance_id: String,
    /// Passes over Rollouts at the same time.
    pub workers: usize,
    /// Passes over Experiments at the same time.
    pub experiment_workers: usize,
    /// After this time a Rollout is looked at though nothing has changed.
    pub resync: Duration,
    /// Group and version of Mappings; `None`: the newest that is served.
    pub mapping_version: Option<String>,
}

/// What the Rollout controller needs.
#[expect(missing_debug_implementations, reason = "a Client has no Debug")]
pub struct Context {
    /// The API server.
    pub client: Client,
    /// How it works.
    pub settings: Settings,
    /// Who may act.
    pub tenure: watch::Receiver<Tenure>,
    /// How to reach the traffic server; `None`: there is none.
    pub traffic: Option<Connector>,
    /// What it tells.
    pub store: Arc<TrafficStore>,
    /// Where events go.
    pub recorder: Recorder,
    /// Where metrics go.
    pub metrics: Metrics,
    /// What is counted of each Rollout.
    pub counts: RolloutCounts,
    /// Opened when all stores are complete.
    pub ready: Gate,
    /// The end.
    pub stop: CancellationToken,
}

/// Runs until `stop` is cancelled.
///
/// # Errors
/// If the metrics' names are taken.
pub async fn run(context: Context) -> prometheus::Result<()> {
    let Context { client, settings, tenure, traffic, store, recorder, metrics, counts, ready, stop } =
        context;
    let stores = Arc::new(Stores::default());
    let lists = Worklists::default();
    let list = lists.rollouts.clone();
    let registered = metrics;
    let metrics =
        RolloutMetrics::register(&registered, counts, tenure.clone(), stores.clone(), list.clone())?;
    // Events on what has no namespace are in `default`, where an operator of one namespace may not write.
    let told = settings.namespace.is_none().then(|| recorder.clone());
    let definitions = definitions::Watcher::new(client.clone(), &registered.registry, told, tenure.clone())?;
    let (served, mappings) = watch::channel(Served::default());
    let executor = Executor::new(
        client.clone(),
        stores.clone(),
        lists.clone(),
        tenure.clone(),
        mappings,
        recorder.clone(),
    );
    let experiments = experiments::Controller {
        stores: stores.clone(),
        traffic: store.clone(),
        executor: executor.clone(),
        recorder: recorder.clone(),
        metrics: telemetry::show_experiments(&registered, tenure.clone(), stores.clone()),
        instance_id: settings.instance_id.clone(),
    };
    let controller = Arc::new(Controller::new(stores.clone(), store.clone(), executor, recorder, metrics));
    let experiment_workers = Workers {
        controller: Arc::new(experiments),
        list: lists.experiments,
        tenure: tenure.clone(),
        most: settings.experiment_workers.max(1),
        resync: settings.resync,
    };
    let workers = Workers {
        controller,
        list: list.clone(),
        tenure,
        most: settings.workers.max(1),
        resync: settings.resync,
    };

    let watches = Watches {
        client,
        settings,
        stores,
        list,
        experiment_list: experiment_workers.list.clone(),
        stop: stop.clone(),
    };
    let working = async {
        if stop.run_until_cancelled(watches.complete()).await.is_some() {
            info!(rollouts = watches.stores.rollouts.all().len(), "all stores are complete");
            ready.open();
            tokio::join!(workers.run(stop.clone()), experiment_workers.run(stop.clone()));
        }
    };
    let traffic = async {
        if let Some(connector) = traffic {
            let touched =
                |news: &traffic::Touched| watches.list.add(triggers::of_traffic(&watches.stores, news));
            traffic::follow(connector, &store, touched, &stop).await;
        }
    };
    tokio::join!(watches.follow(&served), traffic, definitions.run(&stop), working);
    Ok(())
}

/// The watches of the Rollout controller, and of that of Experiments.
struct Watches {
    client: Client,
    settings: Settings,
    stores: Arc<Stores>,
    list: Arc<Worklist>,
    /// The Experiments that are due.
    experiment_list: Arc<Worklist>,
    stop: CancellationToken,
}

impl Watches {
    async fn follow(&self, served: &watch::Sender<Served>) {
        let Self { settings, stores, list, experiment_list, stop, .. } = self;
        let concern = |rollouts: BTreeSet<ObjectName>| list.add(rollouts);
        let rollouts = follow(
            self.api(),
            everything().labels(&instance(&settings.instance_id)),
            Some,
            &stores.rollouts,
            |change| {
                triggers::forget_workload(stores, change);
                occupy(stores, change);
                concern(triggers::of_rollout(stores, change));
            },
            stop,
        );
        let replica_sets = follow(
            self.api(),
            everything().labels(contract::POD_TEMPLATE_HASH_LABEL),
            trimmed(trim),
            &stores.replica_sets,
            |change| {
                concern(triggers::of_replica_set(stores, change));
                experiment_list.add(experiments::triggers::of_replica_set(change));
            },
            stop,
        );
        tokio::join!(
            rollouts,
            replica_sets,
            self.follow_pods(),
            self.follow_named(served),
            self.follow_workloads(),
            self.follow_analyses(),
        );
    }

    /// What Rollouts and Experiments name in their namespaces, which have to be known first.
    async fn follow_named(&self, served: &watch::Sender<Served>) {
        let Self { client, settings, stores, list, experiment_list, stop } = self;
        let namespace = settings.namespace.as_deref();
        let concern = |rollouts: BTreeSet<ObjectName>| list.add(rollouts);
        let owners = async { tokio::join!(stores.rollouts.completed(), stores.experiments.completed()) };
        if stop.run_until_cancelled(owners).await.is_none() {
            return;
        }
        let rollouts = stores.rollouts.all().into_iter().map(|it| it.name());
        let experiments = stores.experiments.all().into_iter().map(|it| it.name());
        rollouts.chain(experiments).for_each(|it| stores.namespaces.occupy(&it.namespace));
        let services = follow_occupied(
            self.api(),
            trimmed(trim_service),
            &stores.services,
            |change| {
                concern(triggers::of_service(stores, change));
                experiment_list.add(experiments::triggers::of_service(change));
            },
            &stores.namespaces,
            stop,
        );
        let mappings = follow_mappings(
            client.clone(),
            settings.mapping_version.as_deref(),
            namespace,
            stores,
            served,
            |change| concern(triggers::of_split_object(stores, Kind::Mapping, change)),
            stop,
        );
        let resource = ApiResource::erase::<Ingress>(&());
        let ingresses = follow_occupied(
            match namespace {
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
                None => Api::all_with(client.clone(), &resource),
            },
            folded(trim_ingress),
            &stores.ingresses,
            |change| concern(triggers::of_split_object(stores, Kind::Ingress, change)),
            &stores.namespaces,
            stop,
        );
        let routes = |kind| {
            let changed = move |change: &_| list.add(triggers::of_split_object(stores, kind, change));
            follow_routes(client.clone(), kind, namespace, stores, changed, stop)
        };
        tokio::join!(services, mappings, ingresses, routes(Kind::HttpRoute), routes(Kind::GrpcRoute));
    }

    /// What is kept of a pod depends on its ReplicaSet and its Rollout: they come first.
    async fn follow_pods(&self) {
        let Self { stores, list, stop, .. } = self;
        let owners = async { tokio::join!(stores.rollouts.completed(), stores.replica_sets.completed()) };
        if stop.run_until_cancelled(owners).await.is_none() {
            return;
        }
        follow(
            self.api(),
            everything().labels(contract::POD_TEMPLATE_HASH_LABEL).fields(UNFINISHED),
            |watched| Some(Pod::of(&watched, stores)),
            &stores.pods,
            |change| list.add(triggers::of_pod(stores, change)),
            stop,
        )
        .await;
    }

    async fn follow_workloads(&self) {
        let Self { client, settings, stores, list, stop, .. } = self;
        let follow = |kind| {
            let changed = move |change: &_| list.add(triggers::of_workload(stores, kind, change));
            stores.workloads.follow(kind, client.clone(), settings.namespace.as_deref(), changed, stop)
        };
        join_all(KINDS.map(follow)).await;
    }

    async fn follow_analyses(&self) {
        let Self { client, stores, list, experiment_list, stop, .. } = self;
        let any = everything;
        let runs = follow(
            self.api(),
            any(),
            trimmed(trim_run),
            &stores.analysis_runs,
            |change| {
                list.add(triggers::of_analysis_run(change));
                experiment_list.add(experiments::triggers::of_analysis_run(change));
            },
            stop,
        );
        let templates = follow(
            self.api(),
            any(),
            |watched: WatchedTemplate<analysis::AnalysisTemplate>| Some(watched.kept()),
            &stores.templates,
            |change| list.add(triggers::of_template(stores, change)),
            stop,
        );
        let cluster_templates = follow(
            Api::all(client.clone()),
            any(),
            |watched: WatchedTemplate<analysis::ClusterAnalysisTemplate>| Some(watched.kept()),
            &stores.cluster_templates,
            |_| list.add(triggers::of_cluster_template(stores)),
            stop,
        );
        let experiments = follow(
            self.api(),
            any(),
            Some,
            &stores.experiments,
            |change| {
                occupy(stores, change);
                list.add(triggers::of_experiment(change));
                experiment_list.add(experiments::triggers::of_experiment(change));
            },
            stop,
        );
        tokio::join!(runs, templates, cluster_templates, experiments);
    }

    /// With one namespace to work on there may be no right to what all namespaces share, as with Argo: that is waited
    /// for only a while.
    async fn complete_shared(&self) {
        let completed = self.stores.cluster_templates.completed();
        if self.settings.namespace.is_none() {
            completed.await;
        } else if tokio::time::timeout(SHARED, completed).await.is_err() {
            warn!("ClusterAnalysisTemplates cannot be read; going on without them");
        }
    }

    /// A role of an earlier version has no right to them, and most Rollouts name none.
    async fn complete_ingresses(&self) {
        if tokio::time::timeout(SHARED, self.stores.ingresses.completed()).await.is_err() {
            warn!("Ingresses cannot be read; Rollouts that name one are invalid until they can");
        }
    }

    /// As with Ingresses: a role of an earlier version has no right to them.
    async fn complete_routes(&self) {
        let both =
            async { tokio::join!(self.stores.http_routes.completed(), self.stores.grpc_routes.completed()) };
        if tokio::time::timeout(SHARED, both).await.is_err() {
            warn!(
                "routes of the Gateway API cannot be read; Rollouts that name one are invalid until they can"
            );
        }
    }

    async fn complete(&self) {
        let stores = &self.stores;
        tokio::join!(
            stores.rollouts.completed(),
            stores.replica_sets.completed(),
            stores.pods.completed(),
            stores.services.completed(),
            stores.mappings.completed(),
            stores.analysis_runs.completed(),
            stores.templates.completed(),
            stores.experiments.completed(),
            self.complete_shared(),
            self.complete_ingresses(),
            self.complete_routes(),
        );
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

/// Where a Rollout or an Experiment is, other objects are of interest.
fn occupy<K: Stored>(stores: &Stores, change: &Change<K>) {
    if let Some(new) = &change.new {
        stores.namespaces.occupy(&new.name().namespace);
    }
}

/// The label selector for the objects of an instance.
pub(crate) fn instance(id: &str) -> String {
    match id {
        "" => format!("!{}", contract::INSTANCE_ID_LABEL),
        id => format!("{}={id}", contract::INSTANCE_ID_LABEL),
    }
}
