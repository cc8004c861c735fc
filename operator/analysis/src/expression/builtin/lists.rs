//! Functions of lists and maps.

use std::{cmp::Ordering, sync::Arc};

use crate::expression::{
    Problem,
    evaluate::{compare, whole},
    value::Value,
};

type Outcome = Result<Value, Problem>;

/// A function of this file.
pub(super) fn call(function: &str, arguments: &[Value]) -> Outcome {
    let Some(subject) = arguments.first() else {
        return Err(Problem(format!("not enough arguments to call {function}")));
    };
    match (function, subject) {
        ("keys", Value::Map(fields)) => {
            return Ok(Value::list(fields.keys().map(|it| Value::text(it.as_str())).collect()));
        }
        ("values", Value::Map(fields)) => return Ok(Value::list(fields.values().cloned().collect())),
        ("keys" | "values", _) => {
            return Err(Problem(format!("cannot get {function} from {}", subject.type_name())));
        }
        _ => {}
    }
    let Some(items) = subject.items() else {
        return Err(Problem(format!("cannot {function} {}", subject.type_name())));
    };
    Ok(match function {
        "first" => items.first().cloned().unwrap_or(Value::Nil),
        "last" => items.last().cloned().unwrap_or(Value::Nil),
        "take" => {
            let count = arguments.get(1).map_or(Ok(0), whole)?;
            let count = usize::try_from(count)
                .map_err(|_| Problem::new("invalid argument for take (expected positive integer)"))?;
            Value::list(items.iter().take(count).cloned().collect())
        }
        "reverse" => Value::list(items.iter().rev().cloned().collect()),
        "uniq" => {
            let mut kept: Vec<Value> = Vec::new();
            for item in items.iter() {
                if !kept.iter().any(|it| it.equals(item)) {
                    kept.push(item.clone());
                }
            }
            Value::list(kept)
        }
        "concat" => {
            let mut all = Vec::new();
            for list in arguments {
                match list.items() {
                    Some(items) => all.extend(items.iter().cloned()),
                    None => return Err(Problem(format!("cannot concat {}", list.type_name()))),
                }
            }
            Value::list(all)
        }
        "flatten" => Value::list(items.iter().flat_map(flat).collect()),
        "sort" => {
            let pairs = items.iter().map(|it| (it.clone(), it.clone())).collect();
            sort(pairs, arguments.get(1))?
        }
        _ => return Err(Problem(format!("unknown name {function}"))),
    })
}

/// The element at a place, or the value of a key; nil where there is none.
pub(super) fn get(of: &Value, property: &Value) -> Outcome {
    Ok(match (of, property) {
        (Value::Map(fields), Value::String(name)) => fields.get(name.as_ref()).cloned().unwrap_or(Value::Nil),
        (Value::Groups(groups), key) => {
            groups.iter().find(|(it, _)| it.equals(key)).map_or(Value::Nil, |(_, items)| items.clone())
        }
        (Value::Nil | Value::Map(_), _) => Value::Nil,
        (list, index) => {
            let Some(items) = list.items() else {
                return Err(Problem(format!("type {} does not support indexing", list.type_name())));
            };
            let index = whole(index)?;
            let index =
                if index < 0 { i64::try_from(items.len()).unwrap_or(i64::MAX) + index } else { index };
            usize::try_from(index).ok().and_then(|it| items.get(it)).cloned().unwrap_or(Value::Nil)
        }
    })
}

fn flat(value: &Value) -> Vec<Value> {
    match value.items() {
        Some(items) => items.iter().flat_map(flat).collect(),
        None => vec![value.clone()],
    }
}

/// Lists of elements by key.
pub(crate) fn group(pairs: Vec<(Value, Value)>) -> Value {
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for (key, item) in pairs {
        match groups.iter_mut().find(|(known, _)| known.equals(&key)) {
            Some((_, items)) => items.push(item),
            None => groups.push((key, vec![item])),
        }
    }
    Value::Groups(Arc::new(groups.into_iter().map(|(key, items)| (key, Value::list(items))).collect()))
}

/// Elements in the order of their keys.
pub(crate) fn sort(mut pairs: Vec<(Value, Value)>, order: Option<&Value>) -> Outcome {
    let descending = match order {
        None => false,
        Some(Value::String(order)) if order.as_ref() == "asc" => false,
        Some(Value::String(order)) if order.as_ref() == "desc" => true,
        Some(_) => return Err(Problem::new("invalid order, expected asc or desc")),
    };
    for neighbours in pairs.windows(2) {
        compare("<", &neighbours[1].0, &neighbours[0].0)?;
    }
    let less = |one: &Value, other: &Value| compare("<", one, other).unwrap_or(false);
    pairs.sort_by(|(one, _), (other, _)| {
        let order = match (less(one, other), less(other, one)) {
            (true, _) => Ordering::Less,
            (_, true) => Ordering::Greater,
            _ => Ordering::Equal,
        };
        if descending { order.reverse() } else { order }
    });
    Ok(Value::list(pairs.into_iter().map(|(_, item)| item).collect()))
}
