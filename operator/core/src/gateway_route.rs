//! HTTPRoutes and GRPCRoutes whose backends are weighted (`trafficRouting.gatewayAPI`, Argo's plugin of that name).
//!
//! In the user's object only the weights of the two Services change, in every rule that has both: the canary's becomes
//! `w` and the stable one's `100 - w`, as the plugin writes them. Other backends of a rule keep theirs. At rest a rule
//! stays as it was written, as long as the canary has nothing.

//!
//! What else a Rollout has to say is said by routes of its own beside the user's: `beside.rs`.

mod beside;

use serde_json::Value;

pub use self::beside::wanted;
use crate::weight::Weight;

/// Both backends of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    rule: usize,
    stable: Backend,
    canary: Backend,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Backend {
    index: usize,
    /// `None`: not written, which counts as 1.
    weight: Option<i64>,
}

impl Backend {
    fn counts(&self) -> i64 {
        self.weight.unwrap_or(1).max(0)
    }
}

impl Pair {
    /// The canary's share of what both get, rounded up.
    fn share(&self) -> Weight {
        Weight::of_counts(self.canary.counts(), self.stable.counts())
    }

    /// The same, if it is a whole number of percent.
    fn exact(&self) -> Option<Weight> {
        let both = self.stable.counts().checked_add(self.canary.counts())?;
        let whole = 100_i64.checked_mul(self.canary.counts())?.checked_rem(both)? == 0;
        whole.then(|| self.share())
    }
}

/// The two Services that a Rollout has in a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Services<'a> {
    /// The stable one's name.
    pub stable: &'a str,
    /// The canary's name.
    pub canary: &'a str,
}

/// A new weight of one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightChange {
    /// JSON pointer to the backend.
    pub backend: String,
    /// Its name, which must still be there.
    pub service: String,
    /// The weight that the plan saw; `None`: none.
    pub from: Option<i64>,
    /// The weight to write.
    pub to: i64,
}

/// Whether some rule has both Services.
#[must_use]
pub fn has_both(object: &Value, services: Services<'_>) -> bool {
    !pairs(object, services).is_empty()
}

/// The canary's weight, if it is the same whole number of percent in every rule that has both Services.
#[must_use]
pub fn share(object: &Value, services: Services<'_>) -> Option<Weight> {
    let pairs = pairs(object, services);
    let first = pairs.first()?.exact()?;
    pairs.iter().all(|pair| pair.exact() == Some(first)).then_some(first)
}

/// The canary's largest weight.
#[must_use]
pub fn largest_share(object: &Value, services: Services<'_>) -> Weight {
    pairs(object, services).iter().map(Pair::share).max().unwrap_or_default()
}

/// What is to be written so that the canary has this weight; nothing if it has it.
#[must_use]
pub fn changes(object: &Value, services: Services<'_>, weight: Weight) -> Vec<WeightChange> {
    let mut changes = Vec::new();
    for pair in pairs(object, services) {
        if pair.exact() == Some(weight) {
            continue;
        }
        let sides = [(pair.stable, services.stable, weight.rest()), (pair.canary, services.canary, weight)];
        for (backend, service, to) in sides {
            let to = i64::from(to.percent());
            if backend.weight != Some(to) {
                changes.push(WeightChange {
                    backend: format!("/spec/rules/{}/backendRefs/{}", pair.rule, backend.index),
                    service: service.to_owned(),
                    from: backend.weight,
                    to,
                });
            }
        }
    }
    changes
}

fn pairs(object: &Value, services: Services<'_>) -> Vec<Pair> {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let rules = object["spec"]["rules"].as_array().into_iter().flatten().enumerate();
    rules
        .filter_map(|(rule, it)| {
            let backends = it["backendRefs"].as_array()?;
            let find = |service: &str| {
                let index = backends.iter().position(|it| is_service(it, service, namespace))?;
                Some(Backend { index, weight: backends[index]["weight"].as_i64() })
            };
            Some(Pair { rule, stable: find(services.stable)?, canary: find(services.canary)? })
        })
        .collect()
}

