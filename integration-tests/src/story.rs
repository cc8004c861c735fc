//! The quickstart's rollout, played as a user would and watched from outside.
//!
//! The story knows nothing of Sluice's insides: it applies YAML, changes an image, reads the Rollout's status and
//! counts answers. [`Report::problems`] is the verdict.

mod stage;

use std::{fmt::Write as _, time::Duration};

use anyhow::Context as _;
use chrono::Utc;
use serde_json::json;

pub use self::stage::Stage;
use self::stage::Stages;
use crate::{
    cluster::{Cluster, Kind, Load, RolloutView},
    tally::Tally,
};

/// The Rollout of the quickstart.
pub const ROLLOUT: &str = "someapp";
/// The Mapping that the user writes.
pub const MAPPING: &str = "stable-mapping";
/// The Mapping that Sluice makes beside it.
pub const CANARY_MAPPING: &str = "stable-mapping-canary";

/// The Service of the new version.
pub const CANARY_SERVICE: &str = "someapp-canary";

/// The YAML that people apply.
const MANIFESTS: &str = concat!(
    include_str!("../../examples/quickstart/services.yaml"),
    "---\n",
    include_str!("../../examples/quickstart/mapping.yaml"),
    "---\n",
    include_str!("../../examples/quickstart/rollout.yaml"),
);

/// How often the story looks.
const LOOK: Duration = Duration::from_millis(100);

/// Where the canary's weight stands.
#[derive(Clone, Copy, Debug)]
pub enum CanaryRoute {
    /// In an object of this kind and name that Sluice makes beside the route that the user writes.
    Beside(Kind, &'static str),
    /// In the user's HTTPRoute of this name, at the backend with the canary's Service.
    Inside(&'static str),
}

impl CanaryRoute {
    /// Whether it can carry requests: the object is there, or its weight is not zero.
    async fn is_open(self, cluster: &Cluster) -> anyhow::Result<bool> {
        match self {
            Self::Beside(kind, name) => Ok(cluster.get(kind, name).await?.is_some()),
            Self::Inside(name) => {
                let route = cluster.get(Kind::HttpRoute, name).await?.context("the HTTPRoute is gone")?;
                let rules = route.data["spec"]["rules"].as_array().cloned().unwrap_or_default();
                let mut backends = rules.iter().filter_map(|rule| rule["backendRefs"].as_array()).flatten();
                Ok(backends.any(|backend| backend["name"] == CANARY_SERVICE && backend["weight"] != 0))
            }
        }
    }
}

/// How the story is played.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is applied.
    pub manifests: String,
    /// Where the canary's weight stands.
    pub canary: CanaryRoute,
    /// The path that the Mapping routes. Mappings of all namespaces that route the same path share its requests.
    pub path: String,
    /// Requests per second.
    pub rate: u32,
    /// Kept-alive connections.
    pub connections: u32,
    /// The tag of the new image.
    pub new_version: String,
    /// Where the proxies are: `namespace/service`.
    pub proxy: String,
    /// Every wait of the story ends after this long.
    pub limit: Duration,
}

impl Settings {
    /// The quickstart with pauses of `pause_seconds` instead of 60, and v2 as its new version.
    #[must_use]
    pub fn quickstart(pause_seconds: u64) -> Self {
        Self {
            manifests: MANIFESTS.replace("duration: 60s", &format!("duration: {pause_seconds}s")),
            canary: CanaryRoute::Beside(Kind::Mapping, CANARY_MAPPING),
            path: "/someapp".to_owned(),
            rate: 200,
            connections: 16,
            new_version: "v2".to_owned(),
            proxy: "sluice-system/sluice-proxy".to_owned(),
            limit: Duration::from_secs(120 + 2 * pause_seconds),
        }
    }

    /// The same with another route in the place of the Mapping: `routing` is what `trafficRouting` says of it.
    #[must_use]
    pub fn routed_by(self, routing: &str, route: &str, canary: CanaryRoute) -> Self {
        let mapping = "        ambassador:\n          mappings:\n            - stable-mapping\n";
        let settings = self.with(mapping, routing);
        let documents =
            settings.manifests.split("---\n").filter(|document| !document.contains("getambassador.io"));
        let manifests = documents.chain([route]).collect::<Vec<_>>().join("---\n");
        Self { manifests, canary, ..settings }
    }

