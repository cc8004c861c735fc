//! Where bodies go.

use std::{
    io,
    task::{Context, Poll},
};

use proxy_http1::{Framing, write};
use tokio::io::{AsyncRead, AsyncWrite};

use super::peer::Peer;

/// How much may wait for a side that does not read. When it is reached the other side is not read any more.
const MOST_WAITING: usize = 64 * 1024;
/// Content up to this size is copied behind what waits, so that both go out in one write.
const SMALL: usize = 4 * 1024;

/// The side that a body goes to.
pub(super) trait Sink {
    /// Whether it takes more now.
    fn has_room(&self) -> bool;

    /// Takes a piece of content.
    fn content(&mut self, framing: Framing, piece: &[u8], context: &mut Context<'_>) -> io::Result<()>;

    /// Takes the end, and what a trailer section says.
    fn end(&mut self, framing: Framing, trailers: &[u8]);

    /// Ready when it has passed on what it took, and so takes more.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink for Peer<S> {
    fn has_room(&self) -> bool {
        self.output.len() < MOST_WAITING
    }

    fn content(&mut self, framing: Framing, piece: &[u8], context: &mut Context<'_>) -> io::Result<()> {
        match framing {
            Framing::Chunked => write::chunk(&mut self.output.bytes, piece),
            Framing::None | Framing::Length(_) | Framing::UntilClose if piece.len() <= SMALL => {
                self.output.extend(piece);
            }
            Framing::None | Framing::Length(_) | Framing::UntilClose => self.write(context, piece)?,
        }
        Ok(())
    }

    fn end(&mut self, framing: Framing, trailers: &[u8]) {
        if framing == Framing::Chunked {
            write::last_chunk(&mut self.output.bytes, trailers);
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}
