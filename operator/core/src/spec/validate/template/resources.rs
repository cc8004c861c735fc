//! `resources`: requests and limits.

use std::collections::BTreeMap;

use serde_json::Value;

use super::field::Field;
use crate::hash::{number, quantity};
use crate::spec::Invalid;
use crate::spec::validate::{Checked, NEGATIVE, names};

const HUGE_PAGES: &str = "hugepages-";
/// Resources of containers.
const OF_CONTAINERS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// Resources of Kubernetes that only quotas and volumes have.
const OF_OTHERS: [&str; 17] = [
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];

/// A quantity, as Kubernetes prints it, and its value. Quantities that cannot be read are told when the template is
/// hashed.
struct Quantity {
    text: String,
    billionths: Option<i128>,
}

pub(super) fn validate(resources: &Field<'_>) -> Checked {
    let (limits, requests) = (resources.child("limits"), resources.child("requests"));
    let mut limit_by_name = BTreeMap::new();
    for (name, field) in limits.entries() {
        limit_by_name.insert(name, amount(name, &field)?);
    }
    for (name, field) in requests.entries() {
        let request = amount(name, &field)?;
        let not_limited = |why: String| Err(Invalid::value(requests.path(), &request.text, why));
        match limit_by_name.get(name) {
            None if !may_exceed(name) => {
                let why = "Limit must be set for non overcommitable resources";
                return Err(Invalid::required(limits.path(), why));
            }
            Some(limit) if !may_exceed(name) && request.billionths != limit.billionths => {
                return not_limited(format!("must be equal to {name} limit of {}", limit.text));
            }
            Some(limit) if request.billionths > limit.billionths && limit.billionths.is_some() => {
                return not_limited(format!("must be less than or equal to {name} limit of {}", limit.text));
            }
            Some(_) | None => {}
        }
    }
    let names = || limits.entries().chain(requests.entries()).map(|(name, _)| name);
    if names().any(|name| name.starts_with(HUGE_PAGES))
        && !names().any(|name| name == "cpu" || name == "memory")
    {
        return Err(Invalid::forbidden(resources.path(), "HugePages require cpu or memory"));
    }
    Ok(())
}

fn amount(name: &str, field: &Field<'_>) -> Result<Quantity, Invalid> {
    let invalid_name = |why: &str| Err(Invalid::value(field.path(), name, why));
    if let Some(why) = names::label_key(name) {
        return invalid_name(&why);
    }
    if !name.contains('/') && !OF_CONTAINERS.contains(&name) && !name.starts_with(HUGE_PAGES) {
        return invalid_name(if OF_OTHERS.contains(&name) {
            "must be a standard resource for containers"
        } else {
            "must be a standard resource type or fully qualified"
        });
    }
    if !is_native(name) && !is_extended(name) {
        return invalid_name("doesn't follow extended resource name standard");
    }
    let quantity = Quantity::read(field.value());
    if quantity.billionths.is_some_and(|value| value < 0) {
        return Err(Invalid::value(field.path(), &quantity.text, NEGATIVE));
    }
    if is_extended(name) && quantity.billionths.is_some_and(|value| value % 1_000_000_000 != 0) {
        return Err(Invalid::value(field.path(), &quantity.text, "must be an integer"));
    }
    Ok(quantity)
}

impl Quantity {
    fn read(value: &Value) -> Self {
        let written = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number::go_text(number),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => "0".to_owned(),
        };
        let billionths = quantity::billionths(&written);
        Self { text: quantity::canonical(&written).unwrap_or(written), billionths }
    }
}

/// A resource of Kubernetes itself.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// A resource that somebody adds to nodes, such as `example.com/gpu`. There are whole ones only.
fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && names::label_key(&format!("requests.{name}")).is_none()
}

/// Limits above the request make sense.
fn may_exceed(name: &str) -> bool {
    is_native(name) && !name.starts_with(HUGE_PAGES)
}
