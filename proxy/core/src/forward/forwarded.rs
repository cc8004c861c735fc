//! `Forwarded` (RFC 7239), which says in one header what `X-Forwarded-For`, `-Proto` and `-Host` say in three.

use http::{HeaderMap, HeaderName, HeaderValue, header::HOST};
use proxy_config::model::Scheme;

use super::Sender;

/// Where a request has been.
pub const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// Writes what we know of a request: from whom it came to us, which host it asked for, and in which scheme (RFC 7239 §5). An
/// IPv6 address is in brackets and quotes (§6); so is, without brackets, a host, which may have a port.
pub fn write_forwarded(out: &mut Vec<u8>, client: &str, host: Option<&[u8]>, scheme: Scheme) {
    out.extend_from_slice(b"for=");
    let brackets: [&[u8]; 2] = if client.contains(':') { [b"\"[", b"]\""] } else { [b"", b""] };
    for part in [brackets[0], client.as_bytes(), brackets[1]] {
        out.extend_from_slice(part);
    }
    if let Some(host) = host.filter(|it| !it.is_empty()) {
        out.extend_from_slice(b";host=\"");
        // No valid host has them; one that has cannot end the quotes.
        out.extend(host.iter().filter(|it| !b"\"\\".contains(it)));
        out.push(b'"');
    }
    out.extend_from_slice(b";proto=");
    out.extend_from_slice(scheme.as_str().as_bytes());
}

/// Adds a line to what trusted proxies say. What another client says is dropped: unlike an address, it could swallow ours.
pub(super) fn add(headers: &mut HeaderMap, sender: &Sender) {
    if sender.trusted_hops == 0 {
        headers.remove(FORWARDED);
    }
    let mut element = Vec::new();
    let client = sender.address.ip().to_canonical().to_string();
    write_forwarded(&mut element, &client, headers.get(HOST).map(HeaderValue::as_bytes), sender.scheme);
    if let Ok(element) = HeaderValue::from_bytes(&element) {
        headers.append(FORWARDED, element);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_what_the_rfc_says() {
        for (client, host, expected) in [
            ("198.18.0.9", Some("example.org"), "for=198.18.0.9;host=\"example.org\";proto=https"),
            ("2001:db8::1", Some("h:8080"), "for=\"[2001:db8::1]\";host=\"h:8080\";proto=https"),
            ("198.18.0.9", None, "for=198.18.0.9;proto=https"),
            ("198.18.0.9", Some(""), "for=198.18.0.9;proto=https"),
            ("198.18.0.9", Some("a\";for=evil\\"), "for=198.18.0.9;host=\"a;for=evil\";proto=https"),
        ] {
            let mut out = Vec::new();
            write_forwarded(&mut out, client, host.map(str::as_bytes), Scheme::Https);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
