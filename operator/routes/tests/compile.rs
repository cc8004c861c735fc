//! What objects compile to: each story is a list of changes and the text of what comes out of it.

#![expect(clippy::similar_names, reason = "a compiler and what it compiled")]

use std::{collections::BTreeMap, fmt::Write as _, net::IpAddr, sync::Arc};

use litemap::LiteMap;
use operator_routes::{
    Compiler, Leaving, ObjectChange, ObjectName, Settings,
    compiled::{Compiled, Subject},
    dialect::{ApiVersion, DocumentKind, Origin, documents::DocumentName},
    object::{
        EmissaryObject,
        EndpointCondition::{self, NotReady, Ready, Terminating},
        EndpointSlice, Family, Pod, ResolverKind, RolloutServices, Service, ServiceAddress, ServicePort,
        SliceEndpoint,
    },
};
use proxy_config::model::{Action, Address, Draining, Mirror, UnixMillis};
use serde_json::{Value, json};

fn name(text: &str) -> ObjectName {
    ObjectName::new("shop", text)
}

fn mapping(mapping: &str, spec: Value) -> ObjectChange {
    emissary(DocumentKind::Mapping, mapping, spec)
}

/// An object of Emissary as v2 has it.
fn emissary(kind: DocumentKind, text: &str, spec: Value) -> ObjectChange {
    let object = EmissaryObject {
        resource_version: "m1".into(),
        version: ApiVersion::V2,
        labels: BTreeMap::new(),
        owned_by_rollout: text.ends_with("-canary"),
        spec,
    };
    ObjectChange::Emissary(DocumentName { kind, name: name(text) }, Some(object))
}

fn service(service: &str, address: ServiceAddress) -> ObjectChange {
    let port =
        ServicePort { name: "http".to_owned(), port: 80, target: Some(8080), ..ServicePort::default() };
    let object = Service {
        resource_version: "s1".into(),
        ports: vec![port],
        selector: LiteMap::from_iter([("app".to_owned(), service.to_owned())]),
        address,
        family: Family::V4,
        managed: service.starts_with("managed"),
        slow_start: None,
        prefers_zone: false,
    };
    ObjectChange::Service(name(service), Some(object))
}

fn cluster_ip() -> ServiceAddress {
    ServiceAddress::ClusterIp("198.18.9.1".parse().expect("an address"))
}

fn slice(service: &str, number: u8, endpoints: &[(u8, EndpointCondition, &str)]) -> ObjectChange {
    let endpoint = |(address, condition, pod): &(u8, EndpointCondition, &str)| SliceEndpoint {
        address: IpAddr::from([198, 18, 0, *address]),
        condition: *condition,
        pod: Some(Arc::from(*pod)),
        zone: None,
        hints: Vec::new(),
    };
    let object = EndpointSlice {
        resource_version: format!("e{number}").into(),
        service: service.into(),
        family: Family::V4,
        ports: LiteMap::from_iter([("http".to_owned(), 8080)]),
        endpoints: endpoints.iter().map(endpoint).collect(),
    };
    ObjectChange::EndpointSlice(name(&format!("{service}-{number}")), Some(object))
}

fn pod(pod: &str, hash: &str) -> ObjectChange {
    ObjectChange::Pod(name(pod), Some(Pod { hash: hash.into(), leaving: None }))
}

/// A pod that was chosen to go.
fn leaving(pod: &str, hash: &str, until: Option<i64>) -> ObjectChange {
    let leaving = Some(Draining { until: until.map(UnixMillis) });
    ObjectChange::Pod(name(pod), Some(Pod { hash: hash.into(), leaving }))
}

fn compile(changes: Vec<ObjectChange>) -> String {
    let mut compiler = Compiler::new(Settings::default());
    for change in changes {
        compiler.apply(change);
    }
    compiler.compile();
    show(compiler.compiled())
}

