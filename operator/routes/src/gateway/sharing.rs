//! Whether the Gateways of a class have proxies of their own, or share those of the class.

use std::collections::BTreeMap;

use crds::gateway::class::ParametersReference;

use super::Presence;
use crate::{object::ObjectName, scope::Scope};

/// The parameter of a class that says so.
const KEY: &str = "proxies";

/// The ConfigMap with the parameters of a class. Proxies that are shared are in its namespace.
pub(crate) fn parameters(reference: Option<&ParametersReference>) -> Option<ObjectName> {
    let reference = reference.filter(|it| it.group.is_empty() && it.kind == "ConfigMap")?;
    Some(ObjectName::new(reference.namespace.as_deref()?, reference.name.as_str()))
}

/// Whether the class asks for shared proxies. `data` of its parameters; `None`: there are none. `made`: whether there
/// are shared proxies already: parameters that are gone, or mean nothing, change nothing.
pub(crate) fn is_asked_for(data: Option<&BTreeMap<String, String>>, made: bool) -> bool {
    let Some(data) = data else { return made };
    match data.get(KEY).map(String::as_str) {
        None | Some("own") => false,
        Some("shared") => true,
        Some(_) => made,
    }
}

/// The proxies of a Gateway whose class asks for shared ones, or for its own: those that serve it, and those that are to.
/// Where there are those that it should not have, they serve it until clients reach the others. (That they are there is
/// enough: a process that has just begun does not know yet whether clients reach them.)
pub(crate) fn place(own: &Scope, shared: &Scope, is_shared: bool, seen: &BTreeMap<Scope, Presence>) -> Place {
    let (wanted, other) = if is_shared { (shared, own) } else { (own, shared) };
    if seen.contains_key(other) && seen.get(wanted) != Some(&Presence::Reached) {
        Place { home: other.clone(), next: Some(wanted.clone()) }
    } else {
        Place { home: wanted.clone(), next: None }
    }
}

/// Which proxies serve a Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Those that do.
    pub(crate) home: Scope,
    /// Those that it moves to as soon as clients reach them; `None`: it stays.
    pub(crate) next: Option<Scope>,
}

impl Place {
    /// All proxies that it has to do with.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = &Scope> {
        [&self.home].into_iter().chain(&self.next)
    }

    /// Whether these proxies serve it or are to.
    pub(crate) fn concerns(&self, scope: &Scope) -> bool {
        self.scopes().any(|it| it == scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_class_does_not_say_or_cannot_mean_changes_nothing() {
        let with = |value: &str| Some(BTreeMap::from([(KEY.to_owned(), value.to_owned())]));
        let table = [
            (Some(BTreeMap::new()), [false, false]),
            (with("own"), [false, false]),
            (with("shared"), [true, true]),
            (with("both"), [false, true]),
            (None, [false, true]),
        ];
        for (data, expected) in table {
            let found = [false, true].map(|made| is_asked_for(data.as_ref(), made));
            assert_eq!(found, expected, "{data:?}");
        }
    }

    #[test]
    fn the_proxies_that_a_gateway_has_serve_it_until_the_others_are_reached() {
        use Presence::{Made, Reached};
        let own = Scope::Gateway(ObjectName::new("shop", "web"));
        let shared = Scope::Class(ObjectName::new("infra", "edge"));
        let stays = |home: &Scope| Place { home: home.clone(), next: None };
        let moves = |from: &Scope, to: &Scope| Place { home: from.clone(), next: Some(to.clone()) };
        // What there is of its own ones and of the shared ones, and what becomes of it where these are asked for.
        let table = [
            (None, None, stays(&shared), stays(&own)),
            (None, Some(Made), stays(&shared), moves(&shared, &own)),
            (None, Some(Reached), stays(&shared), moves(&shared, &own)),
            (Some(Made), None, moves(&own, &shared), stays(&own)),
            (Some(Made), Some(Made), moves(&own, &shared), moves(&shared, &own)),
            (Some(Made), Some(Reached), stays(&shared), moves(&shared, &own)),
            (Some(Reached), Some(Made), moves(&own, &shared), stays(&own)),
            (Some(Reached), Some(Reached), stays(&shared), stays(&own)),
        ];
        for (of_own, of_shared, where_shared, where_own) in table {
            let seen = [(&own, of_own), (&shared, of_shared)];
            let seen = seen.into_iter().filter_map(|(scope, it)| Some((scope.clone(), it?))).collect();
            assert_eq!(place(&own, &shared, true, &seen), where_shared, "{seen:?}");
            assert_eq!(place(&own, &shared, false, &seen), where_own, "{seen:?}");
        }
    }
}
