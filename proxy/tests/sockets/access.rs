//! Routes that are not for everybody, over both protocols.

use proxy_config::model::{Access, Change, Cors, Login, Origin, OriginMatch, Secret, User};

use crate::support::{
    Directory, Proxy,
    client::{Reply, ask_both},
    configs::{cluster, listener_with, route_changed},
    operator::Operator,
    upstream::Pod,
};

/// `ann` with `tea time`, by bcrypt; `bob` with `password`, by MD5.
fn staff() -> Login {
    let user = |name: &str, hash: &str| User { name: name.to_owned(), hash: Secret(hash.to_owned()) };
    let users = vec![
        user("ann", "$2y$05$c4WoMPo3SXsafkva.HHa6uMcEUMVZBSx/d1lciHVZr6iprB8uzFXa"),
        user("bob", "$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00"),
    ];
    Login { realm: "staff only".to_owned(), users }
}

/// A proxy that lets those through to one pod whom `access` takes, behind this many trusted proxies.
async fn serving(access: Access, trusted_hops: u32) -> (Operator, Directory, Proxy, Pod) {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    let route = route_changed("/", &[("a", 10_000)], |route| {
        route.filters.access = Some(Box::new(access));
        route.filters.cors = Some(Box::new(Cors { origins: vec![OriginMatch::Any], ..Cors::default() }));
    });
    let port = listener_with(operator.http_port, |listener| listener.trusted_hops = trusted_hops);
    let changes: Vec<Change> = vec![port, cluster("a", &[(pod.address, "h1")]), route];
    operator.configure(changes).await;
    (operator, directory, proxy, pod)
}

/// The answers to one request over HTTP/1.1 and HTTP/2, which must say the same.
async fn ask(proxy: &Proxy, method: &str, headers: &[(&str, &str)]) -> Reply {
    let [first, second] = ask_both(proxy.http, method, "/", headers).await;
    assert_eq!(first.reason(), second.reason(), "{method} {headers:?}");
    assert_eq!(first.header("www-authenticate"), second.header("www-authenticate"));
    first
}

#[tokio::test]
async fn clients_come_in_from_where_the_route_allows() {
    let range = |text: &str| Origin::Client(text.parse().unwrap());
    let peer = |text: &str| Origin::Peer(text.parse().unwrap());
    let table = [
        (vec![], vec![], 0, 200),
        (vec![range("127.0.0.0/8")], vec![], 0, 200),
        (vec![range("198.18.0.0/15")], vec![], 0, 403),
        (vec![], vec![range("127.0.0.1/32")], 0, 403),
        // What a client says of itself counts for nothing, and what a trusted proxy says of it for all.
        (vec![range("198.18.0.0/15")], vec![], 1, 200),
        (vec![range("127.0.0.0/8")], vec![], 1, 403),
        (vec![peer("127.0.0.0/8")], vec![], 1, 200),
    ];
    for (allowed, denied, trusted_hops, expected) in table {
        let access = Access { allowed, denied, ..Access::default() };
        let (_operator, _directory, proxy, pod) = serving(access.clone(), trusted_hops).await;
        let reply = ask(&proxy, "GET", &[("x-forwarded-for", "198.18.0.1")]).await;
        assert_eq!(reply.status, expected, "{access:?} behind {trusted_hops}");
        if expected == 403 {
            assert_eq!((reply.reason(), pod.seen()), ((403, "address_refused"), 0), "{access:?}");
        }
    }
}

#[tokio::test]
async fn who_shows_a_password_comes_in() {
    let access = Access { login: Some(staff()), ..Access::default() };
    let (_operator, _directory, proxy, pod) = serving(access, 0).await;
    let asked = "Basic realm=\"staff only\", charset=\"UTF-8\"";
    // No header, ann:tea, bob:tea time, eve:password, and something else.
    let wrong = ["", "Basic YW5uOnRlYQ==", "Basic Ym9iOnRlYSB0aW1l", "Basic ZXZlOnBhc3N3b3Jk", "Bearer abc"];
    for value in wrong {
        let reply = ask(&proxy, "GET", &[("authorization", value)]).await;
        assert_eq!((reply.reason(), reply.header("www-authenticate")), ((401, "unauthorized"), asked));
    }
    assert_eq!(pod.seen(), 0, "a request came through");
    // ann:tea time, twice, and bob:password.
    for value in ["Basic YW5uOnRlYSB0aW1l", "basic YW5uOnRlYSB0aW1l", "Basic Ym9iOnBhc3N3b3Jk"] {
        let reply = ask(&proxy, "GET", &[("authorization", value)]).await;
        assert_eq!(reply.status, 200, "{value}: {}", reply.body);
        assert!(reply.body.contains("authorization: "), "the pod is not told who it is: {}", reply.body);
    }
}

#[tokio::test]
async fn a_preflight_shows_no_password_but_comes_from_an_address() {
    let preflight = [("origin", "https://a.example.org"), ("access-control-request-method", "GET")];
    let login = Some(staff());
    let table = [("127.0.0.0/8", 200), ("198.18.0.0/15", 403)];
    for (allowed, expected) in table {
        let allowed = vec![Origin::Client(allowed.parse().unwrap())];
        let access = Access { allowed, login: login.clone(), ..Access::default() };
        let (_operator, _directory, proxy, pod) = serving(access, 0).await;
        let reply = ask(&proxy, "OPTIONS", &preflight).await;
        assert_eq!((reply.status, pod.seen()), (expected, 0));
    }
}