/// Whether a backend is this Service of the route's namespace.
fn is_service(backend: &Value, name: &str, namespace: &str) -> bool {
    let field = |field: &str| backend[field].as_str().filter(|text| !text.is_empty());
    backend["name"] == name
        && field("kind").is_none_or(|kind| kind == "Service")
        && field("group").is_none_or(|group| group == "core")
        && field("namespace").is_none_or(|it| it == namespace)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    pub(super) const SERVICES: Services<'_> = Services { stable: "stable", canary: "canary" };

    /// A route with a rule for each list of backends (name, weight).
    pub(super) fn route(rules: &[&[(&str, Option<i64>)]]) -> Value {
        let rules: Vec<Value> = rules
            .iter()
            .map(|backends| {
                let backends: Vec<Value> = backends
                    .iter()
                    .map(|(name, weight)| match weight {
                        Some(weight) => json!({"name": name, "port": 80, "weight": weight}),
                        None => json!({"name": name, "port": 80}),
                    })
                    .collect();
                json!({"name": "main", "matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": backends})
            })
            .collect();
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "shop", "namespace": "prod"},
            "spec": {"parentRefs": [{"name": "gw"}], "hostnames": ["a.org"], "rules": rules},
        })
    }

    #[test]
    fn the_share_is_that_of_the_pair() {
        #[expect(clippy::type_complexity, reason = "a table")]
        let table: [(&[(&str, Option<i64>)], Option<u32>, u32); 9] = [
            (&[("stable", Some(100)), ("canary", Some(0))], Some(0), 0),
            (&[("stable", None), ("canary", Some(0))], Some(0), 0),
            (&[("stable", Some(8)), ("canary", Some(2))], Some(2000), 2000),
            (&[("stable", None), ("canary", None)], Some(5000), 5000),
            (&[("stable", Some(2)), ("canary", Some(1))], None, 3334),
            (&[("stable", Some(999)), ("canary", Some(1))], None, 10),
            (&[("stable", Some(0)), ("canary", Some(0))], None, 0),
            (&[("stable", Some(70)), ("other", Some(50)), ("canary", Some(30))], Some(3000), 3000),
            (&[("stable", Some(1))], None, 0),
        ];
        for (backends, exact, largest) in table {
            let route = route(&[backends]);
            assert_eq!(
                (share(&route, SERVICES).map(Weight::share), largest_share(&route, SERVICES).share()),
                (exact, largest),
                "{backends:?}"
            );
        }
    }

    #[test]
    fn rules_that_differ_have_no_common_share() {
        let route = route(&[
            &[("stable", Some(70)), ("canary", Some(30))],
            &[("stable", Some(50)), ("canary", Some(50))],
            &[("stable", Some(1))],
        ]);
        assert_eq!(
            (share(&route, SERVICES), largest_share(&route, SERVICES)),
            (None, Weight::of_percent(50))
        );
    }

    #[test]
    fn only_weights_of_the_pair_change_and_only_where_they_differ() {
        let route = route(&[
            &[("canary", Some(30)), ("other", Some(7)), ("stable", Some(70))],
            &[("stable", None), ("canary", Some(0))],
            &[("other", Some(1))],
        ]);
        let change = |backend: &str, service: &str, from: Option<i64>, to: i64| WeightChange {
            backend: format!("/spec/rules/{backend}"),
            service: service.to_owned(),
            from,
            to,
        };
        assert_eq!(
            changes(&route, SERVICES, Weight::of_percent(30)),
            [change("1/backendRefs/0", "stable", None, 70), change("1/backendRefs/1", "canary", Some(0), 30),]
        );
        assert_eq!(
            changes(&route, SERVICES, Weight::ZERO),
            [
                change("0/backendRefs/2", "stable", Some(70), 100),
                change("0/backendRefs/0", "canary", Some(30), 0),
            ]
        );
    }

    #[test]
    fn services_of_other_namespaces_and_kinds_are_not_ours() {
        let mut route = route(&[&[("stable", Some(1)), ("canary", Some(1))]]);
        assert!(has_both(&route, SERVICES));
        let backend = route.pointer_mut("/spec/rules/0/backendRefs/1").unwrap();
        backend["namespace"] = json!("prod");
        assert!(has_both(&route, SERVICES));
        route.pointer_mut("/spec/rules/0/backendRefs/1").unwrap()["namespace"] = json!("elsewhere");
        assert!(!has_both(&route, SERVICES));
        let backend = route.pointer_mut("/spec/rules/0/backendRefs/1").unwrap();
        *backend = json!({"name": "canary", "kind": "Bucket", "group": "x.org"});
        assert!(!has_both(&route, SERVICES));
    }
}
