//! What a request is for (RFC 9112 §3.2).

use crate::Malformed;

/// A request target in one of its four forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'b> {
    /// RFC 9112 §3.2.1.
    Origin {
        /// It begins with `/`.
        path: &'b str,
        /// What follows the `?`.
        query: Option<&'b str>,
    },
    /// RFC 9112 §3.2.2, with `http` or `https`.
    Absolute {
        /// Host and port; no user.
        authority: &'b str,
        /// It is empty or begins with `/`.
        path: &'b str,
        /// What follows the `?`.
        query: Option<&'b str>,
    },
    /// RFC 9112 §3.2.3, of `CONNECT`.
    Authority(&'b str),
    /// RFC 9112 §3.2.4, of `OPTIONS`.
    Asterisk,
}

impl<'b> Target<'b> {
    pub(crate) fn parse(method: &str, text: &'b str) -> Result<Self, Malformed> {
        if method == "CONNECT" {
            let whole = is_authority(text) && text.contains(':') && !text.starts_with(':');
            return if whole { Ok(Self::Authority(text)) } else { Err(Malformed::Target) };
        }
        // A fragment is for the client (RFC 9110 §7.1); whoever cuts it off sees another path than whoever does not.
        // The others are in no URI (RFC 3986 appendix A). What else is not, such as `|`, is sent by many clients.
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let in_none = |it| matches!(it, b'#' | b'<' | b'>' | 0x7f);
        if path.bytes().any(|it| in_none(it) || it == b'`')
            || query.bytes().any(|it| in_none(it) || it == b'"')
        {
            return Err(Malformed::Target);
        }
        if text.starts_with('/') {
            let (path, query) = split_query(text);
            return Ok(Self::Origin { path, query });
        }
        if text == "*" && method == "OPTIONS" {
            return Ok(Self::Asterisk);
        }
        let (scheme, rest) = text.split_once("://").ok_or(Malformed::Target)?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(Malformed::Target);
        }
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        // RFC 9110 §4.2.1 and §4.2.2: a URI of these schemes without a host is invalid.
        if !is_authority(authority) || host(authority).is_empty() {
            return Err(Malformed::Target);
        }
        let (path, query) = split_query(rest);
        Ok(Self::Absolute { authority, path, query })
    }

    /// The path, which is never empty, and what follows the `?`. `OPTIONS *` has the path `*`, `CONNECT` none.
    #[must_use]
    pub fn path_and_query(&self) -> (&'b str, Option<&'b str>) {
        match *self {
            // RFC 9110 §4.2.3.
            Self::Absolute { path: "", query, .. } => ("/", query),
            Self::Origin { path, query } | Self::Absolute { path, query, .. } => (path, query),
            Self::Authority(_) => ("", None),
            Self::Asterisk => ("*", None),
        }
    }

    /// The authority that it names, if it does.
    #[must_use]
    pub fn authority(&self) -> Option<&'b str> {
        match *self {
            Self::Absolute { authority, .. } | Self::Authority(authority) => Some(authority),
            Self::Origin { .. } | Self::Asterisk => None,
        }
    }
}

fn split_query(text: &str) -> (&str, Option<&str>) {
    match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    }
}

/// Whether this can be the host and port of a URI (RFC 3986 §3.2.2, §3.2.3). An empty one can (RFC 9112 §3.2).
#[must_use]
pub fn is_authority(text: &str) -> bool {
    let host = host(text);
    let port = &text[host.len()..];
    let port_is_one = port.is_empty() || port[1..].bytes().all(|it| it.is_ascii_digit()) && port.len() <= 6;
    let host_is_one = match host.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        Some(address) => {
            !address.is_empty() && address.bytes().all(|it| it.is_ascii_hexdigit() || b":.".contains(&it))
        }
        None => host.bytes().all(|it| it.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&it)),
    };
    host_is_one && port_is_one
}

