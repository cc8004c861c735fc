//! An Experiment that begins.

use std::collections::BTreeMap;

use crds::analysis::Argument;
use crds::contract::{
    POD_TEMPLATE_HASH_LABEL, REVISION_ANNOTATION, RUN_FINGERPRINT_ANNOTATION, STEP_INDEX_LABEL,
    WEIGHTS_ANNOTATION, WEIGHTS_AWAITED,
};
use crds::experiment::ExperimentAnalysis;
use serde_json::{Value, json};

use super::super::draft::{Draft, target_of};
use super::super::revision::owner_reference;
use super::super::scene::Scene;
use super::{Place, is_about};
use crate::analysis::{Facts, Role};
use crate::effect::Effect;
use crate::experiment::{Blueprint, Pods};
use crate::hash;
use crate::spec::{self, Version};
use crate::why::Why;
use crate::world::{Experiment, ReplicaSet};

/// Creates the Experiment of a step and makes it the current one; or finds the one that was created by a plan whose
/// status was never recorded.
pub(super) fn begin(scene: &Scene<'_>, place: Place<'_>, experiment: &spec::Experiment, draft: &mut Draft) {
    // During an update there is one.
    let Some(stable) = scene.stable else { return };
    let made = match make(scene, place.new, stable, experiment) {
        Ok(made) => made,
        Err(problem) => {
            let message = format!("spec.strategy.canary.steps[{}].experiment: {problem}", place.step);
            draft.because(Why::AnalysisBlocked { message: message.clone() });
            draft.analysis_blocked.get_or_insert(message);
            draft.status.canary.current_experiment = None;
            return;
        }
    };
    let found = scene.world.experiments.iter().find(|(_, it)| is_it(scene, it, place, &made));
    let name = if let Some((name, _)) = found {
        name.clone()
    } else if let Some((other, _)) = scene.world.experiments.iter().find(|(_, it)| goes_on(scene, it, place))
    {
        // It is told to end first: two at once would take the cluster's room twice.
        draft.because(Why::StartingExperiment { experiment: other.clone() });
        draft.status.canary.current_experiment = None;
        return;
    } else {
        let name =
            free_name(scene, Role::Step(place.step).run_name(&scene.spec.name, &scene.hash, place.revision));
        let blueprint = Box::new(blueprint(scene, place, &name, &made));
        draft.afterwards(Effect::CreateExperiment { name: name.clone(), blueprint });
        draft.normal("ExperimentCreated", format!("Created Experiment '{name}'"));
        name
    };
    draft.because(Why::StartingExperiment { experiment: name.clone() });
    draft.status.canary.current_experiment = Some(name);
}

/// What an Experiment is made of.
struct Made {
    /// Its spec without pod templates.
    spec: Value,
    pods: Vec<Pods>,
    fingerprint: String,
    /// Some of its pods get a share of the requests.
    weighted: bool,
}

fn make(
    scene: &Scene<'_>,
    new: &ReplicaSet,
    stable: &ReplicaSet,
    experiment: &spec::Experiment,
) -> Result<Made, String> {
    let facts = Facts { rollout: &scene.world.rollout, latest: &new.hash, stable: &stable.hash };
    let analyses: Vec<ExperimentAnalysis> =
        experiment.analyses.iter().map(|it| analysis(&facts, it)).collect::<Result<_, _>>()?;
    let of = |version| match version {
        Version::Latest => new,
        Version::Stable => stable,
    };
    let templates: Vec<Value> =
        experiment.templates.iter().map(|it| template(scene, of(it.version), it)).collect();
    let pods = experiment.templates.iter().map(|it| Pods {
        replica_set: target_of(of(it.version)),
        labels: it.metadata.labels.clone(),
        annotations: it.metadata.annotations.clone(),
    });
    let spec = json!({
        "templates": templates,
        "duration": experiment.duration,
        "progressDeadlineSeconds": scene.world.rollout.spec.progress_deadline_seconds,
        "scaleDownDelaySeconds": experiment.scale_down_delay_seconds,
        "analyses": analyses,
        "dryRun": experiment.dry_run,
        "analysisRunMetadata": experiment.run_metadata,
    });
    let metadata: Vec<_> = experiment.templates.iter().map(|it| &it.metadata).collect();
    let fingerprint = hash::run_fingerprint(&json!({"spec": spec, "metadata": metadata}));
    let weighted = experiment.weighted().next().is_some();
    Ok(Made { spec: without_nulls(spec), pods: pods.collect(), fingerprint, weighted })
}

