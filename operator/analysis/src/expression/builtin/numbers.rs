//! Functions and operators of numbers.

use std::cmp::Ordering;

use crate::expression::{
    Problem,
    evaluate::{compare, truncated, whole},
    value::Value,
};

type Outcome = Result<Value, Problem>;

fn fail(message: String) -> Outcome {
    Err(Problem(message))
}

/// A function of this file, if it is one.
pub(super) fn call(function: &str, arguments: &[Value]) -> Option<Outcome> {
    Some(match (function, arguments) {
        ("abs", [Value::Int(number)]) => Ok(Value::Int(number.wrapping_abs())),
        ("abs", [Value::Int64(number)]) => Ok(Value::Int64(number.wrapping_abs())),
        ("abs" | "ceil" | "floor" | "round", [value]) => match value.number() {
            Some(number) => Ok(Value::Float(match function {
                "abs" => number.abs(),
                "ceil" => number.ceil(),
                "floor" => number.floor(),
                _ => number.round(),
            })),
            None => fail(format!("invalid argument for {function} (type {})", value.type_name())),
        },
        ("int", [value]) => int(value),
        ("float", [value]) => float(value),
        ("max" | "min", values) => extreme(function, values),
        ("mean" | "median", values) => middle(function, values),
        ("bitnot", [value]) => whole(value).map(|it| Value::Int(!it)),
        (_, [one, other]) if function.starts_with("bit") => bits(function, one, other),
        _ => return None,
    })
}

fn bits(function: &str, one: &Value, other: &Value) -> Outcome {
    let (one, other) = (whole(one)?, whole(other)?);
    if let "bitand" | "bitor" | "bitxor" | "bitnand" = function {
        return Ok(Value::Int(match function {
            "bitand" => one & other,
            "bitor" => one | other,
            "bitxor" => one ^ other,
            _ => one & !other,
        }));
    }
    let Ok(places) = u32::try_from(other) else {
        return fail(format!("invalid operation: negative shift count {other} (type int)"));
    };
    Ok(Value::Int(match function {
        "bitshl" => one.checked_shl(places).unwrap_or_default(),
        "bitshr" => one >> places.min(63),
        _ => one.cast_unsigned().checked_shr(places).unwrap_or_default().cast_signed(),
    }))
}

/// Argo's `asInt`.
pub(super) fn as_int(value: &Value) -> Outcome {
    match value {
        Value::Int(number) | Value::Int64(number) => Ok(Value::Int64(*number)),
        Value::Float(number) => Ok(Value::Int64(truncated(*number))),
        Value::String(text) => text.parse().map(Value::Int64).map_err(|error: std::num::ParseIntError| {
            let range = matches!(
                error.kind(),
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow
            );
            let why = if range { "value out of range" } else { "invalid syntax" };
            Problem(format!("strconv.ParseInt: parsing {text:?}: {why}"))
        }),
        value => fail(format!("asInt() not supported on {} {value}", value.type_name())),
    }
}

/// Argo's `asFloat`.
pub(super) fn as_float(value: &Value) -> Outcome {
    match value {
        Value::String(text) => match text.parse() {
            Ok(number) => Ok(Value::Float(number)),
            Err(_) => fail(format!("strconv.ParseFloat: parsing {text:?}: invalid syntax")),
        },
        value => match value.number() {
            Some(number) => Ok(Value::Float(number)),
            None => fail(format!("asFloat() not supported on {} {value}", value.type_name())),
        },
    }
}

fn int(value: &Value) -> Outcome {
    match value {
        Value::Float(number) => Ok(Value::Int(truncated(*number))),
        Value::String(text) => match text.parse() {
            Ok(number) => Ok(Value::Int(number)),
            Err(_) => fail(format!("invalid operation: int({text})")),
        },
        value => match value.whole() {
            Some(number) => Ok(Value::Int(number)),
            None => fail(format!("invalid operation: int({})", value.type_name())),
        },
    }
}

