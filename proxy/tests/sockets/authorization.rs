//! Routes whose requests wait for the word of a service, over both protocols.

use std::net::SocketAddr;

use proxy_config::model::{
    Absent, Access, Authorization, AuthorizationFailure, Change, ClientLimits, ClusterId, Cookies, Cors,
    OriginMatch, Rate, Refusals, Sees, Value, ValuePart, Variable,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
};

use crate::support::{
    Directory, Proxy,
    client::{Reply, ask_both},
    configs::{cluster, mirrored, route_changed},
    eventually,
    operator::{Link, Operator},
    upstream::{Pod, RawPod, nobody, read_head},
    within,
};

/// A service that tells each head that it gets, and answers as the header `x-say` of the request wants.
async fn service() -> (RawPod, mpsc::UnboundedReceiver<String>) {
    let (told, asked) = mpsc::unbounded_channel();
    let pod = RawPod::start(move |mut stream, _| {
        let told = told.clone();
        async move {
            while let Some(head) = read_head(&mut stream).await {
                let say = head.lines().find_map(|line| line.strip_prefix("x-say: ")).unwrap_or("200");
                let (status, text) = say.split_once(' ').unwrap_or((say, "no"));
                let length = text.len();
                let lines =
                    "x-user: ann\r\nset-cookie: s=1\r\nwww-authenticate: Basic\r\nlocation: /in\r\nx-more: 1";
                let answer = match status {
                    "closed" => return,
                    "garbage" => "what?\r\n\r\n".to_owned(),
                    "held" => String::new(),
                    "long" => format!(
                        "HTTP/1.1 401 No\r\ncontent-length: {0}\r\n\r\n{1}",
                        1 << 17,
                        "x".repeat(1 << 17)
                    ),
                    "endless" => {
                        format!("HTTP/1.1 200 Yes\r\n{lines}\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
                    }
                    status => {
                        format!("HTTP/1.1 {status} Word\r\n{lines}\r\ncontent-length: {length}\r\n\r\n{text}")
                    }
                };
                // A test that has seen enough listens no more, and a proxy may have gone.
                let _ = told.send(head);
                let _ = stream.write_all(answer.as_bytes()).await;
            }
            let _ = told.send("gone".to_owned());
        }
    })
    .await;
    (pod, asked)
}

/// As ingress-nginx asks, if nothing is changed.
fn authorization(change: impl FnOnce(&mut Authorization)) -> Authorization {
    let mut authorization = Authorization {
        cluster: ClusterId::new("auth"),
        method: Some("GET".into()),
        host: Some("auth.example.org".into()),
        target: Value::text("/check"),
        sees: Sees::All,
        request_headers: Vec::new(),
        passed_on: vec!["x-user".into()],
        absent: Absent::Removed,
        refusals: Refusals::Status,
        told: vec!["www-authenticate".into()],
        sign_in: None,
        cookies: Cookies::Never,
        timeout_ms: 10_000,
        failure: AuthorizationFailure::Refused(500),
    };
    change(&mut authorization);
    authorization
}

/// A route to the pod `a`, whose requests the cluster `auth` is asked about.
fn asking(authorization: Authorization) -> Change {
    route_changed("/", &[("a", 10_000)], |route| {
        route.filters.access =
            Some(Box::new(Access { authorization: Some(authorization), ..Access::default() }));
    })
}

struct Fixture {
    _operator: Operator,
    link: Link,
    _directory: Directory,
    proxy: Proxy,
    pod: Pod,
    service: RawPod,
    asked: mpsc::UnboundedReceiver<String>,
}

impl Fixture {
    async fn start(change: impl FnOnce(&mut Authorization)) -> Self {
        Self::with(asking(authorization(change))).await
    }

    async fn with(route: Change) -> Self {
        let (mut operator, directory) = (Operator::start().await, Directory::new());
        let (pod, (service, asked)) = (Pod::start("a").await, service().await);
        let proxy = Proxy::start(&operator, &directory);
        let auth = cluster("auth", &[(service.address, "")]);
        let link = operator.configure(vec![cluster("a", &[(pod.address, "h1")]), auth, route]).await;
        Self { _operator: operator, link, _directory: directory, proxy, pod, service, asked }
    }

    /// The answers over both protocols, when the service says this.
    async fn ask(&self, say: &str) -> [Reply; 2] {
        ask_both(self.proxy.http, "PUT", "/a?b", &[("x-say", say), ("x-user", "mallory")]).await
    }
}

/// What of an answer is for the client, in one line.
fn show(reply: &Reply) -> String {
    let [cookie, challenge, location] =
        ["set-cookie", "www-authenticate", "location"].map(|it| reply.header(it));
    let (status, reason) = reply.reason();
    let text = reply.body.lines().next().unwrap_or_default();
    format!("{status} [{reason}] [{cookie}] [{challenge}] [{location}] {text}")
}

#[tokio::test]
async fn the_service_is_asked_and_the_pod_gets_what_it_says() {
    let mut fixture = Fixture::start(|_| ()).await;
    let headers = [("x-user", "mallory"), ("cookie", "s=0"), ("x-forwarded-uri", "/public")];
    for reply in ask_both(fixture.proxy.http, "POST", "/a?b", &headers).await {
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert!(reply.body.starts_with("POST /a?b\n"), "{}", reply.body);
        assert!(reply.body.contains("x-user: ann\n") && !reply.body.contains("mallory"), "{}", reply.body);
        assert_eq!(reply.header("set-cookie"), "");
        let question = within(fixture.asked.recv()).await.unwrap();
        assert!(question.starts_with("GET /check HTTP/1.1\r\nhost: auth.example.org\r\n"), "{question}");
        for line in
            ["cookie: s=0", "x-user: mallory", "x-forwarded-for: 127.0.0.1", "x-forwarded-host: example.org"]
        {
            assert!(question.contains(&format!("{line}\r\n")), "without {line}: {question}");
        }
        for name in ["content-length", "transfer-encoding", "x-forwarded-uri"] {
            assert!(!question.contains(name), "with {name}: {question}");
        }
        let id = |text: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix("x-request-id: "));
            line.map(|it| it.trim_end().to_owned())
        };
        assert!(id(&question).is_some() && id(&question) == id(&reply.body), "{question} {}", reply.body);
    }
}

