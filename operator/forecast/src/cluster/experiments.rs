//! Experiments: their pods start, their time passes, what they measure is good, and their pods go.

use std::cmp::max;
use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use crds::analysis::AnalysisPhase;
use crds::experiment::{ExperimentAnalysis, ExperimentSpec};
use crds::rollout::AnalysisTemplateRef;
use crds::{contract, duration};
use operator_core::analysis::{merge, templates};
use operator_core::effect::Target;
use operator_core::experiment::Blueprint;
use operator_core::world::{Experiment, Shares, TrialPods};

use super::{Cluster, measuring};

/// `scaleDownDelaySeconds` where it is not set.
const SCALE_DOWN_DELAY_SECONDS: i32 = 30;

/// An Experiment, its pods and its moments.
#[derive(Clone, Debug)]
pub(crate) struct VirtualExperiment {
    object: Experiment,
    trials: Vec<Trial>,
    /// How long it goes on once its time has begun; `None`: until somebody ends it.
    takes: Option<TimeDelta>,
    /// When its pods are ready, and when all are available.
    ready: DateTime<Utc>,
    available: DateTime<Utc>,
    /// When it is over; `None`: not before somebody ends it.
    over: Option<DateTime<Utc>>,
    /// How long its pods run then.
    delay: TimeDelta,
}

/// The pods of one template.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    name: String,
    /// Their Service, if they have one.
    pub(crate) service: Option<String>,
    /// Their own hash, and that of the version that they are pods of.
    pub(crate) hash: String,
    pub(crate) version: String,
    pods: i32,
}

impl VirtualExperiment {
    /// What is known of it at this moment.
    pub(super) fn observed(&self, now: DateTime<Utc>) -> Experiment {
        let phase = match self.over {
            Some(over) if over <= now => AnalysisPhase::Successful,
            _ if self.available <= now => AnalysisPhase::Running,
            _ => AnalysisPhase::Pending,
        };
        let available = |trial: &Trial| if self.available <= now { trial.pods } else { 0 };
        let pods = self.trials.iter().map(|trial| {
            let pods = TrialPods {
                service: trial.service.clone(),
                hash: trial.service.as_ref().map(|_| trial.hash.clone()),
                available: available(trial),
            };
            (trial.name.clone(), pods)
        });
        Experiment { phase: Some(phase), pods: pods.collect(), ..self.object.clone() }
    }

    /// Its templates with their pods that are ready.
    pub(crate) fn ready(&self, now: DateTime<Utc>) -> impl Iterator<Item = (&Trial, u32)> {
        let there = self.pods(now).0 > 0;
        let ready = move |pods: i32| if there { u32::try_from(pods).unwrap_or_default() } else { 0 };
        self.trials.iter().map(move |trial| (trial, ready(trial.pods)))
    }

    /// Its pods at this moment: those that are ready, and all.
    pub(crate) fn pods(&self, now: DateTime<Utc>) -> (usize, usize) {
        let all = self.trials.iter().map(|trial| usize::try_from(trial.pods).unwrap_or_default()).sum();
        let there = if self.gone().is_some_and(|gone| gone <= now) { 0 } else { all };
        (if self.ready <= now { there } else { 0 }, there)
    }

    /// When something about it changes.
    pub(super) fn moments(&self) -> impl Iterator<Item = DateTime<Utc>> {
        [self.ready, self.available].into_iter().chain(self.over).chain(self.gone())
    }

    fn gone(&self) -> Option<DateTime<Utc>> {
        Some(self.over? + self.delay)
    }
}