/// Routes with their arms, clusters with their endpoints, splits with what is served, statuses.
fn show(compiled: &Compiled) -> String {
    let mut text = String::new();
    for route in compiled.config.routes.values() {
        let _ = writeln!(text, "route {}", route.id);
        match &route.action {
            Action::Refuse(refusal) => drop(writeln!(text, "  {} {}", refusal.status, refusal.reason)),
            Action::Redirect(redirect) => drop(writeln!(text, "  {redirect:?}")),
            Action::Split(split) => {
                for arm in &split.arms {
                    let _ = writeln!(text, "  {} {} -> {}", arm.share.parts(), arm.id, arm.cluster);
                }
                for mirror in &split.mirrors {
                    let Mirror { id, share, cluster, path, case: _, method, headers, query } = mirror;
                    let _ = write!(text, "  copies {} to {id} -> {cluster}", share.parts());
                    if (path, method) != (&None, &None) || headers.len() + query.len() > 0 {
                        let _ = write!(text, " if {path:?} {method:?} {headers:?} {query:?}");
                    }
                    text.push('\n');
                }
            }
        }
    }
    for cluster in compiled.config.clusters.values() {
        let _ = writeln!(text, "cluster {}", cluster.id);
        for endpoint in &cluster.endpoints {
            let address = match &endpoint.address {
                Address::Socket(socket) => socket.to_string(),
                Address::Name { host, port } => format!("{host}:{port}"),
            };
            let hash = Some(&*endpoint.version.hash).filter(|hash| !hash.is_empty()).unwrap_or("-");
            let draining = match endpoint.draining {
                None => String::new(),
                Some(Draining { until: None }) => " draining".to_owned(),
                Some(Draining { until: Some(UnixMillis(until)) }) => format!(" draining until {until}"),
            };
            let _ = write!(text, "  {address} {hash}{draining}");
            for zone in &endpoint.zones {
                let _ = write!(text, " for {zone}");
            }
            text.push('\n');
        }
    }
    for (id, report) in &compiled.splits {
        let mirrors = report.served.mirrors.iter().map(|arm| ("copies to ", arm));
        let problem = report.problem.as_ref().map_or_else(String::new, |problem| format!(": {problem}"));
        let _ = writeln!(text, "split {id}{problem}");
        for (kind, arm) in report.served.arms.iter().map(|arm| ("", arm)).chain(mirrors) {
            let service = arm.service.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            let _ = writeln!(
                text,
                "  {kind}{} written {:?} share {} to {service} {:?}",
                arm.mapping,
                arm.written,
                arm.share.parts(),
                arm.endpoints.iter().collect::<BTreeMap<_, _>>()
            );
        }
        let versions = report.served.versions.iter();
        let versions: Vec<String> = versions
            .map(|it| format!("{} {}@{}", it.kind.as_str(), it.object.name, it.resource_version))
            .collect();
        let _ = writeln!(text, "  from {}", versions.join(", "));
    }
    for (pod, leaving) in &compiled.leaving {
        let needed = if leaving.needed { " and needed" } else { "" };
        let _ = writeln!(text, "leaving {pod} {}{needed}", leaving.hash);
    }
    for (subject, status) in &compiled.statuses {
        let (state, reason) = (status.state.as_str(), &status.reason);
        let _ = match subject {
            Subject::Document(DocumentName { kind: DocumentKind::Mapping, name }, Origin::Object) => {
                writeln!(text, "status {name} {state} {reason}")
            }
            Subject::Document(DocumentName { kind, name }, Origin::Object) => {
                writeln!(text, "status {} {name} {state} {reason}", kind.as_str())
            }
            Subject::Document(DocumentName { kind, name }, origin @ Origin::Annotation(..)) => {
                writeln!(text, "status {} {name} of {origin} {state} {reason}", kind.as_str())
            }
            Subject::Unreadable(carrier, number) => {
                writeln!(text, "status document {number} of {carrier} {state} {reason}")
            }
            other => writeln!(text, "status {other:?} {state} {reason}"),
        };
    }
    text
}

