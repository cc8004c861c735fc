//! `antiAffinity`: pods of a new version stay off the nodes that run the stable one.
//!
//! The rule is put into the template of the new ReplicaSet alone, as Argo does. The hash and the fingerprint are those
//! of the template as the user wrote it, so that the rule makes no revision.

use crds::contract::POD_TEMPLATE_HASH_LABEL;
use serde_json::{Value, json};

use super::scene::Scene;
use crate::spec::AntiAffinity;

/// Adds the rule to a pod template. A first version, or one that is stable, has nobody to stay away from.
pub(super) fn inject(scene: &Scene<'_>, template: &mut Value) {
    let Some(anti_affinity) = scene.spec.strategy.anti_affinity() else { return };
    let Some(stable) = scene.before.stable_rs.as_deref().filter(|stable| *stable != scene.hash) else {
        return;
    };
    let term = json!({
        "labelSelector": {"matchExpressions": [
            {"key": POD_TEMPLATE_HASH_LABEL, "operator": "In", "values": [stable]},
        ]},
        "namespaces": [scene.world.rollout.metadata.namespace],
        "topologyKey": "kubernetes.io/hostname",
    });
    let (list, rule) = match anti_affinity {
        AntiAffinity::Preferred { weight } => (
            "preferredDuringSchedulingIgnoredDuringExecution",
            json!({"weight": weight, "podAffinityTerm": term}),
        ),
        AntiAffinity::Required => ("requiredDuringSchedulingIgnoredDuringExecution", term),
    };
    let mut place = template;
    for key in ["spec", "affinity", "podAntiAffinity"] {
        if !place[key].is_object() {
            place[key] = json!({});
        }
        place = &mut place[key];
    }
    match place[list].as_array_mut() {
        Some(rules) => rules.push(rule),
        None => place[list] = json!([rule]),
    }
}
