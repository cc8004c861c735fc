//! Path texts as a radix tree: one walk over a path finds every prefix of it that has rules.

use std::sync::Arc;

use super::Matcher;

/// Rules by the text of their path.
#[derive(Debug, Default)]
pub(super) struct Trie {
    root: Node,
}

/// The text from the root to here, and what it stands for.
#[derive(Debug, Default)]
struct Node {
    /// What this node adds to its parent's text.
    label: Box<[u8]>,
    /// Rules for every path that begins with the text, in order.
    prefixes: Vec<Arc<Matcher>>,
    /// Rules for the text alone, in order.
    exact: Vec<Arc<Matcher>>,
    /// In order of the first byte of their labels, which no two share.
    children: Vec<Self>,
}

/// What a text in the tree stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Covers {
    TextOnly,
    EveryPathWithIt,
}

impl Trie {
    /// Adds a rule. Rules of one text keep the order in which they were added.
    pub(super) fn insert(&mut self, text: &[u8], covers: Covers, rule: Arc<Matcher>) {
        let node = self.root.descend(text);
        match covers {
            Covers::TextOnly => node.exact.push(rule),
            Covers::EveryPathWithIt => node.prefixes.push(rule),
        }
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
            let Ok(child) = node.children.binary_search_by_key(&fold(*first), |it| it.label[0]) else {
                return;
            };
            let child = &node.children[child];
            let Some((label, after)) = rest.split_at_checked(child.label.len()) else { return };
            if !label.iter().map(|it| fold(*it)).eq(child.label.iter().copied()) {
                return;
            }
            (node, rest) = (child, after);
        }
    }
}

impl Node {
    /// The node that stands for `text` below this one, made if there is none.
    fn descend(&mut self, text: &[u8]) -> &mut Self {
        let Some(first) = text.first() else { return self };
        let index = match self.children.binary_search_by_key(first, |it| it.label[0]) {
            Err(index) => {
                self.children.insert(index, Self { label: text.into(), ..Self::default() });
                return &mut self.children[index];
            }
            Ok(index) => index,
        };
        let child = &mut self.children[index];
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
        self.children.push(child);
    }
}
