//! A cluster that Argo Rollouts has left: Sluice waits for Argo's lease, goes on where Argo was, and nothing restarts.
//!
//! Everything has an instance id, so an operator outside of the cluster plays the part and the installed one, which
//! serves the routes, is not disturbed.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use integration_tests::{
    argo::{self, CANARY_MAPPING, Hashes, Left, NAME, State},
    cluster::{Cluster, Kind, Load, RolloutView},
    holder::Holder,
    operator::Operator,
};
use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Pod};
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

const LIMIT: Duration = Duration::from_secs(90);
/// The instance that all Rollouts here belong to.
const INSTANCE: &str = "takeover";
const SYSTEM: &str = "sluice-system";
/// As Argo's pod writes itself into the lease.
const ARGO: &str = "argo-rollouts-7d9c5b8f6-x2x4q_0b9e6f3c";

const CASES: [(&str, State, Hashes); 7] = [
    ("paused-1-10", State::Paused, Hashes::Current),
    ("paused-1-6", State::Paused, Hashes::Before1_9),
    ("paused-foreign", State::Paused, Hashes::Foreign),
    ("aborted", State::Aborted, Hashes::Before1_9),
    ("promoted", State::Promoted, Hashes::Before1_9),
    ("rest-1-10", State::AtRest, Hashes::Current),
    ("rest-foreign", State::AtRest, Hashes::Foreign),
];

/// One namespace with one Rollout that Argo has left.
struct Case {
    cluster: Cluster,
    state: State,
    left: Left,
    load: Option<Load>,
    phases: Phases,
}

impl Case {
    async fn begin(name: &str, state: State, hashes: Hashes) -> anyhow::Result<Self> {
        let cluster = Cluster::fresh_namespace(&format!("it-takeover-{name}")).await?;
        let left = argo::leave(&cluster, state, hashes, Some(INSTANCE)).await?;
        let load = match state {
            State::Paused | State::Aborted | State::Promoted => {
                let target = format!("http://sluice-proxy.{SYSTEM}/{}/", cluster.name());
                Some(cluster.load(&target, 50, 4).await?)
            }
            State::AtRest => None,
        };
        let phases = Phases::follow(cluster.clone());
        Ok(Self { cluster, state, left, load, phases })
    }

    /// What of the objects pods and requests depend on, by kind and name. Fingerprints are Sluice's own, and the canary
    /// Mapping gets an owner.
    async fn objects(&self) -> anyhow::Result<BTreeMap<String, Value>> {
        let mut objects = BTreeMap::new();
        for kind in [Kind::Rollout, Kind::ReplicaSet, Kind::Service, Kind::Mapping] {
            for object in self.cluster.dynamic(kind).list(&ListParams::default()).await? {
                let name = object.metadata.name.clone().unwrap_or_default();
                let mut annotations = object.metadata.annotations.unwrap_or_default();
                annotations.remove("sluice.dev/template-fingerprint");
                let mut seen = json!({"uid": object.metadata.uid, "spec": object.data["spec"]});
                if kind != Kind::Mapping {
                    seen["metadata"] = json!({"labels": object.metadata.labels, "annotations": annotations});
                }
                objects.insert(format!("{kind:?} {name}"), seen);
            }
        }
        Ok(objects)
    }

    /// Uid and restarts of every pod that runs a version, by name.
    async fn pods(&self) -> anyhow::Result<BTreeMap<String, (String, i32)>> {
        let facts = |pod: Pod| {
            let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
            let restarts = statuses.iter().map(|status| status.restart_count).sum();
            Some((pod.metadata.name?, (pod.metadata.uid?, restarts)))
        };
        Ok(self.cluster.pods("app=shop").await?.into_iter().filter_map(facts).collect())
    }

    async fn status(&self) -> anyhow::Result<Value> {
        let rollout = self.cluster.get(Kind::Rollout, NAME).await?.context("the Rollout is gone")?;
        Ok(rollout.data["status"].clone())
    }

