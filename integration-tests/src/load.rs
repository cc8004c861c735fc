//! A steady load whose every request is counted.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use chrono::Utc;
use http::{Request, Response, Uri, header::HOST};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    connection,
    tally::{POD_HEADER, SERVED_HEADER, Tally, VERSION_HEADER},
};

/// After this long without a whole answer a request counts as lost.
const DEADLINE: Duration = Duration::from_secs(10);

/// How often the sums are printed.
const PRINT: Duration = Duration::from_millis(200);

/// What the load is.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// Where the requests go: `http://host:port/path`.
    pub target: Uri,
    /// Requests per second, all connections together.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub rate: u32,
    /// Kept-alive connections.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub connections: u32,
    /// Ends by itself after this many seconds.
    #[arg(long, default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Fails if a request was lost or answered with an error, for whoever judges by the exit code.
    #[arg(long)]
    pub strict: bool,
}

/// Sends until `stop` resolves or the time is over, passing the sums to `print` again and again; the last are
/// marked as done and hold every request.
pub async fn run(
    settings: Settings,
    stop: impl Future<Output = ()>,
    mut print: impl FnMut(&Tally),
) -> anyhow::Result<()> {
    let target = Arc::new(Target::parse(&settings.target)?);
    let tally = Arc::new(Mutex::new(Tally::default()));
    let stopping = CancellationToken::new();
    let period = Duration::from_secs(1) * settings.connections / settings.rate;
    let mut clients = JoinSet::new();
    for n in 0..settings.connections {
        let client = Client { target: Arc::clone(&target), tally: Arc::clone(&tally), sender: None };
        // Spread over the period, so that requests come evenly.
        clients.spawn(client.run(period * n / settings.connections, period, stopping.clone()));
    }
    let mut ticks = interval(PRINT);
    let end = tokio::time::sleep(Duration::from_secs(settings.seconds));
    tokio::pin!(stop, end);
    loop {
        tokio::select! {
            _ = ticks.tick() => print(&snapshot(&tally, false)),
            () = &mut stop => break,
            () = &mut end => break,
        }
    }
    stopping.cancel();
    while clients.join_next().await.is_some() {}
    let sums = snapshot(&tally, true);
    print(&sums);
    let (lost, bad) = (sums.lost(), sums.bad());
    ensure!(!settings.strict || lost + bad == 0, "{lost} requests were lost, {bad} failed");
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the load is a shell: the sums are compared with the cluster's clock"
)]
fn snapshot(tally: &Mutex<Tally>, done: bool) -> Tally {
    let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    Tally { at_ms: Utc::now().timestamp_millis(), done, ..tally.clone() }
}

struct Target {
    address: String,
    host: String,
    path: String,
}

impl Target {
    fn parse(uri: &Uri) -> anyhow::Result<Self> {
        let authority = uri.authority().with_context(|| format!("failed to find a host in {uri}"))?;
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self {
            address: format!("{}:{port}", authority.host()),
            host: authority.as_str().to_owned(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }
}

/// One kept-alive connection and who uses it.
struct Client {
    target: Arc<Target>,
    tally: Arc<Mutex<Tally>>,
    sender: Option<connection::Sender>,
}

impl Client {
    async fn run(mut self, offset: Duration, period: Duration, stopping: CancellationToken) {
        tokio::time::sleep(offset).await;
        let mut ticks = interval(period);
        // A slow answer must not be followed by a burst: the rate is an upper bound.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stopping.cancelled() => return,
            }
            self.tally.lock().unwrap_or_else(PoisonError::into_inner).sent += 1;
            let outcome = timeout(DEADLINE, self.request()).await;
            let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(Ok(answer)) => answer.count(&mut tally),
                Ok(Err(error)) => {
                    self.sender = None;
                    *tally.lost.entry(format!("{error:#}")).or_default() += 1;
                }
                Err(_) => {
                    self.sender = None;
                    *tally.lost.entry(format!("no answer in {} s", DEADLINE.as_secs())).or_default() += 1;
                }
            }
        }
    }

    async fn request(&mut self) -> anyhow::Result<Answer> {
        let target = Arc::clone(&self.target);
        let request = || {
            Request::get(&target.path)
                .header(HOST, &target.host)
                .body(Empty::new())
                .context("failed to make the request")
        };
        // A kept connection that its peer has closed between two requests is no loss, as long as nothing of the
        // request was written to it: hyper gives the request back then.
        if let Some(sender) = &mut self.sender
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(request()?).await {
                Ok(response) => return Answer::read(response).await,
                Err(mut refused) => {
                    if refused.take_message().is_none() {
                        return Err(refused.into_error()).context("failed to get an answer");
                    }
                }
            }
        }
        let sender = self.sender.insert(connection::open(&target.address).await?);
        let response = sender.send_request(request()?).await;
        Answer::read(response.context("failed to get an answer")?).await
    }
}

/// What came back.
enum Answer {
    /// The application's own.
    App { version: String, pod: String, served: u64, good: bool },
    /// Somebody else's on the way.
    Other(String),
}

impl Answer {
    async fn read(response: Response<Incoming>) -> anyhow::Result<Self> {
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let status = response.status();
        let app =
            (header(VERSION_HEADER), header(POD_HEADER), header(SERVED_HEADER).and_then(|n| n.parse().ok()));
        let reason = header("x-sluice-reason").unwrap_or_default();
        response.into_body().collect().await.context("failed to read an answer to its end")?;
        Ok(match app {
            (Some(version), Some(pod), Some(served)) => {
                Self::App { version, pod, served, good: status.is_success() }
            }
            _ => Self::Other(format!("{} {reason}", status.as_u16())),
        })
    }

    fn count(self, tally: &mut Tally) {
        match self {
            Self::App { version, pod, served, good } => {
                let answers = tally.versions.entry(version).or_default();
                if good {
                    answers.good += 1;
                } else {
                    answers.bad += 1;
                }
                tally.pods.entry(pod).or_default().count(served);
            }
            Self::Other(what) => *tally.lost.entry(what).or_default() += 1,
        }
    }
}
