//! `health_checks`: what pods are asked besides (emissary.md §1.2). Times and thresholds are Envoy's words with Emissary's
//! defaults.

use proxy_config::model::{GrpcQuestion, HealthCheck, HttpQuestion, Question};
use serde_json::Value;

use super::{
    headers::{self, EditFields},
    parse::Reader,
};
use crate::{
    duration::milliseconds,
    fields::{Fields, kind},
};

const FIELD: &str = "health_checks";
const TIMEOUT_MS: u32 = 3_000;
const INTERVAL_MS: u32 = 5_000;
const UNHEALTHY_THRESHOLD: u32 = 2;
const HEALTHY_THRESHOLD: u32 = 1;
/// The status that is good where none are written.
const GOOD: (u16, u16) = (200, 200);

/// One that cannot be asked is left out and told: requests must not be lost for it.
pub(super) fn checks(reader: &Reader<'_>, http2: bool, remarks: &mut Vec<String>) -> Vec<HealthCheck> {
    let items = match reader.fields.value(FIELD) {
        None => return Vec::new(),
        Some(Value::Array(items)) => items,
        Some(other) => {
            remarks.push(format!("`{FIELD}` is {}, not a list, and is not acted on", kind(other)));
            return Vec::new();
        }
    };
    let mut checks = Vec::new();
    for (number, item) in (1..).zip(items) {
        match check(item, http2) {
            Ok(check) => checks.push(check),
            Err(error) => remarks.push(format!("number {number} of `{FIELD}` is not acted on: {error}")),
        }
    }
    checks
}

fn check(item: &Value, http2: bool) -> Result<HealthCheck, String> {
    let item = Fields::of(item, FIELD)?;
    let time = |field, standard| match item.text(field)? {
        None => Ok(standard),
        Some(text) => match milliseconds(&text).map_err(|error| format!("in `{field}`: {error}"))? {
            0 => Err(format!("`{field}` is 0")),
            milliseconds => Ok(milliseconds),
        },
    };
    let count = |field, standard| Ok::<_, String>(item.number(field, 1, u32::MAX)?.unwrap_or(standard));
    let of = item.object("health_check")?;
    let question = match (of.value("http"), of.value("grpc")) {
        (Some(_), None) => Question::Http(http(&of.object("http")?)?),
        (None, Some(_)) if http2 => Question::Grpc(grpc(&of.object("grpc")?)?),
        (None, Some(_)) => return Err("a `grpc` check needs `grpc: true` in the Mapping".to_owned()),
        _ => return Err("`health_check` needs exactly one of `http` and `grpc`".to_owned()),
    };
    Ok(HealthCheck {
        interval_ms: time("interval", INTERVAL_MS)?,
        timeout_ms: time("timeout", TIMEOUT_MS)?,
        unhealthy_threshold: count("unhealthy_threshold", UNHEALTHY_THRESHOLD)?,
        healthy_threshold: count("healthy_threshold", HEALTHY_THRESHOLD)?,
        question,
    })
}

fn http(http: &Fields<'_>) -> Result<HttpQuestion, String> {
    let path = http.text("path")?.unwrap_or_default();
    if !(path.starts_with('/') && path.bytes().all(|it| it.is_ascii_graphic() && it != b'#')) {
        return Err(format!("`path` is `{path}`, which is no path"));
    }
    let mut statuses = Vec::new();
    match http.value("expected_statuses") {
        None => {}
        Some(Value::Array(items)) => {
            for item in items {
                let range = Fields::of(item, "expected_statuses")?;
                let status = |field, standard| -> Result<u16, String> {
                    let status = range.number(field, 100, 599)?.unwrap_or(standard);
                    u16::try_from(status).map_err(|error| error.to_string())
                };
                let (min, max) = (status("min", 100)?, status("max", 599)?);
                if min > max {
                    return Err(format!("`expected_statuses` holds {min} to {max}, which is no range"));
                }
                statuses.push((min, max));
            }
        }
        Some(other) => return Err(format!("`expected_statuses` is {}, not a list", kind(other))),
    }
    if statuses.is_empty() {
        statuses.push(GOOD);
    }
    Ok(HttpQuestion {
        path,
        host: host(http, "hostname")?,
        request_headers: headers::edits_of(
            http.texts("remove_request_headers")?,
            http.value("add_request_headers"),
            EditFields::REQUEST,
        )?,
        statuses,
    })
}

