//! Runs an expression. What a check of types cannot see fails here, in the words of expr-lang's machine.

use std::{collections::BTreeMap, sync::Arc};

use regex::Regex;

use super::{MOST_STEPS, Problem, Surroundings, builtin, tree::Node, value::Value};

type Outcome = Result<Value, Problem>;

/// The value of an expression.
pub(super) fn evaluate(node: &Node, surroundings: Surroundings<'_>) -> Outcome {
    Machine { surroundings, variables: Vec::new(), items: Vec::new(), steps: 0 }.run(node)
}

/// What a closure is called with.
struct Item {
    value: Value,
    index: i64,
    accumulated: Value,
}

struct Machine<'a> {
    surroundings: Surroundings<'a>,
    variables: Vec<(&'a str, Value)>,
    items: Vec<Item>,
    steps: u64,
}

fn fail<T>(message: String) -> Result<T, Problem> {
    Err(Problem(message))
}

impl<'a> Machine<'a> {
    fn run(&mut self, node: &'a Node) -> Outcome {
        self.spend(1)?;
        match node {
            Node::Literal(value) => Ok(value.clone()),
            Node::Name(name) => Ok(self.name(name)),
            Node::Item(name) => Ok(self.item(name)),
            Node::List(items) => Ok(Value::list(self.all(items)?)),
            Node::Map(fields) => self.map(fields),
            Node::Unary { operator, operand } => {
                let operand = self.run(operand)?;
                unary(operator, &operand)
            }
            Node::Binary { operator, left, right } => self.binary(operator, left, right),
            Node::Comparisons { first, rest } => {
                let mut left = self.run(first)?;
                for (operator, right) in rest {
                    let right = self.run(right)?;
                    if !compare(operator, &left, &right)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Ok(Value::Bool(true))
            }
            Node::Member { .. } | Node::Method { .. } => {
                // Without a `?.` in the chain there is nothing that could cut it short.
                Ok(self.link(node)?.unwrap_or(Value::Nil))
            }
            Node::Chain(chain) => Ok(self.link(chain)?.unwrap_or(Value::Nil)),
            Node::Slice { of, from, to } => self.slice(of, from.as_deref(), to.as_deref()),
            Node::Choice { condition, then, otherwise } => {
                let condition = self.run(condition)?;
                if flag(&condition)? { self.run(then) } else { self.run(otherwise) }
            }
            Node::Let { name, value, body } => {
                let value = self.run(value)?;
                self.variables.push((name, value));
                let body = self.run(body);
                self.variables.pop();
                body
            }
            Node::Sequence(nodes) => Ok(self.all(nodes)?.pop().unwrap_or(Value::Nil)),
            Node::Call { function, arguments } => {
                let arguments = self.all(arguments)?;
                let value = builtin::call(function, &arguments, &self.surroundings)?;
                self.made(&value)?;
                Ok(value)
            }
            Node::Each { function, list, closure, third } => {
                self.each(function, list, closure.as_deref(), third.as_deref())
            }
        }
    }

    /// Counts steps, so that no expression runs for long.
    fn spend(&mut self, steps: usize) -> Result<(), Problem> {
        self.steps = self.steps.saturating_add(u64::try_from(steps).unwrap_or(u64::MAX));
        if self.steps > MOST_STEPS { fail("memory budget exceeded".to_owned()) } else { Ok(()) }
    }

    /// Counts what a value takes that was made just now.
    fn made(&mut self, value: &Value) -> Result<(), Problem> {
        self.spend(match value {
            Value::String(text) => text.len() / 16,
            Value::List(items) => items.len(),
            Value::Floats(items) => items.len(),
            _ => 0,
        })
    }

    fn all(&mut self, nodes: &'a [Node]) -> Result<Vec<Value>, Problem> {
        nodes.iter().map(|it| self.run(it)).collect()
    }

    fn name(&self, name: &str) -> Value {
        let variable = self.variables.iter().rev().find(|(known, _)| *known == name);
        match variable {
            Some((_, value)) => value.clone(),
            None if name == "$env" => {
                let result = ("result".to_owned(), self.surroundings.result.clone());
                Value::Map(Arc::new(BTreeMap::from([result])))
            }
            None => self.surroundings.result.clone(),
        }
    }

    fn item(&self, name: &str) -> Value {
        let Some(item) = self.items.last() else { return Value::Nil };
        match name {
            "index" => Value::Int(item.index),
            "acc" => item.accumulated.clone(),
            _ => item.value.clone(),
        }
    }

    fn map(&mut self, fields: &'a [(Node, Node)]) -> Outcome {
        let mut map = BTreeMap::new();
        for (key, value) in fields {
            let key = self.run(key)?;
            let Value::String(key) = key else {
                return fail(format!(
                    "interface conversion: interface {{}} is {}, not string",
                    go_type(&key)
                ));
            };
            map.insert(key.to_string(), self.run(value)?);
        }
        Ok(Value::Map(Arc::new(map)))
    }

    /// A link of a chain; `None` if a `?.` in it met nil.
    fn link(&mut self, node: &'a Node) -> Result<Option<Value>, Problem> {
        match node {
            Node::Member { of, property, optional } => {
                let Some(of) = self.link(of)? else { return Ok(None) };
                if *optional && of.is_nil() {
                    return Ok(None);
                }
                let property = self.run(property)?;
                fetch(&of, &property).map(Some)
            }
            Node::Method { of, name, arguments } => {
                let Some(of) = self.link(of)? else { return Ok(None) };
                self.all(arguments)?;
                builtin::call_method(&of, name).map(Some)
            }
            node => self.run(node).map(Some),
        }
    }

    fn slice(&mut self, of: &'a Node, from: Option<&'a Node>, to: Option<&'a Node>) -> Outcome {
        let of = self.run(of)?;
        let mut bound = |node: Option<&'a Node>| match node {
            Some(node) => whole(&self.run(node)?).map(Some),
            None => Ok(None),
        };
        let (from, to) = (bound(from)?, bound(to)?);
        let range = |length: usize| {
            let place = |at: i64| {
                let length = i64::try_from(length).unwrap_or(i64::MAX);
                let at = if at < 0 { length.saturating_add(at).max(0) } else { at.min(length) };
                usize::try_from(at).unwrap_or_default()
            };
            let to = to.map_or(length, place);
            (from.map_or(0, place).min(to), to)
        };
        if let Value::String(text) = &of {
            let letters: Vec<char> = text.chars().collect();
            let (from, to) = range(letters.len());
            return Ok(Value::text(letters[from..to].iter().collect::<String>()));
        }
        let Some(items) = of.items() else {
            return fail(format!("cannot slice {}", of.type_name()));
        };
        let (from, to) = range(items.len());
        self.spend(to - from)?;
        Ok(Value::list(items[from..to].to_vec()))
    }

