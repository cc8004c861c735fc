//! The canary Mapping of a base Mapping.
//!
//! It is a copy of the base that sends to the canary Service and has a weight. Argo makes it too, once, with a textual
//! replacement and without metadata; here it follows its base (all fields are synced), keeps the labels that select
//! Mappings for a Host, and belongs to the Rollout, so that it goes with it (reference §3.2, §3.9).

mod labels;
mod route;
pub mod service;

use std::collections::BTreeMap;

use crds::contract::CANARY_MAPPING_SUFFIX;
use serde_json::{Map, Value, json};

pub(crate) use self::route::escape;
use self::service::ServiceAddress;
use crate::key;
use crate::spec::ManagedRoute;
use crate::weight::Weight;

/// The most that Kubernetes allows for a name, in bytes.
const NAME_LENGTH: usize = 253;

/// What makes a copy of a base Mapping the canary Mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canary<'a> {
    /// `metadata.name` of the Rollout.
    pub rollout: &'a str,
    /// `metadata.uid` of the Rollout, which becomes the owner.
    pub uid: &'a str,
    /// Namespace of the Rollout, its Services and the Mappings.
    pub namespace: &'a str,
    /// The Service that the base sends to.
    pub base_service: &'a str,
    /// The Service that the copy sends to.
    pub copy_service: &'a str,
    /// What the copy is for.
    pub part: Part<'a>,
}

/// What a copy of a base Mapping is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// This share of the base's requests.
    Share(Weight),
    /// The requests of a managed route.
    Route {
        /// The route.
        route: &'a ManagedRoute,
        /// Which of its conditions; each has a copy of its own.
        index: usize,
    },
    /// A share of the base's requests for pods of an Experiment.
    Trial(Trial<'a>),
    /// All of the base's requests, a share of them for pods of an Experiment: routes of the Gateway API share none.
    StandIn(StandIn<'a>),
}

/// Pods of an Experiment that get requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial<'a> {
    /// The template that they are made from.
    pub template: &'a str,
    /// Their Service.
    pub service: &'a str,
    /// Their hash.
    pub hash: &'a str,
    /// The port of that Service; `None`: that of the base.
    pub port: Option<i32>,
    /// Their share.
    pub weight: Weight,
}

/// How a route of the Gateway API is divided while it takes the place of its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandIn<'a> {
    /// The canary's weight.
    pub canary: Weight,
    /// The pods of the Experiment.
    pub trials: &'a [Trial<'a>],
    /// The ports of the pods by those of the stable Service.
    pub ports: &'a BTreeMap<i32, i32>,
}

impl Part<'_> {
    /// The name of the copy, or by the base's key its [key](crate::key). A base's name that is too long is cut.
    #[must_use]
    pub fn name(&self, base: &str) -> String {
        let (kind, base) = key::parse(base);
        let name = match self {
            Self::Share(_) => canary_name(base),
            Self::Route { route, index } => route::name(base, &route.name, *index),
            Self::Trial(trial) => trial_name(base, trial.template),
            Self::StandIn(_) => stand_in_name(base),
        };
        key::of(kind, &name)
    }
}

/// `<base>-canary`, the base cut to 246 bytes.
#[must_use]
pub fn canary_name(base: &str) -> String {
    suffixed(base, CANARY_MAPPING_SUFFIX)
}

/// `<base>-experiment-<template>`, the base cut to what fits.
#[must_use]
pub fn trial_name(base: &str, template: &str) -> String {
    suffixed(base, &format!("-experiment-{template}"))
}

/// `<base>-experiment`, the base cut to what fits.
#[must_use]
pub fn stand_in_name(base: &str) -> String {
    suffixed(base, "-experiment")
}

/// A name with this at its end, cut before it to what fits.
pub(crate) fn suffixed(name: &str, suffix: &str) -> String {
    let room = NAME_LENGTH.saturating_sub(suffix.len());
    format!("{}{suffix}", &name[..name.floor_char_boundary(room)])
}

