//! Every folder of `examples/` with a Rollout, played as its README says: applied, updated to v2, promoted wherever it waits for that,
//! and counted under load where it has a Mapping, an Ingress or an HTTPRoute.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use futures::{StreamExt as _, stream};
use integration_tests::cluster::{Cluster, Kind, RolloutView};
use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(150);
/// Examples at the same time: the machine has few cores.
const BESIDE_ONE_ANOTHER: usize = 5;
/// Pauses are cut to this.
const PAUSE: &str = "4s";
/// And delays, in seconds.
const DELAY: i64 = 10;

/// How an example is played.
#[derive(Clone, Copy, Debug)]
struct Play {
    /// Tags of the images that are set, one after the other.
    versions: &'static [&'static str],
    /// How the Rollout ends: its phase, and how its message begins.
    end: (&'static str, &'static str),
    /// Pods at the end, if it is not the Rollout that says how many.
    pods: Option<i64>,
    /// Its analyses send requests to the pods, which count them with those of the load.
    asked_by_others: bool,
}

const USUAL: Play = Play { versions: &["v2"], end: ("Healthy", ""), pods: None, asked_by_others: false };

/// Examples that show something else than the way to v2.
const UNUSUAL: [(&str, Play); 5] = [
    ("analysis", Play { asked_by_others: true, ..USUAL }),
    ("ping-pong", Play { versions: &["v2", "v1"], ..USUAL }),
    ("rollback-window", Play { versions: &["v2", "v1"], ..USUAL }),
    ("progress-deadline-abort", Play { versions: &["tpyo"], end: ("Degraded", "RolloutAborted: "), ..USUAL }),
    ("hpa", Play { pods: Some(3), ..USUAL }),
];

/// A folder of `examples/`.
struct Example {
    name: String,
    documents: Vec<Value>,
    play: Play,
}

impl Example {
    fn all() -> anyhow::Result<Vec<Self>> {
        let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../examples"].iter().collect();
        let mut folders = Vec::new();
        for entry in fs::read_dir(&folder).context("failed to read examples/")? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            }
        }
        folders.sort();
        let examples: Vec<Self> =
            folders.iter().map(|path| Self::read(path)).collect::<anyhow::Result<_>>()?;
        // The others are asked by `routes.rs`.
        Ok(examples.into_iter().filter(|example| example.of_kind("Rollout").next().is_some()).collect())
    }

    fn read(folder: &Path) -> anyhow::Result<Self> {
        let name =
            folder.file_name().and_then(|name| name.to_str()).context("a folder has no name")?.to_owned();
        let mut documents = Vec::new();
        let mut files: Vec<_> = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
        // As `kubectl apply -f FOLDER` does.
        files.sort_by_key(fs::DirEntry::file_name);
        for file in files.iter().filter(|file| file.path().extension().is_some_and(|it| it == "yaml")) {
            let text = fs::read_to_string(file.path())?;
            let read: Vec<Value> = serde_saphyr::from_multiple(&text)
                .with_context(|| format!("failed to read {}", file.path().display()))?;
            documents.extend(read.into_iter().filter(|document| !document.is_null()));
        }
        ensure!(folder.join("README.md").is_file(), "{name} has no README.md");
        let unusual = UNUSUAL.iter().find(|(of, _)| *of == name);
        Ok(Self { name, documents, play: unusual.map_or(USUAL, |(_, play)| *play) })
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.documents.iter().filter(move |document| document["kind"] == kind)
    }

    /// Names of the routes of a kind that the user wrote.
    fn routes(&self, kind: &str) -> BTreeSet<String> {
        self.of_kind(kind).filter_map(|it| it["metadata"]["name"].as_str()).map(str::to_owned).collect()
    }

    /// The same on paths of this test's own, with short pauses.
    fn adapted(&self) -> Vec<Value> {
        let mut documents = self.documents.clone();
        for document in &mut documents {
            if document["kind"] == "Mapping" {
                let path = format!(
                    "/it-example-{}{}",
                    self.name,
                    document["spec"]["prefix"].as_str().unwrap_or("/")
                );
                document["spec"]["prefix"] = json!(path);
            }
            for path in ingress_paths(document) {
                *path = json!(format!("/it-example-{}{}", self.name, path.as_str().unwrap_or("/")));
            }
            for strategy in ["canary", "blueGreen"] {
                let delay = format!("/spec/strategy/{strategy}/scaleDownDelaySeconds");
                if let Some(delay) = document.pointer_mut(&delay) {
                    *delay = json!(DELAY);
                }
            }
            for step in document
                .pointer_mut("/spec/strategy/canary/steps")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                if let Some(duration) = step.pointer_mut("/pause/duration") {
                    *duration = json!(PAUSE);
                }
            }
        }
        documents
    }
}

