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

/// Adds a text as a value within a query: all but unreserved characters escaped (RFC 3986 §2.3).
pub(crate) fn escape(text: &str, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if is_unreserved(byte) {
            out.push(byte);
        } else {
            out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0x0f)]]);
        }
    }
}

/// What a decoded character completes is decoded as well: in `%%32e` the `%32` is a `2`, and an upstream, which decodes what we
/// send, would find a dot in the `%2e` that is left.
fn decode_unreserved(path: &str) -> Cow<'_, str> {
    if !path.bytes().any(|it| it == b'%' || it == b'\\') {
        return Cow::Borrowed(path);
    }
    let mut decoded = String::with_capacity(path.len());
    for it in path.chars() {
        decoded.push(if it == '\\' { '/' } else { it });
        while let Some((begin, character)) = encoded_at_end(&decoded) {
            decoded.truncate(begin);
            decoded.push(character);
        }
    }
    Cow::Owned(decoded)
}

/// The unreserved character that the last three are the code of, and where these begin.
fn encoded_at_end(text: &str) -> Option<(usize, char)> {
    let [.., b'%', high, low] = text.as_bytes() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
    is_unreserved(byte).then(|| (text.len() - 3, char::from(byte)))
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
            ("/%%32e%%32e/admin", "/admin"),
            ("/%%%3333%65/%252e%252e/a", "/3e/%252e%252e/a"),
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
            prop_assert_eq!(normalize(&once), &*once);
            prop_assert!(!has_dot_segment(&once));
        }
    }
}