#[test]
fn a_stable_and_a_canary_mapping_share_a_route() {
    insta::assert_snapshot!(compile(vec![
        mapping("echo", json!({"prefix": "/echo", "service": "echo-stable:80", "resolver": "endpoint"})),
        mapping(
            "echo-canary",
            json!({"prefix": "/echo", "service": "echo-canary:80", "resolver": "endpoint", "weight": 0})
        ),
        service("echo-stable", cluster_ip()),
        service("echo-canary", cluster_ip()),
        slice("echo-stable", 1, &[(1, Ready, "a"), (2, Ready, "b"), (3, NotReady, "c")]),
        slice("echo-canary", 1, &[(4, Ready, "d")]),
        pod("a", "old"),
        pod("b", "old"),
        pod("d", "new"),
    ]));
}

#[test]
fn a_canary_mapping_alone_never_takes_everything() {
    insta::assert_snapshot!(compile(vec![
        mapping("echo-canary", json!({"prefix": "/echo", "service": "198.18.0.1", "weight": 30})),
        mapping("other", json!({"prefix": "/other", "service": "198.18.0.2", "weight": 30})),
    ]));
}

#[test]
fn pods_that_end_get_no_new_requests_unless_there_are_no_others() {
    insta::assert_snapshot!(compile(vec![
        mapping("a", json!({"prefix": "/a", "service": "a", "resolver": "endpoint"})),
        mapping("b", json!({"prefix": "/b", "service": "b", "resolver": "endpoint"})),
        service("a", cluster_ip()),
        service("b", cluster_ip()),
        slice("a", 1, &[(1, Ready, "p"), (2, Terminating, "q")]),
        // While an endpoint moves between slices it is in both; what is ready in one of them is ready.
        slice("a", 2, &[(1, Terminating, "p")]),
        slice("b", 1, &[(3, Terminating, "q")]),
        pod("q", "old"),
    ]));
}

#[test]
fn pods_that_were_chosen_to_go_are_left_out_at_once_unless_all_were() {
    let to =
        |service: &str| json!({"prefix": format!("/{service}"), "service": service, "resolver": "endpoint"});
    insta::assert_snapshot!(compile(vec![
        mapping("some", to("some")),
        mapping("all", to("all")),
        mapping("ending", to("ending")),
        mapping("last", to("last")),
        service("some", cluster_ip()),
        service("all", cluster_ip()),
        service("ending", cluster_ip()),
        service("last", cluster_ip()),
        slice("some", 1, &[(1, Ready, "a"), (2, Ready, "b"), (3, Terminating, "c")]),
        slice("all", 1, &[(2, Ready, "b"), (4, Ready, "d"), (5, Terminating, "e")]),
        // A pod that was chosen to go and is ready is better than one that ends.
        slice("ending", 1, &[(3, Terminating, "c"), (4, Ready, "d")]),
        slice("last", 1, &[(3, Terminating, "c"), (5, Terminating, "e")]),
        pod("a", "old"),
        leaving("b", "old", Some(1_700_000_000_000)),
        leaving("c", "old", Some(1_700_000_000_000)),
        leaving("d", "old", None),
        pod("e", "old"),
        leaving("nowhere", "old", None),
    ]));
}

#[test]
fn a_pod_that_is_wanted_again_comes_back() {
    let mut compiler = Compiler::new(Settings::default());
    let changes = [
        mapping("a", json!({"prefix": "/", "service": "a", "resolver": "endpoint"})),
        service("a", cluster_ip()),
        slice("a", 1, &[(1, Ready, "p"), (2, Ready, "q")]),
        pod("p", "old"),
        leaving("q", "old", None),
    ];
    for change in changes {
        compiler.apply(change);
    }
    compiler.compile();
    let text = show(compiler.compiled());
    assert!(text.contains("198.18.0.2:8080 old draining\n") && text.contains("{\"old\": 1}"), "{text}");
    compiler.apply(leaving("p", "old", None));
    let delta = compiler.compile();
    let known = |needed| Some(Leaving { hash: "old".into(), needed });
    assert_eq!(delta.leaving.into_values().collect::<Vec<_>>(), [known(true), known(true)]);
    compiler.apply(pod("q", "old"));
    let delta = compiler.compile();
    assert_eq!(delta.leaving, BTreeMap::from([(name("p"), known(false)), (name("q"), None)]));
    let text = show(compiler.compiled());
    assert!(
        text.contains("198.18.0.2:8080 old\n") && text.contains("198.18.0.1:8080 old draining"),
        "{text}"
    );
}

