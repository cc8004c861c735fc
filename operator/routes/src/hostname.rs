//! Host names with a star: of Mappings, Hosts and TLS contexts (emissary.md §2.4).

use proxy_config::{model::HostMatch, pattern::compile, validate::is_server_name};

/// Reads a host glob: `*`, one leading or one trailing star, or a name; with a port only the authority to the letter.
pub(crate) fn parse_glob(text: &str) -> Result<HostMatch, String> {
    let text = text.to_ascii_lowercase();
    let stars = text.matches('*').count();
    let name = text.strip_prefix('*').or_else(|| text.strip_suffix('*')).unwrap_or(&text);
    if text.chars().any(|it| it.is_whitespace() || it.is_control() || it == '/') {
        return Err(format!("hostname `{text}` is no host name"));
    }
    if text == "*" {
        return Ok(HostMatch::Any);
    }
    if name.contains('*') || stars > 1 {
        return Err(format!(
            "hostname `{text}` cannot match anything: one `*` is allowed, at the beginning or at the end"
        ));
    }
    let port = has_port(name);
    Ok(match (text.starts_with('*'), text.ends_with('*'), port) {
        (true, _, false) => HostMatch::Suffix(name.to_owned()),
        (_, true, false) => HostMatch::Prefix(name.to_owned()),
        (true, _, true) => HostMatch::Regex(format!(".+{}", escape(name))),
        (_, true, true) => HostMatch::Regex(format!("{}.+", escape(name))),
        (false, false, true) => HostMatch::Authority(text),
        (false, false, false) => HostMatch::Exact(text),
    })
}

/// The name that TLS connections ask for, for hosts that fall under `name`; `None`: no such name says it.
pub(crate) fn server_name(name: &HostMatch) -> Option<String> {
    match name {
        HostMatch::Any => Some("*".to_owned()),
        HostMatch::Exact(name) => Some(name.clone()),
        HostMatch::Authority(name) => Some(without_port(name).to_owned()),
        HostMatch::Suffix(tail) | HostMatch::Label(tail) => Some(format!("*{tail}")),
        HostMatch::Prefix(head) => Some(format!("{head}*")),
        HostMatch::Regex(_) => None,
    }
}

/// Refuses what no TLS connection can ask for: proxies would not take a configuration that has it.
pub(crate) fn check_server_name(name: &str) -> Result<(), String> {
    if is_server_name(name) {
        return Ok(());
    }
    Err(format!(
        "`{name}` is no host name: it may have 253 characters, and between its dots 1 to 63 letters, digits and hyphens"
    ))
}

/// Whether Emissary thinks that some host could fall under both globs, and so lets a Mapping belong to a Host. It
/// compares texts: letter case and ports count, and a star stands for at least one character.
#[must_use]
pub fn compatible(a: &str, b: &str) -> bool {
    if a == b || a == "*" || b == "*" {
        return true;
    }
    match (Glob::of(a), Glob::of(b)) {
        (Glob::Tail(a), Glob::Tail(b)) => a.ends_with(b) || b.ends_with(a),
        (Glob::Head(a), Glob::Head(b)) => a.starts_with(b) || b.starts_with(a),
        (Glob::Tail(_), Glob::Head(_)) | (Glob::Head(_), Glob::Tail(_)) => true,
        (Glob::Tail(tail), Glob::Text(text)) | (Glob::Text(text), Glob::Tail(tail)) => {
            text.len() > tail.len() && text.ends_with(tail) && !text.starts_with('.')
        }
        (Glob::Head(head), Glob::Text(text)) | (Glob::Text(text), Glob::Head(head)) => {
            text.len() > head.len() && text.starts_with(head)
        }
        (Glob::Text(_), Glob::Text(_)) => false,
    }
}

/// A glob as far as it is compared.
enum Glob<'a> {
    /// What follows a star.
    Tail(&'a str),
    /// What a star follows.
    Head(&'a str),
    /// No star, or one that means nothing.
    Text(&'a str),
}

impl<'a> Glob<'a> {
    fn of(text: &'a str) -> Self {
        match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(tail), _) if !tail.contains('*') => Self::Tail(tail),
            (_, Some(head)) if !head.contains('*') => Self::Head(head),
            _ => Self::Text(text),
        }
    }
}

/// The text that a person would write for `host`.
#[must_use]
pub fn show(host: &HostMatch) -> String {
    match host {
        HostMatch::Any => "*".to_owned(),
        HostMatch::Exact(name) | HostMatch::Authority(name) => name.clone(),
        HostMatch::Suffix(tail) | HostMatch::Label(tail) => format!("*{tail}"),
        HostMatch::Prefix(head) => format!("{head}*"),
        HostMatch::Regex(pattern) => format!("~{pattern}"),
    }
}

/// The name without its port.
pub(crate) fn without_port(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => name,
    }
}

/// What only the authority without a port falls under: names there are compared with their ports, as in Emissary.
pub(crate) fn to_the_letter(host: &HostMatch) -> HostMatch {
    match host {
        HostMatch::Exact(name) => HostMatch::Authority(name.clone()),
        HostMatch::Suffix(tail) => HostMatch::Regex(format!(".+{}", escape(tail))),
        HostMatch::Prefix(head) => HostMatch::Regex(format!("{}.+", escape(head))),
        HostMatch::Authority(_) | HostMatch::Regex(_) | HostMatch::Label(_) | HostMatch::Any => host.clone(),
    }
}

/// Whether `authority`, in lower case and with its port if it has one, falls under `host`.
pub(crate) fn holds(host: &HostMatch, authority: &str) -> bool {
    let name = without_port(authority);
    match host {
        HostMatch::Any => true,
        HostMatch::Exact(text) => name == text,
        HostMatch::Authority(text) => authority == text,
        HostMatch::Suffix(tail) => name.len() > tail.len() && name.ends_with(tail.as_str()),
        HostMatch::Label(tail) => {
            name.strip_suffix(tail.as_str()).is_some_and(|label| !label.is_empty() && !label.contains('.'))
        }
        HostMatch::Prefix(head) => name.len() > head.len() && name.starts_with(head.as_str()),
        HostMatch::Regex(pattern) => compile(pattern).is_ok_and(|regex| regex.is_match(authority)),
    }
}

/// Whether a name ends in `:port`; the colons of a bracketed IPv6 address are none.
fn has_port(name: &str) -> bool {
    name.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'))
}

/// `text` as a pattern that matches it alone.
pub(crate) fn escape(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 8);
    for it in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(it) {
            pattern.push('\\');
        }
        pattern.push(it);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_reads_as_the_table_says() {
        let table = [
            ("*", Some(HostMatch::Any)),
            ("Shop.Example.org", Some(HostMatch::Exact("shop.example.org".into()))),
            ("shop.example.org:8080", Some(HostMatch::Authority("shop.example.org:8080".into()))),
            ("*.example.org", Some(HostMatch::Suffix(".example.org".into()))),
            ("*example.org", Some(HostMatch::Suffix("example.org".into()))),
            ("shop.*", Some(HostMatch::Prefix("shop.".into()))),
            ("*.local:8500", Some(HostMatch::Regex(r".+\.local:8500".into()))),
            ("[2001:db8::1]", Some(HostMatch::Exact("[2001:db8::1]".into()))),
            ("a.*.org", None),
            ("*.a.*", None),
            ("**", None),
            ("a b", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_glob(text).ok(), expected, "{text}");
        }
    }
}
