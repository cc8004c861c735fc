//! The path as rules see it and as it goes upstream.
//!
//! One spelling per path, or `/a/../admin` would be matched as something else than what the upstream serves.
//! As Envoy does with `normalize_path` and Emissary by default: percent-encoded unreserved characters are
//! decoded and dot segments resolved (RFC 3986 §6.2.2.2 and §5.2.4), a backslash is a slash, double slashes
//! and `%2F` stay as they are.

use std::borrow::Cow;

use proxy_config::model::{Case, PathMatch, Rewrite, Route};

/// The normal form of a request path that begins with `/` and has no query.
#[must_use]
pub fn normalize(path: &str) -> Cow<'_, str> {
    let decoded = decode_unreserved(path);
    if has_dot_segment(&decoded) { Cow::Owned(resolve_dots(&decoded)) } else { decoded }
}

/// The path that the upstream sees, for a normal path that `route` has matched. `None`: the path itself.
///
/// A prefix rewrite replaces the matched text, not segments: `/echo` → `/` makes `//x` of `/echo/x`, as
/// Emissary's does. Where no prefix was matched (exact and regex paths) it replaces the whole path.
#[must_use]
pub fn rewrite(path: &str, route: &Route, rewrite: &Rewrite) -> Option<String> {
    match rewrite {
        // Not among the features that are announced, so never sent.
        Rewrite::None | Rewrite::Regex(_) => None,
        Rewrite::Full(text) => Some(text.clone()),
        Rewrite::Prefix(text) => Some(match &route.path {
            PathMatch::Prefix(prefix) => {
                let rest = path.get(prefix.len()..).unwrap_or_default();
                debug_assert!(match route.case {
                    Case::Counts => path.starts_with(prefix),
                    Case::Ignored => true,
                });
                format!("{text}{rest}")
            }
            PathMatch::Elements(elements) => {
                let rest = path.get(elements.trim_end_matches('/').len()..).unwrap_or_default();
                let text = if rest.is_empty() { text.as_str() } else { text.trim_end_matches('/') };
                format!("{text}{rest}")
            }
            PathMatch::Exact(_) | PathMatch::Regex(_) => text.clone(),
        }),
    }
}

fn decode_unreserved(path: &str) -> Cow<'_, str> {
    if !path.bytes().any(|it| it == b'%' || it == b'\\') {
        return Cow::Borrowed(path);
    }
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find(['%', '\\']) {
        decoded.push_str(&rest[..at]);
        if rest[at..].starts_with('\\') {
            decoded.push('/');
            rest = &rest[at + 1..];
            continue;
        }
        match rest.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if is_unreserved(byte) => {
                decoded.push(char::from(byte));
                rest = &rest[at + 3..];
            }
            _ => {
                decoded.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn has_dot_segment(path: &str) -> bool {
    path.contains("/.") && path.split('/').any(|it| it == "." || it == "..")
}

fn resolve_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." if last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proxy_config::model::{Action, Filters, HostMatch, Rank, Refusal, RouteId};

    use super::*;

    #[test]
    fn paths_have_one_spelling() {
        let table = [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/../b/", "/b/"),
            ("/a/./b", "/a/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("//a//b", "//a//b"),
            ("//..", "/"),
            ("/a/%2e%2E/b", "/b"),
            ("/%61dmin", "/admin"),
            ("/a%2Fb", "/a%2Fb"),
            ("/a%2fb/%zz%", "/a%2fb/%zz%"),
            ("/a\\..\\b", "/b"),
            ("/...", "/..."),
            ("/.a/..b", "/.a/..b"),
            ("/%c3%a4/ä%4", "/%c3%a4/ä%4"),
        ];
        for (path, normal) in table {
            assert_eq!(normalize(path), normal, "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_normal_path_stays_as_it_is(path in "/[a.%2eE/\\\\ä]{0,12}") {
            let once = normalize(&path).into_owned();
            prop_assert!(once.starts_with('/'));
            // `%%2e2e` decodes to `%2e`: a second pass would find more. Upstreams decode once, so one pass is right.
            if !once.contains('%') {
                prop_assert_eq!(normalize(&once), &*once);
                prop_assert!(!has_dot_segment(&once));
            }
        }
    }

    #[test]
    fn rewrites_replace_what_matched() {
        let prefix = |text: &str| PathMatch::Prefix(text.into());
        let elements = |text: &str| PathMatch::Elements(text.into());
        let to = |text: &str| Rewrite::Prefix(text.into());
        let table = [
            (prefix("/echo/"), Case::Counts, to("/"), "/echo/x", Some("/x")),
            (prefix("/echo"), Case::Counts, to("/"), "/echo/x", Some("//x")),
            (prefix("/echo"), Case::Counts, to("/"), "/echoes", Some("/es")),
            (prefix("/"), Case::Counts, to("/v2/"), "/x", Some("/v2/x")),
            (prefix("/echo/"), Case::Ignored, to("/"), "/ECHO/X", Some("/X")),
            (prefix("/echo/"), Case::Counts, Rewrite::Full("/y".into()), "/echo/x", Some("/y")),
            (PathMatch::Exact("/echo".into()), Case::Counts, to("/y"), "/echo", Some("/y")),
            (PathMatch::Regex("/e.*".into()), Case::Counts, to("/y"), "/echo", Some("/y")),
            (prefix("/echo/"), Case::Counts, Rewrite::None, "/echo/x", None),
            (elements("/echo"), Case::Counts, to("/"), "/echo/x", Some("/x")),
            (elements("/echo"), Case::Counts, to("/"), "/echo", Some("/")),
            (elements("/echo"), Case::Counts, to("/v2"), "/echo/", Some("/v2/")),
            (elements("/echo"), Case::Counts, to("/v2/"), "/echo/x", Some("/v2/x")),
            (elements("/"), Case::Counts, to("/v2"), "/x", Some("/v2/x")),
            (elements("/"), Case::Counts, to("/v2"), "/", Some("/v2/")),
        ];
        for (path, case, to, request, expected) in table {
            let route = Route {
                id: RouteId::new("r"),
                rank: Rank(Vec::new()),
                host: HostMatch::Any,
                path,
                case,
                method: None,
                headers: Vec::new(),
                query: Vec::new(),
                listeners: Vec::new(),
                filters: Filters::default(),
                action: Action::Refuse(Refusal { status: 500, reason: "unused".into() }),
            };
            assert_eq!(rewrite(request, &route, &to).as_deref(), expected, "{request} by {route:?}");
        }
    }
}