    /// Sluice has looked at it: it marks the newest ReplicaSet for the time when its hash function changes.
    async fn taken_over(&self) -> anyhow::Result<()> {
        let current = self.current();
        let name = format!("{NAME}-{current}");
        let marked = || async {
            let set = self.cluster.get(Kind::ReplicaSet, &name).await?.context("a ReplicaSet is gone")?;
            let annotations = set.metadata.annotations.unwrap_or_default();
            Ok(annotations.contains_key("sluice.dev/template-fingerprint").then_some(()))
        };
        self.cluster.until("Sluice has taken it over", LIMIT, marked).await
    }

    fn current(&self) -> &str {
        match self.state {
            State::Paused | State::Aborted | State::Promoted => &self.left.second,
            State::AtRest => &self.left.first,
        }
    }

    async fn replicas(&self, hash: &str) -> anyhow::Result<i32> {
        let sets = self.cluster.api::<ReplicaSet>();
        let set = sets.get(&format!("{NAME}-{hash}")).await.context("a ReplicaSet is gone")?;
        Ok(set.spec.and_then(|spec| spec.replicas).unwrap_or_default())
    }

    /// Waits until the pods on their way out are told to go, and checks that they had the time that Argo gave them.
    async fn scaled_down(&self, hash: &str) -> anyhow::Result<()> {
        let none = || async { Ok((self.replicas(hash).await? == 0).then_some(())) };
        self.cluster.until("the pods on their way out go", LIMIT, none).await?;
        let early = self.left.deadline - argo::now();
        ensure!(early.num_seconds() <= 0, "they had to go {} s before their time", early.num_seconds());
        Ok(())
    }

    async fn promote(&self) -> anyhow::Result<()> {
        self.cluster.merge_status(Kind::Rollout, NAME, &json!({"status": {"pauseConditions": null}})).await
    }

    async fn until(&self, what: &str, done: impl Fn(&RolloutView) -> bool) -> anyhow::Result<RolloutView> {
        self.cluster.until_rollout(NAME, what, LIMIT, done).await
    }

    /// From where Argo was to the end of the update, as a user brings it there. Returns the phases on the way.
    async fn go_on(&self) -> anyhow::Result<&'static [&'static str]> {
        let paused = |view: &RolloutView| view.phase == "Paused" && view.verified_weight() == Some(30);
        match self.state {
            State::Paused => {
                self.promote().await?;
                self.until("healthy", RolloutView::healthy).await?;
                Ok(&["Paused", "Progressing", "Healthy"])
            }
            State::Aborted => {
                self.scaled_down(&self.left.second).await?;
                self.cluster.merge_status(Kind::Rollout, NAME, &json!({"status": {"abort": false}})).await?;
                self.until("paused after the retry", paused).await?;
                self.promote().await?;
                self.until("healthy", RolloutView::healthy).await?;
                Ok(&["Degraded", "Progressing", "Paused", "Healthy"])
            }
            State::Promoted => {
                self.scaled_down(&self.left.first).await?;
                Ok(&["Healthy"])
            }
            State::AtRest => {
                self.cluster.set_image(NAME, "v2").await?;
                self.until("healthy", RolloutView::healthy).await?;
                Ok(&["Healthy", "Progressing", "Paused"])
            }
        }
    }

    /// No request was lost, only these phases were seen, and nothing is left over.
    async fn end(self, phases: &[&str]) -> anyhow::Result<()> {
        let name = self.cluster.name().to_owned();
        if let Some(load) = self.load {
            let tally = load.stop().await?;
            ensure!(tally.lost() == 0, "{name}: requests were lost: {tally:#?}");
            ensure!(tally.miscounted().is_empty(), "{name}: {:?}", tally.miscounted());
        }
        ensure!(
            self.cluster.get(Kind::Mapping, CANARY_MAPPING).await?.is_none(),
            "{name}: a canary Mapping is left"
        );
        let seen = self.phases.end();
        let strange: Vec<_> = seen.iter().filter(|phase| !phases.contains(&phase.as_str())).collect();
        ensure!(strange.is_empty(), "{name}: phases were {seen:?}, {strange:?} among them");
        self.cluster.remove().await
    }
}

/// Every phase that a Rollout shows, one after the other.
struct Phases(watch::Receiver<Vec<String>>, JoinHandle<()>);

