//! Experiments: their pods start, their time passes, and what they measure is successful. Their pods are not counted.

use chrono::{DateTime, TimeDelta, Utc};
use crds::analysis::AnalysisPhase;
use crds::{contract, duration};
use operator_core::effect::Target;
use operator_core::experiment::Blueprint;
use operator_core::world::Experiment;

use super::Cluster;

/// An Experiment and when it is over; `None`: not before somebody ends it.
#[derive(Clone, Debug)]
pub(crate) struct VirtualExperiment {
    object: Experiment,
    pub(super) over: Option<DateTime<Utc>>,
}

impl VirtualExperiment {
    /// What is known of it at this moment.
    pub(super) fn observed(&self, now: DateTime<Utc>) -> Experiment {
        let over = self.over.is_some_and(|over| over <= now);
        let phase = if over { AnalysisPhase::Successful } else { AnalysisPhase::Running };
        Experiment { phase: Some(phase), ..self.object.clone() }
    }
}

impl Cluster {
    /// It is over when its time is; without one, when its pods are up and its analyses, which take no time, are done.
    pub(super) fn create_experiment(&mut self, name: &str, blueprint: &Blueprint) {
        let version = self.next_version();
        let manifest = blueprint.manifest(&[]);
        let (metadata, spec) = (&manifest["metadata"], &manifest["spec"]);
        let text = |map: &str, key: &str| metadata[map][key].as_str().map(str::to_owned);
        let up = self.now + self.pod_start;
        let takes = spec["duration"].as_str().and_then(|it| duration::parse(it).ok());
        let measures = spec["analyses"].as_array().is_some_and(|it| !it.is_empty());
        let over = takes.or_else(|| measures.then(TimeDelta::zero)).map(|takes| up + takes);
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
        };
        self.experiments.insert(name.to_owned(), VirtualExperiment { object, over });
    }

    pub(super) fn terminate_experiment(&mut self, target: &Target) {
        let now = self.now;
        if let Some(experiment) = self.experiments.get_mut(&target.name) {
            experiment.object.terminate = true;
            experiment.over = Some(now);
        }
    }
}
