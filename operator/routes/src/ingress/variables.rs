//! Texts with variables of nginx.

use proxy_config::model::{Value, ValuePart, Variable};

/// What is known, by the names of nginx and ingress-nginx.
const VARIABLES: [(&str, Variable); 15] = [
    ("args", Variable::Query),
    ("best_http_host", Variable::Authority),
    ("document_uri", Variable::NormalPath),
    ("escaped_request_uri", Variable::EscapedPath),
    ("host", Variable::Host),
    ("http_host", Variable::Authority),
    ("pass_access_scheme", Variable::Scheme),
    ("query_string", Variable::Query),
    ("remote_addr", Variable::ClientAddress),
    ("req_id", Variable::RequestId),
    ("request_id", Variable::RequestId),
    ("request_method", Variable::Method),
    ("request_uri", Variable::Path),
    ("scheme", Variable::Scheme),
    ("uri", Variable::NormalPath),
];

/// A text that stands in a URL or a header. An error: it cannot, or what it refers to is not known.
pub(super) fn template(text: &str) -> Result<Value, String> {
    if !text.bytes().all(|it| it.is_ascii_graphic()) {
        return Err("which has spaces or characters that are not escaped".to_owned());
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        push(&mut parts, before);
        let is_name = |it: char| it.is_ascii_alphanumeric() || it == '_';
        let (name, behind) = match after.strip_prefix('{').map(|it| it.split_once('}')) {
            Some(Some(braced)) => braced,
            Some(None) => ("", after),
            None => after.split_at(after.find(|it| !is_name(it)).unwrap_or(after.len())),
        };
        let part = variable(name).ok_or_else(|| {
            let known: Vec<String> = VARIABLES.iter().map(|(name, _)| format!("${name}")).collect();
            format!(
                "in which `${name}` is not known; known are {} and $http_ with a header",
                known.join(", ")
            )
        })?;
        parts.push(part);
        rest = behind;
    }
    push(&mut parts, rest);
    Ok(Value(parts))
}

fn push(parts: &mut Vec<ValuePart>, text: &str) {
    if !text.is_empty() {
        parts.push(ValuePart::Text(text.to_owned()));
    }
}

fn variable(name: &str) -> Option<ValuePart> {
    if let Ok(known) = VARIABLES.binary_search_by_key(&name, |(name, _)| name) {
        return Some(ValuePart::Variable(VARIABLES[known].1));
    }
    let header = name.strip_prefix("http_").filter(|header| !header.is_empty())?;
    Some(ValuePart::RequestHeader(header.to_ascii_lowercase().replace('_', "-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_order() {
        assert!(VARIABLES.is_sorted_by_key(|(name, _)| *name));
    }

    #[test]
    fn texts_read_as_the_table_says() {
        let show = |text: &str| match template(text) {
            Err(why) => format!("! {}", why.split(';').next().unwrap_or_default()),
            Ok(Value(parts)) => parts
                .iter()
                .map(|part| match part {
                    ValuePart::Text(text) => format!("[{text}]"),
                    ValuePart::Variable(variable) => format!("{variable:?}"),
                    ValuePart::RequestHeader(name) => format!("<{name}>"),
                })
                .collect::<Vec<_>>()
                .join(" "),
        };
        for (text, expected) in [
            ("", ""),
            ("/check", "[/check]"),
            ("/check?rd=$escaped_request_uri", "[/check?rd=] EscapedPath"),
            ("$scheme://$http_host$request_uri", "Scheme [://] Authority Path"),
            ("/${uri}x?$args", "[/] NormalPath [x?] Query"),
            ("/a?k=$http_x_api_key&m=$request_method", "[/a?k=] <x-api-key> [&m=] Method"),
            ("/$arg_user", "! in which `$arg_user` is not known"),
            ("/$", "! in which `$` is not known"),
            ("/${uri", "! in which `$` is not known"),
            ("/a b", "! which has spaces or characters that are not escaped"),
            ("/ä", "! which has spaces or characters that are not escaped"),
        ] {
            assert_eq!(show(text), expected, "{text}");
        }
    }
}
