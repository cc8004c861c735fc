//! The application that is rolled out: it says who it is and counts what it answers.

use std::{
    convert::Infallible,
    fmt::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::net::TcpListener;

use crate::tally::{POD_HEADER, SERVED_HEADER, VERSION_HEADER};

/// How the application behaves.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// Where it listens.
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// The version that it says it is.
    #[arg(long, env = "DEMO_VERSION", default_value = "v1")]
    pub version: String,
    /// The pod that it says it is.
    #[arg(long, env = "HOSTNAME", default_value = "here")]
    pub pod: String,
    /// How many of 100 requests it fails with 500.
    #[arg(long, env = "DEMO_FAILURES", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100))]
    pub failures: u64,
    /// How long it takes for each answer, in milliseconds.
    #[arg(long, env = "DEMO_DELAY_MS", default_value_t = 0)]
    pub delay_ms: u64,
}

/// Serves until `stop` resolves, then finishes what is under way.
pub async fn serve(settings: Settings, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let listener = TcpListener::bind(settings.listen).await.context("failed to listen")?;
    let app = Arc::new(App { settings, served: AtomicU64::new(0) });
    let connections = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted.context("failed to accept a connection")?,
            () = &mut stop => break,
        };
        // An answer is small and complete: waiting for more to send would only delay it.
        stream.set_nodelay(true).context("failed to set TCP_NODELAY")?;
        let app = Arc::clone(&app);
        let service = service_fn(move |request| {
            let app = Arc::clone(&app);
            async move { Ok::<_, Infallible>(app.answer(&request).await) }
        });
        let connection =
            http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        // A peer that breaks off is the peer's affair; the load counts what it missed.
        tokio::spawn(async move { drop(connection.await) });
    }
    drop(listener);
    connections.shutdown().await;
    Ok(())
}

struct App {
    settings: Settings,
    served: AtomicU64,
}

impl App {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() == "/healthz" {
            return Response::new(Full::from("ok\n"));
        }
        tokio::time::sleep(Duration::from_millis(self.settings.delay_ms)).await;
        let served = self.served.fetch_add(1, Ordering::Relaxed) + 1;
        let status = if fails(served, self.settings.failures) {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            StatusCode::OK
        };
        let Settings { version, pod, .. } = &self.settings;
        let mut body = format!("{version} from {pod} for {}\n", request.uri());
        if request.uri().path().ends_with("/headers") {
            for (name, value) in request.headers() {
                let _ = writeln!(body, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
            }
        }
        Response::builder()
            .status(status)
            .header(VERSION_HEADER, version)
            .header(POD_HEADER, pod)
            .header(SERVED_HEADER, served)
            .body(Full::from(body))
            .expect("a version and a pod name are header values")
    }
}

/// Spreads `percent` failures evenly: the `n`-th request fails if a whole failure became due with it.
fn fails(n: u64, percent: u64) -> bool {
    n * percent / 100 > (n - 1) * percent / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_come_in_the_asked_share() {
        for percent in [0, 1, 30, 99, 100] {
            let failed = (1..=1000).filter(|n| fails(*n, percent)).count();

            assert_eq!(failed as u64, percent * 10, "at {percent} %");
        }
    }
}