/// The object to POST, or with `existing` to PUT: then everything of it that is not ours stays as it is, and the
/// result equals it if nothing is to be written.
///
/// `None` if the base does not send to its Service ([`crate::references::check`] says so to the user).
#[must_use]
pub fn wanted(base: &Value, existing: Option<&Value>, canary: &Canary<'_>) -> Option<Value> {
    let mut object = existing.cloned().unwrap_or_else(|| {
        json!({
            "apiVersion": base["apiVersion"],
            "kind": base["kind"],
            "metadata": {
                "name": canary.part.name(base["metadata"]["name"].as_str().unwrap_or_default()),
                "namespace": canary.namespace,
            },
        })
    });
    let spec = spec(base, canary)?;
    let fields = object.as_object_mut()?;
    fields.insert("spec".to_owned(), spec);
    let metadata = fields.entry("metadata").or_insert_with(|| json!({})).as_object_mut()?;
    labels::copy(base, metadata);
    own(metadata, canary);
    Some(object)
}

/// The base's spec with another Service, and what the part asks for.
fn spec(base: &Value, canary: &Canary<'_>) -> Option<Value> {
    let service = base["spec"]["service"].as_str()?;
    let address = ServiceAddress::parse(service)?;
    if !address.names(canary.base_service, canary.namespace) {
        return None;
    }
    let mut spec = base["spec"].clone();
    let fields = spec.as_object_mut()?;
    let service = match canary.part {
        Part::Trial(Trial { service, port: Some(port), .. }) => address.with_name_and_port(service, port),
        Part::Share(_) | Part::Route { .. } | Part::Trial(_) => address.with_name(canary.copy_service),
        Part::StandIn(_) => return None,
    };
    fields.insert("service".to_owned(), json!(service));
    match canary.part {
        Part::Share(weight) | Part::Trial(Trial { weight, .. }) => {
            fields.insert("weight".to_owned(), json!(weight.percent()));
        }
        Part::Route { route, index } => route::restrict(fields, route.action, route.conditions.get(index)?),
        Part::StandIn(_) => return None,
    }
    Some(spec)
}

