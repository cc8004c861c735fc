//! Tolerations, spread over topologies, and gates.

use std::collections::BTreeSet;

use super::affinity::label_selector;
use super::field::Field;
use crate::spec::Invalid;
use crate::spec::validate::{Checked, names};

const NOT_POSITIVE: &str = "must be greater than zero";

pub(super) fn tolerations(tolerations: &Field<'_>) -> Checked {
    for toleration in tolerations.items() {
        let (key, operator) = (toleration.child("key"), toleration.child("operator"));
        let (value, effect) = (toleration.child("value"), toleration.child("effect"));
        key.is_named_if_set(names::label_key)?;
        if key.text().is_empty() && operator.text() != "Exists" {
            let why =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            return Err(operator.invalid(why));
        }
        if toleration.child("tolerationSeconds").is_set() && effect.text() != "NoExecute" {
            return Err(effect.invalid("effect must be 'NoExecute' when `tolerationSeconds` is set"));
        }
        match operator.text() {
            "" | "Equal" => {
                if let Some(why) = names::label_value(value.text()) {
                    return Err(Invalid::value(operator.path(), value.text(), why));
                }
            }
            "Exists" if !value.text().is_empty() => {
                let why = "value must be empty when `operator` is 'Exists'";
                return Err(Invalid::value(operator.path(), value.text(), why));
            }
            _ => operator.is_one_of(&["Equal", "Exists"])?,
        }
        effect.is_one_of(&["NoSchedule", "PreferNoSchedule", "NoExecute"])?;
    }
    Ok(())
}

pub(super) fn topology_spread(constraints: &Field<'_>) -> Checked {
    let mut later: Vec<(&str, &str)> = constraints
        .items()
        .map(|it| (it.child("topologyKey").text(), it.child("whenUnsatisfiable").text()))
        .collect();
    later.reverse();
    for constraint in constraints.items() {
        let skew = constraint.child("maxSkew");
        if skew.number() <= 0 {
            return Err(Invalid::value(skew.path(), &skew.number(), NOT_POSITIVE));
        }
        let (key, unsatisfiable) = (constraint.child("topologyKey"), constraint.child("whenUnsatisfiable"));
        key.is_required_because("can not be empty")?;
        if !matches!(unsatisfiable.text(), "DoNotSchedule" | "ScheduleAnyway") {
            let words = &["DoNotSchedule", "ScheduleAnyway"];
            return Err(Invalid::unsupported(unsatisfiable.path(), unsatisfiable.text(), words));
        }
        let pair = (key.text(), unsatisfiable.text());
        later.pop();
        if later.contains(&pair) {
            let field = constraint.child("{topologyKey, whenUnsatisfiable}");
            return Err(Invalid::duplicate(field.path(), &format!("{{{}, {}}}", pair.0, pair.1)));
        }
        let domains = constraint.child("minDomains");
        if domains.is_set() && domains.number() <= 0 {
            return Err(domains.invalid(NOT_POSITIVE));
        }
        if domains.is_set() && unsatisfiable.text() != "DoNotSchedule" {
            let why = "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway";
            return Err(domains.invalid(why));
        }
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            constraint.child(policy).is_one_of(&["Honor", "Ignore"])?;
        }
        label_selector(&constraint.child("labelSelector"))?;
    }
    Ok(())
}

pub(super) fn gates(gates: &Field<'_>) -> Checked {
    let mut seen = BTreeSet::new();
    for gate in gates.items() {
        let name = gate.child("name").text();
        if let Some(why) = names::label_key(name) {
            return Err(Invalid::value(gate.path(), name, why));
        }
        if !seen.insert(name) {
            return Err(Invalid::duplicate(gate.path(), name));
        }
    }
    Ok(())
}
