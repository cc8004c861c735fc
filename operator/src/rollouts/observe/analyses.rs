//! The `AnalysisRuns` of a Rollout, and the templates that it names.

use std::collections::{BTreeMap, VecDeque};

use crds::{Rollout, rollout::AnalysisTemplateRef};
use kube::ResourceExt;
use operator_core::{
    traffic::ObjectName,
    world::{Analyses, AnalysisRun, Lookup, Readable, Templates},
};

use super::convert;
use crate::rollouts::{Stores, claims, objects::Index};

pub(super) fn of(stores: &Stores, rollout: &Rollout, name: &ObjectName) -> Analyses {
    let named = claims::templates(&rollout.spec);
    Analyses {
        runs: runs(stores, rollout, name, !named.is_empty()),
        templates: templates(stores, named.into_iter().cloned().collect(), &name.namespace),
    }
}

/// Those that the Rollout controls, and, if it starts any, those that have a name which it could give.
fn runs(
    stores: &Stores,
    rollout: &Rollout,
    name: &ObjectName,
    starts: bool,
) -> BTreeMap<String, AnalysisRun> {
    let uid = rollout.metadata.uid.clone().unwrap_or_default();
    let owned = stores.analysis_runs.find(&Index::Controller(uid.clone()));
    let owned = owned.into_iter().filter(|it| it.namespace().as_deref() == Some(name.namespace.as_str()));
    let prefix = format!("{}-", name.name);
    let named = if starts { stores.analysis_runs.with_prefix(&name.namespace, &prefix) } else { Vec::new() };
    named.into_iter().chain(owned).map(|it| (it.name_any(), convert::analysis_run(&it, &uid))).collect()
}

/// The templates that are named, and those that they name, each once.
pub(crate) fn templates(
    stores: &Stores,
    mut named: VecDeque<AnalysisTemplateRef>,
    namespace: &str,
) -> Templates {
    let mut templates = Templates::default();
    while let Some(AnalysisTemplateRef { template_name, cluster_scope }) = named.pop_front() {
        let (found, store, namespace) = if cluster_scope == Some(true) {
            (&mut templates.of_cluster, &stores.cluster_templates, "")
        } else {
            (&mut templates.of_namespace, &stores.templates, namespace)
        };
        if found.contains_key(&template_name) {
            continue;
        }
        let held = store.get(&ObjectName::new(namespace, template_name.clone()));
        let lookup: Lookup<Readable> = held.map_or(Lookup::Missing, |it| Lookup::Found(it.spec.clone()));
        if let Lookup::Found(Ok(spec)) = &lookup {
            named.extend(spec.templates.iter().cloned());
        }
        found.insert(template_name, lookup);
    }
    templates
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;
    use crate::rollouts::objects::{AnalysisRun as StoredRun, WatchedTemplate};

    fn rollout(analysis: &Value) -> Rollout {
        serde_json::from_value(json!({
            "metadata": {"namespace": "web", "name": "app", "uid": "r"},
            "spec": {"strategy": {"canary": {"steps": [{"analysis": analysis}]}}},
        }))
        .unwrap()
    }

    fn template<K>(name: &str, namespace: Option<&str>, named: &Value) -> WatchedTemplate<K>
    where
        WatchedTemplate<K>: for<'de> Deserialize<'de>,
    {
        let metadata = json!({"name": name, "namespace": namespace, "uid": name, "resourceVersion": "1"});
        WatchedTemplate::deserialize(json!({"metadata": metadata, "spec": {"templates": named}})).unwrap()
    }

    #[test]
    fn templates_are_followed_through_both_kinds_and_a_circle_ends() {
        let stores = Stores::default();
        let shared = json!([{"templateName": "c", "clusterScope": true}]);
        let back = json!([{"templateName": "a"}, {"templateName": "gone"}]);
        let a = template::<crds::analysis::AnalysisTemplate>("a", Some("web"), &shared);
        let c = template::<crds::analysis::ClusterAnalysisTemplate>("c", None, &back);
        stores.templates.apply(Event::Apply(a.kept()));
        stores.cluster_templates.apply(Event::Apply(c.kept()));
        let named = rollout(&json!({"templates": [{"templateName": "a"}]}));
        let Analyses { templates, .. } = of(&stores, &named, &ObjectName::new("web", "app"));
        let listed = |known: &BTreeMap<String, Lookup<Readable>>| -> Vec<(String, bool)> {
            known.iter().map(|(name, it)| (name.clone(), it.found().is_some())).collect()
        };
        assert_eq!(listed(&templates.of_namespace), [("a".to_owned(), true), ("gone".to_owned(), false)]);
        assert_eq!(listed(&templates.of_cluster), [("c".to_owned(), true)]);
    }

    #[test]
    fn runs_are_those_that_it_controls_and_those_that_hold_its_names() {
        let stores = Stores::default();
        let run = |name: &str, owner: &str| {
            StoredRun::deserialize(json!({"metadata": {
                "namespace": "web", "name": name, "uid": name, "resourceVersion": "1",
                "ownerReferences": [{"apiVersion": "v1", "kind": "Rollout", "name": "app", "uid": owner, "controller": true}],
            }}))
            .unwrap()
        };
        for (name, owner) in [("app-1-1", "other"), ("renamed", "r"), ("else", "other")] {
            stores.analysis_runs.apply(Event::Apply(run(name, owner)));
        }
        let name = ObjectName::new("web", "app");
        let found = |analysis: Value| -> Vec<(String, bool)> {
            let Analyses { runs, .. } = of(&stores, &rollout(&analysis), &name);
            runs.into_iter().map(|(name, run)| (name, run.owned)).collect()
        };
        let analysis = json!({"templates": [{"templateName": "t"}]});
        assert_eq!(found(analysis), [("app-1-1".to_owned(), false), ("renamed".to_owned(), true)]);
        assert_eq!(found(json!({})), [("renamed".to_owned(), true)]);
    }
}