#[test]
fn a_service_goes_to_its_address_unless_a_rollout_moves_it() {
    let managed = RolloutServices(["moved".into()].into());
    insta::assert_snapshot!(compile(vec![
        mapping("plain", json!({"prefix": "/plain", "service": "plain"})),
        mapping("moved", json!({"prefix": "/moved", "service": "moved:80"})),
        mapping(
            "managed",
            json!({"prefix": "/managed", "service": "managed", "resolver": "kubernetes-service"})
        ),
        mapping("headless", json!({"prefix": "/headless", "service": "headless:8080"})),
        mapping("external", json!({"prefix": "/external", "service": "external:81"})),
        service("plain", cluster_ip()),
        service("moved", cluster_ip()),
        service("managed", cluster_ip()),
        service("headless", ServiceAddress::Headless),
        service("external", ServiceAddress::External("one.example.org".to_owned())),
        slice("plain", 1, &[(1, Ready, "p")]),
        slice("moved", 1, &[(2, Ready, "q")]),
        slice("managed", 1, &[(4, Ready, "q")]),
        slice("headless", 1, &[(3, Ready, "r")]),
        pod("q", "old"),
        ObjectChange::Rollout(name("echo"), Some(managed)),
    ]));
}

#[test]
fn a_shadow_gets_copies_of_the_requests_of_others() {
    let shadow = |prefix: &str, more: Value| {
        let mut spec = json!({"prefix": prefix, "service": "198.18.0.9", "shadow": true});
        more.as_object().into_iter().flatten().for_each(|(field, value)| spec[field] = value.clone());
        spec
    };
    insta::assert_snapshot!(compile(vec![
        mapping("a", json!({"prefix": "/a/", "service": "198.18.0.1"})),
        mapping("a-second", json!({"prefix": "/a/", "service": "198.18.0.2", "weight": 10})),
        mapping("a-header", json!({"prefix": "/a/", "headers": {"x": "1"}, "service": "198.18.0.3"})),
        mapping("shadow-a", shadow("/a/", json!({"weight": 25}))),
        mapping("shadow-b", shadow("/a/", json!({}))),
        mapping(
            "shadow-canary",
            json!({
                "prefix": "/a/v1", "service": "pods", "resolver": "endpoint", "shadow": true, "method": "GET", "weight": 0
            })
        ),
        mapping("shadow-alone", shadow("/b/", json!({}))),
        mapping("shadow-wide", shadow("/", json!({}))),
        mapping("shadow-tls", shadow("/a/", json!({"service": "https://echo", "method": "PUT"}))),
        mapping("shadow-nowhere", shadow("/a/", json!({"service": "nowhere", "method": "PUT"}))),
        service("pods", cluster_ip()),
        slice("pods", 1, &[(4, Ready, "q")]),
        pod("q", "new"),
    ]));
}

#[test]
fn a_header_route_of_a_rollout_is_asked_first_and_goes_to_the_canary_whole() {
    insta::assert_snapshot!(compile(vec![
        mapping("echo", json!({"prefix": "/echo", "service": "stable", "resolver": "endpoint"})),
        mapping(
            "echo-canary",
            json!({"prefix": "/echo", "service": "canary", "resolver": "endpoint", "weight": 0})
        ),
        mapping(
            "beta-canary",
            json!({
                "prefix": "/echo", "service": "canary", "resolver": "endpoint", "headers": {"x-beta": "1"},
                "regex_headers": {"x-user": "a.*"}
            })
        ),
        service("stable", cluster_ip()),
        service("canary", cluster_ip()),
        slice("stable", 1, &[(1, Ready, "p")]),
        slice("canary", 1, &[(2, Ready, "q")]),
        pod("p", "old"),
        pod("q", "new"),
    ]));
    let mut compiler = Compiler::new(Settings::default());
    for (name, headers) in
        [("base", json!({})), ("one", json!({"x": "1"})), ("two", json!({"x": "1", "y": "1"}))]
    {
        let spec = json!({"prefix": "/echo", "service": "198.18.0.1", "headers": headers});
        compiler.apply(mapping(name, spec));
    }
    compiler.compile();
    let mut routes: Vec<_> = compiler.compiled().config.routes.values().collect();
    routes.sort_by(|a, b| a.rank.cmp(&b.rank));
    let headers: Vec<usize> = routes.iter().map(|route| route.headers.len()).collect();
    assert_eq!(headers, [2, 1, 0], "who asks for more headers is asked first");
}

