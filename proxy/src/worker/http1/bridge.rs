//! Endpoints that speak HTTP/2, for clients that speak HTTP/1.1. hyper has the connections to them, which many requests
//! share.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, HOST},
};
use hyper::body::{Body as _, Frame, Incoming};
use proxy_core::{
    answer::Reason,
    forward,
    retry::{self, Failure},
};
use proxy_http1::{Asked, Framing, write};
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::debug;

use super::{
    attempt::{Answered, Failed, Trying, Unanswered, Waits},
    client::write_opened,
    connection::Connection,
    exchange::Plan,
    origin::Origin,
    peer::Peer,
    sink::Sink,
    transfer::{Broken, Transfer},
};
use crate::worker::{
    body::{Progress, Upload},
    copy::{self, Tee},
    pool::InFlight,
    reply::Offer,
    tries::Tries,
    tunnel::Protocol,
    upstream::{Sender, connect, failure},
    websocket,
};

/// A response that comes in a stream of HTTP/2, and the way on which the rest of its request goes there.
pub(super) struct Bridge {
    sender: Sender,
    feed: Option<Feed>,
    incoming: Incoming,
    /// How the client gets it.
    framing: Framing,
    ended: bool,
    moved: bool,
}

/// The body of a request on its way to hyper, which asks for each piece.
struct Feed {
    tee: Tee,
    ended: bool,
}

impl Sink for Feed {
    fn has_room(&self) -> bool {
        self.tee.is_wanted()
    }

    fn content(&mut self, _: Framing, piece: &[u8], _: &mut Context<'_>) -> io::Result<()> {
        self.tee.push(&Frame::data(Bytes::copy_from_slice(piece)));
        Ok(())
    }

    fn end(&mut self, _: Framing, trailers: &[u8]) {
        if let Some(trailers) = fields(trailers) {
            self.tee.push(&Frame::trailers(trailers));
        }
        self.tee.finish();
        self.ended = true;
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ended { Poll::Ready(Ok(())) } else { self.tee.poll_wanted(context).map_err(io::Error::other) }
    }
}

/// The fields of a trailer section that may go on.
pub(super) fn fields(section: &[u8]) -> Option<HeaderMap> {
    let mut text = Vec::new();
    write::last_chunk(&mut text, section);
    let text = text.strip_prefix(b"0\r\n")?;
    let mut fields = HeaderMap::new();
    for line in text.split(|it| *it == b'\n').filter_map(|it| it.strip_suffix(b"\r")) {
        if let Some(colon) = line.iter().position(|it| *it == b':')
            && let Ok(name) = HeaderName::from_bytes(&line[..colon])
            && let Ok(value) = HeaderValue::from_bytes(line[colon + 1..].trim_ascii())
        {
            fields.append(name, value);
        }
    }
    (!fields.is_empty()).then_some(fields)
}

/// Fields as a trailer section.
pub(super) fn section(fields: &HeaderMap) -> Vec<u8> {
    let mut section = Vec::new();
    for (name, value) in fields {
        write::field(&mut section, name.as_str(), value.as_bytes());
    }
    write::end_of_head(&mut section);
    section
}

