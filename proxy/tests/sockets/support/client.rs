//! Clients.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::{Body, Incoming},
    client::conn::{
        http1::{self, SendRequest},
        http2,
    },
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::within;

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// One connection that stays open.
pub(crate) struct Client<B> {
    sender: SendRequest<B>,
}

impl Reply {
    /// A header's text; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }

    /// Status and reason of an answer that the proxy gave by itself.
    pub(crate) fn reason(&self) -> (u16, &str) {
        (self.status, self.header("x-sluice-reason"))
    }

    pub(crate) async fn read(response: Response<Incoming>) -> Result<Self, hyper::Error> {
        let (parts, body) = response.into_parts();
        let body = within(body.collect()).await?.to_bytes();
        Ok(Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

impl<B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static>
    Client<B>
{
    pub(crate) async fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender })
    }

    pub(crate) async fn send(&mut self, request: Request<B>) -> Result<Response<Incoming>, hyper::Error> {
        self.sender.ready().await?;
        within(self.sender.send_request(request)).await
    }
}

impl Client<Empty<Bytes>> {
    pub(crate) async fn get(&mut self, path: &str) -> Result<Reply, hyper::Error> {
        let request = Request::get(path).header("host", "example.org").body(Empty::new()).unwrap();
        Reply::read(self.send(request).await?).await
    }
}

/// One request on a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Reply {
    get_from(address, "example.org", path).await.unwrap()
}

pub(crate) async fn get_from(
    address: SocketAddr,
    host: &str,
    path: &str,
) -> Result<Reply, Box<dyn std::error::Error>> {
    let mut client = Client::connect(address).await?;
    let request = Request::get(path).header("host", host).body(Empty::<Bytes>::new())?;
    Ok(Reply::read(client.send(request).await?).await?)
}

/// The answers to one request for `example.org` over HTTP/1.1 and over HTTP/2.
pub(crate) async fn ask_both(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> [Reply; 2] {
    let request = |uri: String| {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request
    };
    let mut client = Client::connect(address).await.unwrap();
    let first = request(path.to_owned()).header("host", "example.org").body(Empty::<Bytes>::new()).unwrap();
    let first = Reply::read(client.send(first).await.unwrap()).await.unwrap();
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let second = request(format!("http://example.org{path}")).body(Empty::<Bytes>::new()).unwrap();
    let second = Reply::read(within(sender.send_request(second)).await.unwrap()).await.unwrap();
    [first, second]
}

/// Sends these bytes and reads until the proxy closes.
pub(crate) async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    within(stream.read_to_end(&mut response)).await.unwrap();
    String::from_utf8_lossy(&response).into_owned()
}
