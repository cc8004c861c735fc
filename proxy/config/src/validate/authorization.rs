//! What can be wrong with a service that is asked about requests.

use super::{
    Fault,
    filters::{edits, is_error, names, reserved},
    text::{is_header_name, is_header_value, is_host, is_token},
};
use crate::model::{Authorization, AuthorizationFailure, Sees, Value, ValuePart, Variable};

pub(super) fn authorization(authorization: &Authorization, faults: &mut Vec<Fault>) {
    let Authorization {
        cluster: _,
        method,
        host,
        target: asked_for,
        sees,
        request_headers,
        passed_on,
        absent: _,
        refusals: _,
        told,
        sign_in,
        cookies: _,
        timeout_ms,
        failure,
    } = authorization;
    faults.extend(method.iter().filter(|it| !is_token(it)).cloned().map(Fault::Method));
    faults.extend(host.iter().filter(|it| !is_host(it)).cloned().map(Fault::HostRewrite));
    target(asked_for, faults);
    if let Sees::Only(only) = sees {
        faults.extend(only.iter().filter(|it| !is_header_name(it)).cloned().map(Fault::HeaderName));
    }
    edits(request_headers, faults);
    for name in passed_on.iter().chain(told) {
        reserved(name, faults);
    }
    if let Some(url) = sign_in {
        names(url, faults);
        let odd = url.0.iter().filter_map(|part| match part {
            ValuePart::Text(text) if !is_header_value(text) => Some(Fault::HeaderValue(text.clone())),
            ValuePart::Text(_) | ValuePart::Variable(_) | ValuePart::RequestHeader(_) => None,
        });
        faults.extend(odd);
    }
    if *timeout_ms == 0 {
        faults.push(Fault::AuthorizationTimeout);
    }
    match failure {
        AuthorizationFailure::Refused(status) if !is_error(*status) => {
            faults.push(Fault::ErrorStatus(*status));
        }
        AuthorizationFailure::Refused(_) | AuthorizationFailure::Passed => {}
    }
}

/// A path with a query, which begins with a slash whatever its variables come to.
fn target(target: &Value, faults: &mut Vec<Fault>) {
    names(target, faults);
    let begins = match target.0.first() {
        Some(ValuePart::Text(text)) => text.starts_with('/'),
        Some(ValuePart::Variable(Variable::Path | Variable::NormalPath | Variable::NormalTarget)) => true,
        Some(ValuePart::Variable(_) | ValuePart::RequestHeader(_)) | None => false,
    };
    let is_written = |text: &str| text.bytes().all(|it| it.is_ascii_graphic() && it != b'#');
    let odd = target.0.iter().any(|part| match part {
        ValuePart::Text(text) => !is_written(text),
        ValuePart::Variable(_) | ValuePart::RequestHeader(_) => false,
    });
    if !begins || odd {
        faults.push(Fault::AuthorizationTarget);
    }
}
