use super::*;
use crate::model::{
    Absent, Access, Arm, ArmId, Authorization, AuthorizationFailure, Case, Certificate, CertificateId,
    ClusterId, Cookies, Host, HostId, HostMatch, Insecure, Key, Listener, ListenerId, Rank, Refusals,
    RouteId, Secret, Sees, Share, Split, SplitId, Trust, UpstreamTls, Value,
};

fn route(edit: impl FnOnce(&mut Route)) -> Route {
    let arm = Arm {
        id: ArmId::new("a"),
        share: Share::WHOLE,
        cluster: ClusterId::new("c"),
        rewrite: Rewrite::None,
        host_rewrite: HostRewrite::Keep,
        timeout_ms: None,
        idle_timeout_ms: None,
        total_timeout_ms: None,
        request_headers: Vec::new(),
        response_headers: Vec::new(),
    };
    let mut route = Route {
        id: RouteId::new("r"),
        rank: Rank(vec![1]),
        host: HostMatch::Any,
        path: PathMatch::Prefix("/".into()),
        case: Case::Counts,
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
        listeners: Vec::new(),
        classes: Vec::new(),
        to_https: None,
        filters: Filters::default(),
        action: Action::Split(Split { id: SplitId::new("r"), arms: vec![arm], mirrors: Vec::new() }),
    };
    edit(&mut route);
    route
}

fn cluster(tls: Option<UpstreamTls>) -> Arc<Cluster> {
    let endpoint = crate::model::Endpoint {
        address: crate::model::Address::Socket(([198, 18, 0, 7], 80).into()),
        version: crate::model::Version::default(),
        pod: "".into(),
        draining: None,
        zones: Vec::new(),
    };
    Arc::new(Cluster { tls: tls.map(Box::new), ..Cluster::plain(ClusterId::new("c"), 1, vec![endpoint]) })
}

fn tls() -> UpstreamTls {
    UpstreamTls {
        server_name: None,
        names: Vec::new(),
        trust: Trust::Anyone,
        certificate: None,
        versions: crate::model::TlsVersions::default(),
    }
}

/// A service is asked, in the cluster `c`.
fn asking() -> Access {
    let authorization = Authorization {
        cluster: ClusterId::new("c"),
        method: None,
        host: None,
        target: Value::text("/"),
        sees: Sees::All,
        request_headers: Vec::new(),
        passed_on: Vec::new(),
        absent: Absent::Removed,
        refusals: Refusals::Status,
        told: Vec::new(),
        sign_in: None,
        cookies: Cookies::Never,
        timeout_ms: 1,
        failure: AuthorizationFailure::Refused(500),
    };
    Access { authorization: Some(authorization), ..Access::default() }
}

