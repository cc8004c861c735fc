//! `AnalysisRuns` and their templates, and the controller that ends a run which is told to.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use crds::analysis::{AnalysisPhase, AnalysisTemplateSpec};
use crds::contract;
use operator_core::analysis::Role;
use operator_core::effect::Target;
use operator_core::world::{Analyses, AnalysisRun, Lookup, Readable, Templates};
use serde_json::{Value, json};

use super::cluster::{Cluster, stamp};
use super::execute::{Refused, check, object};

impl Cluster {
    pub(super) fn create_run(&mut self, name: &str, manifest: &Value) -> Result<(), Refused> {
        check(!self.analysis_runs.contains_key(name), "AlreadyExists")?;
        let version = self.next_version();
        let mut run = manifest.clone();
        stamp(&mut run, None, "analysisrun", &version);
        run["metadata"]["creationTimestamp"] = json!(self.now);
        self.analysis_runs.insert(name.to_owned(), run);
        Ok(())
    }

    pub(super) fn terminate_run(&mut self, target: &Target) -> Result<(), Refused> {
        let version = self.next_version();
        let run = object(&mut self.analysis_runs, target)?;
        run["spec"]["terminate"] = json!(true);
        run["metadata"]["resourceVersion"] = json!(version);
        Ok(())
    }

    pub(super) fn delete_run(&mut self, target: &Target) -> Result<(), Refused> {
        let run = object(&mut self.analysis_runs, target)?;
        check(run["metadata"]["resourceVersion"] == target.resource_version.as_str(), "the run moved")?;
        self.analysis_runs.remove(&target.name);
        Ok(())
    }

    /// Gives every run without a verdict this phase.
    pub(crate) fn judge_runs(&mut self, phase: &str) {
        let unfinished: Vec<String> =
            self.analysis_runs.keys().filter(|name| !self.is_completed(name)).cloned().collect();
        for name in unfinished {
            self.judge_run(&name, phase);
        }
    }

    /// Gives one run a phase, and one that stops an update a message.
    pub(crate) fn judge_run(&mut self, name: &str, phase: &str) {
        let version = self.next_version();
        let run = self.analysis_runs.get_mut(name).unwrap_or_else(|| panic!("no AnalysisRun {name}"));
        run["status"] = json!({"phase": phase});
        if matches!(phase, "Failed" | "Error" | "Inconclusive") {
            run["status"]["message"] = json!(format!("Metric \"m\" assessed {phase}"));
        }
        run["metadata"]["resourceVersion"] = json!(version);
    }

    /// The runs' controller: what is told to end ends, with the verdict of a run that has measured nothing bad.
    pub(crate) fn run_analyses(&mut self) {
        let ending = |(_, run): &(&String, &Value)| run["spec"]["terminate"] == true;
        let ending: Vec<String> =
            self.analysis_runs.iter().filter(ending).map(|(name, _)| name.clone()).collect();
        for name in ending.into_iter().filter(|name| !self.is_completed(name)).collect::<Vec<_>>() {
            self.judge_run(&name, "Successful");
        }
    }

    pub(crate) fn is_completed(&self, name: &str) -> bool {
        phase(&self.analysis_runs[name]).is_some_and(AnalysisPhase::is_completed)
    }

    pub(super) fn analyses(&self) -> Analyses {
        let uid = self.rollout().metadata.uid.as_deref();
        Analyses {
            runs: self.analysis_runs.iter().map(|(name, it)| (name.clone(), run(it, uid))).collect(),
            templates: Templates {
                of_namespace: self.templates.iter().map(template).collect(),
                of_cluster: self.global_templates.iter().map(template).collect(),
            },
        }
    }
}

fn template((name, object): (&String, &Value)) -> (String, Lookup<Readable>) {
    let spec = serde_json::from_value::<AnalysisTemplateSpec>(object["spec"].clone());
    (name.clone(), Lookup::Found(spec.map(Arc::new).map_err(|error| error.to_string())))
}

fn run(object: &Value, rollout: Option<&str>) -> AnalysisRun {
    let metadata = &object["metadata"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let labels = &metadata["labels"];
    let kind = labels[contract::ROLLOUT_TYPE_LABEL].as_str();
    AnalysisRun {
        uid: text(&metadata["uid"]).unwrap_or_default(),
        resource_version: text(&metadata["resourceVersion"]).unwrap_or_default(),
        created: serde_json::from_value::<DateTime<Utc>>(metadata["creationTimestamp"].clone())
            .expect("a time"),
        owned: metadata["ownerReferences"][0]["uid"].as_str() == rollout,
        deleting: false,
        hash: text(&labels[contract::POD_TEMPLATE_HASH_LABEL]),
        role: kind.and_then(|kind| Role::of_labels(kind, labels[contract::STEP_INDEX_LABEL].as_str())),
        fingerprint: text(&metadata["annotations"][contract::RUN_FINGERPRINT_ANNOTATION]),
        terminate: object["spec"]["terminate"] == true,
        phase: phase(object),
        message: text(&object["status"]["message"]),
    }
}

fn phase(run: &Value) -> Option<AnalysisPhase> {
    serde_json::from_value(run["status"]["phase"].clone()).ok()
}
