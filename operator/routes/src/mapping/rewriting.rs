//! What a Mapping makes of a request's path and host, or where it sends the client instead.

use proxy_config::model::{HostRewrite, RedirectTo, RegexRewrite, Rewrite};

use super::PathKind;
use crate::fields::Fields;

/// `regex_rewrite` wins over `rewrite`, whose default is `/`; an empty text is no rewrite. Where the whole path
/// matched, the whole path is replaced.
pub(super) fn rewrite(
    fields: &Fields<'_>,
    path: PathKind,
    remarks: &mut Vec<String>,
) -> Result<Rewrite, String> {
    let written = fields.text("rewrite")?;
    if fields.value("regex_rewrite").is_some() {
        if written.as_deref().is_some_and(|text| text != "/") {
            remarks.push("`regex_rewrite` is used, `rewrite` is not".to_owned());
        }
        return Ok(Rewrite::Regex(regex(fields, "regex_rewrite")?));
    }
    let mut text = written.unwrap_or_else(|| "/".to_owned());
    if text.is_empty() {
        return Ok(Rewrite::None);
    }
    if !text.starts_with('/') {
        remarks.push(format!("`rewrite` is `{text}` and counts as `/{text}`"));
        text.insert(0, '/');
    }
    Ok(replaced(path, text))
}

/// `host_rewrite` wins over `auto_host_rewrite`.
pub(super) fn host_rewrite(fields: &Fields<'_>) -> Result<HostRewrite, String> {
    let literal = fields.text("host_rewrite")?.filter(|host| !host.is_empty());
    Ok(match (literal, fields.flag("auto_host_rewrite")?) {
        (Some(host), _) => HostRewrite::Literal(host),
        (None, Some(true)) => HostRewrite::Endpoint,
        (None, Some(false) | None) => HostRewrite::Keep,
    })
}

/// `host_redirect`: the client is sent to the host in `service`. `path_redirect` wins over `prefix_redirect`, which
/// wins over `regex_redirect`.
pub(super) fn redirect(
    fields: &Fields<'_>,
    path: PathKind,
    host: String,
    port: Option<u16>,
    remarks: &mut Vec<String>,
) -> Result<RedirectTo, String> {
    let status = fields.integer("redirect_response_code")?.unwrap_or(301);
    let status = match status {
        301 | 302 | 303 | 307 | 308 => u16::try_from(status).unwrap_or(301),
        other => return Err(format!("`redirect_response_code` is {other}, not 301, 302, 303, 307 or 308")),
    };
    let text = |field| fields.text(field).map(|text| text.filter(|text| !text.is_empty()));
    let (whole, prefix) = (text("path_redirect")?, text("prefix_redirect")?);
    let by_regex = !fields.object("regex_redirect")?.0.is_empty();
    let written = [
        ("path_redirect", whole.is_some()),
        ("prefix_redirect", prefix.is_some()),
        ("regex_redirect", by_regex),
    ];
    let mut written = written.iter().filter(|(_, there)| *there).map(|(field, _)| format!("`{field}`"));
    if let Some(used) = written.next() {
        let others: Vec<String> = written.collect();
        if !others.is_empty() {
            remarks.push(format!("{used} is used, {} not", others.join(" and ")));
        }
    }
    let path = match (whole, prefix) {
        (Some(whole), _) => Rewrite::Full(whole),
        (None, Some(prefix)) => replaced(path, prefix),
        (None, None) if by_regex => Rewrite::Regex(regex(fields, "regex_redirect")?),
        (None, None) => Rewrite::None,
    };
    Ok(RedirectTo { status, scheme: None, host: Some(host), port, path })
}

fn regex(fields: &Fields<'_>, field: &str) -> Result<RegexRewrite, String> {
    let object = fields.object(field)?;
    let text = |part: &str| object.text(part).map_err(|error| format!("in `{field}`: {error}"));
    let pattern = text("pattern")?.filter(|pattern| !pattern.is_empty());
    let pattern = pattern.ok_or_else(|| format!("`{field}.pattern` is missing"))?;
    Ok(RegexRewrite { pattern, substitution: text("substitution")?.unwrap_or_default() })
}

/// `text` in the place of what matched.
fn replaced(path: PathKind, text: String) -> Rewrite {
    match path {
        PathKind::Prefix => Rewrite::Prefix(text),
        PathKind::Exact | PathKind::Regex => Rewrite::Full(text),
    }
}
