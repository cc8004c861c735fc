//! What an Experiment may ask for, in Argo's words and order: only the first thing that is wrong is said.

use std::collections::BTreeSet;

use crds::Experiment;
use crds::duration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use operator_core::hash;

/// `progressDeadlineSeconds` where it is not set.
pub const DEFAULT_PROGRESS_DEADLINE_SECONDS: i32 = 600;

/// Whether the spec makes sense. Argo does not look at the duration, and lets an Experiment with one that cannot be read
/// run for ever.
///
/// # Errors
///
/// The message of the condition `InvalidSpec`.
pub fn experiment(experiment: &Experiment) -> Result<(), String> {
    let (name, spec) = (experiment.metadata.name.as_deref().unwrap_or_default(), &experiment.spec);
    let deadline = spec.progress_deadline_seconds.unwrap_or(DEFAULT_PROGRESS_DEADLINE_SECONDS);
    let mut names = BTreeSet::new();
    for (index, template) in spec.templates.iter().enumerate() {
        match &template.selector {
            None => return Err(format!("Rollout has missing field '.Spec.Templates[{index}].Selector'")),
            Some(selector) if *selector == LabelSelector::default() => {
                return Err(format!(
                    "This experiment is selecting all pods at index {index}. A non-empty selector is required."
                ));
            }
            Some(_) => {}
        }
        if template.min_ready_seconds > deadline {
            return Err(format!(
                "MinReadySeconds cannot be longer than ProgressDeadlineSeconds. Check template index {index}"
            ));
        }
        if template.name.is_empty() {
            return Err(format!("Experiment {name} has empty template name at index {index}"));
        }
        if !names.insert(template.name.as_str()) {
            return Err(format!(
                "Experiment {name} has repeated template name '{}' in templates",
                template.name
            ));
        }
    }
    let hashes = spec.templates.iter().enumerate().map(|(index, template)| {
        let hash = hash::pod_template_hash(&template.template.0, None);
        hash.map_err(|error| format!("spec.templates[{index}].template: {error}"))
    });
    hashes.into_iter().try_for_each(|it| it.map(drop))?;
    let mut names = BTreeSet::new();
    for (index, analysis) in spec.analyses.iter().enumerate() {
        if !names.insert(analysis.name.as_str()) {
            return Err(format!(
                "spec.analyses[{index}].name: another analysis is called '{}' too",
                analysis.name
            ));
        }
    }
    match spec.duration.as_deref().map(duration::parse) {
        Some(Err(why)) => Err(format!("spec.duration: {why}")),
        Some(Ok(_)) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn says(spec: &Value) -> String {
        let experiment: Experiment =
            serde_json::from_value(json!({"metadata": {"name": "trial"}, "spec": spec})).unwrap();
        super::experiment(&experiment).err().unwrap_or_default()
    }

    #[test]
    fn what_is_wrong_is_said_in_argos_words() {
        let template = |more: Value| {
            let mut template = json!({
                "name": "a", "selector": {"matchLabels": {"app": "x"}}, "template": {"spec": {"containers": []}},
            });
            for (field, value) in more.as_object().unwrap() {
                template[field] = value.clone();
            }
            template
        };
        let good = template(json!({}));
        let one = |more| json!({"templates": [template(more)]});
        let table = [
            (json!({"templates": [good]}), ""),
            (one(json!({"selector": null})), "Rollout has missing field '.Spec.Templates[0].Selector'"),
            (
                one(json!({"selector": {}})),
                "This experiment is selecting all pods at index 0. A non-empty selector is required.",
            ),
            (
                one(json!({"minReadySeconds": 601})),
                "MinReadySeconds cannot be longer than ProgressDeadlineSeconds. Check template index 0",
            ),
            (one(json!({"name": ""})), "Experiment trial has empty template name at index 0"),
            (
                json!({"templates": [good, good]}),
                "Experiment trial has repeated template name 'a' in templates",
            ),
            (
                one(json!({"template": {"spec": {"containers": 5}}})),
                "spec.templates[0].template: failed to read spec.containers: it must be a list, but it is 5",
            ),
            (json!({"duration": "5"}), "spec.duration: time: missing unit in duration \"5\""),
            (
                json!({"analyses": [{"name": "a", "templateName": "t"}, {"name": "a", "templateName": "t"}]}),
                "spec.analyses[1].name: another analysis is called 'a' too",
            ),
        ];
        for (spec, expected) in table {
            assert_eq!(says(&spec), expected, "{spec}");
        }
    }
}