impl Cluster {
    pub(super) fn create_experiment(&mut self, name: &str, blueprint: &Blueprint) {
        let version = self.next_version();
        let manifest = blueprint.manifest(&[]);
        let text = |map: &str, key: &str| manifest["metadata"][map][key].as_str().map(str::to_owned);
        let spec: ExperimentSpec = serde_json::from_value(manifest["spec"].clone()).unwrap_or_default();
        let seconds = |seconds: i32| TimeDelta::seconds(seconds.max(0).into());
        let ready = self.now + self.pod_start;
        let slowest = spec.templates.iter().map(|it| it.min_ready_seconds).max().unwrap_or(0);
        let available = ready + seconds(slowest);
        let versions = blueprint
            .replica_sets()
            .map(|set| self.sets.get(&set.name).map(|set| set.hash.clone()).unwrap_or_default());
        let trials = spec.templates.iter().zip(versions).map(|(template, version)| Trial {
            name: template.name.clone(),
            service: template
                .service
                .as_ref()
                .map(|service| service.name.clone().unwrap_or_else(|| format!("{name}-{}", template.name))),
            hash: format!("{name}-{}", template.name),
            version,
            pods: template.replicas.unwrap_or(1).max(0),
        });
        let trials: Vec<Trial> = trials.collect();
        let takes = self.takes(&spec);
        let shares = Shares::of(text("annotations", contract::WEIGHTS_ANNOTATION).as_deref());
        let object = Experiment {
            uid: format!("experiment-{name}"),
            resource_version: version,
            created: self.now,
            owned: true,
            deleting: false,
            hash: text("labels", contract::POD_TEMPLATE_HASH_LABEL),
            step: text("labels", contract::STEP_INDEX_LABEL).and_then(|it| it.parse().ok()),
            fingerprint: text("annotations", contract::RUN_FINGERPRINT_ANNOTATION),
            terminate: false,
            phase: None,
            message: None,
            shares,
            pods: BTreeMap::new(),
        };
        let experiment = VirtualExperiment {
            object,
            trials,
            takes,
            ready,
            available,
            over: takes.filter(|_| shares == Shares::Served).map(|takes| available + takes),
            delay: seconds(spec.scale_down_delay_seconds.unwrap_or(SCALE_DOWN_DELAY_SECONDS)),
        };
        self.experiments.insert(name.to_owned(), experiment);
    }

    /// Its weights are served.
    pub(super) fn begin_experiment(&mut self, target: &Target) {
        let now = self.now;
        if let Some(experiment) = self.experiments.get_mut(&target.name) {
            experiment.object.shares = Shares::Served;
            experiment.over = experiment.takes.map(|takes| now + takes);
        }
    }

    /// The templates of all Experiments, with their pods that are ready.
    pub(crate) fn trials(&self) -> impl Iterator<Item = (&Trial, u32)> {
        self.experiments.values().flat_map(|experiment| experiment.ready(self.now))
    }

    pub(super) fn terminate_experiment(&mut self, target: &Target) {
        let now = self.now;
        if let Some(experiment) = self.experiments.get_mut(&target.name) {
            experiment.object.terminate = true;
            experiment.over = Some(experiment.over.map_or(now, |over| over.min(now)));
        }
    }

    /// Pods of all Experiments: those that are ready, and all.
    pub(crate) fn experiment_pods(&self) -> (usize, usize) {
        let each = self.experiments.values().map(|it| it.pods(self.now));
        each.fold((0, 0), |(ready, there), (more_ready, more)| (ready + more_ready, there + more))
    }

    /// How long an Experiment goes on once its pods are available: until the analyses that it needs are done; without
    /// these as long as it says; and where it says nothing until somebody ends it.
    fn takes(&self, spec: &ExperimentSpec) -> Option<TimeDelta> {
        let needed: Vec<_> = spec.analyses.iter().filter(|it| it.required_for_completion).collect();
        if needed.is_empty() {
            return duration::parse(spec.duration.as_deref()?).ok();
        }
        let each = needed.into_iter().map(|it| self.measures(it, spec));
        each.collect::<Option<Vec<_>>>()?.into_iter().reduce(max)
    }

    fn measures(&self, analysis: &ExperimentAnalysis, spec: &ExperimentSpec) -> Option<TimeDelta> {
        let named = [AnalysisTemplateRef {
            template_name: analysis.template_name.clone(),
            cluster_scope: Some(analysis.cluster_scope),
        }];
        let run = templates::find(&named, &self.templates).map_err(|missing| missing.why);
        let run = run.and_then(|found| {
            merge::of_experiment(&found, &analysis.args, &spec.dry_run, &spec.measurement_retention)
        });
        // What could not be made is an error, which comes at once.
        run.map_or_else(|_| Some(TimeDelta::zero()), |run| measuring::takes(&run))
    }
}
