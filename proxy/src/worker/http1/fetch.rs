//! Endpoints that speak HTTP/1.1, for requests that hyper has read or that are copies: one exchange, on a connection that is
//! ours for it.

mod rest;
mod sending;

use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, ready},
};

use http::{
    Method, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, HeaderValue},
};
use hyper::body::Body as _;
use proxy_core::retry::{self, Failure};
use proxy_http1::{Asked, Body, Framing, HeadEnd, Kind, Malformed, Room};
use tracing::debug;

pub(in crate::worker) use self::rest::Rest;
use self::{rest::Arriving, sending::Sending};
use super::{
    answer::MAX_INTERIM,
    head::{headers, write_request},
    pool::Upstream,
    transfer::MOST,
};
use crate::worker::{
    Worker,
    body::Upload,
    connection::MAX_HEAD,
    reply::{Failed, Offer},
    websocket::WEBSOCKET,
};

/// Sends a request on a connection, which nobody else uses meanwhile, and reads the head of its response. The body comes
/// as it is asked for, and with it goes what is left of the request's.
pub(in crate::worker) async fn fetch(
    worker: &Rc<Worker>,
    mut upstream: Upstream,
    connection: retry::Connection,
    mut request: Box<Request<Upload>>,
) -> Result<Response<Rest>, Failed> {
    let framing = framing(&request);
    upstream.output.begin();
    let parts = (request.method(), request.uri(), request.headers());
    let offers = request.extensions().get::<Offer>().is_some();
    write_request(&mut upstream.output.bytes, parts, offers.then_some(WEBSOCKET.as_bytes()), framing);
    let head = upstream.output.len();
    let mut sending = Sending::new(framing);
    let mut reading = Reading::new(request.method(), offers);
    let read = poll_fn(|context| {
        let scratch = &mut **worker.scratch.borrow_mut();
        if let Poll::Ready(Err(error)) = sending.poll(request.body_mut(), &mut upstream, context) {
            debug!(%error, "a request breaks off");
            return Poll::Ready(Err(Failure::Broken(connection)));
        }
        if sending.is_refused() {
            if upstream.output.len() >= head && !sending.has_begun() {
                return Poll::Ready(Err(Failure::Unsent));
            }
            // It may have answered all the same.
            upstream.output.use_up(upstream.output.len());
        }
        reading.poll(&mut upstream, connection, scratch, context)
    })
    .await;
    match read {
        Ok((response, arriving)) => {
            let (_, upload) = request.into_parts();
            Ok(response.map(|()| Rest::new(worker, upstream, (upload, sending), arriving)))
        }
        Err(failure) => {
            let request = (!sending.has_begun()).then_some(request);
            Err(Failed { failure, request })
        }
    }
}

/// How the body of a request goes. One of known size says so, also an empty one where that is unusual (RFC 9110 §8.6).
fn framing(request: &Request<Upload>) -> Framing {
    let body = request.body();
    let usually_empty = ![Method::POST, Method::PUT, Method::PATCH].contains(request.method());
    match body.size_hint().exact() {
        Some(0) if usually_empty => Framing::None,
        Some(length) => Framing::Length(length),
        None if body.is_end_stream() => Framing::None,
        None => Framing::Chunked,
    }
}

/// What has been seen of a response.
struct Reading {
    asked: Asked,
    /// Whether it may switch to another protocol.
    may_switch: bool,
    end: HeadEnd,
    interim: u32,
}

impl Reading {
    fn new(method: &Method, may_switch: bool) -> Self {
        let (asked, end) = (Asked::by(method.as_str()), HeadEnd::new(Kind::Response));
        Self { asked, may_switch, end, interim: 0 }
    }

    /// Reads until the head is there that counts.
    fn poll(
        &mut self,
        upstream: &mut Upstream,
        connection: retry::Connection,
        scratch: &mut [u8],
        context: &mut Context<'_>,
    ) -> Poll<Result<(Response<()>, Arriving), Failure>> {
        loop {
            let read = self.read(upstream).map_err(|error| {
                debug!(%error, "an upstream does not speak HTTP");
                Failure::Protocol
            });
            if let Some(read) = read? {
                return Poll::Ready(read);
            }
            if !matches!(ready!(upstream.poll_fill(context, scratch)), Ok(1..)) {
                return Poll::Ready(Err(Failure::Broken(connection)));
            }
        }
    }

    #[expect(clippy::type_complexity, reason = "not yet, not HTTP, no answer, or one: each is handled apart")]
    fn read(
        &mut self,
        upstream: &mut Upstream,
    ) -> Result<Option<Result<(Response<()>, Arriving), Failure>>, Malformed> {
        while !upstream.input.is_empty() {
            let Some((begin, end)) = self.end.find(upstream.input.rest(), MAX_HEAD)? else { return Ok(None) };
            let mut room = Room::new();
            let head = &upstream.input.rest()[begin..end];
            let read = proxy_http1::Response::parse(head, &mut room, self.asked)?;
            if read.is_interim() {
                self.interim += 1;
                if self.interim > MAX_INTERIM {
                    return Ok(Some(Err(Failure::Protocol)));
                }
                self.end = HeadEnd::new(Kind::Response);
                upstream.input.use_up(end);
                continue;
            }
            let offered = self.may_switch
                && read.upgrade.is_some_and(|it| it.eq_ignore_ascii_case(WEBSOCKET.as_bytes()));
            // The codec lets no other status through.
            let status = StatusCode::from_u16(read.status).ok();
            let status = status.filter(|it| *it != StatusCode::SWITCHING_PROTOCOLS || offered);
            let Some((status, headers)) = status.zip(headers(read.fields.end_to_end())) else {
                return Ok(Some(Err(Failure::Protocol)));
            };
            let mut response = Response::new(());
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            if let Some(length) = read.length {
                response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            let body = Body::new(read.framing, MOST)?;
            let arriving = Arriving::new(body, read.framing, read.persistence);
            upstream.input.use_up(end);
            return Ok(Some(Ok((response, arriving))));
        }
        Ok(None)
    }
}
