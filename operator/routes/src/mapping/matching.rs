//! Which requests a Mapping asks for.

use std::collections::BTreeMap;

use proxy_config::model::{HostMatch, NamedMatch, TextMatch};

use super::PathKind;
use crate::{
    dialect::ApiVersion,
    fields::{Fields, named},
    hostname::parse_glob,
};

/// The host that is asked for, whether it is the Mapping itself that says so, and the headers.
pub(super) struct HostAndHeaders {
    pub(super) host: HostMatch,
    pub(super) named: bool,
    pub(super) headers: Vec<NamedMatch>,
}

pub(super) fn path_kind(fields: &Fields<'_>) -> Result<PathKind, String> {
    let exact = fields.flag("prefix_exact")?.unwrap_or(false);
    Ok(match (fields.flag("prefix_regex")?.unwrap_or(false), exact) {
        (true, _) => PathKind::Regex,
        (false, true) => PathKind::Exact,
        (false, false) => PathKind::Prefix,
    })
}

/// `hostname` wins over `host`, which wins over a `:authority` among the headers. What is written in v1 or v2 and has
/// none of them is for every host.
pub(super) fn host_and_headers(
    fields: &Fields<'_>,
    version: ApiVersion,
    remarks: &mut Vec<String>,
) -> Result<HostAndHeaders, String> {
    let lower = |matches: BTreeMap<String, TextMatch>| {
        matches.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
    };
    let mut exact: BTreeMap<_, _> = lower(fields.matches("headers", false)?);
    let mut regex: BTreeMap<_, _> = lower(fields.matches("regex_headers", true)?);
    let (exact_authority, regex_authority) = (exact.remove(":authority"), regex.remove(":authority"));
    let authority = exact_authority.or(regex_authority);
    let host = fields.text("host")?.filter(|host| !host.is_empty());
    let (host, named_by_itself) =
        match (fields.text("hostname")?.filter(|it| !it.is_empty()), host, authority) {
            (Some(hostname), host, authority) => {
                if host.is_some() || authority.is_some() {
                    remarks.push("`hostname` is used, `host` and the header `:authority` are not".to_owned());
                }
                (parse_glob(&hostname)?, true)
            }
            (None, Some(pattern), _) if fields.flag("host_regex")? == Some(true) => {
                (HostMatch::Regex(pattern), true)
            }
            (None, Some(host), _) if host.contains('*') && version == ApiVersion::V3 => {
                return Err(format!(
                    "`host` is `{host}`: contains *, which cannot match anything; use `hostname`"
                ));
            }
            (None, Some(host), _) | (None, None, Some(TextMatch::Exact(host))) => (parse_glob(&host)?, true),
            (None, None, Some(TextMatch::Regex(pattern))) => (HostMatch::Regex(pattern), false),
            (None, None, Some(TextMatch::Present) | None) => (HostMatch::Any, version != ApiVersion::V3),
        };
    Ok(HostAndHeaders { host, named: named_by_itself, headers: named(exact).chain(named(regex)).collect() })
}

pub(super) fn query(fields: &Fields<'_>) -> Result<Vec<NamedMatch>, String> {
    let exact = named(fields.matches("query_parameters", false)?);
    Ok(exact.chain(named(fields.matches("regex_query_parameters", true)?)).collect())
}

pub(super) fn method(fields: &Fields<'_>) -> Result<Option<TextMatch>, String> {
    let regex = fields.flag("method_regex")? == Some(true);
    let method = fields.text("method")?.filter(|method| !method.is_empty());
    Ok(method.map(|method| if regex { TextMatch::Regex(method) } else { TextMatch::Exact(method) }))
}
