//! Probes and the hooks of a lifecycle.

use serde_json::Value;

use super::field::Field;
use crate::spec::Invalid;
use crate::spec::validate::{Checked, names};

/// What a probe is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Liveness,
    Readiness,
    Startup,
}

pub(super) fn validate(probe: &Field<'_>, kind: Kind) -> Checked {
    if !probe.is_set() {
        return Ok(());
    }
    handler(probe, &["exec", "httpGet", "tcpSocket", "grpc"])?;
    for field in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        probe.child(field).is_not_negative()?;
    }
    let grace = probe.child("terminationGracePeriodSeconds");
    if grace.is_set() && grace.number() <= 0 {
        return Err(grace.invalid("must be greater than 0"));
    }
    let successes = probe.child("successThreshold");
    match kind {
        // 0 is the default.
        Kind::Liveness | Kind::Startup if successes.number() > 1 => Err(successes.invalid("must be 1")),
        Kind::Readiness if grace.is_set() => Err(grace.invalid("must not be set for readinessProbes")),
        Kind::Liveness | Kind::Startup | Kind::Readiness => Ok(()),
    }
}

/// Exactly one of `kinds`.
pub(super) fn handler(handler: &Field<'_>, kinds: &[&str]) -> Checked {
    let mut found = false;
    for kind in kinds {
        let action = handler.child(kind);
        if !action.is_set() {
            continue;
        }
        if found {
            return Err(Invalid::forbidden(action.path(), "may not specify more than 1 handler type"));
        }
        found = true;
        match *kind {
            "exec" => action.child("command").is_required()?,
            "httpGet" => http_get(&action)?,
            "tcpSocket" | "grpc" => port(&action.child("port"))?,
            _ => {}
        }
    }
    if found { Ok(()) } else { Err(Invalid::required(handler.path(), "must specify a handler type")) }
}

fn http_get(action: &Field<'_>) -> Checked {
    port(&action.child("port"))?;
    action.child("scheme").is_one_of(&["HTTP", "HTTPS"])?;
    let headers = action.child("httpHeaders");
    for header in headers.items() {
        let name = header.child("name").text();
        if let Some(why) = names::header(name) {
            return Err(Invalid::value(headers.path(), name, why));
        }
    }
    Ok(())
}

/// A number, or the name of a port of the container.
fn port(port: &Field<'_>) -> Checked {
    match port.value() {
        Value::String(_) => port.is_named(names::port),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            port.is_between(1, 65535)
        }
    }
}
