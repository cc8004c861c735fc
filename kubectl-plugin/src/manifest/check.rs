//! What is wrong with Rollouts, as far as their manifests show (pure): unknown fields, the operator's own validation, and
//! Services of the same file that do not fit.

use std::collections::BTreeMap;
use std::fmt;

use crds::Rollout;
use k8s_openapi::api::core::v1::Service;
use operator_core::references::services::{check_selector, named};
use operator_core::spec::Spec;
use serde::Deserialize as _;
use serde_json::Value;

use super::Object;

/// What is wrong with one Rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its name.
    pub rollout: String,
    /// In words.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rollout \"{}\": {}", self.rollout, self.text)
    }
}

/// The problems of all Rollouts among the documents. What they refer to and is not there is not missed: it may be in
/// the cluster.
#[must_use]
pub fn rollouts(documents: &[Value]) -> Vec<Problem> {
    let services: Vec<Service> =
        of_kind(documents, "v1", "Service").filter_map(|it| Service::deserialize(it).ok()).collect();
    of_kind(documents, "argoproj.io/v1alpha1", "Rollout").flat_map(|it| rollout(it, &services)).collect()
}

fn of_kind<'d>(documents: &'d [Value], version: &str, kind: &str) -> impl Iterator<Item = &'d Value> {
    documents.iter().filter(move |it| it["apiVersion"] == version && it["kind"] == kind)
}

fn rollout(document: &Value, services: &[Service]) -> Vec<Problem> {
    let name = document["metadata"]["name"].as_str().unwrap_or_default();
    let problem = |text: String| Problem { rollout: name.to_owned(), text };
    let mut problems = Vec::new();
    if let Err(error) = Object::read(document.clone()) {
        problems.push(problem(error.to_string()));
    }
    // What has unknown fields may have other mistakes as well.
    let Ok(rollout) = Rollout::deserialize(document) else { return problems };
    if let Err(invalid) = Spec::parse(&rollout) {
        problems.push(problem(invalid.to_string()));
    }
    let labels = rollout.spec.template.as_ref().map(crds::rollout::PodTemplate::labels).unwrap_or_default();
    let strategy = &rollout.spec.strategy;
    for (role, named) in named(strategy).into_iter().filter(|_| rollout.spec.template.is_some()) {
        let is = |it: &&Service| {
            let metadata = &it.metadata;
            metadata.name.as_deref() == Some(named) && metadata.namespace == rollout.metadata.namespace
        };
        let selector: Option<BTreeMap<String, String>> =
            services.iter().find(is).and_then(|it| it.spec.as_ref()?.selector.clone());
        let checked = selector.map(|selector| check_selector(strategy, &labels, role, named, &selector));
        problems.extend(checked.and_then(Result::err).map(|invalid| problem(invalid.to_string())));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::documents;
    use super::*;

    const GOOD: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: web, image: shop:1}]}
  strategy:
    canary:
      stableService: stable
      canaryService: canary
      trafficRouting: {ambassador: {mappings: [shop]}}
      steps: [{setWeight: 20}]
---
apiVersion: v1
kind: Service
metadata: {name: stable}
spec: {selector: {app: shop}}
---
";

    fn problems(text: &str) -> Vec<String> {
        rollouts(&documents(text).unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_file_has_none() {
        assert_eq!(problems(GOOD), Vec::<String>::new());
    }

    #[test]
    fn every_rollout_is_told_of_what_is_wrong() {
        let bad = GOOD
            .replace("setWeight: 20", "setWeight: 200")
            .replace("selector: {app: shop}}", "selector: {app: cart}}");
        let bad = bad.replace("metadata: {name: shop}", "metadata: {name: shop}\nstatuz: {}");
        let told = problems(&bad);
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(told[0], "rollout \"shop\": strict decoding error: unknown field \"statuz\"");
        assert!(told[1].contains("spec.strategy.steps[0].setWeight"), "{}", told[1]);
        assert!(told[2].contains("Service \"stable\" has unmatch label \"app\" in rollout"), "{}", told[2]);
    }
}
