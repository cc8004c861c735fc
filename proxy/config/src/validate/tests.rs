mod actions;
mod authorization;
mod listeners;
mod references;

use std::sync::Arc;

use super::*;
use crate::model::{
    Action, Address, Arm, ArmId, Case, Cluster, ClusterId, Endpoint, Filters, HostMatch, HostRewrite,
    Listener, ListenerId, Mirror, MirrorId, NamedMatch, PathMatch, Rank, Refusal, Rewrite, Route, RouteId,
    Share, SplitId, TextMatch, Version,
};

/// One listener, one route with two arms, one cluster: nothing wrong with it.
fn good() -> Config {
    let mut config = Config::default();
    config.apply(Change::Listener(Arc::new(Listener::http(ListenerId::new("http"), 8080))));
    config.apply(Change::Cluster(Arc::new(cluster(&[("198.18.0.7:80", "a"), ("198.18.0.8:80", "b")]))));
    config.apply(Change::Route(Arc::new(route())));
    config
}

fn cluster(endpoints: &[(&str, &str)]) -> Cluster {
    let endpoint = |(address, hash): &(&str, &str)| Endpoint {
        address: Address::Socket(address.parse().unwrap()),
        version: Version { namespace: "default".into(), hash: (*hash).into() },
        pod: "".into(),
        draining: None,
        zones: Vec::new(),
    };
    Cluster::plain(ClusterId::new("echo"), 3000, endpoints.iter().map(endpoint).collect())
}

fn route() -> Route {
    Route {
        id: RouteId::new("echo"),
        rank: Rank(vec![1]),
        host: HostMatch::Exact("example.org".into()),
        path: PathMatch::Prefix("/echo/".into()),
        case: Case::Counts,
        method: Some(TextMatch::Regex("GET|POST".into())),
        headers: vec![NamedMatch { name: "x-canary".into(), value: TextMatch::Present }],
        query: Vec::new(),
        listeners: Vec::new(),
        classes: Vec::new(),
        to_https: None,
        filters: Filters::default(),
        action: split(&[("canary", 3_000), ("stable", 7_000)]),
    }
}

fn split(arms: &[(&str, u32)]) -> Action {
    let arm = |(id, share): &(&str, u32)| Arm {
        id: ArmId::new(*id),
        share: Share::of_10000(*share).unwrap(),
        cluster: ClusterId::new("echo"),
        rewrite: Rewrite::Prefix("/".into()),
        host_rewrite: HostRewrite::Keep,
        timeout_ms: Some(3_000),
        idle_timeout_ms: None,
        total_timeout_ms: None,
        request_headers: Vec::new(),
        response_headers: Vec::new(),
    };
    Action::Split(Split {
        id: SplitId::new("echo"),
        arms: arms.iter().map(arm).collect(),
        mirrors: vec![mirror("a"), mirror("b")],
    })
}

fn mirror(id: &str) -> Mirror {
    Mirror {
        id: MirrorId::new(id),
        share: Share::WHOLE,
        cluster: ClusterId::new("echo"),
        path: Some(PathMatch::Prefix("/echo/v1".into())),
        case: Case::Counts,
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    }
}

#[track_caller]
fn assert_problem(config: &Config, expected: &str) {
    let problems: Vec<_> = validate(config).iter().map(ToString::to_string).collect();
    assert_eq!(problems, [expected]);
}

#[track_caller]
fn assert_route_problem(edit: impl FnOnce(&mut Route), expected: &str) {
    let mut route = route();
    edit(&mut route);
    let mut config = good();
    config.apply(Change::Route(Arc::new(route)));
    assert_problem(&config, expected);
}

fn edit_arm(route: &mut Route, edit: impl FnOnce(&mut Arm)) {
    let Action::Split(split) = &mut route.action else { unreachable!("the fixture is a split") };
    edit(&mut split.arms[0]);
}

#[test]
fn a_good_config_has_no_problem() {
    assert_eq!(validate(&good()), []);
    assert_eq!(validate(&Config::default()), []);
}

#[test]
fn listeners_need_ports_of_their_own() {
    let mut config = good();
    config.apply(Change::Listener(Arc::new(Listener::http(ListenerId::new("other"), 8080))));
    assert_problem(&config, "listener other: port 8080 has another listener");
    config.apply(Change::Listener(Arc::new(Listener::http(ListenerId::new("other"), 0))));
    assert_problem(&config, "listener other: port 0 cannot be listened on");
}

#[test]
fn shares_sum_to_the_whole() {
    assert_route_problem(
        |route| route.action = split(&[("canary", 3_000), ("stable", 6_999)]),
        "route echo: the shares of split echo sum to 9999 instead of 10000",
    );
    assert_route_problem(
        |route| route.action = split(&[]),
        "route echo: the shares of split echo sum to 0 instead of 10000",
    );
}

