//! The rules of all hosts.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use proxy_config::model::HostMatch;
use regex::Regex;

use super::{Matcher, RequestHead, Slot, paths::Paths};

/// An index of rules by host, then by path. Cheap to clone: buckets are shared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    any: Option<Arc<Paths>>,
    exact: HashMap<Arc<str>, Arc<Paths>>,
    authorities: HashMap<Arc<str>, Arc<Paths>>,
    suffixes: Wildcards,
    /// By what follows the first label.
    labels: HashMap<Arc<str>, Arc<Paths>>,
    prefixes: Wildcards,
    regexes: BTreeMap<Arc<str>, (Regex, Arc<Paths>)>,
}

/// Texts that a host may begin or end with.
#[derive(Clone, Debug, Default)]
struct Wildcards {
    texts: HashMap<Arc<str>, Arc<Paths>>,
    /// How many texts there are of each length.
    lengths: BTreeMap<usize, usize>,
}

impl Hosts {
    /// Puts the rules of one host into the index, or takes the host out of it. `regex` is the compiled text of
    /// a host that is one and was not in the index before.
    pub(crate) fn set(&mut self, host: &HostMatch, regex: Option<Regex>, paths: Option<Paths>) {
        let paths = paths.map(Arc::new);
        match host {
            HostMatch::Any => self.any = paths,
            HostMatch::Exact(text) => set(&mut self.exact, text, paths),
            HostMatch::Authority(text) => set(&mut self.authorities, text, paths),
            HostMatch::Suffix(text) => self.suffixes.set(text, paths),
            HostMatch::Label(text) => set(&mut self.labels, text, paths),
            HostMatch::Prefix(text) => self.prefixes.set(text, paths),
            HostMatch::Regex(text) => {
                let known = self.regexes.remove(text.as_str()).map(|(regex, _)| regex);
                if let Some(entry) = known.or(regex).zip(paths) {
                    self.regexes.insert(text.as_str().into(), entry);
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
            .chain(&self.any);
        let best = buckets.fold(None, |best: Option<&Matcher>, paths| paths.find(request, class, best));
        best.map(|it| it.slot)
    }
}

impl Wildcards {
    fn set(&mut self, text: &str, paths: Option<Arc<Paths>>) {
        let (added, removed) = (paths.is_some(), self.texts.contains_key(text));
        set(&mut self.texts, text, paths);
        let count = self.lengths.entry(text.len()).or_default();
        *count = *count + usize::from(added) - usize::from(removed);
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

fn set(buckets: &mut HashMap<Arc<str>, Arc<Paths>>, text: &str, paths: Option<Arc<Paths>>) {
    match paths {
        Some(paths) => drop(buckets.insert(text.into(), paths)),
        None => drop(buckets.remove(text)),
    }
}