    fn binary(&mut self, operator: &str, left: &'a Node, right: &'a Node) -> Outcome {
        let value = self.run(left)?;
        match operator {
            "and" | "&&" if !flag(&value)? => return Ok(Value::Bool(false)),
            "or" | "||" if flag(&value)? => return Ok(Value::Bool(true)),
            "??" if !value.is_nil() => return Ok(value),
            "and" | "&&" | "or" | "||" | "??" => return self.run(right),
            _ => {}
        }
        let other = self.run(right)?;
        match operator {
            "==" | "!=" => {
                whole_places(left, right, &value, &other)?;
                Ok(Value::Bool(value.equals(&other) == (operator == "==")))
            }
            "<" | ">" | "<=" | ">=" => compare(operator, &value, &other).map(Value::Bool),
            "in" => contains(&other, &value).map(Value::Bool),
            "matches" | "contains" | "startsWith" | "endsWith" => text_test(operator, &value, &other),
            ".." => {
                let (first, last) = (whole(&value)?, whole(&other)?);
                let length = last.saturating_sub(first).saturating_add(1).max(0);
                self.spend(usize::try_from(length).unwrap_or(usize::MAX))?;
                Ok(Value::list((first..=last).map(Value::Int).collect()))
            }
            _ => {
                let made = builtin::arithmetic(operator, &value, &other)?;
                self.made(&made)?;
                Ok(made)
            }
        }
    }

