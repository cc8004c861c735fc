//! One question to one endpoint, on a connection of its own.

use std::io;

use bytes::{Buf as _, Bytes};
use http::{
    HeaderValue, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_TYPE, HOST, TE, USER_AGENT},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::TokioIo;
use prost::Message;
use proxy_config::model::{Address, GrpcQuestion, HttpQuestion, Question, UpstreamProtocol};
use proxy_core::{filters::Edits, snapshot::Cluster};

use crate::{
    tls::Table,
    worker::{Local, authority, open},
};

/// How servers know who asks.
const AGENT: &str = "sluice-proxy (health check)";
/// How much of an answer of gRPC is read.
const MOST: usize = 4 * 1024;

/// Why an answer is no good one.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("failed to connect: {0}")]
    Connect(#[source] io::Error),
    #[error("failed to write the request: {0}")]
    Request(#[from] http::Error),
    #[error("failed to get an answer: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("the status is {0}")]
    Status(StatusCode),
    #[error("gRPC's status is {0}")]
    GrpcStatus(String),
    #[error("the answer of gRPC's health service cannot be read")]
    Unreadable,
    #[error("the service says that it is {0}, not serving")]
    NotServing(i32),
}

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `ServingStatus.SERVING`.
const SERVING: i32 = 1;

/// Asks, and says why the answer is not good.
pub(super) async fn ask(
    question: &Question,
    cluster: &Cluster,
    address: &Address,
    tls: &Table,
) -> Result<(), Unfit> {
    match question {
        Question::Http(question) => ask_http(question, cluster, address, tls).await,
        Question::Grpc(question) => ask_grpc(question, cluster, address, tls).await,
    }
}

async fn ask_http(
    question: &HttpQuestion,
    cluster: &Cluster,
    address: &Address,
    tls: &Table,
) -> Result<(), Unfit> {
    let HttpQuestion { path, host, request_headers, statuses } = question;
    let host = host.clone().unwrap_or_else(|| authority(address));
    let mut request = Request::get(path.as_str()).header(USER_AGENT, AGENT).body(Full::default())?;
    Edits::new(request_headers).apply(request.headers_mut(), None, None);
    let response = exchange(request, &host, cluster, address, tls).await?;
    let status = response.status();
    let is_good = statuses.iter().any(|(first, last)| (*first..=*last).contains(&status.as_u16()));
    if is_good { Ok(()) } else { Err(Unfit::Status(status)) }
}

async fn ask_grpc(
    question: &GrpcQuestion,
    cluster: &Cluster,
    address: &Address,
    tls: &Table,
) -> Result<(), Unfit> {
    let GrpcQuestion { service, authority: host } = question;
    let host = host.clone().unwrap_or_else(|| authority(address));
    let message = HealthCheckRequest { service: service.clone() }.encode_to_vec();
    // Not compressed, its length, the message (gRPC over HTTP/2, "Length-Prefixed-Message").
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    let body = [&[0][..], &length, &message].concat();
    let request = Request::post("/grpc.health.v1.Health/Check")
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .body(Full::new(Bytes::from(body)))?;
    let (parts, body) = exchange(request, &host, cluster, address, tls).await?.into_parts();
    if parts.status != StatusCode::OK {
        return Err(Unfit::Status(parts.status));
    }
    let body = Limited::new(body, MOST).collect().await.map_err(|_| Unfit::Unreadable)?;
    let status =
        body.trailers().and_then(|it| it.get("grpc-status")).or_else(|| parts.headers.get("grpc-status"));
    match status.and_then(|it| it.to_str().ok()) {
        Some("0") => {}
        other => return Err(Unfit::GrpcStatus(other.unwrap_or("missing").to_owned())),
    }
    let mut bytes = body.to_bytes();
    if bytes.len() < 5 {
        return Err(Unfit::Unreadable);
    }
    bytes.advance(5);
    let HealthCheckResponse { status } = HealthCheckResponse::decode(bytes).map_err(|_| Unfit::Unreadable)?;
    if status == SERVING { Ok(()) } else { Err(Unfit::NotServing(status)) }
}

/// One request on a connection of its own, which ends with the response.
async fn exchange(
    mut request: Request<Full<Bytes>>,
    host: &str,
    cluster: &Cluster,
    address: &Address,
    tls: &Table,
) -> Result<Response<Incoming>, Unfit> {
    let stream = open(tls, cluster, address).await.map_err(Unfit::Connect)?;
    let is_secure = stream.is_secure();
    let io = TokioIo::new(stream);
    // Whoever has the sender sees the errors of the connection too, and ends it.
    if cluster.protocol == UpstreamProtocol::Http1 {
        let value = HeaderValue::from_str(host).map_err(http::Error::from)?;
        request.headers_mut().insert(HOST, value);
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        let (mut sender, connection) = http1::handshake(io).await?;
        tokio::task::spawn_local(async move { drop(connection.await) });
        return Ok(sender.send_request(request).await?);
    }
    let scheme = if is_secure { "https" } else { "http" };
    let path = request.uri().path_and_query().cloned();
    let path = path.as_ref().map_or("/", |it| it.as_str());
    let uri = http::Uri::builder().scheme(scheme).authority(host).path_and_query(path).build()?;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    let (mut sender, connection) = http2::handshake(Local, io).await?;
    tokio::task::spawn_local(async move { drop(connection.await) });
    Ok(sender.send_request(request).await?)
}
