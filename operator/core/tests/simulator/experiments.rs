//! Experiments of a Rollout, and the controller that ends one which is told to. What they run is not simulated here.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use crds::analysis::AnalysisPhase;
use crds::contract;
use operator_core::effect::Target;
use operator_core::experiment::Blueprint;
use operator_core::world::{Experiment, Shares, TrialPods};
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

    pub(super) fn begin_experiment(&mut self, target: &Target) -> Result<(), Refused> {
        let version = self.next_version();
        let experiment = object(&mut self.experiments, target)?;
        experiment["metadata"]["annotations"][contract::WEIGHTS_ANNOTATION] = json!(contract::WEIGHTS_SERVED);
        experiment["metadata"]["resourceVersion"] = json!(version);
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
        let templates = template_statuses(name, experiment);
        experiment["status"] = json!({"phase": phase, "templateStatuses": templates});
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

/// All pods of an Experiment are there from its start on.
fn template_statuses(experiment: &str, object: &Value) -> Value {
    let templates = object["spec"]["templates"].as_array().into_iter().flatten();
    let status = |template: &Value| {
        let name = template["name"].as_str().expect("a name");
        let own = template["service"]["name"].as_str().map(str::to_owned);
        let service =
            template["service"].is_object().then(|| own.unwrap_or_else(|| format!("{experiment}-{name}")));
        json!({
            "name": name,
            "serviceName": service,
            "podTemplateHash": service.as_ref().map(|_| format!("pods-of-{name}")),
            "availableReplicas": template["replicas"].as_i64().unwrap_or(1),
        })
    };
    templates.map(status).collect()
}

impl Cluster {
    /// The pods of an Experiment behind a Service, if it is one of theirs.
    pub(super) fn trial_endpoints(&self, service: &str) -> Option<BTreeMap<String, u32>> {
        let templates =
            self.experiments.values().filter_map(|it| it["status"]["templateStatuses"].as_array());
        let found = templates.flatten().find(|it| it["serviceName"] == service)?;
        let hash = found["podTemplateHash"].as_str()?.to_owned();
        let available = found["availableReplicas"].as_u64().and_then(|it| u32::try_from(it).ok())?;
        Some(if available > 0 { BTreeMap::from([(hash, available)]) } else { BTreeMap::new() })
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
        shares: Shares::of(metadata["annotations"][contract::WEIGHTS_ANNOTATION].as_str()),
        pods: object["status"]["templateStatuses"].as_array().into_iter().flatten().map(trial_pods).collect(),
    }
}

fn trial_pods(status: &Value) -> (String, TrialPods) {
    let text = |field: &str| status[field].as_str().map(str::to_owned);
    let available = status["availableReplicas"].as_i64().and_then(|it| i32::try_from(it).ok());
    let pods = TrialPods {
        service: text("serviceName"),
        hash: text("podTemplateHash"),
        available: available.unwrap_or_default(),
    };
    (text("name").expect("a name"), pods)
}

fn phase(experiment: &Value) -> Option<AnalysisPhase> {
    serde_json::from_value(experiment["status"]["phase"].clone()).ok()
}
