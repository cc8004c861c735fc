//! The texts of the command line that are values of some form.

use std::time::Duration;

pub(super) fn named_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("arguments must be in the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) fn go_duration(text: &str) -> Result<Duration, String> {
    let duration = operator_core::duration::parse(text).map_err(|error| error.to_string())?;
    duration.to_std().map_err(|_| String::from("must not be negative"))
}

pub(super) fn requests(text: &str) -> Result<f64, String> {
    let requests = text.parse::<f64>().ok().filter(|it| *it > 0.0 && *it <= 1e9);
    requests.ok_or_else(|| String::from("must be a number above 0"))
}

/// `0.1%` or `0.001`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').map(|number| number.trim_end().parse::<f64>().map(|it| it / 100.0));
    let share = percent.unwrap_or_else(|| text.parse()).ok().filter(|it| (0.0..1.0).contains(it));
    share.ok_or_else(|| String::from("must be a share of less than 1, such as 0.5% or 0.005"))
}

pub(super) fn factor(text: &str) -> Result<f64, String> {
    let factor = text.parse::<f64>().ok().filter(|it| (1.0..=1000.0).contains(it));
    factor.ok_or_else(|| String::from("must be between 1 and 1000"))
}

/// kubectl takes `--request-timeout=10` for ten seconds.
pub(super) fn go_duration_or_seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).or_else(|_| go_duration(text))
}
