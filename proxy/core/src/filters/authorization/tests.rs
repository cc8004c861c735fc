use http::Version;
use proxy_config::model::{Edit, HeaderEdit, Scheme, Value, ValuePart, Variable};

use super::*;

fn model() -> model::Authorization {
    model::Authorization {
        cluster: ClusterId::new("auth"),
        method: None,
        host: None,
        target: Value(vec![ValuePart::Text("/check".into()), ValuePart::Variable(Variable::Path)]),
        sees: Sees::All,
        request_headers: Vec::new(),
        passed_on: vec!["x-user".into(), "x-groups".into()],
        absent: Absent::Removed,
        refusals: Refusals::Status,
        told: vec!["www-authenticate".into()],
        sign_in: None,
        cookies: Cookies::Never,
        timeout_ms: 1000,
        failure: AuthorizationFailure::Refused(500),
    }
}

fn authorization(change: impl FnOnce(&mut model::Authorization)) -> Authorization {
    let mut model = model();
    change(&mut model);
    Authorization::new(&model)
}

fn headers(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    headers
}

fn lines(headers: &HeaderMap) -> Vec<String> {
    let line = |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
    let mut lines: Vec<String> = headers.iter().map(line).collect();
    lines.sort();
    lines
}

fn facts(given: &[&str]) -> Facts {
    Facts {
        client: "198.18.0.9:4000".parse().unwrap(),
        scheme: Scheme::Https,
        version: Version::HTTP_11,
        method: Method::PUT,
        authority: "shop.example.org".into(),
        path: "/a?b=c".into(),
        headers: headers(given),
        request_id: Some(HeaderValue::from_static("made")),
    }
}

fn asked(authorization: &Authorization, trusted_hops: u32, given: &[&str]) -> (String, Vec<String>) {
    let sender = Sender { address: "198.18.0.9:4000".parse().unwrap(), scheme: Scheme::Https, trusted_hops };
    let question = authorization.question(facts(given), &sender, Extra::default()).unwrap();
    (format!("{} {}", question.parts.method, question.parts.uri), lines(&question.parts.headers))
}

#[test]
fn a_service_sees_the_request_without_its_body_and_without_false_claims() {
    let given = [
        "host: shop.example.org",
        "cookie: s=1",
        "content-length: 3",
        "expect: 100-continue",
        "connection: x-hop",
        "x-hop: 1",
        "x-forwarded-for: 203.0.113.1",
        "x-forwarded-uri: /public",
        "x-forwarded-host: other.example.org",
        "forwarded: for=203.0.113.1",
    ];
    let (line, seen) = asked(&authorization(|_| ()), 0, &given);
    assert_eq!(line, "PUT /check/a?b=c");
    let expected = [
        "cookie: s=1",
        "host: shop.example.org",
        "x-forwarded-for: 203.0.113.1, 198.18.0.9",
        "x-forwarded-host: shop.example.org",
        "x-forwarded-proto: https",
        "x-request-id: made",
    ];
    assert_eq!(seen, expected);
    let (_, seen) = asked(&authorization(|_| ()), 1, &given);
    for claim in ["x-forwarded-uri: /public", "x-forwarded-host: other.example.org"] {
        assert!(seen.iter().any(|it| it == claim), "a trusted proxy says {claim}: {seen:?}");
    }
}

#[test]
fn a_service_is_asked_as_it_is_written() {
    let text = |text: &str| Edit::Set(Value::text(text));
    let (line, seen) = asked(
        &authorization(|it| {
            it.method = Some("GET".into());
            it.host = Some("auth.example.org".into());
            it.target =
                Value(vec![ValuePart::Text("/?rd=".into()), ValuePart::Variable(Variable::EscapedPath)]);
            it.sees = Sees::Only(vec!["cookie".into(), "x-forwarded-proto".into(), "cookie".into()]);
            it.request_headers = vec![
                HeaderEdit { name: "x-sent-from".into(), edit: text("us") },
                HeaderEdit { name: "x-forwarded-proto".into(), edit: Edit::Remove },
            ];
        }),
        0,
        &["cookie: a", "cookie: b", "accept: */*"],
    );
    assert_eq!(line, "GET /?rd=%2Fa%3Fb%3Dc");
    assert_eq!(seen, ["cookie: a", "cookie: b", "host: auth.example.org", "x-sent-from: us"]);
}

#[test]
fn a_target_that_cannot_be_sent_is_not_asked_for() {
    let odd = authorization(|it| {
        let parts = vec![ValuePart::Text("/".into()), ValuePart::RequestHeader("x-odd".into())];
        it.target = Value(parts);
    });
    let sender =
        Sender { address: "198.18.0.9:4000".parse().unwrap(), scheme: Scheme::Http, trusted_hops: 0 };
    assert!(odd.question(facts(&["x-odd: a b"]), &sender, Extra::default()).is_none());
}

