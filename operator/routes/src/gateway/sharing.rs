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

/// The proxies that serve a Gateway whose class asks for shared ones: those, unless it has proxies of its own that nobody
/// could take over from yet.
pub(crate) fn home(own: &Scope, shared: &Scope, seen: &BTreeMap<Scope, Presence>) -> Scope {
    let takes_over = seen.get(shared) == Some(&Presence::Reached);
    if takes_over || !seen.contains_key(own) { shared.clone() } else { own.clone() }
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
    fn proxies_of_its_own_serve_a_gateway_until_the_shared_ones_are_reached() {
        let own = Scope::Gateway(ObjectName::new("shop", "web"));
        let shared = Scope::Class(ObjectName::new("infra", "edge"));
        let table = [
            (None, None, &shared),
            (None, Some(Presence::Made), &shared),
            (Some(Presence::Made), None, &own),
            (Some(Presence::Reached), Some(Presence::Made), &own),
            (Some(Presence::Reached), Some(Presence::Reached), &shared),
        ];
        for (of_own, of_shared, expected) in table {
            let seen = [(&own, of_own), (&shared, of_shared)];
            let seen = seen.into_iter().filter_map(|(scope, it)| Some((scope.clone(), it?))).collect();
            assert_eq!(home(&own, &shared, &seen), *expected, "{seen:?}");
        }
    }
}