    /// The same on another path, so that it does not meet other stories.
    #[must_use]
    pub fn at(self, path: &str) -> Self {
        let prefix = format!("prefix: {}\n", self.path);
        Self { path: path.to_owned(), ..self.with(&prefix, &format!("prefix: {path}\n")) }
    }

    /// The same with a guard over the new version.
    #[must_use]
    pub fn guarded(self) -> Self {
        self.with("      steps:\n", "      guard: {errorRate: {}}\n      steps:\n")
    }

    /// The same with another text in the manifests.
    ///
    /// # Panics
    /// When `old` is not there: the test would not test what it says.
    #[must_use]
    pub fn with(mut self, old: &str, new: &str) -> Self {
        assert!(self.manifests.contains(old), "the manifests do not say {old:?}");
        self.manifests = self.manifests.replace(old, new);
        self
    }
}

/// What a moment of the story looks like.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// The Rollout's status.
    pub rollout: RolloutView,
    /// The steps in the spec.
    pub steps: usize,
    /// Whether the canary's route can carry requests: see [`CanaryRoute`].
    pub canary_open: bool,
    /// The newest sums.
    pub tally: Tally,
    /// Of the last two seconds, the part that the new version answered.
    pub share: Option<f64>,
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Report {
    /// Every weight that was served by all proxies, with what the pods got meanwhile.
    pub stages: Vec<Stage>,
    /// The sums over every request.
    pub tally: Tally,
    /// The last status.
    pub rollout: RolloutView,
    /// Whether the canary's route could still carry requests at the end.
    pub canary_open: bool,
}

impl Report {
    /// What is wrong, in sentences; nothing if all is well.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (what, count) in &self.tally.lost {
            problems.push(format!("{count} requests were lost: {what}"));
        }
        let unaccounted = self.tally.sent.abs_diff(self.tally.answered() + self.tally.lost());
        if unaccounted > 0 {
            problems.push(format!("{unaccounted} requests were sent and nobody knows what became of them"));
        }
        for (pod, count) in self.tally.miscounted() {
            problems.push(format!("{pod} answered {} requests, {} arrived", count.served(), count.received));
        }
        problems.extend(self.stages.iter().filter_map(Stage::problem));
        if self.canary_open {
            problems.push("the canary's route is still there".to_owned());
        }
        problems
    }
}

/// A quickstart that is set up: stable, healthy and under load.
#[derive(Debug)]
pub struct Story {
    cluster: Cluster,
    settings: Settings,
    load: Load,
    steps: usize,
    proxies: usize,
    stages: Stages,
}

impl Story {
    /// Applies the manifests, waits until the Rollout is healthy and puts load on it.
    pub async fn begin(cluster: Cluster, settings: Settings) -> anyhow::Result<Self> {
        let was_there = cluster.get(Kind::Rollout, ROLLOUT).await?.is_some();
        cluster.apply(&settings.manifests).await?;
        if was_there {
            Self::return_at_once(&cluster, &settings).await?;
        }
        cluster.until_rollout(ROLLOUT, "healthy", settings.limit, RolloutView::healthy).await?;
        let rollout = cluster.get(Kind::Rollout, ROLLOUT).await?.context("the Rollout is gone")?;
        let steps = rollout
            .data
            .pointer("/spec/strategy/canary/steps")
            .and_then(|it| it.as_array())
            .map_or(0, Vec::len);
        let (namespace, service) =
            settings.proxy.split_once('/').context("the proxy is namespace/service")?;
        let proxies = cluster.elsewhere(namespace).pods_of(service).await?.len();
        let target = format!("http://{service}.{namespace}{}/", settings.path);
        let load = cluster.load(&target, settings.rate, settings.connections).await?;
        let stages = Stages::new(settings.new_version.clone(), proxies);
        Ok(Self { cluster, settings, load, steps, proxies, stages })
    }

    /// Goes back to the first version from where an earlier story has ended, without steps: nobody sends the requests yet
    /// that a guard would wait for.
    async fn return_at_once(cluster: &Cluster, settings: &Settings) -> anyhow::Result<()> {
        let seen = cluster.until_rollout(ROLLOUT, "seen", settings.limit, RolloutView::seen).await?;
        if !seen.healthy() {
            let full = json!({"status": {"promoteFull": true}});
            cluster.merge_status(Kind::Rollout, ROLLOUT, &full).await?;
        }
        Ok(())
    }

    /// The namespace it is played in.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// How many proxies there were at the beginning.
    #[must_use]
    pub fn proxies(&self) -> usize {
        self.proxies
    }

