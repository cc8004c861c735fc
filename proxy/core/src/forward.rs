//! What happens to headers on their way through.

mod forwarded;

use std::net::{IpAddr, SocketAddr};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE},
};
use proxy_config::model::{Scheme, Security};

pub use self::forwarded::{FORWARDED, write_forwarded};
use crate::router::Headers;

/// The address chain of the clients.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// What the client speaks to us.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The host that the client asked for.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// What certificate a client has shown.
pub const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
/// Follows one request through logs.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What no client may make us drop.
const KEPT: [HeaderName; 6] =
    [HOST, CONTENT_LENGTH, X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST, X_REQUEST_ID];

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Who has sent a request, and how.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    /// The other end of the connection.
    pub address: SocketAddr,
    /// What it speaks.
    pub scheme: Scheme,
    /// How many proxies before us are trusted with what they say of it.
    pub trusted_hops: u32,
}

/// What the upstream is told of a request beyond what it always is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extra<'a> {
    /// `Forwarded`, beside the headers that say the same.
    pub forwarded: bool,
    /// What the client's certificate says of it, which was verified.
    pub certificate: Option<&'a HeaderValue>,
}

/// Why a request head cannot be forwarded: two readers could understand it differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    /// RFC 9112 §3.2 asks for 400.
    NoHost,
    /// RFC 9112 §3.2 asks for 400.
    SeveralHosts,
    /// The host has characters that no host has, or a user before it (RFC 9110 §4.2.4).
    NoValidHost,
    /// The body is coded in another way than in chunks; the next server would take the code for content.
    ForeignEncoding,
}

/// Finds what makes a request head dangerous to forward. HTTP/1.0 needs no host.
pub fn check(headers: &HeaderMap, version: http::Version) -> Result<(), Ambiguity> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version == http::Version::HTTP_11 => return Err(Ambiguity::NoHost),
        (Some(_), Some(_)) => return Err(Ambiguity::SeveralHosts),
        (Some(host), None) if !is_host(host.as_bytes()) => return Err(Ambiguity::NoValidHost),
        (Some(_) | None, None) | (None, Some(_)) => {}
    }
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        (Some(_), _) => Err(Ambiguity::ForeignEncoding),
    }
}

/// Whether this can be the host and port of a URI (RFC 3986 §3.2.2, §3.2.3). An empty one can.
#[must_use]
pub fn is_host(text: &[u8]) -> bool {
    text.iter().all(|it| it.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=[]:".contains(it))
}

/// The host of a copy of a request, as Envoy writes it: `-shadow` after the name, before the port.
#[must_use]
pub fn shadow_host(host: &HeaderValue) -> Option<HeaderValue> {
    let host = host.to_str().ok()?;
    // The colons of a bracketed IPv6 address are none.
    let colon = host.rfind(':').filter(|colon| !host[*colon..].contains(']'));
    let (name, port) = host.split_at(colon.unwrap_or(host.len()));
    HeaderValue::from_str(&format!("{name}-shadow{port}")).ok()
}

/// The protocol that the sender offers to switch to, for example `websocket`.
///
/// An offer of HTTP itself or of TLS is as if it was not made, which RFC 9110 §7.8 allows: in such a tunnel requests
/// would pass that no rule has seen.
#[must_use]
pub fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asks =
        headers.get_all(CONNECTION).iter().any(|it| tokens(it).any(|it| it.eq_ignore_ascii_case("upgrade")));
    let mut offers = headers.get_all(UPGRADE).iter();
    match (offers.next(), offers.next()) {
        (Some(only), None) if asks && !tokens(only).any(carries_requests) => Some(only.clone()),
        _ => None,
    }
}

/// Whether requests pass in a tunnel of this protocol.
#[must_use]
pub fn carries_requests(protocol: &str) -> bool {
    let name = protocol.split('/').next().unwrap_or_default();
    ["h2c", "h2", "http", "tls"].iter().any(|it| name.eq_ignore_ascii_case(it))
}

/// Removes what concerns one connection only (RFC 9110 §7.6.1).
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .flat_map(tokens)
            .filter_map(|it| HeaderName::from_bytes(it.as_bytes()).ok())
            // Framing is ours to decide, and a client must not make us drop what rules and servers rely on.
            .filter(|it| !KEPT.contains(it))
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

/// Prepares the headers of a response for the client.
pub fn prepare_response(headers: &mut HeaderMap) {
    // Of two lengths the encoding counts, and the other ends here (RFC 9112 §6.3).
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    remove_hop_by_hop(headers);
}

