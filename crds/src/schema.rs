//! Schemas: what the types cannot say by themselves, what the API server demands, and what it would say of an object.

pub mod pod_template;
pub mod rules;
pub mod structural;
pub mod validate;

use schemars::{Schema, SchemaGenerator, json_schema};

/// An object whose fields are kept as they are.
#[must_use]
pub fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// Any JSON value, kept as it is.
#[must_use]
pub fn any_value(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// A list of objects whose fields are kept as they are.
#[must_use]
pub fn any_objects(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
    })
}

/// An object whose values are kept as they are, by name.
#[must_use]
pub fn any_object_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": { "x-kubernetes-preserve-unknown-fields": true },
    })
}
