//! The peers of the proxy under test.

pub(crate) mod client;
pub(crate) mod configs;
pub(crate) mod operator;
pub(crate) mod tls;
pub(crate) mod upstream;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    num::NonZeroUsize,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use proxy::Settings;
use tokio::sync::oneshot;

use self::operator::Operator;

/// How long anything may take before a test is called failed. Nothing waits for it to pass.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A proxy under test, on its own thread.
pub(crate) struct Proxy {
    pub(crate) settings: Settings,
    /// Where its listener of the fixtures is.
    pub(crate) http: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: oneshot::Receiver<()>,
}

/// Files of one test, removed at its end.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Proxy {
    /// Starts a proxy that knows `operator`. It has no configuration yet.
    pub(crate) fn start(operator: &Operator, directory: &Directory) -> Self {
        Self::start_with(operator, directory, |_| {})
    }

    /// The same, with other settings.
    pub(crate) fn start_with(
        operator: &Operator,
        directory: &Directory,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        std::fs::write(directory.0.join("ca.crt"), &operator.ca).unwrap();
        std::fs::write(directory.0.join("token"), "a-token\n").unwrap();
        let mut settings = Settings {
            config_server: operator.address.to_string(),
            ca_file: directory.0.join("ca.crt"),
            token_file: directory.0.join("token"),
            memory_dir: directory.0.clone(),
            scope: String::new(),
            zone: None,
            forwarded: false,
            forward_client_cert: false,
            bind_address: Ipv4Addr::LOCALHOST.into(),
            admin_port: free_port(),
            workers: NonZeroUsize::new(2).unwrap(),
            max_connections: 1_000,
            max_sessions: 1_000,
            access_log: None,
            drain_delay: Duration::ZERO,
            drain_timeout: LIMIT,
        };
        change(&mut settings);
        let (stop, stopped) = oneshot::channel::<()>();
        let (ended_sender, ended) = oneshot::channel();
        let running = settings.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let stop = async { drop(stopped.await) };
            runtime.block_on(proxy::run(running, stop)).unwrap();
            let _ = ended_sender.send(());
        });
        let http = SocketAddr::from((Ipv4Addr::LOCALHOST, operator.http_port));
        Self { settings, http, stop: Some(stop), ended }
    }

    /// As SIGTERM does.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until the process would have ended.
    pub(crate) async fn ended(&mut self) {
        within(&mut self.ended).await.unwrap();
    }

    /// A page of the admin port: its status and text.
    pub(crate) async fn admin(&self, path: &str) -> Option<(u16, String)> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.settings.admin_port));
        let response = client::get_from(address, "admin", path).await.ok()?;
        Some((response.status, response.body))
    }

    /// Waits until the proxy is ready.
    pub(crate) async fn ready(&self) {
        eventually("ready", async || self.admin("/readyz").await.is_some_and(|it| it.0 == 200)).await;
    }

    /// The value of one line of the metrics; 0 if it is not there.
    pub(crate) async fn metric(&self, line: &str) -> f64 {
        let (_, page) = self.admin("/metrics").await.unwrap();
        let value = page.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '));
        value.map_or(0.0, |it| it.parse().unwrap())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A port that nobody has now, and that this test binary gives to nobody else.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Below the ephemeral range, so that no outgoing connection takes it meanwhile.
        let offset = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() % 1_000 * 15;
        let port = 12_000 + u16::try_from(offset % 18_000).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Waits until `holds`; fails with `what` if it never does.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The result of a future that does not take for ever.
#[track_caller]
pub(crate) fn within<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let output = tokio::time::timeout(LIMIT, future).await;
        output.unwrap_or_else(|_| panic!("nothing for {LIMIT:?} at {caller}"))
    }
}
