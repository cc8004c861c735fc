//! What is left of an exchange once the head of its response has come.

#![expect(clippy::similar_names, reason = "content and context are what they are called everywhere")]

use std::{
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Frame, SizeHint};
use proxy_http1::{Body, Framing, Malformed, Part, Persistence};

use super::sending::Sending;
use crate::worker::{
    Worker,
    body::{BodyError, Upload},
    http1::{bridge::fields, peer::Peer, pool::Upstream},
    pool::InFlight,
    stream::Stream,
    tunnel::Prefixed,
};

/// The body of a response, and the rest of its request.
#[derive(Debug)]
pub(in crate::worker) struct Rest {
    worker: Rc<Worker>,
    upstream: Upstream,
    upload: Upload,
    sending: Sending,
    arriving: Arriving,
}

/// How the body of a response comes.
#[derive(Debug)]
pub(super) struct Arriving {
    body: Body,
    size: SizeHint,
    trailers: Option<HeaderMap>,
    ended: bool,
    /// Of the connection, once the body has ended.
    persistence: Persistence,
}

impl Arriving {
    pub(super) fn new(body: Body, framing: Framing, persistence: Persistence) -> Self {
        let size = match framing {
            Framing::None => SizeHint::with_exact(0),
            Framing::Length(length) => SizeHint::with_exact(length),
            Framing::Chunked | Framing::UntilClose => SizeHint::default(),
        };
        let ended = body.is_over();
        Self { body, size, trailers: None, ended, persistence }
    }

    /// Takes what it can from the front of `bytes`: how much that was, and the content in it.
    fn take(&mut self, bytes: &[u8]) -> Result<(usize, Bytes), Malformed> {
        let (mut taken, mut content) = (0, Vec::new());
        while !self.ended {
            let step = self.body.step(&bytes[taken..])?;
            taken += step.taken;
            match step.part {
                None => break,
                // Pieces that came together go on together.
                Some(Part::Content(piece)) => {
                    content.extend_from_slice(piece);
                    self.ended = self.body.is_over();
                }
                Some(Part::Trailers(section)) => {
                    self.trailers = fields(section);
                    self.ended = true;
                }
                Some(Part::End) => self.ended = true,
            }
        }
        Ok((taken, content.into()))
    }
}

impl Rest {
    pub(super) fn new(
        worker: &Rc<Worker>,
        upstream: Upstream,
        (upload, sending): (Upload, Sending),
        arriving: Arriving,
    ) -> Self {
        Self { worker: Rc::clone(worker), upstream, upload, sending, arriving }
    }

    /// The next piece of the body, as [`hyper::body::Body::poll_frame`].
    pub(in crate::worker) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(Err(error)) = self.sending.poll(&mut self.upload, &mut self.upstream, context) {
            return Poll::Ready(Some(Err(error)));
        }
        let worker = Rc::clone(&self.worker);
        let scratch = &mut **worker.scratch.borrow_mut();
        loop {
            if self.arriving.ended {
                let trailers = self.arriving.trailers.take();
                return Poll::Ready(trailers.map(|it| Ok(Frame::trailers(it))));
            }
            let content = match self.content(scratch, context) {
                Poll::Ready(content) => content,
                Poll::Pending => return Poll::Pending,
            };
            match content {
                Ok(content) if content.is_empty() => {}
                content => return Poll::Ready(Some(content.map(Frame::data))),
            }
        }
    }

    /// Content that has come already, or comes now; empty if that is its end or frames it only.
    fn content(&mut self, scratch: &mut [u8], context: &mut Context<'_>) -> Poll<Result<Bytes, BodyError>> {
        let Self { upstream, arriving, .. } = self;
        if !upstream.input.is_empty() {
            let (taken, content) = arriving.take(upstream.input.rest())?;
            upstream.input.use_up(taken);
            if arriving.ended || !content.is_empty() {
                return Poll::Ready(Ok(content));
            }
        }
        let length = ready!(upstream.poll_read(context, scratch)).map_err(BodyError::Receive)?;
        if length == 0 {
            if !arriving.body.may_end_with_connection() {
                return Poll::Ready(Err(BodyError::Cut));
            }
            arriving.ended = true;
        } else if upstream.input.is_empty() {
            let (taken, content) = arriving.take(&scratch[..length])?;
            upstream.input.extend(&scratch[taken..length]);
            return Poll::Ready(Ok(content));
        } else {
            // What came before could not be taken without more.
            upstream.input.extend(&scratch[..length]);
        }
        Poll::Ready(Ok(Bytes::new()))
    }

    /// Whether there is nothing more.
    pub(in crate::worker) fn is_end_stream(&self) -> bool {
        self.arriving.ended && self.arriving.trailers.is_none()
    }

    /// What is known of the size of the body before it comes.
    pub(in crate::worker) fn size_hint(&self) -> SizeHint {
        self.arriving.size
    }

    /// What comes on the connection instead of a body, after an answer that switches to another protocol.
    pub(in crate::worker) fn into_stream(self) -> Prefixed<Stream> {
        let Peer { stream, input, .. } = self.upstream;
        Prefixed::new(stream, input.rest())
    }

    /// Keeps the connection for another exchange, if this one is over in both directions and the endpoint keeps it too;
    /// closes it otherwise, which tells the endpoint that nobody listens any more.
    pub(in crate::worker) fn keep(self, in_flight: &InFlight) {
        let Self { worker, upstream, sending, arriving, .. } = self;
        if arriving.ended && sending.is_over() && arriving.persistence == Persistence::KeepAlive {
            worker.http1.borrow_mut().give(&in_flight.endpoint, upstream);
        }
    }
}
