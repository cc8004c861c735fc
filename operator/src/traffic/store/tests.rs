//! The store, told by updates.

use super::*;

fn split(id: &str, service: &str, weight: u32) -> wire::SplitState {
    let arm = wire::Arm {
        id: "web/app".to_owned(),
        mapping: "web/app".to_owned(),
        service: format!("web/{service}"),
        written: weight,
        share: 10_000,
        endpoints: vec![wire::VersionEndpoints { hash: "abc".to_owned(), ready: 2 }],
    };
    let served = wire::Served { arms: vec![arm], ..wire::Served::default() };
    wire::SplitState {
        id: id.to_owned(),
        views: vec![wire::View { served: Some(served), proxies: vec!["p".to_owned()] }],
        compiled: None,
        problem: String::new(),
        scope: String::new(),
    }
}

fn fleet(ready: bool) -> wire::Fleet {
    let proxy =
        wire::Proxy { id: "p".to_owned(), pod: "sluice/p".to_owned(), known: true, scope: String::new() };
    wire::Fleet { proxies: vec![proxy], ready }
}

fn reach(service: &str) -> Reach {
    Reach {
        namespace: "web".to_owned(),
        services: vec![ObjectName::new("web", service)],
        mappings: Vec::new(),
    }
}

#[test]
fn nothing_is_known_before_all_has_been_told() {
    let store = TrafficStore::waiting();
    assert!(matches!(store.of(&reach("app")), Traffic::Unknown { .. }));
    store.begin(0);
    let first = wire::Update { splits: vec![split("s", "app", 20)], ..wire::Update::default() };
    assert_eq!(store.take(first, 0).unwrap(), Touched::default());
    assert!(matches!(store.of(&reach("app")), Traffic::Unknown { .. }));
    let complete =
        |ready| wire::Update { fleet: Some(fleet(ready)), complete: true, ..wire::Update::default() };
    assert!(store.take(complete(false), 0).unwrap().everything);
    assert!(matches!(store.of(&reach("app")), Traffic::Unknown { .. }));
    store.take(complete(true), 0).unwrap();
    let Traffic::Ready(facts) = store.of(&reach("app")) else { panic!("all has been told") };
    assert_eq!(facts.splits[0].views[0].served.as_ref().unwrap().arms[0].written, Some(20));
    assert_eq!(facts.proxies.len(), 1);
}

