//! The hosts of a Mapping: `hostname` (glob), `host` (deprecated), `host_regex`.

use proxy_config::model::HostMatch;

/// Reads a host glob: `*`, one leading or one trailing star, or a name; with a port only the authority to the letter.
pub(super) fn parse_glob(text: &str) -> Result<HostMatch, String> {
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

/// The text that a person would write for `host`.
pub(crate) fn show(host: &HostMatch) -> String {
    match host {
        HostMatch::Any => "*".to_owned(),
        HostMatch::Exact(name) | HostMatch::Authority(name) => name.clone(),
        HostMatch::Suffix(tail) => format!("*{tail}"),
        HostMatch::Prefix(head) => format!("{head}*"),
        HostMatch::Regex(pattern) => format!("~{pattern}"),
    }
}

/// Whether a name ends in `:port`; the colons of a bracketed IPv6 address are none.
fn has_port(name: &str) -> bool {
    name.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'))
}

/// `text` as a pattern that matches it alone.
fn escape(text: &str) -> String {
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