fn namespace(example: &Example) -> String {
    format!("it-example-{}", example.name)
}

/// The paths of an Ingress.
fn ingress_paths(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let rules = document.pointer_mut("/spec/rules").and_then(Value::as_array_mut).into_iter().flatten();
    let paths = rules.filter_map(|rule| rule.pointer_mut("/http/paths")?.as_array_mut()).flatten();
    paths.filter_map(|path| path.get_mut("path"))
}

/// Where the requests of an example go, if it has a route: its host and path, without the scheme.
fn target(documents: &mut [Value], namespace: &str) -> Option<String> {
    let gateway = documents.iter().find(|document| document["kind"] == "Gateway");
    let host =
        match gateway.map(|gateway| (&gateway["metadata"]["name"], &gateway["spec"]["gatewayClassName"])) {
            Some((name, class)) => format!("{}-{}.{namespace}", name.as_str()?, class.as_str()?),
            None => "sluice-proxy.sluice-system".to_owned(),
        };
    let path = documents.iter_mut().find_map(|document| match document["kind"].as_str()? {
        "Mapping" => document["spec"]["prefix"].as_str().map(str::to_owned),
        "Ingress" => ingress_paths(document).next()?.as_str().map(str::to_owned),
        "HTTPRoute" => document.pointer("/spec/rules/0/matches/0/path/value")?.as_str().map(str::to_owned),
        _ => None,
    })?;
    Some(format!("{host}{path}"))
}

/// An example under way.
struct Played<'a> {
    example: &'a Example,
    cluster: Cluster,
    rollout: String,
}

impl<'a> Played<'a> {
    async fn begin(example: &'a Example) -> anyhow::Result<Self> {
        let rollout = example.of_kind("Rollout").next().context("there is no Rollout")?;
        let rollout = rollout["metadata"]["name"].as_str().context("the Rollout has no name")?.to_owned();
        let cluster = Cluster::fresh_namespace(&namespace(example)).await?;
        for document in example.adapted() {
            cluster.apply(&document.to_string()).await?;
        }
        Ok(Self { example, cluster, rollout })
    }

    async fn spec(&self) -> anyhow::Result<Value> {
        let rollout = self.cluster.get(Kind::Rollout, &self.rollout).await?.context("the Rollout is gone")?;
        Ok(rollout.data["spec"].clone())
    }

    /// Gives a version to the Rollout, or to the Deployment that has its template.
    async fn set_image(&self, tag: &str) -> anyhow::Result<()> {
        match self.spec().await?["workloadRef"]["name"].as_str() {
            Some(deployment) => self.cluster.set_image_of(Kind::Deployment, deployment, tag).await,
            None => self.cluster.set_image(&self.rollout, tag).await,
        }
    }

