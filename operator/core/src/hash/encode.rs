//! The JSON that Go writes for a typed value, driven by a table of its struct fields.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::DateTime;
use serde_json::{Map, Value};

use super::{HashError, number, quantity, text};

/// Fields of each Go struct in the order in which Go writes them: `[JSON name, type, flags]`.
const TABLE: &str = include_str!("go_field_order.json");

static STRUCTS: LazyLock<BTreeMap<String, Vec<Field>>> = LazyLock::new(|| {
    let table: BTreeMap<String, Vec<(String, String, String)>> =
        serde_json::from_str(TABLE).expect("go_field_order.json is a table of fields");
    let field = |(name, kind, flags): &(String, String, String)| Field {
        name: name.clone(),
        kind: Kind::parse(kind),
        omit_empty: flags.contains("omitempty"),
        omit_zero: flags.contains("omitzero"),
        inline: flags.contains("inline"),
    };
    table.iter().map(|(name, fields)| (name.clone(), fields.iter().map(field).collect())).collect()
});

struct Field {
    name: String,
    kind: Kind,
    omit_empty: bool,
    omit_zero: bool,
    inline: bool,
}

/// A Go type.
enum Kind {
    Text,
    Bool,
    Int32,
    Int64,
    Quantity,
    IntOrString,
    Time,
    /// JSON without a type.
    Raw,
    Pointer(Box<Self>),
    List(Box<Self>),
    Map(Box<Self>),
    Struct(String),
}

impl Kind {
    fn parse(name: &str) -> Self {
        let inner = |name: &str| Box::new(Self::parse(name));
        if let Some(name) = name.strip_prefix('*') {
            return Self::Pointer(inner(name));
        }
        if let Some(name) = name.strip_prefix("map[string]") {
            return Self::Map(inner(name));
        }
        match name {
            "string" => Self::Text,
            "bool" => Self::Bool,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "Quantity" => Self::Quantity,
            "IntOrString" => Self::IntOrString,
            "Time" => Self::Time,
            "FieldsV1" | "[]uint8" => Self::Raw,
            _ => match name.strip_prefix("[]") {
                Some(name) => Self::List(inner(name)),
                None => Self::Struct(name.to_owned()),
            },
        }
    }
}

/// Which Argo Rollouts wrote it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Release {
    /// 1.9 and later: a zero `creationTimestamp` is left out.
    Current,
    /// Before: it is written as `null`.
    Before1_9,
}

/// What Go writes, and what it does not see.
pub(super) struct Encoded<'a> {
    pub(super) json: String,
    /// Fields that the table does not know, by path.
    pub(super) unseen: Vec<(String, &'a Value)>,
}

pub(super) fn pod_template(template: &Value, release: Release) -> Result<Encoded<'_>, HashError> {
    let mut encoder = Encoder { json: String::new(), unseen: Vec::new(), path: Vec::new(), release };
    encoder.fields_of("PodTemplateSpec", template)?;
    Ok(Encoded { json: encoder.json, unseen: encoder.unseen })
}

pub(super) fn steps(steps: &Value) -> Result<String, HashError> {
    let mut encoder =
        Encoder { json: String::new(), unseen: Vec::new(), path: Vec::new(), release: Release::Current };
    encoder.value(&Kind::parse("[]CanaryStep"), steps)?;
    Ok(encoder.json)
}

