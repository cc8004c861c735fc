//! One side of an exchange: a stream with what has come and what has to go.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Buffers that have grown beyond this are not used again.
const KEPT: usize = 4 * 1024;
/// How much is read at a time. With 64 KiB an upload cost a fifth more, though it took half the system calls: the kernel
/// copied more slowly what no longer was in the nearest caches.
const READ: usize = 32 * 1024;
/// How many empty buffers a thread keeps.
const SPARE: usize = 256;

thread_local! {
    /// Empty buffers, the one used last first: it is still in the processor's cache. Connections that wait have none.
    static SPARES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A connection and its buffers. Between two messages it has none, but for a pipelined request.
#[derive(Debug)]
pub(in crate::worker) struct Peer<S> {
    pub(super) stream: S,
    /// What has come and was not taken.
    pub(super) input: Buffer,
    /// What was not written.
    pub(super) output: Buffer,
    /// Whether the stream has taken something that it keeps, as TLS does.
    holds: bool,
}

/// Bytes that are added at the end and used up from the front.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    pub(super) bytes: Vec<u8>,
    used: usize,
}

impl Buffer {
    /// What is left.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.used == self.bytes.len()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.used
    }

    /// Uses up this much. Without a rest nothing is moved.
    pub(super) fn use_up(&mut self, length: usize) {
        self.used += length;
        if self.used >= self.bytes.len() {
            self.bytes.clear();
            self.used = 0;
        }
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.begin();
        if self.used > 0 && self.bytes.len() + bytes.len() > self.bytes.capacity() {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Gets room, if it has none, where another buffer of the thread has left some.
    pub(super) fn begin(&mut self) {
        if self.bytes.capacity() == 0
            && let Some(spare) = SPARES.with_borrow_mut(Vec::pop)
        {
            self.bytes = spare;
        }
    }

    /// Leaves its room to others, if it is empty.
    pub(super) fn end(&mut self) {
        if !self.is_empty() || self.bytes.capacity() == 0 {
            return;
        }
        let mut bytes = std::mem::take(self).bytes;
        bytes.clear();
        if bytes.capacity() <= KEPT {
            SPARES.with_borrow_mut(|spares| {
                if spares.len() < SPARE {
                    spares.push(bytes);
                }
            });
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, input: Buffer::default(), output: Buffer::default(), holds: false }
    }

    /// Reads into the front of `scratch`, and says how much; 0 is the end.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let room = scratch.len().min(READ);
        let mut buffer = ReadBuf::new(&mut scratch[..room]);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Reads what there is and keeps it; 0 is the end.
    pub(super) fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let length = ready!(self.poll_read(context, scratch))?;
        self.input.extend(&scratch[..length]);
        Poll::Ready(Ok(length))
    }

    /// Nothing is read or written for a while.
    pub(super) fn rest(&mut self) {
        self.input.end();
        self.output.end();
    }

    /// About how much waits for the other end to read.
    pub(super) fn waiting(&self) -> usize {
        self.output.len() + usize::from(self.holds)
    }

    /// Writes what waits.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, self.output.rest()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.output.use_up(written);
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.holds = flushed.is_pending();
        flushed
    }

    /// Writes `bytes` behind what waits, as far as that goes at once; the rest of it waits as well.
    pub(super) fn write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        let waiting = self.output.len();
        let stream = Pin::new(&mut self.stream);
        let outcome = if waiting == 0 {
            stream.poll_write(context, bytes)
        } else if stream.is_write_vectored() {
            stream.poll_write_vectored(context, &[IoSlice::new(self.output.rest()), IoSlice::new(bytes)])
        } else {
            Poll::Pending
        };
        let written = match outcome {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        self.output.use_up(written.min(waiting));
        self.output.extend(&bytes[written.saturating_sub(waiting)..]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_up_is_gone_and_the_rest_stays_in_order() {
        let mut buffer = Buffer::default();
        buffer.extend(b"abc");
        buffer.use_up(1);
        assert_eq!((buffer.rest(), buffer.len()), (&b"bc"[..], 2));
        buffer.extend(&[b'd'; 2000]);
        assert_eq!((&buffer.rest()[..3], buffer.len()), (&b"bcd"[..], 2002));
        buffer.end();
        assert!(!buffer.is_empty(), "what is not used up stays");
        buffer.use_up(2002);
        buffer.end();
        assert_eq!(buffer.bytes.capacity(), 0);
        let mut next = Buffer::default();
        next.begin();
        assert!(next.is_empty() && next.bytes.capacity() >= 2002, "it has the room of the other");
    }
}
