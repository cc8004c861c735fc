//! Values that may be written in several shapes.
//!
//! `getambassador.io` grew over four API versions, and manifests of all of them are still in use. A value keeps
//! the shape in which it was written, so that a copy of an object is a faithful one.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// `a` or `[a, b]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum StringOrList {
    /// One text. Some fields hold several in it, separated by commas.
    One(String),
    /// A list of texts.
    Many(Vec<String>),
}

impl StringOrList {
    /// The texts, where one text is one entry.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts.as_slice(),
        }
        .iter()
        .map(String::as_str)
    }

    /// The texts, where one text is split at commas and trimmed. Empty entries are left out.
    pub fn split(&self) -> impl Iterator<Item = &str> {
        let separator = match self {
            Self::One(_) => Some(','),
            Self::Many(_) => None,
        };
        self.iter()
            .flat_map(move |text| match separator {
                Some(separator) => text.split(separator).map(str::trim).collect::<Vec<_>>(),
                None => vec![text],
            })
            .filter(|text| !text.is_empty())
    }
}

/// `true`, `false` or a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum BoolOrString {
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(String),
}

/// A header to add: `value` or `{value, append}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum AddedHeader {
    /// The value, appended to what is there.
    Value(String),
    /// The value, and whether it is appended to what is there (absent = yes) or replaces it.
    Full {
        /// The value.
        value: String,
        /// Whether it is appended.
        #[serde(skip_serializing_if = "Option::is_none")]
        append: Option<bool>,
    },
}

impl AddedHeader {
    /// The value.
    #[must_use]
    pub fn value(&self) -> &str {
        match self {
            Self::Value(value) | Self::Full { value, .. } => value,
        }
    }

    /// Whether the value is appended to what is there; otherwise it replaces it.
    #[must_use]
    pub fn append(&self) -> bool {
        match self {
            Self::Value(_) => true,
            Self::Full { append, .. } => append.unwrap_or(true),
        }
    }
}

// === impl Deserialize: messages that name the shapes, which serde's `untagged` cannot give ===

impl<'de> Deserialize<'de> for StringOrList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;
        impl<'de> Visitor<'de> for Shape {
            type Value = StringOrList;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<StringOrList, E> {
                Ok(StringOrList::One(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<StringOrList, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(StringOrList::Many(texts))
            }
        }
        deserializer.deserialize_any(Shape)
    }
}

impl<'de> Deserialize<'de> for BoolOrString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;
        impl Visitor<'_> for Shape {
            type Value = BoolOrString;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a boolean or a string")
            }
            fn visit_bool<E: Error>(self, flag: bool) -> Result<BoolOrString, E> {
                Ok(BoolOrString::Bool(flag))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<BoolOrString, E> {
                Ok(BoolOrString::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Shape)
    }
}

impl<'de> Deserialize<'de> for AddedHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;
        impl<'de> Visitor<'de> for Shape {
            type Value = AddedHeader;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an object with `value` and `append`")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<AddedHeader, E> {
                Ok(AddedHeader::Value(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<AddedHeader, A::Error> {
                #[derive(Deserialize)]
                struct Full {
                    value: String,
                    append: Option<bool>,
                }
                let full = Full::deserialize(serde::de::value::MapAccessDeserializer::new(fields))?;
                Ok(AddedHeader::Full { value: full.value, append: full.append })
            }
        }
        deserializer.deserialize_any(Shape)
    }
}

// === impl JsonSchema: a structural schema cannot say "one of two types" except for integers and strings ===

macro_rules! any_shape {
    ($($shape:ident: $description:literal),* $(,)?) => {$(
        impl JsonSchema for $shape {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($shape).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "description": $description, "x-kubernetes-preserve-unknown-fields": true })
            }
        }
    )*};
}

any_shape! {
    StringOrList: "A string or a list of strings.",
    BoolOrString: "A boolean or a string.",
    AddedHeader: "A string or an object with `value` and `append`.",
}

/// Fields that a type does not name, kept as they were written.
pub type Extra = BTreeMap<String, serde_json::Value>;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_keeps_the_shape_in_which_it_was_written() {
        for value in [json!("a"), json!(["a", "b"])] {
            let parsed: StringOrList = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(serde_json::to_value(parsed).unwrap(), value);
        }
        for value in [json!("a"), json!({"value": "a"}), json!({"value": "a", "append": false})] {
            let parsed: AddedHeader = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(serde_json::to_value(parsed).unwrap(), value);
        }
        for value in [json!(true), json!("context")] {
            let parsed: BoolOrString = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(serde_json::to_value(parsed).unwrap(), value);
        }
    }

    #[test]
    fn a_wrong_shape_is_named_in_the_error() {
        let error = serde_json::from_value::<StringOrList>(json!(5)).unwrap_err();
        assert_eq!(error.to_string(), "invalid type: integer `5`, expected a string or a list of strings");
    }

    #[test]
    fn only_a_single_text_is_split_at_commas() {
        let one: StringOrList = serde_json::from_value(json!("a, b,")).unwrap();
        assert_eq!(one.split().collect::<Vec<_>>(), ["a", "b"]);
        let many: StringOrList = serde_json::from_value(json!(["a,b"])).unwrap();
        assert_eq!(many.split().collect::<Vec<_>>(), ["a,b"]);
    }
}
