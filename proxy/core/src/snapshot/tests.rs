use http::{HeaderMap, Method};
use proxy_config::model::{
    Address, Case, Change, Config, Draining, Endpoint as Server, HostMatch, Key, MirrorId, PathMatch, Rank,
    RouteId, Share, SplitId, UnixMillis, Version,
};

use super::*;
use crate::counters::FirstTry;

fn cluster(id: &str, servers: &[(&str, &str, bool)]) -> Change {
    let server = |(address, hash, draining): &(&str, &str, bool)| Server {
        address: Address::Socket(address.parse().unwrap()),
        version: Version { namespace: "default".into(), hash: (*hash).into() },
        pod: format!("pod-{address}").into(),
        draining: draining.then(Draining::default),
        zones: Vec::new(),
    };
    Change::Cluster(Arc::new(model::Cluster::plain(
        ClusterId::new(id),
        1_000,
        servers.iter().map(server).collect(),
    )))
}

/// A route of this path whose split has its name; each arm goes to the cluster of its own name.
fn route(path: &str, arms: &[(&str, u32)]) -> Change {
    let arm = |(id, share): &(&str, u32)| model::Arm {
        id: ArmId::new(*id),
        share: Share::of_10000(*share).unwrap(),
        cluster: ClusterId::new(*id),
        rewrite: model::Rewrite::None,
        host_rewrite: model::HostRewrite::Keep,
        timeout_ms: None,
        idle_timeout_ms: None,
        total_timeout_ms: None,
        request_headers: Vec::new(),
        response_headers: Vec::new(),
    };
    Change::Route(Arc::new(model::Route {
        id: RouteId::new(path),
        rank: Rank(vec![0]),
        host: HostMatch::Any,
        path: PathMatch::Prefix(path.into()),
        case: Case::Counts,
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
        listeners: Vec::new(),
        classes: Vec::new(),
        to_https: None,
        filters: model::Filters::default(),
        action: model::Action::Split(model::Split {
            mirrors: Vec::new(),
            id: SplitId::new(path),
            arms: arms.iter().map(arm).collect(),
        }),
    }))
}

/// A builder and the configuration it is at.
#[derive(Default)]
struct Fixture {
    builder: Builder,
    config: Config,
}

impl Fixture {
    fn apply(&mut self, changes: Vec<Change>) -> Arc<Snapshot> {
        for change in changes {
            self.config.apply(change);
        }
        self.builder.build(Arc::new(self.config.clone()), || 42).unwrap()
    }

    fn requests(&self) -> Vec<(String, u64)> {
        let mut requests: Vec<_> = self
            .builder
            .counters()
            .filter(|it| it.requests() > 0)
            .map(|it| (format!("{} {} {}", it.split, it.arm, it.hash), it.requests()))
            .collect();
        requests.sort();
        requests
    }
}

fn find<'a>(snapshot: &'a Snapshot, path: &str) -> &'a Arc<Rule> {
    let listener = ListenerId::new("http");
    let request = RequestHead {
        listener: &listener,
        authority: "h",
        path,
        query: None,
        method: &Method::GET,
        headers: &HeaderMap::new(),
    };
    snapshot.find(&request).unwrap()
}

fn split<'a>(snapshot: &'a Snapshot, path: &str) -> &'a Split {
    match &find(snapshot, path).action {
        Action::Split(split) => split,
        Action::Refuse(refusal) => unreachable!("the fixture has no {refusal:?}"),
        Action::Redirect(redirect) => unreachable!("the fixture has no {redirect:?}"),
    }
}

/// One request: drawn, placed at the arm's first endpoint, good.
fn request(snapshot: &Snapshot, path: &str) -> ArmId {
    let arm = split(snapshot, path).draw().unwrap();
    let endpoint = arm.cluster.balancer.endpoints().first().map(AsRef::as_ref);
    arm.counters(endpoint).count_first_try(FirstTry::Good, Duration::ZERO);
    arm.id.clone()
}

