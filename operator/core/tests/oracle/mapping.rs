//! `mapping`, `validation_references`: what a spec refers to, and the canary Mappings.

use std::collections::BTreeMap;

use chrono::DateTime;
use crds::analysis::AnalysisTemplateSpec;
use crds::contract::MANAGED_BY_ANNOTATION;
use crds::rollout::{AnalysisRunArgument, Rollout};
use operator_core::analysis::{self, Template};
use operator_core::mapping::{self, Canary, Part, canary_name};
use operator_core::references;
use operator_core::references::services::Role;
use operator_core::spec::{Invalid, Spec};
use operator_core::traffic::Traffic;
use operator_core::weight::{Total, Weight};
use operator_core::world::{Analyses, Claim, Lookup, Mapping, Rival, Service, World};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Verdict;

/// The canary Mappings after each call of `SetWeight`: names, namespaces and specs. The rest of the metadata differs on
/// purpose (owner, labels), and so do events (only when something changed).
pub(crate) fn mapping(row: &Value) -> Verdict {
    if row["fail_verb"] != "" {
        return Verdict::Skipped("errors of the API server are the shell's");
    }
    let mut objects: BTreeMap<String, Value> = list(&row["objects"])
        .map(|object| (object["metadata"]["name"].as_str().unwrap_or_default().to_owned(), object.clone()))
        .collect();
    for call in list(&row["calls"]) {
        let weight =
            call["weight"].as_i64().and_then(|it| Weight::new(i32::try_from(it).ok()?, Total::PERCENT));
        let Some(weight) = weight else {
            return Verdict::Skipped("a weight outside 0 to 100 cannot come about");
        };
        if weight == Weight::ZERO {
            for name in list(&row["mappings"]) {
                objects.remove(&canary_name(name.as_str().unwrap_or_default()));
            }
        } else {
            match (refused(row, &objects), call["error"].is_null()) {
                (Some(_), false) => continue,
                (Some(_), true) => return Verdict::Skipped("what Argo does not notice is refused"),
                (None, _) => set_weight(row, weight, &mut objects),
            }
        }
        let verdict = Verdict::equal(&shown(&call["canary_mappings_after"]), &shown(&canaries(&objects)));
        match verdict {
            Verdict::Failed(_) if row["group"] == "drift" => {
                return Verdict::Skipped("a canary Mapping that drifted is synced with its base");
            }
            Verdict::Passed => {}
            verdict => return verdict,
        }
    }
    Verdict::Passed
}

/// The first error of the references.
pub(crate) fn validation_references(row: &Value) -> Verdict {
    let referenced = &row["referenced"];
    let refused = if referenced["services"].is_array() {
        services(&row["rollout"], list(&referenced["services"]))
    } else if referenced["mappings"].is_array() {
        // Argo sees whole numbers only.
        let is_seen = |it: &Value| it.pointer("/spec/weight").is_none_or(|it| it.is_i64() || it.is_null());
        if !list(&referenced["mappings"]).all(is_seen) {
            return Verdict::Skipped("what Argo does not notice is refused");
        }
        mappings(&row["rollout"], list(&referenced["mappings"]))
    } else {
        analyses(&row["rollout"], list(&referenced["analysis_templates"]))
    };
    let got = refused.err().map(|invalid| invalid.to_string());
    Verdict::equal(&row["errors"].get(0).cloned().unwrap_or_default(), &json!(got))
}

#[expect(clippy::panic, reason = "a row that cannot be read ends the test")]
fn services<'r>(rollout: &Value, mut services: impl Iterator<Item = &'r Value>) -> Result<(), Invalid> {
    services.try_for_each(|it| {
        let role = match it["type"].as_str() {
            Some("ActiveService") => Role::Active,
            Some("PreviewService") => Role::Preview,
            Some("StableService") => Role::Stable,
            Some("CanaryService") => Role::Canary,
            Some("PingService") => Role::Ping,
            Some("PongService") => Role::Pong,
            other => panic!("{other:?} is no role of a Service"),
        };
        let name = it["service"]["name"].as_str().expect("a Service has a name");
        let world = world(rollout, &BTreeMap::new(), std::slice::from_ref(&it["service"]));
        references::services::check(&world, role, name, world.service(name).expect("it is there"))
    })
}

fn mappings<'r>(rollout: &Value, mappings: impl Iterator<Item = &'r Value>) -> Result<(), Invalid> {
    let objects: BTreeMap<String, Value> = mappings
        .map(|it| (it["metadata"]["name"].as_str().unwrap_or_default().to_owned(), it.clone()))
        .collect();
    check(rollout, &objects, &[json!({"name": "shop-stable"}), json!({"name": "shop-canary"})])
}

