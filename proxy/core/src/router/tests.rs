use std::sync::Arc;

use http::HeaderMap;
use proxy_config::model::{
    Action, Case, Change, Config, Filters, Host, HostId, HostMatch, Insecure, ListenerId, NamedMatch,
    PathMatch, Rank, Refusal, Route, RouteId, TextMatch,
};

use super::*;
use crate::snapshot::{Builder, Snapshot};

fn route(id: &str, rank: u8, host: HostMatch, path: PathMatch) -> Route {
    Route {
        id: RouteId::new(id),
        rank: Rank(vec![rank]),
        host,
        path,
        case: Case::Counts,
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
        listeners: Vec::new(),
        classes: Vec::new(),
        to_https: None,
        filters: Filters::default(),
        action: Action::Refuse(Refusal { status: 500, reason: "fixture".into() }),
    }
}

fn snapshot(builder: &mut Builder, routes: &[Route]) -> Arc<Snapshot> {
    let mut config = Config::default();
    for route in routes {
        config.apply(Change::Route(Arc::new(route.clone())));
    }
    builder.build(Arc::new(config), || 1).unwrap()
}

/// The route that takes `method authority/path?query`, with headers.
fn find(
    snapshot: &Snapshot,
    method: &Method,
    target: &str,
    lines: &[(&'static str, &str)],
) -> Option<String> {
    let (authority, path) = target.split_at(target.find('/').unwrap());
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    let listener = ListenerId::new("http");
    let request = RequestHead { listener: &listener, authority, path, query, method, headers: &headers };
    snapshot.find(&request).map(|it| it.route.id.to_string())
}

#[track_caller]
fn assert_takes(routes: &[Route], table: &[(&str, Option<&str>)]) {
    let snapshot = snapshot(&mut Builder::default(), routes);
    for (target, expected) in table {
        assert_eq!(find(&snapshot, &Method::GET, target, &[]).as_deref(), *expected, "{target}");
    }
}

fn prefix(text: &str) -> PathMatch {
    PathMatch::Prefix(text.into())
}

#[test]
fn hosts_match_by_name_authority_wildcard_and_regex() {
    let slash = || prefix("/");
    let routes = [
        route("authority", 0, HostMatch::Authority("a.org:81".into()), slash()),
        route("exact", 1, HostMatch::Exact("a.org".into()), slash()),
        route("long", 2, HostMatch::Suffix(".b.org".into()), slash()),
        route("label", 3, HostMatch::Label(".c.org".into()), slash()),
        route("short", 3, HostMatch::Suffix(".org".into()), slash()),
        route("prefix", 4, HostMatch::Prefix("api.".into()), slash()),
        route("regex", 5, HostMatch::Regex("[0-9]+\\.net(:1)?".into()), slash()),
        route("any", 6, HostMatch::Any, slash()),
    ];
    let table = [
        ("a.org/", Some("exact")),
        ("a.org:80/", Some("exact")),
        ("a.org:81/", Some("authority")),
        ("x.b.org/", Some("long")),
        ("x.y.b.org/", Some("long")),
        ("b.org/", Some("short")),
        ("x.c.org:80/", Some("label")),
        ("c.org/", Some("short")),
        ("x.y.c.org/", Some("short")),
        (".org/", Some("any")),
        ("api.example/", Some("prefix")),
        ("api./", Some("any")),
        ("12.net/", Some("regex")),
        ("12.net:1/", Some("regex")),
        ("12.net:2/", Some("any")),
        ("[::1]:80/", Some("any")),
        ("/", Some("any")),
    ];
    assert_takes(&routes, &table);
}

#[test]
fn the_host_of_an_ipv6_authority_keeps_its_brackets() {
    let routes = [route("v6", 0, HostMatch::Exact("[2001:db8::7]".into()), prefix("/"))];
    let table =
        [("[2001:db8::7]:8080/", Some("v6")), ("[2001:db8::7]/", Some("v6")), ("[2001:db8::8]/", None)];
    assert_takes(&routes, &table);
}

#[test]
fn prefixes_are_of_the_text_and_the_rank_decides() {
    let routes = [
        route("echo/", 2, HostMatch::Any, prefix("/echo/")),
        route("echo", 3, HostMatch::Any, prefix("/echo")),
        route("early", 1, HostMatch::Any, prefix("/echo/early")),
        route("exact", 0, HostMatch::Any, PathMatch::Exact("/echo/x".into())),
        route("regex", 4, HostMatch::Any, PathMatch::Regex("/[a-z]+".into())),
        route("late", 9, HostMatch::Any, prefix("/echo/late")),
    ];
    let table = [
        ("h/echo/x", Some("exact")),
        ("h/echo/x/", Some("echo/")),
        ("h/echoes", Some("echo")),
        ("h/echo", Some("echo")),
        ("h/echo/early/1", Some("early")),
        ("h/echo/late", Some("echo/")),
        ("h/other", Some("regex")),
        ("h/other/", None),
        ("h/", None),
    ];
    assert_takes(&routes, &table);
}

#[test]
fn letter_case_is_ignored_where_asked() {
    let ignoring = |id, rank, path| Route { case: Case::Ignored, ..route(id, rank, HostMatch::Any, path) };
    let routes = [
        ignoring("prefix", 1, prefix("/Echo/")),
        ignoring("exact", 0, PathMatch::Exact("/EXACT".into())),
        route("counts", 2, HostMatch::Any, prefix("/Other")),
    ];
    let table = [
        ("h/eCHO/X", Some("prefix")),
        ("h/exact", Some("exact")),
        ("h/Other", Some("counts")),
        ("h/other", None),
    ];
    assert_takes(&routes, &table);
}

#[test]
fn rules_may_be_for_some_listeners_only() {
    let only = |id, rank, listener: &str| Route {
        listeners: vec![ListenerId::new(listener)],
        ..route(id, rank, HostMatch::Any, prefix("/"))
    };
    let routes = [only("elsewhere", 0, "https"), only("here", 1, "http")];
    assert_takes(&routes, &[("h/", Some("here"))]);
}

#[test]
fn rules_may_be_for_hosts_of_some_classes_only() {
    let only = |id, rank, class: &str| Route {
        classes: vec![class.to_owned()],
        ..route(id, rank, HostMatch::Any, prefix("/"))
    };
    let host = |name: &str, class: &str| Host {
        id: HostId::new(name),
        names: vec![name.to_owned()],
        listeners: Vec::new(),
        tls: None,
        insecure: Insecure::Route,
        class: class.to_owned(),
    };
    let mut config = Config::default();
    for route in
        [only("web", 0, "web"), only("api", 1, "api"), route("all", 2, HostMatch::Any, prefix("/all"))]
    {
        config.apply(Change::Route(Arc::new(route)));
    }
    for host in [host("*.org", "web"), host("api.org", "api"), host("bare.org", "")] {
        config.apply(Change::Host(Arc::new(host)));
    }
    let snapshot = Builder::default().build(Arc::new(config), || 1).unwrap();
    let table = [
        ("www.org/all", Some("web")),
        ("api.org/all", Some("api")),
        ("bare.org/all", Some("all")),
        ("bare.org/", None),
        ("www.net/all", Some("all")),
        ("www.net/", None),
    ];
    for (target, expected) in table {
        assert_eq!(find(&snapshot, &Method::GET, target, &[]).as_deref(), expected, "{target}");
    }
}

#[test]
fn method_headers_and_query_must_all_match() {
    let named = |name: &str, value| NamedMatch { name: name.into(), value };
    let routes = [Route {
        method: Some(TextMatch::Exact("POST".into())),
        headers: vec![
            named("x-exact", TextMatch::Exact("a,b".into())),
            named("x-regex", TextMatch::Regex("v[0-9]".into())),
            named("x-there", TextMatch::Present),
        ],
        query: vec![named("q", TextMatch::Exact("1".into())), named("p", TextMatch::Present)],
        ..route("picky", 0, HostMatch::Any, prefix("/"))
    }];
    let snapshot = snapshot(&mut Builder::default(), &routes);
    let all = [("x-exact", "a"), ("x-exact", "b"), ("x-regex", "v1"), ("x-there", "")];
    let takes = |method, target, headers: &[_]| find(&snapshot, &method, target, headers).is_some();
    assert!(takes(Method::POST, "h/?p&q=1&q=2", &all));
    assert!(!takes(Method::GET, "h/?p&q=1", &all));
    assert!(!takes(Method::POST, "h/?p&q=2&q=1", &all));
    assert!(!takes(Method::POST, "h/?q=1", &all));
    assert!(!takes(Method::POST, "h/", &all));
    for missing in 0..all.len() {
        let fewer: Vec<_> =
            all.iter().enumerate().filter(|(index, _)| *index != missing).map(|(_, it)| *it).collect();
        assert!(!takes(Method::POST, "h/?p&q=1", &fewer), "without {:?}", all[missing]);
    }
}