/// Prepares the headers of a request for the upstream, except its `Host`.
///
/// `X-Forwarded-Proto` is what the client spoke to us, whatever it says itself, unless it is a trusted proxy. `Expect`
/// is answered by us when the upstream connection takes the body.
pub fn prepare_request(
    headers: &mut HeaderMap,
    sender: &Sender,
    extra: Extra<'_>,
    request_id: impl FnOnce() -> HeaderValue,
) {
    remove_hop_by_hop(headers);
    headers.remove(EXPECT);
    // Pods would take it for ours (Envoy's `SANITIZE`).
    headers.remove(X_FORWARDED_CLIENT_CERT);
    if let Some(certificate) = extra.certificate {
        headers.insert(X_FORWARDED_CLIENT_CERT, certificate.clone());
    }
    if extra.forwarded {
        forwarded::add(headers, sender);
    }
    append_client(headers, sender.address);
    if sender.trusted_hops == 0 || !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(sender.scheme.as_str()));
    }
    headers.entry(X_REQUEST_ID).or_insert_with(request_id);
}

/// Says which host the client asked for, where the upstream sees another. Of a client that is no trusted proxy its own
/// word does not count.
pub fn keep_host(headers: &mut HeaderMap, sender: &Sender, rewritten: bool) {
    let is_said = headers.contains_key(X_FORWARDED_HOST);
    if !(rewritten || is_said) || sender.trusted_hops > 0 && is_said {
        return;
    }
    match headers.get(HOST).cloned() {
        Some(host) => drop(headers.insert(X_FORWARDED_HOST, host)),
        None => drop(headers.remove(X_FORWARDED_HOST)),
    }
}

/// Where the client is: at the other end of the connection, or where trusted proxies in front say. Each of these adds whom
/// it has the request from, so that with one the last address of `X-Forwarded-For` counts, with two the last but one. A
/// shorter list did not come through them: the connection counts.
#[must_use]
pub fn client(sender: &Sender, headers: &HeaderMap) -> IpAddr {
    let said = || {
        let hops = usize::try_from(sender.trusted_hops).ok()?.checked_sub(1)?;
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let mut addresses = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        let address = addresses.nth(hops)?.trim();
        // Some write a port as well.
        let with_port = || address.parse::<SocketAddr>().ok().map(|it| it.ip());
        address.parse().ok().or_else(with_port)
    };
    said().unwrap_or_else(|| sender.address.ip())
}

/// Whether a request counts as one over TLS.
#[must_use]
pub fn is_secure(security: Security, sender: &Sender, headers: &dyn Headers) -> bool {
    match security {
        Security::Always => true,
        Security::Never => false,
        Security::Connection => sender.scheme == Scheme::Https,
        Security::ForwardedProto => {
            let said = headers.value(&X_FORWARDED_PROTO).filter(|_| sender.trusted_hops > 0);
            said.map_or(sender.scheme == Scheme::Https, |it| it.eq_ignore_ascii_case(b"https"))
        }
    }
}