#[test]
fn what_would_be_something_else_needs_its_feature() {
    type Case = (fn(&mut Route), Option<&'static str>);
    let table: [Case; 10] = [
        (|_| (), None),
        (|it| it.filters.retry = Some(Box::new(crate::model::Retry::default())), None),
        (|it| it.path = PathMatch::Elements("/a".into()), Some(PATH_ELEMENTS)),
        (|it| it.listeners = vec![ListenerId::new("http")], Some(ROUTE_LISTENERS)),
        (|it| it.filters.cors = Some(Box::new(crate::model::Cors::default())), Some(CORS)),
        (|it| it.filters.upgrades = Upgrades::Only(Vec::new()), Some(UPGRADES)),
        (
            |it| it.filters.clients = Some(Box::new(crate::model::ClientLimits::default())),
            Some(CLIENT_LIMITS),
        ),
        (|it| it.filters.max_body_bytes = Some(1), Some(BODY_LIMITS)),
        (
            |it| {
                let edit = crate::model::Edit::Set(Value::text("b"));
                it.filters.response_headers = vec![HeaderEdit { name: "a".into(), edit }];
            },
            Some(HEADER_EDITS),
        ),
        (
            |it| {
                let path = Rewrite::None;
                it.action = Action::Redirect(crate::model::RedirectTo {
                    status: 301,
                    scheme: None,
                    host: None,
                    port: None,
                    path,
                });
            },
            Some(REDIRECTS),
        ),
    ];
    let (none, all) = (Features::default(), Features::from_iter([PATH_ELEMENTS, ROUTE_LISTENERS, CORS]));
    for (edit, feature) in table {
        let route = route(edit);
        assert_eq!(none.missing(&route, &Config::default()), feature);
        let missing = feature.filter(|it| ![PATH_ELEMENTS, ROUTE_LISTENERS, CORS].contains(it));
        assert_eq!(all.missing(&route, &Config::default()), missing);
    }
}

#[test]
fn a_route_that_cannot_be_served_is_refused() {
    let route = Change::Route(Arc::new(route(|it| it.path = PathMatch::Elements("/a".into()))));
    let Some(Change::Route(refused)) = Features::default().adapt_one(&route, &Config::default()) else {
        unreachable!("a route stays one");
    };
    assert_eq!(refused.action, Action::Refuse(Refusal { status: 500, reason: "unsupported".into() }));
    assert_eq!(refused.path, PathMatch::Prefix("/a".into()));
    assert_eq!(Features::from_iter([PATH_ELEMENTS]).adapt_one(&route, &Config::default()), Some(route));
}

#[test]
fn a_cluster_that_would_be_spoken_to_in_the_clear_has_no_endpoints() {
    let mut config = Config::default();
    config.apply(Change::Cluster(cluster(Some(tls()))));
    let features = Features::default();
    assert_eq!(features.missing(&route(|_| ()), &config), Some(UPSTREAM_TLS));
    let Some(Change::Cluster(empty)) = features.adapt_one(&Change::Cluster(cluster(Some(tls()))), &config)
    else {
        unreachable!("a cluster stays one");
    };
    assert!(empty.endpoints.is_empty());
    let plain = Change::Cluster(cluster(None));
    assert_eq!(features.adapt_one(&plain, &config), Some(plain));
}

#[test]
fn a_proxy_that_cannot_speak_to_the_service_lets_nobody_in() {
    let mut config = Config::default();
    let asked = route(|it| {
        it.filters.access = Some(Box::new(asking()));
        it.action = Action::Split(Split { id: SplitId::new("r"), arms: Vec::new(), mirrors: Vec::new() });
    });
    config.apply(Change::Route(Arc::new(asked)));
    config.apply(Change::Cluster(cluster(Some(tls()))));
    let asked = &config.routes[&RouteId::new("r")];
    assert_eq!(Features::from_iter([ACCESS]).missing(asked, &config), Some(AUTHORIZATION));
    let features = Features::from_iter([ACCESS, AUTHORIZATION]);
    assert_eq!(features.missing(asked, &config), Some(UPSTREAM_TLS));
    let cluster = Arc::clone(&config.clusters[&ClusterId::new("c")]);
    let adapted = features.adapt(vec![Change::Cluster(cluster)], &config);
    let is_refused = |it: &Change| matches!(it, Change::Route(it) if matches!(it.action, Action::Refuse(_)));
    assert!(adapted.iter().any(is_refused), "a route changes with the cluster of its service");
}

#[test]
fn an_old_proxy_is_not_told_of_tls() {
    let listener = Listener { protocol: Protocol::Https, ..Listener::http(ListenerId::new("https"), 8443) };
    let certificate =
        Certificate { id: CertificateId::new("c"), chain: String::new(), key: Secret(String::new()) };
    let host = Host {
        id: HostId::new("h"),
        names: vec!["*".into()],
        listeners: Vec::new(),
        tls: None,
        insecure: Insecure::Route,
        class: String::new(),
    };
    let gone = Change::Removed(Key::Host(HostId::new("h")));
    for change in [
        Change::Listener(Arc::new(listener)),
        Change::Certificate(Arc::new(certificate)),
        Change::Host(Arc::new(host)),
        gone,
    ] {
        assert_eq!(Features::default().adapt_one(&change, &Config::default()), None);
        let new = Features::from_iter([TLS]);
        assert_eq!(new.adapt_one(&change, &Config::default()), Some(change));
    }
}

#[test]
fn a_route_whose_cluster_changed_is_sent_again() {
    let mut config = Config::default();
    let served = Change::Route(Arc::new(route(|_| ())));
    config.apply(served.clone());
    config.apply(Change::Cluster(cluster(Some(tls()))));
    let adapted = |config: &Config| {
        let changes = vec![Change::Cluster(Arc::clone(&config.clusters[&ClusterId::new("c")]))];
        Features::default().adapt(changes, config)
    };
    let is_refused =
        |change: &Change| matches!(change, Change::Route(it) if matches!(it.action, Action::Refuse(_)));
    assert!(adapted(&config).iter().any(is_refused));
    config.apply(Change::Cluster(cluster(None)));
    assert!(adapted(&config).contains(&served));
}

#[test]
fn an_old_proxy_has_no_listener_that_it_would_misread() {
    let plain = Listener::http(ListenerId::new("l"), 8080);
    let listener = |protocol, proxy_protocol| {
        Change::Listener(Arc::new(Listener { protocol, proxy_protocol, ..plain.clone() }))
    };
    let headers = Some(crate::model::ProxyProtocol::default());
    for (change, feature) in
        [(listener(Protocol::Udp, None), UDP), (listener(Protocol::Http, headers), PROXY_PROTOCOL)]
    {
        assert_eq!(Features::from_iter([TCP, TLS]).adapt_one(&change, &Config::default()), None);
        assert_eq!(Features::from_iter([feature]).adapt_one(&change, &Config::default()), Some(change));
    }
}
