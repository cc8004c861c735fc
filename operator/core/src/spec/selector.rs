//! `spec.selector`, validated as Kubernetes does it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::Invalid;
use super::validate::names;

const FIELD: &str = "spec.selector";

/// Which pods belong to a Rollout. Never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    requirements: Vec<Requirement>,
    written: LabelSelector,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Equals(String),
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Validates. The first error, in Kubernetes' words.
    pub fn parse(written: Option<&LabelSelector>) -> Result<Self, Invalid> {
        let Some(written) = written else {
            return Err(Invalid::required(FIELD, "Rollout has missing field '.spec.selector'"));
        };
        let mut requirements = requirements(FIELD, written)?;
        if requirements.is_empty() {
            return Err(Invalid::value(FIELD, written, "empty selector is invalid for deployment"));
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements, written: written.clone() })
    }

    /// The same, and one label more.
    #[must_use]
    pub fn and(&self, key: &str, value: &str) -> Self {
        let mut both = self.clone();
        both.requirements.push(Requirement { key: key.to_owned(), test: Test::Equals(value.to_owned()) });
        both.requirements.sort_by(|a, b| a.key.cmp(&b.key));
        both.written.match_labels.get_or_insert_default().insert(key.to_owned(), value.to_owned());
        both
    }

    /// As it was written.
    #[must_use]
    pub fn written(&self) -> &LabelSelector {
        &self.written
    }

    /// All requirements hold for these labels.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.test {
                Test::Equals(wanted) => value == Some(wanted),
                Test::In(wanted) => value.is_some_and(|value| wanted.contains(value)),
                Test::NotIn(unwanted) => value.is_none_or(|value| !unwanted.contains(value)),
                Test::Exists => value.is_some(),
                Test::DoesNotExist => value.is_none(),
            }
        })
    }
}

/// The text of `status.selector`, which HPA reads: `app=shop,tier in (a,b)`, sorted by key.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Requirement { key, test }) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            let list =
                |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
            match test {
                Test::Equals(value) => write!(f, "{key}={value}")?,
                Test::In(values) => write!(f, "{key} in ({})", list(values))?,
                Test::NotIn(values) => write!(f, "{key} notin ({})", list(values))?,
                Test::Exists => f.write_str(key)?,
                Test::DoesNotExist => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

/// Whether Kubernetes takes a selector that may be empty. `field` is its path.
pub(super) fn check(field: &str, written: &LabelSelector) -> Result<(), Invalid> {
    requirements(field, written).map(drop)
}

fn requirements(field: &str, written: &LabelSelector) -> Result<Vec<Requirement>, Invalid> {
    let mut requirements = Vec::new();
    for (key, value) in written.match_labels.iter().flatten() {
        let field = format!("{field}.matchLabels");
        if let Some(why) = names::label_key(key) {
            return Err(Invalid::value(field, key, why));
        }
        if let Some(why) = names::label_value(value) {
            return Err(Invalid::value(field, value, why));
        }
        requirements.push(Requirement { key: key.clone(), test: Test::Equals(value.clone()) });
    }
    for (index, expression) in written.match_expressions.iter().flatten().enumerate() {
        let field = format!("{field}.matchExpressions[{index}]");
        let values = expression.values.clone().unwrap_or_default();
        let test = test(&field, &expression.operator, &values)?;
        if let Some(why) = names::label_key(&expression.key) {
            return Err(Invalid::value(format!("{field}.key"), &expression.key, why));
        }
        for (index, value) in values.iter().enumerate() {
            if let Some(why) = names::label_value(value) {
                return Err(Invalid::value(format!("{field}.values[{index}]"), value, why));
            }
        }
        requirements.push(Requirement { key: expression.key.clone(), test });
    }
    Ok(requirements)
}

fn test(field: &str, operator: &str, values: &[String]) -> Result<Test, Invalid> {
    let set = || values.iter().cloned().collect();
    let field_of_values = || format!("{field}.values");
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            Err(Invalid::required(field_of_values(), "must be specified when `operator` is 'In' or 'NotIn'"))
        }
        "In" => Ok(Test::In(set())),
        "NotIn" => Ok(Test::NotIn(set())),
        "Exists" | "DoesNotExist" if !values.is_empty() => Err(Invalid::forbidden(
            field_of_values(),
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        )),
        "Exists" => Ok(Test::Exists),
        "DoesNotExist" => Ok(Test::DoesNotExist),
        _ => Err(Invalid::value(format!("{field}.operator"), operator, "not a valid selector operator")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(json: serde_json::Value) -> Result<Selector, Invalid> {
        Selector::parse(Some(&serde_json::from_value(json).unwrap()))
    }

    #[test]
    fn all_requirements_must_hold() {
        let selector = selector(serde_json::json!({
            "matchLabels": {"app": "shop"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["b", "a"]},
                {"key": "old", "operator": "DoesNotExist"},
            ],
        }))
        .unwrap();
        let labels = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        assert_eq!(selector.to_string(), "app=shop,!old,tier in (a,b)");
        assert!(selector.matches(&labels(&[("app", "shop"), ("tier", "a"), ("x", "y")])));
        assert!(!selector.matches(&labels(&[("app", "shop"), ("tier", "c")])));
        assert!(!selector.matches(&labels(&[("app", "shop"), ("tier", "a"), ("old", "")])));
        assert!(!selector.matches(&labels(&[])));
    }

    #[test]
    fn label_keys_may_have_a_domain() {
        assert!(selector(serde_json::json!({"matchLabels": {"example.com/app": "shop"}})).is_ok());
        for key in ["Example.com/app", "/app", "a/b/c", "app/", "-app"] {
            assert!(selector(serde_json::json!({"matchLabels": {key: "shop"}})).is_err(), "{key}");
        }
    }
}
