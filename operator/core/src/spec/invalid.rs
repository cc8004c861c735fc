//! Why a spec is invalid, in the words of Kubernetes' field errors.

use std::fmt;

use serde::Serialize;

/// One field and what is wrong with it.
///
/// Displays as Kubernetes prints field errors: `spec.replicas: Invalid value: -1: must be …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// Path of the field, as Argo writes it: paths into the canary strategy lack `.canary`, except those of
    /// references.
    pub field: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is missing.
    Required {
        /// Why it is needed; may be empty.
        why: String,
    },
    /// It has a value that it must not have.
    Value {
        /// The value as JSON.
        value: String,
        /// Why it must not.
        why: String,
    },
    /// It must not be set.
    Forbidden {
        /// Why not.
        why: String,
    },
    /// Another item of the same list has it too.
    Duplicate {
        /// The value as JSON.
        value: String,
    },
    /// It names something that is not there.
    NotFound {
        /// The value as JSON.
        value: String,
    },
    /// It is not one of the words that the field may have.
    Unsupported {
        /// The value as JSON.
        value: String,
        /// The words that it may have.
        supported: &'static [&'static str],
    },
    /// It has more bytes than the field may have.
    TooLong {
        /// This many are allowed.
        most: usize,
    },
    /// It contradicts another field. Kubernetes calls this an internal error; Argo uses it for `workloadRef`.
    Internal {
        /// How.
        why: String,
    },
}

impl Invalid {
    /// A missing field.
    #[must_use]
    pub fn required(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self { field: field.into(), problem: Problem::Required { why: why.into() } }
    }

    /// A field with a bad value.
    #[must_use]
    pub fn value<T: Serialize + ?Sized>(field: impl Into<String>, value: &T, why: impl Into<String>) -> Self {
        Self { field: field.into(), problem: Problem::Value { value: json(value), why: why.into() } }
    }

    /// A field whose value another item has too.
    #[must_use]
    pub fn duplicate<T: Serialize + ?Sized>(field: impl Into<String>, value: &T) -> Self {
        Self { field: field.into(), problem: Problem::Duplicate { value: json(value) } }
    }

    /// A field that names something that is not there.
    #[must_use]
    pub fn not_found<T: Serialize + ?Sized>(field: impl Into<String>, value: &T) -> Self {
        Self { field: field.into(), problem: Problem::NotFound { value: json(value) } }
    }

    /// A field with a word that it must not have.
    #[must_use]
    pub fn unsupported<T: Serialize + ?Sized>(
        field: impl Into<String>,
        value: &T,
        supported: &'static [&'static str],
    ) -> Self {
        Self { field: field.into(), problem: Problem::Unsupported { value: json(value), supported } }
    }

    /// A field with more than this many bytes.
    #[must_use]
    pub fn too_long(field: impl Into<String>, most: usize) -> Self {
        Self { field: field.into(), problem: Problem::TooLong { most } }
    }

    /// A field that must not be set.
    #[must_use]
    pub fn forbidden(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self { field: field.into(), problem: Problem::Forbidden { why: why.into() } }
    }

    /// A field that contradicts another one.
    #[must_use]
    pub fn internal(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self { field: field.into(), problem: Problem::Internal { why: why.into() } }
    }

    /// The message of the condition `InvalidSpec`.
    #[must_use]
    pub fn message(&self, rollout: &str) -> String {
        format!("The Rollout \"{rollout}\" is invalid: {self}")
    }
}

fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| error.to_string())
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required { why } if why.is_empty() => f.write_str("Required value"),
            Self::Required { why } => write!(f, "Required value: {why}"),
            Self::Value { value, why } => write!(f, "Invalid value: {value}: {why}"),
            Self::Forbidden { why } => write!(f, "Forbidden: {why}"),
            Self::Duplicate { value } => write!(f, "Duplicate value: {value}"),
            Self::NotFound { value } => write!(f, "Not found: {value}"),
            Self::Unsupported { value, supported } => {
                let words: Vec<String> = supported.iter().map(json).collect();
                write!(f, "Unsupported value: {value}: supported values: {}", words.join(", "))
            }
            Self::TooLong { most } => write!(f, "Too long: may not be more than {most} bytes"),
            Self::Internal { why } => write!(f, "Internal error: {why}"),
        }
    }
}
