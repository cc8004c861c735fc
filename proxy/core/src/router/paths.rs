//! The rules of one host, by path.

use std::{cmp::Ordering, sync::Arc};

use proxy_config::model::{Case, PathMatch, Route};

use super::{
    Matcher, RequestHead,
    trie::{Covers, Trie},
};

/// An index of rules by their path. Built once; a change of its rules builds another.
#[derive(Debug)]
pub(crate) struct Paths {
    case_counts: Trie,
    /// Texts in lower case.
    case_ignored: Trie,
    /// In order.
    regexes: Vec<Arc<Matcher>>,
}

impl Paths {
    pub(crate) fn new<'a>(rules: impl Iterator<Item = (&'a Route, &'a Arc<Matcher>)>) -> Self {
        let mut rules: Vec<_> = rules.collect();
        rules.sort_by(|(_, a), (_, b)| a.order(b));
        let mut paths =
            Self { case_counts: Trie::default(), case_ignored: Trie::default(), regexes: Vec::new() };
        for (route, matcher) in rules {
            let (text, covers) = match &route.path {
                // With elements the rule itself looks at what follows the text.
                PathMatch::Prefix(text) | PathMatch::Elements(text) => (text, Covers::EveryPathWithIt),
                PathMatch::Exact(text) => (text, Covers::TextOnly),
                PathMatch::Regex(_) => {
                    paths.regexes.push(Arc::clone(matcher));
                    continue;
                }
            };
            match route.case {
                Case::Counts => paths.case_counts.insert(text.as_bytes(), covers, Arc::clone(matcher)),
                Case::Ignored => {
                    let text = text.to_ascii_lowercase();
                    paths.case_ignored.insert(text.as_bytes(), covers, Arc::clone(matcher));
                }
            }
        }
        paths
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
