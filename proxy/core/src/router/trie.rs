//! Path texts as a radix tree: one walk over a path finds every prefix of it that has rules.
//!
//! A copy of a tree shares its nodes; a change copies those on the way to its text.

use std::{cmp::Ordering, sync::Arc};

use super::Matcher;

/// Rules by the text of their path. A tree of one text, which most hosts have, is one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Trie {
    /// `None`: there is no rule.
    root: Option<Arc<Node>>,
}

/// The text from the root to here, and what it stands for.
#[derive(Clone, Debug, Default)]
struct Node {
    /// What this node adds to its parent's text, or the text of the root.
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
        let root = self.root.get_or_insert_with(|| Arc::new(Node::labelled(text)));
        put(Arc::make_mut(root).reach(text).rules(covers), rule);
    }

    /// Takes a rule out, if it is there.
    pub(super) fn remove(&mut self, text: &[u8], covers: Covers, rule: &Matcher) {
        let Some(root) = &mut self.root else { return };
        let root = Arc::make_mut(root);
        root.remove(text, covers, rule);
        if !root.stands_for_something() {
            self.root = None;
        }
    }

    /// Whether there is no rule.
    pub(super) fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// Calls `visit` with the rules of each text that matches `path`, whose bytes are read through `fold`.
    pub(super) fn walk<'a>(
        &'a self,
        path: &[u8],
        fold: fn(u8) -> u8,
        mut visit: impl FnMut(&'a [Arc<Matcher>]),
    ) {
        let Some(mut node) = self.root.as_ref() else { return };
        let mut rest = path;
        loop {
            let Some((label, after)) = rest.split_at_checked(node.label.len()) else { return };
            if !label.iter().map(|it| fold(*it)).eq(node.label.iter().copied()) {
                return;
            }
            visit(&node.prefixes);
            let Some(first) = after.first() else { return visit(&node.exact) };
            let Ok(child) = node.child(fold(*first)) else { return };
            (node, rest) = (&node.children[child].1, after);
        }
    }
}

impl Node {
    fn labelled(text: &[u8]) -> Self {
        Self { label: text.into(), ..Self::default() }
    }

    fn rules(&mut self, covers: Covers) -> &mut Vec<Arc<Matcher>> {
        match covers {
            Covers::TextOnly => &mut self.exact,
            Covers::EveryPathWithIt => &mut self.prefixes,
        }
    }

    fn is_without_rules(&self) -> bool {
        self.prefixes.is_empty() && self.exact.is_empty()
    }

    fn stands_for_something(&self) -> bool {
        !self.is_without_rules() || !self.children.is_empty()
    }

    /// Where the child is whose label begins with this byte, or would be.
    fn child(&self, first: u8) -> Result<usize, usize> {
        self.children.binary_search_by_key(&first, |(byte, _)| *byte)
    }

    /// The node that stands for `text`, which is this one or below it, made if there is none.
    fn reach(&mut self, text: &[u8]) -> &mut Self {
        let common = self.label.iter().zip(text).take_while(|(a, b)| a == b).count();
        if common < self.label.len() {
            self.split(common);
        }
        let rest = &text[common..];
        let Some(first) = rest.first() else { return self };
        let index = self.child(*first).unwrap_or_else(|index| {
            if self.children.is_empty() {
                self.children.reserve_exact(1);
            }
            self.children.insert(index, (*first, Arc::new(Self::labelled(rest))));
            index
        });
        Arc::make_mut(&mut self.children[index].1).reach(rest)
    }

    /// Leaves the first `at` bytes of the label here and moves the rest into a child.
    fn split(&mut self, at: usize) {
        let parent = Self::labelled(&self.label[..at]);
        let mut child = std::mem::replace(self, parent);
        child.label = child.label[at..].into();
        self.children.push((child.label[0], Arc::new(child)));
    }

    /// Takes a rule of `text` out, and the nodes below that stand for nothing then. This one may.
    fn remove(&mut self, text: &[u8], covers: Covers, rule: &Matcher) {
        let Some(rest) = text.strip_prefix(&*self.label) else { return };
        match rest.first() {
            None => take(self.rules(covers), rule),
            Some(first) => {
                let Ok(index) = self.child(*first) else { return };
                let child = Arc::make_mut(&mut self.children[index].1);
                child.remove(rest, covers, rule);
                if !child.stands_for_something() {
                    self.children.remove(index);
                }
            }
        }
        if self.is_without_rules() && self.children.len() == 1 {
            self.join();
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
    // Most lists have one rule, and there are as many lists as texts of hosts.
    if rules.is_empty() {
        rules.reserve_exact(1);
    }
    rules.insert(place, rule);
}

/// Takes a rule out of a list in order.
pub(super) fn take(rules: &mut Vec<Arc<Matcher>>, rule: &Matcher) {
    if let Ok(place) = rules.binary_search_by(|it| it.order(rule)) {
        rules.remove(place);
    }
}
