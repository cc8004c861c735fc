//! The proxy as a process of its own: with many connections, and with too few descriptors.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
};

use prost::Message as _;
use proxy_config::{
    model::Position,
    wire::config::{self as wire, to_proxy},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::support::{
    Directory,
    client::{self, Client},
    configs::{cluster, listener, route},
    eventually, free_port,
    upstream::Pod,
};

/// A proxy that serves what it remembers; killed at the end.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    _directory: Directory,
}

impl Process {
    /// One with a route to this pod and as many descriptors as `limit`, for a shell, says.
    pub(crate) async fn start(pod: SocketAddr, limit: &str) -> Self {
        Self::start_with(pod, limit, &[], Stdio::null()).await
    }

    /// The same, with more arguments; what it writes goes to `output`.
    async fn start_with(pod: SocketAddr, limit: &str, arguments: &[&str], output: Stdio) -> Self {
        let (directory, port) = (Directory::new(), free_port());
        let commit = wire::Commit { position: Some(Position::default().into()), full: true };
        let commit = wire::ToProxy { message: Some(to_proxy::Message::Commit(commit)) };
        let changes = [listener(port), cluster("a", &[(pod, "h1")]), route(&[("a", 10_000)])];
        let messages = changes.into_iter().map(wire::ToProxy::from).chain([commit]);
        let remembered: Vec<u8> = messages.flat_map(|it| it.encode_length_delimited_to_vec()).collect();
        std::fs::write(directory.0.join("commit"), remembered).unwrap();
        let child = Command::new("sh")
            .args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_sluice-proxy"))
            .args(["--config-server", "127.0.0.1:1", "--bind-address", "127.0.0.1", "--workers", "1"])
            .args(["--admin-port", &free_port().to_string(), "--log-level", "off", "--memory-dir"])
            .arg(&directory.0)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .spawn()
            .unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        eventually("it listens", async || TcpStream::connect(address).await.is_ok()).await;
        Self { child, address, _directory: directory }
    }

    /// The memory that it has resident, in bytes.
    pub(crate) fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix(" kB"));
        line.unwrap().trim().parse::<usize>().unwrap() * 1024
    }

    /// How many descriptors it has open.
    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Connections that have each got an answer, and wait.
    async fn idle(&self, count: usize) -> Vec<Client<http_body_util::Empty<bytes::Bytes>>> {
        let mut held = Vec::new();
        for _ in 0..count {
            let mut client = Client::connect(self.address).await.unwrap();
            assert_eq!(client.get("/").await.unwrap().status, 200);
            held.push(client);
        }
        held
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many descriptors this process may have; as many as it can get.
fn descriptors() -> usize {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // It goes on with fewer.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let current = getrlimit(Resource::Nofile).current;
    current.map_or(usize::MAX, |it| usize::try_from(it).unwrap_or(usize::MAX))
}

#[tokio::test]
async fn ten_thousand_connections_wait_in_little_memory() {
    // Other tests need some as well.
    let count = descriptors().saturating_sub(2_000).min(10_000);
    let pod = Pod::start("a").await;
    let proxy = Process::start(pod.address, "\"$(ulimit -Hn)\"").await;
    drop(proxy.idle(100).await);
    let before = proxy.resident();
    let mut held = proxy.idle(count).await;
    let each = proxy.resident().saturating_sub(before) / count;
    // Our figure is 4 kB with optimisation (`cargo xtask bench proxy`).
    assert!(each <= 6 * 1024, "{each} bytes for each of {count} connections");
    assert_eq!(client::get(proxy.address, "/").await.status, 200);
    assert_eq!(held[0].get("/").await.unwrap().status, 200);
}

#[tokio::test]
async fn without_descriptors_what_is_open_goes_on_and_others_wait() {
    let pod = Pod::start("a").await;
    let proxy = Process::start(pod.address, "100").await;
    let mut kept = proxy.idle(1).await.remove(0);
    let mut waiting = Vec::new();
    for _ in 0..200 {
        waiting.push(TcpStream::connect(proxy.address).await.unwrap());
    }
    eventually("no descriptor is left", async || proxy.descriptors() >= 100).await;
    for _ in 0..50 {
        assert_eq!(kept.get("/").await.unwrap().status, 200);
    }
    drop(waiting);
    assert_eq!(client::get(proxy.address, "/").await.status, 200);
}

#[tokio::test]
async fn requests_are_logged_when_they_are_over() {
    let pod = Pod::start("a").await;
    let arguments = ["--access-log", "json"];
    let mut proxy = Process::start_with(pod.address, "1000", &arguments, Stdio::piped()).await;
    let output = std::io::BufReader::new(proxy.child.stdout.take().unwrap());
    let mut lines = tokio::task::spawn_blocking(move || {
        std::io::BufRead::lines(output)
            .take(3)
            .map(|it| serde_json::from_str::<Value>(&it.unwrap()).unwrap())
            .collect::<Vec<_>>()
    });
    let mut client = Client::connect(proxy.address).await.unwrap();
    client.get("/a?b").await.unwrap();
    client.get("/status/503").await.unwrap();
    // A client that goes away before it has an answer.
    drop(client);
    let mut gone = TcpStream::connect(proxy.address).await.unwrap();
    gone.write_all(b"POST /hold HTTP/1.1\r\nhost: h\r\nx-request-id: 7\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    eventually("it is under way", async || pod.seen() == 3).await;
    drop(gone);
    let lines: Vec<Value> = crate::support::within(&mut lines).await.unwrap();
    let told = |line: &Value| {
        let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
        format!("{} {} {} {}", text("method"), text("host"), text("path"), line["status"])
    };
    let told: Vec<_> = lines.iter().map(told).collect();
    assert_eq!(told, ["GET example.org /a?b 200", "GET example.org /status/503 503", "POST h /hold null"]);
    let first = &lines[0];
    assert_eq!(
        (&first["arm"], &first["hash"], &first["upstream"], &first["tries"]),
        (&json!("a"), &json!("h1"), &json!(pod.address.to_string()), &json!(1))
    );
    assert!(first["duration_ms"].as_f64().unwrap() > 0.0 && first["request_id"].is_null(), "{first}");
    assert_eq!(lines[2]["request_id"], "7");
}

#[tokio::test]
async fn one_of_so_many_requests_is_logged() {
    let pod = Pod::start("a").await;
    let arguments = ["--access-log", "text", "--access-log-one-of", "10", "--drain-delay", "0"];
    let mut proxy = Process::start_with(pod.address, "1000", &arguments, Stdio::piped()).await;
    let mut output = proxy.child.stdout.take().unwrap();
    let mut client = Client::connect(proxy.address).await.unwrap();
    for number in 0..100 {
        client.get(&format!("/{number}")).await.unwrap();
    }
    drop(client);
    // It ends politely, with all that it has to say written.
    let id = rustix::process::Pid::from_child(&proxy.child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let text = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut output, &mut text).unwrap();
        text
    });
    let text = crate::support::within(text).await.unwrap();
    assert_eq!(text.lines().count(), 10, "{text}");
    assert!(text.lines().all(|it| it.contains(" \"GET /") && it.contains("HTTP/1.1\" 200 ")), "{text}");
}
