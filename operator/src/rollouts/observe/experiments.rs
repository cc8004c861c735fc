//! The Experiments of a Rollout.

use std::collections::BTreeMap;

use crds::Rollout;
use kube::ResourceExt;
use operator_core::{traffic::ObjectName, world::Experiment};

use super::convert;
use crate::rollouts::{Stores, objects::Index};

/// Those that the Rollout controls, and, if it starts any, those that have a name which it could give.
pub(super) fn of(stores: &Stores, rollout: &Rollout, name: &ObjectName) -> BTreeMap<String, Experiment> {
    let uid = rollout.metadata.uid.clone().unwrap_or_default();
    let owned = stores.experiments.find(&Index::Controller(uid.clone()));
    let owned = owned.into_iter().filter(|it| it.namespace().as_deref() == Some(name.namespace.as_str()));
    let steps = rollout.spec.strategy.canary.iter().flat_map(|canary| &canary.steps);
    let starts = steps.into_iter().any(|step| step.experiment.is_some());
    let prefix = format!("{}-", name.name);
    let named = if starts { stores.experiments.with_prefix(&name.namespace, &prefix) } else { Vec::new() };
    named.into_iter().chain(owned).map(|it| (it.name_any(), convert::experiment(&it, &uid))).collect()
}

#[cfg(test)]
mod tests {
    use crds::analysis::AnalysisPhase;
    use kube::runtime::watcher::Event;
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;
    use crate::experiments::StoredExperiment;

    fn stored(name: &str, owner: &str, spec: &Value) -> StoredExperiment {
        StoredExperiment::deserialize(json!({
            "metadata": {
                "namespace": "web", "name": name, "uid": name, "resourceVersion": "1",
                "labels": {"rollouts-pod-template-hash": "abc", "step-index": "2"},
                "annotations": {"sluice.dev/run-fingerprint": "f"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Rollout", "name": "app", "uid": owner, "controller": true}],
            },
            "spec": spec,
            "status": {"phase": "Running"},
        }))
        .unwrap()
    }

    #[test]
    fn experiments_are_those_that_it_controls_and_those_that_hold_its_names() {
        let stores = Stores::default();
        for (name, owner) in [("app-1-1-0", "other"), ("renamed", "r"), ("else", "other")] {
            let spec = json!({"templates": [], "terminate": true});
            stores.experiments.apply(Event::Apply(stored(name, owner, &spec)));
        }
        let found = |steps: Value| -> BTreeMap<String, Experiment> {
            let rollout = json!({
                "metadata": {"namespace": "web", "name": "app", "uid": "r"},
                "spec": {"strategy": {"canary": {"steps": steps}}},
            });
            of(&stores, &serde_json::from_value(rollout).unwrap(), &ObjectName::new("web", "app"))
        };
        let starting = found(json!([{"experiment": {"templates": []}}]));
        assert_eq!(starting.keys().collect::<Vec<_>>(), ["app-1-1-0", "renamed"]);
        assert_eq!(found(json!([])).keys().collect::<Vec<_>>(), ["renamed"]);
        let own = &starting["renamed"];
        assert!(own.owned && own.terminate && !starting["app-1-1-0"].owned);
        assert_eq!(
            (own.step, own.hash.as_deref(), own.fingerprint.as_deref()),
            (Some(2), Some("abc"), Some("f"))
        );
        assert_eq!(own.phase, Some(AnalysisPhase::Running));
    }

    #[test]
    fn one_that_cannot_be_read_is_an_error() {
        let stores = Stores::default();
        stores.experiments.apply(Event::Apply(stored("app-1-1-0", "r", &json!({"templates": "none"}))));
        let rollout = serde_json::from_value(json!({"metadata": {"uid": "r"}, "spec": {}})).unwrap();
        let found = of(&stores, &rollout, &ObjectName::new("web", "app"));
        assert_eq!(found["app-1-1-0"].phase, Some(AnalysisPhase::Error));
    }
}
