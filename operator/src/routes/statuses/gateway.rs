//! The status of an object of the Gateway API: what is ours of it in the place of what was, and all else as it is.

use operator_routes::gateway::{
    Condition, GatewayStatus,
    demand::Address,
    status::{ListenerStatus, ParentStatus, StatusContent},
};
use serde_json::{Map, Value, json};

/// Keeps a GatewayClass for as long as a Gateway has it.
pub(super) const FINALIZER: &str = "gateway-exists-finalizer.gateway.networking.k8s.io";

/// The conditions of classes, Gateways and ListenerSets that we decide about. Others are somebody else's.
const OURS: [&str; 4] = ["Accepted", "Programmed", "ResolvedRefs", "InsecureFrontendValidationMode"];

/// The fields of `status` that are to be written; `None`: they say what they should. `wanted` is `None` if nothing of the
/// status is ours any more. A condition that holds as before keeps the time since when it does.
pub(super) fn differing(
    seen: &Value,
    wanted: Option<&GatewayStatus>,
    controllers: &[String],
    now: &str,
) -> Option<Value> {
    let Some(GatewayStatus { generation, content }) = wanted else {
        return withdrawn(seen, controllers);
    };
    let times = Times { generation: *generation, now };
    let fields = match content {
        StatusContent::Class { conditions, features, used: _ } => {
            let features: Vec<Value> = features.iter().map(|name| json!({ "name": name })).collect();
            json!({"conditions": times.among(&seen["conditions"], conditions), "supportedFeatures": features})
        }
        StatusContent::Gateway { conditions, addresses, listeners, attached_listener_sets } => json!({
            "conditions": times.among(&seen["conditions"], conditions),
            "addresses": addresses.iter().map(address).collect::<Vec<_>>(),
            "listeners": times.listeners(&seen["listeners"], listeners),
            "attachedListenerSets": attached_listener_sets,
        }),
        StatusContent::ListenerSet { conditions, listeners } => json!({
            "conditions": times.among(&seen["conditions"], conditions),
            "listeners": times.listeners(&seen["listeners"], listeners),
        }),
        StatusContent::Route(parents) => {
            json!({"parents": times.entries(&seen["parents"], "parentRef", parents, controllers)})
        }
        StatusContent::Policy(ancestors) => {
            json!({"ancestors": times.entries(&seen["ancestors"], "ancestorRef", ancestors, controllers)})
        }
    };
    changed(seen, fields)
}

/// The entries of ours go. What is in the place of whole objects' conditions is left to their new controller.
fn withdrawn(seen: &Value, controllers: &[String]) -> Option<Value> {
    let mut fields = Map::new();
    for list in ["parents", "ancestors"] {
        if let Some(entries) = seen[list].as_array() {
            let others = entries.iter().filter(|entry| !is_ours(entry, controllers));
            fields.insert(list.to_owned(), others.cloned().collect());
        }
    }
    changed(seen, Value::Object(fields))
}

fn changed(seen: &Value, fields: Value) -> Option<Value> {
    let Value::Object(fields) = fields else { return None };
    let absent = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let differs = |(name, value): &(&String, &Value)| {
        let before = &seen[name.as_str()];
        before != *value && !(absent(before) && absent(value))
    };
    fields.iter().any(|it| differs(&it)).then_some(Value::Object(fields))
}

fn is_ours(entry: &Value, controllers: &[String]) -> bool {
    entry["controllerName"].as_str().is_some_and(|name| controllers.iter().any(|it| it == name))
}

fn address(address: &Address) -> Value {
    json!({"type": address.kind.as_str(), "value": address.value})
}

/// When conditions have begun to hold.
#[derive(Clone, Copy)]
struct Times<'a> {
    generation: i64,
    now: &'a str,
}

impl Times<'_> {
    fn condition(self, seen: &Value, condition: &Condition) -> Value {
        let Condition { kind, holds, reason, message } = condition;
        let status = if *holds { "True" } else { "False" };
        let before = seen.as_array().into_iter().flatten().find(|it| it["type"] == *kind);
        let since =
            before.filter(|it| it["status"] == status).and_then(|it| it["lastTransitionTime"].as_str());
        json!({
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "observedGeneration": self.generation,
            "lastTransitionTime": since.unwrap_or(self.now),
        })
    }

    fn conditions(self, seen: &Value, conditions: &[Condition]) -> Vec<Value> {
        conditions.iter().map(|condition| self.condition(seen, condition)).collect()
    }

    /// Ours beside those of others.
    fn among(self, seen: &Value, conditions: &[Condition]) -> Vec<Value> {
        let others = seen.as_array().into_iter().flatten();
        let others = others.filter(|it| it["type"].as_str().is_none_or(|kind| !OURS.contains(&kind)));
        self.conditions(seen, conditions).into_iter().chain(others.cloned()).collect()
    }

    fn listeners(self, seen: &Value, listeners: &[ListenerStatus]) -> Vec<Value> {
        let one = |listener: &ListenerStatus| {
            let ListenerStatus { name, supported_kinds, attached_routes, conditions } = listener;
            let before = seen.as_array().into_iter().flatten().find(|it| it["name"] == **name);
            let before = before.map_or(&Value::Null, |it| &it["conditions"]);
            let kind = |kind: &crds::gateway::RouteKind| json!({"group": crds::gateway::GROUP, "kind": kind.as_str()});
            json!({
                "name": name,
                "supportedKinds": supported_kinds.iter().map(kind).collect::<Vec<_>>(),
                "attachedRoutes": attached_routes,
                "conditions": self.conditions(before, conditions),
            })
        };
        listeners.iter().map(one).collect()
    }

    /// Those of ours in their places or at the end; those of others stay where they are.
    fn entries(
        self,
        seen: &Value,
        reference: &str,
        wanted: &[ParentStatus],
        controllers: &[String],
    ) -> Vec<Value> {
        let seen = seen.as_array().map_or(&[][..], Vec::as_slice);
        let same = |entry: &Value, status: &ParentStatus| {
            entry["controllerName"] == *status.controller && entry[reference] == json!(*status.parent)
        };
        let entry = |before: Option<&Value>, status: &ParentStatus| {
            let before = before.map_or(&Value::Null, |it| &it["conditions"]);
            json!({
                reference: *status.parent,
                "controllerName": *status.controller,
                "conditions": self.conditions(before, &status.conditions),
            })
        };
        let mut left: Vec<&ParentStatus> = wanted.iter().collect();
        let mut entries = Vec::new();
        for before in seen {
            if !is_ours(before, controllers) {
                entries.push(before.clone());
            } else if let Some(index) = left.iter().position(|status| same(before, status)) {
                entries.push(entry(Some(before), left.remove(index)));
            }
        }
        entries.extend(left.into_iter().map(|status| entry(None, status)));
        entries
    }
}

