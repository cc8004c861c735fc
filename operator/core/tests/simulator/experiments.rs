//! Experiments of a Rollout, and the controller that ends one which is told to. What they run is not simulated here.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use crds::analysis::AnalysisPhase;
use crds::contract;
use operator_core::effect::Target;
use operator_core::experiment::Blueprint;
use operator_core::world::Experiment;
use serde_json::{Value, json};

use super::cluster::{Cluster, stamp};
use super::execute::{Refused, check, object};

impl Cluster {
    pub(super) fn create_experiment(&mut self, name: &str, blueprint: &Blueprint) -> Result<(), Refused> {
        check(!self.experiments.contains_key(name), "AlreadyExists")?;
        let mut templates = Vec::new();
        for target in blueprint.replica_sets() {
            templates.push(self.set(target)?.template.clone());
        }
        let mut experiment = blueprint.manifest(&templates);
        let listed = experiment["spec"]["templates"].as_array().expect("a list");
        for template in listed {
            assert!(
                template["template"]["spec"]["containers"][0]["image"].is_string(),
                "no pods: {template}"
            );
        }
        let version = self.next_version();
        stamp(&mut experiment, None, "experiment", &version);
        experiment["metadata"]["creationTimestamp"] = json!(self.now);
        self.experiments.insert(name.to_owned(), experiment);
        Ok(())
    }

    pub(super) fn terminate_experiment(&mut self, target: &Target) -> Result<(), Refused> {
        let version = self.next_version();
        let experiment = object(&mut self.experiments, target)?;
        experiment["spec"]["terminate"] = json!(true);
        experiment["metadata"]["resourceVersion"] = json!(version);
        Ok(())
    }

    pub(super) fn delete_experiment(&mut self, target: &Target) -> Result<(), Refused> {
        let experiment = object(&mut self.experiments, target)?;
        let same = experiment["metadata"]["resourceVersion"] == target.resource_version.as_str();
        check(same, "the Experiment moved")?;
        self.experiments.remove(&target.name);
        Ok(())
    }

    /// Gives every Experiment without a verdict this phase.
    pub(crate) fn judge_experiments(&mut self, phase: &str) {
        for name in self.unfinished_experiments() {
            self.judge_experiment(&name, phase);
        }
    }

    /// Gives one Experiment a phase, and one that stops an update a message.
    pub(crate) fn judge_experiment(&mut self, name: &str, phase: &str) {
        let version = self.next_version();
        let experiment = self.experiments.get_mut(name).unwrap_or_else(|| panic!("no Experiment {name}"));
        experiment["status"] = json!({"phase": phase});
        if matches!(phase, "Failed" | "Error" | "Inconclusive") {
            experiment["status"]["message"] = json!(format!("Metric \"m\" assessed {phase}"));
        }
        experiment["metadata"]["resourceVersion"] = json!(version);
    }

    /// The Experiments' controller: what is told to end ends well.
    pub(crate) fn run_experiments(&mut self) {
        for name in self.unfinished_experiments() {
            if self.experiments[&name]["spec"]["terminate"] == true {
                self.judge_experiment(&name, "Successful");
            }
        }
    }

    /// Those that go on.
    pub(crate) fn unfinished_experiments(&self) -> Vec<String> {
        let goes_on = |it: &Value| !phase(it).is_some_and(AnalysisPhase::is_completed);
        self.experiments.iter().filter(|(_, it)| goes_on(it)).map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn observed_experiments(&self) -> BTreeMap<String, Experiment> {
        let uid = self.rollout().metadata.uid.as_deref();
        self.experiments.iter().map(|(name, it)| (name.clone(), experiment(it, uid))).collect()
    }
}

fn experiment(object: &Value, rollout: Option<&str>) -> Experiment {
    let metadata = &object["metadata"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let labels = &metadata["labels"];
    Experiment {
        uid: text(&metadata["uid"]).unwrap_or_default(),
        resource_version: text(&metadata["resourceVersion"]).unwrap_or_default(),
        created: serde_json::from_value::<DateTime<Utc>>(metadata["creationTimestamp"].clone())
            .expect("a time"),
        owned: metadata["ownerReferences"][0]["uid"].as_str() == rollout,
        deleting: false,
        hash: text(&labels[contract::POD_TEMPLATE_HASH_LABEL]),
        step: labels[contract::STEP_INDEX_LABEL].as_str().and_then(|it| it.parse().ok()),
        fingerprint: text(&metadata["annotations"][contract::RUN_FINGERPRINT_ANNOTATION]),
        terminate: object["spec"]["terminate"] == true,
        phase: phase(object),
        message: text(&object["status"]["message"]),
    }
}

fn phase(experiment: &Value) -> Option<AnalysisPhase> {
    serde_json::from_value(experiment["status"]["phase"].clone()).ok()
}
