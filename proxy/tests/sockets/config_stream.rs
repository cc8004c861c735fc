//! What the proxy and the operator say to each other.

use proxy_config::{
    digest::digest,
    model::{Change, Config},
    wire::config::{Redirect, to_proxy},
};

use crate::support::{
    Directory, Proxy, client,
    configs::{cluster, listener, route, without_route},
    eventually,
    operator::{Authority, Operator, Said},
    upstream::Pod,
};

#[tokio::test]
async fn a_new_proxy_says_who_it_is_and_is_ready_after_its_first_ack() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start_with(&operator, &directory, |it| it.scope = "a-gateway".into());
    let mut link = operator.link().await;
    assert_eq!(link.authorization, "Bearer a-token");
    assert_eq!((link.hello.contract, &*link.hello.scope), (proxy_config::CONTRACT, "a-gateway"));
    assert_eq!((link.hello.last.is_none(), &*link.hello.digest), (true, ""));
    assert!(!link.hello.boot_id.is_empty());
    eventually("the admin port answers", async || proxy.admin("/healthz").await.is_some()).await;
    assert_eq!(proxy.admin("/healthz").await.unwrap().0, 200);
    assert_eq!(proxy.admin("/readyz").await.unwrap(), (503, "not ready: no configuration yet\n".into()));
    let changes =
        vec![listener(operator.http_port), cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])];
    let (answer, ()) = tokio::join!(proxy.admin("/readyz"), link.commit(changes));
    assert_eq!(
        answer.unwrap(),
        (200, "ready\n".into()),
        "asked before, answered when there is a configuration"
    );
    assert_eq!(client::get(proxy.http, "/").await.status, 200);
    assert!((proxy.metric("sluice_proxy_config_seq").await - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn a_refused_commit_leaves_everything_as_it_was() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    let mut link =
        operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    link.send(vec![without_route("/"), route(&[("missing", 10_000)])], false);
    let Said::Nack(nack) = link.answer().await else { panic!("it was taken") };
    assert_eq!(nack.position, Some(link.position().into()));
    assert_eq!(nack.reason, "route /: arm missing names cluster missing, which does not exist");
    assert_eq!(client::get(proxy.http, "/").await.header("x-pod"), "a");
    link.commit(vec![cluster("b", &[])]).await;
    assert_eq!(client::get(proxy.http, "/").await.header("x-pod"), "a");
    let refused = "sluice_proxy_config_commits_total{outcome=\"refused\"}";
    assert!((proxy.metric(refused).await - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn an_operator_of_a_lower_epoch_is_refused_and_left() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    let mut link = operator.link().await;
    link.at(5, 0);
    let changes =
        vec![listener(operator.http_port), cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])];
    link.commit_full(changes).await;
    drop(link);
    let mut stale = operator.link().await;
    stale.at(4, 99);
    stale.send(Vec::new(), true);
    let Said::Nack(nack) = stale.answer().await else { panic!("it was taken") };
    assert!(nack.reason.starts_with("epoch 1000/4 is before 1000/5"), "{}", nack.reason);
    stale.closed().await;
    let mut current = operator.link().await;
    assert_eq!(client::get(proxy.http, "/").await.status, 200);
    current.at(6, 0);
    current.commit(Vec::new()).await;
}

#[tokio::test]
async fn a_proxy_without_a_stream_serves_and_comes_back_with_what_it_has() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    let changes =
        vec![listener(operator.http_port), cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])];
    let mut link = operator.link().await;
    link.commit(changes.clone()).await;
    let (position, boot) = (link.position(), link.hello.boot_id.clone());
    drop(link);
    assert_eq!(client::get(proxy.http, "/").await.status, 200);
    let mut link = operator.link().await;
    let mut config = Config::default();
    for change in changes {
        config.apply(change);
    }
    assert_eq!(link.hello.last, Some(position.into()));
    assert_eq!(link.hello.digest, digest(&config));
    assert_eq!(link.hello.boot_id, boot);
    link.at(1, position.seq);
    link.commit(Vec::new()).await;
    proxy.ready().await;
}

