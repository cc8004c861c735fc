//! Redirects, edits and the other filters of routes.

use super::{assert_route_problem, edit_arm, route};
use crate::{
    model::{
        Access, Action, ClientLimits, Config, Cors, Edit, ErrorResponse, Filters, HeaderEdit, Login, Origin,
        OriginMatch, PathMatch, Rate, RedirectTo, RegexRewrite, Retry, RetryOn, Rewrite, Route, Scheme,
        Secret, Upgrades, User, Value, ValuePart,
    },
    validate::validate_change,
};

fn filtered(edit: impl FnOnce(&mut Filters)) -> impl FnOnce(&mut Route) {
    |route| edit(&mut route.filters)
}

fn redirected(edit: impl FnOnce(&mut RedirectTo)) -> impl FnOnce(&mut Route) {
    |route| {
        let mut redirect =
            RedirectTo { status: 301, scheme: None, host: None, port: None, path: Rewrite::None };
        edit(&mut redirect);
        route.action = Action::Redirect(redirect);
    }
}

fn set(name: &str, value: &str) -> HeaderEdit {
    HeaderEdit { name: name.into(), edit: Edit::Set(Value::text(value)) }
}

fn retry(retries: u32) -> Retry {
    Retry { on: vec![RetryOn::ServerError], retries, ..Retry::default() }
}

fn error(status: u16) -> ErrorResponse {
    ErrorResponse { status, body: Value::text("sorry\n"), content_type: "text/plain".into() }
}

#[test]
fn a_route_may_have_everything() {
    let mut route = route();
    route.path = PathMatch::Elements("/echo".into());
    route.filters = Filters {
        request_headers: vec![set("x-a", "b"), HeaderEdit { name: "x-b".into(), edit: Edit::Remove }],
        response_headers: vec![set("x-a", "b\tc")],
        cors: Some(Box::new(Cors {
            origins: vec![OriginMatch::Any, OriginMatch::Regex("https://.*".into())],
            methods: vec!["*".into(), "GET".into()],
            ..Cors::default()
        })),
        retry: Some(Box::new(retry(Retry::MOST))),
        errors: vec![error(404), error(503)],
        upgrades: Upgrades::Only(vec!["websocket".into(), "spdy/3.1".into()]),
        access: Some(Box::new(Access {
            allowed: vec![Origin::Client("198.18.0.0/15".parse().unwrap())],
            denied: vec![Origin::Peer("2001:db8::/32".parse().unwrap())],
            login: Some(Login { realm: "staff only".into(), users: vec![user("ann"), user("bob")] }),
            authorization: None,
        })),
        clients: Some(Box::new(ClientLimits {
            id: "a".into(),
            rates: vec![Rate { requests: 5, per_ms: 1000, burst: 25 }],
            at_once: Some(3),
            exempt: vec!["198.18.0.0/15".parse().unwrap()],
        })),
        max_body_bytes: Some(0),
    };
    edit_arm(&mut route, |arm| {
        let (pattern, substitution) = ("^/(.*)$".into(), r"/v2/\1".into());
        arm.rewrite = Rewrite::Regex(RegexRewrite { pattern, substitution });
    });
    assert_eq!(validate_change(&crate::model::Change::Route(route.into())), []);
    assert_eq!(crate::validate::validate(&Config::default()), []);
}

fn user(name: &str) -> User {
    User { name: name.into(), hash: Secret("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=".into()) }
}

#[test]
fn a_login_can_be_shown() {
    let login = |realm: &str, users: Vec<User>| {
        let login = Some(Login { realm: realm.into(), users });
        move |route: &mut Route| route.filters.access = Some(Box::new(Access { login, ..Access::default() }))
    };
    assert_route_problem(
        login("a \"b\"", vec![]),
        "route echo: realm `a \"b\"` holds a character that cannot stand between quotes in a header",
    );
    assert_route_problem(
        login("", vec![user("bob"), user("ann")]),
        "route echo: the users are not in order of their names, each once",
    );
    assert_route_problem(
        login("", vec![user("a:b")]),
        "route echo: user `a:b` has a colon or a control character in the name",
    );
    assert_route_problem(
        login("", vec![User { name: "eve".into(), hash: Secret("plain".into()) }]),
        "route echo: user `eve`: the hash of its password is none of bcrypt, $apr1$, $1$, {SHA} and {SSHA}: make it with \
         `htpasswd -B`",
    );
}

