//! An update from its first moment to its last, and an abort at each of its steps.

mod abort;

use chrono::{DateTime, TimeDelta, Utc};
use crds::rollout::RolloutPhase;
use operator_core::step_text::step_text;
use operator_core::why::Why;
use serde::Serialize;
use serde_json::json;

pub use self::abort::Abort;
use crate::cluster::Cluster;
use crate::manifests::{Manifests, Refused};
use crate::rehearsal::Rehearsal;

/// Moments after which an update is said to have no end.
const MOMENTS: usize = 20_000;

/// What is taken for granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumptions {
    /// How long a pod takes from its creation until it is ready.
    pub pod_start: TimeDelta,
}

/// What an update will do. Times are seconds after the template was changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// The Rollout.
    pub name: String,
    /// `Canary` or `BlueGreen`.
    pub strategy: &'static str,
    /// `spec.replicas`.
    pub replicas: i32,
    /// When the new version is the stable one, at the earliest.
    pub earliest_end: i64,
    /// When the last pod of the old version has gone; `None` if they stay.
    pub old_pods_gone: Option<i64>,
    /// The most pods there are at one moment, of both versions and of Experiments.
    pub most_pods: usize,
    /// What the new version gets before it is promoted, in seconds of all traffic: times the requests a second it is a
    /// number of requests.
    pub exposed_seconds: f64,
    /// How often somebody has to promote. No time is counted for that.
    pub promotions_by_hand: usize,
    /// The steps, and what follows them.
    pub stages: Vec<Stage>,
    /// What is there, whenever it changes.
    pub moments: Vec<Moment>,
    /// What was taken for granted, in sentences.
    pub assumptions: Vec<String>,
}

/// A step, or what follows the last one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// The step's number, from 1; `None`: the promotion.
    pub step: Option<usize>,
    /// What is done, as `get rollout` and events call it.
    pub action: String,
    /// When it begins.
    pub starts: i64,
    /// How long it takes.
    pub takes: i64,
    /// At its end.
    pub weight: f64,
    /// Pods of the new version, at its end.
    pub new_pods: usize,
    /// Pods of the old version, at its end.
    pub old_pods: usize,
    /// Pods of Experiments, at its end.
    pub experiment_pods: usize,
    /// What the new version has got by its end, in seconds of all traffic.
    pub exposed_seconds: f64,
    /// It ends when somebody promotes.
    pub by_hand: bool,
    /// What an abort costs at its end; `None` once it changes nothing any more.
    pub abort: Option<Abort>,
}

/// What is there at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// When.
    pub at: i64,
    /// The share of the requests that the new version gets, in percent.
    pub weight: f64,
    /// Pods of the new version.
    pub new: Pods,
    /// Pods of the old version.
    pub old: Pods,
    /// Pods of Experiments.
    pub experiment: Pods,
    /// What the engine waits for: a label of few values, as in its metrics.
    pub why: &'static str,
}

/// Pods of one version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pods {
    /// Ready.
    pub ready: usize,
    /// There.
    pub there: usize,
}

/// Plays an update of a Rollout's template, from a stable version that differs in nothing but its name.
pub fn forecast(manifests: &Manifests, assumptions: Assumptions) -> Result<Forecast, Refused> {
    let mut rehearsal = Rehearsal::new(Cluster::new(manifests, assumptions.pod_start));
    deploy_the_old_version(&mut rehearsal)?;
    let old = rehearsal.cluster.rollout.status.clone().unwrap_or_default().stable_rs.unwrap_or_default();
    // The template as it is in the file.
    rehearsal.cluster.rollout.spec.template.clone_from(&manifests.rollout.spec.template);
    rehearsal.cluster.rollout.metadata.generation = Some(2);
    rehearsal.cluster.touch_rollout();
    let mut record = Record::new(&rehearsal.cluster, old);
    record.play(&mut rehearsal)?;
    Ok(record.finish(manifests, assumptions))
}