#[cfg(test)]
mod tests {
    use crds::gateway::{RouteKind, reference::ParentReference};

    use std::sync::Arc;

    use super::*;

    const OWN: &str = "sluice.dev/gateway-controller";

    fn parent(name: &str) -> ParentReference {
        ParentReference { name: name.to_owned(), ..ParentReference::default() }
    }

    fn route(parents: &[&str]) -> GatewayStatus {
        let status = |name: &&str| ParentStatus {
            parent: Arc::new(parent(name)),
            controller: OWN.into(),
            conditions: vec![Condition::holds("Accepted", "Accepted", "yes")],
        };
        GatewayStatus { generation: 2, content: StatusContent::Route(parents.iter().map(status).collect()) }
    }

    fn write(seen: &Value, wanted: Option<&GatewayStatus>, now: &str) -> Option<Value> {
        differing(seen, wanted, &[OWN.to_owned()], now)
    }

    #[test]
    fn entries_of_other_controllers_stay_as_and_where_they_are() {
        let other =
            json!({"parentRef": {"name": "a"}, "controllerName": "other", "conditions": [{"odd": 1}]});
        let stale = json!({"parentRef": {"name": "gone"}, "controllerName": OWN, "conditions": []});
        let first = write(&json!({"parents": [stale, other]}), Some(&route(&["a", "b"])), "t1").unwrap();
        let parents = first["parents"].as_array().unwrap();
        assert_eq!(parents.len(), 3);
        assert_eq!(parents[0], other);
        assert_eq!(
            (&parents[1]["parentRef"]["name"], &parents[2]["parentRef"]["name"]),
            (&json!("a"), &json!("b"))
        );
        assert_eq!(write(&first, Some(&route(&["a", "b"])), "t2"), None, "nothing is new");
        let gone = write(&first, None, "t3").unwrap();
        assert_eq!(gone, json!({"parents": [other]}));
        assert_eq!(write(&gone, None, "t4"), None);
    }

    #[test]
    fn a_reference_is_told_as_it_was_written() {
        let written =
            json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "a", "port": 80});
        let status = GatewayStatus {
            generation: 1,
            content: StatusContent::Route(vec![ParentStatus {
                parent: Arc::new(serde_json::from_value(written.clone()).unwrap()),
                controller: OWN.into(),
                conditions: Vec::new(),
            }]),
        };
        let told = write(&Value::Null, Some(&status), "t").unwrap();
        assert_eq!(told["parents"][0]["parentRef"], written);
    }

    #[test]
    fn a_condition_keeps_its_time_as_long_as_it_holds() {
        let first = write(&Value::Null, Some(&route(&["a"])), "t1").unwrap();
        let newer = GatewayStatus { generation: 3, ..route(&["a"]) };
        let second = write(&first, Some(&newer), "t2").unwrap();
        let condition = &second["parents"][0]["conditions"][0];
        assert_eq!(condition["observedGeneration"], 3);
        assert_eq!(condition["lastTransitionTime"], "t1");
        let mut failing = route(&["a"]);
        if let StatusContent::Route(parents) = &mut failing.content {
            parents[0].conditions = vec![Condition::fails("Accepted", "NoMatchingParent", "no")];
        }
        let third = write(&second, Some(&failing), "t3").unwrap();
        assert_eq!(third["parents"][0]["conditions"][0]["lastTransitionTime"], "t3");
    }

    #[test]
    fn conditions_of_a_gateway_that_others_write_stay() {
        let seen = json!({"conditions": [
            {"type": "Accepted", "status": "Unknown", "reason": "Pending", "lastTransitionTime": "t0"},
            {"type": "example.com/Budget", "status": "True"},
        ]});
        let status = GatewayStatus {
            generation: 1,
            content: StatusContent::Gateway {
                conditions: vec![Condition::holds("Accepted", "Accepted", "")],
                addresses: Vec::new(),
                listeners: vec![ListenerStatus {
                    name: "http".to_owned(),
                    supported_kinds: vec![RouteKind::Http],
                    attached_routes: 2,
                    conditions: Vec::new(),
                }],
                attached_listener_sets: 0,
            },
        };
        let told = write(&seen, Some(&status), "t1").unwrap();
        let types: Vec<&str> =
            told["conditions"].as_array().unwrap().iter().filter_map(|it| it["type"].as_str()).collect();
        assert_eq!(types, ["Accepted", "example.com/Budget"]);
        assert_eq!(told["listeners"][0]["attachedRoutes"], 2);
        assert_eq!(told["listeners"][0]["supportedKinds"][0]["kind"], "HTTPRoute");
    }
}
