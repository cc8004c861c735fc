//! The functions of the language: Argo's own and those of expr-lang.
//!
//! Left out, and so unknown names: `toBase64`, `fromBase64`, `timezone`, `toPairs`, `fromPairs`.

mod lists;
mod numbers;
mod signature;
mod texts;
mod times;

pub(super) use self::{
    lists::{group, sort},
    numbers::arithmetic,
    signature::{is_ours, signature},
    times::{call_method, method},
};
use super::{Problem, Surroundings, evaluate, value::Value};

/// Calls a function with as many arguments as its signature says.
pub(super) fn call(
    function: &str,
    arguments: &[Value],
    surroundings: &Surroundings<'_>,
) -> Result<Value, Problem> {
    match (function, arguments) {
        ("asInt", [value]) => numbers::as_int(value),
        ("asFloat", [value]) => numbers::as_float(value),
        ("isNaN", [value]) => evaluate::float(value).map(|it| Value::Bool(it.is_nan())),
        ("isInf", [value]) => evaluate::float(value).map(|it| Value::Bool(it.is_infinite())),
        // Argo's look at the measured value, whatever they are given.
        ("isNil", _) => Ok(Value::Bool(surroundings.result.is_nil())),
        ("default", [_, fallback]) if surroundings.result.is_nil() => Ok(fallback.clone()),
        ("default", _) => Ok(surroundings.result.clone()),
        ("now", _) => Ok(Value::Time(surroundings.now)),
        ("type", [value]) => Ok(Value::text(type_word(value))),
        ("len", [value]) => length(value),
        ("string", [value]) => Ok(Value::text(value.to_string())),
        ("get", [of, property]) => lists::get(of, property),
        ("date", [written, ..]) => times::date(written),
        ("duration", [written]) => times::duration(written),
        _ => match texts::call(function, arguments) {
            Some(outcome) => outcome,
            None => match numbers::call(function, arguments) {
                Some(outcome) => outcome,
                None => lists::call(function, arguments),
            },
        },
    }
}

fn length(value: &Value) -> Result<Value, Problem> {
    let length = match value {
        Value::String(text) => text.chars().count(),
        Value::Map(fields) => fields.len(),
        Value::Groups(groups) => groups.len(),
        value => match value.items() {
            Some(items) => items.len(),
            None => return Err(Problem(format!("invalid argument for len (type {})", value.type_name()))),
        },
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn type_word(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Int64(_) => "int",
        Value::Float(_) => "float",
        Value::String(_) => "string",
        Value::List(_) | Value::Floats(_) => "array",
        Value::Map(_) | Value::Groups(_) => "map",
        Value::Time(_) => "time.Time",
        Value::Span(_) => "time.Duration",
    }
}
