//! What the proxy answers itself.

use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, LOCATION},
};
use proxy_core::{
    answer::{REASON_HEADER, Reason},
    grpc,
    snapshot::Refusal,
};

use crate::worker::{Worker, body::Download};

/// An answer for a request that cannot be served.
pub(super) fn refuse(worker: &Worker, reason: Reason) -> Response<Download> {
    worker.shared.count_reason(reason);
    said(reason.status(), HeaderValue::from_static(reason.as_str()), reason.text())
}

/// An answer that the configuration asks for because a route cannot be served as it is written.
pub(super) fn refuse_as_configured(refusal: &Refusal) -> Response<Download> {
    refusal.refused.add();
    let reason = HeaderValue::from_str(&refusal.refused.reason);
    let reason = reason.unwrap_or_else(|_| HeaderValue::from_static("refused"));
    said(refusal.status, reason, "sluice: this route cannot be served as it is written\n")
}

/// The client should go elsewhere.
pub(super) fn redirect(status: StatusCode, location: HeaderValue) -> Response<Download> {
    let mut response = empty(status);
    response.headers_mut().insert(LOCATION, location);
    response
}

/// Makes an answer of ours one that a gRPC client understands.
pub(super) fn speak_grpc(response: &mut Response<Download>) {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return;
    }
    let Download::Text(text) = response.body_mut() else { return };
    let text = text.take().unwrap_or_default();
    grpc::answer(response.headers_mut(), status, &String::from_utf8_lossy(&text));
    *response.status_mut() = StatusCode::OK;
}

/// Nothing but a status.
pub(super) fn empty(status: StatusCode) -> Response<Download> {
    let mut response = Response::new(Download::Text(None));
    *response.status_mut() = status;
    response
}

fn said(status: StatusCode, reason: HeaderValue, text: &'static str) -> Response<Download> {
    let mut response = Response::new(Download::text(text));
    *response.status_mut() = status;
    response.headers_mut().insert(REASON_HEADER, reason);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