fn float(value: &Value) -> Outcome {
    match value {
        Value::String(text) => match text.parse() {
            Ok(number) => Ok(Value::Float(number)),
            Err(_) => fail(format!("invalid operation: float({text})")),
        },
        value => match value.number() {
            Some(number) => Ok(Value::Float(number)),
            None => fail(format!("invalid operation: float({})", value.type_name())),
        },
    }
}

/// The elements of all lists, however deep, and what is no list.
fn flat(values: &[Value], into: &mut Vec<Value>) {
    for value in values {
        match value.items() {
            Some(items) => flat(&items, into),
            None => into.push(value.clone()),
        }
    }
}

fn extreme(function: &str, values: &[Value]) -> Outcome {
    let mut all = Vec::new();
    flat(values, &mut all);
    let mut found: Option<Value> = None;
    for value in all {
        if value.number().is_none() {
            return fail(format!("invalid argument for {function} (type {})", value.type_name()));
        }
        let better = match &found {
            None => true,
            Some(found) => compare(if function == "max" { ">" } else { "<" }, &value, found)?,
        };
        if better {
            found = Some(value);
        }
    }
    Ok(found.unwrap_or(Value::Nil))
}

#[expect(clippy::cast_precision_loss, reason = "a list is far shorter")]
fn middle(function: &str, values: &[Value]) -> Outcome {
    let mut all = Vec::new();
    flat(values, &mut all);
    let mut numbers = Vec::with_capacity(all.len());
    for value in all {
        match value.number() {
            Some(number) => numbers.push(number),
            None => return fail(format!("invalid argument for {function} (type {})", value.type_name())),
        }
    }
    if numbers.is_empty() {
        return Ok(Value::Float(0.0));
    }
    if function == "mean" {
        return Ok(Value::Float(numbers.iter().sum::<f64>() / numbers.len() as f64));
    }
    numbers.sort_by(|one, other| one.partial_cmp(other).unwrap_or(Ordering::Equal));
    let half = numbers.len() / 2;
    let median =
        if numbers.len() % 2 == 1 { numbers[half] } else { f64::midpoint(numbers[half - 1], numbers[half]) };
    Ok(Value::Float(median))
}

/// `+`, `-`, `*`, `/`, `%`, `**`.
pub(crate) fn arithmetic(operator: &str, left: &Value, right: &Value) -> Outcome {
    if let (Some(one), Some(other)) = (left.whole(), right.whole()) {
        match operator {
            "+" => return Ok(Value::Int(one.wrapping_add(other))),
            "-" => return Ok(Value::Int(one.wrapping_sub(other))),
            "*" => return Ok(Value::Int(one.wrapping_mul(other))),
            "%" if other == 0 => return fail("runtime error: integer divide by zero".to_owned()),
            "%" => return Ok(Value::Int(one.wrapping_rem(other))),
            _ => {}
        }
    }
    if let (Some(one), Some(other)) = (left.number(), right.number()) {
        match operator {
            "+" => return Ok(Value::Float(one + other)),
            "-" => return Ok(Value::Float(one - other)),
            "*" => return Ok(Value::Float(one * other)),
            "/" => return Ok(Value::Float(one / other)),
            "**" | "^" => return Ok(Value::Float(one.powf(other))),
            _ => {}
        }
    }
    let moment = match (operator, left, right) {
        ("+", Value::String(one), Value::String(other)) => return Ok(Value::text(format!("{one}{other}"))),
        ("+", Value::Time(time), Value::Span(span)) | ("+", Value::Span(span), Value::Time(time)) => {
            time.checked_add_signed(*span).map(Value::Time)
        }
        ("-", Value::Time(time), Value::Span(span)) => time.checked_sub_signed(*span).map(Value::Time),
        ("-", Value::Time(one), Value::Time(other)) => Some(Value::Span(*one - *other)),
        ("+", Value::Span(one), Value::Span(other)) => one.checked_add(other).map(Value::Span),
        ("-", Value::Span(one), Value::Span(other)) => one.checked_sub(other).map(Value::Span),
        _ => None,
    };
    match moment {
        Some(moment) => Ok(moment),
        None => fail(format!("invalid operation: {} {operator} {}", left.type_name(), right.type_name())),
    }
}
