//! Names as Kubernetes allows them, and what it says of others (`k8s.io/apimachinery/pkg/util/validation`).
//!
//! Each function gives what is wrong with a text, or nothing. Of several things the first is given.

/// A label key: `[prefix/]name`, the prefix a DNS subdomain, the name at most 63 bytes.
pub(in crate::spec) fn label_key(key: &str) -> Option<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if name.contains('/') {
        return Some(format!(
            "a qualified name {NAME_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ));
    }
    if prefix == Some("") {
        return Some("prefix part must be non-empty".to_owned());
    }
    if let Some(why) = prefix.and_then(subdomain) {
        return Some(format!("prefix part {why}"));
    }
    if name.is_empty() {
        return Some("name part must be non-empty".to_owned());
    }
    if name.len() > 63 {
        return Some(format!("name part {}", too_long(63)));
    }
    (!is_name(name)).then(|| format!("name part {NAME_RULE}"))
}

/// A label value: empty, or at most 63 bytes that look like a name.
pub(in crate::spec) fn label_value(value: &str) -> Option<String> {
    if value.len() > 63 {
        return Some(too_long(63));
    }
    (!value.is_empty() && !is_name(value)).then(|| VALUE_RULE.to_owned())
}

/// One part of a DNS name, at most 63 bytes.
pub(super) fn dns_label(text: &str) -> Option<String> {
    if text.len() > 63 {
        return Some(too_long(63));
    }
    match text.split('.').all(is_dns_label) {
        true if !text.contains('.') => None,
        true => Some("must not contain dots".to_owned()),
        false => Some(LABEL_RULE.to_owned()),
    }
}

/// A DNS name, at most 253 bytes.
pub(super) fn subdomain(text: &str) -> Option<String> {
    if text.len() > 253 {
        return Some(too_long(253));
    }
    (!text.split('.').all(is_dns_label)).then(|| SUBDOMAIN_RULE.to_owned())
}

/// The name of a port.
pub(super) fn port(name: &str) -> Option<String> {
    if name.len() > 15 {
        return Some(too_long(15));
    }
    let is_letter = |byte: u8| byte.is_ascii_lowercase();
    let why = if name.is_empty() || !name.bytes().all(|it| is_letter(it) || it.is_ascii_digit() || it == b'-')
    {
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    } else if !name.bytes().any(is_letter) {
        "must contain at least one letter (a-z)"
    } else if name.contains("--") {
        "must not contain consecutive hyphens"
    } else if name.starts_with('-') || name.ends_with('-') {
        "must not begin or end with a hyphen"
    } else {
        return None;
    };
    Some(why.to_owned())
}

/// The name of an environment variable.
pub(super) fn environment_variable(name: &str) -> Option<String> {
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) || !is_key(name) {
        return Some(VARIABLE_RULE.to_owned());
    }
    steps_out(name)
}

/// A key of a `ConfigMap` or Secret.
pub(super) fn config_key(key: &str) -> Option<String> {
    if key.len() > 253 {
        return Some(too_long(253));
    }
    if key.is_empty() || !is_key(key) {
        return Some(CONFIG_KEY_RULE.to_owned());
    }
    steps_out(key)
}

/// The name of a header that a probe sends.
pub(super) fn header(name: &str) -> Option<String> {
    let is_header = !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-');
    (!is_header).then(|| HEADER_RULE.to_owned())
}

/// A path within a volume.
pub(super) fn descending_path(path: &str) -> Option<String> {
    if path.starts_with('/') {
        return Some("must be a relative path".to_owned());
    }
    no_backsteps(path)
}

/// A path without `..`.
pub(super) fn no_backsteps(path: &str) -> Option<String> {
    path.split('/').any(|part| part == "..").then(|| "must not contain '..'".to_owned())
}

/// `metadata.labels['app']` as the field and the key.
pub(crate) fn subscript(path: &str) -> Option<(&str, &str)> {
    let (field, key) = path.strip_suffix("']")?.split_once("['")?;
    (!field.is_empty()).then_some((field, key))
}

fn steps_out(name: &str) -> Option<String> {
    let why = match name {
        "." => "must not be '.'",
        ".." => "must not be '..'",
        name if name.starts_with("..") => "must not start with '..'",
        _ => return None,
    };
    Some(why.to_owned())
}

fn too_long(most: usize) -> String {
    format!("must be no more than {most} characters")
}

const NAME_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
     alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
     and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
     validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
     start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
     '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const VARIABLE_RULE: &str = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', \
     or '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for \
     validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')";
const CONFIG_KEY_RULE: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
     'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const HEADER_RULE: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', \
     regex used for validation is '[-A-Za-z0-9]+')";

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && is_key(text)
}

fn is_key(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_dns_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bytes.first().is_some_and(inner)
        && bytes.last().is_some_and(inner)
        && bytes.iter().all(|byte| inner(byte) || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts that are fine, and texts with a part of what is said of them.
    fn check(rule: fn(&str) -> Option<String>, fine: &[&str], wrong: &[(&str, &str)]) {
        for text in fine {
            assert_eq!(rule(text), None, "{text}");
        }
        for (text, says) in wrong {
            let why = rule(text).unwrap_or_default();
            assert!(why.contains(says), "{text}: {why:?}");
        }
    }

    #[test]
    fn every_kind_of_name_has_its_rule() {
        let long = "a".repeat(254);
        check(
            label_key,
            &["app", "example.com/app", "A_b.c"],
            &[("a/b/c", "qualified name"), ("/a", "prefix")],
        );
        check(label_value, &["", "a", "1.0"], &[("-a", "a valid label"), (&long, "no more than 63")]);
        check(dns_label, &["a", "a-1"], &[("a.b", "dots"), ("A", "RFC 1123 label"), ("", "RFC 1123 label")]);
        check(subdomain, &["a.b"], &[("a..b", "RFC 1123 subdomain"), (&long, "no more than 253")]);
        check(
            port,
            &["http", "a-1"],
            &[
                ("", "only"),
                ("HTTP", "only"),
                ("80", "one letter"),
                ("a--b", "consecutive"),
                ("a-", "begin or end"),
                ("abcdefghijklmnop", "no more than 15"),
            ],
        );
        check(
            environment_variable,
            &["A", "_a.b-c"],
            &[("1", "digit"), ("..a", "start with '..'"), ("", "digit")],
        );
        check(config_key, &["1.yaml"], &[("a b", "config key"), (".", "must not be '.'")]);
        check(header, &["X-A"], &[("X_A", "HTTP header")]);
        check(descending_path, &["a/b", "..a"], &[("/a", "relative"), ("a/../b", "'..'")]);
    }

    #[test]
    fn a_path_may_have_a_key_at_its_end() {
        assert_eq!(subscript("metadata.labels['a.b/c']"), Some(("metadata.labels", "a.b/c")));
        for path in ["metadata.name", "['a']", "a['b'", "a[b]"] {
            assert_eq!(subscript(path), None, "{path}");
        }
    }
}
