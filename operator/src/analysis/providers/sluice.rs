//! Sluice's own proxies: what they have counted of a version's requests, without a metric system in between.

use std::collections::BTreeMap;

use crds::{AnalysisRun, contract};
use operator_analysis::{
    expression::Value as Measured,
    traffic::{Counted, Question, Role, Whose},
};
use operator_core::traffic::ObjectName;

use super::Sample;
use crate::{
    analysis::objects::RolloutVersions,
    rollouts::controller,
    traffic::{TrafficStore, Uncounted, VersionName},
};

/// A version that is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::analysis) struct Subject {
    version: VersionName,
    /// All versions of its Rollout that are known.
    versions: Vec<String>,
}

/// The Rollout of which the hashes are needed; `None`: the question names a hash.
pub(in crate::analysis) fn rollout(
    question: &Question,
    run: &AnalysisRun,
) -> Result<Option<ObjectName>, String> {
    let named = match &question.version {
        Whose::Hash(_) => return Ok(None),
        Whose::Of { rollout: Some(named), .. } => named.clone(),
        Whose::Of { rollout: None, .. } => own(run).ok_or_else(|| {
            "the run belongs to no Rollout: name one in `rollout`, or the version in `podTemplateHash`, which an \
             Experiment fills in from an argument `{{templates.NAME.podTemplateHash}}`"
                .to_owned()
        })?,
    };
    Ok(Some(ObjectName::new(run.metadata.namespace.clone().unwrap_or_default(), named)))
}

/// The version that is asked about.
pub(in crate::analysis) fn subject(
    question: &Question,
    run: &AnalysisRun,
    rollout: Option<(&ObjectName, &RolloutVersions)>,
) -> Result<Subject, String> {
    let namespace = run.metadata.namespace.clone().unwrap_or_default();
    let (hash, versions) = match (&question.version, rollout) {
        (Whose::Of { role, .. }, Some((name, found))) => {
            // The run stays with the version that it was made for.
            let made_for = (own(run).as_ref() == Some(&name.name))
                .then(|| run.metadata.labels.as_ref()?.get(contract::POD_TEMPLATE_HASH_LABEL))
                .flatten();
            let canary = made_for.or(found.status.current_pod_hash.as_ref());
            let stable = found.status.stable_rs.as_ref();
            let (which, word) = match role {
                Role::Canary => (canary, "new"),
                Role::Stable => (stable, "stable"),
            };
            let hash = which.filter(|it| !it.is_empty());
            let hash = hash.ok_or_else(|| format!("Rollout {:?} has no {word} version yet", name.name))?;
            (hash.clone(), canary.into_iter().chain(stable).cloned().collect())
        }
        (Whose::Hash(hash), _) => (hash.clone(), vec![hash.clone()]),
        (Whose::Of { .. }, None) => return Err("the run belongs to no Rollout".to_owned()),
    };
    Ok(Subject { version: VersionName { namespace, hash }, versions })
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

/// The Rollout that a run belongs to.
fn own(run: &AnalysisRun) -> Option<String> {
    controller(&run.metadata).filter(|owner| owner.kind == "Rollout").map(|owner| owner.name.clone())
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

    fn asked(
        fields: &Value,
        run: &AnalysisRun,
        found: &RolloutVersions,
    ) -> Result<(String, Vec<String>), String> {
        let question = question(fields);
        let named = rollout(&question, run)?;
        let subject = subject(&question, run, named.as_ref().map(|it| (it, found)))?;
        Ok((subject.version.to_string(), subject.versions))
    }

    #[test]
    fn a_version_is_that_of_the_run_unless_something_else_is_said() {
        let found = versions("newest", "old");
        let of = |hash: &str, all: &[&str]| {
            Ok((format!("web/{hash}"), all.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()))
        };
        let own = owned("Rollout");
        assert_eq!(asked(&json!({"errorRate": {}}), &own, &found), of("mine", &["mine", "old"]));
        let stable = json!({"errorRate": {}, "of": "stable"});
        assert_eq!(asked(&stable, &own, &found), of("old", &["mine", "old"]));
        let other = json!({"errorRate": {}, "rollout": "cart"});
        assert_eq!(asked(&other, &own, &found), of("newest", &["newest", "old"]));
        let named = json!({"errorRate": {}, "podTemplateHash": "5c9f"});
        assert_eq!(asked(&named, &owned("Experiment"), &found), of("5c9f", &["5c9f"]));
    }

    #[test]
    fn a_version_that_is_not_there_is_told() {
        let why = asked(&json!({"errorRate": {}}), &owned("Experiment"), &versions("a", "b")).unwrap_err();
        assert!(why.starts_with("the run belongs to no Rollout: name one in `rollout`"), "{why}");
        let stable = json!({"errorRate": {}, "of": "stable"});
        let why = asked(&stable, &owned("Rollout"), &versions("a", "")).unwrap_err();
        assert_eq!(why, "Rollout \"shop\" has no stable version yet");
    }
}
