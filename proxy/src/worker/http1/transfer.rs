//! A body on its way from one side to the other.

use std::{
    io,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::Frame;
use proxy_http1::{Body, Framing, Malformed, Part, write};
use tokio::io::{AsyncRead, AsyncWrite};

use super::peer::Peer;
use crate::worker::copy::Tee;

/// How much may wait for a side that does not read. When it is reached the other side is not read any more.
const MOST_WAITING: usize = 64 * 1024;
/// Content up to this size is copied behind what waits, so that both go out in one write.
const SMALL: usize = 4 * 1024;

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
    pub(super) fn new(from: Framing, to: Framing, limit: u64) -> Result<Self, Malformed> {
        let body = Body::new(from, limit)?;
        let ended = from == Framing::None || from == Framing::Length(0);
        Ok(Self { body, framing: to, ended, begun: false, moved: false, tees: Vec::new() })
    }

    /// What follows of the body goes there as well.
    pub(super) fn copy_to(&mut self, tees: Vec<Tee>) {
        if self.ended {
            tees.iter().for_each(Tee::finish);
        } else {
            self.tees = tees;
        }
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
    pub(super) fn poll<A, B>(
        &mut self,
        from: &mut Peer<A>,
        to: &mut Peer<B>,
        scratch: &mut [u8],
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>>
    where
        A: AsyncRead + AsyncWrite + Unpin,
        B: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let mut wants_more = true;
            if !self.ended && !from.input.is_empty() && to.output.len() < MOST_WAITING {
                let taken = self.pass(from.input.rest(), to, context)?;
                from.input.use_up(taken);
                wants_more = from.input.is_empty() || to.output.len() < MOST_WAITING;
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
    fn pass<B>(&mut self, bytes: &[u8], to: &mut Peer<B>, context: &mut Context<'_>) -> Result<usize, Broken>
    where
        B: AsyncRead + AsyncWrite + Unpin,
    {
        let mut taken = 0;
        while !self.ended && to.output.len() < MOST_WAITING {
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
                    match self.framing {
                        Framing::Chunked => write::chunk(&mut to.output.bytes, piece),
                        _ if piece.len() <= SMALL => to.output.extend(piece),
                        _ => to.write(context, piece).map_err(Broken::Sink)?,
                    }
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
    fn cut<B>(&mut self, to: &mut Peer<B>) -> Result<(), Broken>
    where
        B: AsyncRead + AsyncWrite + Unpin,
    {
        if !self.body.may_end_with_connection() {
            return Err(Broken::Source(io::ErrorKind::UnexpectedEof.into()));
        }
        self.end(to, &[]);
        Ok(())
    }

    fn end<B>(&mut self, to: &mut Peer<B>, trailers: &[u8]) {
        if self.framing == Framing::Chunked {
            write::last_chunk(&mut to.output.bytes, trailers);
        }
        self.tees.iter().for_each(Tee::finish);
        self.ended = true;
    }
}
