//! Routes that a Rollout owns beside the user's: for requests with a header, and in the user's place while pods of an
//! Experiment get a share.

use crds::contract::STANDS_IN_ANNOTATION;
use serde_json::{Map, Value, json};

use super::{Backend, Pair, Services, pairs};
use crate::mapping::{Canary, Part, StandIn, own};
use crate::spec::{Condition, Text};

/// The largest weight that the API takes.
const LARGEST_WEIGHT: i64 = 1_000_000;

/// The route beside a base, to POST, or with `existing` to PUT: the rules of the base that have both Services, with what
/// the part asks for.
///
/// `None` if nothing of the base is split, or the part is none of a route.
#[must_use]
pub fn wanted(base: &Value, existing: Option<&Value>, canary: &Canary<'_>, name: &str) -> Option<Value> {
    let services = Services { stable: canary.base_service, canary: canary.copy_service };
    let pairs = pairs(base, services);
    let rule = |pair: &Pair| &base["spec"]["rules"][pair.rule];
    let (rules, stands_in): (Vec<Value>, bool) = match canary.part {
        Part::Route { route, index } => {
            let condition = route.conditions.get(index)?;
            let rules = pairs.iter().map(|pair| with_header(rule(pair), pair.canary.index, condition));
            (rules.collect(), false)
        }
        Part::StandIn(it) => (pairs.iter().map(|pair| with_trials(rule(pair), pair, it)).collect(), true),
        Part::Share(_) | Part::Trial(_) => return None,
    };
    if rules.is_empty() {
        return None;
    }
    let mut object = existing.cloned().unwrap_or_else(|| {
        json!({
            "apiVersion": base["apiVersion"],
            "kind": base["kind"],
            "metadata": {"name": name, "namespace": canary.namespace},
        })
    });
    let mut spec = Map::new();
    for field in ["parentRefs", "hostnames"] {
        if let Some(value) = base["spec"].get(field).filter(|value| !value.is_null()) {
            spec.insert(field.to_owned(), value.clone());
        }
    }
    spec.insert("rules".to_owned(), json!(rules));
    let fields = object.as_object_mut()?;
    fields.insert("spec".to_owned(), Value::Object(spec));
    let metadata = fields.entry("metadata").or_insert_with(|| json!({})).as_object_mut()?;
    if stands_in {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({})).as_object_mut()?;
        annotations.insert(STANDS_IN_ANNOTATION.to_owned(), base["metadata"]["name"].clone());
    }
    own(metadata, canary);
    Some(object)
}

/// A rule for requests that also have the header, to the canary alone. More headers go first, so it wins over its base by
/// the API's own order.
fn with_header(rule: &Value, canary: usize, condition: &Condition) -> Value {
    let mut rule = unnamed(rule);
    let Some(fields) = rule.as_object_mut() else { return rule };
    let mut backend = fields.get("backendRefs").map(|backends| backends[canary].clone()).unwrap_or_default();
    if let Some(backend) = backend.as_object_mut() {
        backend.insert("weight".to_owned(), json!(1));
    }
    fields.insert("backendRefs".to_owned(), json!([backend]));
    // A rule without matches has one for everything.
    let written = fields.get("matches").and_then(Value::as_array).filter(|matches| !matches.is_empty());
    let mut matches = written.cloned().unwrap_or_else(|| vec![json!({})]);
    for it in &mut matches {
        let Some(it) = it.as_object_mut() else { continue };
        let headers = it.entry("headers").or_insert_with(|| json!([]));
        let Some(headers) = headers.as_array_mut() else { continue };
        for (name, value) in &condition.headers {
            headers.retain(|held| !held["name"].as_str().is_some_and(|it| it.eq_ignore_ascii_case(name)));
            headers.push(header(name, value));
        }
    }
    fields.insert("matches".to_owned(), json!(matches));
    rule
}

fn header(name: &str, value: &Text) -> Value {
    let (kind, text) = match value {
        Text::Exact(text) => ("Exact", text.clone()),
        Text::Prefix(text) => ("RegularExpression", format!("{}.*", crate::mapping::escape(text))),
        Text::Regex(text) => ("RegularExpression", text.clone()),
    };
    json!({"name": name, "type": kind, "value": text})
}

