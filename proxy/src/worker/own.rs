//! What the proxy answers itself.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, LOCATION},
};
use proxy_core::{
    answer::{REASON_HEADER, Reason},
    filters::Text,
    snapshot::{Action, Refusal},
};
use proxy_http1::Malformed;

use super::{Worker, filter::Answer};

/// A response that is made or changed here. Without a body of its own it has the upstream's.
pub(super) type Draft = Response<Option<Bytes>>;

/// An answer for a request that cannot be served.
pub(super) fn refuse(worker: &Worker, reason: Reason) -> Draft {
    worker.shared.count_reason(reason);
    said(
        reason.status(),
        HeaderValue::from_static(reason.as_str()),
        Bytes::from_static(reason.text().as_bytes()),
    )
}

/// An answer for a request that is refused before anybody looks at what it is for.
pub(super) fn malformed(worker: &Worker, malformed: Malformed) -> Draft {
    let status = StatusCode::from_u16(malformed.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let reason = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Reason::HeadTooLarge,
        StatusCode::PAYLOAD_TOO_LARGE => Reason::BodyTooLarge,
        _ => Reason::BadRequest,
    };
    worker.shared.count_reason(reason);
    said(status, HeaderValue::from_static(reason.as_str()), format!("sluice: {malformed}\n").into())
}

/// The answer for a request that the service of its route does not let pass.
pub(super) fn refuse_as_said(worker: &Worker, answer: &Answer) -> Draft {
    let Answer { refusal, text } = answer;
    worker.shared.count_reason(refusal.reason);
    let reason = HeaderValue::from_static(refusal.reason.as_str());
    let mut response = match refusal.text {
        Text::Ours => said(refusal.status, reason, Bytes::from_static(refusal.reason.text().as_bytes())),
        Text::Theirs | Text::Empty => {
            let mut response = empty(refusal.status);
            response.headers_mut().insert(REASON_HEADER, reason);
            response
        }
    };
    if refusal.text == Text::Theirs {
        *response.body_mut() = Some(text.clone());
    }
    response.headers_mut().extend(refusal.headers.clone());
    response
}

/// An answer that the configuration asks for because a route cannot be served as it is written.
fn refuse_as_configured(refusal: &Refusal) -> Draft {
    refusal.refused.add();
    let reason = HeaderValue::from_str(&refusal.refused.reason);
    let reason = reason.unwrap_or_else(|_| HeaderValue::from_static("refused"));
    let text = "sluice: this route cannot be served as it is written\n";
    said(refusal.status, reason, Bytes::from_static(text.as_bytes()))
}

/// What the client gets where no arm takes its request: what the rule says, or that nobody is there.
pub(super) fn without_arm(worker: &Worker, action: &Action, location: Option<HeaderValue>) -> Draft {
    match (action, location) {
        (Action::Split(_), _) => refuse(worker, Reason::NoEndpoints),
        (Action::Refuse(refusal), _) => refuse_as_configured(refusal),
        (Action::Redirect(to), Some(location)) => redirect(to.status, location),
        (Action::Redirect(_), None) => refuse(worker, Reason::BadRequest),
    }
}

/// The client should go elsewhere.
pub(super) fn redirect(status: StatusCode, location: HeaderValue) -> Draft {
    let mut response = empty(status);
    response.headers_mut().insert(LOCATION, location);
    response
}

/// Nothing but a status.
pub(super) fn empty(status: StatusCode) -> Draft {
    let mut response = Response::new(Some(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn said(status: StatusCode, reason: HeaderValue, text: Bytes) -> Draft {
    let mut response = Response::new(Some(text));
    *response.status_mut() = status;
    response.headers_mut().insert(REASON_HEADER, reason);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
