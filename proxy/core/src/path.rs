//! The path as rules see it.
//!
//! One spelling per path, or `/a/../admin` would be matched as something else than what the upstream serves.
//! As Envoy does with `normalize_path` and Emissary by default: percent-encoded unreserved characters are
//! decoded and dot segments resolved (RFC 3986 §6.2.2.2 and §5.2.4), a backslash is a slash, double slashes
//! and `%2F` stay as they are.

use std::borrow::Cow;

/// The normal form of a request path that begins with `/` and has no query.
#[must_use]
pub fn normalize(path: &str) -> Cow<'_, str> {
    let decoded = decode_unreserved(path);
    if has_dot_segment(&decoded) { Cow::Owned(resolve_dots(&decoded)) } else { decoded }
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
}