    /// Requests so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.load.now().sent
    }

    /// Changes the image to the new version.
    pub async fn update(&self) -> anyhow::Result<()> {
        self.cluster.set_image(ROLLOUT, &self.settings.new_version).await
    }

    /// Aborts, as the plugin does.
    pub async fn abort(&self) -> anyhow::Result<()> {
        self.cluster.merge_status(Kind::Rollout, ROLLOUT, &json!({"status": {"abort": true}})).await
    }

    /// Promotes, as the plugin does when a Rollout is paused at a step; waits until it is.
    ///
    /// A weight is served everywhere some moments before the pause after it is written, and to clear a pause that
    /// is not there yet promotes nothing.
    pub async fn promote(&self) -> anyhow::Result<()> {
        self.cluster
            .until_rollout(ROLLOUT, "paused at a step", self.settings.limit, RolloutView::paused_at_step)
            .await?;
        self.cluster.merge_status(Kind::Rollout, ROLLOUT, &json!({"status": {"pauseConditions": null}})).await
    }

    /// Watches until every proxy serves this weight.
    pub async fn reach(&mut self, weight: u32) -> anyhow::Result<Scene> {
        let reached = |scene: &Scene| scene.canary_open && scene.rollout.verified_weight() == Some(weight);
        self.watch(&format!("weight {weight} is served everywhere"), |_| {}, reached).await
    }

    /// Watches until this many more requests were answered.
    pub async fn answered(&mut self, requests: u64) -> anyhow::Result<Scene> {
        let enough = self.load.now().answered() + requests;
        self.watch(
            &format!("{requests} more requests are answered"),
            |_| {},
            |scene| scene.tally.answered() >= enough,
        )
        .await
    }

    /// Watches until the new version is stable everywhere and what was made for the way there is gone.
    pub async fn complete(&mut self) -> anyhow::Result<Scene> {
        self.watch("the new version is promoted", |_| {}, Scene::complete).await
    }

    /// Watches until the old version has all the traffic again.
    pub async fn gone_back(&mut self) -> anyhow::Result<Scene> {
        self.watch("all traffic is back", |_| {}, Scene::gone_back).await
    }

    /// Watches until `done`, showing every scene.
    pub async fn watch(
        &mut self,
        what: &str,
        mut show: impl FnMut(&Scene),
        done: impl Fn(&Scene) -> bool,
    ) -> anyhow::Result<Scene> {
        let end = tokio::time::Instant::now() + self.settings.limit;
        loop {
            let scene = self.look().await?;
            show(&scene);
            if done(&scene) {
                return Ok(scene);
            }
            anyhow::ensure!(
                tokio::time::Instant::now() < end,
                "waited {} s in vain until {what}; last seen: {scene:#?}{}",
                self.settings.limit.as_secs(),
                self.events().await
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends the load and sums up.
    pub async fn end(mut self) -> anyhow::Result<Report> {
        let scene = self.look().await?;
        let stages = self.stages.end(&self.load.tallies());
        let tally = self.load.stop().await?;
        Ok(Report { stages, tally, rollout: scene.rollout, canary_open: scene.canary_open })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the story is a shell: it compares its looks with the load's clock"
    )]
    async fn look(&mut self) -> anyhow::Result<Scene> {
        let begun_ms = Utc::now().timestamp_millis();
        let rollout = self.cluster.rollout(ROLLOUT).await?;
        let canary_open = self.settings.canary.is_open(&self.cluster).await?;
        let tallies = self.load.tallies();
        self.stages.see(
            (begun_ms, Utc::now().timestamp_millis()),
            rollout.verified_weight().filter(|_| canary_open),
            &tallies,
        );
        let share = stage::share(&tallies, &self.settings.new_version, 2_000);
        let tally = tallies.last().cloned().unwrap_or_default();
        Ok(Scene { rollout, steps: self.steps, canary_open, tally, share })
    }

    async fn events(&self) -> String {
        let mut text = String::new();
        for event in self.cluster.events(ROLLOUT).await.unwrap_or_default() {
            // Writing into a String cannot fail.
            let _ = write!(text, "\n  {event}");
        }
        text
    }
}

impl Scene {
    /// The new version is stable everywhere and what was made for the way there is gone.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.rollout.healthy() && !self.canary_open
    }

    /// The old version has all the traffic again and what was made for the new one is gone.
    #[must_use]
    pub fn gone_back(&self) -> bool {
        self.rollout.abort && self.rollout.phase == "Degraded" && !self.canary_open
    }
}
