//! The rules of one host, by path.

use std::{cmp::Ordering, sync::Arc};

use proxy_config::model::{Case, PathMatch, Route};

use super::{
    Matcher, RequestHead,
    trie::{Covers, Trie, put, take},
};

/// An index of rules by their path. Copies share what a change does not touch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paths {
    case_counts: Trie,
    /// Texts in lower case.
    case_ignored: Trie,
    /// In order.
    regexes: Vec<Arc<Matcher>>,
}

impl Paths {
    /// Puts the rule of a route in, which is not there.
    pub(super) fn insert(&mut self, route: &Route, rule: Arc<Matcher>) {
        match place(route) {
            None => put(&mut self.regexes, rule),
            Some((text, covers)) => match route.case {
                Case::Counts => self.case_counts.insert(text.as_bytes(), covers, rule),
                Case::Ignored => {
                    self.case_ignored.insert(text.to_ascii_lowercase().as_bytes(), covers, rule);
                }
            },
        }
    }

    /// Takes the rule of a route out.
    pub(super) fn remove(&mut self, route: &Route, rule: &Matcher) {
        match place(route) {
            None => take(&mut self.regexes, rule),
            Some((text, covers)) => match route.case {
                Case::Counts => self.case_counts.remove(text.as_bytes(), covers, rule),
                Case::Ignored => {
                    self.case_ignored.remove(text.to_ascii_lowercase().as_bytes(), covers, rule);
                }
            },
        }
    }

    /// Whether there is no rule.
    pub(super) fn is_empty(&self) -> bool {
        self.case_counts.is_empty() && self.case_ignored.is_empty() && self.regexes.is_empty()
    }

    /// The first of `best` and the rules here that match.
    pub(super) fn find<'a>(
        &'a self,
        request: &RequestHead<'_>,
        class: Option<&str>,
        mut best: Option<&'a Matcher>,
    ) -> Option<&'a Matcher> {
        let mut consider = |rules: &'a [Arc<Matcher>]| best = first(rules, request, class, best);
        let path = request.path.as_bytes();
        self.case_counts.walk(path, |it| it, &mut consider);
        self.case_ignored.walk(path, |it| it.to_ascii_lowercase(), &mut consider);
        consider(&self.regexes);
        best
    }
}

/// Where a route is in a tree; `None`: in none.
fn place(route: &Route) -> Option<(&str, Covers)> {
    match &route.path {
        // With elements the rule itself looks at what follows the text.
        PathMatch::Prefix(text) | PathMatch::Elements(text) => Some((text, Covers::EveryPathWithIt)),
        PathMatch::Exact(text) => Some((text, Covers::TextOnly)),
        PathMatch::Regex(_) => None,
    }
}

/// The first of `best` and the rules of this list, which is in order.
fn first<'a>(
    rules: &'a [Arc<Matcher>],
    request: &RequestHead<'_>,
    class: Option<&str>,
    best: Option<&'a Matcher>,
) -> Option<&'a Matcher> {
    let better = |rule: &Arc<Matcher>| best.is_none_or(|best| rule.order(best) == Ordering::Less);
    let found = rules.iter().take_while(|rule| better(rule)).find(|rule| rule.matches(request, class));
    found.map(AsRef::as_ref).or(best)
}
