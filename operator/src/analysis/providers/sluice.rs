//! Sluice's own proxies: what they have counted of a version's requests, without a metric system in between.

use std::collections::BTreeMap;

use crds::{AnalysisRun, contract};
use operator_analysis::{
    expression::Value as Measured,
    traffic::{Counted, Of, Question, Role, Whose},
};
use operator_core::traffic::ObjectName;

use super::Sample;
use crate::{
    analysis::objects::{ExperimentVersions, RolloutVersions},
    rollouts::controller,
    traffic::{TrafficStore, Uncounted, VersionName},
};

/// A version that is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::analysis) struct Subject {
    version: VersionName,
    /// All versions of its Rollout that are known; of an Experiment the one.
    versions: Vec<String>,
}

/// The object of which the hashes are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::analysis) enum Holder {
    /// Its versions.
    Rollout(ObjectName),
    /// Its templates.
    Experiment(ObjectName),
}

/// What such an object says.
#[derive(Clone, Debug)]
pub(in crate::analysis) enum Hashes {
    /// Of a Rollout.
    Rollout(RolloutVersions),
    /// Of an Experiment.
    Experiment(ExperimentVersions),
}

/// The object of which the hashes are needed; `None`: the question names a hash.
pub(in crate::analysis) fn holder(question: &Question, run: &AnalysisRun) -> Result<Option<Holder>, String> {
    let here = |name: &str| ObjectName::new(run.metadata.namespace.clone().unwrap_or_default(), name);
    match &question.version {
        Whose::Hash(_) => Ok(None),
        Whose::Rollout(name, _) => Ok(Some(Holder::Rollout(here(name)))),
        Whose::Owner(_) => {
            let owner = controller(&run.metadata);
            match owner.map(|owner| (owner.kind.as_str(), here(&owner.name))) {
                Some(("Rollout", name)) => Ok(Some(Holder::Rollout(name))),
                Some(("Experiment", name)) => Ok(Some(Holder::Experiment(name))),
                Some(_) | None => {
                    Err("the run belongs to no Rollout and no Experiment: name a Rollout in `rollout`, or \
                                       the version in `podTemplateHash`"
                        .to_owned())
                }
            }
        }
    }
}

/// The version that is asked about.
pub(in crate::analysis) fn subject(
    question: &Question,
    run: &AnalysisRun,
    holder: Option<(&Holder, &Hashes)>,
) -> Result<Subject, String> {
    let namespace = run.metadata.namespace.clone().unwrap_or_default();
    let (hash, versions) = match (&question.version, holder) {
        (Whose::Hash(hash), _) => (hash.clone(), vec![hash.clone()]),
        (Whose::Rollout(_, role), Some((Holder::Rollout(name), Hashes::Rollout(found)))) => {
            of_rollout(*role, run, name, found)?
        }
        (Whose::Owner(of), Some((Holder::Rollout(name), Hashes::Rollout(found)))) => {
            of_rollout(of.role()?, run, name, found)?
        }
        (Whose::Owner(of), Some((_, Hashes::Experiment(found)))) => {
            let hash = of_experiment(of, found)?;
            (hash.clone(), vec![hash])
        }
        (Whose::Rollout(..) | Whose::Owner(_), _) => {
            return Err("it is not known which versions there are".to_owned());
        }
    };
    Ok(Subject { version: VersionName { namespace, hash }, versions })
}

/// A version of a Rollout, and all of them.
fn of_rollout(
    role: Role,
    run: &AnalysisRun,
    name: &ObjectName,
    found: &RolloutVersions,
) -> Result<(String, Vec<String>), String> {
    // The run stays with the version that it was made for.
    let owner = controller(&run.metadata).filter(|owner| owner.kind == "Rollout");
    let made_for = owner
        .filter(|owner| owner.name == name.name)
        .and_then(|_| run.metadata.labels.as_ref()?.get(contract::POD_TEMPLATE_HASH_LABEL));
    let canary = made_for.or(found.status.current_pod_hash.as_ref());
    let stable = found.status.stable_rs.as_ref();
    let (which, word) = match role {
        Role::Canary => (canary, "new"),
        Role::Stable => (stable, "stable"),
    };
    let hash = which.filter(|it| !it.is_empty());
    let hash = hash.ok_or_else(|| format!("Rollout {:?} has no {word} version yet", name.name))?;
    Ok((hash.clone(), canary.into_iter().chain(stable).cloned().collect()))
}

/// The hash of the pods of a template.
fn of_experiment(of: &Of, found: &ExperimentVersions) -> Result<String, String> {
    let statuses = &found.status.template_statuses;
    let names: Vec<&str> = statuses.iter().map(|it| it.name.as_str()).collect();
    let name = of.template(&names)?;
    let hash = statuses.iter().find(|it| it.name == name).and_then(|it| it.pod_template_hash.clone());
    hash.filter(|it| !it.is_empty()).ok_or_else(|| {
        format!(
            "no request reaches template {name:?}, which has no Service: give it a weight, or `service: {{}}`"
        )
    })
}

