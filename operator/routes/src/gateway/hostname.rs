//! Host names of listeners and routes, and which hosts two of them have in common.

use proxy_config::model::HostMatch;

use crate::hostname::check_server_name;

/// Some hosts. The order is that in which names are asked: the more exact, then the longer first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HostName {
    /// This one.
    Exact(String),
    /// `.example.org`: every longer name that ends so, by any number of labels.
    Suffix(String),
    /// All.
    Any,
}

impl HostName {
    /// Reads `example.org`, `*.example.org`, or nothing for every host.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, String> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Self::Any) };
        let text = text.to_ascii_lowercase();
        let (name, star) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text.as_str(), false),
        };
        let label = |label: &str| {
            !label.is_empty() && label.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it))
        };
        if !name.split('.').all(label) {
            return Err(format!("`{text}` is no host name; a `*` may stand for the first labels only"));
        }
        check_server_name(&text)?;
        Ok(if star { Self::Suffix(format!(".{name}")) } else { Self::Exact(text) })
    }

    /// The hosts that both mean.
    pub(crate) fn intersect(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, it) | (it, Self::Any) => Some(it.clone()),
            (Self::Exact(a), Self::Exact(b)) => (a == b).then(|| self.clone()),
            (Self::Exact(name), Self::Suffix(tail)) | (Self::Suffix(tail), Self::Exact(name)) => {
                ends(name, tail).then(|| Self::Exact(name.clone()))
            }
            (Self::Suffix(a), Self::Suffix(b)) if a.ends_with(b.as_str()) => Some(self.clone()),
            (Self::Suffix(a), Self::Suffix(b)) if b.ends_with(a.as_str()) => Some(other.clone()),
            (Self::Suffix(_), Self::Suffix(_)) => None,
        }
    }

    /// Which requests.
    pub(crate) fn host_match(&self) -> HostMatch {
        match self {
            Self::Exact(name) => HostMatch::Exact(name.clone()),
            Self::Suffix(tail) => HostMatch::Suffix(tail.clone()),
            Self::Any => HostMatch::Any,
        }
    }

    /// As hosts and server names are written: `*` for all.
    pub(crate) fn show(&self) -> String {
        match self {
            Self::Exact(name) => name.clone(),
            Self::Suffix(tail) => format!("*{tail}"),
            Self::Any => "*".to_owned(),
        }
    }

    /// What orders names: the smaller is asked first.
    pub(crate) fn place(&self) -> (u8, std::cmp::Reverse<usize>) {
        match self {
            Self::Exact(name) => (0, std::cmp::Reverse(name.len())),
            Self::Suffix(tail) => (1, std::cmp::Reverse(tail.len())),
            Self::Any => (2, std::cmp::Reverse(0)),
        }
    }
}

impl PartialOrd for HostName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for HostName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.place(), self.show()).cmp(&(other.place(), other.show()))
    }
}

/// What a route's names and a listener's have in common; nothing if they have nothing. Without names a route is for all
/// hosts of the listener.
pub(crate) fn in_common(listener: &HostName, route: &[HostName]) -> Vec<HostName> {
    if route.is_empty() {
        return vec![listener.clone()];
    }
    let mut names: Vec<HostName> = route.iter().filter_map(|name| listener.intersect(name)).collect();
    names.sort();
    names.dedup();
    names
}

fn ends(name: &str, tail: &str) -> bool {
    name.len() > tail.len() && name.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> HostName {
        HostName::parse(Some(text).filter(|it| *it != "*")).unwrap()
    }

    #[test]
    fn names_intersect_as_the_table_says() {
        let table = [
            ("*", "*", "*"),
            ("*", "a.example", "a.example"),
            ("A.Example", "a.example", "a.example"),
            ("a.example", "b.example", ""),
            ("*.example", "a.example", "a.example"),
            ("*.example", "x.a.example", "x.a.example"),
            ("*.example", "example", ""),
            ("*.a.example", "*.example", "*.a.example"),
            ("*.example", "*.a.example", "*.a.example"),
            ("*.a.example", "*.b.example", ""),
            ("*.example", "badexample", ""),
            ("*.a.example", "*.ba.example", ""),
        ];
        for (a, b, expected) in table {
            for (a, b) in [(a, b), (b, a)] {
                let found = name(a).intersect(&name(b)).map(|it| it.show()).unwrap_or_default();
                assert_eq!(found, expected, "{a} and {b}");
            }
        }
    }

    #[test]
    fn names_are_asked_from_the_most_exact_to_the_least() {
        let expected = ["long.example", "a.example", "*.long.example", "*.example", "*"];
        let mut names: Vec<HostName> = expected.iter().rev().map(|text| name(text)).collect();
        names.sort();
        assert_eq!(names.iter().map(HostName::show).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_route_has_of_a_listener_what_both_mean() {
        let common = |listener: &str, route: &[&str]| {
            let route: Vec<HostName> = route.iter().map(|text| name(text)).collect();
            in_common(&name(listener), &route).iter().map(HostName::show).collect::<Vec<_>>()
        };
        assert_eq!(
            common("very.specific.com", &["*.specific.com", "non.matching.com"]),
            ["very.specific.com"]
        );
        assert_eq!(common("*.wildcard.io", &[]), ["*.wildcard.io"]);
        assert_eq!(common("*", &["a.io", "*.io", "a.io"]), ["a.io", "*.io"]);
        assert!(common("a.io", &["b.io"]).is_empty());
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        for text in ["*", "a.*", "*.*.io", "a..io", "a b", "http://a", "*a.io"] {
            assert!(HostName::parse(Some(text)).is_err(), "{text}");
        }
        // The pattern of the definitions allows it.
        assert!(HostName::parse(Some(&format!("*.{}.io", "n".repeat(64)))).is_err());
        assert_eq!(HostName::parse(Some("")), Ok(HostName::Any));
    }
}
