//! The indexes by host and path find what asking every rule finds, after any edits.
//!
//! The input is a text of lines, so that a counterexample can be read and kept:
//!
//! ```text
//! +1 3 =a.org ^/a i   a rule: its name, its rank, its host, its path; `i`: letter case is ignored
//! -1                  it goes
//! ?a.org:80/a/b       a request
//! ```
//!
//! Hosts are `*`, `=exact`, `@with:port`, `<prefix`, `>suffix`, `.label` or `~expression`, paths `=exact`, `^prefix`, `/elements`
//! or `~expression`. Lines that say nothing are skipped.

use std::sync::Arc;

use http::{HeaderMap, Method};
use proxy_config::{
    model::{
        Action, Case, Change, Config, Filters, HostMatch, Key, ListenerId, PathMatch, Rank, Refusal, Route,
        RouteId,
    },
    pattern,
    validate::validate_change,
};
use proxy_core::{router::RequestHead, snapshot::Builder};

/// Checks it for one input.
pub(crate) fn the_indexes_find_what_asking_all_finds(input: &[u8]) {
    let (mut builder, mut config) = (Builder::default(), Config::default());
    let mut snapshot = builder.build(Arc::new(config.clone()), || 1).unwrap();
    let mut changed = false;
    for line in String::from_utf8_lossy(input).lines() {
        if let Some(rule) = line.strip_prefix('+').and_then(rule) {
            let change = Change::Route(Arc::new(rule));
            if validate_change(&change).is_empty() {
                config.apply(change);
                changed = true;
            }
        } else if let Some(name) = line.strip_prefix('-') {
            config.apply(Change::Removed(Key::Route(RouteId::new(name))));
            changed = true;
        } else if let Some((authority, path)) = line.strip_prefix('?').and_then(request) {
            if std::mem::take(&mut changed) {
                snapshot = builder.build(Arc::new(config.clone()), || 1).unwrap();
            }
            let (listener, headers) = (ListenerId::new("http"), HeaderMap::new());
            let head = RequestHead {
                listener: &listener,
                authority,
                path,
                query: None,
                method: &Method::GET,
                headers: &headers,
            };
            let found = snapshot.find(&head).map(|it| &it.route.id);
            assert_eq!(found, by_asking_all(&config, &head), "{authority}{path} in {:?}", config.routes);
        }
    }
}

fn rule(line: &str) -> Option<Route> {
    let mut words = line.split(' ');
    let (name, rank) = (words.next()?, words.next()?.parse().ok()?);
    let (host, path) = (words.next()?, words.next()?);
    let of =
        |text: &str| -> Option<(char, String)> { Some((text.chars().next()?, text.get(1..)?.to_owned())) };
    Some(Route {
        id: RouteId::new(name),
        rank: Rank(vec![rank]),
        host: match of(host)? {
            ('*', _) => HostMatch::Any,
            ('=', text) => HostMatch::Exact(text),
            ('@', text) => HostMatch::Authority(text),
            ('<', text) => HostMatch::Prefix(text),
            ('>', text) => HostMatch::Suffix(text),
            ('.', _) => HostMatch::Label(host.to_owned()),
            ('~', text) => HostMatch::Regex(text),
            _ => return None,
        },
        path: match of(path)? {
            ('=', text) => PathMatch::Exact(text),
            ('^', text) => PathMatch::Prefix(text),
            ('/', _) => PathMatch::Elements(path.to_owned()),
            ('~', text) => PathMatch::Regex(text),
            _ => return None,
        },
        case: if words.next() == Some("i") { Case::Ignored } else { Case::Counts },
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
        listeners: Vec::new(),
        classes: Vec::new(),
        to_https: None,
        filters: Filters::default(),
        action: Action::Refuse(Refusal { status: 500, reason: "fixture".into() }),
    })
}

fn request(line: &str) -> Option<(&str, &str)> {
    Some(line.split_at(line.find('/')?))
}

/// The first in order of all rules, each asked in full.
fn by_asking_all<'a>(config: &'a Config, head: &RequestHead<'_>) -> Option<&'a RouteId> {
    let (host, path) = (head.host(), head.path);
    let regex = |text: &str, asked: &str| pattern::compile(text).unwrap().is_match(asked);
    let matches = |route: &&Arc<Route>| {
        let is_host = match &route.host {
            HostMatch::Any => true,
            HostMatch::Exact(text) => host == text,
            HostMatch::Authority(text) => head.authority == text,
            HostMatch::Suffix(text) => host.len() > text.len() && host.ends_with(text),
            HostMatch::Label(text) => {
                host.strip_suffix(text.as_str()).is_some_and(|it| !it.is_empty() && !it.contains('.'))
            }
            HostMatch::Prefix(text) => host.len() > text.len() && host.starts_with(text),
            HostMatch::Regex(text) => regex(text, head.authority),
        };
        let fold = |text: &str| match route.case {
            Case::Counts => text.to_owned(),
            Case::Ignored => text.to_ascii_lowercase(),
        };
        is_host
            && match &route.path {
                PathMatch::Prefix(text) => fold(path).starts_with(&fold(text)),
                PathMatch::Exact(text) => fold(path) == fold(text),
                PathMatch::Regex(text) => regex(text, path),
                PathMatch::Elements(text) => {
                    let text = fold(text.trim_end_matches('/'));
                    fold(path) == text || fold(path).starts_with(&format!("{text}/"))
                }
            }
    };
    let first = config.routes.values().filter(matches).min_by_key(|it| (&it.rank, &it.id));
    first.map(|it| &it.id)
}
