//! Label selectors.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

use crate::fields::{Fields, kind};

/// Which labels an object must have.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    /// Labels with these values.
    pub labels: BTreeMap<String, String>,
    /// And more.
    pub expressions: Vec<Expression>,
}

/// One of `matchExpressions`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expression {
    /// Which label.
    pub label: String,
    /// What of it.
    pub operator: Operator,
}

/// What an expression asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// It has one of these values.
    In(Vec<String>),
    /// It has none of them, or is not there.
    NotIn(Vec<String>),
    /// It is there.
    Exists,
    /// It is not.
    DoesNotExist,
}

impl Selector {
    /// Reads a `LabelSelector`.
    pub(crate) fn parse(fields: &Fields<'_>, field: &str) -> Result<Self, String> {
        let labels = fields.labels("matchLabels").map_err(|error| format!("in `{field}`: {error}"))?;
        let expressions = match fields.value("matchExpressions") {
            None => Vec::new(),
            Some(Value::Array(expressions)) => {
                expressions.iter().map(|it| expression(it, field)).collect::<Result<_, _>>()?
            }
            Some(other) => return Err(format!("`{field}.matchExpressions` is {}, not a list", kind(other))),
        };
        Ok(Self { labels, expressions })
    }

    /// What a `LabelSelector` means; `None` if it has an operator that is not known.
    pub(crate) fn of(selector: &LabelSelector) -> Option<Self> {
        let expressions = selector.match_expressions.iter().flatten().map(|it| {
            let values = it.values.clone().unwrap_or_default();
            let operator = match it.operator.as_str() {
                "In" => Operator::In(values),
                "NotIn" => Operator::NotIn(values),
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                _ => return None,
            };
            Some(Expression { label: it.key.clone(), operator })
        });
        let labels = selector.match_labels.clone().unwrap_or_default();
        Some(Self { labels, expressions: expressions.collect::<Option<_>>()? })
    }

    /// Whether it asks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.expressions.is_empty()
    }

    /// Whether these labels are selected.
    #[must_use]
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
            && self.expressions.iter().all(|expression| {
                let value = labels.get(&expression.label);
                match &expression.operator {
                    Operator::In(values) => value.is_some_and(|value| values.contains(value)),
                    Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                    Operator::Exists => value.is_some(),
                    Operator::DoesNotExist => value.is_none(),
                }
            })
    }
}

/// As `kubectl -l` takes it.
impl Display for Selector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let labels = self.labels.iter().map(|(name, value)| format!("{name}={value}"));
        let expressions = self.expressions.iter().map(|Expression { label, operator }| match operator {
            Operator::In(values) => format!("{label} in ({})", values.join(",")),
            Operator::NotIn(values) => format!("{label} notin ({})", values.join(",")),
            Operator::Exists => label.clone(),
            Operator::DoesNotExist => format!("!{label}"),
        });
        f.write_str(&labels.chain(expressions).collect::<Vec<_>>().join(","))
    }
}

fn expression(value: &Value, field: &str) -> Result<Expression, String> {
    let at = format!("{field}.matchExpressions");
    let fields = Fields::of(value, &at)?;
    let within = |error: String| format!("in `{at}`: {error}");
    let label = fields.text("key").map_err(within)?.ok_or_else(|| format!("`{at}.key` is missing"))?;
    let values = fields.texts("values").map_err(within)?.unwrap_or_default();
    let operator = match fields.text("operator").map_err(within)?.as_deref() {
        Some("In") => Operator::In(values),
        Some("NotIn") => Operator::NotIn(values),
        Some("Exists") => Operator::Exists,
        Some("DoesNotExist") => Operator::DoesNotExist,
        other => {
            let other = other.unwrap_or_default();
            return Err(format!("`{at}.operator` is `{other}`, not In, NotIn, Exists or DoesNotExist"));
        }
    };
    Ok(Expression { label, operator })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_selects_as_the_table_says() {
        let labels = BTreeMap::from([("tier".to_owned(), "web".to_owned())]);
        let expression = |operator, values: &[&str]| json!({"matchExpressions": [{"key": "tier", "operator": operator, "values": values}]});
        let other =
            |operator| json!({"matchExpressions": [{"key": "zone", "operator": operator, "values": ["z"]}]});
        let table = [
            (json!({}), Some(true)),
            (json!({"matchLabels": {"tier": "web"}}), Some(true)),
            (json!({"matchLabels": {"tier": "db"}}), Some(false)),
            (json!({"matchLabels": {"tier": "web", "zone": "z"}}), Some(false)),
            (expression("In", &["web", "db"]), Some(true)),
            (expression("In", &["db"]), Some(false)),
            (expression("NotIn", &["web"]), Some(false)),
            (expression("Exists", &[]), Some(true)),
            (expression("DoesNotExist", &[]), Some(false)),
            (other("NotIn"), Some(true)),
            (other("DoesNotExist"), Some(true)),
            (expression("Like", &[]), None),
            (json!({"matchLabels": {"tier": 1}}), None),
        ];
        for (selector, expected) in table {
            let read =
                Fields::of(&selector, "selector").and_then(|fields| Selector::parse(&fields, "selector"));
            assert_eq!(read.ok().map(|it| it.selects(&labels)), expected, "{selector}");
        }
    }
}
