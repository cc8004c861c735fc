//! The two small HTTP servers of Argo's ports: `/metrics`, and `/healthz` with `/readyz`.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use super::{Metrics, Readiness};

/// What a server answers.
#[derive(Clone, Debug)]
pub enum Pages {
    /// `/metrics`.
    Metrics(Metrics),
    /// `/healthz`: 200 while the process runs. `/readyz`: 200 when every gate is open, else 503 and their names.
    Health(Readiness),
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Status.
    pub status: StatusCode,
    /// Body, plain text.
    pub text: String,
}

/// Opens a port.
///
/// # Errors
/// If the port is taken.
pub async fn bind(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port))).await
}

/// Answers until `stop` is cancelled.
pub async fn serve(listener: TcpListener, pages: Pages, stop: CancellationToken) {
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (stream, _) = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                warn!(%error, "failed to accept a connection");
                // Out of file descriptors: accept would fail again at once.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let pages = pages.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let page = pages.page(request.uri().path());
            async move { Ok::<_, Infallible>(page.into_response()) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        let stop = stop.clone();
        connections.spawn(async move {
            if let Some(Err(error)) = stop.run_until_cancelled(connection).await {
                debug!(%error, "a connection ended early");
            }
        });
    }
    connections.close();
    connections.wait().await;
}

impl Pages {
    /// The answer for a path.
    #[must_use]
    pub fn page(&self, path: &str) -> Page {
        match (self, path) {
            (Self::Metrics(metrics), "/metrics") => show(metrics),
            (Self::Health(_), "/healthz") => Page::new(StatusCode::OK, "ok"),
            (Self::Health(readiness), "/readyz") => match readiness.closed().join(", ") {
                waiting if waiting.is_empty() => Page::new(StatusCode::OK, "ok"),
                waiting => Page::new(StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {waiting}")),
            },
            (Self::Metrics(_) | Self::Health(_), _) => Page::new(StatusCode::NOT_FOUND, "not found"),
        }
    }
}

impl Page {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(self.text));
        *response.status_mut() = self.status;
        let kind = http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}

fn show(metrics: &Metrics) -> Page {
    match metrics.text() {
        Ok(text) => Page::new(StatusCode::OK, text),
        Err(error) => {
            Page::new(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to write metrics: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry;

    #[test]
    fn metrics_name_the_build() {
        let pages = Pages::Metrics(Metrics::of_process().unwrap());
        let page = pages.page("/metrics");
        assert_eq!(page.status, StatusCode::OK);
        let line = format!("argo_rollouts_controller_info{{version=\"{}\"}} 1", telemetry::VERSION);
        assert!(page.text.contains(&line), "{}", page.text);
        assert!(page.text.contains("\ngo_memstats_heap_alloc_bytes "), "{}", page.text);
        assert_eq!(pages.page("/").status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn health_does_not_wait_and_readiness_names_what_it_waits_for() {
        let readiness = Readiness::default();
        let gate = readiness.gate("rollouts");
        let pages = Pages::Health(readiness);
        assert_eq!(pages.page("/healthz"), Page::new(StatusCode::OK, "ok"));
        assert_eq!(pages.page("/readyz").status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(pages.page("/readyz").text, "waiting for: rollouts");
        gate.open();
        assert_eq!(pages.page("/readyz"), Page::new(StatusCode::OK, "ok"));
    }
}
