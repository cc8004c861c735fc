//! The rules of all hosts.

use std::{collections::BTreeMap, sync::Arc};

use proxy_config::model::{HostMatch, Route};
use regex::Regex;

use super::{Matcher, RequestHead, Slot, named::Named, paths::Paths};

/// An index of rules by host, then by path. Copies share what a change does not touch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    any: Arc<Paths>,
    exact: Named,
    authorities: Named,
    suffixes: Wildcards,
    /// By what follows the first label.
    labels: Named,
    prefixes: Wildcards,
    regexes: BTreeMap<Arc<str>, (Regex, Arc<Paths>)>,
}

/// Texts that a host may begin or end with.
#[derive(Clone, Debug, Default)]
struct Wildcards {
    texts: Named,
    /// How many texts there are of each length.
    lengths: BTreeMap<usize, usize>,
}

impl Hosts {
    /// Puts the rule of a route in, which is not there. `regex` is the compiled text of its host, if that is one.
    pub(crate) fn insert(&mut self, route: &Route, rule: Arc<Matcher>, regex: Option<Regex>) {
        if let (HostMatch::Regex(text), Some(regex)) = (&route.host, regex) {
            self.regexes.entry(text.as_str().into()).or_insert_with(|| (regex, Arc::default()));
        }
        self.edit(&route.host, |paths| paths.insert(route, rule));
    }

    /// Takes the rule of a route out.
    pub(crate) fn remove(&mut self, route: &Route, rule: &Matcher) {
        self.edit(&route.host, |paths| paths.remove(route, rule));
    }

    fn edit(&mut self, host: &HostMatch, edit: impl FnOnce(&mut Paths)) {
        match host {
            HostMatch::Any => edit(Arc::make_mut(&mut self.any)),
            HostMatch::Exact(text) => self.exact.edit(text, edit),
            HostMatch::Authority(text) => self.authorities.edit(text, edit),
            HostMatch::Suffix(text) => self.suffixes.edit(text, edit),
            HostMatch::Label(text) => self.labels.edit(text, edit),
            HostMatch::Prefix(text) => self.prefixes.edit(text, edit),
            HostMatch::Regex(text) => {
                let Some((_, paths)) = self.regexes.get_mut(text.as_str()) else { return };
                edit(Arc::make_mut(paths));
                if paths.is_empty() {
                    self.regexes.remove(text.as_str());
                }
            }
        }
    }

    /// The rule that takes a request whose host is of this class: of all that match, the one of smallest rank.
    pub(crate) fn find(&self, request: &RequestHead<'_>, class: Option<&str>) -> Option<Slot> {
        let host = request.host();
        let tail = host.find('.').filter(|it| *it > 0).and_then(|it| self.labels.get(&host[it..]));
        let named =
            [self.authorities.get(request.authority), self.exact.get(host), tail].into_iter().flatten();
        let patterns = self.regexes.values().filter(|(regex, _)| regex.is_match(request.authority));
        let buckets = named
            .chain(self.suffixes.ends_of(host))
            .chain(self.prefixes.beginnings_of(host))
            .chain(patterns.map(|(_, paths)| paths))
            .chain([&self.any]);
        let best = buckets.fold(None, |best: Option<&Matcher>, paths| paths.find(request, class, best));
        best.map(|it| it.slot)
    }
}

impl Wildcards {
    fn edit(&mut self, text: &str, edit: impl FnOnce(&mut Paths)) {
        let before = self.texts.len();
        self.texts.edit(text, edit);
        let count = self.lengths.entry(text.len()).or_default();
        *count = *count + self.texts.len() - before;
        if *count == 0 {
            self.lengths.remove(&text.len());
        }
    }

    /// The texts that end `host` and are shorter than it.
    fn ends_of(&self, host: &str) -> impl Iterator<Item = &Arc<Paths>> {
        self.lengths_below(host.len()).filter_map(|it| self.texts.get(host.get(host.len() - it..)?))
    }

    /// The texts that begin `host` and are shorter than it.
    fn beginnings_of(&self, host: &str) -> impl Iterator<Item = &Arc<Paths>> {
        self.lengths_below(host.len()).filter_map(|it| self.texts.get(host.get(..it)?))
    }

    fn lengths_below(&self, limit: usize) -> impl Iterator<Item = usize> {
        self.lengths.range(..limit).map(|(length, _)| *length)
    }
}