fn grpc(grpc: &Fields<'_>) -> Result<GrpcQuestion, String> {
    Ok(GrpcQuestion {
        service: grpc.text("upstream_name")?.unwrap_or_default(),
        authority: host(grpc, "authority")?,
    })
}

fn host(fields: &Fields<'_>, field: &str) -> Result<Option<String>, String> {
    let host = fields.text(field)?.filter(|host| !host.is_empty());
    let allowed = |it: u8| it.is_ascii_alphanumeric() || b".-_:[]".contains(&it);
    match host {
        Some(host) if !host.bytes().all(allowed) => Err(format!("`{field}` is `{host}`, which is no host")),
        host => Ok(host),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "the values of tables are written where they are used")]
    fn read(item: Value) -> Result<HealthCheck, String> {
        check(&item, true)
    }

    #[test]
    fn a_check_reads_as_it_is_written_or_with_the_defaults() {
        let plain = read(json!({"health_check": {"http": {"path": "/health"}}})).unwrap();
        let question = HttpQuestion {
            path: "/health".into(),
            host: None,
            request_headers: Vec::new(),
            statuses: vec![(200, 200)],
        };
        let expected = HealthCheck {
            interval_ms: 5_000,
            timeout_ms: 3_000,
            unhealthy_threshold: 2,
            healthy_threshold: 1,
            question: Question::Http(question),
        };
        assert_eq!(plain, expected);
        let full = read(json!({
            "interval": "30s", "timeout": "500ms", "unhealthy_threshold": 5, "healthy_threshold": 3,
            "health_check": {"http": {
                "path": "/health?full=1",
                "hostname": "a.org",
                "add_request_headers": {"X-Check": {"value": "1", "append": false}},
                "remove_request_headers": ["user-agent"],
                "expected_statuses": [{"min": 200, "max": 204}, {"max": 301, "min": 301}],
            }},
        }));
        let full = full.unwrap();
        let Question::Http(question) = full.question else { panic!("{full:?}") };
        assert_eq!((full.interval_ms, full.timeout_ms), (30_000, 500));
        assert_eq!((full.unhealthy_threshold, full.healthy_threshold), (5, 3));
        assert_eq!(question.statuses, [(200, 204), (301, 301)]);
        let names: Vec<_> = question.request_headers.iter().map(|it| it.name.as_str()).collect();
        assert_eq!((names, question.host.as_deref()), (vec!["user-agent", "x-check"], Some("a.org")));
        let grpc = json!({"health_check": {"grpc": {"upstream_name": "shop.Cart", "authority": "cart"}}});
        let expected = GrpcQuestion { service: "shop.Cart".into(), authority: Some("cart".into()) };
        assert_eq!(read(grpc).unwrap().question, Question::Grpc(expected));
    }

    #[test]
    fn what_cannot_be_asked_is_told() {
        for (item, expected) in [
            (json!({}), "`health_check` needs exactly one of `http` and `grpc`"),
            (json!({"health_check": {"http": {}}}), "`path` is ``, which is no path"),
            (
                json!({"health_check": {"http": {"path": "/"}}, "interval": "soon"}),
                "in `interval`: `soon` is not a time",
            ),
            (json!({"health_check": {"http": {"path": "/"}}, "timeout": "0s"}), "`timeout` is 0"),
            (
                json!({"health_check": {"http": {"path": "/"}}, "healthy_threshold": 0}),
                "`healthy_threshold` is 0",
            ),
            (
                json!({"health_check": {"http": {"path": "/", "expected_statuses": [{"min": 300, "max": 200}]}}}),
                "`expected_statuses` holds 300 to 200",
            ),
            (json!({"health_check": {"http": {"path": "/", "hostname": "a b"}}}), "`hostname` is `a b`"),
        ] {
            let error = read(item.clone()).unwrap_err();
            assert!(error.starts_with(expected), "{item}: {error}");
        }
        let grpc = json!({"health_check": {"grpc": {}}});
        assert_eq!(check(&grpc, false).unwrap_err(), "a `grpc` check needs `grpc: true` in the Mapping");
    }
}