/// A rule that divides what the two Services get among them and pods of an Experiment. Other backends get what they get
/// by the base; a backend of the pods is that of the stable Service in everything else.
fn with_trials(rule: &Value, pair: &Pair, stand_in: StandIn<'_>) -> Value {
    let mut rule = unnamed(rule);
    let Some(backends) = rule["backendRefs"].as_array_mut() else { return rule };
    let StandIn { canary, trials, ports } = stand_in;
    let scale = Scale::of(pair, backends);
    let of_both = |share: u32| scale.both * i64::from(share) / 10_000;
    let [canary, given] = [of_both(canary.share()), of_both(trials.iter().map(|it| it.weight.share()).sum())];
    for (index, backend) in backends.iter_mut().enumerate() {
        let weight = match index {
            _ if index == pair.canary.index => canary,
            _ if index == pair.stable.index => (scale.both - canary - given).max(0),
            _ => scale.other(weight_of(backend)),
        };
        backend["weight"] = json!(weight);
    }
    let stable = backends[pair.stable.index].clone();
    backends.extend(trials.iter().map(|trial| {
        let mut backend = stable.clone();
        backend["name"] = json!(trial.service);
        let port = backend["port"].as_i64().and_then(|it| i32::try_from(it).ok());
        if let Some(port) = port.and_then(|it| ports.get(&it)) {
            backend["port"] = json!(port);
        }
        backend["weight"] = json!(of_both(trial.weight.share()));
        backend
    }));
    rule
}

/// What the weights of a rule are counted in, so that a percent of what both Services get is a whole number.
#[derive(Clone, Copy, Debug)]
struct Scale {
    /// What both Services have in the base.
    from: i64,
    /// What they and the pods of an Experiment have together.
    both: i64,
}

impl Scale {
    fn of(pair: &Pair, backends: &[Value]) -> Self {
        let counted = |it: Backend| it.counts().min(LARGEST_WEIGHT);
        let from = counted(pair.stable) + counted(pair.canary);
        let others = backends.iter().enumerate();
        let others = others.filter(|(index, _)| ![pair.stable.index, pair.canary.index].contains(index));
        let most = others.map(|(_, backend)| weight_of(backend)).max();
        let percent = Self { from, both: if from == 0 { 0 } else { 100 } };
        let Some(most) = most else { return percent };
        let whole = Self { from, both: from * 100 / greatest_divisor(from, 100) };
        // Where that is more than the API takes, the others' weights are rounded.
        let too_large = whole.both > LARGEST_WEIGHT || most * whole.both > LARGEST_WEIGHT * from;
        if too_large { percent } else { whole }
    }

    /// The weight of another backend, which the base gives this one.
    fn other(self, weight: i64) -> i64 {
        let scaled = (weight * self.both + self.from / 2).checked_div(self.from).unwrap_or(weight);
        scaled.min(LARGEST_WEIGHT)
    }
}

/// Of two numbers that are not both 0.
fn greatest_divisor(one: i64, other: i64) -> i64 {
    if other == 0 { one } else { greatest_divisor(other, one % other) }
}

fn weight_of(backend: &Value) -> i64 {
    backend["weight"].as_i64().unwrap_or(1).clamp(0, LARGEST_WEIGHT)
}

