//! JSONPath as kubectl and Argo write it: `{$.data.items[0].rate}`. The path itself is looked up by a library that
//! follows RFC 9535; here the braces go, and names get quotes, because kubectl's may have characters that the RFC's
//! may not.

use jsonpath_rust::JsonPath as _;
use serde_json::Value;

/// Why nothing was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("{0:?} is not a JSONPath: one expression in braces such as `{{$.data.value}}` is expected")]
    Syntax(String),
    #[error("{0} is not found")]
    Missing(String),
}

/// The first value that a path leads to.
pub(super) fn find<'a>(document: &'a Value, path: &str) -> Result<&'a Value, Error> {
    let standard = standard(path).ok_or_else(|| Error::Syntax(path.to_owned()))?;
    let found = document.query(&standard).map_err(|_| Error::Syntax(path.to_owned()))?;
    found.into_iter().next().ok_or_else(|| Error::Missing(path.trim_matches(['{', '}']).to_owned()))
}

/// A path as the RFC writes it; `None` if it is none.
fn standard(path: &str) -> Option<String> {
    let path = path.trim();
    let path = match path.strip_prefix('{') {
        Some(inner) => inner.strip_suffix('}')?.trim(),
        None => path,
    };
    if path.contains(['{', '}']) {
        return None;
    }
    let mut rest = path.strip_prefix(['$', '@']).unwrap_or(path);
    let mut standard = "$".to_owned();
    while !rest.is_empty() {
        if rest.starts_with('[') {
            let end = bracket(rest)?;
            standard.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        let deep = rest.strip_prefix("..");
        let (dots, after) = match deep {
            Some(after) => ("..", after),
            None => ("", rest.strip_prefix('.').unwrap_or(rest)),
        };
        rest = after;
        standard.push_str(dots);
        if rest.starts_with('[') || rest.is_empty() {
            continue;
        }
        let (name, after) = name(rest)?;
        rest = after;
        if name == "*" {
            standard.push_str("[*]");
        } else {
            let quoted = name.replace('\\', "\\\\").replace('\'', "\\'");
            standard.extend(["['", quoted.as_str(), "']"]);
        }
    }
    Some(standard)
}

/// A name up to the next dot or bracket; a backslash takes the next character into it.
fn name(rest: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut characters = rest.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => name.push(characters.next()?.1),
            '.' | '[' => return (!name.is_empty()).then_some((name, &rest[at..])),
            character => name.push(character),
        }
    }
    (!name.is_empty()).then_some((name, ""))
}

/// The length of what stands in brackets, with texts in it that may have brackets themselves.
fn bracket(rest: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, character) in rest.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            (None, '[') => depth += 1,
            (None, ']') if depth == 1 => return Some(at + 1),
            (None, ']') => depth -= 1,
            (Some(_) | None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_written_as_kubectl_writes_them() {
        let document = json!({
            "data": {"ok": true, "my-rate": 0.5, "a.b": 1, "list": [{"n": "x", "v": 1}, {"n": "y", "v": 2}]},
        });
        for (path, value) in [
            ("{$}", document.clone()),
            ("{$.data.ok}", json!(true)),
            ("{.data.ok}", json!(true)),
            ("$.data.ok", json!(true)),
            ("{$.data.my-rate}", json!(0.5)),
            (r"{.data.a\.b}", json!(1)),
            ("{$.data['a.b']}", json!(1)),
            ("{$.data.list}", document["data"]["list"].clone()),
            ("{$.data.list[1].v}", json!(2)),
            ("{$.data.list[-1].v}", json!(2)),
            ("{.data.list[*].v}", json!(1)),
            ("{.data.list[?(@.n=='y')].v}", json!(2)),
            ("{..v}", json!(1)),
        ] {
            assert_eq!(find(&document, path), Ok(&value), "{path}");
        }
        assert_eq!(find(&document, "{$.data.none}"), Err(Error::Missing("$.data.none".to_owned())));
        for wrong in ["{$.a", "{.a} {.b}", "{$.data[}", "{$.data[?(]}"] {
            assert!(matches!(find(&document, wrong), Err(Error::Syntax(_))), "{wrong}");
        }
    }
}
