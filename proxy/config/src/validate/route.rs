//! What can be wrong with one route by itself.

use super::Fault;
use crate::{
    model::{
        Action, Arm, HostMatch, NamedMatch, PathMatch, Refusal, Rewrite, Route, Share, Split, TextMatch,
    },
    pattern,
};

pub(super) fn faults(route: &Route) -> Vec<Fault> {
    let mut faults = Vec::new();
    host(&route.host, &mut faults);
    path(&route.path, &mut faults);
    values(route.method.as_ref(), &route.headers, &route.query, &mut faults);
    match &route.action {
        Action::Split(split) => split_faults(split, &mut faults),
        Action::Refuse(refusal) => refusal_faults(refusal, &mut faults),
    }
    faults
}

fn path(path: &PathMatch, faults: &mut Vec<Fault>) {
    match path {
        PathMatch::Prefix(text) | PathMatch::Exact(text) => {
            if !text.starts_with('/') {
                faults.push(Fault::Path(text.clone()));
            }
        }
        PathMatch::Regex(text) => regex(text, faults),
    }
}

fn values(method: Option<&TextMatch>, headers: &[NamedMatch], query: &[NamedMatch], faults: &mut Vec<Fault>) {
    if let Some(method) = method {
        value(method, faults);
    }
    for NamedMatch { name, value: text } in headers {
        if !is_header_name(name) {
            faults.push(Fault::HeaderName(name.clone()));
        }
        value(text, faults);
    }
    for parameter in query {
        value(&parameter.value, faults);
    }
}

fn host(host: &HostMatch, faults: &mut Vec<Fault>) {
    match host {
        HostMatch::Any => {}
        HostMatch::Regex(text) => regex(text, faults),
        HostMatch::Exact(text)
        | HostMatch::Authority(text)
        | HostMatch::Suffix(text)
        | HostMatch::Prefix(text) => {
            if text.is_empty() {
                faults.push(Fault::HostEmpty);
            }
            if text.bytes().any(|it| it.is_ascii_uppercase()) {
                faults.push(Fault::HostCase(text.clone()));
            }
        }
    }
}

fn split_faults(split: &Split, faults: &mut Vec<Fault>) {
    let sum = split.arms.iter().map(|arm| u32::from(arm.share.parts())).sum();
    if sum != u32::from(Share::WHOLE.parts()) {
        faults.push(Fault::Shares { split: split.id.to_string(), sum });
    }
    if !split.arms.is_sorted_by(|a, b| a.id < b.id) {
        faults.push(Fault::ArmOrder(split.id.to_string()));
    }
    for Arm { rewrite, host_rewrite, .. } in &split.arms {
        match rewrite {
            Rewrite::Prefix(text) | Rewrite::Full(text) if !is_path(text) => {
                faults.push(Fault::Rewrite(text.clone()));
            }
            Rewrite::None | Rewrite::Prefix(_) | Rewrite::Full(_) => {}
        }
        if let Some(host) = host_rewrite.as_ref().filter(|host| !is_host(host)) {
            faults.push(Fault::HostRewrite(host.clone()));
        }
    }
    if !split.mirrors.is_sorted_by(|a, b| a.id < b.id) {
        faults.push(Fault::MirrorOrder(split.id.to_string()));
    }
    for mirror in &split.mirrors {
        if let Some(text) = &mirror.path {
            path(text, faults);
        }
        values(mirror.method.as_ref(), &mirror.headers, &mirror.query, faults);
    }
}

fn refusal_faults(refusal: &Refusal, faults: &mut Vec<Fault>) {
    if !(400..=599).contains(&refusal.status) {
        faults.push(Fault::RefusalStatus(refusal.status));
    }
    let word = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_';
    if !(1..=64).contains(&refusal.reason.len()) || !refusal.reason.bytes().all(word) {
        faults.push(Fault::RefusalReason(refusal.reason.clone()));
    }
}

fn value(text: &TextMatch, faults: &mut Vec<Fault>) {
    match text {
        TextMatch::Regex(text) => regex(text, faults),
        TextMatch::Exact(_) | TextMatch::Present => {}
    }
}

fn regex(text: &str, faults: &mut Vec<Fault>) {
    faults.extend(pattern::compile(text).err().map(Fault::from));
}

/// A token of RFC 9110 §5.6.2 in lower case.
fn is_header_name(name: &str) -> bool {
    let token = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&it);
    !name.is_empty() && name.bytes().all(token)
}

/// Begins with a slash and holds nothing that would end the path or the request line.
fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|it| it.is_ascii_graphic() && !b"?#".contains(&it))
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_alphanumeric() || b".-_:[]".contains(&it))
}