/// In one line: what becomes of a request of which the service says this.
fn show(verdict: Verdict) -> String {
    match verdict {
        Verdict::Pass(grant) => {
            let mut request = headers(&["x-user: mallory", "x-groups: admins", "x-other: 1"]);
            grant.apply(&mut request);
            let mut response = HeaderMap::new();
            grant.mark(StatusCode::OK, &mut response);
            let mut error = HeaderMap::new();
            grant.mark(StatusCode::BAD_GATEWAY, &mut error);
            format!("{:?} {:?} {:?}", lines(&request), lines(&response), lines(&error))
        }
        Verdict::Refuse(Refusal { reason, status, headers, text }) => {
            format!("{} {} {:?} {text:?}", status.as_u16(), reason.as_str(), lines(&headers))
        }
    }
}

#[test]
fn answers_mean_what_the_table_says() {
    type Change = fn(&mut model::Authorization);
    let whole: Change = |it| {
        it.refusals = Refusals::Whole;
        it.told = vec!["location".into(), "set-cookie".into()];
        it.failure = AuthorizationFailure::Refused(403);
    };
    let sign_in: Change = |it| {
        it.sign_in = Some(Value(vec![
            ValuePart::Text("https://in.example.org/?rd=".into()),
            ValuePart::Variable(Variable::EscapedPath),
        ]));
        it.cookies = Cookies::Good;
    };
    let always: Change = |it| it.cookies = Cookies::Always;
    let kept: Change = |it| it.absent = Absent::Kept;
    let answer = ["x-user: ann", "set-cookie: a=1", "set-cookie: b=2", "www-authenticate: Basic"];
    let cookies = r#""set-cookie: a=1", "set-cookie: b=2""#;
    let passed = r#""x-other: 1", "x-request-id: made", "x-user: ann""#;
    let table: [(Change, u16, &[&str], String); 15] = [
        (|_| (), 200, &answer, format!("[{passed}] [] []")),
        (|_| (), 204, &[], r#"["x-other: 1", "x-request-id: made"] [] []"#.to_owned()),
        (kept, 200, &answer, format!(r#"["x-groups: admins", {passed}] [] []"#)),
        (sign_in, 200, &answer, format!("[{passed}] [{cookies}] []")),
        (always, 200, &answer, format!("[{passed}] [{cookies}] [{cookies}]")),
        (|_| (), 401, &answer, r#"401 authorization_refused ["www-authenticate: Basic"] Ours"#.to_owned()),
        (always, 403, &answer[1..3], format!("403 authorization_refused [{cookies}] Ours")),
        (|_| (), 302, &["location: /in"], "500 authorization_failed [] Ours".to_owned()),
        (|_| (), 500, &answer, "500 authorization_failed [] Ours".to_owned()),
        (
            sign_in,
            401,
            &answer,
            format!(
                r#"302 authorization_refused ["location: https://in.example.org/?rd=%2Fa%3Fb%3Dc", {cookies}] Empty"#
            ),
        ),
        (sign_in, 403, &answer, r#"403 authorization_refused ["www-authenticate: Basic"] Ours"#.to_owned()),
        (
            whole,
            302,
            &["location: /in", "server: x", "content-type: text/html"],
            r#"302 authorization_refused ["content-type: text/html", "location: /in"] Theirs"#.to_owned(),
        ),
        (whole, 401, &answer, format!("401 authorization_refused [{cookies}] Theirs")),
        (whole, 500, &[], "500 authorization_refused [] Theirs".to_owned()),
        (whole, 200, &answer, format!("[{passed}] [] []")),
    ];
    for (change, status, answer, expected) in table {
        let authorization = authorization(change);
        let status = StatusCode::from_u16(status).unwrap();
        let verdict = authorization.verdict(&facts(&[]), status, &headers(answer));
        assert_eq!(show(verdict), expected, "{status} {answer:?}");
    }
}

#[test]
fn without_an_answer_nobody_says_who_it_is() {
    let open = authorization(|it| it.failure = AuthorizationFailure::Passed);
    assert_eq!(show(open.failed(&facts(&[]))), r#"["x-other: 1", "x-request-id: made"] [] []"#);
    let closed = authorization(|_| ());
    assert_eq!(show(closed.failed(&facts(&[]))), "500 authorization_failed [] Ours");
}

#[test]
fn the_same_question_is_asked_once() {
    let one = authorization(|_| ());
    assert!(one.is_same(&authorization(|_| ())));
    assert!(!one.is_same(&authorization(|it| it.timeout_ms = 5)));
}