struct Encoder<'a> {
    json: String,
    unseen: Vec<(String, &'a Value)>,
    path: Vec<Segment<'a>>,
    release: Release,
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    Field(&'a str),
    Index(usize),
}

impl<'a> Encoder<'a> {
    fn value(&mut self, kind: &Kind, value: &'a Value) -> Result<(), HashError> {
        match kind {
            Kind::Pointer(_) | Kind::List(_) | Kind::Map(_) | Kind::Time if value.is_null() => {
                self.json.push_str("null");
            }
            Kind::Pointer(kind) => self.value(kind, value)?,
            Kind::Text => {
                let text = self.zero_or(value, "", Value::as_str, "a string")?;
                text::push_string(&mut self.json, text);
            }
            Kind::Bool => {
                let flag = self.zero_or(value, false, Value::as_bool, "true or false")?;
                self.json.push_str(if flag { "true" } else { "false" });
            }
            Kind::Int32 => {
                let as_int32 = |value: &Value| i32::try_from(integer(value)?).ok();
                let number = self.zero_or(value, 0, as_int32, "an integer of 32 bits")?;
                self.json.push_str(&number.to_string());
            }
            Kind::Int64 => {
                let number = self.zero_or(value, 0, integer, "an integer")?;
                self.json.push_str(&number.to_string());
            }
            Kind::Quantity => self.quantity(value)?,
            Kind::IntOrString => self.int_or_string(value)?,
            Kind::Time => self.time(value)?,
            Kind::Raw => text::push_value(&mut self.json, value),
            Kind::List(kind) => self.list(kind, value)?,
            Kind::Map(kind) => self.map(kind, value)?,
            Kind::Struct(name) => self.fields_of(name, value)?,
        }
        Ok(())
    }

    fn quantity(&mut self, value: &Value) -> Result<(), HashError> {
        let written = match value {
            Value::Null => "0".to_owned(),
            Value::String(text) => text.clone(),
            Value::Number(number) => number::go_text(number),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                return Err(self.shape("a number or a quantity such as 500m", value));
            }
        };
        let Some(text) = quantity::canonical(&written) else {
            return Err(HashError::Quantity { path: self.path(), text: written });
        };
        text::push_string(&mut self.json, &text);
        Ok(())
    }

    fn int_or_string(&mut self, value: &Value) -> Result<(), HashError> {
        if let Value::String(text) = value {
            text::push_string(&mut self.json, text);
            return Ok(());
        }
        let as_int32 = |value: &Value| i32::try_from(integer(value)?).ok();
        let number = self.zero_or(value, 0, as_int32, "an integer or a string")?;
        self.json.push_str(&number.to_string());
        Ok(())
    }

    fn time(&mut self, value: &Value) -> Result<(), HashError> {
        let time = value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        let time = time.ok_or_else(|| self.shape("a time such as 2030-03-04T05:06:07Z", value))?;
        text::push_string(&mut self.json, &crds::go_json::rfc3339_seconds(time.to_utc()));
        Ok(())
    }

    fn list(&mut self, kind: &Kind, value: &'a Value) -> Result<(), HashError> {
        let items = value.as_array().ok_or_else(|| self.shape("a list", value))?;
        self.json.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.json.push(',');
            }
            self.path.push(Segment::Index(index));
            self.value(kind, item)?;
            self.path.pop();
        }
        self.json.push(']');
        Ok(())
    }

    fn map(&mut self, kind: &Kind, value: &'a Value) -> Result<(), HashError> {
        let fields = value.as_object().ok_or_else(|| self.shape("an object", value))?;
        let fields: BTreeMap<_, _> = fields.iter().collect();
        self.json.push('{');
        for (index, (key, value)) in fields.into_iter().enumerate() {
            if index > 0 {
                self.json.push(',');
            }
            text::push_string(&mut self.json, key);
            self.json.push(':');
            self.path.push(Segment::Field(key));
            self.value(kind, value)?;
            self.path.pop();
        }
        self.json.push('}');
        Ok(())
    }

    fn fields_of(&mut self, name: &str, value: &'a Value) -> Result<(), HashError> {
        static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        let object = match value {
            Value::Null => &*EMPTY,
            Value::Object(fields) => fields,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(self.shape("an object", value));
            }
        };
        self.json.push('{');
        let start = self.json.len();
        self.fields(name, object, start)?;
        self.json.push('}');
        let unseen: BTreeMap<_, _> =
            object.iter().filter(|(key, value)| !value.is_null() && !is_known(name, key)).collect();
        for (key, value) in unseen {
            self.path.push(Segment::Field(key));
            let path = self.path();
            self.path.pop();
            self.unseen.push((path, value));
        }
        Ok(())
    }

    /// Appends the fields of a struct and of the structs within it; `start` is where the first one begins.
    fn fields(&mut self, name: &str, object: &'a Map<String, Value>, start: usize) -> Result<(), HashError> {
        for field in fields_of(name) {
            if field.inline {
                if let Kind::Struct(name) = &field.kind {
                    self.fields(name, object, start)?;
                }
                continue;
            }
            let (key, value) = object.get_key_value(&field.name).unwrap_or((&field.name, &Value::Null));
            if self.is_left_out(field, value) {
                continue;
            }
            if self.json.len() > start {
                self.json.push(',');
            }
            text::push_string(&mut self.json, &field.name);
            self.json.push(':');
            self.path.push(Segment::Field(key));
            self.value(&field.kind, value)?;
            self.path.pop();
        }
        Ok(())
    }

    fn is_left_out(&self, field: &Field, value: &Value) -> bool {
        if field.omit_zero && self.release == Release::Current && value.is_null() {
            return true;
        }
        let is_empty = match &field.kind {
            Kind::Text => value.is_null() || value.as_str() == Some(""),
            Kind::Bool => value.is_null() || value.as_bool() == Some(false),
            Kind::Int32 | Kind::Int64 => value.is_null() || integer(value) == Some(0),
            Kind::Pointer(_) | Kind::Raw => value.is_null(),
            Kind::List(_) => value.is_null() || value.as_array().is_some_and(Vec::is_empty),
            Kind::Map(_) => value.is_null() || value.as_object().is_some_and(Map::is_empty),
            // Go never leaves out a struct that is no pointer.
            Kind::Quantity | Kind::IntOrString | Kind::Time | Kind::Struct(_) => false,
        };
        field.omit_empty && is_empty
    }

    fn zero_or<'v, T>(
        &self,
        value: &'v Value,
        zero: T,
        read: impl Fn(&'v Value) -> Option<T>,
        expected: &'static str,
    ) -> Result<T, HashError> {
        if value.is_null() {
            return Ok(zero);
        }
        read(value).ok_or_else(|| self.shape(expected, value))
    }

    fn shape(&self, expected: &'static str, found: &Value) -> HashError {
        let found = match found {
            Value::Null => "null".to_owned(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(_) => "a string".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        };
        HashError::Shape { path: self.path(), expected, found }
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for segment in &self.path {
            match segment {
                Segment::Field(name) if path.is_empty() => path.push_str(name),
                Segment::Field(name) => path.extend([".", name]),
                Segment::Index(index) => path.extend(["[", &index.to_string(), "]"]),
            }
        }
        if path.is_empty() { "the value".to_owned() } else { path }
    }
}