#[tokio::test]
async fn a_redirect_leads_to_the_holder_of_the_lease() {
    let authority = Authority::new();
    let mut standby = Operator::start_under(&authority).await;
    let mut holder = Operator::start_under(&authority).await;
    let directory = Directory::new();
    let _proxy = Proxy::start(&standby, &directory);
    let link = standby.link().await;
    link.tell(to_proxy::Message::Redirect(Redirect { address: holder.address.to_string() }));
    let mut link = holder.link().await;
    link.commit(Vec::new()).await;
    drop((link, holder));
    standby.link().await;
}

#[tokio::test]
async fn a_restarted_container_serves_at_once_what_it_remembers() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let mut first = Proxy::start(&operator, &directory);
    let link = operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let (position, boot) = (link.position(), link.hello.boot_id.clone());
    first.ready().await;
    eventually("the commit is remembered", async || directory.0.join("commit").exists()).await;
    first.stop();
    first.ended().await;
    drop(link);
    // Nobody confirms anything now.
    let unreachable = crate::support::free_port();
    let second =
        Proxy::start_with(&operator, &directory, |it| it.config_server = format!("127.0.0.1:{unreachable}"));
    second.ready().await;
    assert_eq!(client::get(second.http, "/").await.header("x-pod"), "a");
    drop(second);
    let _third = Proxy::start(&operator, &directory);
    let mut link = operator.link().await;
    assert_eq!(link.hello.last, Some(position.into()), "it says what it remembers");
    assert_ne!(link.hello.boot_id, boot, "as another proxy");
    link.report(|it| it.served == Some(position.into())).await;
}

#[tokio::test]
async fn credentials_that_come_late_are_waited_for() {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let credentials = Directory::new();
    let proxy = Proxy::start_with(&operator, &directory, |it| {
        it.ca_file = credentials.0.join("ca.crt");
        it.token_file = credentials.0.join("token");
    });
    let tried_again = async || {
        eventually("the admin port answers", async || proxy.admin("/healthz").await.is_some()).await;
        let failures = "sluice_proxy_config_stream_failures_total";
        let before = proxy.metric(failures).await;
        eventually("it has tried twice more", async || proxy.metric(failures).await > before + 1.5).await;
    };
    tried_again().await;
    std::fs::write(credentials.0.join("token"), "late").unwrap();
    std::fs::write(credentials.0.join("ca.crt"), Operator::start().await.ca.clone()).unwrap();
    tried_again().await;
    assert!(operator.no_link(), "a server that the certificate does not vouch for gets no stream");
    std::fs::write(credentials.0.join("ca.crt"), &operator.ca).unwrap();
    assert_eq!(operator.link().await.authorization, "Bearer late");
}

#[tokio::test]
async fn a_listener_moves_and_the_other_one_never_notices() {
    let (mut operator, directory, pod) = (Operator::start().await, Directory::new(), Pod::start("a").await);
    let proxy = Proxy::start(&operator, &directory);
    let mut link =
        operator.configure(vec![cluster("a", &[(pod.address, "h1")]), route(&[("a", 10_000)])]).await;
    let mut steady = client::Client::connect(proxy.http).await.unwrap();
    steady.get("/").await.unwrap();
    let other = |port| {
        let id = proxy_config::model::ListenerId::new("other");
        Change::Listener(std::sync::Arc::new(proxy_config::model::Listener::http(id, port)))
    };
    let (before, after) = (crate::support::free_port(), crate::support::free_port());
    let at = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    link.commit(vec![other(before)]).await;
    assert_eq!(client::get(at(before), "/").await.status, 200);
    let mut kept = client::Client::connect(at(before)).await.unwrap();
    kept.get("/").await.unwrap();
    link.commit(vec![other(after)]).await;
    assert_eq!(client::get(at(after), "/").await.status, 200);
    assert_eq!(kept.get("/").await.unwrap().status, 200, "its connections go on");
    eventually("the old port is closed", async || tokio::net::TcpStream::connect(at(before)).await.is_err())
        .await;
    assert_eq!(steady.get("/").await.unwrap().status, 200);
}
