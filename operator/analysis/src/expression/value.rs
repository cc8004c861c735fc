//! Values of the language, with the types that Go gives them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};

/// A value. Lists, maps and texts are shared, so that a copy costs nothing: a loop over a large result copies parts of
/// it again and again.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing.
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number as written in an expression.
    Int(i64),
    /// A whole number as `asInt` makes it. Go has another type for it, and says so in messages.
    Int64(i64),
    /// A number. All numbers of JSON are of this kind.
    Float(f64),
    /// A text.
    String(Arc<str>),
    /// A list of anything.
    List(Arc<Vec<Self>>),
    /// A list of numbers: what a metric system answers.
    Floats(Arc<Vec<f64>>),
    /// A map from texts, as JSON has it.
    Map(Arc<BTreeMap<String, Self>>),
    /// A map from anything: what `groupBy` makes.
    Groups(Arc<Vec<(Self, Self)>>),
    /// A moment.
    Time(DateTime<Utc>),
    /// A length of time.
    Span(TimeDelta),
}

impl Value {
    /// A text.
    #[must_use]
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::String(text.into())
    }

    /// A list.
    #[must_use]
    pub fn list(items: Vec<Self>) -> Self {
        Self::List(Arc::new(items))
    }

    /// A value of JSON.
    #[must_use]
    pub fn of_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(flag) => Self::Bool(*flag),
            serde_json::Value::Number(number) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::text(text.as_str()),
            serde_json::Value::Array(items) => Self::list(items.iter().map(Self::of_json).collect()),
            serde_json::Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.clone(), Self::of_json(value)));
                Self::Map(Arc::new(fields.collect()))
            }
        }
    }

    /// The name of its type in Go's messages.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Float(_) => "float64",
            Self::String(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Floats(_) => "[]float64",
            Self::Map(_) => "map[string]interface {}",
            Self::Groups(_) => "map[interface {}][]interface {}",
            Self::Time(_) => "time.Time",
            Self::Span(_) => "time.Duration",
        }
    }

    /// Whether it is nil.
    #[must_use]
    pub const fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// A number, whole or not.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "Go converts the same way")]
    pub const fn number(&self) -> Option<f64> {
        match self {
            Self::Int(number) | Self::Int64(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// A whole number.
    #[must_use]
    pub const fn whole(&self) -> Option<i64> {
        match self {
            Self::Int(number) | Self::Int64(number) => Some(*number),
            _ => None,
        }
    }

    /// The elements of a list.
    #[must_use]
    pub fn items(&self) -> Option<Arc<Vec<Self>>> {
        match self {
            Self::List(items) => Some(items.clone()),
            Self::Floats(numbers) => Some(Arc::new(numbers.iter().copied().map(Self::Float).collect())),
            _ => None,
        }
    }

    /// Whether both are the same, as `==` sees it: whole numbers and others are compared by value.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        if let (Some(one), Some(other)) = (self.whole(), other.whole()) {
            return one == other;
        }
        #[expect(clippy::float_cmp, reason = "Go compares the same way")]
        if let (Some(one), Some(other)) = (self.number(), other.number()) {
            return one == other;
        }
        match (self, other) {
            (one, other) if one.is_nil() || other.is_nil() => one.is_nil() && other.is_nil(),
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::String(one), Self::String(other)) => one == other,
            (Self::Time(one), Self::Time(other)) => one == other,
            (Self::Span(one), Self::Span(other)) => one == other,
            (Self::Map(one), Self::Map(other)) => {
                one.len() == other.len()
                    && one.iter().all(|(name, value)| other.get(name).is_some_and(|it| it.equals(value)))
            }
            (one, other) => match (one.items(), other.items()) {
                (Some(one), Some(other)) => {
                    one.len() == other.len() && one.iter().zip(other.iter()).all(|(a, b)| a.equals(b))
                }
                _ => false,
            },
        }
    }
}

/// As Go's `%v` prints it, which is also what `string()` makes of it and what a measurement shows.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("<nil>"),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Int(number) | Self::Int64(number) => write!(f, "{number}"),
            Self::Float(number) => f.write_str(&float_text(*number)),
            Self::String(text) => f.write_str(text),
            Self::List(_) | Self::Floats(_) => {
                let items = self.items().unwrap_or_default();
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let space = if index == 0 { "" } else { " " };
                    write!(f, "{space}{item}")?;
                }
                f.write_str("]")
            }
            Self::Map(fields) => {
                f.write_str("map[")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    let space = if index == 0 { "" } else { " " };
                    write!(f, "{space}{name}:{value}")?;
                }
                f.write_str("]")
            }
            Self::Groups(groups) => {
                f.write_str("map[")?;
                for (index, (key, items)) in groups.iter().enumerate() {
                    let space = if index == 0 { "" } else { " " };
                    write!(f, "{space}{key}:{items}")?;
                }
                f.write_str("]")
            }
            Self::Time(time) => write!(f, "{}", time.format("%Y-%m-%d %H:%M:%S %z UTC")),
            Self::Span(span) => write!(f, "{}s", float_text(seconds(*span))),
        }
    }
}

/// A length of time in seconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "as Go's Duration.Seconds()")]
pub(super) fn seconds(span: TimeDelta) -> f64 {
    span.num_nanoseconds().map_or_else(|| span.num_seconds() as f64, |it| it as f64 / 1e9)
}

/// A number as Go's `%v` prints it: the shortest digits that are exact, with an exponent below 1e-4 and from 1e21.
#[must_use]
pub fn float_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |it| ('-', it));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_go_prints_them() {
        let texts = [
            (0.0, "0"),
            (1.0, "1"),
            (0.99, "0.99"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-1.5e-7, "-1.5e-07"),
        ];
        for (number, text) in texts {
            assert_eq!(float_text(number), text);
        }
    }
}
