//! Two proxies, one split of Mapping `shop` and its canary; what changes is what the proxies serve.

use super::*;
use crate::traffic::{Proxy, Version, View};

/// Canary Mapping and Services at version 10.
fn route() -> Route {
    let version = |kind: &'static str, name: &str| ((kind, name.to_owned()), "10".to_owned());
    Route {
        namespace: "web".to_owned(),
        services: ["stable", "canary"].map(str::to_owned).into(),
        mappings: BTreeMap::from([("shop".to_owned(), "shop-canary".to_owned())]),
        versions: BTreeMap::from([version("Mapping", "shop-canary"), version("Service", "canary")]),
        existing: BTreeSet::from(["shop-canary".to_owned()]),
        base_is_canary: false,
        canary_service: "canary".to_owned(),
    }
}

/// A content with this weight, these canary endpoints, compiled from the canary Mapping at this version.
fn content(weight: i32, canary: &[(&str, u32)], version: &str) -> Served {
    let arm =
        |mapping: &str, service: &str, written: Option<i32>, share: i32, endpoints: &[(&str, u32)]| Arm {
            id: mapping.to_owned(),
            mapping: ObjectName::new("web", mapping),
            service: ObjectName::new("web", service),
            written,
            share: u32::try_from(share * 100).unwrap(),
            endpoints: endpoints.iter().map(|(hash, ready)| ((*hash).to_owned(), *ready)).collect(),
        };
    Served {
        arms: vec![
            arm("shop", "stable", None, 100 - weight, &[("old", 4)]),
            arm("shop-canary", "canary", Some(weight), weight, canary),
        ],
        versions: vec![Version {
            kind: "Mapping".to_owned(),
            object: ObjectName::new("web", "shop-canary"),
            resource_version: version.to_owned(),
        }],
    }
}

