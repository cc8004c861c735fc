//! A body on its way from one side to the other.

use std::{
    io,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::Frame;
use proxy_http1::{Body, Framing, Malformed, Part};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{peer::Peer, sink::Sink};
use crate::worker::copy::Tee;

/// How much content bodies may have.
pub(super) const MOST: u64 = u64::MAX;

/// One body that is read and written.
#[derive(Debug)]
pub(super) struct Transfer {
    body: Body,
    /// How it is framed on its way out.
    framing: Framing,
    /// Whether its end has been handed to the other side's output.
    ended: bool,
    /// Whether something of it has been read, ever and since somebody asked.
    begun: bool,
    moved: bool,
    /// Who gets copies of it.
    tees: Vec<Tee>,
}

/// Why a body does not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// Where it comes from, it ends too early or cannot be read.
    #[error("failed to read a body")]
    Source(#[source] io::Error),
    /// It is framed in a way that may mean anything.
    #[error("failed to tell where a body ends")]
    Malformed(#[source] Malformed),
    /// Where it goes to, nobody takes it.
    #[error("failed to write a body")]
    Sink(#[source] io::Error),
}

impl Transfer {
    /// Of a body of framing `from` that goes on with framing `to`, both with or both without content.
    pub(super) fn new(from: Framing, to: Framing) -> Result<Self, Malformed> {
        Self::of_at_most(MOST, from, to)
    }

    /// The same of a body with so much content at the most.
    pub(super) fn of_at_most(most: u64, from: Framing, to: Framing) -> Result<Self, Malformed> {
        let body = Body::new(from, most)?;
        let ended = from == Framing::None || from == Framing::Length(0);
        Ok(Self { body, framing: to, ended, begun: false, moved: false, tees: Vec::new() })
    }

    /// What follows of the body goes there as well.
    pub(super) fn copy_to(&mut self, tees: Vec<Tee>) {
        self.tees = tees;
    }

    /// Whether all of it has been read.
    pub(super) fn is_over(&self) -> bool {
        self.ended
    }

    /// Whether none of it has been read, so that it can still go another way.
    pub(super) fn is_untouched(&self) -> bool {
        !self.begun
    }

    /// Whether something of it has been read since this was asked last.
    pub(super) fn has_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Moves it on as far as both sides let it. Ready when its last byte is written.
    pub(super) fn poll<S>(
        &mut self,
        from: &mut Peer<S>,
        to: &mut impl Sink,
        scratch: &mut [u8],
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let mut wants_more = from.input.is_empty();
            if !self.ended && !wants_more && to.has_room() {
                let taken = self.pass(from.input.rest(), to, context)?;
                from.input.use_up(taken);
                wants_more = from.input.is_empty() || to.has_room();
            }
            ready!(to.poll_flush(context)).map_err(Broken::Sink)?;
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            if !wants_more {
                continue;
            }
            let length = ready!(from.poll_read(context, scratch)).map_err(Broken::Source)?;
            if length == 0 {
                self.cut(to)?;
            } else if from.input.is_empty() {
                let taken = self.pass(&scratch[..length], to, context)?;
                from.input.extend(&scratch[taken..length]);
            } else {
                // What came before could not be taken without more.
                from.input.extend(&scratch[..length]);
            }
        }
    }

    /// Passes on what can be, and says how much of `bytes` that was.
    fn pass(&mut self, bytes: &[u8], to: &mut impl Sink, context: &mut Context<'_>) -> Result<usize, Broken> {
        let mut taken = 0;
        while !self.ended && to.has_room() {
            let step = self.body.step(&bytes[taken..]).map_err(Broken::Malformed)?;
            taken += step.taken;
            self.begun |= taken > 0;
            self.moved = true;
            match step.part {
                None => break,
                Some(Part::Content(piece)) => {
                    for tee in &self.tees {
                        tee.push(&Frame::data(Bytes::copy_from_slice(piece)));
                    }
                    to.content(self.framing, piece, context).map_err(Broken::Sink)?;
                    // Without this a length that is used up would be seen with the next bytes only.
                    if self.body.is_over() {
                        self.end(to, &[]);
                    }
                }
                Some(Part::Trailers(section)) => self.end(to, section),
                Some(Part::End) => self.end(to, &[]),
            }
        }
        Ok(taken)
    }

    /// The source has closed.
    fn cut(&mut self, to: &mut impl Sink) -> Result<(), Broken> {
        if !self.body.may_end_with_connection() {
            return Err(Broken::Source(io::ErrorKind::UnexpectedEof.into()));
        }
        self.end(to, &[]);
        Ok(())
    }

    fn end(&mut self, to: &mut impl Sink, trailers: &[u8]) {
        to.end(self.framing, trailers);
        self.tees.iter().for_each(Tee::finish);
        self.ended = true;
    }
}
