//! `/healthz`, `/readyz` and `/metrics`.

use std::{convert::Infallible, rc::Rc, time::Duration};

use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tracing::{debug, warn};

use super::State;
use crate::telemetry;

/// How long the answer of `/readyz` may wait: less than the second that a probe has by default.
const PATIENCE: Duration = Duration::from_millis(800);
/// How often it is looked meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// Answers for ever.
pub(crate) async fn run(state: Rc<State>, listener: TcpListener) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "failed to accept on the admin port");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let state = Rc::clone(&state);
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| {
                let state = Rc::clone(&state);
                async move {
                    if request.uri().path() == "/readyz" {
                        begun(&state).await;
                    }
                    Ok::<_, Infallible>(answer(&state, &request))
                }
            });
            if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
                debug!(%error, "admin connection ended");
            }
        });
    }
}

/// Waits for the first configuration, for a while. A kubelet asks once a second at most, and first when the process has
/// started: without this a proxy would take traffic a second later than it could.
async fn begun(state: &State) {
    let begun = async {
        while !state.has_begun() {
            tokio::time::sleep(LOOK).await;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, begun).await;
}

fn answer(state: &State, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let plain = "text/plain; charset=utf-8";
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, plain, "ok\n".into()),
        "/readyz" => match state.not_ready() {
            None => text(StatusCode::OK, plain, "ready\n".into()),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, plain, format!("not ready: {why}\n")),
        },
        "/metrics" => match metrics(state, request.uri().query()) {
            Ok(page) => text(StatusCode::OK, "text/plain; version=0.0.4", page),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, plain, format!("{error}\n")),
        },
        _ => text(StatusCode::NOT_FOUND, plain, "sluice-proxy: /healthz /readyz /metrics\n".into()),
    }
}

/// With the query `latencies=arms` every arm and version has a histogram of its own.
fn metrics(state: &State, query: Option<&str>) -> Result<String, prometheus::Error> {
    let arm_latencies = query.is_some_and(|it| it.split('&').any(|it| it == "latencies=arms"));
    let page = telemetry::Page {
        shared: &state.shared,
        builder: &state.builder(),
        served: state.served(),
        stream_is_up: state.stream_is_up.get(),
        streams_failed: state.streams_failed.get(),
        ready: state.not_ready().is_none(),
        commits_taken: state.commits_taken.get(),
        commits_refused: state.commits_refused.get(),
        tls_unusable: state.tls_unusable(),
        listeners: state
            .listeners()
            .open()
            .map(|(id, port)| (id.to_string(), port, true))
            .chain(state.listeners().failed().map(|(id, port, _)| (id.to_string(), port, false)))
            .collect(),
        arm_latencies,
    };
    page.render()
}

fn text(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}