#[expect(clippy::panic, reason = "a row that cannot be read ends the test")]
fn analyses<'r>(rollout: &Value, mut analyses: impl Iterator<Item = &'r Value>) -> Result<(), Invalid> {
    let rollout: Rollout = read(rollout);
    analyses.try_for_each(|it| {
        let part = match it["type"].as_str() {
            Some("PrePromotionAnalysis") => analysis::Role::PrePromotion,
            Some("PostPromotionAnalysis") => analysis::Role::PostPromotion,
            Some("InlineAnalysis") => analysis::Role::Step(
                it["step_index"].as_u64().and_then(|it| it.try_into().ok()).expect("an index"),
            ),
            Some("BackgroundAnalysis") => analysis::Role::Background,
            other => panic!("{other:?} is no analysis of a strategy"),
        };
        let templates: Vec<(String, AnalysisTemplateSpec)> = list(&it["templates"])
            .map(|it| (it["metadata"]["name"].as_str().unwrap_or_default().to_owned(), read(&it["spec"])))
            .collect();
        let templates: Vec<Template<'_>> =
            templates.iter().map(|(name, spec)| Template { name, spec }).collect();
        let arguments: Vec<AnalysisRunArgument> = read::<Option<_>>(&it["args"]).unwrap_or_default();
        let arguments: Vec<&str> = arguments.iter().map(|it| it.name.as_str()).collect();
        references::analysis::check_templates(&rollout.spec.strategy, part, &templates, &arguments)
    })
}

fn read<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("the row holds an object of this type")
}

fn set_weight(row: &Value, weight: Weight, objects: &mut BTreeMap<String, Value>) {
    for name in list(&row["mappings"]).filter_map(Value::as_str) {
        let canary = Canary {
            rollout: "shop",
            uid: "u",
            namespace: "prod",
            base_service: row["stable_service"].as_str().unwrap_or_default(),
            copy_service: row["canary_service"].as_str().unwrap_or_default(),
            part: Part::Share(weight),
        };
        let copy = canary_name(name);
        if let Some(wanted) = mapping::wanted(&objects[name], objects.get(&copy), &canary) {
            objects.insert(copy, wanted);
        }
    }
}

/// What the reference check says of the row's mappings.
fn refused(row: &Value, objects: &BTreeMap<String, Value>) -> Option<Invalid> {
    let rollout = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "prod"},
        "spec": {
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {
                    "metadata": {"labels": {"app": "shop"}},
                    "spec": {"containers": [{"name": "web", "image": "shop:1"}]},
                },
            "strategy": {"canary": {
                "stableService": row["stable_service"],
                "canaryService": row["canary_service"],
                "trafficRouting": {"ambassador": {"mappings": row["mappings"]}},
            }},
        },
    });
    let services = [json!({"name": row["stable_service"]}), json!({"name": row["canary_service"]})];
    check(&rollout, objects, &services).err()
}

fn check(rollout: &Value, objects: &BTreeMap<String, Value>, services: &[Value]) -> Result<(), Invalid> {
    let world = world(rollout, objects, services);
    let spec = Spec::parse(&world.rollout)?;
    references::check(&world, &spec)
}

/// A world with these Mappings and Services.
fn world(rollout: &Value, objects: &BTreeMap<String, Value>, services: &[Value]) -> World {
    let rollout: Rollout = read(rollout);
    let own = rollout.metadata.name.clone();
    let mut world = World {
        guard: None,
        now: DateTime::UNIX_EPOCH,
        rollout,
        replica_sets: Vec::new(),
        pods: Vec::new(),
        workload: None,
        services: BTreeMap::new(),
        mappings: BTreeMap::new(),
        canary_mappings: BTreeMap::new(),
        analysis: Analyses::default(),
        experiments: BTreeMap::new(),
        rivals: Vec::new(),
        traffic: Traffic::NotConfigured,
    };
    for it in services {
        let name = it["name"].as_str().unwrap_or_default().to_owned();
        let managed_by = it["annotations"][MANAGED_BY_ANNOTATION].as_str().map(str::to_owned);
        // In the table the Rollout of the annotation is one that exists and claims the Service.
        if let Some(rollout) = managed_by.clone().filter(|rollout| Some(rollout) != own.as_ref()) {
            let claim = Claim::Service(name.clone());
            world.rivals.push(Rival { rollout, created: DateTime::UNIX_EPOCH, claim });
        }
        let selector = serde_json::from_value::<Option<_>>(it["selector"].clone())
            .expect("a selector")
            .unwrap_or_default();
        let service = Service {
            uid: String::new(),
            resource_version: String::new(),
            selector,
            managed_by,
            ports: Vec::new(),
        };
        world.services.insert(name, Lookup::Found(service));
    }
    for (name, object) in objects {
        let mapping = Mapping {
            uid: String::new(),
            resource_version: String::new(),
            owned: object["metadata"]["ownerReferences"][0]["uid"] == "u",
            deleting: false,
            changed_by: None,
            object: object.clone(),
        };
        world.canary_mappings.insert(name.clone(), mapping.clone());
        world.mappings.insert(name.clone(), Lookup::Found(mapping));
    }
    world
}

fn canaries(objects: &BTreeMap<String, Value>) -> Value {
    objects
        .iter()
        .filter(|(name, _)| name.ends_with("-canary"))
        .map(|(name, it)| (name.clone(), it.clone()))
        .collect()
}

/// What is compared of canary Mappings.
fn shown(mappings: &Value) -> Value {
    let mappings = mappings.as_object().into_iter().flatten();
    mappings
        .map(|(name, it)| {
            let Value::Object(fields) = it else { return (name.clone(), Value::Null) };
            let metadata = &fields["metadata"];
            (
                name.clone(),
                json!([fields["apiVersion"], metadata["name"], metadata["namespace"], fields.get("spec")]),
            )
        })
        .collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
