//! What of a request decides its endpoint.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header::COOKIE};
use proxy_config::model::{self, HashCookie};

use crate::split::mix;

/// What is hashed.
#[derive(Clone, Debug)]
pub(super) enum Key {
    Header(HeaderName),
    Cookie(HashCookie),
    SourceIp,
}

/// The endpoint of a request, as far as it decides it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    pub(super) hash: Option<u64>,
    /// What the client is given, so that its next request decides the same.
    pub cookie: Option<Box<HeaderValue>>,
}

impl Key {
    /// `None` for a header that no request can have.
    pub(super) fn new(key: &model::HashKey) -> Option<Self> {
        Some(match key {
            model::HashKey::Header(name) => Self::Header(HeaderName::from_bytes(name.as_bytes()).ok()?),
            model::HashKey::Cookie(cookie) => Self::Cookie(cookie.clone()),
            model::HashKey::SourceIp => Self::SourceIp,
        })
    }

    /// `random` is a fresh random number, for a client that gets a cookie.
    pub(super) fn affinity(&self, headers: &HeaderMap, client: IpAddr, random: u64) -> Affinity {
        let of = |bytes: &[u8]| Affinity { hash: Some(hash(bytes)), cookie: None };
        match self {
            Self::Header(name) => headers.get(name).map(|it| of(it.as_bytes())).unwrap_or_default(),
            Self::SourceIp => of(client.to_canonical().to_string().as_bytes()),
            Self::Cookie(cookie) => match (value(headers, &cookie.name), cookie.ttl_s) {
                (Some(value), _) => of(value.as_bytes()),
                (None, None) => Affinity::default(),
                (None, Some(ttl)) => {
                    let value = format!("{random:016x}");
                    Affinity { cookie: made(cookie, &value, ttl), ..of(value.as_bytes()) }
                }
            },
        }
    }
}

/// The `Set-Cookie` that gives a client this value (RFC 6265 §4.1). Without an age it lives as long as the browser.
fn made(cookie: &HashCookie, value: &str, ttl: u32) -> Option<Box<HeaderValue>> {
    let mut text = format!("{}={value}", cookie.name);
    if ttl > 0 {
        text = format!("{text}; Max-Age={ttl}");
    }
    if let Some(path) = &cookie.path {
        text = format!("{text}; Path={path}");
    }
    HeaderValue::from_str(&format!("{text}; HttpOnly")).ok().map(Box::new)
}

/// The value of a cookie (RFC 6265 §4.2).
fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|it| it.to_str().ok());
    let mut pairs = lines.flat_map(|it| it.split(';')).filter_map(|it| it.trim().split_once('='));
    pairs.find(|(it, _)| *it == name).map(|(_, value)| value.trim_matches('"'))
}

/// FNV-1a, whose bits are then mixed: near texts are far from each other. The same in every proxy and version.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    mix(bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn affinity(key: &model::HashKey, cookies: &'static str) -> Affinity {
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static(cookies))]);
        Key::new(key).unwrap().affinity(&headers, "198.18.0.9".parse().unwrap(), 255)
    }

    #[test]
    fn a_client_without_the_cookie_is_given_one_that_decides_the_same() {
        let cookie =
            |ttl_s| model::HashKey::Cookie(HashCookie { name: "pod".into(), ttl_s, path: Some("/a".into()) });
        let given = affinity(&cookie(Some(60)), "other=1");
        let text = "pod=00000000000000ff; Max-Age=60; Path=/a; HttpOnly";
        assert_eq!(given.cookie.as_deref().unwrap(), text);
        let next = affinity(&cookie(Some(60)), "other=1; pod=00000000000000ff");
        assert_eq!((next.hash, next.cookie), (given.hash, None));
        assert_eq!(affinity(&cookie(None), "other=1"), Affinity::default());
        let session = affinity(&cookie(Some(0)), "").cookie.unwrap();
        assert_eq!(*session, "pod=00000000000000ff; Path=/a; HttpOnly");
    }

    #[test]
    fn what_is_absent_decides_nothing() {
        assert_eq!(affinity(&model::HashKey::Header("x-user".into()), ""), Affinity::default());
        assert!(affinity(&model::HashKey::Header("cookie".into()), "a").hash.is_some());
        assert!(affinity(&model::HashKey::SourceIp, "").hash.is_some());
    }
}