/// Proxy p0 serves the first list of contents, p1 the second, and so on; an empty list is a proxy that has not told.
fn facts(contents: &[&[Option<Served>]]) -> Facts {
    let proxies = contents.iter().enumerate().map(|(index, contents)| Proxy {
        id: format!("uid-{index}"),
        pod: ObjectName::new("sluice", format!("p{index}")),
        known: !contents.is_empty(),
        scope: String::new(),
    });
    let views = contents.iter().enumerate().flat_map(|(index, contents)| {
        contents
            .iter()
            .map(move |served| View { served: served.clone(), proxies: vec![format!("uid-{index}")] })
    });
    Facts {
        proxies: proxies.collect(),
        splits: vec![Split {
            id: "shop".to_owned(),
            views: views.collect(),
            compiled: Some(content(30, &[("new", 2)], "10")),
            problem: None,
            scope: String::new(),
        }],
        loads: BTreeMap::new(),
        draining: BTreeMap::new(),
        cohorts: Vec::new(),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the other case is a proxy without the split")]
fn serves(weight: i32) -> Option<Served> {
    Some(content(weight, &[("new", 2)], "10"))
}

fn weight_served(weight: i32, contents: &[&[Option<Served>]]) -> bool {
    let (facts, route) = (facts(contents), route());
    Fold::new(&facts, &route).weight_served(Weight::of_percent(weight)).unanimous()
}

#[test]
fn a_weight_is_served_when_every_proxy_serves_it() {
    assert!(weight_served(30, &[&[serves(30)], &[serves(30)]]));
    assert!(!weight_served(30, &[&[serves(30)], &[serves(20)]]));
    assert!(!weight_served(30, &[&[serves(30)], &[None]]), "a proxy without the split");
}

#[test]
fn every_content_a_proxy_may_serve_counts() {
    assert!(!weight_served(30, &[&[serves(30), serves(20)]]), "sent and not acknowledged");
    assert!(weight_served(30, &[&[serves(30), serves(30)]]));
}

#[test]
fn a_proxy_that_has_not_told_agrees_to_nothing() {
    let (facts, route) = (facts(&[&[serves(0)], &[]]), route());
    let fold = Fold::new(&facts, &route);
    let poll = fold.weight_zero();
    assert_eq!((poll.agreeing, poll.counted), (1, 2));
    assert_eq!(poll.waiting, [ObjectName::new("sluice", "p1")]);
    assert_eq!(fold.load("old"), None);
    assert_eq!(fold.largest_share("new"), 10_000);
}

#[test]
fn contents_of_an_older_mapping_do_not_count() {
    let aged = |version: &str| Some(content(30, &[("new", 2)], version));
    assert!(!weight_served(30, &[&[aged("9")]]));
    assert!(weight_served(30, &[&[aged("11")]]));
    assert!(weight_served(30, &[&[aged("100")]]), "versions are numbers, not texts");
}

#[test]
fn the_canary_arm_holds_exactly_the_new_version() {
    let holds = |endpoints: &[(&str, u32)], need: i32| {
        let (facts, route) = (facts(&[&[Some(content(0, endpoints, "10"))]]), route());
        Fold::new(&facts, &route).canary_arm_holds("new", need).unanimous()
    };
    assert!(holds(&[("new", 2)], 2));
    assert!(holds(&[("new", 2), ("old", 0)], 2), "no ready pod of another version");
    assert!(!holds(&[("new", 2)], 3));
    assert!(!holds(&[("new", 2), ("old", 1)], 2));
    assert!(holds(&[], 0), "no need, no pods");
}

#[test]
fn a_weight_is_zero_without_an_arm_only_if_no_canary_mapping_exists() {
    let mut base_only = content(0, &[], "10");
    base_only.arms.pop();
    let (facts, mut route) = (facts(&[&[Some(base_only)]]), route());
    assert!(!Fold::new(&facts, &route).weight_zero().unanimous(), "the canary Mapping may be compiled later");
    route.existing.clear();
    assert!(Fold::new(&facts, &route).weight_zero().unanimous());
}

#[test]
fn a_mapping_without_a_route_is_a_problem_and_not_agreement() {
    let (mut facts, route) = (facts(&[&[serves(30)]]), route());
    facts.splits.clear();
    let poll = Fold::new(&facts, &route).weight_served(Weight::of_percent(30));
    assert!(!poll.unanimous());
    assert_eq!(poll.problem.as_deref(), Some("the data plane has no route for Mapping \"shop\""));
}

#[test]
fn the_largest_share_of_any_proxy_decides_the_capacity() {
    let (facts, route) = (facts(&[&[serves(10)], &[serves(25), serves(10)]]), route());
    assert_eq!(Fold::new(&facts, &route).largest_share("new"), 2_500);
}

#[test]
fn a_chosen_pod_is_done_when_it_or_its_whole_version_is() {
    let load = |in_flight, routable, settled| Load { in_flight, routable, settled };
    let mut facts = facts(&[&[serves(30)]]);
    facts.loads.insert("old".to_owned(), load(7, true, false));
    facts.draining.insert("old-a".to_owned(), load(1, false, true));
    let route = route();
    let ask = |facts: &Facts, pod| Fold::new(facts, &route).pod_load(pod, "old");
    assert_eq!(ask(&facts, "old-a"), Some(load(1, false, true)));
    assert_eq!(ask(&facts, "old-b"), None, "its choice has not been seen");
    facts.loads.insert("old".to_owned(), Load::NONE);
    assert_eq!(ask(&facts, "old-b"), Some(Load::NONE));
    facts.proxies[0].known = false;
    assert_eq!(ask(&facts, "old-b"), None);
}

#[test]
fn only_proxies_of_its_scope_are_asked_for_a_split() {
    let mut facts = facts(&[&[serves(30)], &[]]);
    let route = route();
    let poll = |facts: &Facts| {
        let poll = Fold::new(facts, &route).weight_served(Weight::of_percent(30));
        (poll.agreeing, poll.counted)
    };
    assert_eq!(poll(&facts), (1, 2), "a proxy that has not told what it serves");
    facts.proxies[1].scope = "gateway/shop/web".to_owned();
    assert_eq!(poll(&facts), (1, 1), "one that serves a Gateway has nothing to do with a Mapping");

    let mut other = facts.splits[0].clone();
    other.id = "shop of the Gateway".to_owned();
    other.scope = "gateway/shop/web".to_owned();
    other.views[0].proxies = vec!["uid-1".to_owned()];
    facts.splits.push(other);
    assert_eq!(poll(&facts), (1, 2), "each has its own to serve");
    facts.proxies[1].known = true;
    assert_eq!(poll(&facts), (2, 2));
}