fn fields_of(name: &str) -> &'static [Field] {
    STRUCTS.get(name).expect("every type in go_field_order.json is in go_field_order.json")
}

fn is_known(name: &str, key: &str) -> bool {
    fields_of(name).iter().any(|field| match &field.kind {
        Kind::Struct(embedded) if field.inline => is_known(embedded, key),
        _ => field.name == key,
    })
}

/// An integer, also when it is written as a float without a fraction.
fn integer(value: &Value) -> Option<i64> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked, and there is no fraction")]
    let whole = |float: f64| (float.fract() == 0.0 && float.abs() <= LIMIT).then_some(float as i64);
    value.as_i64().or_else(|| whole(value.as_f64()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_the_table_is_in_the_table() {
        fn check(kind: &Kind) {
            match kind {
                Kind::Pointer(kind) | Kind::List(kind) | Kind::Map(kind) => check(kind),
                Kind::Struct(name) => assert!(STRUCTS.contains_key(name), "{name}"),
                Kind::Text
                | Kind::Bool
                | Kind::Int32
                | Kind::Int64
                | Kind::Quantity
                | Kind::IntOrString
                | Kind::Time
                | Kind::Raw => {}
            }
        }
        let custom = ["FieldsV1", "IntOrString", "Quantity", "Time"];
        for (name, fields) in STRUCTS.iter().filter(|(name, _)| !custom.contains(&name.as_str())) {
            assert!(!fields.is_empty() || name.ends_with("AntiAffinity"), "{name} has no fields");
            for field in fields {
                check(&field.kind);
            }
        }
    }
}
