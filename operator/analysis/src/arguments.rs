//! `{{args.name}}` in metrics, and secrets that stay secret.

use std::collections::{BTreeMap, BTreeSet};

use crds::analysis::{Argument, Metric, SecretKeyRef};
use serde_json::Value;

/// Why the arguments of a metric have no value. In Argo's words, except for what Argo does not check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// A tag that no argument fills.
    #[error("failed to resolve {{{{{0}}}}}")]
    Tag(String),
    /// A `{{` without its `}}`.
    #[error("Cannot find end tag=\"}}}}\" in the template starting from {0:?}")]
    Unclosed(String),
    /// An argument without a value.
    #[error("args.{0} was not resolved")]
    Missing(String),
    /// An argument with two values.
    #[error("arg '{0}' has both Value and ValueFrom fields")]
    Both(String),
    /// A field of the Rollout, which only a template may ask for: the Rollout fills it in when it makes a run.
    #[error("args.{0} was not resolved: a run cannot refer to a field of its Rollout")]
    Field(String),
    /// A key that a Secret does not have.
    #[error("key '{key}' does not exist in secret '{name}'")]
    Key {
        /// Name of the Secret.
        name: String,
        /// The key.
        key: String,
    },
    /// With its arguments filled in a metric cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

/// Values of keys of Secrets, as read for one pass. They are never shown, not even by `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<(String, String), String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("count", &self.0.len()).finish_non_exhaustive()
    }
}

impl Secrets {
    /// Adds the value of a key.
    pub fn add(&mut self, reference: &SecretKeyRef, value: String) {
        self.0.insert((reference.name.clone(), reference.key.clone()), value);
    }

    /// A text without them: each is replaced by `*****`, as Argo does.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        // The longest first: one secret may be part of another.
        let mut values: Vec<&str> = self.0.values().map(String::as_str).filter(|it| !it.is_empty()).collect();
        values.sort_by_key(|it| std::cmp::Reverse(it.len()));
        values.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret, "*****"))
    }

    fn get(&self, reference: &SecretKeyRef) -> Option<&str> {
        self.0.get(&(reference.name.clone(), reference.key.clone())).map(String::as_str)
    }
}

/// Metrics with their arguments filled in, where each secret is a placeholder: enough to know when they are measured
/// and what may be said of them.
pub fn without_secrets(metrics: &[Metric], arguments: &[Argument]) -> Result<Vec<Metric>, Unresolved> {
    let values = values(arguments, |_| Ok("temp-for-secret"))?;
    metrics.iter().map(|metric| filled(metric, &values)).collect()
}

/// A metric with all its arguments filled in, to measure it.
pub fn with_secrets(
    metric: &Metric,
    arguments: &[Argument],
    secrets: &Secrets,
) -> Result<Metric, Unresolved> {
    let used = used(metric);
    let arguments: Vec<Argument> = arguments.iter().filter(|it| used.contains(&it.name)).cloned().collect();
    let values = values(&arguments, |reference| {
        secrets
            .get(reference)
            .ok_or_else(|| Unresolved::Key { name: reference.name.clone(), key: reference.key.clone() })
    })?;
    filled(metric, &values)
}

/// The keys of Secrets that a metric refers to.
#[must_use]
pub fn secrets_of(metric: &Metric, arguments: &[Argument]) -> Vec<SecretKeyRef> {
    let used = used(metric);
    let used = arguments.iter().filter(|it| used.contains(&it.name));
    used.filter_map(|it| it.value_from.as_ref()?.secret_key_ref.clone()).collect()
}

fn values<'a>(
    arguments: &'a [Argument],
    secret: impl Fn(&'a SecretKeyRef) -> Result<&'a str, Unresolved>,
) -> Result<BTreeMap<&'a str, &'a str>, Unresolved> {
    let value = |argument: &'a Argument| {
        let from = argument.value_from.as_ref();
        match (&argument.value, from) {
            (Some(_), Some(_)) => Err(Unresolved::Both(argument.name.clone())),
            (Some(value), None) => Ok(value.as_str()),
            (None, Some(from)) => match (&from.secret_key_ref, &from.field_ref) {
                (Some(reference), _) => secret(reference),
                (None, Some(_)) => Err(Unresolved::Field(argument.name.clone())),
                (None, None) => Err(Unresolved::Missing(argument.name.clone())),
            },
            (None, None) => Err(Unresolved::Missing(argument.name.clone())),
        }
    };
    arguments.iter().map(|it| Ok((it.name.as_str(), value(it)?))).collect()
}

fn filled(metric: &Metric, values: &BTreeMap<&str, &str>) -> Result<Metric, Unresolved> {
    let unreadable = |error: serde_json::Error| Unresolved::Unreadable(error.to_string());
    let mut json = serde_json::to_value(metric).map_err(unreadable)?;
    each_text(&mut json, &mut |text| {
        let filled = fill(text, values)?;
        *text = filled;
        Ok(())
    })?;
    serde_json::from_value(json).map_err(unreadable)
}