#[test]
fn what_did_not_change_is_shared() {
    let mut fixture = Fixture::default();
    let servers = [("198.18.0.1:80", "h1", false)];
    let before = fixture.apply(vec![
        cluster("a", &servers),
        cluster("b", &servers),
        route("/a", &[("a", 10_000)]),
        route("/b", &[("b", 10_000)]),
    ]);
    let after = fixture.apply(vec![cluster("b", &[("198.18.0.2:80", "h1", false)])]);
    assert!(Arc::ptr_eq(find(&before, "/a"), find(&after, "/a")));
    assert!(!Arc::ptr_eq(find(&before, "/b"), find(&after, "/b")));
    assert!(Arc::ptr_eq(&before.hosts, &after.hosts), "an endpoint does not touch the indexes");
    let weights = fixture.apply(vec![route("/a", &[("a", 4_000), ("b", 6_000)])]);
    assert!(Arc::ptr_eq(&weights.hosts, &after.hosts), "nor does a weight");
}

#[test]
fn an_old_snapshot_goes_on_routing_as_it_did() {
    let mut fixture = Fixture::default();
    let old =
        fixture.apply(vec![cluster("a", &[("198.18.0.1:80", "h1", false)]), route("/a", &[("a", 10_000)])]);
    fixture.apply(vec![Change::Removed(Key::Route(RouteId::new("/a")))]);
    assert_eq!(split(&old, "/a/x").draw().unwrap().cluster.balancer.endpoints().len(), 1);
}

#[test]
fn draws_go_on_where_they_were_across_commits() {
    let arms = [("a", 3_000), ("b", 7_000)];
    let run = |commit_every: usize| {
        let mut fixture = Fixture::default();
        let mut snapshot = fixture.apply(vec![cluster("a", &[]), cluster("b", &[]), route("/", &arms)]);
        let mut drawn = Vec::new();
        for request_number in 0..200 {
            if request_number % commit_every == 0 {
                let address = format!("198.18.0.1:{}", request_number + 1);
                snapshot = fixture.apply(vec![cluster("a", &[(&address, "h1", false)])]);
            }
            drawn.push(request(&snapshot, "/"));
        }
        drawn
    };
    assert_eq!(run(1), run(1_000));
}

#[test]
fn counters_outlive_the_endpoints_and_the_weights() {
    let mut fixture = Fixture::default();
    let first =
        fixture.apply(vec![cluster("a", &[("198.18.0.1:80", "h1", false)]), route("/", &[("a", 10_000)])]);
    request(&first, "/");
    let second = fixture.apply(vec![cluster("a", &[("198.18.0.2:80", "h2", false)])]);
    request(&second, "/");
    let third = fixture.apply(vec![cluster("a", &[("198.18.0.3:80", "h1", false)])]);
    request(&third, "/");
    let expected = [("/ a h1".to_owned(), 2), ("/ a h2".to_owned(), 1)];
    assert_eq!(fixture.requests(), expected);
}

#[test]
fn the_counters_of_past_versions_are_bounded() {
    let mut fixture = Fixture::default();
    fixture.apply(vec![cluster("a", &[]), route("/", &[("a", 10_000)])]);
    for version in 0..200 {
        let snapshot =
            fixture.apply(vec![cluster("a", &[("198.18.0.1:80", &format!("h{version:03}"), false)])]);
        request(&snapshot, "/");
    }
    let requests = fixture.requests();
    assert_eq!(requests.len(), 34, "32 past ones, that of the snapshot before, the present one");
    assert_eq!(requests.last().unwrap().0, "/ a h199");
}