#[test]
fn what_cannot_be_served_is_left_out_or_refused_and_explained() {
    insta::assert_snapshot!(compile(vec![
        mapping("good", json!({"prefix": "/good", "service": "198.18.0.1"})),
        mapping("no-service", json!({"prefix": "/1", "service": "nowhere"})),
        mapping("no-port", json!({"prefix": "/2", "service": "echo:9999", "resolver": "endpoint"})),
        mapping("tls", json!({"prefix": "/3", "service": "https://echo"})),
        mapping("dns", json!({"prefix": "/4", "service": "api.example:8443"})),
        mapping("resolver", json!({"prefix": "/5", "service": "echo", "resolver": "mine"})),
        mapping("consul", json!({"prefix": "/5", "service": "echo", "resolver": "consul"})),
        mapping("regex", json!({"prefix": "/(", "prefix_regex": true, "service": "echo"})),
        mapping("header", json!({"prefix": "/6", "headers": {"a b": "c"}, "service": "echo"})),
        mapping("shape", json!(["nonsense"])),
        mapping("foreign", json!({"prefix": "/7", "service": "echo", "ambassador_id": "other"})),
        mapping("kind-a", json!({"prefix": "/8", "service": "198.18.0.2"})),
        mapping("kind-b", json!({"prefix": "/8", "prefix_exact": true, "service": "198.18.0.3"})),
        service("echo", cluster_ip()),
    ]));
}

#[test]
fn half_of_a_group_without_a_service_fails_alone() {
    insta::assert_snapshot!(compile(vec![
        mapping("a", json!({"prefix": "/", "service": "198.18.0.1"})),
        mapping("b", json!({"prefix": "/", "service": "nowhere", "weight": 10})),
    ]));
}

#[test]
fn mappings_that_share_by_accident_or_by_too_much_are_told() {
    let on = |prefix: &str, weight: Option<u8>| json!({"prefix": prefix, "service": "198.18.0.1", "weight": weight});
    let mut changes = vec![
        mapping("over-a", on("/over", Some(60))),
        mapping("over-b", on("/over", Some(60))),
        mapping("under-a", on("/under", Some(10))),
        mapping("under-b", on("/under", Some(30))),
        mapping("even-canary", on("/even", Some(10))),
    ];
    changes.extend(
        ["a", "b", "c", "d", "e", "f", "g"].map(|it| mapping(&format!("even-{it}"), on("/even", None))),
    );
    let text = compile(changes);
    let statuses: Vec<&str> = text.lines().filter(|line| line.starts_with("status")).collect();
    insta::assert_snapshot!(statuses.join("\n"));
}

#[test]
fn a_resolver_of_ones_own_is_used_once_it_is_there() {
    let using = || mapping("a", json!({"prefix": "/", "service": "a", "resolver": "mine"}));
    let resolver = emissary(DocumentKind::Resolver(ResolverKind::Endpoint), "mine", json!({}));
    let before = compile(vec![using(), service("a", cluster_ip()), slice("a", 1, &[(1, Ready, "p")])]);
    assert!(before.contains("status shop/a Inactive resolver `mine` does not exist"), "{before}");
    let after =
        compile(vec![using(), service("a", cluster_ip()), slice("a", 1, &[(1, Ready, "p")]), resolver]);
    assert!(after.contains("cluster endpoint shop/a connect=3000\n  198.18.0.1:8080 -"), "{after}");
}

#[test]
fn the_selector_is_part_of_the_pool_of_a_service_address() {
    let using = || mapping("a", json!({"prefix": "/", "service": "a"}));
    let text = compile(vec![using(), service("a", cluster_ip())]);
    assert!(text.contains("cluster service shop/a selector=app=a connect=3000\n  198.18.9.1:80 -"), "{text}");
}