#[tokio::test]
async fn answers_of_the_service_mean_what_the_route_says() {
    type Change = fn(&mut Authorization);
    let plain: Change = |_| ();
    let sign_in: Change = |it| {
        it.cookies = Cookies::Good;
        let parts = vec![ValuePart::Text("/in?rd=".into()), ValuePart::Variable(Variable::EscapedPath)];
        it.sign_in = Some(Value(parts));
    };
    let whole: Change = |it| {
        it.refusals = Refusals::Whole;
        it.told.push("location".into());
    };
    let open: Change = |it| {
        it.failure = AuthorizationFailure::Passed;
        it.timeout_ms = 50;
    };
    let quick: Change = |it| {
        it.failure = AuthorizationFailure::Refused(503);
        it.timeout_ms = 50;
    };
    let refused = "sluice: the service that this route asks does not let you in";
    let failed = "sluice: the service that this route asks gave no answer";
    let table: [(Change, &str, String); 17] = [
        (plain, "204", "200 [] [] [] [] PUT /a?b".into()),
        (plain, "endless", "200 [] [] [] [] PUT /a?b".into()),
        (plain, "401", format!("401 [authorization_refused] [] [Basic] [] {refused}")),
        (plain, "403", format!("403 [authorization_refused] [] [Basic] [] {refused}")),
        (plain, "302", format!("500 [authorization_failed] [] [] [] {failed}")),
        (plain, "closed", format!("500 [authorization_failed] [] [] [] {failed}")),
        (plain, "garbage", format!("500 [authorization_failed] [] [] [] {failed}")),
        (sign_in, "200", "200 [] [s=1] [] [] PUT /a?b".into()),
        (sign_in, "401", "302 [authorization_refused] [s=1] [] [/in?rd=%2Fa%3Fb] ".into()),
        (whole, "302 over there", "302 [authorization_refused] [] [Basic] [/in] over there".into()),
        (whole, "418 tea", "418 [authorization_refused] [] [Basic] [/in] tea".into()),
        (whole, "500 broken", "500 [authorization_refused] [] [Basic] [/in] broken".into()),
        (whole, "long", format!("500 [authorization_failed] [] [] [] {failed}")),
        (open, "held", "200 [] [] [] [] PUT /a?b".into()),
        (open, "closed", "200 [] [] [] [] PUT /a?b".into()),
        (open, "403", format!("403 [authorization_refused] [] [Basic] [] {refused}")),
        (quick, "held", format!("503 [authorization_failed] [] [] [] {failed}")),
    ];
    for (change, say, expected) in table {
        let fixture = Fixture::start(change).await;
        for reply in fixture.ask(say).await {
            assert_eq!(show(&reply), expected, "{say}");
            assert!(!reply.body.contains("mallory"), "{say}: {}", reply.body);
        }
        let passed = if expected.starts_with("200") { 2 } else { 0 };
        assert_eq!(fixture.pod.seen(), passed, "{say}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_lets_nobody_in() {
    let mut fixture = Fixture::start(|_| ()).await;
    let gone = nobody().await;
    for pods in [vec![(gone, "")], vec![]] {
        fixture.link.commit(vec![cluster("auth", &pods)]).await;
        for reply in fixture.ask("200").await {
            assert_eq!(reply.reason(), (500, "authorization_failed"));
        }
    }
    assert_eq!(fixture.pod.seen(), 0);
}

#[tokio::test]
async fn another_endpoint_is_asked_where_one_cannot_be_reached() {
    let mut fixture = Fixture::start(|_| ()).await;
    let service = fixture.service.address;
    fixture.link.commit(vec![cluster("auth", &[(nobody().await, ""), (service, "")])]).await;
    for _ in 0..8 {
        for reply in fixture.ask("200").await {
            assert_eq!(reply.status, 200, "{}", reply.body);
        }
    }
}

/// Sends a head over HTTP/1.1 and returns the connection.
async fn begin(proxy: SocketAddr, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_body_waits_for_the_word_and_arrives_whole() {
    let fixture = Fixture::start(|_| ()).await;
    let head = |say: &str| {
        format!(
            "POST /echo HTTP/1.1\r\nhost: a\r\nx-say: {say}\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n"
        )
    };
    let mut refused = begin(fixture.proxy.http, &head("403")).await;
    let answer = read_head(&mut refused).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "it is told to send its body first: {answer}");
    let mut passed = begin(fixture.proxy.http, &head("200")).await;
    assert_eq!(read_head(&mut passed).await.unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    passed.write_all(b"body").await.unwrap();
    assert!(read_head(&mut passed).await.unwrap().starts_with("HTTP/1.1 200 "));
    // One that is there with its head, and another request behind it.
    let both = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody\
                GET /next HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let mut stream = begin(fixture.proxy.http, both).await;
    let mut text = String::new();
    within(stream.read_to_string(&mut text)).await.unwrap();
    assert!(text.contains("\r\n\r\nbodyHTTP/1.1 200 ") && text.contains("GET /next\n"), "{text}");
}

#[tokio::test]
async fn a_client_that_goes_takes_its_question_along() {
    let mut fixture = Fixture::start(|_| ()).await;
    let stream = begin(fixture.proxy.http, "GET / HTTP/1.1\r\nhost: a\r\nx-say: held\r\n\r\n").await;
    assert!(within(fixture.asked.recv()).await.unwrap().starts_with("GET /check "));
    drop(stream);
    assert_eq!(within(fixture.asked.recv()).await.unwrap(), "gone");
    assert_eq!(fixture.pod.seen(), 0);
}

#[tokio::test]
async fn who_waits_holds_up_no_configuration_and_is_served_by_the_newest() {
    let mut fixture = Fixture::start(|_| ()).await;
    let (other, (slow, mut of_slow)) = (Pod::start("b").await, held_service().await);
    fixture.link.commit(vec![cluster("auth", &[(slow.address, "")])]).await;
    let proxy = fixture.proxy.http;
    let waiting = tokio::spawn(async move { ask_both(proxy, "GET", "/", &[]).await });
    let release = within(of_slow.recv()).await.unwrap();
    // No request pins the old snapshot: the operator is told so while both wait.
    let to_other = |auth: Authorization| {
        route_changed("/", &[("b", 10_000)], |route| {
            route.filters.access = Some(Box::new(Access { authorization: Some(auth), ..Access::default() }));
        })
    };
    let clusters = cluster("b", &[(other.address, "h2")]);
    fixture.link.commit(vec![clusters, to_other(authorization(|_| ()))]).await;
    let position = fixture.link.position();
    fixture.link.report(|it| it.oldest_pinned.is_some_and(|it| it == position.into())).await;
    release.send(()).unwrap();
    within(of_slow.recv()).await.unwrap().send(()).unwrap();
    for reply in within(waiting).await.unwrap() {
        assert_eq!((reply.status, reply.header("x-pod")), (200, "b"));
    }
    assert_eq!(fixture.pod.seen(), 0);
    // Where the route asks something else by then, that is asked as well.
    let waiting = tokio::spawn(async move { ask_both(proxy, "GET", "/", &[]).await });
    let release = within(of_slow.recv()).await.unwrap();
    let changed = authorization(|it| it.target = Value::text("/other"));
    fixture.link.commit(vec![to_other(changed)]).await;
    release.send(()).unwrap();
    for _ in 0..2 {
        within(of_slow.recv()).await.unwrap().send(()).unwrap();
    }
    assert_eq!(within(waiting).await.unwrap().map(|it| it.status), [200, 200]);
}

/// A service whose answers a test lets go.
async fn held_service() -> (RawPod, mpsc::UnboundedReceiver<tokio::sync::oneshot::Sender<()>>) {
    let (told, asked) = mpsc::unbounded_channel();
    let pod = RawPod::start(move |mut stream, _| {
        let told = told.clone();
        async move {
            while read_head(&mut stream).await.is_some() {
                let (release, released) = tokio::sync::oneshot::channel();
                told.send(release).unwrap();
                let _ = released.await;
                stream.write_all(b"HTTP/1.1 200 Yes\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            }
        }
    })
    .await;
    (pod, asked)
}

#[tokio::test]
async fn a_preflight_is_answered_without_a_question() {
    let route = route_changed("/", &[("a", 10_000)], |route| {
        let authorization = Some(authorization(|_| ()));
        route.filters.access = Some(Box::new(Access { authorization, ..Access::default() }));
        route.filters.cors = Some(Box::new(Cors { origins: vec![OriginMatch::Any], ..Cors::default() }));
    });
    let mut fixture = Fixture::with(route).await;
    let preflight =
        [("origin", "https://a.example.org"), ("access-control-request-method", "GET"), ("x-say", "403")];
    for reply in ask_both(fixture.proxy.http, "OPTIONS", "/", &preflight).await {
        assert_eq!((reply.status, reply.body.as_str()), (200, ""));
    }
    for reply in ask_both(fixture.proxy.http, "OPTIONS", "/", &preflight[..1]).await {
        assert_eq!(reply.reason(), (200, ""));
    }
    let question = within(fixture.asked.recv()).await.unwrap();
    assert!(!question.contains("x-say: 403"), "it is asked about a preflight: {question}");
    assert_eq!(fixture.pod.seen(), 2, "a preflight came through");
}

#[tokio::test]
async fn who_asks_too_often_is_not_asked_about() {
    let route = route_changed("/", &[("a", 10_000)], |route| {
        let authorization = Some(authorization(|_| ()));
        route.filters.access = Some(Box::new(Access { authorization, ..Access::default() }));
        let rates = vec![Rate { requests: 1, per_ms: 3_600_000, burst: 1 }];
        route.filters.clients =
            Some(Box::new(ClientLimits { id: "a".into(), rates, ..ClientLimits::default() }));
    });
    let mut fixture = Fixture::with(route).await;
    let statuses = fixture.ask("200").await.map(|it| it.status);
    assert_eq!(statuses, [200, 200]);
    for reply in fixture.ask("200").await {
        assert_eq!(reply.reason(), (429, "rate_limited"));
    }
    let mut asked = 0;
    while fixture.asked.try_recv().is_ok() {
        asked += 1;
    }
    assert_eq!(asked, 2);
}

#[tokio::test]
async fn a_request_that_waits_is_copied_once() {
    let mut route = mirrored(&[("a", 10_000)], "m", 5_000, |_| {});
    if let Change::Route(route) = &mut route {
        let access = Access { authorization: Some(authorization(|_| ())), ..Access::default() };
        std::sync::Arc::make_mut(route).filters.access = Some(Box::new(access));
    }
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let (pod, mirror, (service, _asked)) = (Pod::start("a").await, Pod::start("m").await, service().await);
    let proxy = Proxy::start(&operator, &directory);
    let clusters = [("a", pod.address), ("m", mirror.address), ("auth", service.address)];
    let mut changes: Vec<Change> = clusters.map(|(id, address)| cluster(id, &[(address, "")])).into();
    changes.push(route);
    operator.configure(changes).await;
    for _ in 0..10 {
        ask_both(proxy.http, "GET", "/", &[]).await;
    }
    // A draw that nobody follows would make it all or none.
    eventually("half of the requests are copied", async || (9..=11).contains(&mirror.seen())).await;
    assert_eq!(pod.seen(), 20);
}

#[tokio::test]
async fn a_client_of_grpc_is_told_in_its_own_words() {
    let fixture = Fixture::start(|it| it.refusals = Refusals::Whole).await;
    let headers = [("content-type", "application/grpc"), ("x-say", "403 100 % no")];
    let [_, reply] = ask_both(fixture.proxy.http, "POST", "/s/M", &headers).await;
    assert_eq!((reply.status, reply.header("grpc-status")), (200, "7"));
    assert_eq!(reply.header("grpc-message"), "100 %25 no");
}