impl Bridge {
    pub(super) fn poll_upload<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        upload: &mut Transfer,
        client: &mut Peer<S>,
        scratch: &mut [u8],
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        match &mut self.feed {
            Some(feed) => upload.poll(client, feed, scratch, context),
            None => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn poll_download<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        client: &mut Peer<S>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            // What the client does not read is not asked for either.
            ready!(client.poll_flush(context)).map_err(Broken::Sink)?;
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context)).transpose();
            self.moved = true;
            let frame = frame.map_err(|error| Broken::Source(io::Error::other(error)))?;
            match frame.map(Frame::into_data) {
                Some(Ok(piece)) => {
                    client.content(self.framing, &piece, context).map_err(Broken::Sink)?;
                    self.ended = self.incoming.is_end_stream();
                    if self.ended {
                        client.end(self.framing, &[]);
                    }
                }
                Some(Err(other)) => {
                    if let Ok(trailers) = other.into_trailers() {
                        client.end(self.framing, &section(&trailers));
                        self.ended = true;
                    }
                }
                None => {
                    client.end(self.framing, &[]);
                    self.ended = true;
                }
            }
        }
    }

    pub(super) fn has_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    pub(super) fn into_sender(self) -> Sender {
        self.sender
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// One try at an endpoint that speaks HTTP/2.
    pub(super) async fn once_bridged(
        &mut self,
        plan: &Plan<'_>,
        upload: &mut Transfer,
        tries: &Tries<'_>,
        waits: &mut Waits,
        in_flight: InFlight,
        answered: &mut Option<Answered>,
    ) -> Result<StatusCode, Failed> {
        let worker = Rc::clone(&self.worker);
        let Some(head) = self.head(plan) else {
            return Err(Failed::Given(Unanswered::Because(Reason::HeadTooLarge)));
        };
        let endpoint = &in_flight.endpoint;
        let mut trying = Trying::new(tries, !upload.is_over());
        let pooled = if tries.may_reuse() { worker.pool.borrow_mut().take(endpoint.id) } else { None };
        let (mut sender, connection) = if let Some(sender) = pooled {
            (sender, retry::Connection::Pooled)
        } else {
            let connecting = connect(&worker, &plan.arm.cluster, endpoint, tries.may_reuse());
            self.connected(connecting, &trying, waits, &in_flight).await?
        };
        // What comes after a body is another matter.
        let offers = plan.offers == Some(Protocol::WebSocket) && upload.is_over();
        if offers {
            sender.settled().await;
        }
        let progress = Rc::new(Progress::default());
        let (body, mut feed) = if upload.is_over() {
            (Upload::nothing(&progress), None)
        } else {
            let (tee, follower) = copy::pipe(plan.size());
            (Upload::fed(follower, &progress), Some(Feed { tee, ended: false }))
        };
        let mut request = http::Request::from_parts(head, body);
        let host = plan.host_at(&endpoint.address).and_then(|it| HeaderValue::from_str(&it).ok());
        if let Some(host) = host {
            request.headers_mut().insert(HOST, host);
        }
        if offers {
            request.extensions_mut().insert(Offer);
        }
        self.invite(plan);
        let outcome = {
            let mut responding = pin!(sender.send(Box::new(request)));
            poll_fn(|context| {
                let scratch = &mut **worker.scratch.borrow_mut();
                if let Some(feed) = &mut feed {
                    self.send(upload, feed, &mut trying.sending, waits, scratch, context)?;
                }
                self.flush_invitation(context)?;
                if let Poll::Ready(outcome) = responding.as_mut().poll(context) {
                    return Poll::Ready(Ok(outcome));
                }
                self.poll_over(&trying, waits, scratch, context).map(Err)
            })
            .await?
        };
        let mut response = outcome.map_err(|mut error| {
            debug!(address = ?endpoint.address, error = %error.error(), "exchange failed");
            let failed = error.take_message().map(|_| Failure::Unsent);
            Failed::Because(failed.unwrap_or_else(|| failure(error.error(), connection)))
        })?;
        waits.moved();
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            let opened = websocket::open(&mut response).await;
            let opened = opened.ok_or(Failed::Because(Failure::Protocol))?;
            let mut answer = self.answer(plan, &in_flight, status, Framing::None);
            answer.switch = Some(Protocol::WebSocket);
            forward::prepare_response(response.headers_mut());
            write_opened(&mut self.peer.output.bytes, response.headers());
            let origin = Origin::Opened(Box::new(opened));
            *answered = Some(Answered { answer, origin, in_flight, sending: trying.sending });
            return Ok(status);
        }
        if upload.is_untouched() && tries.discards(status) {
            return Err(Failed::Discarded(status));
        }
        let (mut parts, incoming) = response.into_parts();
        let (framing, length) = framing(&parts.headers, status, plan.client.asked, &incoming);
        forward::prepare_response(&mut parts.headers);
        let framing = plan.client.framing(framing);
        let reason = status.canonical_reason().unwrap_or_default();
        let mut answer = self.answer(plan, &in_flight, status, framing);
        self.write_answer(plan, &mut answer, (reason, parts.headers), (framing, length));
        let ended = framing == Framing::None;
        let bridge = Bridge { sender, feed, incoming, framing, ended, moved: false };
        let origin = Origin::Http2(Box::new(bridge));
        *answered = Some(Answered { answer, origin, in_flight, sending: trying.sending });
        Ok(status)
    }
}

/// How the body comes, and how long it would be where there is none (RFC 9110 §8.6).
fn framing(
    headers: &HeaderMap,
    status: StatusCode,
    asked: Asked,
    incoming: &Incoming,
) -> (Framing, Option<u64>) {
    let said = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    match (asked, status) {
        (_, StatusCode::NO_CONTENT) => (Framing::None, None),
        (Asked::Head, _) | (_, StatusCode::NOT_MODIFIED) => (Framing::None, said),
        (Asked::Other, _) => (incoming.size_hint().exact().map_or(Framing::Chunked, Framing::Length), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_have_the_same_meaning_in_both_forms() {
        let read = fields(b"x-sum: 1\r\nHost: evil\r\nX-Sum: 2\r\ncontent-length: 9\r\n\r\n").unwrap();
        assert_eq!(section(&read), b"x-sum: 1\r\nx-sum: 2\r\n\r\n");
        assert_eq!(fields(b""), None);
    }
}
