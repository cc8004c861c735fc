//! Validates an object against a structural schema, as the API server does with strict field validation.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where, such as `spec.strategy.canary.steps[0].setWeight`; empty = the object itself.
    pub path: String,
    /// What.
    pub kind: ViolationKind,
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViolationKind {
    /// Another type is needed.
    Type {
        /// The value, as JSON, cut off where it is long.
        value: String,
        /// The type that is needed.
        expected: String,
    },
    /// A field is missing.
    Missing(String),
    /// The schema does not know the field; the API server drops it.
    Unknown(String),
    /// Not one of the allowed words.
    Word {
        /// The value, as JSON, cut off where it is long.
        value: String,
        /// The allowed words, as JSON.
        allowed: String,
    },
    /// Less than the minimum.
    Minimum {
        /// The value, as JSON, cut off where it is long.
        value: String,
        /// The minimum.
        minimum: String,
    },
    /// More than the maximum.
    Maximum {
        /// The value, as JSON, cut off where it is long.
        value: String,
        /// The maximum.
        maximum: String,
    },
    /// A text or list that is shorter than the schema wants.
    TooShort,
    /// A text or list that is longer than the schema allows.
    TooLong,
    /// An item of a keyed list is there twice.
    Duplicate,
}

/// Everything that is wrong with an object.
#[must_use]
pub fn violations(schema: &Value, object: &Value) -> Vec<Violation> {
    let mut checker = Checker { violations: Vec::new() };
    checker.check(schema, object, "");
    checker.violations
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        match &self.kind {
            ViolationKind::Type { value, expected } => write!(f, "{value} is not of type {expected}"),
            ViolationKind::Missing(field) => write!(f, "`{field}` is required"),
            ViolationKind::Unknown(field) => write!(f, "`{field}` is not known"),
            ViolationKind::Word { value, allowed } => write!(f, "{value} is not one of {allowed}"),
            ViolationKind::Minimum { value, minimum } => write!(f, "{value} is less than {minimum}"),
            ViolationKind::Maximum { value, maximum } => write!(f, "{value} is more than {maximum}"),
            ViolationKind::TooShort => f.write_str("is too short"),
            ViolationKind::TooLong => f.write_str("is too long"),
            ViolationKind::Duplicate => f.write_str("is there twice"),
        }
    }
}

struct Checker {
    violations: Vec<Violation>,
}

impl Checker {
    fn check(&mut self, schema: &Value, value: &Value, path: &str) {
        let int_or_string = schema["x-kubernetes-int-or-string"] == true;
        if int_or_string && !(value.is_i64() || value.is_string()) {
            let expected = "integer or string".to_owned();
            return self.add(path, ViolationKind::Type { value: short(value), expected });
        }
        if let Some(kind) = schema["type"].as_str()
            && !has_type(kind, value)
        {
            return self.add(path, ViolationKind::Type { value: short(value), expected: kind.to_owned() });
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            let allowed = schema["enum"].to_string();
            self.add(path, ViolationKind::Word { value: short(value), allowed });
        }
        if let (Some(minimum), Some(number)) = (schema["minimum"].as_f64(), value.as_f64())
            && number < minimum
        {
            let minimum = schema["minimum"].to_string();
            self.add(path, ViolationKind::Minimum { value: short(value), minimum });
        }
        if let (Some(maximum), Some(number)) = (schema["maximum"].as_f64(), value.as_f64())
            && number > maximum
        {
            let maximum = schema["maximum"].to_string();
            self.add(path, ViolationKind::Maximum { value: short(value), maximum });
        }
        self.check_length(schema, value, path);
        match value {
            Value::Object(_) => self.check_fields(schema, value, path),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.check(&schema["items"], item, &format!("{path}[{index}]"));
                }
                self.check_keys(schema, items, path);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn check_length(&mut self, schema: &Value, value: &Value, path: &str) {
        let (length, least, most) = match value {
            Value::String(text) => (text.chars().count(), "minLength", "maxLength"),
            Value::Array(items) => (items.len(), "minItems", "maxItems"),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return,
        };
        let length = length as u64;
        if schema[least].as_u64().is_some_and(|least| length < least) {
            self.add(path, ViolationKind::TooShort);
        }
        if schema[most].as_u64().is_some_and(|most| length > most) {
            self.add(path, ViolationKind::TooLong);
        }
    }

    /// `null` is the same as absent: the API server drops it.
    fn check_fields(&mut self, schema: &Value, object: &Value, path: &str) {
        for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if object[required].is_null() {
                self.add(path, ViolationKind::Missing(required.to_owned()));
            }
        }
        let fields = object.as_object().into_iter().flatten();
        for (key, value) in fields.filter(|(_, value)| !value.is_null()) {
            let child = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            if let Some(property) = schema["properties"].get(key) {
                self.check(property, value, &child);
            } else if schema["additionalProperties"].is_object() {
                self.check(&schema["additionalProperties"], value, &child);
            } else if schema["x-kubernetes-preserve-unknown-fields"] != true && !is_of_every_object(&child) {
                self.add(path, ViolationKind::Unknown(key.clone()));
            }
        }
    }

    /// Items of a keyed list differ in their keys, where an absent key has its default.
    fn check_keys(&mut self, schema: &Value, items: &[Value], path: &str) {
        let Some(keys) = schema["x-kubernetes-list-map-keys"].as_array() else { return };
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let key = |key: &Value| {
                let name = key.as_str().unwrap_or_default();
                let default = &schema["items"]["properties"][name]["default"];
                item.get(name).unwrap_or(default).to_string()
            };
            if !seen.insert(keys.iter().map(key).collect::<Vec<_>>()) {
                self.add(&format!("{path}[{index}]"), ViolationKind::Duplicate);
            }
        }
    }

    fn add(&mut self, path: &str, kind: ViolationKind) {
        self.violations.push(Violation { path: path.to_owned(), kind });
    }
}

/// A value as JSON, cut off where it is long.
fn short(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn has_type(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        // A type of a later JSON Schema: nothing is known against the value.
        _ => true,
    }
}

fn is_of_every_object(path: &str) -> bool {
    ["apiVersion", "kind", "metadata"].contains(&path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(schema: &Value, object: &Value) -> Vec<String> {
        violations(schema, object).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_item_is_there_twice_if_its_keys_are_the_same_after_defaults() {
        let ports = json!({
            "type": "array",
            "x-kubernetes-list-map-keys": ["containerPort", "protocol"],
            "items": {
                "type": "object",
                "properties": {
                    "containerPort": {"type": "integer"},
                    "protocol": {"type": "string", "default": "TCP"},
                },
            },
        });
        let same = json!([{"containerPort": 53}, {"containerPort": 53, "protocol": "TCP"}]);
        let different = json!([{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}]);
        assert_eq!(texts(&ports, &same), ["[1]: is there twice"]);
        assert_eq!(texts(&ports, &different), [""; 0]);
    }

    #[test]
    fn null_is_the_same_as_absent() {
        let schema = json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b": {"type": "string"}}});
        assert_eq!(texts(&schema, &json!({"a": "", "b": null, "c": null})), [""; 0]);
        assert_eq!(texts(&schema, &json!({"a": null})), ["`a` is required"]);
    }

    #[test]
    fn an_integer_or_a_string_is_nothing_else() {
        let schema = json!({"properties": {"a": {"x-kubernetes-int-or-string": true}}});
        assert_eq!(texts(&schema, &json!({"a": "25%"})), [""; 0]);
        assert_eq!(texts(&schema, &json!({"a": true})), ["a: true is not of type integer or string"]);
    }
}
