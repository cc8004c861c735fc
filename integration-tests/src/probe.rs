//! One kept connection to one pod, for those who measure it.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, ensure};
use http::{Request, Response, header::HOST};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;

use crate::{connection, tally::VERSION_HEADER};

/// The port on which proxies accept requests.
const PROXY_PORT: u16 = 8080;

/// A connection to one proxy that asks for one path again and again.
#[derive(Debug)]
pub struct Probe {
    address: SocketAddr,
    path: String,
    sender: Option<connection::Sender>,
}

impl Probe {
    /// Nothing is connected before the first question.
    #[must_use]
    pub fn new(proxy: IpAddr, path: &str) -> Self {
        Self { address: (proxy, PROXY_PORT).into(), path: path.to_owned(), sender: None }
    }

    /// Whom it asks.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Which version of the application answers; `None` if the proxy answers itself.
    pub async fn version(&mut self) -> anyhow::Result<Option<String>> {
        let ready = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            self.sender = Some(connect(self.address).await?);
        }
        let sender = self.sender.as_mut().context("failed to keep a connection")?;
        let response = get(sender, &self.path).await?;
        let version =
            response.headers().get(VERSION_HEADER).and_then(|it| it.to_str().ok()).map(str::to_owned);
        response.into_body().collect().await.context("failed to read an answer")?;
        Ok(version)
    }
}

/// The resident memory of the program behind `/metrics`, in bytes.
pub async fn resident_bytes(address: SocketAddr) -> anyhow::Result<u64> {
    let text = metrics(address).await?;
    let value = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    value.and_then(|value| value.parse().ok()).with_context(|| format!("{address} does not tell its memory"))
}

/// What a program says at `/metrics`.
pub(crate) async fn metrics(address: SocketAddr) -> anyhow::Result<String> {
    page(address, "/metrics").await
}

/// What a program says at a path; an answer that is not a success is an error.
pub(crate) async fn page(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut sender = connect(address).await?;
    let answer = get(&mut sender, path).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await.with_context(|| format!("failed to read {path}"))?;
    let text = String::from_utf8(body.to_bytes().into()).with_context(|| format!("{path} is not UTF-8"))?;
    ensure!(status.is_success(), "{address} answers {status} to {path}: {text}");
    Ok(text)
}

/// Whether a program is there and says that it is ready.
pub(crate) async fn ready(address: SocketAddr) -> bool {
    let Ok(mut sender) = connect(address).await else { return false };
    get(&mut sender, "/readyz").await.is_ok_and(|answer| answer.status().is_success())
}

async fn get(sender: &mut connection::Sender, path: &str) -> anyhow::Result<Response<Incoming>> {
    let request =
        Request::get(path).header(HOST, "bench").body(Empty::new()).context("failed to make a request")?;
    sender.send_request(request).await.context("failed to get an answer")
}

async fn connect(address: SocketAddr) -> anyhow::Result<connection::Sender> {
    connection::open(address).await.with_context(|| format!("failed to reach {address}"))
}
