//! What routes do besides sending requests on: redirects, edits of headers, answers for other origins, other texts.

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use proxy_config::model::{
    Action, Change, Cors, Edit, ErrorResponse, HeaderEdit, Host, HostId, HostRewrite, Insecure, Listener,
    ListenerId, OriginMatch, PathMatch, RedirectTo, RegexRewrite, Rewrite, Route, Scheme, Security, ToHttps,
    Upgrades, Value, ValuePart, Variable,
};

use crate::support::{
    Directory, Proxy,
    client::{self, Client, Reply},
    configs::{cluster, listener, refusal, route_changed, route_with},
    operator::Operator,
    upstream::Pod,
};

/// A proxy whose routes lead to one pod, in a cluster named `a`.
async fn serving(routes: Vec<Change>) -> (Operator, Directory, Proxy, Pod) {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    operator.configure([vec![cluster("a", &[(pod.address, "h1")])], routes].concat()).await;
    (operator, directory, proxy, pod)
}

fn all(change: impl FnOnce(&mut Route)) -> Vec<Change> {
    vec![route_changed("/", &[("a", 10_000)], change)]
}

async fn send(proxy: &Proxy, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "example.org");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut client = Client::connect(proxy.http).await.unwrap();
    let response = client.send(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    Reply::read(response).await.unwrap()
}

fn edit(name: &str, edit: Edit) -> HeaderEdit {
    HeaderEdit { name: name.into(), edit }
}

#[tokio::test]
async fn headers_are_edited_by_the_route_and_then_by_the_arm() {
    let routes = all(|route| {
        route.filters.request_headers = vec![
            edit("x-set", Edit::Set(Value::text("route"))),
            edit("x-gone", Edit::Remove),
            edit("x-client", Edit::Set(Value(vec![ValuePart::Variable(Variable::ClientAddress)]))),
        ];
        route.filters.response_headers = vec![
            edit("x-pod", Edit::Remove),
            edit("x-both", Edit::Add(Value::text("route"))),
            edit(
                "x-path",
                Edit::Set(Value(vec![
                    ValuePart::Variable(Variable::Path),
                    ValuePart::Text(" ".into()),
                    ValuePart::RequestHeader("x-gone".into()),
                    ValuePart::Text(" ".into()),
                    ValuePart::Variable(Variable::Status),
                ])),
            ),
        ];
        let Action::Split(split) = &mut route.action else { panic!("a split") };
        split.arms[0].request_headers = vec![edit("x-set", Edit::Add(Value::text("arm")))];
        split.arms[0].response_headers = vec![edit("x-both", Edit::Set(Value::text("arm")))];
    });
    let (_operator, _directory, proxy, _pod) = serving(routes).await;
    let reply = send(&proxy, "GET", "/p?q", &[("x-gone", "there"), ("x-set", "client")]).await;
    let set: Vec<_> = reply.body.lines().filter_map(|it| it.strip_prefix("x-set: ")).collect();
    assert_eq!(set, ["route", "arm"], "{}", reply.body);
    assert!(reply.body.contains("x-client: 127.0.0.1\n") && !reply.body.contains("x-gone"), "{}", reply.body);
    let both: Vec<_> = reply.headers.get_all("x-both").iter().collect();
    assert_eq!(both, ["arm", "route"]);
    assert_eq!((reply.header("x-pod"), reply.header("x-path")), ("", "/p?q there 200"));
}

#[tokio::test]
async fn a_head_with_too_many_fields_to_be_edited_does_not_pass() {
    let routes = all(|route| route.filters.request_headers = vec![edit("x-gone", Edit::Remove)]);
    let (_operator, _directory, proxy, pod) = serving(routes).await;
    for (fields, expected) in [(98, "HTTP/1.1 200 "), (99, "HTTP/1.1 431 ")] {
        let more = "x-more: 1\r\n".repeat(fields - 3);
        let head = format!("GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-gone: there\r\n{more}\r\n");
        let response = client::raw(proxy.http, &head).await;
        assert!(response.starts_with(expected) && !response.contains("x-gone"), "{response:.300}");
    }
    assert_eq!(pod.seen(), 1);
}

#[tokio::test]
async fn a_request_without_a_host_is_edited_and_gets_one() {
    let routes = all(|route| route.filters.request_headers = vec![edit("x-gone", Edit::Remove)]);
    let (_operator, _directory, proxy, pod) = serving(routes).await;
    let response = client::raw(proxy.http, "GET / HTTP/1.0\r\nx-gone: there\r\n\r\n").await;
    assert!(response.contains(&format!("\nhost: {}\n", pod.address)), "{response}");
    assert!(!response.contains("x-gone"), "{response}");
}