/// The names of rules are the base's: a route may have each once, and a rule with two conditions has two copies.
fn unnamed(rule: &Value) -> Value {
    let mut rule = rule.clone();
    if let Some(fields) = rule.as_object_mut() {
        fields.remove("name");
    }
    rule
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::{SERVICES, route};
    use super::*;
    use crate::mapping::Trial;
    use crate::spec::{Action, ManagedRoute};
    use crate::weight::Weight;

    fn canary(part: Part<'_>) -> Canary<'_> {
        Canary {
            rollout: "shop",
            uid: "u1",
            namespace: "prod",
            base_service: SERVICES.stable,
            copy_service: SERVICES.canary,
            part,
        }
    }

    #[test]
    fn a_header_route_sends_what_has_the_header_to_the_canary() {
        let base = route(&[&[("stable", Some(70)), ("canary", Some(30))], &[("other", Some(1))]]);
        let beta = ManagedRoute {
            name: "beta".to_owned(),
            action: Action::Send,
            conditions: vec![Condition {
                headers: vec![("x-beta".to_owned(), Text::Prefix("a.b".to_owned()))],
                ..Condition::default()
            }],
        };
        let canary = canary(Part::Route { route: &beta, index: 0 });
        let made = wanted(&base, None, &canary, "shop-canary-beta").unwrap();
        assert_eq!(
            made["spec"],
            json!({
                "parentRefs": [{"name": "gw"}],
                "hostnames": ["a.org"],
                "rules": [{
                    "matches": [{
                        "path": {"type": "PathPrefix", "value": "/"},
                        "headers": [{"name": "x-beta", "type": "RegularExpression", "value": "a\\.b.*"}],
                    }],
                    "backendRefs": [{"name": "canary", "port": 80, "weight": 1}],
                }],
            })
        );
        assert_eq!(made["metadata"]["ownerReferences"][0]["uid"], "u1");
        assert_eq!(wanted(&base, Some(&made), &canary, "shop-canary-beta"), Some(made));
    }

    fn trial(service: &str, percent: i32) -> Trial<'_> {
        let weight = Weight::of_percent(percent);
        Trial { template: service, service, hash: "5c9f", port: None, weight }
    }

    /// The weights of each rule, while the canary has 20 percent, and one template 10 and another 5.
    fn weights(rules: &[&[(&str, Option<i64>)]]) -> Vec<Vec<(String, i64)>> {
        let trials = [trial("old", 10), trial("new", 5)];
        let ports = BTreeMap::from([(80, 8080)]);
        let part = Part::StandIn(StandIn { canary: Weight::of_percent(20), trials: &trials, ports: &ports });
        let base = route(rules);
        let made = wanted(&base, None, &canary(part), "shop-experiment").unwrap();
        assert_eq!(wanted(&base, Some(&made), &canary(part), "shop-experiment").as_ref(), Some(&made));
        assert_eq!(made["metadata"]["annotations"][STANDS_IN_ANNOTATION], "shop");
        let rules = made["spec"]["rules"].as_array().unwrap();
        let of = |rule: &Value| {
            assert_eq!(
                (&rule["name"], &rule["matches"]),
                (&Value::Null, &base["spec"]["rules"][0]["matches"])
            );
            let backends = rule["backendRefs"].as_array().unwrap().iter();
            backends
                .map(|it| {
                    let name = it["name"].as_str().unwrap();
                    assert_eq!(it["port"], if ["old", "new"].contains(&name) { 8080 } else { 80 });
                    (name.to_owned(), it["weight"].as_i64().unwrap())
                })
                .collect()
        };
        rules.iter().map(of).collect()
    }

    #[test]
    fn a_stand_in_gives_pods_of_an_experiment_their_share() {
        #[expect(clippy::type_complexity, reason = "a table")]
        let table: [(&[(&str, Option<i64>)], &[(&str, i64)]); 7] = [
            (
                &[("stable", Some(80)), ("canary", Some(20))],
                &[("stable", 65), ("canary", 20), ("old", 10), ("new", 5)],
            ),
            (
                &[("stable", None), ("canary", Some(0))],
                &[("stable", 65), ("canary", 20), ("old", 10), ("new", 5)],
            ),
            // Half of the requests are another's, and stay so.
            (
                &[("canary", Some(0)), ("other", None), ("stable", None)],
                &[("canary", 20), ("other", 100), ("stable", 65), ("old", 10), ("new", 5)],
            ),
            (
                &[("stable", Some(80)), ("other", Some(50)), ("canary", Some(20))],
                &[("stable", 65), ("other", 50), ("canary", 20), ("old", 10), ("new", 5)],
            ),
            (
                &[("stable", Some(6)), ("other", Some(4)), ("canary", Some(2))],
                &[("stable", 130), ("other", 100), ("canary", 40), ("old", 20), ("new", 10)],
            ),
            // Less than a whole percent more or less is another's.
            (
                &[("stable", Some(999_998)), ("other", Some(999_999)), ("canary", Some(1))],
                &[("stable", 65), ("other", 100), ("canary", 20), ("old", 10), ("new", 5)],
            ),
            // A route that sends nobody there is left so.
            (
                &[("stable", Some(0)), ("canary", Some(0))],
                &[("stable", 0), ("canary", 0), ("old", 0), ("new", 0)],
            ),
        ];
        for (base, expected) in table {
            let expected: Vec<(String, i64)> =
                expected.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
            assert_eq!(weights(&[base, &[("other", None)]]), [expected], "{base:?}");
        }
    }
}