impl Phases {
    fn follow(cluster: Cluster) -> Self {
        let (sender, seen) = watch::channel(Vec::new());
        let looking = tokio::spawn(async move {
            loop {
                if let Ok(RolloutView { phase, .. }) = cluster.rollout(NAME).await {
                    sender.send_if_modified(|seen: &mut Vec<String>| {
                        let new = seen.last() != Some(&phase);
                        if new {
                            seen.push(phase);
                        }
                        new
                    });
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self(seen, looking)
    }

    fn seen(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    fn end(self) -> Vec<String> {
        self.1.abort();
        self.seen()
    }
}

/// Where the traffic server of the installed Sluice is.
async fn traffic_server(system: &Cluster) -> anyhow::Result<String> {
    let lease = system.get(Kind::Lease, "sluice-routes").await?.context("Sluice is not installed")?;
    let address = lease.metadata.annotations.unwrap_or_default().remove("sluice.dev/address");
    address.context("nobody holds the lease of routes")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn what_argo_left_goes_on_where_it_was() -> anyhow::Result<()> {
    let argo = Cluster::fresh_namespace("it-takeover-argo").await?;
    let lease = format!("argo-rollouts-controller-lock-{INSTANCE}");
    let holder = Holder::hold(&argo, &lease, ARGO).await?;
    let cases = CASES.map(|(name, state, hashes)| Case::begin(name, state, hashes));
    let cases = try_join_all(cases).await?;
    let mut before = Vec::new();
    for case in &cases {
        before.push((case.objects().await?, case.pods().await?, case.status().await?));
    }

    // While Argo renews its lease nothing is touched, and the log and the metrics say why.
    let traffic = format!("--traffic-server={}", traffic_server(&argo.elsewhere(SYSTEM)).await?);
    let instance = format!("--instance-id={INSTANCE}");
    let namespace = format!("--pod-namespace={SYSTEM}");
    let operator = Operator::start(&["--controllers=rollouts", &instance, &namespace, &traffic])?;
    operator.logs("another process holds the lease; not acting", LIMIT).await?;
    operator.logs("all stores are complete", LIMIT).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let metrics = operator.metrics().await?;
    let shown = format!("sluice_lease{{holder=\"{ARGO}\",lease=\"{lease}\"}} 0");
    ensure!(metrics.contains(&shown), "{shown:?} is not among the metrics");
    ensure!(operator.writes().await? < 1.0, "it wrote while Argo holds the lease:\n{metrics}");
    for (case, (objects, pods, status)) in cases.iter().zip(&before) {
        assert_eq!(case.objects().await?, *objects, "{}", case.cluster.name());
        assert_eq!(case.pods().await?, *pods, "{}", case.cluster.name());
        assert_eq!(case.status().await?, *status, "{}", case.cluster.name());
    }

    // Argo goes: everything is taken over as it is.
    drop(holder);
    operator.logs("holding the lease", Duration::from_secs(25)).await?;
    for case in &cases {
        case.taken_over().await?;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    for (case, (objects, pods, _)) in cases.iter().zip(&before) {
        let name = case.cluster.name();
        ensure!(
            argo::now() < case.left.deadline,
            "{name}: this machine is too slow for the delays of this test"
        );
        assert_eq!(case.objects().await?, *objects, "{name}");
        assert_eq!(case.pods().await?, *pods, "{name}");
        assert_eq!(case.phases.seen(), [case.state.phase()], "{name}");
        if let Some(canary) = case.cluster.get(Kind::Mapping, CANARY_MAPPING).await? {
            let owners = canary.metadata.owner_references.unwrap_or_default();
            assert_eq!(owners.first().map(|owner| owner.name.as_str()), Some(NAME), "{name}");
        }
    }

    let ways = try_join_all(cases.iter().map(Case::go_on)).await?;
    for (case, (_, pods, _)) in cases.iter().zip(&before) {
        let restarted: Vec<_> =
            case.pods().await?.into_iter().filter(|(_, (_, restarts))| *restarts > 0).collect();
        assert!(restarted.is_empty(), "{}: {restarted:?} of {pods:?}", case.cluster.name());
    }
    try_join_all(cases.into_iter().zip(ways).map(|(case, phases)| case.end(phases))).await?;
    operator.stop().await?;
    argo.remove().await
}
