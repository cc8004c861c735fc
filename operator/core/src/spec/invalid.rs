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
        let value = serde_json::to_string(value).unwrap_or_else(|error| error.to_string());
        Self { field: field.into(), problem: Problem::Value { value, why: why.into() } }
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

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required { why } if why.is_empty() => f.write_str("Required value"),
            Self::Required { why } => write!(f, "Required value: {why}"),
            Self::Value { value, why } => write!(f, "Invalid value: {value}: {why}"),
            Self::Forbidden { why } => write!(f, "Forbidden: {why}"),
            Self::Internal { why } => write!(f, "Internal error: {why}"),
        }
    }
}
