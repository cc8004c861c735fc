//! One kept connection to one pod, for those who measure it.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, ensure};
use http::{Request, Response, StatusCode, header::HOST};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;

use crate::{connection, tally::VERSION_HEADER};

/// The port on which proxies accept requests.
const PROXY_PORT: u16 = 8080;

/// A connection to one proxy that asks for one path again and again, or for one after the other.
#[derive(Debug)]
pub struct Probe {
    address: SocketAddr,
    host: String,
    path: String,
    sender: Option<connection::Sender>,
}

impl Probe {
    /// Nothing is connected before the first question.
    #[must_use]
    pub fn new(proxy: IpAddr, path: &str) -> Self {
        Self::at((proxy, PROXY_PORT).into(), "bench", path)
    }

    /// One for a host at a port of its own.
    #[must_use]
    pub fn at(address: SocketAddr, host: &str, path: &str) -> Self {
        Self { address, host: host.to_owned(), path: path.to_owned(), sender: None }
    }

    /// Asks for another path from now on.
    pub fn turn_to(&mut self, path: &str) {
        path.clone_into(&mut self.path);
    }

    /// Whom it asks.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Which version of the application answers; `None` if the proxy answers itself.
    pub async fn version(&mut self) -> anyhow::Result<Option<String>> {
        let response = self.ask().await?;
        let version =
            response.headers().get(VERSION_HEADER).and_then(|it| it.to_str().ok()).map(str::to_owned);
        response.into_body().collect().await.context("failed to read an answer")?;
        Ok(version)
    }

    /// How the question is answered, by whomever.
    pub async fn status(&mut self) -> anyhow::Result<StatusCode> {
        let response = self.ask().await?;
        let status = response.status();
        response.into_body().collect().await.context("failed to read an answer")?;
        Ok(status)
    }

    async fn ask(&mut self) -> anyhow::Result<Response<Incoming>> {
        let ready = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            self.sender = Some(connect(self.address).await?);
        }
        let sender = self.sender.as_mut().context("failed to keep a connection")?;
        get(sender, &self.host, &self.path).await
    }
}

/// The resident memory of the program behind `/metrics`, in bytes.
pub async fn resident_bytes(address: SocketAddr) -> anyhow::Result<u64> {
    let text = metrics(address).await?;
    resident(&text).with_context(|| format!("{address} does not tell its memory"))
}

/// Programs in Go write `1.5e+08`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole numbers of bytes, below 2^53"
)]
fn resident(metrics: &str) -> Option<u64> {
    let value = metrics.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "))?;
    value.parse::<f64>().ok().map(|bytes| bytes as u64)
}

/// What a program says at `/metrics`.
pub(crate) async fn metrics(address: SocketAddr) -> anyhow::Result<String> {
    page(address, "/metrics").await
}

/// What a program says at a path; an answer that is not a success is an error.
pub(crate) async fn page(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut sender = connect(address).await?;
    let answer = get(&mut sender, "bench", path).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await.with_context(|| format!("failed to read {path}"))?;
    let text = String::from_utf8(body.to_bytes().into()).with_context(|| format!("{path} is not UTF-8"))?;
    ensure!(status.is_success(), "{address} answers {status} to {path}: {text}");
    Ok(text)
}

/// Whether a program is there and says that it is ready.
pub(crate) async fn ready(address: SocketAddr) -> bool {
    let Ok(mut sender) = connect(address).await else { return false };
    get(&mut sender, "bench", "/readyz").await.is_ok_and(|answer| answer.status().is_success())
}

async fn get(sender: &mut connection::Sender, host: &str, path: &str) -> anyhow::Result<Response<Incoming>> {
    let request =
        Request::get(path).header(HOST, host).body(Empty::new()).context("failed to make a request")?;
    sender.send_request(request).await.context("failed to get an answer")
}

async fn connect(address: SocketAddr) -> anyhow::Result<connection::Sender> {
    connection::open(address).await.with_context(|| format!("failed to reach {address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_as_rust_and_as_go_write_it() {
        assert_eq!(resident("a 1\nprocess_resident_memory_bytes 114626560\n"), Some(114_626_560));
        assert_eq!(resident("process_resident_memory_bytes 1.1462656e+08\n"), Some(114_626_560));
        assert_eq!(resident("process_resident_memory_bytes_total 5\n"), None);
    }
}
