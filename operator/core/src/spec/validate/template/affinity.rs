//! `affinity`: which nodes, and which neighbours.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize as _;

use super::field::Field;
use crate::spec::Invalid;
use crate::spec::selector;
use crate::spec::validate::{Checked, names};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn validate(affinity: &Field<'_>) -> Checked {
    nodes(&affinity.child("nodeAffinity"))?;
    pods(&affinity.child("podAffinity"))?;
    pods(&affinity.child("podAntiAffinity"))
}

/// A selector of pods or namespaces; none selects nothing.
pub(super) fn label_selector(written: &Field<'_>) -> Checked {
    match Option::<LabelSelector>::deserialize(written.value()) {
        Ok(Some(selector)) => selector::check(written.path(), &selector),
        // What has the wrong type is told when the template is hashed.
        Ok(None) | Err(_) => Ok(()),
    }
}

fn nodes(affinity: &Field<'_>) -> Checked {
    let required = affinity.child(REQUIRED);
    if required.is_set() {
        let terms = required.child("nodeSelectorTerms");
        terms.is_required_because("must have at least one node selector term")?;
        terms.items().try_for_each(|term| node_term(&term, Values::Checked))?;
    }
    for preferred in affinity.child(PREFERRED).items() {
        weight(&preferred.child("weight"))?;
        node_term(&preferred.child("preference"), Values::Any)?;
    }
    Ok(())
}

/// Whether values must be label values. Those of a mere preference may be anything, as they always could.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    Checked,
    Any,
}

fn node_term(term: &Field<'_>, check: Values) -> Checked {
    for expression in term.child("matchExpressions").items() {
        let (operator, values) = (expression.child("operator"), expression.child("values"));
        let count = values.items().count();
        match operator.text() {
            "In" | "NotIn" => {
                values.is_required_because("must be specified when `operator` is 'In' or 'NotIn'")?;
            }
            "Exists" | "DoesNotExist" => {
                values
                    .is_empty_because("may not be specified when `operator` is 'Exists' or 'DoesNotExist'")?;
            }
            "Gt" | "Lt" if count == 1 => {}
            "Gt" | "Lt" => {
                let why = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                return Err(Invalid::required(values.path(), why));
            }
            _ => return Err(operator.invalid("not a valid selector operator")),
        }
        expression.child("key").is_named(names::label_key)?;
        if check == Values::Checked {
            values.items().try_for_each(|value| value.is_named(names::label_value))?;
        }
    }
    Ok(())
}

fn pods(affinity: &Field<'_>) -> Checked {
    affinity.child(REQUIRED).items().try_for_each(|term| pod_term(&term))?;
    for preferred in affinity.child(PREFERRED).items() {
        weight(&preferred.child("weight"))?;
        pod_term(&preferred.child("podAffinityTerm"))?;
    }
    Ok(())
}

fn pod_term(term: &Field<'_>) -> Checked {
    label_selector(&term.child("labelSelector"))?;
    label_selector(&term.child("namespaceSelector"))?;
    for namespace in term.child("namespaces").items() {
        if let Some(why) = names::dns_label(namespace.text()) {
            return Err(Invalid::value(term.child("namespace").path(), namespace.text(), why));
        }
    }
    let key = term.child("topologyKey");
    key.is_required_because("can not be empty")?;
    key.is_named(names::label_key)
}

fn weight(weight: &Field<'_>) -> Checked {
    if (1..=100).contains(&weight.number()) {
        return Ok(());
    }
    Err(Invalid::value(weight.path(), &weight.number(), "must be in the range 1-100"))
}
