//! The body of a request on its way to an endpoint.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::body::Body as _;
use proxy_http1::Framing;

use crate::worker::{
    body::{BodyError, Upload},
    http1::{bridge::section, pool::Upstream, sink::Sink as _},
};

/// How far a request is sent.
#[derive(Debug)]
pub(super) struct Sending {
    framing: Framing,
    /// Whether some of its body has been read.
    begun: bool,
    /// Whether its end has been written or waits to be.
    ended: bool,
    outcome: Option<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Sent,
    Refused,
}

impl Sending {
    /// Of a body of this framing, behind a head that waits already.
    pub(super) fn new(framing: Framing) -> Self {
        let ended = matches!(framing, Framing::None | Framing::Length(0));
        Self { framing, begun: false, ended, outcome: None }
    }

    /// Whether some of the body is gone, so that it cannot be sent again.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether the endpoint has all of it.
    pub(super) fn is_over(&self) -> bool {
        self.outcome == Some(Outcome::Sent)
    }

    /// Whether the endpoint takes no more of it.
    pub(super) fn is_refused(&self) -> bool {
        self.outcome == Some(Outcome::Refused)
    }

    /// Moves it on as far as both sides let it. Ready when the last byte is written or nobody takes more; fails when the
    /// body breaks off.
    pub(super) fn poll(
        &mut self,
        body: &mut Upload,
        upstream: &mut Upstream,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), BodyError>> {
        while self.outcome.is_none() {
            let waits = self.take(body, upstream, context)?;
            if ready!(upstream.poll_flush(context)).is_err() {
                self.outcome = Some(Outcome::Refused);
            } else if self.ended {
                self.outcome = Some(Outcome::Sent);
            } else if waits {
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes what there is of the body. Says whether there will be more.
    fn take(
        &mut self,
        body: &mut Upload,
        upstream: &mut Upstream,
        context: &mut Context<'_>,
    ) -> Result<bool, BodyError> {
        while !self.ended && upstream.has_room() {
            let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(context) else { return Ok(true) };
            let Some(frame) = frame.transpose()? else {
                self.end(upstream, &[]);
                break;
            };
            self.begun = true;
            match frame.into_data() {
                Ok(piece) => {
                    if upstream.content(self.framing, &piece, context).is_err() {
                        self.outcome = Some(Outcome::Refused);
                        break;
                    }
                    if body.is_end_stream() {
                        self.end(upstream, &[]);
                    }
                }
                Err(other) => {
                    if let Ok(trailers) = other.into_trailers() {
                        self.end(upstream, &section(&trailers));
                    }
                }
            }
        }
        Ok(false)
    }

    fn end(&mut self, upstream: &mut Upstream, trailers: &[u8]) {
        upstream.end(self.framing, trailers);
        self.ended = true;
    }
}