#[test]
fn a_rollout_sees_its_own_splits_and_loads() {
    let store = TrafficStore::waiting();
    store.begin(0);
    let load = |namespace: &str| wire::VersionLoad {
        namespace: namespace.to_owned(),
        hash: "abc".to_owned(),
        in_flight: 3,
        routable: true,
        settled: false,
    };
    let all = wire::Update {
        splits: vec![split("a", "app", 101), split("b", "other", 101)],
        fleet: Some(fleet(true)),
        loads: vec![load("web"), load("shop")],
        complete: true,
        ..wire::Update::default()
    };
    store.take(all, 0).unwrap();
    let Traffic::Ready(facts) = store.of(&reach("app")) else { panic!("all has been told") };
    assert_eq!(facts.splits.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(facts.splits[0].views[0].served.as_ref().unwrap().arms[0].written, None);
    assert_eq!(facts.loads.len(), 1);
    assert_eq!(facts.loads["abc"].in_flight, 3);
}

#[test]
fn a_split_that_moves_touches_the_service_it_left() {
    let store = TrafficStore::waiting();
    store.begin(0);
    let update = |split| wire::Update { splits: vec![split], complete: true, ..wire::Update::default() };
    store.take(update(split("s", "old", 101)), 0).unwrap();
    let touched = store.take(update(split("s", "new", 101)), 0).unwrap();
    let services = ["new", "old"].map(|it| ObjectName::new("web", it));
    assert_eq!(touched.services, BTreeSet::from(services));
    let gone = wire::Update { removed_splits: vec!["s".to_owned()], ..wire::Update::default() };
    assert_eq!(store.take(gone, 0).unwrap().services, BTreeSet::from([ObjectName::new("web", "new")]));
}

#[test]
fn requests_under_way_matter_once_nothing_sends_new_ones() {
    let store = TrafficStore::waiting();
    store.begin(0);
    let told = |in_flight, routable, settled| {
        let (namespace, hash) = ("web".to_owned(), "abc".to_owned());
        let load = wire::VersionLoad { namespace, hash, in_flight, routable, settled };
        let update = wire::Update { loads: vec![load], complete: true, ..wire::Update::default() };
        !store.take(update, 0).unwrap().versions.is_empty()
    };
    assert!(told(3, true, false));
    for (in_flight, routable, settled, touches) in [
        (5, true, false, false),
        (0, true, false, false),
        (4, false, false, true),
        (3, false, false, false),
        (3, false, true, true),
        (0, false, true, true),
        (0, false, true, false),
        (1, true, false, true),
    ] {
        assert_eq!(told(in_flight, routable, settled), touches, "{in_flight} {routable} {settled}");
    }
}

#[test]
fn a_pod_that_was_chosen_to_go_is_seen_in_its_namespace_until_it_is_wanted_again() {
    let store = TrafficStore::waiting();
    store.begin(0);
    let pod = |pod: &str, in_flight| wire::PodLoad {
        pod: pod.to_owned(),
        hash: "abc".to_owned(),
        in_flight,
        routable: false,
        settled: true,
    };
    let take = |pods, removed_pods| {
        let all = wire::Update { fleet: Some(fleet(true)), complete: true, ..wire::Update::default() };
        store.take(wire::Update { pods, removed_pods, ..all }, 0).unwrap().versions
    };
    let version = VersionName { namespace: "web".to_owned(), hash: "abc".to_owned() };
    assert!(take(vec![pod("web/a", 2), pod("weber/a", 9)], vec![]).contains(&version));
    let draining = || match store.of(&reach("app")) {
        Traffic::Ready(facts) => facts.draining,
        other @ (Traffic::NotConfigured | Traffic::Unknown { .. }) => panic!("{other:?}"),
    };
    let load = |in_flight| Load { in_flight, routable: false, settled: true };
    assert_eq!(draining(), BTreeMap::from([("a".to_owned(), load(2))]));
    assert_eq!(take(vec![pod("web/a", 1)], vec![]), BTreeSet::new(), "it is not over");
    assert_eq!(take(vec![pod("web/a", 0)], vec![]), BTreeSet::from([version.clone()]));
    assert_eq!(draining()["a"], load(0));
    assert_eq!(take(vec![], vec!["web/a".to_owned()]), BTreeSet::from([version]));
    assert_eq!(draining(), BTreeMap::new());
}

#[test]
fn requests_are_seen_by_who_reaches_their_split_for_a_while() {
    let store = TrafficStore::waiting();
    store.begin(0);
    let cohort = |split: &str, second, requests| wire::Cohort {
        second,
        split: split.to_owned(),
        requests,
        ..wire::Cohort::default()
    };
    let take = |cohorts| {
        let (splits, fleet) = (vec![split("s", "app", 20), split("t", "other", 20)], Some(fleet(true)));
        store.take(wire::Update { cohorts, splits, fleet, complete: true, ..wire::Update::default() }, 0)
    };
    let seen = || match store.of(&reach("app")) {
        Traffic::Ready(facts) => facts.cohorts.iter().map(|it| (it.second, it.requests)).collect::<Vec<_>>(),
        other @ (Traffic::NotConfigured | Traffic::Unknown { .. }) => panic!("{other:?}"),
    };
    take(vec![cohort("s", 10, 1), cohort("s", 11, 5), cohort("t", 11, 9)]).unwrap();
    take(vec![cohort("s", 10, 2)]).unwrap();
    assert_eq!(seen(), [(10, 2), (11, 5)]);
    take(vec![cohort("s", 10 + KEPT, 7)]).unwrap();
    assert_eq!(seen(), [(11, 5), (10 + KEPT, 7)]);
}

#[test]
fn what_is_counted_of_a_version_is_told_where_there_is_a_route_to_one_of_its_rollout() {
    let store = TrafficStore::waiting();
    let version = |hash: &str| VersionName { namespace: "web".to_owned(), hash: hash.to_owned() };
    let counted = |hash: &str, versions: &[&str]| store.counted(&version(hash), versions, 60, 30);
    let unknown = |reason: &str| Err(Uncounted::Unknown { reason: reason.to_owned() });
    assert_eq!(counted("abc", &["abc"]), unknown("the traffic server has not been reached yet"));
    store.begin(0);
    assert_eq!(counted("abc", &["abc"]), unknown("the traffic server has not told everything yet"));
    let tries =
        wire::VersionTries { namespace: "web".to_owned(), hash: "gone".to_owned(), bad: 1, ended: vec![2] };
    let (splits, fleet) = (vec![split("s", "app", 20)], Some(fleet(true)));
    let all = wire::Update { splits, fleet, tries: vec![tries], complete: true, ..wire::Update::default() };
    store.take(all, 10).unwrap();
    let nothing = Counted { seconds: 30, ..Counted::default() };
    assert_eq!(counted("abc", &["abc"]), Ok(nothing.clone()));
    assert_eq!(counted("new", &["new", "abc"]), Ok(nothing), "its share is still to come");
    assert_eq!(counted("new", &["new"]), Err(Uncounted::NotRouted));
    assert_eq!(counted("gone", &["gone"]), Ok(Counted { seconds: 30, bad: 1, ended: vec![2] }));
    let never = TrafficStore::not_configured().counted(&version("abc"), &["abc"], 60, 30);
    assert_eq!(never, Err(Uncounted::NotConfigured));
}

#[test]
fn an_equal_split_touches_nothing() {
    let store = TrafficStore::waiting();
    store.begin(0);
    let update =
        || wire::Update { splits: vec![split("s", "app", 20)], complete: true, ..wire::Update::default() };
    store.take(update(), 0).unwrap();
    assert_eq!(store.take(update(), 0).unwrap(), Touched::default());
}

#[test]
fn losing_the_server_is_told_once_for_each_reason() {
    let store = TrafficStore::waiting();
    assert!(store.lose("refused".to_owned()).everything);
    assert!(!store.lose("refused".to_owned()).everything);
    assert!(store.lose("timed out".to_owned()).everything);
}

#[test]
fn a_malformed_message_is_refused() {
    let store = TrafficStore::waiting();
    store.begin(0);
    let update = |split| wire::Update { splits: vec![split], ..wire::Update::default() };
    assert_eq!(store.take(update(split("s", "app", 102)), 0), Err(Malformed::Weight(102)));
    let mut bad = split("s", "app", 20);
    bad.views[0].served.as_mut().unwrap().arms[0].mapping = "app".to_owned();
    assert_eq!(store.take(update(bad), 0), Err(Malformed::Name("app".to_owned())));
}
