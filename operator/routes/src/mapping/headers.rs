//! Headers that a Mapping changes, and the texts it puts into them.

use proxy_config::model::{Edit, HeaderEdit, Value as Template, ValuePart, Variable};
use serde_json::Value;

use super::parse::Reader;
use crate::fields::{Fields, kind};

/// The names of Envoy's commands that have a meaning here.
const VARIABLES: [(&str, Variable); 10] = [
    ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Variable::ClientAddress),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", Variable::ClientAddress),
    ("DOWNSTREAM_REMOTE_ADDRESS", Variable::ClientSocket),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS", Variable::ClientSocket),
    ("PROTOCOL", Variable::Protocol),
    ("RESPONSE_CODE", Variable::Status),
    ("REQ(:METHOD)", Variable::Method),
    ("REQ(:AUTHORITY)", Variable::Authority),
    ("REQ(:PATH)", Variable::Path),
    ("REQ(:SCHEME)", Variable::Scheme),
];

/// The two fields that change the headers of one side.
#[derive(Clone, Copy)]
pub(super) struct EditFields {
    add: &'static str,
    remove: &'static str,
}

impl EditFields {
    pub(super) const REQUEST: Self = Self { add: "add_request_headers", remove: "remove_request_headers" };
    pub(super) const RESPONSE: Self = Self { add: "add_response_headers", remove: "remove_response_headers" };
}

/// What a Mapping, or the Module for it, says in `of`: what goes goes first, as in Envoy.
pub(super) fn edits(reader: &Reader<'_>, of: EditFields) -> Result<Vec<HeaderEdit>, String> {
    edits_of(reader.texts(of.remove)?, reader.value(of.add), of)
}

/// The same of their values.
pub(super) fn edits_of(
    removed: Option<Vec<String>>,
    added: Option<&Value>,
    of: EditFields,
) -> Result<Vec<HeaderEdit>, String> {
    let EditFields { add, remove } = of;
    let mut edits = Vec::new();
    for name in removed.unwrap_or_default() {
        edits.push(HeaderEdit { name: header_name(&name, remove)?, edit: Edit::Remove });
    }
    let Some(added) = added else { return Ok(edits) };
    let Fields(added) = Fields::of(added, add)?;
    for (name, value) in added {
        let at = || format!("`{add}.{name}`");
        let (text, append) = match value {
            Value::String(text) => (text.clone(), true),
            Value::Object(object) => {
                let fields = Fields(object);
                let text = fields.text("value").map_err(|error| format!("in {}: {error}", at()))?;
                let append = fields.flag("append").map_err(|error| format!("in {}: {error}", at()))?;
                (text.unwrap_or_default(), append.unwrap_or(true))
            }
            other => return Err(format!("{} is {}, not a text or {{value, append}}", at(), kind(other))),
        };
        let value = template(&text).map_err(|error| format!("in {}: {error}", at()))?;
        let edit = if append { Edit::Add(value) } else { Edit::Set(value) };
        edits.push(HeaderEdit { name: header_name(name, add)?, edit });
    }
    Ok(edits)
}

fn header_name(name: &str, field: &str) -> Result<String, String> {
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "host" | ":authority" => Err(format!("`{field}` names `{name}`: use `host_rewrite` for the host")),
        pseudo if pseudo.starts_with(':') => Err(format!("`{field}` names `{name}`, which is no header")),
        _ => Ok(lower),
    }
}

/// A text with Envoy's commands, `%NAME%`; `%%` is a percent sign.
pub(super) fn template(text: &str) -> Result<Template, String> {
    if let Some(control) = text.chars().find(|it| it.is_control() && *it != '\t') {
        return Err(format!("the value holds the control character {control:?}"));
    }
    let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let Some((command, after)) = after.split_once('%') else {
            return Err(format!(
                "`%` in `{text}` begins a command that does not end: write `%%` for a percent sign"
            ));
        };
        rest = after;
        if command.is_empty() {
            plain.push('%');
            continue;
        }
        if !plain.is_empty() {
            parts.push(ValuePart::Text(std::mem::take(&mut plain)));
        }
        parts.push(
            part(command)
                .ok_or_else(|| format!("`%{command}%` is not served: write `%%` for a percent sign"))?,
        );
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(ValuePart::Text(plain));
    }
    Ok(Template(parts))
}

fn part(command: &str) -> Option<ValuePart> {
    if let Some((_, variable)) = VARIABLES.iter().find(|(name, _)| *name == command) {
        return Some(ValuePart::Variable(*variable));
    }
    let header = command.strip_prefix("REQ(")?.strip_suffix(')')?.to_ascii_lowercase();
    let token = |it: u8| it.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&it);
    match header.as_str() {
        "x-request-id" => Some(ValuePart::Variable(Variable::RequestId)),
        name if !name.is_empty() && name.bytes().all(token) => Some(ValuePart::RequestHeader(header)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reads_as_the_table_says() {
        let table = [
            ("plain", Some(r#"Text("plain")"#)),
            ("100 %%", Some(r#"Text("100 %")"#)),
            ("%PROTOCOL%", Some("Variable(Protocol)")),
            ("a %REQ(X-B)% c", Some(r#"Text("a "), RequestHeader("x-b"), Text(" c")"#)),
            ("%REQ(:PATH)%", Some("Variable(Path)")),
            ("50 %", None),
            ("%NOPE%", None),
            ("a\r\nb", None),
        ];
        for (text, expected) in table {
            let shown = template(text).ok().map(|Template(parts)| {
                parts.iter().map(|part| format!("{part:?}")).collect::<Vec<_>>().join(", ")
            });
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
    }
}