/// The authority without its port. The colons of a bracketed IPv6 address are none of a port.
fn host(authority: &str) -> &str {
    let name_ends = authority.rfind(']').map_or(0, |it| it + 1);
    let colon = authority[name_ends..].find(':').map_or(authority.len(), |it| name_ends + it);
    &authority[..colon]
}

/// Whether two authorities name the same, in whatever case (RFC 9110 §4.2.3), each with the port of `http` or without.
pub(crate) fn same(a: &str, b: &str) -> bool {
    let plain = |it: &'_ str| it.strip_suffix(":80").map_or(it.len(), str::len);
    a[..plain(a)].eq_ignore_ascii_case(&b[..plain(b)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_the_form_that_their_method_needs() {
        let origin = |path, query| Ok(Target::Origin { path, query });
        let absolute = |authority, path, query| Ok(Target::Absolute { authority, path, query });
        let table = [
            ("GET", "/", origin("/", None)),
            ("GET", "/a?b?c", origin("/a", Some("b?c"))),
            ("GET", "//host/a", origin("//host/a", None)),
            ("GET", "/ä\\{}|\"^", origin("/ä\\{}|\"^", None)),
            ("GET", "http://h", absolute("h", "", None)),
            ("GET", "http://h?q", absolute("h", "", Some("q"))),
            ("GET", "HTTPS://[2001:db8::1]:80/a?", absolute("[2001:db8::1]:80", "/a", Some(""))),
            ("CONNECT", "h:1", Ok(Target::Authority("h:1"))),
            ("OPTIONS", "*", Ok(Target::Asterisk)),
            ("OPTIONS", "/", origin("/", None)),
            ("GET", "*", Err(Malformed::Target)),
            ("GET", "h:1", Err(Malformed::Target)),
            ("GET", "a", Err(Malformed::Target)),
            ("GET", "?a", Err(Malformed::Target)),
            ("GET", "/a#b", Err(Malformed::Target)),
            ("GET", "/a<b", Err(Malformed::Target)),
            ("GET", "/a?\"", Err(Malformed::Target)),
            ("GET", "http://", Err(Malformed::Target)),
            ("GET", "http:///a", Err(Malformed::Target)),
            ("GET", "http://:80/a", Err(Malformed::Target)),
            ("GET", "http://u@h/", Err(Malformed::Target)),
            ("GET", "http:/h", Err(Malformed::Target)),
            ("GET", "ftp://h/", Err(Malformed::Target)),
            ("GET", "://h/", Err(Malformed::Target)),
            ("CONNECT", "h", Err(Malformed::Target)),
            ("CONNECT", ":1", Err(Malformed::Target)),
            ("CONNECT", "/", Err(Malformed::Target)),
            ("CONNECT", "u@h:1", Err(Malformed::Target)),
        ];
        for (method, text, expected) in table {
            assert_eq!(Target::parse(method, text), expected, "{method} {text}");
        }
    }

    #[test]
    fn an_authority_is_a_host_and_a_port() {
        for good in ["", "h", "h:", "h:80", "a-b._~%41!$&'()*+,;=", "[::1]", "[::1]:65535", "127.0.0.1:1"] {
            assert!(is_authority(good), "{good}");
        }
        for bad in [
            "h:x", "h:123456", "h:1:2", "u@h", "h/", "h h", "h\t", "[", "[]", "[g]", "[::1", "::1]", "ä",
            "a[b]",
        ] {
            assert!(!is_authority(bad), "{bad}");
        }
    }

    #[test]
    fn authorities_are_compared_without_case_and_default_port() {
        for (a, b, expected) in [
            ("h", "H", true),
            ("h:80", "h", true),
            ("h", "h:80", true),
            ("h:8080", "h", false),
            ("h", "i", false),
            ("h:443", "h", false),
            ("", "h", false),
        ] {
            assert_eq!(same(a, b), expected, "{a} {b}");
        }
    }
}
