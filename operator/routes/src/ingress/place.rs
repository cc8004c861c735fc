//! Where a rule of an Ingress applies, and which of several is asked first.
//!
//! The order among Ingresses is that of the API (networking.k8s.io/v1): an exact host before one with a star, the longest
//! path, `Exact` before `Prefix` of equal length. Rules for a host go before Mappings without `precedence`, rules for
//! every host stand among them by the length of their paths, and what takes the rest comes last of all.

use std::fmt::Write as _;

use proxy_config::model::{Case, HostMatch, PathMatch, Rank};

use crate::{
    hostname,
    order::{down, down_text, escape, precedence},
};

/// Which requests a rule is for. Rules of several Ingresses with equal places compete, and a canary shares.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) host: HostMatch,
    /// The text of `path`; of elements without a slash at the end, but for `/` itself.
    pub(crate) path: String,
    pub(crate) kind: Kind,
}

/// How the path is meant, in the order in which paths of one length are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// `app-root`: the path `/` alone, before every rule for it.
    Root,
    /// `Exact`.
    Exact,
    /// `Prefix`: by elements.
    Elements,
    /// `ImplementationSpecific`: the path begins with the text, as in ingress-nginx.
    Text,
    /// An expression for the beginning of the path, in any letter case (`use-regex`).
    Regex,
    /// What takes everything that no path of the host takes.
    Rest,
}

/// Requests of one place that are told apart, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// A header sends them to the canary.
    ByHeader,
    /// A header keeps them from it.
    NotByHeader,
    /// A cookie sends them to the canary.
    ByCookie,
    /// A cookie keeps them from it.
    NotByCookie,
    /// All others.
    Split,
}

impl Level {
    pub(crate) const ALL: [Self; 5] =
        [Self::ByHeader, Self::NotByHeader, Self::ByCookie, Self::NotByCookie, Self::Split];

    /// What sets it apart; empty for all others.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ByHeader => " to the canary by header",
            Self::NotByHeader => " not to the canary by header",
            Self::ByCookie => " to the canary by cookie",
            Self::NotByCookie => " not to the canary by cookie",
            Self::Split => "",
        }
    }
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Root => " app-root",
            Self::Exact => " Exact",
            Self::Elements => " Prefix",
            Self::Text => " ImplementationSpecific",
            Self::Regex => " regex",
            Self::Rest => " default",
        }
    }
}

impl Place {
    /// The id of a route: readable, and another one for another place or level.
    pub(crate) fn id(&self, level: Level) -> String {
        let mut id = format!("ingress {}{}", escape(&hostname::show(&self.host)), escape(&self.path));
        let _ = write!(id, "{}{}", self.kind.as_str(), level.as_str());
        id
    }

    /// The place as its owner wrote it.
    pub(crate) fn show(&self) -> String {
        let host = match &self.host {
            HostMatch::Any => String::new(),
            host => hostname::show(host),
        };
        match self.kind {
            Kind::Rest => format!("the rest of {}", if host.is_empty() { "all hosts" } else { &host }),
            Kind::Root => format!("{host}/ (app-root)"),
            Kind::Exact | Kind::Elements | Kind::Text | Kind::Regex => format!("{host}{}", self.path),
        }
    }

    /// Where among all others a route is asked.
    pub(crate) fn rank(&self, level: Level) -> Rank {
        let mut rank = Vec::with_capacity(self.path.len() + 48);
        let length = self.path.chars().count();
        let kind = [self.kind as u8];
        match &self.host {
            HostMatch::Any if self.kind == Kind::Rest => {
                rank.extend(precedence(i64::from(i32::MIN) - 1));
                rank.push(level as u8);
            }
            HostMatch::Any => {
                // As of a Mapping without conditions: its headers weigh more than what is written here, so that a
                // Mapping of equal prefix goes before.
                rank.extend(precedence(0));
                down(&mut rank, length);
                down(&mut rank, usize::from((Kind::Rest as u8).saturating_sub(self.kind as u8)));
                down(&mut rank, 0);
                down_text(&mut rank, &self.path);
                rank.push(level as u8);
            }
            host => {
                let (class, tail) = match host {
                    HostMatch::Label(tail) => (1, tail.len()),
                    _ => (0, 0),
                };
                let mut between = precedence(0);
                // Before the precedence 0, and after the precedence 1.
                between[7] -= 1;
                rank.extend(between);
                rank.push(class);
                down(&mut rank, tail);
                down(&mut rank, length);
                rank.extend(kind);
                down_text(&mut rank, &self.path);
                rank.push(level as u8);
            }
        }
        rank.extend(self.id(level).bytes());
        Rank(rank)
    }

    /// What the path must be.
    pub(crate) fn path_match(&self) -> (PathMatch, Case) {
        let text = || self.path.clone();
        match self.kind {
            Kind::Root => (PathMatch::Exact("/".to_owned()), Case::Counts),
            Kind::Exact => (PathMatch::Exact(text()), Case::Counts),
            Kind::Elements => (PathMatch::Elements(text()), Case::Counts),
            Kind::Text => (PathMatch::Prefix(text()), Case::Counts),
            Kind::Regex => (PathMatch::Regex(format!("(?is:{}).*", self.path)), Case::Counts),
            Kind::Rest => (PathMatch::Prefix("/".to_owned()), Case::Counts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{mapping::MatchKey, order};

    fn place(host: &str, path: &str, kind: Kind) -> Rank {
        let host = match host.strip_prefix('*') {
            Some("") => HostMatch::Any,
            Some(tail) => HostMatch::Label(tail.to_owned()),
            None => HostMatch::Exact(host.to_owned()),
        };
        Place { host, path: path.to_owned(), kind }.rank(Level::Split)
    }

    fn mapping(prefix: &str, precedence: i32) -> Rank {
        let key = MatchKey {
            host: HostMatch::Any,
            prefix: prefix.to_owned(),
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
            precedence,
            selected_by: None,
        };
        order::rank(&key, &order::id(&key))
    }

    #[test]
    fn rules_are_asked_in_the_order_of_the_api_and_stand_among_mappings() {
        let expected = [
            mapping("/", 1),
            place("a.org", "/long/path", Kind::Elements),
            place("a.org", "/long", Kind::Exact),
            place("a.org", "/long", Kind::Elements),
            place("a.org", "/long", Kind::Text),
            place("a.org", "/", Kind::Root),
            place("a.org", "/", Kind::Elements),
            place("a.org", "", Kind::Rest),
            place("*.shop.a.org", "/", Kind::Elements),
            place("*.a.org", "/long/path", Kind::Elements),
            mapping("/longer/", 0),
            place("*", "/long", Kind::Exact),
            place("*", "/long", Kind::Elements),
            mapping("/", 0),
            place("*", "/", Kind::Elements),
            mapping("/", -1),
            place("*", "", Kind::Rest),
        ];
        let mut sorted = expected.to_vec();
        sorted.reverse();
        sorted.sort();
        let position = |rank: &Rank| expected.iter().position(|it| it == rank);
        assert_eq!(sorted.iter().map(position).collect::<Vec<_>>(), (0..17).map(Some).collect::<Vec<_>>());
    }

    #[test]
    fn requests_that_are_told_apart_are_asked_before_the_others() {
        let place = Place { host: HostMatch::Any, path: "/".to_owned(), kind: Kind::Elements };
        let ranks = Level::ALL.map(|level| place.rank(level));
        assert!(ranks.is_sorted());
        assert_eq!(place.id(Level::Split), "ingress */ Prefix");
        assert_eq!(place.id(Level::ByCookie), "ingress */ Prefix to the canary by cookie");
    }
}