#[test]
fn a_split_that_moves_to_another_route_keeps_its_counters() {
    let mut fixture = Fixture::default();
    let snapshot = fixture.apply(vec![cluster("a", &[]), route("/x", &[("a", 10_000)])]);
    request(&snapshot, "/x");
    let Change::Route(moved) = route("/x", &[("a", 10_000)]) else { unreachable!("it is a route") };
    let moved = model::Route { id: RouteId::new("/earlier"), ..(*moved).clone() };
    let snapshot =
        fixture.apply(vec![Change::Removed(Key::Route(RouteId::new("/x"))), Change::Route(Arc::new(moved))]);
    request(&snapshot, "/x");
    assert_eq!(fixture.requests(), [("/x a ".to_owned(), 2)]);
    fixture.apply(vec![Change::Removed(Key::Route(RouteId::new("/earlier")))]);
    assert_eq!(fixture.requests(), []);
}

#[test]
fn draining_endpoints_get_nothing_new_and_are_seen_until_they_are_idle() {
    let mut fixture = Fixture::default();
    let servers = [("198.18.0.1:80", "old", false), ("198.18.0.2:80", "new", false)];
    let snapshot = fixture.apply(vec![cluster("a", &servers), route("/", &[("a", 10_000)])]);
    let old = Arc::clone(&split(&snapshot, "/").arms[0].cluster.balancer.endpoints()[0]);
    old.enter();
    old.enter();
    assert!(old.is_routable());
    let servers = [("198.18.0.1:80", "old", true), ("198.18.0.2:80", "new", false)];
    let snapshot = fixture.apply(vec![cluster("a", &servers)]);
    let arm = &split(&snapshot, "/").arms[0];
    assert_eq!(arm.cluster.balancer.endpoints().len(), 1);
    assert_eq!(&*arm.cluster.balancer.endpoints()[0].version.hash, "new");
    assert!(!old.is_routable());
    fixture.apply(vec![cluster("a", &[("198.18.0.2:80", "new", false)])]);
    let load = VersionLoad { version: old.version.clone(), requests: 2 };
    assert_eq!(fixture.builder.loads(), [load], "gone from the configuration and still busy");
    let pod = PodLoad { namespace: "default".into(), pod: "pod-198.18.0.1:80".into(), requests: 2 };
    assert_eq!(fixture.builder.draining(), [pod]);
    assert_eq!(old.leave(), crate::endpoint::Left::Routine);
    assert_eq!(old.leave(), crate::endpoint::Left::Drained);
    assert_eq!((fixture.builder.loads(), fixture.builder.draining()), (vec![], vec![]));
}

#[test]
fn a_draining_endpoint_is_overdue_from_its_deadline_on_and_not_when_it_is_wanted_again() {
    let mut fixture = Fixture::default();
    let draining = |draining| {
        let Change::Cluster(cluster) = cluster("a", &[("198.18.0.1:80", "h1", false)]) else {
            unreachable!("it is a cluster")
        };
        let mut cluster = (*cluster).clone();
        cluster.endpoints[0].draining = draining;
        vec![Change::Cluster(Arc::new(cluster)), route("/", &[("a", 10_000)])]
    };
    let snapshot = fixture.apply(draining(None));
    let endpoint = Arc::clone(&split(&snapshot, "/").arms[0].cluster.balancer.endpoints()[0]);
    let at = |now| endpoint.is_overdue(|| UnixMillis(now));
    assert!(!endpoint.is_overdue(|| unreachable!("there is no deadline to compare with")));
    fixture.apply(draining(Some(Draining { until: Some(UnixMillis(500)) })));
    assert!(!at(499) && at(500));
    fixture.apply(draining(None));
    assert!(!at(500));
}

