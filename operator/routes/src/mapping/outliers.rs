//! `outlier_detection`, which Emissary lost: an object, or its JSON as a text, with Envoy's names.

use proxy_config::model::{Enforced, Outliers, SuccessRate};
use serde_json::Value;

use crate::{duration::milliseconds, fields::Fields};

const FIELD: &str = "outlier_detection";
/// What is looked for where nothing is said of it, as in Envoy.
const CONSECUTIVE_5XX: u32 = 5;
/// What turns the comparison with other endpoints on.
const OF_SUCCESS_RATE: [&str; 4] = [
    "success_rate_minimum_hosts",
    "success_rate_request_volume",
    "success_rate_stdev_factor",
    "enforcing_success_rate",
];
const OF_CONSECUTIVE: [&str; 6] = [
    "consecutive_5xx",
    "consecutive_gateway_failure",
    "consecutive_local_origin_failure",
    "enforcing_consecutive_5xx",
    "enforcing_consecutive_gateway_failure",
    "enforcing_consecutive_local_origin_failure",
];
const OF_EJECTIONS: [&str; 7] = [
    "interval",
    "interval_ms",
    "base_ejection_time",
    "base_ejection_time_ms",
    "max_ejection_time",
    "max_ejection_time_ms",
    "max_ejection_percent",
];

/// Fields that mean nothing here are told in `remarks`.
pub(super) fn outliers(fields: &Fields<'_>, remarks: &mut Vec<String>) -> Result<Outliers, String> {
    let parsed;
    let value = match fields.value(FIELD) {
        None => return Ok(Outliers::default()),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(Outliers::default()),
        Some(Value::String(text)) => {
            parsed = serde_json::from_str::<Value>(text)
                .map_err(|_| format!("`{FIELD}` is `{text}`, not an object or the JSON of one"))?;
            &parsed
        }
        Some(value) => value,
    };
    let object = Fields::of(value, FIELD)?;
    let known = |name: &str| {
        [&OF_SUCCESS_RATE[..], &OF_CONSECUTIVE, &OF_EJECTIONS].iter().any(|names| names.contains(&name))
    };
    let unknown = object.0.keys().filter(|name| !known(name));
    remarks.extend(unknown.map(|name| format!("`{FIELD}.{name}` is not acted on")));
    read(&object).map_err(|error| format!("in `{FIELD}`: {error}"))
}

fn read(object: &Fields<'_>) -> Result<Outliers, String> {
    let count = |field| object.number(field, 0, u32::MAX);
    let percent = |field, standard| Ok::<_, String>(object.number(field, 0, 100)?.unwrap_or(standard));
    let time = |field, plain, standard| {
        let written = match object.value(field) {
            Some(Value::String(text)) => Some(milliseconds(text)?),
            Some(_) => count(field)?,
            None => count(plain)?,
        };
        Ok::<_, String>(written.filter(|time| *time > 0).unwrap_or(standard))
    };
    let consecutive = |field| Ok::<_, String>(count(field)?.filter(|number| *number > 0));
    let has = |names: &[&str]| names.iter().any(|name| object.value(name).is_some());
    let (of_success_rate, standard) = (has(&OF_SUCCESS_RATE), Outliers::default());
    let says_nothing = !of_success_rate && !has(&OF_CONSECUTIVE[..3]);
    let (rate, whole) = (SuccessRate::default(), Enforced::default());
    Ok(Outliers {
        server_errors: consecutive("consecutive_5xx")?.or_else(|| says_nothing.then_some(CONSECUTIVE_5XX)),
        gateway_errors: consecutive("consecutive_gateway_failure")?,
        local_failures: consecutive("consecutive_local_origin_failure")?,
        success_rate: if of_success_rate {
            Some(SuccessRate {
                minimum_hosts: count("success_rate_minimum_hosts")?.unwrap_or(rate.minimum_hosts),
                request_volume: count("success_rate_request_volume")?.unwrap_or(rate.request_volume),
                deviations_per_mille: count("success_rate_stdev_factor")?
                    .unwrap_or(rate.deviations_per_mille),
            })
        } else {
            None
        },
        enforced: Enforced {
            server_errors: percent("enforcing_consecutive_5xx", whole.server_errors)?,
            gateway_errors: percent("enforcing_consecutive_gateway_failure", whole.gateway_errors)?,
            local_failures: percent("enforcing_consecutive_local_origin_failure", whole.local_failures)?,
            success_rate: percent("enforcing_success_rate", whole.success_rate)?,
        },
        interval_ms: time("interval", "interval_ms", standard.interval_ms)?,
        base_ejection_ms: time("base_ejection_time", "base_ejection_time_ms", standard.base_ejection_ms)?,
        max_ejection_ms: time("max_ejection_time", "max_ejection_time_ms", standard.max_ejection_ms)?,
        max_ejection_percent: percent("max_ejection_percent", standard.max_ejection_percent)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(written: &Value) -> (Outliers, Vec<String>) {
        let mut remarks = Vec::new();
        let spec = json!({"outlier_detection": written});
        let outliers = outliers(&Fields::of(&spec, "spec").unwrap(), &mut remarks).unwrap();
        (outliers, remarks)
    }

    #[test]
    fn what_is_looked_for_is_what_is_written_and_else_what_envoy_looks_for() {
        let looked_for = |written: Value| {
            let (it, remarks) = of(&written);
            assert_eq!(remarks, Vec::<String>::new());
            (it.server_errors, it.success_rate.map(|it| it.minimum_hosts))
        };
        for (written, expected) in [
            (json!(""), (None, None)),
            (json!({}), (Some(5), None)),
            (json!({"max_ejection_percent": 50}), (Some(5), None)),
            (json!({"consecutive_5xx": 3}), (Some(3), None)),
            (json!({"consecutive_gateway_failure": 3}), (None, None)),
            (json!({"success_rate_minimum_hosts": 3}), (None, Some(3))),
            (json!({"enforcing_success_rate": 50}), (None, Some(5))),
            (json!({"consecutive_5xx": 7, "success_rate_stdev_factor": 1000}), (Some(7), Some(5))),
        ] {
            assert_eq!(looked_for(written.clone()), expected, "{written}");
        }
    }

    #[test]
    fn success_rates_and_how_often_they_count_are_read() {
        let (outliers, remarks) = of(&json!({
            "success_rate_request_volume": 30, "success_rate_stdev_factor": 1000, "enforcing_success_rate": 80,
            "enforcing_consecutive_5xx": 0, "split_external_local_origin_errors": true,
        }));
        let expected = SuccessRate { minimum_hosts: 5, request_volume: 30, deviations_per_mille: 1000 };
        assert_eq!(outliers.success_rate, Some(expected));
        assert_eq!((outliers.enforced.success_rate, outliers.enforced.server_errors), (80, 0));
        assert_eq!(remarks, ["`outlier_detection.split_external_local_origin_errors` is not acted on"]);
        let spec = json!({"outlier_detection": {"enforcing_success_rate": 101}});
        let refused = super::outliers(&Fields::of(&spec, "spec").unwrap(), &mut Vec::new());
        assert_eq!(
            refused.unwrap_err(),
            "in `outlier_detection`: `enforcing_success_rate` is 101, not 0 to 100"
        );
    }
}
