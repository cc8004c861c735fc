//! Services that are asked about requests.

use super::{assert_problem, assert_route_problem, good, route};
use crate::model::{
    Absent, Access, Authorization, AuthorizationFailure, Change, ClusterId, Cookies, Edit, HeaderEdit,
    Refusals, Route, Sees, Value, ValuePart, Variable,
};

pub(super) fn asking(change: impl FnOnce(&mut Authorization)) -> impl FnOnce(&mut Route) {
    let mut authorization = Authorization {
        cluster: ClusterId::new("echo"),
        method: Some("GET".into()),
        host: Some("auth.example.org:8080".into()),
        target: Value(vec![ValuePart::Text("/check?rd=".into()), ValuePart::Variable(Variable::EscapedPath)]),
        sees: Sees::Only(vec!["cookie".into()]),
        request_headers: vec![HeaderEdit { name: "x-sent-from".into(), edit: Edit::Set(Value::text("us")) }],
        passed_on: vec!["authorization".into()],
        absent: Absent::Kept,
        refusals: Refusals::Whole,
        told: vec!["location".into()],
        sign_in: Some(Value::text("https://in.example.org")),
        cookies: Cookies::Always,
        timeout_ms: 1,
        failure: AuthorizationFailure::Refused(599),
    };
    change(&mut authorization);
    move |route| {
        route.filters.access =
            Some(Box::new(Access { authorization: Some(authorization), ..Access::default() }));
    }
}

#[test]
fn a_service_can_be_asked() {
    let mut config = good();
    let mut asked = route();
    asking(|_| ())(&mut asked);
    config.apply(Change::Route(asked.clone().into()));
    assert_eq!(crate::validate::validate(&config), []);
    asking(|it| it.cluster = ClusterId::new("gone"))(&mut asked);
    config.apply(Change::Route(asked.into()));
    assert_problem(&config, "route echo: the authorization names cluster gone, which does not exist");
}

#[test]
fn a_question_that_nobody_can_be_asked_is_refused() {
    type Edit = fn(&mut Authorization);
    let target = "route echo: the target of the authorization does not begin with `/` or holds a character that no target \
                  has";
    let table: [(Edit, &str); 9] = [
        (|it| it.method = Some("GET IT".into()), "route echo: method `GET IT` is no method"),
        (|it| it.host = Some("a/b".into()), "route echo: host rewrite `a/b` is no host"),
        (|it| it.target = Value::default(), target),
        (|it| it.target = Value::text("/a b"), target),
        (|it| it.target = Value(vec![ValuePart::Variable(Variable::Query)]), target),
        (|it| it.passed_on = vec!["host".into()], "route echo: header `host` cannot be edited"),
        (
            |it| it.told = vec!["X-A".into()],
            "route echo: header name `X-A` is empty, not in lower case or no header name",
        ),
        (|it| it.timeout_ms = 0, "route echo: the timeout of the authorization is zero"),
        (
            |it| it.failure = AuthorizationFailure::Refused(200),
            "route echo: status 200 is not within 400 to 599",
        ),
    ];
    for (change, expected) in table {
        assert_route_problem(asking(change), expected);
    }
}
