//! The order in which the groups are asked, and the id of each.
//!
//! Emissary sorts by a tuple, greatest first (emissary.md §2.1): precedence, length of the prefix, length of the
//! header constraints (host and method are headers there), length of the query constraints, then the texts
//! themselves. [`rank`] writes that tuple as bytes that compare the other way round, so that the proxy needs to
//! know nothing of it.

use std::{borrow::Cow, fmt::Write as _};

use proxy_config::model::{HostMatch, NamedMatch, Rank, TextMatch};

use crate::{hostname, mapping::MatchKey};

/// The place of a group among all others; `id` is its [`id`].
#[must_use]
pub fn rank(key: &MatchKey, id: &str) -> Rank {
    // Every host counts, `*` too.
    let (host, regex) = match &key.host {
        HostMatch::Regex(pattern) => (pattern.clone(), true),
        other => (hostname::show(other), false),
    };
    let method = key.method.as_ref().map(|method| match method {
        TextMatch::Exact(text) => (text.as_str(), false),
        TextMatch::Regex(text) => (text.as_str(), true),
        TextMatch::Present => ("*", false),
    });
    let mut headers: Vec<Constraint<'_>> = key.headers.iter().map(constraint).collect();
    if key.selected_by.is_none() {
        headers.push((":authority", &host, regex));
    }
    headers.extend(method.map(|(text, regex)| (":method", text, regex)));
    let query: Vec<Constraint<'_>> = key.query.iter().map(constraint).collect();

    let mut rank = Vec::with_capacity(key.prefix.len() + id.len() + 64);
    rank.extend(precedence(i64::from(key.precedence)));
    down(&mut rank, key.prefix.chars().count());
    down(&mut rank, weight(&headers));
    down(&mut rank, weight(&query));
    down_text(&mut rank, &key.prefix);
    down_text(&mut rank, method.map_or("GET", |(text, _)| text));
    for list in [headers, query] {
        let mut texts: Vec<String> =
            list.into_iter().map(|(name, value, _)| [name, "-", value].concat()).collect();
        texts.sort();
        for text in &texts {
            down_text(&mut rank, text);
        }
        rank.push(u8::MAX);
    }
    // What Emissary leaves to chance: the id orders what is equal up to here.
    rank.extend(id.bytes());
    Rank(rank)
}

/// The id of the group's route and split: readable, the same for the same key, different for different ones.
#[must_use]
pub fn id(key: &MatchKey) -> String {
    let MatchKey { host, prefix, method, headers, query, precedence, selected_by } = key;
    let mut id = ["mapping ", &*escape(&hostname::show(host)), &*escape(prefix)].concat();
    if let Some(method) = method {
        let _ = write!(id, " method{}", show_text(method));
    }
    for NamedMatch { name, value } in headers {
        let _ = write!(id, " header[{}]{}", escape(name), show_text(value));
    }
    for NamedMatch { name, value } in query {
        let _ = write!(id, " query[{}]{}", escape(name), show_text(value));
    }
    if *precedence != 0 {
        let _ = write!(id, " precedence={precedence}");
    }
    if let Some(labels) = selected_by {
        id.push_str(" selected");
        for (name, value) in labels {
            let _ = write!(id, " label[{}]={}", escape(name), escape(value));
        }
    }
    id
}

/// The first bytes of a rank. Precedence is signed: its greatest value becomes 0. Between two there is room for another
/// dialect.
pub(crate) fn precedence(value: i64) -> [u8; 8] {
    (2 * (i64::from(i32::MAX) - value)).to_be_bytes()
}

fn show_text(text: &TextMatch) -> String {
    match text {
        TextMatch::Exact(text) => format!("={}", escape(text)),
        TextMatch::Regex(text) => format!("~{}", escape(text)),
        TextMatch::Present => "=*present*".to_owned(),
    }
}

/// Spaces separate the parts of an id and brackets their names, so neither may occur inside.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    let plain = |it: u8| it.is_ascii_graphic() && !matches!(it, b'%' | b'[' | b']');
    if text.bytes().all(plain) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len());
    for it in text.chars() {
        match it {
            '%' | '[' | ']' => drop(write!(escaped, "%{:02X}", u32::from(it))),
            it if it.is_whitespace() || it.is_control() => drop(write!(escaped, "%{:02X}", u32::from(it))),
            it => escaped.push(it),
        }
    }
    escaped.into()
}

/// A name, what it must be, and whether that is an expression.
type Constraint<'a> = (&'a str, &'a str, bool);

fn constraint(NamedMatch { name, value }: &NamedMatch) -> Constraint<'_> {
    match value {
        TextMatch::Exact(text) => (name, text, false),
        TextMatch::Regex(text) => (name, text, true),
        // Conversion to v3alpha1 writes "present" as the expression `.*`.
        TextMatch::Present => (name, ".*", true),
    }
}

/// Emissary counts characters, and one more for an expression.
fn weight(constraints: &[Constraint<'_>]) -> usize {
    let one = |(name, value, regex): &Constraint<'_>| {
        name.chars().count() + value.chars().count() + usize::from(*regex)
    };
    constraints.iter().map(one).sum()
}

pub(crate) fn down(rank: &mut Vec<u8>, number: usize) {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    rank.extend((u32::MAX - number).to_be_bytes());
}

/// Inverted bytes, closed by one that is above all of them: a text comes before its own beginnings.
pub(crate) fn down_text(rank: &mut Vec<u8>, text: &str) {
    rank.extend(text.bytes().map(|byte| u8::MAX - byte));
    rank.push(u8::MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(prefix: &str) -> MatchKey {
        MatchKey {
            host: HostMatch::Any,
            prefix: prefix.to_owned(),
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
            precedence: 0,
            selected_by: None,
        }
    }

    fn named(name: &str, value: &str) -> Vec<NamedMatch> {
        vec![NamedMatch { name: name.to_owned(), value: TextMatch::Exact(value.to_owned()) }]
    }

    #[test]
    fn groups_are_asked_in_the_order_of_emissary() {
        let expected = [
            MatchKey { precedence: 1, ..key("/z") },
            key("/api/v1"),
            MatchKey { host: HostMatch::Exact("bar.example.com".into()), ..key("/api/") },
            MatchKey { host: HostMatch::Suffix(".example.com".into()), ..key("/api/") },
            MatchKey { method: Some(TextMatch::Exact("POST".into())), ..key("/api/") },
            MatchKey { headers: named("x-a", "1"), ..key("/api/") },
            MatchKey { query: named("q", "1"), ..key("/api/") },
            key("/api/"),
            key("/b/"),
            key("/a/"),
            key("/"),
            MatchKey { precedence: -1, ..key("/long/prefix") },
        ];
        let mut sorted = expected.to_vec();
        sorted.sort_by_key(|key| std::cmp::Reverse(rank(key, &id(key))));
        sorted.sort_by_key(|key| rank(key, &id(key)));
        assert_eq!(sorted, expected);
    }

    #[test]
    fn an_id_is_readable_and_its_parts_cannot_be_confused() {
        let mut one = key("/echo");
        assert_eq!(id(&one), "mapping */echo");
        one.headers = named("x-a", "b c");
        one.method = Some(TextMatch::Regex("GET|POST".into()));
        one.precedence = -3;
        assert_eq!(id(&one), "mapping */echo method~GET|POST header[x-a]=b%20c precedence=-3");
        let forged = key("/echo method~GET|POST");
        assert_eq!(id(&forged), "mapping */echo%20method~GET|POST");
    }
}
