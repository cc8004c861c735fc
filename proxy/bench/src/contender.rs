//! The proxies, each with one thread for requests, the same servers behind it and the same split.

use std::{
    fmt,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use prost::Message as _;
use proxy_config::{
    model::{
        Action, Address, Arm, ArmId, Case, Certificate, CertificateId, Change, Cluster, ClusterId, Endpoint,
        Filters, Host, HostId, HostMatch, HostRewrite, Insecure, Listener, ListenerId, PathMatch, Position,
        Protocol, Rank, Rewrite, Route, RouteId, Secret, ServerTls, Share, Split, SplitId, TlsVersions,
        UpstreamProtocol, Version,
    },
    wire::config::{self as wire, to_proxy},
};
use tokio::{net::TcpStream, time::Instant};

use crate::{backend::Backend, identity::Identity, process::Process, scenario::ROUTES};

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Ours.
    Sluice,
    /// Another build of ours.
    Before,
    /// `HAProxy`.
    Haproxy,
    /// nginx.
    Nginx,
    /// Envoy.
    Envoy,
}

/// How many routes a proxy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Routes {
    /// One for every request, and one for calls of gRPC.
    Few,
    /// Beside these [`ROUTES`], each for the paths below one.
    Many,
}

impl Routes {
    /// The paths of further routes.
    fn paths(self) -> impl Iterator<Item = String> {
        let further = match self {
            Self::Few => 0,
            Self::Many => ROUTES,
        };
        (0..further).map(|number| format!("/r/{number}/"))
    }

    /// A line for each further route.
    fn lines(self, line: impl Fn(&str) -> String) -> String {
        self.paths().map(|path| line(&path)).collect()
    }
}

/// Where the programs are.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Programs {
    /// The program of our proxy.
    #[arg(long, value_name = "FILE")]
    sluice: PathBuf,
    /// Another build of our proxy, as it was before a change.
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
    /// The program of `HAProxy`.
    #[arg(long, value_name = "FILE")]
    haproxy: Option<PathBuf>,
    /// The program of nginx.
    #[arg(long, value_name = "FILE")]
    nginx: Option<PathBuf>,
    /// The program of Envoy.
    #[arg(long, value_name = "FILE")]
    envoy: Option<PathBuf>,
    /// Where they find libraries that are not installed.
    #[arg(long, value_name = "DIRECTORY")]
    libraries: Option<PathBuf>,
}

/// A proxy that runs.
#[derive(Debug)]
pub(crate) struct Contender {
    /// Which it is.
    pub(crate) kind: Kind,
    /// What it says of its version.
    pub(crate) version: String,
    /// Where it takes requests.
    pub(crate) addresses: Addresses,
    /// Its process.
    pub(crate) process: Process,
}

/// Where a proxy takes requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    /// HTTP/1.1 in the clear.
    pub(crate) http: SocketAddr,
    /// HTTP/2 in the clear.
    pub(crate) http2: SocketAddr,
    /// HTTP/1.1 over TLS.
    pub(crate) https: SocketAddr,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Sluice => "sluice",
            Self::Before => "before",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Envoy => "envoy",
        })
    }
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::Sluice, Self::Before, Self::Haproxy, Self::Nginx, Self::Envoy];
}