#[tokio::test]
async fn our_own_answers_are_edited_as_well() {
    let mut refused = refusal("/", 500, "fixture");
    if let Change::Route(route) = &mut refused {
        let route = std::sync::Arc::make_mut(route);
        route.filters.response_headers = vec![edit("x-mark", Edit::Set(Value::text("1")))];
    }
    let (_operator, _directory, proxy, _pod) = serving(vec![refused]).await;
    let reply = client::get(proxy.http, "/").await;
    assert_eq!((reply.reason(), reply.header("x-mark")), ((500, "fixture"), "1"));
}

#[tokio::test]
async fn redirects_say_where_to_go() {
    let redirect = |path: &str, to: RedirectTo| {
        route_changed(path, &[], |route| {
            route.path = PathMatch::Elements(path.into());
            route.action = Action::Redirect(to);
        })
    };
    let to = RedirectTo {
        status: 302,
        scheme: Some(Scheme::Https),
        host: Some("other.example".into()),
        port: None,
        path: Rewrite::Prefix("/new".into()),
    };
    let routes = vec![
        redirect("/old", to.clone()),
        redirect(
            "/port",
            RedirectTo { status: 308, port: Some(8443), path: Rewrite::None, host: None, ..to },
        ),
    ];
    let (_operator, _directory, proxy, pod) = serving(routes).await;
    for (path, status, location) in [
        ("/old", 302, "https://other.example/new"),
        ("/old/a?b=c", 302, "https://other.example/new/a?b=c"),
        ("/port/./x", 308, "https://example.org:8443/port/x"),
        ("/older", 404, ""),
    ] {
        let reply = client::get(proxy.http, path).await;
        assert_eq!((reply.status, reply.header("location")), (status, location), "{path}");
    }
    assert_eq!(pod.seen(), 0);
}

#[tokio::test]
async fn paths_are_rewritten_by_regex_and_hosts_are_remembered() {
    let rewritten = route_with("/", &[("a", 10_000)], |arm| {
        let (pattern, substitution) = ("^/users/([^/]+)/(.*)$".into(), r"/\2/of/\1".into());
        arm.rewrite = Rewrite::Regex(RegexRewrite { pattern, substitution });
        arm.host_rewrite = HostRewrite::Literal("inner".into());
    });
    let (_operator, _directory, proxy, _pod) = serving(vec![rewritten]).await;
    let reply = client::get(proxy.http, "/users/ada/notes?q=1").await;
    assert_eq!(reply.body.lines().next(), Some("GET /notes/of/ada?q=1"));
    for line in ["host: inner\n", "x-forwarded-host: example.org\n"] {
        assert!(reply.body.contains(line), "{}", reply.body);
    }
    assert_eq!(client::get(proxy.http, "/other").await.body.lines().next(), Some("GET /other"));
}

#[tokio::test]
async fn pages_of_other_origins_are_answered() {
    let routes = all(|route| {
        route.filters.cors = Some(Box::new(Cors {
            origins: vec![OriginMatch::Exact("https://page.example".into())],
            methods: vec!["GET".into(), "PUT".into()],
            headers: vec!["x-a".into()],
            exposed_headers: vec!["x-pod".into()],
            credentials: true,
            max_age_s: Some(60),
            answers_refused: false,
        }));
    });
    let (_operator, _directory, proxy, pod) = serving(routes).await;
    let page = ("origin", "https://page.example");
    let asks = ("access-control-request-method", "PUT");
    let reply = send(&proxy, "OPTIONS", "/", &[page, asks]).await;
    assert_eq!((reply.status, pod.seen(), &*reply.body), (200, 0, ""));
    assert_eq!(reply.header("access-control-allow-methods"), "GET, PUT");
    assert_eq!(reply.header("access-control-max-age"), "60");
    let reply = send(&proxy, "GET", "/", &[page]).await;
    assert_eq!((reply.status, pod.seen()), (200, 1));
    assert_eq!(reply.header("access-control-allow-origin"), "https://page.example");
    assert_eq!(reply.header("access-control-expose-headers"), "x-pod");
    let reply = send(&proxy, "OPTIONS", "/", &[("origin", "https://evil.example"), asks]).await;
    assert_eq!((reply.status, pod.seen(), reply.header("access-control-allow-origin")), (200, 2, ""));
}

#[tokio::test]
async fn errors_get_other_texts_whoever_made_them() {
    let error = |status, text: &str| ErrorResponse {
        status,
        body: Value(vec![ValuePart::Text(text.into()), ValuePart::Variable(Variable::Path)]),
        content_type: "text/html".into(),
    };
    let route = |path: &str, arm: &str| {
        route_changed(path, &[(arm, 10_000)], |route| {
            route.filters.errors = vec![error(404, "not here: "), error(503, "away: ")];
        })
    };
    let routes = vec![cluster("nobody", &[]), route("/", "a"), route("/none", "nobody")];
    let (_operator, _directory, proxy, _pod) = serving(routes).await;
    let reply = client::get(proxy.http, "/status/404").await;
    assert_eq!((reply.status, &*reply.body), (404, "not here: /status/404"));
    assert_eq!((reply.header("content-type"), reply.header("x-pod")), ("text/html", "a"));
    let reply = client::get(proxy.http, "/none").await;
    assert_eq!((reply.reason(), &*reply.body), ((503, "no_endpoints"), "away: /none"));
    assert!(client::get(proxy.http, "/status/500").await.body.starts_with("GET"));
}

