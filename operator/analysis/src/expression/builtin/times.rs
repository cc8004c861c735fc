//! Moments and lengths of time.

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, Timelike as _};
use crds::duration;

use crate::expression::{Problem, evaluate::text, kind::Kind, value::Value};

type Outcome = Result<Value, Problem>;

/// `duration('1h')`.
pub(super) fn duration(written: &Value) -> Outcome {
    duration::parse(text(written)?).map(Value::Span).map_err(|it| Problem(it.to_string()))
}

/// `date('2030-01-02')`, also with a time of day; without a zone it is UTC.
pub(super) fn date(written: &Value) -> Outcome {
    let written = text(written)?;
    let zoned = DateTime::parse_from_rfc3339(written).or_else(|_| DateTime::parse_from_rfc2822(written));
    let plain = || {
        let time = NaiveDateTime::parse_from_str(written, "%Y-%m-%d %H:%M:%S").ok();
        time.or_else(|| NaiveDate::parse_from_str(written, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))
    };
    match (zoned, plain()) {
        (Ok(zoned), _) => Ok(Value::Time(zoned.to_utc())),
        (Err(_), Some(plain)) => Ok(Value::Time(plain.and_utc())),
        (Err(_), None) => Err(Problem(format!("invalid date {written}"))),
    }
}

/// What a method of a moment or a length of time gives.
pub(crate) fn method(of: &Kind, name: &str) -> Result<Kind, Problem> {
    match (of, name) {
        (Kind::Time, "Year" | "Month" | "Day" | "Hour" | "Minute" | "Second" | "YearDay") => Ok(Kind::Int),
        (Kind::Span, "Hours" | "Minutes" | "Seconds") => Ok(Kind::Float),
        (Kind::Time, "Unix" | "UnixMilli") | (Kind::Span, "Milliseconds") => Ok(Kind::Int64),
        (of, name) => Err(Problem(format!("type {of} has no method {name}"))),
    }
}

/// Calls a method of a moment or a length of time.
pub(crate) fn call_method(of: &Value, name: &str) -> Outcome {
    Ok(match (of, name) {
        (Value::Time(time), "Year") => Value::Int(time.year().into()),
        (Value::Time(time), "Month") => Value::Int(time.month().into()),
        (Value::Time(time), "Day") => Value::Int(time.day().into()),
        (Value::Time(time), "Hour") => Value::Int(time.hour().into()),
        (Value::Time(time), "Minute") => Value::Int(time.minute().into()),
        (Value::Time(time), "Second") => Value::Int(time.second().into()),
        (Value::Time(time), "YearDay") => Value::Int(time.ordinal().into()),
        (Value::Time(time), "Unix") => Value::Int64(time.timestamp()),
        (Value::Time(time), "UnixMilli") => Value::Int64(time.timestamp_millis()),
        (Value::Span(span), "Hours") => Value::Float(crate::expression::value::seconds(*span) / 3600.0),
        (Value::Span(span), "Minutes") => Value::Float(crate::expression::value::seconds(*span) / 60.0),
        (Value::Span(span), "Seconds") => Value::Float(crate::expression::value::seconds(*span)),
        (Value::Span(span), "Milliseconds") => Value::Int64(span.num_milliseconds()),
        (of, name) => return Err(Problem(format!("cannot fetch {name} from {}", of.type_name()))),
    })
}
