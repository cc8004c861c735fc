//! The `service` of a Mapping, and where its requests go.

use operator_routes::Compat;
use proxy_config::model::Action;
use serde_json::Value;

use crate::{probes::service, row::Row};

/// Compares where the requests of the only Mapping go.
pub(crate) fn check(row: &Row, compat: Compat) -> Result<(), String> {
    let compiler = row.compile(compat);
    let result = compiler.compiled();
    let route = result.config.routes.values().find(|route| matches!(route.action, Action::Split(_)));
    let ours = route.and_then(|route| match &route.action {
        Action::Split(split) => split.arms.first().map(|arm| service(row, result, &arm.cluster)),
        Action::Refuse(_) | Action::Redirect(_) => None,
    });
    let theirs = match row.column("result") {
        Value::Object(theirs) => {
            let text = |name: &str| theirs.get(name).and_then(Value::as_str).unwrap_or_default();
            Some(if text("resolver") == "endpoint" {
                text("endpoint_key").to_owned()
            } else {
                let scheme = if text("scheme") == "https" { "https://" } else { "" };
                crate::probes::qualified(row, &format!("{scheme}{}:{}", text("host"), theirs["port"]))
            })
        }
        _ => None,
    };
    if ours == theirs { Ok(()) } else { Err(format!("ours {ours:?}, theirs {theirs:?}")) }
}