#[tokio::test]
async fn only_allowed_protocols_are_switched_to() {
    let routes = all(|route| route.filters.upgrades = Upgrades::Only(vec!["websocket".into()]));
    let (_operator, _directory, proxy, pod) = serving(routes).await;
    let offer = |protocol| [("connection", "upgrade"), ("upgrade", protocol)];
    let reply = send(&proxy, "GET", "/", &offer("spdy/3.1")).await;
    assert_eq!((reply.reason(), pod.seen()), ((403, "upgrade_refused"), 0));
    let reply = send(&proxy, "GET", "/", &offer("WebSocket")).await;
    assert_eq!((reply.status, pod.seen()), (200, 1), "the pod did not switch");
}

#[tokio::test]
async fn hosts_that_want_tls_send_clients_there_or_away() {
    let host = |name: &str, insecure| {
        Change::Host(std::sync::Arc::new(Host {
            id: HostId::new(name),
            names: vec![name.into()],
            listeners: Vec::new(),
            tls: None,
            insecure,
            class: String::new(),
        }))
    };
    let routes = vec![
        host("*", Insecure::Route),
        host("*.example.org", Insecure::Redirect(443)),
        host("secret.example.org", Insecure::Reject),
        route_changed("/", &[("a", 10_000)], |route| {
            route.path = PathMatch::Regex("/(a|.well-known/.*)?".into());
        }),
        route_changed("/only", &[("a", 10_000)], |route| {
            route.to_https = Some(ToHttps { status: 308, port: 8443 });
        }),
    ];
    let (operator, _directory, proxy, _pod) = serving(routes).await;
    let get = async |host: &str, path: &str| {
        let reply = client::get_from(proxy.http, host, path).await.unwrap();
        (reply.status, reply.header("location").to_owned(), reply.header("x-sluice-reason").to_owned())
    };
    let none = String::new;
    assert_eq!(get("other.org", "/").await, (200, none(), none()));
    let there = "https://www.example.org/a?b".to_owned();
    assert_eq!(get("www.example.org:8080", "/a?b").await, (301, there, none()));
    assert_eq!(get("www.example.org", "/.well-known/acme-challenge/x").await, (200, none(), none()));
    assert_eq!(get("secret.example.org", "/").await, (404, none(), "insecure".into()));
    assert_eq!(get("www.example.org", "/none").await, (404, none(), "no_route".into()));
    let there = "https://other.org:8443/only".to_owned();
    assert_eq!(get("other.org", "/only").await, (308, there, none()));
    drop(operator);
}

#[tokio::test]
async fn a_trusted_proxy_says_what_is_secure() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    let Change::Listener(of) = listener(operator.http_port) else { panic!("a listener") };
    let trusting = Listener { security: Security::ForwardedProto, trusted_hops: 1, ..Listener::clone(&of) };
    let host = Host {
        id: HostId::new("h"),
        names: vec!["*".into()],
        listeners: vec![ListenerId::new("http")],
        tls: None,
        insecure: Insecure::Reject,
        class: String::new(),
    };
    let changes = vec![
        cluster("a", &[(pod.address, "h1")]),
        route_changed("/", &[("a", 10_000)], |_| ()),
        Change::Listener(trusting.into()),
        Change::Host(host.into()),
    ];
    operator.configure(changes).await;
    assert_eq!(client::get(proxy.http, "/").await.reason(), (404, "insecure"));
    let reply = send(&proxy, "GET", "/", &[("x-forwarded-proto", "https")]).await;
    assert!(reply.status == 200 && reply.body.contains("x-forwarded-proto: https\n"), "{}", reply.body);
}

#[tokio::test]
async fn a_route_may_be_for_one_listener() {
    let routes = vec![
        route_changed("/", &[("a", 10_000)], |route| route.listeners = vec![ListenerId::new("elsewhere")]),
        route_changed("/here", &[("a", 10_000)], |route| route.listeners = vec![ListenerId::new("http")]),
    ];
    let (_operator, _directory, proxy, _pod) = serving(routes).await;
    assert_eq!(client::get(proxy.http, "/").await.reason(), (404, "no_route"));
    assert_eq!(client::get(proxy.http, "/here").await.status, 200);
}
