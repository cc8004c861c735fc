//! What can be wrong with the filters of a route.

use super::{
    Fault,
    authorization::authorization,
    route::regex,
    text::{is_header_name, is_header_value, is_token},
};
use crate::{
    model::{
        Access, ClientLimits, Cors, Edit, Filters, HeaderEdit, Login, OriginMatch, Retry, Upgrades, Value,
        ValuePart,
    },
    password::PasswordHash,
};

/// Headers that belong to one connection, frame the message, or have a field of their own in an arm.
const FORBIDDEN: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn filters(filters: &Filters, faults: &mut Vec<Fault>) {
    edits(&filters.request_headers, faults);
    edits(&filters.response_headers, faults);
    if let Some(of) = &filters.cors {
        cors(of, faults);
    }
    if let Some(Retry { statuses, retries, .. }) = filters.retry.as_deref() {
        if !(1..=Retry::MOST).contains(retries) {
            faults.push(Fault::Retries(*retries));
        }
        faults.extend(statuses.iter().copied().filter(|it| !is_error(*it)).map(Fault::ErrorStatus));
    }
    for error in &filters.errors {
        if !is_error(error.status) {
            faults.push(Fault::ErrorStatus(error.status));
        }
        if !is_header_value(&error.content_type) {
            faults.push(Fault::HeaderValue(error.content_type.clone()));
        }
        names(&error.body, faults);
    }
    if !filters.errors.is_sorted_by(|a, b| a.status < b.status) {
        faults.push(Fault::ErrorOrder);
    }
    if let Upgrades::Only(protocols) = &filters.upgrades {
        // A protocol may have a version after a slash (RFC 9110 §7.8).
        let odd = protocols.iter().filter(|it| !it.splitn(2, '/').all(is_header_name));
        faults.extend(odd.cloned().map(Fault::Protocol));
    }
    filters.access.iter().for_each(|it| access(it, faults));
    if let Some(ClientLimits { rates, at_once, .. }) = filters.clients.as_deref() {
        let odd = rates.iter().any(|it| it.requests == 0 || it.per_ms == 0) || *at_once == Some(0);
        if odd || rates.len() > ClientLimits::MOST_RATES {
            faults.push(Fault::ClientLimits);
        }
    }
}

pub(super) fn access(access: &Access, faults: &mut Vec<Fault>) {
    access.login.iter().for_each(|it| login(it, faults));
    access.authorization.iter().for_each(|it| authorization(it, faults));
}

fn login(login: &Login, faults: &mut Vec<Fault>) {
    let Login { realm, users } = login;
    // It stands between quotes.
    if !is_header_value(realm) || realm.contains(['"', '\\']) {
        faults.push(Fault::Realm(realm.clone()));
    }
    if !users.is_sorted_by(|a, b| a.name < b.name) {
        faults.push(Fault::UserOrder);
    }
    for user in users {
        if user.name.contains(':') || user.name.chars().any(char::is_control) {
            faults.push(Fault::User(user.name.clone()));
        }
        if let Err(error) = PasswordHash::parse(&user.hash.0) {
            faults.push(Fault::Password { user: user.name.clone(), error });
        }
    }
}

pub(super) fn edits(edits: &[HeaderEdit], faults: &mut Vec<Fault>) {
    for HeaderEdit { name, edit } in edits {
        reserved(name, faults);
        match edit {
            Edit::Set(value) | Edit::Add(value) => {
                names(value, faults);
                for part in &value.0 {
                    if let ValuePart::Text(text) = part
                        && !is_header_value(text)
                    {
                        faults.push(Fault::HeaderValue(text.clone()));
                    }
                }
            }
            Edit::Remove => {}
        }
    }
}

/// No name of a header, or of one that is ours to decide on.
pub(super) fn reserved(name: &str, faults: &mut Vec<Fault>) {
    if !is_header_name(name) {
        faults.push(Fault::HeaderName(name.to_owned()));
    } else if FORBIDDEN.contains(&name) {
        faults.push(Fault::ForbiddenHeader(name.to_owned()));
    }
}

pub(super) fn names(value: &Value, faults: &mut Vec<Fault>) {
    for part in &value.0 {
        match part {
            ValuePart::RequestHeader(name) if !is_header_name(name) => {
                faults.push(Fault::HeaderName(name.clone()));
            }
            ValuePart::RequestHeader(_) | ValuePart::Text(_) | ValuePart::Variable(_) => {}
        }
    }
}

fn cors(cors: &Cors, faults: &mut Vec<Fault>) {
    for origin in &cors.origins {
        match origin {
            OriginMatch::Regex(text) => regex(text, faults),
            OriginMatch::Any | OriginMatch::Exact(_) => {}
        }
    }
    faults.extend(cors.methods.iter().filter(|it| !is_token(it)).cloned().map(Fault::Method));
    let headers = cors.headers.iter().chain(&cors.exposed_headers);
    faults.extend(headers.filter(|it| !is_token(it)).cloned().map(Fault::HeaderName));
}

pub(super) fn is_error(status: u16) -> bool {
    (400..=599).contains(&status)
}
