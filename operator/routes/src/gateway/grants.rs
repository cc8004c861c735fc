//! Who may refer to whom in another namespace.

use std::{collections::BTreeMap, sync::Arc};

use crds::gateway::{GROUP, ReferenceGrantSpec};

use crate::object::ObjectName;

/// All ReferenceGrants.
#[derive(Debug, Default)]
pub(crate) struct Grants(BTreeMap<Arc<str>, BTreeMap<Arc<str>, ReferenceGrantSpec>>);

/// An object that refers to another. Its group is that of the Gateway API.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Referrer<'a> {
    pub(crate) kind: &'a str,
    pub(crate) namespace: &'a str,
}

impl Grants {
    pub(crate) fn set(&mut self, name: &ObjectName, grant: Option<ReferenceGrantSpec>) {
        let of_namespace = self.0.entry(name.namespace.clone()).or_default();
        match grant {
            Some(grant) => drop(of_namespace.insert(name.name.clone(), grant)),
            None => drop(of_namespace.remove(&name.name)),
        }
        if of_namespace.is_empty() {
            self.0.remove(&name.namespace);
        }
    }

    /// Whether `from` may refer to `to`, of this group and kind. Within a namespace everybody may.
    pub(crate) fn permit(&self, from: Referrer<'_>, group: &str, kind: &str, to: &ObjectName) -> bool {
        from.namespace == &*to.namespace
            || self.0.get(&to.namespace).into_iter().flat_map(BTreeMap::values).any(|grant| {
                let referrers = grant
                    .from
                    .iter()
                    .any(|it| it.group == GROUP && it.kind == from.kind && it.namespace == from.namespace);
                referrers
                    && grant.to.iter().any(|it| {
                        let named = it.name.as_deref().filter(|name| !name.is_empty());
                        it.group == group && it.kind == kind && named.is_none_or(|name| name == &*to.name)
                    })
            })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_grant_permits_exactly_what_it_says() {
        let secret = ObjectName::new("certs", "web");
        let table = [
            ("gateway.networking.k8s.io", "Gateway", "infra", "", "Secret", None, true),
            ("gateway.networking.k8s.io", "Gateway", "infra", "", "Secret", Some("web"), true),
            ("gateway.networking.k8s.io", "Gateway", "infra", "", "Secret", Some("other"), false),
            ("gateway.networking.k8s.io", "Gateway", "other", "", "Secret", None, false),
            ("gateway.networking.k8s.io", "HTTPRoute", "infra", "", "Secret", None, false),
            ("", "Gateway", "infra", "", "Secret", None, false),
            ("gateway.networking.k8s.io", "Gateway", "infra", "core", "Secret", None, false),
            ("gateway.networking.k8s.io", "Gateway", "infra", "", "ConfigMap", None, false),
        ];
        let from = Referrer { kind: "Gateway", namespace: "infra" };
        for (group, kind, namespace, to_group, to_kind, name, expected) in table {
            let grant = json!({
                "from": [{"group": group, "kind": kind, "namespace": namespace}],
                "to": [{"group": to_group, "kind": to_kind, "name": name}],
            });
            let mut grants = Grants::default();
            grants.set(
                &ObjectName::new("certs", "grant"),
                Some(serde_json::from_value(grant.clone()).unwrap()),
            );
            assert_eq!(grants.permit(from, "", "Secret", &secret), expected, "{grant}");
            grants.set(&ObjectName::new("certs", "grant"), None);
            assert!(!grants.permit(from, "", "Secret", &secret));
        }
    }

    #[test]
    fn a_grant_counts_in_its_own_namespace_only_and_nobody_needs_one_at_home() {
        let mut grants = Grants::default();
        let grant = json!({
            "from": [{"group": GROUP, "kind": "Gateway", "namespace": "infra"}],
            "to": [{"group": "", "kind": "Secret"}],
        });
        grants.set(&ObjectName::new("infra", "grant"), Some(serde_json::from_value(grant).unwrap()));
        let from = Referrer { kind: "Gateway", namespace: "infra" };
        assert!(!grants.permit(from, "", "Secret", &ObjectName::new("certs", "web")));
        assert!(grants.permit(from, "", "Secret", &ObjectName::new("infra", "web")));
    }
}
