//! `job`: a Kubernetes Job. That it completes is a good measurement, that it fails a bad one; a measurement is under
//! way for as long as its Job is.
//!
//! Jobs have Argo's names, labels and annotations, so that each controller finds those of the other.

use std::{collections::BTreeMap, hash::Hasher as _};

use crds::{AnalysisRun, contract};
use fnv::FnvHasher;
use k8s_openapi::api::batch::v1 as batch;
use kube::Resource;
use serde_json::{Map, Value, json};

use crate::{
    analysis::objects::{ContainerStatus, Job, JobPod},
    rollouts::controller,
};

/// Key of a measurement's metadata: the name of its Job.
pub(crate) const JOB_NAME: &str = "job-name";
/// Key of a measurement's metadata: the namespace of its Job.
pub(crate) const JOB_NAMESPACE: &str = "job-namespace";

/// The longest name: the Job controller puts it into a label of the pods.
const LONGEST_NAME: usize = 63;

/// What a container waits for in vain.
const HOPELESS: [&str; 3] = ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"];

/// How far a Job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It is at work.
    Running,
    /// It has completed.
    Complete,
    /// It has failed.
    Failed,
    /// A pod of it will never start, as the text says.
    Stuck(String),
}

/// The Job of a measurement. `number` counts the measurements of the metric before it.
pub(crate) fn manifest(
    run: &AnalysisRun,
    metric: &str,
    number: i32,
    configuration: &Value,
) -> Result<Value, String> {
    let Some(spec) = configuration.get("spec").and_then(Value::as_object) else {
        return Err("provider.job.spec is missing: it is the spec of a Job".to_owned());
    };
    let uid = run.metadata.uid.as_deref().unwrap_or_default();
    let run_name = run.metadata.name.as_deref().unwrap_or_default();
    let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
    let written = |path: &str| -> Map<String, Value> {
        configuration.pointer(path).and_then(Value::as_object).cloned().unwrap_or_default()
    };
    let mut labels = written("/metadata/labels");
    labels.insert(contract::ANALYSIS_RUN_UID_LABEL.to_owned(), json!(uid));
    let mut annotations = written("/metadata/annotations");
    for (key, value) in [
        (contract::ANALYSIS_RUN_NAME_ANNOTATION, run_name),
        (contract::ANALYSIS_RUN_NAMESPACE_ANNOTATION, namespace),
        (contract::ANALYSIS_RUN_METRIC_ANNOTATION, metric),
    ] {
        annotations.insert(key.to_owned(), json!(value));
    }
    let mut spec = spec.clone();
    label_pods(&mut spec, uid)?;
    Ok(json!({
        "apiVersion": batch::Job::api_version(&()),
        "kind": batch::Job::kind(&()),
        "metadata": {
            "name": name(uid, metric, number.saturating_add(1)),
            "namespace": namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [{
                "apiVersion": AnalysisRun::api_version(&()),
                "kind": AnalysisRun::kind(&()),
                "name": run_name,
                "uid": uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": spec,
    }))
}

/// Argo's name. A metric whose name is too long for a label is named by its hash.
fn name(uid: &str, metric: &str, number: i32) -> String {
    let name = format!("{uid}.{metric}.{number}");
    if name.len() <= LONGEST_NAME {
        return name;
    }
    let mut hasher = FnvHasher::default();
    hasher.write(metric.as_bytes());
    format!("{uid}.{:016x}.{number}", hasher.finish())
}

/// Marks the pods, so that they can be watched without all others.
fn label_pods(spec: &mut Map<String, Value>, uid: &str) -> Result<(), String> {
    let mut place = spec.entry("template").or_insert_with(|| json!({}));
    for field in ["metadata", "labels"] {
        let Some(fields) = place.as_object_mut() else {
            return Err(format!("provider.job.spec.template cannot be read: {field} is in no object"));
        };
        let inner = fields.entry(field).or_insert_with(|| json!({}));
        if inner.is_null() {
            *inner = json!({});
        }
        place = inner;
    }
    let Some(labels) = place.as_object_mut() else {
        return Err("provider.job.spec.template.metadata.labels is no object".to_owned());
    };
    labels.insert(contract::ANALYSIS_RUN_UID_LABEL.to_owned(), json!(uid));
    Ok(())
}

/// What a measurement says of its Job.
pub(crate) fn metadata(namespace: &str, name: &str) -> BTreeMap<String, String> {
    [(JOB_NAME, name), (JOB_NAMESPACE, namespace)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Whether a Job is that of a run.
pub(crate) fn is_of(job: &Job, run: &AnalysisRun) -> bool {
    controller(&job.metadata).is_some_and(|it| Some(&it.uid) == run.metadata.uid.as_ref())
}

/// How far a Job is, with what is known of its pods.
pub(crate) fn progress<'a>(job: &Job, pods: impl IntoIterator<Item = &'a JobPod>) -> Progress {
    let is = |type_: &str| job.status.conditions.iter().any(|it| it.type_ == type_ && it.status == "True");
    if is("Complete") {
        return Progress::Complete;
    }
    if is("Failed") {
        return Progress::Failed;
    }
    pods.into_iter().find_map(stuck).map_or(Progress::Running, Progress::Stuck)
}

fn stuck(pod: &JobPod) -> Option<String> {
    let containers = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
    containers.into_iter().find_map(|ContainerStatus { name, state }| {
        let waiting = state.get("waiting")?;
        let text = |field: &str| waiting.get(field).and_then(Value::as_str).unwrap_or_default();
        let reason = text("reason");
        HOPELESS.contains(&reason).then(|| {
            let pod = pod.metadata.name.as_deref().unwrap_or_default();
            format!("Pod {pod}, container {name} has terminal error ({reason}): {}", text("message"))
        })
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    fn run() -> AnalysisRun {
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "spec": {"metrics": []},
            "metadata": {"namespace": "web", "name": "run", "uid": "0a1b2c3d-0000-0000-0000-000000000001"},
        }))
        .unwrap()
    }

    #[test]
    fn a_job_has_argos_name_labels_and_owner() {
        let configuration = json!({
            "metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}},
            "spec": {"backoffLimit": 1, "template": {"metadata": null, "spec": {"restartPolicy": "Never"}}},
        });
        let job = manifest(&run(), "smoke", 2, &configuration).unwrap();
        let uid = "0a1b2c3d-0000-0000-0000-000000000001";
        let expected = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "name": format!("{uid}.smoke.3"), "namespace": "web",
                "labels": {"team": "a", "analysisrun.argoproj.io/uid": uid},
                "annotations": {
                    "note": "b",
                    "analysisrun.argoproj.io/name": "run",
                    "analysisrun.argoproj.io/namespace": "web",
                    "analysisrun.argoproj.io/metric-name": "smoke",
                },
                "ownerReferences": [{
                    "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "name": "run", "uid": uid,
                    "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": {"backoffLimit": 1, "template": {
                "metadata": {"labels": {"analysisrun.argoproj.io/uid": uid}},
                "spec": {"restartPolicy": "Never"},
            }},
        });
        assert_eq!(job, expected);
    }

    #[test]
    fn a_long_name_stays_short_and_one_of_its_kind() {
        let long = "a-metric-with-a-name-of-its-own";
        let names = [name(&"u".repeat(36), long, 1), name(&"u".repeat(36), &format!("{long}-2"), 1)];
        assert!(names.iter().all(|it| it.len() <= LONGEST_NAME));
        assert_ne!(names[0], names[1]);
    }

    #[test]
    fn a_job_without_a_spec_is_told_so() {
        assert!(manifest(&run(), "m", 0, &json!({})).unwrap_err().contains("spec is missing"));
        assert!(manifest(&run(), "m", 0, &json!({"spec": {"template": []}})).is_err());
    }

    #[test]
    fn a_job_whose_image_cannot_be_pulled_is_stuck() {
        let job = |conditions: Value| {
            Job::deserialize(json!({"metadata": {}, "status": {"conditions": conditions}})).unwrap()
        };
        let pod = JobPod::deserialize(json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [
            {"name": "c", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}},
        ]}}))
        .unwrap();
        assert_eq!(progress(&job(json!([])), []), Progress::Running);
        let text = "Pod p, container c has terminal error (ErrImagePull): no such image";
        assert_eq!(progress(&job(json!([])), [&pod]), Progress::Stuck(text.to_owned()));
        let complete = json!([{"type": "Complete", "status": "True"}]);
        assert_eq!(progress(&job(complete), [&pod]), Progress::Complete);
        assert_eq!(progress(&job(json!([{"type": "Failed", "status": "True"}])), []), Progress::Failed);
        assert_eq!(progress(&job(json!([{"type": "Suspended", "status": "True"}])), []), Progress::Running);
    }
}