impl Programs {
    fn of(&self, kind: Kind) -> Option<&Path> {
        match kind {
            Kind::Sluice => Some(&self.sluice),
            Kind::Before => self.before.as_deref(),
            Kind::Haproxy => self.haproxy.as_deref(),
            Kind::Nginx => self.nginx.as_deref(),
            Kind::Envoy => self.envoy.as_deref(),
        }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("taskset");
        // The first core is theirs, the second one of clients and servers.
        command.args(["--cpu-list", "0"]).arg(program);
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    /// Starts a proxy, or says that its program is not there. Its files are written into `directory`.
    pub(crate) async fn start(
        &self,
        kind: Kind,
        routes: Routes,
        backend: &Backend,
        identity: &Identity,
        directory: &Path,
    ) -> anyhow::Result<Option<Contender>> {
        let Some(program) = self.of(kind) else { return Ok(None) };
        let directory = directory.join(format!("{kind}-{routes:?}"));
        fs::create_dir_all(&directory).context("failed to make a directory for a proxy")?;
        let http = free_address()?;
        let http2 = match kind {
            // They see by the first bytes what a client speaks.
            Kind::Sluice | Kind::Before | Kind::Envoy => http,
            Kind::Haproxy | Kind::Nginx => free_address()?,
        };
        let addresses = Addresses { http, http2, https: free_address()? };
        let version = self.version(kind, program)?;
        let arguments = configure((kind, routes), &addresses, backend, identity, &directory)?;
        let log = File::create(directory.join("log")).context("failed to make a log")?;
        let errors = log.try_clone().context("failed to make a log")?;
        let mut command = self.command(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command.spawn().with_context(|| format!("failed to start {kind}"))?;
        let mut process = Process::new(child);
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(http).await.is_err() || TcpStream::connect(addresses.https).await.is_err() {
            if process.has_ended() || Instant::now() > deadline {
                let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
                bail!("{kind} does not listen on {addresses:?}:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Some(Contender { kind, version, addresses, process }))
    }

    fn version(&self, kind: Kind, program: &Path) -> anyhow::Result<String> {
        let flag = match kind {
            Kind::Sluice | Kind::Before | Kind::Envoy => "--version",
            Kind::Haproxy | Kind::Nginx => "-v",
        };
        let output = self.command(program).arg(flag).output();
        let output = output.with_context(|| format!("failed to start {}", program.display()))?;
        // nginx says it on standard error.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        // Envoy says where it lies as well.
        Ok(line.split_once("version: ").map_or(line, |(_, version)| version).to_owned())
    }
}

/// A port that nobody has now.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to find a port")?;
    listener.local_addr().context("failed to find a port")
}

/// Writes the files of a proxy, and says its arguments.
fn configure(
    (kind, routes): (Kind, Routes),
    addresses: &Addresses,
    backend: &Backend,
    identity: &Identity,
    directory: &Path,
) -> anyhow::Result<Vec<String>> {
    let write = |name: &str, text: &str| {
        let mut text = text
            .replace("{http}", &addresses.http.to_string())
            .replace("{http2}", &addresses.http2.to_string())
            .replace("{https}", &addresses.https.to_string())
            .replace("{http_port}", &addresses.http.port().to_string())
            .replace("{https_port}", &addresses.https.port().to_string())
            .replace("{grpc}", &backend.grpc().to_string())
            .replace("{grpc_port}", &backend.grpc().port().to_string())
            .replace("{directory}", &directory.display().to_string());
        let servers = backend.stable().iter().chain(backend.canary());
        for (place, server) in ["1", "2", "3", "4"].into_iter().zip(servers) {
            text = text
                .replace(&format!("{{server{place}}}"), &server.to_string())
                .replace(&format!("{{port{place}}}"), &server.port().to_string());
        }
        let file = directory.join(name);
        fs::write(&file, text).context("failed to write the configuration of a proxy")?;
        anyhow::Ok(file.display().to_string())
    };
    // HAProxy wants both in one file, and takes the key from there.
    write("certificate.pem", &format!("{}{}", identity.certificate, identity.key))?;
    write("key.pem", &identity.key)?;
    Ok(match kind {
        Kind::Sluice | Kind::Before => {
            let admin = free_address()?.port();
            let memory = commit(routes, addresses, backend, identity)?;
            fs::write(directory.join("commit"), memory).context("failed to write our configuration")?;
            let arguments = format!(
                "--config-server 127.0.0.1:1 --workers 1 --bind-address 127.0.0.1 --admin-port {admin} \
                 --log-level error --memory-dir"
            );
            arguments.split(' ').map(str::to_owned).chain([directory.display().to_string()]).collect()
        }
        Kind::Haproxy => {
            // A map of one line, or of many.
            write("routes", &format!("/ all\n{}", routes.lines(|path| format!("{path} {path}\n"))))?;
            vec!["-f".to_owned(), write("haproxy.cfg", include_str!("haproxy.cfg"))?]
        }
        Kind::Nginx => {
            let line = |path: &str| format!("location {path} {{ proxy_pass http://$version; }}\n");
            write("routes", &routes.lines(line))?;
            let file = write("nginx.conf", include_str!("nginx.conf"))?;
            ["-p", &directory.display().to_string(), "-e", "stderr", "-c", &file].map(str::to_owned).into()
        }
        Kind::Envoy => {
            let line = |path: &str| format!("              - {{match: {{prefix: {path}}}, route: *split}}\n");
            let text = include_str!("envoy.yaml").replace("              {routes}\n", &routes.lines(line));
            let file = write("envoy.yaml", &text)?;
            // Several of it run at a time.
            ["--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id", "-c", &file]
                .map(str::to_owned)
                .into()
        }
    })
}

/// A remembered commit of our proxy: the servers, and routes that split 90 to 10 between them.
fn commit(
    routes: Routes,
    addresses: &Addresses,
    backend: &Backend,
    identity: &Identity,
) -> anyhow::Result<Vec<u8>> {
    let endpoint = |hash: &str, address: &SocketAddr| Endpoint {
        address: Address::Socket(*address),
        version: Version { namespace: "bench".into(), hash: hash.into() },
        pod: format!("{hash}-{}", address.port()).into(),
        draining: None,
        zones: Vec::new(),
    };
    let cluster = |id: &str, addresses: &[SocketAddr]| {
        let mut endpoints: Vec<_> = addresses.iter().map(|address| endpoint(id, address)).collect();
        endpoints.sort();
        Change::Cluster(Arc::new(Cluster::plain(ClusterId::new(id), 1_000, endpoints)))
    };
    let arm = |id: &str, share: u32| {
        anyhow::Ok(Arm {
            id: ArmId::new(id),
            share: Share::of_10000(share).context("a share is none")?,
            cluster: ClusterId::new(id),
            rewrite: Rewrite::None,
            host_rewrite: HostRewrite::Keep,
            timeout_ms: Some(3_000),
            idle_timeout_ms: None,
            total_timeout_ms: None,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
        })
    };
    let arms = vec![arm("canary", 1_000)?, arm("stable", 9_000)?];
    let route = |id: &str, rank: u8, path: &str, arms: Vec<Arm>| {
        Change::Route(Arc::new(Route {
            id: RouteId::new(id),
            rank: Rank(vec![rank]),
            host: HostMatch::Any,
            path: PathMatch::Prefix(path.to_owned()),
            case: Case::Counts,
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
            listeners: Vec::new(),
            classes: Vec::new(),
            to_https: None,
            filters: Filters::default(),
            action: Action::Split(Split { id: SplitId::new(id), arms, mirrors: Vec::new() }),
        }))
    };
    let grpc = Cluster {
        protocol: UpstreamProtocol::Http2,
        ..Cluster::plain(ClusterId::new("grpc"), 1_000, vec![endpoint("grpc", &backend.grpc())])
    };
    let tls = ServerTls {
        certificates: vec![CertificateId::new("bench")],
        versions: TlsVersions::default(),
        alpn: Vec::new(),
        client: None,
    };
    let host = Host {
        id: HostId::new("bench"),
        names: vec!["*".to_owned()],
        listeners: Vec::new(),
        tls: Some(tls),
        insecure: Insecure::Route,
        class: String::new(),
    };
    let certificate = Certificate {
        id: CertificateId::new("bench"),
        chain: identity.certificate.clone(),
        key: Secret(identity.key.clone()),
    };
    let https = Listener::http(ListenerId::new("https"), addresses.https.port());
    let changes = [
        Change::Certificate(Arc::new(certificate)),
        Change::Host(Arc::new(host)),
        Change::Listener(Arc::new(Listener::http(ListenerId::new("http"), addresses.http.port()))),
        Change::Listener(Arc::new(Listener { protocol: Protocol::Https, ..https })),
        cluster("canary", backend.canary()),
        cluster("stable", backend.stable()),
        Change::Cluster(Arc::new(grpc)),
        route("grpc", 0, "/bench.Echo/", vec![arm("grpc", 10_000)?]),
        route("bench", 2, "/", arms.clone()),
    ];
    let further = routes.paths().map(|path| route(&path, 1, &path, arms.clone()));
    let commit = wire::Commit { position: Some(Position::default().into()), full: true };
    let commit = wire::ToProxy { message: Some(to_proxy::Message::Commit(commit)) };
    let messages = changes.into_iter().chain(further).map(wire::ToProxy::from).chain([commit]);
    Ok(messages.flat_map(|it| it.encode_length_delimited_to_vec()).collect())
}