#[test]
fn mirrors_copy_their_share_of_the_requests_they_ask_for() {
    let mut fixture = Fixture::default();
    let with = |share| {
        let Change::Route(whole) = route("/", &[("a", 10_000)]) else { unreachable!("it is a route") };
        let mut whole = (*whole).clone();
        let model::Action::Split(split) = &mut whole.action else { unreachable!("it is a split") };
        split.mirrors = vec![model::Mirror {
            id: MirrorId::new("m"),
            share: Share::of_10000(share).unwrap(),
            cluster: ClusterId::new("a"),
            path: Some(PathMatch::Prefix("/Copied".into())),
            case: Case::Ignored,
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
        }];
        vec![cluster("a", &[]), Change::Route(Arc::new(whole))]
    };
    let copies = |snapshot: &Snapshot, path: &str, requests: u32| {
        let (headers, listener) = (HeaderMap::new(), ListenerId::new("http"));
        let head = RequestHead {
            listener: &listener,
            authority: "",
            path,
            query: None,
            method: &Method::GET,
            headers: &headers,
        };
        let mirror = &split(snapshot, "/").mirrors[0];
        u32::try_from((0..requests).filter(|_| mirror.takes(&head)).count()).unwrap()
    };
    for (share, expected) in [(0, 0), (1, 1), (2_500, 2_500), (9_000, 9_000), (10_000, 10_000)] {
        let snapshot = fixture.apply(with(share));
        assert!(copies(&snapshot, "/copied/1", 10_000).abs_diff(expected) < 2, "share {share}");
        assert_eq!(copies(&snapshot, "/other", 1_000), 0, "share {share}");
    }
    let names =
        |fixture: &Fixture| fixture.builder.mirrors().map(|it| it.mirror.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&fixture), ["m"]);
    fixture.apply(vec![route("/", &[("a", 10_000)])]);
    assert_eq!(names(&fixture), Vec::<String>::new(), "what no mirror has is forgotten");
}

#[test]
fn an_address_that_is_given_to_another_pod_is_another_endpoint() {
    let mut fixture = Fixture::default();
    let servers = [("198.18.0.1:80", "h1", false)];
    let first = fixture.apply(vec![cluster("a", &servers), route("/", &[("a", 10_000)])]);
    let Change::Cluster(cluster) = cluster("a", &servers) else { unreachable!("it is a cluster") };
    let mut cluster = (*cluster).clone();
    cluster.endpoints[0].pod = "another".into();
    let second = fixture.apply(vec![Change::Cluster(Arc::new(cluster))]);
    let id = |snapshot: &Snapshot| split(snapshot, "/").arms[0].cluster.balancer.endpoints()[0].id;
    assert_ne!(id(&first), id(&second));
}

#[test]
fn one_address_in_two_clusters_is_two_endpoints_of_one_version() {
    let mut fixture = Fixture::default();
    let servers = [("198.18.0.1:80", "h1", false)];
    let both = [("before", 5_000), ("now", 5_000)];
    let snapshot =
        fixture.apply(vec![cluster("before", &servers), cluster("now", &servers), route("/", &both)]);
    let of = |arm: usize| Arc::clone(&split(&snapshot, "/").arms[arm].cluster.balancer.endpoints()[0]);
    let (before, now) = (of(0), of(1));
    assert_ne!(before.id, now.id, "connections of the one are not used for the other");
    before.enter();
    now.enter();
    assert_eq!(fixture.builder.loads(), [VersionLoad { version: now.version.clone(), requests: 2 }]);
    fixture
        .apply(vec![route("/", &[("now", 10_000)]), Change::Removed(Key::Cluster(ClusterId::new("before")))]);
    assert!(!before.is_routable() && now.is_routable());
}

#[test]
fn a_pattern_that_does_not_compile_changes_nothing() {
    let mut fixture = Fixture::default();
    let before = fixture.apply(vec![cluster("a", &[]), route("/a", &[("a", 10_000)])]);
    let Change::Route(bad) = route("/b", &[("a", 10_000)]) else { unreachable!("it is a route") };
    let bad = model::Route { path: PathMatch::Regex("(".into()), ..(*bad).clone() };
    let mut config = fixture.config.clone();
    config.apply(Change::Route(Arc::new(bad)));
    assert!(fixture.builder.build(Arc::new(config), || 42).is_err());
    let after = fixture.apply(Vec::new());
    assert!(Arc::ptr_eq(find(&before, "/a"), find(&after, "/a")));
}