    fn each(
        &mut self,
        function: &str,
        list: &'a Node,
        closure: Option<&'a Node>,
        third: Option<&'a Node>,
    ) -> Outcome {
        let list = self.run(list)?;
        let Some(items) = list.items() else {
            return fail(format!("cannot range over {}", list.type_name()));
        };
        let third = third.map(|it| self.run(it)).transpose()?;
        if function == "reduce" {
            return self.reduce(&items, closure, third);
        }
        let mut found = Vec::new();
        let mut sum = Value::Int(0);
        let order: Box<dyn Iterator<Item = usize>> = match function {
            "findLast" | "findLastIndex" => Box::new((0..items.len()).rev()),
            _ => Box::new(0..items.len()),
        };
        for index in order {
            let item = items[index].clone();
            let given = match closure {
                Some(closure) => self.call(closure, item.clone(), index, Value::Nil)?,
                None => item.clone(),
            };
            match function {
                "map" | "groupBy" | "sortBy" => found.push((given, item)),
                "sum" => sum = builtin::arithmetic("+", &given, &sum)?,
                _ => match (function, flag(&given)?) {
                    ("all", false) | ("none", true) => return Ok(Value::Bool(false)),
                    ("any", true) => return Ok(Value::Bool(true)),
                    ("find" | "findLast", true) => return Ok(item),
                    ("findIndex" | "findLastIndex", true) => {
                        return Ok(Value::Int(i64::try_from(index).unwrap_or(i64::MAX)));
                    }
                    (_, true) => found.push((given, item)),
                    (_, false) => {}
                },
            }
        }
        let count = i64::try_from(found.len()).unwrap_or(i64::MAX);
        Ok(match function {
            "all" | "none" => Value::Bool(true),
            "any" => Value::Bool(false),
            "one" => Value::Bool(count == 1),
            "count" => Value::Int(count),
            "sum" => sum,
            "map" => Value::list(found.into_iter().map(|(given, _)| given).collect()),
            "filter" => Value::list(found.into_iter().map(|(_, item)| item).collect()),
            "groupBy" => builtin::group(found),
            "sortBy" => builtin::sort(found, third.as_ref())?,
            _ => Value::Nil,
        })
    }

    fn reduce(&mut self, items: &[Value], closure: Option<&'a Node>, start: Option<Value>) -> Outcome {
        let Some(closure) = closure else { return Ok(Value::Nil) };
        let (mut accumulated, from) = match (start, items.first()) {
            (Some(start), _) => (start, 0),
            (None, Some(first)) => (first.clone(), 1),
            (None, None) => return fail("reduce of empty array with no initial value".to_owned()),
        };
        for (index, item) in items.iter().enumerate().skip(from) {
            accumulated = self.call(closure, item.clone(), index, accumulated)?;
        }
        Ok(accumulated)
    }

    fn call(&mut self, closure: &'a Node, value: Value, index: usize, accumulated: Value) -> Outcome {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        self.items.push(Item { value, index, accumulated });
        let given = self.run(closure);
        self.items.pop();
        given
    }
}

/// Go compares the place that `findIndex` found with a number as whole numbers, and a place that is none is none.
fn whole_places(left: &Node, right: &Node, value: &Value, other: &Value) -> Result<(), Problem> {
    let place = |node: &Node| matches!(node, Node::Each { function, .. } if matches!(function.as_str(), "findIndex" | "findLastIndex"));
    let number = |node: &Node| matches!(node, Node::Literal(Value::Int(_)));
    let none =
        place(left) && number(right) && value.is_nil() || place(right) && number(left) && other.is_nil();
    if none { fail("interface conversion: interface {} is nil, not int".to_owned()) } else { Ok(()) }
}

/// The name of a type where Go tells of a failed conversion.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        value => value.type_name(),
    }
}

pub(super) fn flag(value: &Value) -> Result<bool, Problem> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        _ => fail(format!("interface conversion: interface {{}} is {}, not bool", go_type(value))),
    }
}

pub(super) fn text(value: &Value) -> Result<&str, Problem> {
    match value {
        Value::String(text) => Ok(text),
        _ => fail(format!("interface conversion: interface {{}} is {}, not string", go_type(value))),
    }
}

/// A number where Go wants a `float64`.
pub(super) fn float(value: &Value) -> Result<f64, Problem> {
    match value {
        Value::Float(number) => Ok(*number),
        Value::Int(_) => Ok(value.number().unwrap_or(f64::NAN)),
        _ => fail(format!("interface conversion: interface {{}} is {}, not float64", go_type(value))),
    }
}

/// A number as a whole one, as Go converts it on its machines.
pub(super) fn whole(value: &Value) -> Result<i64, Problem> {
    match value {
        Value::Int(number) | Value::Int64(number) => Ok(*number),
        Value::Float(number) => Ok(truncated(*number)),
        _ => fail(format!("invalid operation: int({})", value.type_name())),
    }
}