fn append_client(headers: &mut HeaderMap, client: SocketAddr) {
    let client = client.ip().to_canonical().to_string();
    let mut chain = Vec::new();
    for value in headers.get_all(X_FORWARDED_FOR) {
        chain.extend_from_slice(value.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(client.as_bytes());
    if let Ok(chain) = HeaderValue::from_bytes(&chain) {
        headers.insert(X_FORWARDED_FOR, chain);
    }
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim).filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use http::Version;

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn lines(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_client_is_where_trusted_proxies_say() {
        let table = [
            (0, &["198.18.0.1"][..], "192.0.2.9"),
            (1, &[], "192.0.2.9"),
            (1, &["198.18.0.1"], "198.18.0.1"),
            (1, &["198.18.0.1, 198.18.0.2"], "198.18.0.2"),
            (2, &["198.18.0.1, 198.18.0.2"], "198.18.0.1"),
            (2, &["198.18.0.1", "198.18.0.2,198.18.0.3"], "198.18.0.2"),
            (3, &["198.18.0.1, 198.18.0.2"], "192.0.2.9"),
            (1, &["198.18.0.1, unknown"], "192.0.2.9"),
            (1, &["198.18.0.1:4711"], "198.18.0.1"),
            (1, &["[2001:db8::1]:4711"], "2001:db8::1"),
            (1, &["2001:db8::1"], "2001:db8::1"),
        ];
        for (trusted_hops, said, expected) in table {
            let address = "192.0.2.9:1234".parse().unwrap();
            let sender = Sender { address, scheme: Scheme::Http, trusted_hops };
            let lines: Vec<String> = said.iter().map(|it| format!("x-forwarded-for: {it}")).collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let found = client(&sender, &headers(&lines));
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{trusted_hops} {said:?}");
        }
    }

    #[test]
    fn a_copy_is_for_the_shadow_of_its_host() {
        for (host, shadow) in [
            ("example.org", "example.org-shadow"),
            ("example.org:8080", "example.org-shadow:8080"),
            ("[2001:db8::1]", "[2001:db8::1]-shadow"),
            ("[2001:db8::1]:80", "[2001:db8::1]-shadow:80"),
        ] {
            assert_eq!(shadow_host(&HeaderValue::from_static(host)).unwrap(), shadow);
        }
    }

    fn sender(scheme: Scheme, trusted_hops: u32) -> Sender {
        Sender { address: "198.18.0.9:4000".parse().unwrap(), scheme, trusted_hops }
    }

    fn prepared(given: &[&str]) -> Vec<String> {
        let mut headers = headers(given);
        prepare_request(&mut headers, &sender(Scheme::Http, 0), Extra::default(), || {
            HeaderValue::from_static("made")
        });
        lines(&headers)
    }

    #[test]
    fn a_trusted_proxy_is_believed() {
        let mut headers = headers(&["x-forwarded-proto: https", "x-forwarded-host: a", "host: b"]);
        let sender = sender(Scheme::Http, 1);
        prepare_request(&mut headers, &sender, Extra::default(), || HeaderValue::from_static("made"));
        keep_host(&mut headers, &sender, true);
        let expected = [
            "host: b",
            "x-forwarded-for: 198.18.0.9",
            "x-forwarded-host: a",
            "x-forwarded-proto: https",
            "x-request-id: made",
        ];
        assert_eq!(lines(&headers), expected);
    }

    #[test]
    fn what_is_told_besides_is_ours_or_a_trusted_proxys() {
        let certificate = HeaderValue::from_static("Hash=1");
        let extra = Extra { forwarded: true, certificate: Some(&certificate) };
        for (hops, theirs) in [(0, None), (1, Some("for=203.0.113.1"))] {
            let mut headers =
                headers(&["host: a:80", "forwarded: for=203.0.113.1", "x-forwarded-client-cert: Hash=2"]);
            prepare_request(&mut headers, &sender(Scheme::Https, hops), extra, || {
                HeaderValue::from_static("1")
            });
            let told: Vec<_> = headers.get_all(FORWARDED).iter().map(|it| it.to_str().unwrap()).collect();
            let ours = "for=198.18.0.9;host=\"a:80\";proto=https";
            assert_eq!(told, theirs.into_iter().chain([ours]).collect::<Vec<_>>());
            assert_eq!(headers[X_FORWARDED_CLIENT_CERT], "Hash=1");
        }
    }

    #[test]
    fn the_host_that_the_client_asked_for_is_kept_where_it_is_rewritten() {
        for (given, rewritten, expected) in [
            (&["host: b"][..], false, &["host: b"][..]),
            (&["host: b"], true, &["host: b", "x-forwarded-host: b"]),
            (&["host: b", "x-forwarded-host: evil"], false, &["host: b", "x-forwarded-host: b"]),
            (&["x-forwarded-host: evil"], false, &[]),
        ] {
            let mut headers = headers(given);
            keep_host(&mut headers, &sender(Scheme::Http, 0), rewritten);
            assert_eq!(lines(&headers), expected);
        }
    }

    #[test]
    fn what_is_secure_depends_on_who_is_believed() {
        use Scheme::{Http, Https};
        let table = [
            (Security::Connection, Https, 0, "http", true),
            (Security::Connection, Http, 1, "https", false),
            (Security::ForwardedProto, Http, 1, "https", true),
            (Security::ForwardedProto, Https, 1, "http", false),
            (Security::ForwardedProto, Http, 0, "https", false),
            (Security::ForwardedProto, Https, 0, "http", true),
            (Security::Always, Http, 0, "http", true),
            (Security::Never, Https, 1, "https", false),
        ];
        for (security, scheme, hops, said, expected) in table {
            let said = headers(&[&format!("x-forwarded-proto: {said}")]);
            assert_eq!(
                is_secure(security, &sender(scheme, hops), &said),
                expected,
                "{security:?} {scheme:?}"
            );
        }
    }

    #[test]
    fn hop_by_hop_headers_end_here() {
        let given = [
            "connection: close, x-mine, X-Forwarded-For",
            "x-mine: 1",
            "keep-alive: timeout=5",
            "te: trailers",
            "transfer-encoding: chunked",
            "upgrade: h2c",
            "proxy-connection: keep-alive",
            "expect: 100-continue",
            "x-forwarded-for: 203.0.113.1",
            "accept: */*",
        ];
        let expected = [
            "accept: */*",
            "x-forwarded-for: 203.0.113.1, 198.18.0.9",
            "x-forwarded-proto: http",
            "x-request-id: made",
        ];
        assert_eq!(prepared(&given), expected);
    }

    #[test]
    fn the_request_id_of_the_client_is_kept_and_its_proto_is_not() {
        let given = ["x-request-id: theirs", "x-forwarded-proto: https"];
        let expected = ["x-forwarded-for: 198.18.0.9", "x-forwarded-proto: http", "x-request-id: theirs"];
        assert_eq!(prepared(&given), expected);
    }

    #[test]
    fn ambiguous_heads_are_found() {
        let table: [(&[&str], Version, Result<(), Ambiguity>); 14] = [
            (&["host: a"], Version::HTTP_11, Ok(())),
            (&[], Version::HTTP_11, Err(Ambiguity::NoHost)),
            (&[], Version::HTTP_10, Ok(())),
            (&["host: a", "host: a"], Version::HTTP_11, Err(Ambiguity::SeveralHosts)),
            (&["host: "], Version::HTTP_11, Ok(())),
            (&["host: [::1]:80"], Version::HTTP_11, Ok(())),
            (&["host: user@a"], Version::HTTP_11, Err(Ambiguity::NoValidHost)),
            (&["host: a/b"], Version::HTTP_11, Err(Ambiguity::NoValidHost)),
            (&["host: a b"], Version::HTTP_10, Err(Ambiguity::NoValidHost)),
            (&["host: a", "transfer-encoding: Chunked"], Version::HTTP_11, Ok(())),
            (&["host: a", "transfer-encoding: gzip"], Version::HTTP_11, Err(Ambiguity::ForeignEncoding)),
            (
                &["host: a", "transfer-encoding: gzip, chunked"],
                Version::HTTP_11,
                Err(Ambiguity::ForeignEncoding),
            ),
            (
                &["host: a", "transfer-encoding: gzip", "transfer-encoding: chunked"],
                Version::HTTP_11,
                Err(Ambiguity::ForeignEncoding),
            ),
            (
                &["host: a", "transfer-encoding: chunked", "transfer-encoding: chunked"],
                Version::HTTP_11,
                Err(Ambiguity::ForeignEncoding),
            ),
        ];
        for (lines, version, expected) in table {
            assert_eq!(check(&headers(lines), version), expected, "{lines:?}");
        }
    }

    #[test]
    fn an_upgrade_needs_both_headers() {
        assert_eq!(
            upgrade(&headers(&["connection: keep-alive, Upgrade", "upgrade: websocket"])).unwrap(),
            "websocket"
        );
        assert_eq!(upgrade(&headers(&["upgrade: websocket"])), None);
        assert_eq!(upgrade(&headers(&["connection: upgrade"])), None);
    }

    #[test]
    fn no_upgrade_hides_requests() {
        for offer in ["h2c", "H2C, websocket", "HTTP/2.0", "websocket, TLS/1.3"] {
            let offer = format!("upgrade: {offer}");
            assert_eq!(upgrade(&headers(&["connection: upgrade", &offer])), None, "{offer}");
        }
        assert_eq!(
            upgrade(&headers(&["connection: upgrade", "upgrade: websocket", "upgrade: h2c"])),
            None,
            "two lines are not one offer"
        );
    }

    #[test]
    fn a_response_has_one_length() {
        let mut both = headers(&["content-length: 3", "transfer-encoding: chunked", "connection: x", "x: 1"]);
        prepare_response(&mut both);
        assert_eq!(lines(&both), Vec::<String>::new());
        let mut one = headers(&["content-length: 3", "keep-alive: timeout=5"]);
        prepare_response(&mut one);
        assert_eq!(lines(&one), ["content-length: 3"]);
    }
}
