//! What gRPC clients are told, who look at a status of their own (gRPC over HTTP/2, "Responses").

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whether a message is gRPC's. gRPC-Web, which has its trailers in the body, is not.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|it| {
        let rest = it.as_bytes().strip_prefix(b"application/grpc");
        rest.is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
    })
}

/// Makes the headers of an answer with `status` those of an answer without messages. Its HTTP status is 200.
pub fn answer(headers: &mut HeaderMap, status: StatusCode, message: &str) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.remove(CONTENT_ENCODING);
    headers.insert(GRPC_STATUS, HeaderValue::from(code(status)));
    if let Ok(message) = HeaderValue::from_bytes(&encoded(message)) {
        headers.insert(GRPC_MESSAGE, message);
    }
}

/// The first line of a text, encoded (gRPC over HTTP/2, "Percent-Encoded").
fn encoded(text: &str) -> Vec<u8> {
    let line = text.lines().next().unwrap_or_default();
    let mut encoded = Vec::with_capacity(line.len());
    for byte in line.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(byte),
            _ => encoded.extend(format!("%{byte:02X}").bytes()),
        }
    }
    encoded
}

/// The trailers of an answer that ends early, as if with `status`.
#[must_use]
pub fn trailers(status: StatusCode, message: &'static str) -> HeaderMap {
    HeaderMap::from_iter([
        (GRPC_STATUS, HeaderValue::from(code(status))),
        (GRPC_MESSAGE, HeaderValue::from_static(message)),
    ])
}

/// The code for a status (gRPC's `http-grpc-status-mapping`), with a timeout as one.
fn code(status: StatusCode) -> u16 {
    const UNKNOWN: u16 = 2;
    const DEADLINE_EXCEEDED: u16 = 4;
    const PERMISSION_DENIED: u16 = 7;
    const UNIMPLEMENTED: u16 = 12;
    const INTERNAL: u16 = 13;
    const UNAVAILABLE: u16 = 14;
    const UNAUTHENTICATED: u16 = 16;
    match status.as_u16() {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        429 | 502 | 503 => UNAVAILABLE,
        504 => DEADLINE_EXCEEDED,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_known_by_its_type() {
        for (text, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc; charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(text))]);
            assert_eq!(is_grpc(&headers), expected, "{text}");
        }
    }

    #[test]
    fn an_answer_says_why_in_its_headers() {
        let mut headers = HeaderMap::new();
        answer(&mut headers, StatusCode::SERVICE_UNAVAILABLE, "sluice: nobody\n");
        assert_eq!(headers[GRPC_STATUS], "14");
        assert_eq!(headers[GRPC_MESSAGE], "sluice: nobody");
        answer(&mut headers, StatusCode::FORBIDDEN, "100 % für dich\nund <mich>");
        assert_eq!(headers[GRPC_MESSAGE], "100 %25 f%C3%BCr dich");
        assert_eq!(code(StatusCode::NOT_FOUND), 12);
    }
}