/// Go on amd64 makes the smallest number of what has none.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "the range is checked")]
pub(super) fn truncated(number: f64) -> i64 {
    if number >= i64::MIN as f64 && number < i64::MAX as f64 { number as i64 } else { i64::MIN }
}

fn fetch(of: &Value, property: &Value) -> Outcome {
    match of {
        Value::Map(fields) => match property {
            Value::String(name) => Ok(fields.get(name.as_ref()).cloned().unwrap_or(Value::Nil)),
            _ => Ok(Value::Nil),
        },
        Value::Groups(groups) => {
            let group = groups.iter().find(|(key, _)| key.equals(property));
            Ok(group.map_or(Value::Nil, |(_, items)| items.clone()))
        }
        Value::String(text) => {
            let at = place(whole(property)?, text.len())?;
            Ok(Value::Int(text.as_bytes()[at].into()))
        }
        Value::List(items) => Ok(items[place(whole(property)?, items.len())?].clone()),
        Value::Floats(numbers) => Ok(Value::Float(numbers[place(whole(property)?, numbers.len())?])),
        _ => fail(format!("cannot fetch {property} from {}", of.type_name())),
    }
}

fn place(index: i64, length: usize) -> Result<usize, Problem> {
    let count = i64::try_from(length).unwrap_or(i64::MAX);
    let index = if index < 0 { count.saturating_add(index) } else { index };
    match usize::try_from(index) {
        Ok(place) if place < length => Ok(place),
        _ => fail(format!("index out of range: {index} (array length is {length})")),
    }
}

fn unary(operator: &str, operand: &Value) -> Outcome {
    match (operator, operand) {
        ("!" | "not", _) => flag(operand).map(|it| Value::Bool(!it)),
        ("+", Value::Int(_) | Value::Int64(_) | Value::Float(_)) => Ok(operand.clone()),
        ("-", Value::Int(number)) => Ok(Value::Int(number.wrapping_neg())),
        ("-", Value::Int64(number)) => Ok(Value::Int64(number.wrapping_neg())),
        ("-", Value::Float(number)) => Ok(Value::Float(-number)),
        _ => fail(format!("invalid operation: {operator} {}", operand.type_name())),
    }
}

/// `<`, `>`, `<=`, `>=`.
pub(super) fn compare(operator: &str, left: &Value, right: &Value) -> Result<bool, Problem> {
    let order = match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Time(left), Value::Time(right)) => Some(left.cmp(right)),
        (Value::Span(left), Value::Span(right)) => Some(left.cmp(right)),
        _ => match (left.number(), right.number()) {
            (Some(left), Some(right)) => left.partial_cmp(&right),
            _ => {
                return fail(format!(
                    "invalid operation: {} {operator} {}",
                    left.type_name(),
                    right.type_name()
                ));
            }
        },
    };
    Ok(match operator {
        "<" => order.is_some_and(std::cmp::Ordering::is_lt),
        ">" => order.is_some_and(std::cmp::Ordering::is_gt),
        "<=" => order.is_some_and(std::cmp::Ordering::is_le),
        _ => order.is_some_and(std::cmp::Ordering::is_ge),
    })
}

fn contains(list: &Value, value: &Value) -> Result<bool, Problem> {
    match list {
        Value::Nil => Ok(false),
        Value::Map(fields) => match value {
            Value::String(name) => Ok(fields.contains_key(name.as_ref())),
            _ => Ok(false),
        },
        Value::Groups(groups) => Ok(groups.iter().any(|(key, _)| key.equals(value))),
        list => match list.items() {
            Some(items) => Ok(items.iter().any(|it| it.equals(value))),
            None => fail(format!("operator \"in\" not defined on {}", list.type_name())),
        },
    }
}

fn text_test(operator: &str, left: &Value, right: &Value) -> Outcome {
    if left.is_nil() || right.is_nil() {
        return Ok(Value::Bool(false));
    }
    let (left, right) = (text(left)?, text(right)?);
    Ok(Value::Bool(match operator {
        "contains" => left.contains(right),
        "startsWith" => left.starts_with(right),
        "endsWith" => left.ends_with(right),
        _ => match Regex::new(right) {
            Ok(pattern) => pattern.is_match(left),
            Err(why) => return Err(Problem::of_pattern(right, &why)),
        },
    }))
}