/// The names of the arguments that a metric refers to.
fn used(metric: &Metric) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let Ok(mut json) = serde_json::to_value(metric) else { return names };
    let looked: Result<(), Unresolved> = each_text(&mut json, &mut |text| {
        let tags = text.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0.trim()));
        names.extend(tags.filter_map(|tag| tag.strip_prefix("args.")).map(str::to_owned));
        Ok(())
    });
    looked.unwrap_or_default();
    names
}

/// Calls `change` with every text in it, names of fields included.
fn each_text(
    json: &mut Value,
    change: &mut impl FnMut(&mut String) -> Result<(), Unresolved>,
) -> Result<(), Unresolved> {
    match json {
        Value::String(text) => change(text),
        Value::Array(items) => items.iter_mut().try_for_each(|it| each_text(it, change)),
        Value::Object(fields) => {
            for (mut name, mut value) in std::mem::take(fields) {
                change(&mut name)?;
                each_text(&mut value, change)?;
                fields.insert(name, value);
            }
            Ok(())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// A text with its tags filled in.
fn fill(text: &str, values: &BTreeMap<&str, &str>) -> Result<String, Unresolved> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let (tag, after) =
            after.split_once("}}").ok_or_else(|| Unresolved::Unclosed(format!("{{{{{after}")))?;
        let value = tag.trim().strip_prefix("args.").and_then(|name| values.get(name));
        filled.push_str(value.ok_or_else(|| Unresolved::Tag(tag.to_owned()))?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metric(fields: &Value) -> Metric {
        serde_json::from_value(fields.clone()).unwrap()
    }

    fn arguments(list: Value) -> Vec<Argument> {
        serde_json::from_value(list).unwrap()
    }

    #[test]
    fn a_value_replaces_its_tag_wherever_it_stands() {
        let written = json!({"name": "m", "count": "{{args.count}}", "successCondition": "result < {{ args.limit }}",
            "provider": {"web": {"url": "http://{{args.host}}/", "headers": [{"key": "{{args.host}}", "value": "\""}]}}});
        let given = json!([
            {"name": "count", "value": "3"}, {"name": "limit", "value": "0.5"}, {"name": "host", "value": "a\"b"},
        ]);
        let filled = &without_secrets(&[metric(&written)], &arguments(given)).unwrap()[0];
        let expected = json!({"name": "m", "count": "3", "successCondition": "result < 0.5",
            "provider": {"web": {"url": "http://a\"b/", "headers": [{"key": "a\"b", "value": "\""}]}}});
        assert_eq!(filled, &metric(&expected));
    }

    #[test]
    fn what_cannot_be_filled_in_is_named() {
        let says = |url: &str, given: Value| {
            let written = json!({"name": "m", "provider": {"web": {"url": url}}});
            without_secrets(&[metric(&written)], &arguments(given)).unwrap_err().to_string()
        };
        assert_eq!(says("{{args.x}}", json!([])), "failed to resolve {{args.x}}");
        assert_eq!(says("{{ x }}", json!([])), "failed to resolve {{ x }}");
        assert_eq!(says("", json!([{"name": "x"}])), "args.x was not resolved");
        assert!(says("{{args.x", json!([])).starts_with("Cannot find end tag=\"}}\""));
        let both =
            json!([{"name": "x", "value": "1", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
        assert_eq!(says("", both), "arg 'x' has both Value and ValueFrom fields");
    }

    #[test]
    fn only_secrets_that_a_metric_names_are_asked_for() {
        let secret =
            |name: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": name, "key": "k"}}});
        let given = arguments(json!([secret("used"), secret("idle")]));
        let metric = metric(&json!({"name": "m", "provider": {"web": {"url": "http://a?t={{args.used}}"}}}));
        let wanted = secrets_of(&metric, &given);
        assert_eq!(wanted, [SecretKeyRef { name: "used".to_owned(), key: "k".to_owned() }]);
        let missing = with_secrets(&metric, &given, &Secrets::default()).unwrap_err();
        assert_eq!(missing.to_string(), "key 'k' does not exist in secret 'used'");
        let mut secrets = Secrets::default();
        secrets.add(&wanted[0], "hush".to_owned());
        let filled = with_secrets(&metric, &given, &secrets).unwrap();
        assert_eq!(filled.provider.web, Some(json!({"url": "http://a?t=hush"})));
        assert_eq!(
            secrets.redact("failed at http://a?t=hush: hushed"),
            "failed at http://a?t=*****: *****ed"
        );
        assert!(!format!("{secrets:?}").contains("hush"));
    }
}
