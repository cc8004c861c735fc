//! Connections that are not looked into: which TCP route takes one.

use std::{collections::HashMap, sync::Arc};

use proxy_config::model::{self, ListenerId, TcpRoute};

use super::{Split, Transform};
use crate::names::Names;

/// What becomes of the connections of one TCP route.
#[derive(Debug)]
pub struct TcpRule {
    /// The route as it came.
    pub route: Arc<TcpRoute>,
    /// Where they go.
    pub split: Split,
}

/// The TCP routes of all listeners.
#[derive(Debug, Default)]
pub(super) struct TcpRules {
    /// Those of listeners that speak TCP: there is no name to choose by, so the first one has them all.
    listeners: HashMap<ListenerId, Arc<TcpRule>>,
    named: Names<Arc<TcpRule>>,
}

impl TcpRules {
    /// In the order of the routes' names, which is that of configurations.
    pub(super) fn new<'a>(rules: impl Iterator<Item = &'a Arc<TcpRule>>) -> Self {
        let mut all = Self::default();
        for rule in rules {
            if rule.route.server_names.is_empty() {
                for listener in &rule.route.listeners {
                    all.listeners.entry(listener.clone()).or_insert_with(|| Arc::clone(rule));
                }
            }
            for name in &rule.route.server_names {
                all.named.insert(name, Arc::clone(rule));
            }
        }
        all
    }

    /// The route of a listener that speaks TCP.
    pub(super) fn of(&self, listener: &ListenerId) -> Option<&Arc<TcpRule>> {
        self.listeners.get(listener)
    }

    /// Whether there are routes for server names.
    pub(super) fn has_names(&self) -> bool {
        !self.named.is_empty()
    }

    /// The route for a server name on a listener that speaks TLS.
    pub(super) fn named(&self, name: &str, listener: &ListenerId) -> Option<&Arc<TcpRule>> {
        self.named.find(name, |it| it.route.listeners.contains(listener))
    }
}

/// The arms of a TCP route do nothing to what they carry.
pub(super) fn transforms(split: &model::Split, untouched: &Arc<Transform>) -> Vec<Arc<Transform>> {
    split.arms.iter().map(|_| Arc::clone(untouched)).collect()
}
