//! Where requests come in: Listeners, Hosts, and the certificates that they show (emissary.md §1.6 to §1.8, §2.4).
//!
//! A Host is not multiplied with the routes that it has. It says which it takes ([`VirtualHost::takes`]), a route says
//! once what there is to select it by ([`Rule`](crate::compiled::Rule)), and whoever has a request finds its host
//! first and then the first route that the host takes.

pub(crate) mod host;
pub(crate) mod listener;
pub mod selector;
pub(crate) mod tls_context;

use std::collections::BTreeSet;

use proxy_config::model::{HostMatch, ListenerId, Security};

use self::selector::Selector;
use crate::compiled::Rule;

/// A port on which HTTP is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// Whether TLS is spoken on it; the server name decides which host answers.
    pub tls: bool,
    /// Whether requests in the clear are taken, beside TLS or without it.
    pub cleartext: bool,
    /// Which requests are secure.
    pub security: Security,
    /// How many proxies in front are trusted.
    pub trusted_hops: u32,
}

/// A host name that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualHost {
    /// The name, perhaps with a star, perhaps with a port.
    pub name: HostMatch,
    /// On which ports.
    pub listeners: BTreeSet<ListenerId>,
    /// Whether there is a certificate for it.
    pub tls: bool,
    /// Which routes it has.
    pub selects: Selects,
    /// What becomes of requests that are not secure.
    pub insecure: InsecureAction,
}

/// Which routes a host has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selects {
    /// All, also those that do not say for which hosts they are.
    All,
    /// Those that say for which hosts they are.
    Named,
    /// Those whose Mappings have these labels.
    Labels(Selector),
    /// Only those that are for every host.
    Nothing,
}

impl Selects {
    /// The text by which the proxies know which routes a host has; empty for all that is not told apart.
    #[must_use]
    pub fn class(&self) -> String {
        match self {
            Self::All | Self::Nothing => String::new(),
            Self::Named => "named".to_owned(),
            Self::Labels(selector) => format!("labels {selector}"),
        }
    }
}

/// What becomes of requests that are not secure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InsecureAction {
    /// 301 to `https`, if there is a route for the request.
    #[default]
    Redirect,
    /// They have no route.
    Reject,
    /// They are like others.
    Route,
}

impl VirtualHost {
    /// Whether the host has a route, apart from the host that the route itself asks for.
    #[must_use]
    pub fn takes(&self, rule: &Rule) -> bool {
        rule.everywhere
            || match &self.selects {
                Selects::All => true,
                Selects::Named => rule.named,
                Selects::Labels(selector) => selector.selects(&rule.labels),
                Selects::Nothing => false,
            }
    }

    /// How well the name fits, the greatest best: a name without a star before one with, and of these the longer.
    #[must_use]
    pub fn specificity(&self) -> (u8, usize) {
        match &self.name {
            HostMatch::Authority(name) | HostMatch::Exact(name) => (3, name.len()),
            HostMatch::Suffix(tail) | HostMatch::Label(tail) => (2, tail.len()),
            HostMatch::Prefix(head) => (1, head.len()),
            HostMatch::Regex(pattern) => (1, pattern.len()),
            HostMatch::Any => (0, 0),
        }
    }
}