    /// Promotes wherever the Rollout waits for it, until it looks like `end`.
    async fn walk(&self, end: (&str, &str)) -> anyhow::Result<()> {
        let (phase, message) = end;
        let begun = Instant::now();
        loop {
            let view = self.cluster.rollout(&self.rollout).await?;
            let seen = view.observed_generation == view.generation;
            let there = if phase == "Healthy" { view.healthy() } else { seen && view.phase == phase };
            if there && view.message.starts_with(message) {
                return Ok(());
            }
            if seen && view.phase == "Paused" && self.waits_for_promotion(&view).await? {
                let promoted = json!({"status": {"pauseConditions": null}});
                self.cluster.merge_status(Kind::Rollout, &self.rollout, &promoted).await?;
            }
            if begun.elapsed() > LIMIT {
                bail!(
                    "waited in vain for {end:?}; it is {view:#?}\n{:#?}",
                    self.cluster.events(&self.rollout).await?
                );
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn waits_for_promotion(&self, view: &RolloutView) -> anyhow::Result<bool> {
        let spec = self.spec().await?;
        if view.message == "BlueGreenPause" {
            return Ok(spec["strategy"]["blueGreen"]["autoPromotionSeconds"].is_null());
        }
        let index = view.current_step_index.unwrap_or_default();
        let pause = spec.pointer(&format!("/strategy/canary/steps/{index}/pause"));
        Ok(view.message == "CanaryPauseStep" && pause.is_some_and(|pause| pause["duration"].is_null()))
    }

    /// Names of the routes of a kind that there are.
    async fn routes(&self, kind: Kind) -> anyhow::Result<BTreeSet<String>> {
        let name = |object: DynamicObject| object.metadata.name.unwrap_or_default();
        let routes = self.cluster.dynamic(kind).list(&ListParams::default()).await?;
        Ok(routes.into_iter().map(name).collect())
    }

    /// What the update has to leave behind: the routes that were there, and pods of one version.
    async fn tidy(&self) -> anyhow::Result<Option<()>> {
        for (kind, name) in
            [(Kind::Mapping, "Mapping"), (Kind::Ingress, "Ingress"), (Kind::HttpRoute, "HTTPRoute")]
        {
            if self.routes(kind).await? != self.example.routes(name) {
                return Ok(None);
            }
        }
        let sets = self.cluster.dynamic(Kind::ReplicaSet).list(&ListParams::default()).await?;
        let sizes: BTreeMap<_, _> = sets
            .into_iter()
            .filter(|set| !of_proxies(set))
            .map(|set| {
                (
                    set.metadata.name.clone().unwrap_or_default(),
                    set.data["spec"]["replicas"].as_i64().unwrap_or(0),
                )
            })
            .filter(|(_, replicas)| *replicas > 0)
            .collect();
        let stable = self.cluster.rollout(&self.rollout).await?.stable_rs;
        let wanted = match self.example.play.pods {
            Some(pods) => pods,
            None => self.spec().await?["replicas"].as_i64().unwrap_or(1),
        };
        let only = BTreeMap::from([(format!("{}-{stable}", self.rollout), wanted)]);
        Ok((sizes == only).then_some(()))
    }
}

/// The proxies of a Gateway have a ReplicaSet in the same namespace.
fn of_proxies(set: &DynamicObject) -> bool {
    set.metadata.labels.iter().flatten().any(|(key, _)| key == "gateway.networking.k8s.io/gateway-name")
}

async fn play(example: &Example) -> anyhow::Result<()> {
    let played = Played::begin(example).await?;
    let cluster = &played.cluster;
    let target = target(&mut example.adapted(), &namespace(example));
    played.walk(USUAL.end).await?;
    if let Some(pods) = example.play.pods {
        let sized = || async { Ok((played.spec().await?["replicas"] == pods).then_some(())) };
        cluster.until(&format!("it has {pods} pods"), LIMIT, sized).await?;
        played.walk(USUAL.end).await?;
    }
    let load = match target {
        Some(target) => Some(cluster.load(&format!("http://{target}/"), 50, 4).await?),
        None => None,
    };
    for version in example.play.versions {
        let before = cluster.rollout(&played.rollout).await?.current_pod_hash;
        played.set_image(version).await?;
        // A template that stands elsewhere changes without the Rollout.
        let seen = |view: &RolloutView| view.current_pod_hash != before;
        cluster.until_rollout(&played.rollout, "on its way to another version", LIMIT, seen).await?;
        played.walk(example.play.end).await?;
    }
    cluster.until("nothing is left of the update", LIMIT, || played.tidy()).await?;
    if let Some(load) = load {
        let tally = load.stop().await?;
        ensure!(tally.lost() == 0 && tally.bad() == 0, "requests were lost: {tally:#?}");
        let miscounted = tally.miscounted();
        ensure!(miscounted.is_empty() || example.play.asked_by_others, "{miscounted:?}");
        for version in example.play.versions.iter().filter(|_| example.play.end == USUAL.end).chain(&["v1"]) {
            ensure!(tally.answered_by(version) > 0, "{version} answered nothing: {tally:#?}");
        }
    }
    played.cluster.remove().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn every_example_does_what_it_says() -> anyhow::Result<()> {
    let examples = Example::all()?;
    let plays = examples.iter().map(|example| async move {
        let begun = Instant::now();
        let played = play(example).await.with_context(|| format!("examples/{}", example.name));
        println!("{:<28} {:>5.1} s", example.name, begun.elapsed().as_secs_f64());
        played
    });
    let failures: Vec<String> = stream::iter(plays)
        .buffer_unordered(BESIDE_ONE_ANOTHER)
        .filter_map(|played| async move { played.err().map(|error| format!("{error:#}")) })
        .collect()
        .await;
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}
