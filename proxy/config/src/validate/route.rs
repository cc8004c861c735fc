//! What can be wrong with one route by itself.

use super::{
    Fault, filters,
    text::{is_header_name, is_host, is_path},
};
use crate::{
    model::{
        Action, Arm, HostMatch, HostRewrite, NamedMatch, PathMatch, RedirectTo, Refusal, RegexRewrite,
        Rewrite, Route, Share, Split, TextMatch,
    },
    pattern::{self, Substitution},
};

pub(super) fn faults(route: &Route) -> Vec<Fault> {
    let mut faults = Vec::new();
    host(&route.host, &mut faults);
    path(&route.path, &mut faults);
    values(route.method.as_ref(), &route.headers, &route.query, &mut faults);
    filters::filters(&route.filters, &mut faults);
    if let Some(to_https) = route.to_https {
        redirect_status(to_https.status, &mut faults);
    }
    match &route.action {
        Action::Split(split) => split_faults(split, &mut faults),
        Action::Refuse(refusal) => refusal_faults(refusal, &mut faults),
        Action::Redirect(redirect) => redirect_faults(redirect, &mut faults),
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
        PathMatch::Elements(text) => {
            if !text.starts_with('/') {
                faults.push(Fault::Path(text.clone()));
            }
            if text.len() > 1 && text.ends_with('/') {
                faults.push(Fault::Elements(text.clone()));
            }
        }
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
        | HostMatch::Label(text)
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

/// The arms of a split and their parts.
pub(super) fn shares(split: &Split, faults: &mut Vec<Fault>) {
    let sum = split.arms.iter().map(|arm| u32::from(arm.share.parts())).sum();
    if sum != u32::from(Share::WHOLE.parts()) {
        faults.push(Fault::Shares { split: split.id.to_string(), sum });
    }
    if !split.arms.is_sorted_by(|a, b| a.id < b.id) {
        faults.push(Fault::ArmOrder(split.id.to_string()));
    }
}

fn split_faults(split: &Split, faults: &mut Vec<Fault>) {
    shares(split, faults);
    for Arm { rewrite: to, host_rewrite, request_headers, response_headers, .. } in &split.arms {
        rewrite(to, faults);
        match host_rewrite {
            HostRewrite::Literal(host) if !is_host(host) => faults.push(Fault::HostRewrite(host.clone())),
            HostRewrite::Literal(_) | HostRewrite::Keep | HostRewrite::Endpoint => {}
        }
        filters::edits(request_headers, faults);
        filters::edits(response_headers, faults);
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

fn rewrite(rewrite: &Rewrite, faults: &mut Vec<Fault>) {
    match rewrite {
        Rewrite::None => {}
        Rewrite::Prefix(text) | Rewrite::Full(text) => {
            if !is_path(text) {
                faults.push(Fault::Rewrite(text.clone()));
            }
        }
        Rewrite::Regex(RegexRewrite { pattern, substitution }) => match pattern::compile_search(pattern) {
            Ok(pattern) => faults.extend(Substitution::parse(substitution, &pattern).err().map(Fault::from)),
            Err(error) => faults.push(error.into()),
        },
    }
}

fn redirect_faults(redirect: &RedirectTo, faults: &mut Vec<Fault>) {
    redirect_status(redirect.status, faults);
    let is_name = |host: &str| is_host(host) && (!host.contains(':') || host.ends_with(']'));
    if let Some(host) = redirect.host.as_ref().filter(|it| !is_name(it)) {
        faults.push(Fault::RedirectHost(host.clone()));
    }
    rewrite(&redirect.path, faults);
}

fn redirect_status(status: u16, faults: &mut Vec<Fault>) {
    if ![301, 302, 303, 307, 308].contains(&status) {
        faults.push(Fault::RedirectStatus(status));
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

pub(super) fn regex(text: &str, faults: &mut Vec<Fault>) {
    faults.extend(pattern::compile(text).err().map(Fault::from));
}