/// Makes the Rollout the controller, if it is not yet.
pub(crate) fn own(metadata: &mut Map<String, Value>, canary: &Canary<'_>) {
    let owner = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "name": canary.rollout,
        "uid": canary.uid,
        "controller": true,
        "blockOwnerDeletion": true,
    });
    let owners = metadata.entry("ownerReferences").or_insert_with(|| json!([]));
    match owners.as_array_mut() {
        Some(owners) => match owners.iter_mut().find(|it| it["uid"] == canary.uid) {
            Some(ours) => *ours = owner,
            None => owners.push(owner),
        },
        None => *owners = json!([owner]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: Canary<'_> = Canary {
        rollout: "shop",
        uid: "u1",
        namespace: "prod",
        base_service: "shop-stable",
        copy_service: "shop-canary",
        part: Part::Share(Weight::ZERO),
    };

    fn base() -> Value {
        json!({
            "apiVersion": "getambassador.io/v3alpha1",
            "kind": "Mapping",
            "metadata": {
                "name": "shop",
                "namespace": "prod",
                "uid": "m1",
                "resourceVersion": "7",
                "annotations": {"argocd.argoproj.io/tracking-id": "app:getambassador.io/Mapping:prod/shop"},
                "labels": {"host": "shop", "argocd.argoproj.io/instance": "app", "app.kubernetes.io/managed-by": "Helm"},
            },
            "spec": {"prefix": "/shop/", "service": "https://shop-stable.prod:8443", "field_of_tomorrow": {"a": [1]}},
        })
    }

    #[test]
    fn the_copy_has_every_field_of_the_base_and_belongs_to_the_rollout() {
        let wanted =
            wanted(&base(), None, &Canary { part: Part::Share(Weight::of_percent(30)), ..CANARY }).unwrap();
        assert_eq!(
            wanted,
            json!({
                "apiVersion": "getambassador.io/v3alpha1",
                "kind": "Mapping",
                "metadata": {
                    "name": "shop-canary",
                    "namespace": "prod",
                    "annotations": {"sluice.dev/copied-labels": "host"},
                    "labels": {"host": "shop", "app.kubernetes.io/managed-by": "sluice"},
                    "ownerReferences": [{
                        "apiVersion": "argoproj.io/v1alpha1",
                        "kind": "Rollout",
                        "name": "shop",
                        "uid": "u1",
                        "controller": true,
                        "blockOwnerDeletion": true,
                    }],
                },
                "spec": {
                    "prefix": "/shop/",
                    "service": "https://shop-canary.prod:8443",
                    "field_of_tomorrow": {"a": [1]},
                    "weight": 30,
                },
            })
        );
    }

    #[test]
    fn nothing_is_written_when_nothing_changed() {
        let first = wanted(&base(), None, &CANARY).unwrap();
        let mut stored = first.clone();
        stored["metadata"]["uid"] = json!("c1");
        stored["metadata"]["resourceVersion"] = json!("9");
        stored["metadata"]["labels"]["added-by-a-webhook"] = json!("x");
        assert_eq!(wanted(&base(), Some(&stored), &CANARY), Some(stored));
    }

    #[test]
    fn a_change_of_the_base_reaches_the_copy() {
        let stored = wanted(&base(), None, &CANARY).unwrap();
        let mut base = base();
        base["spec"]["timeout_ms"] = json!(5000);
        base["spec"].as_object_mut().unwrap().remove("field_of_tomorrow");
        base["metadata"]["labels"] = json!({"tier": "web"});
        let next = wanted(&base, Some(&stored), &CANARY).unwrap();
        assert_eq!(
            next["spec"],
            json!({"prefix": "/shop/", "service": "https://shop-canary.prod:8443", "timeout_ms": 5000, "weight": 0})
        );
        assert_eq!(
            next["metadata"]["labels"],
            json!({"tier": "web", "app.kubernetes.io/managed-by": "sluice"})
        );
    }

    #[test]
    fn a_base_that_does_not_send_to_the_stable_service_has_no_copy() {
        for service in ["other", "shop-stable.elsewhere", "my-shop-stable", "shop-stable.example.com", ""] {
            let mut base = base();
            base["spec"]["service"] = json!(service);
            assert_eq!(wanted(&base, None, &CANARY), None, "{service}");
        }
    }

    #[test]
    fn pods_of_an_experiment_get_their_share_at_their_own_port() {
        let trial = Trial {
            template: "new",
            service: "trial-new",
            hash: "5c9f",
            port: Some(8080),
            weight: Weight::of_percent(10),
        };
        let part = Part::Trial(trial);
        let canary = Canary { copy_service: "trial-new", part, ..CANARY };
        let copy = wanted(&base(), None, &canary).unwrap();
        assert_eq!(copy["metadata"]["name"], "shop-experiment-new");
        assert_eq!(copy["spec"]["service"], "https://trial-new.prod:8080");
        assert_eq!(copy["spec"]["weight"], 10);
    }

    #[test]
    fn long_names_are_cut() {
        let (trials, ports) = (&[], &BTreeMap::new());
        let part = Part::StandIn(StandIn { canary: Weight::ZERO, trials, ports });
        let base = "r".repeat(253);
        let key = |name: &str| key::of(key::Kind::HttpRoute, name);
        assert_eq!(part.name(&key(&base)), key(&part.name(&base)));
        assert_eq!(part.name(&base).len(), 253);
        assert_eq!(trial_name(&"m".repeat(253), "new").len(), 253);
        assert_eq!(canary_name(&"m".repeat(253)), format!("{}-canary", "m".repeat(246)));
    }
}