/// One of `spec.templates`, without its pod template. Its selector is that of the ReplicaSet whose pods it runs, with the
/// labels that they get in addition.
fn template(scene: &Scene<'_>, set: &ReplicaSet, template: &spec::ExperimentTemplate) -> Value {
    let mut selector = match &template.selector {
        Some(selector) => selector.clone(),
        None => scene.spec.selector.and(POD_TEMPLATE_HASH_LABEL, &set.hash).written().clone(),
    };
    if !template.metadata.labels.is_empty() {
        selector.match_labels.get_or_insert_default().extend(template.metadata.labels.clone());
    }
    without_nulls(json!({
        "name": template.name,
        "replicas": template.replicas,
        "minReadySeconds": (set.min_ready_seconds > 0).then_some(set.min_ready_seconds),
        "selector": selector,
        "service": template.service,
    }))
}

fn analysis(facts: &Facts<'_>, analysis: &spec::ExperimentAnalysis) -> Result<ExperimentAnalysis, String> {
    let values = facts.values(&analysis.arguments)?.into_iter();
    Ok(ExperimentAnalysis {
        name: analysis.name.clone(),
        template_name: analysis.template.template_name.clone(),
        cluster_scope: analysis.template.cluster_scope == Some(true),
        args: values.map(|it| Argument { name: it.name, value: Some(it.value), value_from: None }).collect(),
        required_for_completion: analysis.required,
    })
}

/// One of the same step has not ended. One that was told to end is none.
fn goes_on(scene: &Scene<'_>, experiment: &Experiment, place: Place<'_>) -> bool {
    experiment.owned
        && !experiment.deleting
        && !experiment.terminate
        && !experiment.is_completed()
        && is_about(scene, experiment, place.step)
}

/// It goes on, and is made of the same.
fn is_it(scene: &Scene<'_>, experiment: &Experiment, place: Place<'_>, made: &Made) -> bool {
    goes_on(scene, experiment, place) && experiment.fingerprint.as_deref() == Some(made.fingerprint.as_str())
}

/// The name, with the lowest number behind it that makes it free.
fn free_name(scene: &Scene<'_>, name: String) -> String {
    let taken = &scene.world.experiments;
    if !taken.contains_key(&name) {
        return name;
    }
    let numbered = (1..=taken.len()).map(|number| format!("{name}-{number}"));
    // Of one more names than there are Experiments, one is free.
    numbered.into_iter().find(|it| !taken.contains_key(it)).unwrap_or(name)
}

/// With the Rollout's labels, and so its instance.
fn blueprint(scene: &Scene<'_>, place: Place<'_>, name: &str, made: &Made) -> Blueprint {
    let mut labels = scene.world.rollout.metadata.labels.clone().unwrap_or_default();
    labels.insert(POD_TEMPLATE_HASH_LABEL.to_owned(), scene.hash.clone());
    labels.insert(STEP_INDEX_LABEL.to_owned(), place.step.to_string());
    let mut annotations = BTreeMap::from([
        (REVISION_ANNOTATION.to_owned(), place.revision.to_string()),
        (RUN_FINGERPRINT_ANNOTATION.to_owned(), made.fingerprint.clone()),
    ]);
    if made.weighted {
        annotations.insert(WEIGHTS_ANNOTATION.to_owned(), WEIGHTS_AWAITED.to_owned());
    }
    let manifest = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Experiment",
        "metadata": {
            "name": name,
            "namespace": scene.world.rollout.metadata.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner_reference(scene.world)],
        },
        "spec": made.spec,
    });
    Blueprint::new(manifest, made.pods.clone())
}

/// Fields that are not set are left out, as the API server would.
fn without_nulls(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, it| !it.is_null());
    }
    value
}