/// Takes a measurement at the second `now`.
pub(in crate::analysis) fn measure(
    question: &Question,
    subject: &Subject,
    traffic: &TrafficStore,
    now: i64,
) -> Result<Sample, String> {
    let Subject { version, versions } = subject;
    let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
    let counted = traffic.counted(version, &versions, question.window, now).map_err(|why| match why {
        Uncounted::NotConfigured => "the operator was given no traffic server (--traffic-server): what proxies count \
                                     is not told to it"
            .to_owned(),
        Uncounted::Unknown { reason } => format!("what the proxies have counted is not known: {reason}"),
        Uncounted::NotRouted => format!(
            "no route of Sluice's proxies leads to pods of version {}: send its requests by a Mapping, an HTTPRoute or an \
             Ingress, or measure with another provider",
            version.hash
        ),
    })?;
    let answer = question.answer(&counted);
    Ok(Sample {
        metadata: shown(subject, &counted),
        ..Sample::new(Measured::Float(answer), answer.to_string())
    })
}

/// What the answer rests on.
fn shown(subject: &Subject, counted: &Counted) -> BTreeMap<String, String> {
    let Counted { seconds, bad, .. } = counted;
    let shown = [
        ("podTemplateHash", subject.version.hash.clone()),
        ("requests", counted.requests().to_string()),
        ("bad", bad.to_string()),
        ("window", format!("{seconds}s")),
    ];
    shown.map(|(name, value)| (name.to_owned(), value)).into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn question(fields: &Value) -> Question {
        Question::parse(&serde_json::from_value(fields.clone()).unwrap()).unwrap()
    }

    fn run(owner: &Value) -> AnalysisRun {
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "spec": {"metrics": []},
            "metadata": {
                "namespace": "web", "name": "run", "labels": {"rollouts-pod-template-hash": "mine"},
                "ownerReferences": [owner],
            },
        }))
        .unwrap()
    }

    fn owned(kind: &str) -> AnalysisRun {
        let api = "argoproj.io/v1alpha1";
        run(&json!({"apiVersion": api, "kind": kind, "name": "shop", "uid": "u", "controller": true}))
    }

    fn versions(current: &str, stable: &str) -> RolloutVersions {
        serde_json::from_value(json!({"status": {"currentPodHash": current, "stableRS": stable}})).unwrap()
    }

    fn templates(found: &Value) -> Hashes {
        let statuses = found.as_object().unwrap().iter();
        let statuses: Vec<Value> =
            statuses.map(|(name, hash)| json!({"name": name, "podTemplateHash": hash})).collect();
        Hashes::Experiment(serde_json::from_value(json!({"status": {"templateStatuses": statuses}})).unwrap())
    }

    fn asked(fields: &Value, run: &AnalysisRun, found: &Hashes) -> Result<(String, Vec<String>), String> {
        let question = question(fields);
        let holder = holder(&question, run)?;
        let subject = subject(&question, run, holder.as_ref().map(|it| (it, found)))?;
        Ok((subject.version.to_string(), subject.versions))
    }

    fn of(hash: &str, all: &[&str]) -> (String, Vec<String>) {
        (format!("web/{hash}"), all.iter().map(|it| (*it).to_owned()).collect())
    }

    #[test]
    fn a_version_is_that_of_the_run_unless_something_else_is_said() {
        let found = Hashes::Rollout(versions("newest", "old"));
        let own = owned("Rollout");
        assert_eq!(asked(&json!({"errorRate": {}}), &own, &found), Ok(of("mine", &["mine", "old"])));
        let stable = json!({"errorRate": {}, "of": "stable"});
        assert_eq!(asked(&stable, &own, &found), Ok(of("old", &["mine", "old"])));
        let other = json!({"errorRate": {}, "rollout": "cart"});
        assert_eq!(asked(&other, &own, &found), Ok(of("newest", &["newest", "old"])));
        assert_eq!(asked(&other, &owned("Experiment"), &found), Ok(of("newest", &["newest", "old"])));
        let named = json!({"errorRate": {}, "podTemplateHash": "5c9f"});
        assert_eq!(asked(&named, &owned("Experiment"), &found), Ok(of("5c9f", &["5c9f"])));
    }

    #[test]
    fn in_an_experiment_a_version_is_that_of_a_template() {
        let experiment = owned("Experiment");
        let one = templates(&json!({"trial": "a"}));
        assert_eq!(asked(&json!({"errorRate": {}}), &experiment, &one), Ok(of("a", &["a"])));
        let two = templates(&json!({"baseline": "a", "canary": "b", "shy": null}));
        assert_eq!(asked(&json!({"errorRate": {}}), &experiment, &two), Ok(of("b", &["b"])));
        let named = json!({"errorRate": {}, "of": "baseline"});
        assert_eq!(asked(&named, &experiment, &two), Ok(of("a", &["a"])));
        let why = asked(&json!({"errorRate": {}, "of": "shy"}), &experiment, &two).unwrap_err();
        assert!(why.starts_with("no request reaches template \"shy\""), "{why}");
    }

    #[test]
    fn a_version_that_is_not_there_is_told() {
        let found = |current: &str, stable: &str| Hashes::Rollout(versions(current, stable));
        let why = asked(&json!({"errorRate": {}}), &owned("Job"), &found("a", "b")).unwrap_err();
        assert!(why.starts_with("the run belongs to no Rollout and no Experiment: name"), "{why}");
        let stable = json!({"errorRate": {}, "of": "stable"});
        let why = asked(&stable, &owned("Rollout"), &found("a", "")).unwrap_err();
        assert_eq!(why, "Rollout \"shop\" has no stable version yet");
        let preview = json!({"errorRate": {}, "of": "preview"});
        let why = asked(&preview, &owned("Rollout"), &found("a", "b")).unwrap_err();
        assert_eq!(why, "of \"preview\" must be canary or stable");
    }
}