/// A version before the one in the file, up and stable.
fn deploy_the_old_version(rehearsal: &mut Rehearsal) -> Result<(), Refused> {
    if let Some(template) = &mut rehearsal.cluster.rollout.spec.template {
        template.0["metadata"]["annotations"]["sluice.dev/forecast"] = json!("the version before");
    }
    for _ in 0..MOMENTS {
        rehearsal.settle(|_, _| {});
        if let Why::InvalidSpec { message } = &rehearsal.why {
            return Err(Refused::Invalid(message.clone()));
        }
        match rehearsal.next() {
            Some(next) => rehearsal.cluster.now = next,
            None if rehearsal.phase() == RolloutPhase::Healthy => return Ok(()),
            None => break,
        }
    }
    Err(Refused::Stuck {
        seconds: 0,
        why: format!("the first version does not become stable: {}", rehearsal.why),
    })
}

/// What has been seen of an update.
struct Record {
    started: DateTime<Utc>,
    old: String,
    replicas: i32,
    steps: Vec<String>,
    stages: Vec<Stage>,
    moments: Vec<Moment>,
    exposed: f64,
    by_hand: usize,
    stage_by_hand: bool,
    ended: Option<i64>,
}

impl Record {
    fn new(cluster: &Cluster, old: String) -> Self {
        let canary = cluster.rollout.spec.strategy.canary.as_ref();
        Self {
            started: cluster.now,
            old,
            replicas: cluster.rollout.spec.replicas.unwrap_or(1),
            steps: canary.map(|it| it.steps.iter().map(step_text).collect()).unwrap_or_default(),
            stages: Vec::new(),
            moments: Vec::new(),
            exposed: 0.0,
            by_hand: 0,
            stage_by_hand: false,
            ended: None,
        }
    }

    /// Lets time pass until nothing happens by itself any more.
    fn play(&mut self, rehearsal: &mut Rehearsal) -> Result<(), Refused> {
        for _ in 0..MOMENTS {
            rehearsal.settle(|before, after| self.passed(before, after));
            self.look(rehearsal);
            if rehearsal.waits_for_user() {
                self.by_hand += 1;
                self.stage_by_hand = true;
                rehearsal.promote();
                continue;
            }
            let Some(next) = rehearsal.next() else { break };
            if self.ended.is_none() {
                self.exposed +=
                    seconds(next - rehearsal.cluster.now) * self.weight(&rehearsal.cluster) / 100.0;
            }
            rehearsal.cluster.now = next;
        }
        if self.ended.is_some() && rehearsal.next().is_none() {
            return Ok(());
        }
        Err(Refused::Stuck { seconds: self.at(&rehearsal.cluster), why: rehearsal.why.to_string() })
    }

    /// Notes the steps that a pass has completed, and the promotion.
    fn passed(&mut self, before: &Rehearsal, after: &Rehearsal) {
        let status = |rehearsal: &Rehearsal| rehearsal.cluster.rollout.status.clone().unwrap_or_default();
        let (was, is) = (status(before), status(after));
        let new = is.current_pod_hash.as_deref().filter(|hash| *hash != self.old);
        if new.is_none() || self.ended.is_some() {
            return;
        }
        let index = |step: Option<i32>| usize::try_from(step.unwrap_or_default()).unwrap_or_default();
        // At the start the index goes back to 0.
        let begun = was.current_pod_hash == is.current_pod_hash;
        let completed =
            if begun { index(was.current_step_index)..index(is.current_step_index) } else { 0..0 };
        for step in completed {
            let action = self.steps.get(step).cloned().unwrap_or_default();
            self.complete(Some(step + 1), action, before);
        }
        if is.stable_rs.as_deref() == new {
            self.complete(None, "promotion".to_owned(), after);
            self.ended = Some(self.at(&after.cluster));
        }
    }