#[test]
fn arms_are_in_order_and_each_once() {
    let expected = "route echo: the arms of split echo are not in order of their ids, each once";
    assert_route_problem(|route| route.action = split(&[("b", 3_000), ("a", 7_000)]), expected);
    assert_route_problem(|route| route.action = split(&[("a", 3_000), ("a", 7_000)]), expected);
}

#[test]
fn mirrors_are_in_order_and_what_they_ask_can_be_asked() {
    let with = |edit: &dyn Fn(&mut Vec<Mirror>), expected| {
        assert_route_problem(
            |route| {
                let Action::Split(split) = &mut route.action else { unreachable!("the fixture is a split") };
                edit(&mut split.mirrors);
            },
            expected,
        );
    };
    with(
        &|it| it.reverse(),
        "route echo: the mirrors of split echo are not in order of their ids, each once",
    );
    with(
        &|it| it[0].path = Some(PathMatch::Prefix("v1".into())),
        "route echo: path `v1` does not begin with `/`",
    );
    with(
        &|it| it[1].method = Some(TextMatch::Regex("(".into())),
        "route echo: failed to compile regex `(`: unclosed group",
    );
}

#[test]
fn clusters_of_arms_exist() {
    let mut config = good();
    config.apply(Change::Removed(Key::Cluster(ClusterId::new("echo"))));
    let problems: Vec<_> = validate(&config).iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "route echo: arm canary names cluster echo, which does not exist",
            "route echo: arm stable names cluster echo, which does not exist",
            "route echo: mirror a names cluster echo, which does not exist",
            "route echo: mirror b names cluster echo, which does not exist"
        ]
    );
}

#[test]
fn a_split_belongs_to_one_route() {
    let mut config = good();
    config.apply(Change::Route(Arc::new(Route { id: RouteId::new("twin"), ..route() })));
    assert_problem(&config, "route twin: split echo belongs to another route as well");
}

#[test]
fn hosts_are_lower_case_and_not_empty() {
    assert_route_problem(
        |route| route.host = HostMatch::Suffix(".Example.org".into()),
        "route echo: host `.Example.org` is not in lower case",
    );
    assert_route_problem(
        |route| route.host = HostMatch::Exact(String::new()),
        "route echo: host text is empty",
    );
}

#[test]
fn every_regex_compiles() {
    let expected = "route echo: failed to compile regex `(`: unclosed group";
    let regex = || TextMatch::Regex("(".into());
    assert_route_problem(|route| route.host = HostMatch::Regex("(".into()), expected);
    assert_route_problem(|route| route.path = PathMatch::Regex("(".into()), expected);
    assert_route_problem(|route| route.method = Some(regex()), expected);
    assert_route_problem(|route| route.headers[0].value = regex(), expected);
    assert_route_problem(
        |route| route.query = vec![NamedMatch { name: "q".into(), value: regex() }],
        expected,
    );
}

#[test]
fn paths_and_rewrites_begin_with_a_slash() {
    assert_route_problem(
        |route| route.path = PathMatch::Exact("echo".into()),
        "route echo: path `echo` does not begin with `/`",
    );
    let expected = |text: &str| {
        format!("route echo: rewrite `{text}` does not begin with `/` or holds a character that no path has")
    };
    for text in ["echo", "", "/a b", "/a?b", "/a\r\n"] {
        let edit = |route: &mut Route| edit_arm(route, |arm| arm.rewrite = Rewrite::Full(text.into()));
        assert_route_problem(edit, &expected(text));
    }
}

#[test]
fn host_rewrites_are_hosts() {
    assert_route_problem(
        |route| edit_arm(route, |arm| arm.host_rewrite = HostRewrite::Literal("a b".into())),
        "route echo: host rewrite `a b` is no host",
    );
}

#[test]
fn header_names_are_lower_case_tokens() {
    assert_route_problem(
        |route| route.headers[0].name = "X-Canary".into(),
        "route echo: header name `X-Canary` is empty, not in lower case or no header name",
    );
}

#[test]
fn refusals_are_errors_with_a_reason() {
    let refusal = |status, reason: &str| Action::Refuse(Refusal { status, reason: reason.into() });
    assert_route_problem(
        |route| route.action = refusal(200, "missing_service"),
        "route echo: refusal status 200 is not within 400 to 599",
    );
    assert_route_problem(
        |route| route.action = refusal(500, "Missing service"),
        "route echo: refusal reason `Missing service` is not made of 1 to 64 lower-case letters, digits and \
         underscores",
    );
}

#[test]
fn endpoints_can_be_dialled_and_are_in_order() {
    let mut config = good();
    let mut with = |endpoints, expected| {
        config.apply(Change::Cluster(Arc::new(cluster(endpoints))));
        assert_problem(&config, expected);
    };
    with(&[("198.18.0.7:0", "a")], "cluster echo: endpoint `198.18.0.7:0` has port 0 or no host");
    let expected = "cluster echo: the endpoints are not in order of their addresses, each once";
    with(&[("198.18.0.8:80", "a"), ("198.18.0.7:80", "a")], expected);
    with(&[("198.18.0.7:80", "a"), ("198.18.0.7:80", "a")], expected);
}
