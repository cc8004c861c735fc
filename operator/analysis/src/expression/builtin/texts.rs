//! Functions of texts.

use crate::expression::{
    MOST_STEPS, Problem,
    evaluate::{text, whole},
    value::Value,
};

type Outcome = Result<Value, Problem>;

/// A function of this file, if it is one.
pub(super) fn call(function: &str, arguments: &[Value]) -> Option<Outcome> {
    let known = matches!(
        function,
        "upper"
            | "lower"
            | "trim"
            | "trimPrefix"
            | "trimSuffix"
            | "split"
            | "splitAfter"
            | "replace"
            | "repeat"
            | "join"
            | "indexOf"
            | "lastIndexOf"
            | "hasPrefix"
            | "hasSuffix"
            | "fromJSON"
            | "toJSON"
    );
    known.then(|| apply(function, arguments))
}

fn apply(function: &str, arguments: &[Value]) -> Outcome {
    if let ("join", [list, ..]) = (function, arguments) {
        return join(list, arguments.get(1));
    }
    if let ("toJSON", [value]) = (function, arguments) {
        return to_json(value);
    }
    let subject = match arguments.first() {
        Some(subject) => text(subject)?,
        None => return Err(Problem(format!("not enough arguments to call {function}"))),
    };
    let second = arguments.get(1);
    Ok(match (function, second) {
        ("upper", _) => Value::text(subject.to_uppercase()),
        ("lower", _) => Value::text(subject.to_lowercase()),
        ("trim", None) => Value::text(subject.trim()),
        ("trim", Some(set)) => {
            let set = text(set)?;
            Value::text(subject.trim_matches(|it| set.contains(it)))
        }
        ("trimPrefix", prefix) => {
            let prefix = prefix.map_or(Ok(" "), text)?;
            Value::text(subject.strip_prefix(prefix).unwrap_or(subject))
        }
        ("trimSuffix", suffix) => {
            let suffix = suffix.map_or(Ok(" "), text)?;
            Value::text(subject.strip_suffix(suffix).unwrap_or(subject))
        }
        ("split" | "splitAfter", Some(separator)) => {
            let most = arguments.get(2).map(whole).transpose()?;
            split(function, subject, text(separator)?, most)
        }
        ("replace", Some(old)) => {
            let (old, new) = (text(old)?, arguments.get(2).map_or(Ok(""), text)?);
            match arguments.get(3).map(whole).transpose()?.and_then(|it| usize::try_from(it).ok()) {
                Some(count) => Value::text(subject.replacen(old, new, count)),
                None => Value::text(subject.replace(old, new)),
            }
        }
        ("repeat", Some(count)) => {
            let count = usize::try_from(whole(count)?)
                .map_err(|_| Problem::new("invalid argument for repeat (expected positive integer)"))?;
            let fits = count.checked_mul(subject.len()).and_then(|it| u64::try_from(it).ok());
            if fits.is_none_or(|it| it > MOST_STEPS) {
                return Err(Problem::new("memory budget exceeded"));
            }
            Value::text(subject.repeat(count))
        }
        ("indexOf", Some(part)) => at(subject.find(text(part)?)),
        ("lastIndexOf", Some(part)) => at(subject.rfind(text(part)?)),
        ("hasPrefix", Some(part)) => Value::Bool(subject.starts_with(text(part)?)),
        ("hasSuffix", Some(part)) => Value::Bool(subject.ends_with(text(part)?)),
        ("fromJSON", _) => from_json(subject)?,
        _ => return Err(Problem(format!("not enough arguments to call {function}"))),
    })
}

fn at(place: Option<usize>) -> Value {
    Value::Int(place.and_then(|it| i64::try_from(it).ok()).unwrap_or(-1))
}

fn split(function: &str, subject: &str, separator: &str, most: Option<i64>) -> Value {
    let most = most.and_then(|it| usize::try_from(it).ok()).unwrap_or(usize::MAX);
    let parts: Vec<Value> = match (function, separator) {
        (_, "") => subject.chars().map(|it| Value::text(it.to_string())).collect(),
        ("split", separator) => subject.splitn(most, separator).map(Value::text).collect(),
        (_, separator) => subject.split_inclusive(separator).map(Value::text).collect(),
    };
    Value::list(parts)
}

fn join(list: &Value, separator: Option<&Value>) -> Outcome {
    let Some(items) = list.items() else {
        return Err(Problem(format!("invalid argument for join (type {})", list.type_name())));
    };
    let separator = separator.map_or(Ok(""), text)?;
    let texts: Result<Vec<&str>, Problem> = items.iter().map(text).collect();
    Ok(Value::text(texts?.join(separator)))
}

fn from_json(text: &str) -> Outcome {
    if text.trim().is_empty() {
        return Err(Problem::new("unexpected end of JSON input"));
    }
    match serde_json::from_str(text) {
        Ok(json) => Ok(Value::of_json(&json)),
        Err(error) => Err(Problem(match text.trim_start().chars().next() {
            Some(first) if error.column() <= 2 && first.is_alphabetic() => {
                format!("invalid character '{first}' looking for beginning of value")
            }
            _ => error.to_string(),
        })),
    }
}

fn to_json(value: &Value) -> Outcome {
    match json(value) {
        Some(json) => {
            serde_json::to_string_pretty(&json).map(Value::text).map_err(|it| Problem(it.to_string()))
        }
        None => Err(Problem(format!("json: unsupported value: {value}"))),
    }
}

/// A value as JSON; `None` for numbers that JSON has no words for.
fn json(value: &Value) -> Option<serde_json::Value> {
    use serde_json::Value as Json;
    Some(match value {
        Value::Nil => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Int(number) | Value::Int64(number) => Json::from(*number),
        Value::Float(number) => match truncated_exactly(*number) {
            Some(whole) => Json::from(whole),
            None => Json::Number(serde_json::Number::from_f64(*number)?),
        },
        Value::String(text) => Json::String(text.to_string()),
        Value::List(_) | Value::Floats(_) => {
            Json::Array(value.items()?.iter().map(json).collect::<Option<_>>()?)
        }
        Value::Map(fields) => {
            let fields = fields.iter().map(|(name, value)| Some((name.clone(), json(value)?)));
            Json::Object(fields.collect::<Option<_>>()?)
        }
        Value::Groups(_) | Value::Time(_) | Value::Span(_) => Json::String(value.to_string()),
    })
}

/// A whole number, which JSON writes without a point.
fn truncated_exactly(number: f64) -> Option<i64> {
    let whole = crate::expression::evaluate::truncated(number);
    (number.fract() == 0.0 && whole != i64::MIN && number.abs() < 1e21).then_some(whole)
}
