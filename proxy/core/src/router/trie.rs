//! Path texts as a radix tree: one walk over a path finds every prefix of it that has rules.
//!
//! A copy of a tree shares its nodes; a change copies those on the way to its text.

use std::{cmp::Ordering, sync::Arc};

use super::Matcher;

/// Rules by the text of their path.
#[derive(Clone, Debug, Default)]
pub(super) struct Trie {
    root: Node,
}

/// The text from the root to here, and what it stands for.
#[derive(Clone, Debug, Default)]
struct Node {
    /// What this node adds to its parent's text.
    label: Box<[u8]>,
    /// Rules for every path that begins with the text, in order.
    prefixes: Vec<Arc<Matcher>>,
    /// Rules for the text alone, in order.
    exact: Vec<Arc<Matcher>>,
    /// By the first byte of their labels, in order.
    children: Vec<(u8, Arc<Self>)>,
}

/// What a text in the tree stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Covers {
    TextOnly,
    EveryPathWithIt,
}

impl Trie {
    /// Adds a rule that is not there.
    pub(super) fn insert(&mut self, text: &[u8], covers: Covers, rule: Arc<Matcher>) {
        put(self.root.descend(text).rules(covers), rule);
    }

    /// Takes a rule out, if it is there.
    pub(super) fn remove(&mut self, text: &[u8], covers: Covers, rule: &Matcher) {
        self.root.remove(text, covers, rule);
    }

    /// Whether there is no rule.
    pub(super) fn is_empty(&self) -> bool {
        self.root.is_without_rules() && self.root.children.is_empty()
    }

    /// Calls `visit` with the rules of each text that matches `path`, whose bytes are read through `fold`.
    pub(super) fn walk<'a>(
        &'a self,
        path: &[u8],
        fold: fn(u8) -> u8,
        mut visit: impl FnMut(&'a [Arc<Matcher>]),
    ) {
        let (mut node, mut rest) = (&self.root, path);
        loop {
            visit(&node.prefixes);
            let Some(first) = rest.first() else { return visit(&node.exact) };
            let Ok(child) = node.child(fold(*first)) else { return };
            let child = &node.children[child].1;
            let Some((label, after)) = rest.split_at_checked(child.label.len()) else { return };
            if !label.iter().map(|it| fold(*it)).eq(child.label.iter().copied()) {
                return;
            }
            (node, rest) = (child, after);
        }
    }
}

impl Node {
    fn rules(&mut self, covers: Covers) -> &mut Vec<Arc<Matcher>> {
        match covers {
            Covers::TextOnly => &mut self.exact,
            Covers::EveryPathWithIt => &mut self.prefixes,
        }
    }

    fn is_without_rules(&self) -> bool {
        self.prefixes.is_empty() && self.exact.is_empty()
    }

    /// Where the child is whose label begins with this byte, or would be.
    fn child(&self, first: u8) -> Result<usize, usize> {
        self.children.binary_search_by_key(&first, |(byte, _)| *byte)
    }

    /// The node that stands for `text` below this one, made if there is none.
    fn descend(&mut self, text: &[u8]) -> &mut Self {
        let Some(first) = text.first() else { return self };
        let index = match self.child(*first) {
            Err(index) => {
                let made = Self { label: text.into(), ..Self::default() };
                self.children.insert(index, (*first, Arc::new(made)));
                return Arc::make_mut(&mut self.children[index].1);
            }
            Ok(index) => index,
        };
        let child = Arc::make_mut(&mut self.children[index].1);
        let common = child.label.iter().zip(text).take_while(|(a, b)| a == b).count();
        if common < child.label.len() {
            child.split(common);
        }
        child.descend(&text[common..])
    }

    /// Leaves the first `at` bytes of the label here and moves the rest into a child.
    fn split(&mut self, at: usize) {
        let parent = Self { label: self.label[..at].into(), ..Self::default() };
        let mut child = std::mem::replace(self, parent);
        child.label = child.label[at..].into();
        self.children.push((child.label[0], Arc::new(child)));
    }

    /// Takes a rule of `text` out, and the nodes that stand for nothing then.
    fn remove(&mut self, text: &[u8], covers: Covers, rule: &Matcher) {
        let Some(first) = text.first() else { return take(self.rules(covers), rule) };
        let Ok(index) = self.child(*first) else { return };
        let child = Arc::make_mut(&mut self.children[index].1);
        let Some(rest) = text.strip_prefix(&*child.label) else { return };
        child.remove(rest, covers, rule);
        if !child.is_without_rules() {
            return;
        }
        match child.children.len() {
            0 => drop(self.children.remove(index)),
            1 => child.join(),
            _ => {}
        }
    }

    /// Becomes its only child.
    fn join(&mut self) {
        if let Some((_, child)) = self.children.pop() {
            let mut child = Arc::unwrap_or_clone(child);
            child.label = [&*self.label, &*child.label].concat().into();
            *self = child;
        }
    }
}

/// Puts a rule into a list in order.
pub(super) fn put(rules: &mut Vec<Arc<Matcher>>, rule: Arc<Matcher>) {
    let place = rules.partition_point(|it| it.order(&rule) == Ordering::Less);
    rules.insert(place, rule);
}

/// Takes a rule out of a list in order.
pub(super) fn take(rules: &mut Vec<Arc<Matcher>>, rule: &Matcher) {
    if let Ok(place) = rules.binary_search_by(|it| it.order(rule)) {
        rules.remove(place);
    }
}
