//! Types, as far as they are known before an expression is run.

use std::fmt;

use super::value::Value;

/// The type of a part of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Only a run can tell.
    Unknown,
    Nil,
    Bool,
    Int,
    Int64,
    Float,
    String,
    /// A list, with the type of its elements.
    List(Box<Self>),
    Floats,
    Map,
    Groups,
    Time,
    Span,
}

impl Kind {
    /// The type of a value that is known.
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Nil => Self::Nil,
            Value::Bool(_) => Self::Bool,
            Value::Int(_) => Self::Int,
            Value::Int64(_) => Self::Int64,
            Value::Float(_) => Self::Float,
            Value::String(_) => Self::String,
            Value::List(_) => Self::List(Box::new(Self::Unknown)),
            Value::Floats(_) => Self::Floats,
            Value::Map(_) => Self::Map,
            Value::Groups(_) => Self::Groups,
            Value::Time(_) => Self::Time,
            Value::Span(_) => Self::Span,
        }
    }

    pub(super) fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Int | Self::Int64)
    }

    pub(super) fn is_number(&self) -> bool {
        self.is_whole() || *self == Self::Float
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self, Self::List(_) | Self::Floats)
    }

    /// The type of the elements of a list or map.
    pub(super) fn element(&self) -> Self {
        match self {
            Self::List(element) => element.as_ref().clone(),
            Self::Floats => Self::Float,
            Self::Groups => Self::List(Box::new(Self::Unknown)),
            _ => Self::Unknown,
        }
    }

    /// Whether `==` may be asked.
    pub(super) fn compares_with(&self, other: &Self) -> bool {
        let same = |one: &Self, other: &Self| std::mem::discriminant(one) == std::mem::discriminant(other);
        let any = |it: &Self| matches!(it, Self::Unknown | Self::Nil);
        let is_map = |it: &Self| matches!(it, Self::Map | Self::Groups);
        any(self)
            || any(other)
            || same(self, other)
            || self.is_number() && other.is_number()
            || self.is_list() && other.is_list()
            || is_map(self) && is_map(other)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "interface {}",
            Self::Nil => "nil",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Int64 => "int64",
            Self::Float => "float64",
            Self::String => "string",
            Self::List(_) => "[]interface {}",
            Self::Floats => "[]float64",
            Self::Map => "map[string]interface {}",
            Self::Groups => "map[interface {}][]interface {}",
            Self::Time => "time.Time",
            Self::Span => "time.Duration",
        })
    }
}