#[test]
fn a_pod_that_becomes_known_after_its_endpoint_gives_it_its_hash() {
    let mut compiler = Compiler::new(Settings::default());
    compiler.apply(mapping("a", json!({"prefix": "/", "service": "a", "resolver": "endpoint"})));
    compiler.apply(service("a", cluster_ip()));
    compiler.apply(slice("a", 1, &[(1, Ready, "p")]));
    compiler.compile();
    assert!(show(compiler.compiled()).contains("198.18.0.1:8080 -\n"));
    compiler.apply(pod("p", "new"));
    compiler.compile();
    assert!(show(compiler.compiled()).contains("198.18.0.1:8080 new\n"));
}

#[test]
fn what_a_service_gets_is_limited_and_its_pods_are_asked_and_warmed_up() {
    let mut compiler = Compiler::new(Settings::default());
    let ObjectChange::Service(of, Some(service)) = service("echo", cluster_ip()) else {
        unreachable!("a Service");
    };
    let service = |slow_start: &str| Service { slow_start: Some(slow_start.to_owned()), ..service.clone() };
    let spec = |resolver| {
        json!({
            "prefix": "/",
            "service": "echo",
            "resolver": resolver,
            "circuit_breakers": [{"max_requests": 7, "max_pending_requests": 0}],
            "health_checks": [{"health_check": {"http": {"path": "/health"}}}, {"health_check": {}}],
        })
    };
    let mut look = |changes: Vec<ObjectChange>| {
        for it in changes {
            compiler.apply(it);
        }
        compiler.compile();
        let compiled = compiler.compiled();
        let cluster = Arc::clone(compiled.config.clusters.values().next().unwrap());
        let status = show(compiled).lines().last().unwrap().to_owned();
        (cluster, status)
    };
    let (cluster, status) = look(vec![
        ObjectChange::Service(of.clone(), Some(service("30s"))),
        slice("echo", 1, &[(1, Ready, "a")]),
        mapping("echo", spec("endpoint")),
    ]);
    let limits = cluster.limits;
    assert_eq!((limits.requests, limits.pending, limits.connections), (Some(7), Some(0), Some(1024)));
    assert_eq!((cluster.checks.len(), cluster.balance.slow_start_ms), (1, Some(30_000)));
    assert!(status.contains("number 2 of `health_checks` is not acted on"), "{status}");
    let (cluster, status) = look(vec![ObjectChange::Service(of, Some(service("soon")))]);
    assert_eq!(cluster.balance.slow_start_ms, None);
    assert!(status.contains("`sluice.dev/slow-start: soon` of Service `echo` is not acted on"), "{status}");
    let (cluster, status) = look(vec![mapping("echo", spec("kubernetes-service"))]);
    assert!(cluster.checks.is_empty(), "there is one address for all pods");
    assert!(status.contains("`health_checks` are for pods"), "{status}");
}

#[test]
fn a_service_that_asks_for_it_has_its_endpoints_by_zone() {
    let ObjectChange::Service(of, Some(plain)) = service("a", cluster_ip()) else {
        unreachable!("a Service");
    };
    let ObjectChange::EndpointSlice(name, Some(mut zoned)) =
        slice("a", 1, &[(1, Ready, "p"), (2, Ready, "q")])
    else {
        unreachable!("a slice");
    };
    for (endpoint, zone) in zoned.endpoints.iter_mut().zip(["east", "west"]) {
        endpoint.zone = Some(zone.into());
    }
    let compiled = |prefers_zone| {
        compile(vec![
            mapping("a", json!({"prefix": "/", "service": "a", "resolver": "endpoint"})),
            ObjectChange::Service(of.clone(), Some(Service { prefers_zone, ..plain.clone() })),
            ObjectChange::EndpointSlice(name.clone(), Some(zoned.clone())),
        ])
    };
    let asked = compiled(true);
    assert!(asked.contains("198.18.0.1:8080 - for east\n  198.18.0.2:8080 - for west\n"), "{asked}");
    assert!(!compiled(false).contains(" for "));
}
