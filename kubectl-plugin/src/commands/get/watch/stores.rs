//! Copies of what may belong to a Rollout or an Experiment, kept up to date by watches.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{BoxStream, SelectAll};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{Store, reflector};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use crate::cluster::Cluster;
use crate::commands;
use crate::commands::get::{Readable, Root, Tree, read_experiment, read_known};
use crate::commands::watch_problem;
use crate::failure::Failure;
use crate::view::Family;

/// What a watch reports.
pub(super) enum Change {
    /// All objects of this kind are there (again).
    Listed(&'static str),
    /// An object came, changed or went.
    Object,
    /// The watch failed and is tried again.
    Problem(String),
}

/// One store a kind.
pub(super) struct Stores {
    /// Never ends.
    pub(super) changes: SelectAll<BoxStream<'static, Change>>,
    /// Kinds of which not all objects are there yet.
    missing: BTreeSet<&'static str>,
    root: Root,
    roots: Store<DynamicObject>,
    replica_sets: Store<ReplicaSet>,
    pods: Store<Pod>,
    analysis_runs: Option<Store<DynamicObject>>,
    experiments: Option<Store<DynamicObject>>,
}

impl Stores {
    /// Starts to watch; nothing is there yet.
    pub(super) fn start(cluster: &Cluster, root: Root, name: &str, readable: Readable) -> Self {
        let this_one = Config::default().fields(&format!("metadata.name={name}"));
        let with_hash = Config::default().labels(crds::contract::POD_TEMPLATE_HASH_LABEL);
        let mut watches = Watches::default();
        Self {
            root,
            roots: match root {
                Root::Rollout => {
                    watches.add("rollouts", cluster.rollouts(), this_one, erased::<crds::Rollout>())
                }
                Root::Experiment => {
                    watches.add("experiments", cluster.experiments(), this_one, erased::<crds::Experiment>())
                }
            },
            replica_sets: watches.add("replicasets", cluster.replica_sets(), with_hash.clone(), ()),
            pods: watches.add("pods", cluster.pods(), with_hash, ()),
            analysis_runs: readable.analysis_runs.then(|| {
                let kind = erased::<crds::AnalysisRun>();
                watches.add("analysisruns", cluster.analysis_runs(), Config::default(), kind)
            }),
            experiments: readable.experiments.then(|| {
                let kind = erased::<crds::Experiment>();
                watches.add("experiments", cluster.experiments(), Config::default(), kind)
            }),
            changes: watches.changes,
            missing: watches.kinds,
        }
    }

    /// Takes note of a change.
    pub(super) fn note(&mut self, change: &Change) {
        if let Change::Listed(kind) = change {
            self.missing.remove(kind);
        }
    }

    /// The tree as of now; absent until everything is there.
    pub(super) fn tree(&self, name: &str) -> Result<Option<Tree>, Failure> {
        if !self.missing.is_empty() {
            return Ok(None);
        }
        let Some(root) = self.roots.state().into_iter().next() else {
            let kinds = match self.root {
                Root::Rollout => "rollouts",
                Root::Experiment => "experiments",
            };
            return Err(Failure::Refused(format!("{kinds}.argoproj.io \"{name}\" not found")));
        };
        let optional = |store: &Option<Store<DynamicObject>>| store.as_ref().map(copy).unwrap_or_default();
        // Whoever has an unreadable object was told so before the watch began.
        let mut warnings = Vec::new();
        let mut family = Box::new(Family {
            rollout: crds::Rollout::default(),
            replica_sets: copy(&self.replica_sets),
            pods: copy(&self.pods),
            analysis_runs: read_known(&optional(&self.analysis_runs), &mut warnings),
            experiments: read_known(&optional(&self.experiments), &mut warnings),
        });
        Ok(Some(match self.root {
            Root::Rollout => {
                family.rollout = commands::read(Arc::unwrap_or_clone(root))?;
                Tree::Rollout(family)
            }
            Root::Experiment => Tree::Experiment(Box::new(read_experiment(&root)?), family),
        }))
    }
}

#[derive(Default)]
struct Watches {
    changes: SelectAll<BoxStream<'static, Change>>,
    kinds: BTreeSet<&'static str>,
}

impl Watches {
    fn add<K>(&mut self, kind: &'static str, api: Api<K>, config: Config, dynamic: K::DynamicType) -> Store<K>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        K::DynamicType: Clone + Eq + Hash + Send + Sync,
    {
        let writer = Writer::new(dynamic);
        let store = writer.as_reader();
        let events =
            reflector(writer, watcher(api, config).modify(|object| object.meta_mut().managed_fields = None));
        let changes = events.default_backoff().filter_map(move |event| {
            std::future::ready(match event {
                Ok(Event::Apply(_) | Event::Delete(_)) => Some(Change::Object),
                Ok(Event::InitDone) => Some(Change::Listed(kind)),
                Ok(Event::Init | Event::InitApply(_)) => None,
                Err(error) => watch_problem(&error).map(Change::Problem),
            })
        });
        self.changes.push(changes.boxed());
        self.kinds.insert(kind);
        store
    }
}

fn erased<K: Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

fn copy<K>(store: &Store<K>) -> Vec<K>
where
    K: Resource + Clone + 'static,
    K::DynamicType: Clone + Eq + Hash,
{
    store.state().into_iter().map(Arc::unwrap_or_clone).collect()
}