    fn complete(&mut self, step: Option<usize>, action: String, at_end: &Rehearsal) {
        let cluster = &at_end.cluster;
        let starts = self.stages.last().map_or(0, |stage| stage.starts + stage.takes);
        let (new, old) = self.pods(cluster);
        self.stages.push(Stage {
            step,
            action,
            starts,
            takes: self.at(cluster) - starts,
            weight: self.weight(cluster),
            new_pods: new.there,
            old_pods: old.there,
            experiment_pods: cluster.experiment_pods().1,
            exposed_seconds: self.exposed,
            by_hand: std::mem::take(&mut self.stage_by_hand),
            abort: abort::cost(at_end, &self.old),
        });
    }

    /// Notes what is there, if it is something else than before.
    fn look(&mut self, rehearsal: &Rehearsal) {
        let cluster = &rehearsal.cluster;
        let (new, old) = self.pods(cluster);
        let moment = Moment {
            at: self.at(cluster),
            weight: self.weight(cluster),
            new,
            old,
            experiment: experiment_pods(cluster),
            why: rehearsal.why.label(),
        };
        self.moments.retain(|earlier| earlier.at < moment.at);
        if let Some(promotion) = self.stages.last_mut().filter(|_| self.ended == Some(moment.at)) {
            // The old pods of a basic canary go at the same moment.
            (promotion.weight, promotion.new_pods, promotion.old_pods) =
                (moment.weight, new.there, old.there);
        }
        if self.moments.last().is_none_or(|last| Moment { at: moment.at, ..*last } != moment) {
            self.moments.push(moment);
        }
    }

    fn at(&self, cluster: &Cluster) -> i64 {
        (cluster.now - self.started).num_seconds()
    }

    /// The share of the new version, in percent, to a hundredth.
    fn weight(&self, cluster: &Cluster) -> f64 {
        let new = cluster.sets.values().map(|set| &set.hash).filter(|hash| **hash != self.old);
        (10_000.0 * new.map(|hash| cluster.share_of(hash)).sum::<f64>()).round() / 100.0
    }

    /// Pods of the new version, and of the old one.
    fn pods(&self, cluster: &Cluster) -> (Pods, Pods) {
        let (mut new, mut old) = (Pods::default(), Pods::default());
        for set in cluster.sets.values() {
            let pods = if set.hash == self.old { &mut old } else { &mut new };
            let ready = set.status(cluster.now, cluster.pod_start).ready;
            pods.ready += usize::try_from(ready).unwrap_or_default();
            pods.there += set.pods.len();
        }
        (new, old)
    }

    fn finish(self, manifests: &Manifests, assumptions: Assumptions) -> Forecast {
        let rollout = &manifests.rollout;
        let gone =
            self.moments.iter().find(|it| self.ended.is_some_and(|end| it.at >= end) && it.old.there == 0);
        let mut sentences = vec![
            format!("a pod is ready {} s after it was created", assumptions.pod_start.num_seconds()),
            "every proxy serves a change at once, and no request takes time".to_owned(),
            "measurements take no time and find nothing wrong".to_owned(),
            "who is to promote does it at once".to_owned(),
        ];
        sentences.extend(manifests.assumed.iter().cloned());
        Forecast {
            name: rollout.metadata.name.clone().unwrap_or_default(),
            strategy: if rollout.spec.strategy.canary.is_some() { "Canary" } else { "BlueGreen" },
            replicas: self.replicas,
            earliest_end: self.ended.unwrap_or_default(),
            old_pods_gone: gone.map(|it| it.at),
            most_pods: self.moments.iter().map(Moment::pods).max().unwrap_or_default(),
            exposed_seconds: self.exposed,
            promotions_by_hand: self.by_hand,
            stages: self.stages,
            moments: self.moments,
            assumptions: sentences,
        }
    }
}

impl Moment {
    /// All pods.
    #[must_use]
    pub const fn pods(&self) -> usize {
        self.new.there + self.old.there + self.experiment.there
    }
}

fn experiment_pods(cluster: &Cluster) -> Pods {
    let (ready, there) = cluster.experiment_pods();
    Pods { ready, there }
}

/// A time as a number.
pub(crate) fn seconds(time: TimeDelta) -> f64 {
    time.as_seconds_f64()
}