#[test]
fn limits_of_clients_can_be_kept_to() {
    let rate = |requests, per_ms| Rate { requests, per_ms, burst: 0 };
    let limits = |rates: Vec<Rate>, at_once: Option<u32>| {
        let limits = ClientLimits { rates, at_once, ..ClientLimits::default() };
        move |route: &mut Route| route.filters.clients = Some(Box::new(limits))
    };
    let fault = "route echo: the limits of clients have a number that is zero, or more than 2 rates";
    assert_route_problem(limits(vec![rate(0, 1)], None), fault);
    assert_route_problem(limits(vec![rate(1, 0)], None), fault);
    assert_route_problem(limits(vec![rate(1, 1); 3], None), fault);
    assert_route_problem(limits(vec![], Some(0)), fault);
}

#[test]
fn redirects_lead_somewhere() {
    assert_route_problem(
        redirected(|it| it.status = 304),
        "route echo: redirect status 304 is none of 301, 302, 303, 307, 308",
    );
    for host in ["a b", "example.org:80", ""] {
        assert_route_problem(
            redirected(|it| {
                it.scheme = Some(Scheme::Https);
                it.host = Some(host.into());
            }),
            &format!("route echo: redirect host `{host}` is no host name"),
        );
    }
    assert_route_problem(
        redirected(|it| it.path = Rewrite::Full("v2".into())),
        "route echo: rewrite `v2` does not begin with `/` or holds a character that no path has",
    );
}

#[test]
fn regex_rewrites_fit_together() {
    let regex = |pattern: &str, substitution: &str| {
        let (pattern, substitution) = (pattern.into(), substitution.into());
        Rewrite::Regex(RegexRewrite { pattern, substitution })
    };
    assert_route_problem(
        |route| edit_arm(route, |arm| arm.rewrite = regex("(", "")),
        "route echo: failed to compile regex `(`: unclosed group",
    );
    assert_route_problem(
        redirected(|it| it.path = regex("(a)", r"\2")),
        r"route echo: substitution `\2` names group 2, of which the pattern has 1",
    );
}

#[test]
fn elements_do_not_end_with_a_slash() {
    assert_route_problem(
        |route| route.path = PathMatch::Elements("/a/".into()),
        "route echo: path `/a/` is matched by elements and ends with `/`",
    );
}

#[test]
fn edits_are_of_headers_that_can_be_edited() {
    assert_route_problem(
        filtered(|it| it.request_headers = vec![set("X-A", "b")]),
        "route echo: header name `X-A` is empty, not in lower case or no header name",
    );
    for name in ["host", "connection", "transfer-encoding", "content-length", "te"] {
        assert_route_problem(
            |route| edit_arm(route, |arm| arm.response_headers = vec![set(name, "b")]),
            &format!("route echo: header `{name}` cannot be edited"),
        );
    }
    assert_route_problem(
        filtered(|it| it.response_headers = vec![set("x-a", "b\r\nx-c: d")]),
        "route echo: `b\r\nx-c: d` holds a character that no header has",
    );
    let value = Value(vec![ValuePart::RequestHeader("X B".into())]);
    assert_route_problem(
        filtered(|it| {
            it.response_headers = vec![HeaderEdit { name: "x-a".into(), edit: Edit::Add(value) }];
        }),
        "route echo: header name `X B` is empty, not in lower case or no header name",
    );
}

#[test]
fn other_filters_have_a_meaning() {
    assert_route_problem(
        filtered(|it| it.retry = Some(Box::new(retry(0)))),
        "route echo: 0 retries are not within 1 to 10",
    );
    assert_route_problem(
        filtered(|it| it.retry = Some(Box::new(Retry { statuses: vec![302], ..retry(1) }))),
        "route echo: status 302 is not within 400 to 599",
    );
    assert_route_problem(
        filtered(|it| it.errors = vec![error(503), error(404)]),
        "route echo: the error responses are not in order of their statuses, each once",
    );
    assert_route_problem(
        filtered(|it| it.errors = vec![error(200)]),
        "route echo: status 200 is not within 400 to 599",
    );
    assert_route_problem(
        filtered(|it| it.upgrades = Upgrades::Only(vec!["WebSocket".into()])),
        "route echo: protocol `WebSocket` is empty, not in lower case or no protocol name",
    );
    assert_route_problem(
        filtered(|it| {
            it.cors =
                Some(Box::new(Cors { origins: vec![OriginMatch::Regex("(".into())], ..Cors::default() }));
        }),
        "route echo: failed to compile regex `(`: unclosed group",
    );
    assert_route_problem(
        filtered(|it| it.cors = Some(Box::new(Cors { methods: vec!["GET, PUT".into()], ..Cors::default() }))),
        "route echo: method `GET, PUT` is no method",
    );
}
