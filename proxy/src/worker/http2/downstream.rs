//! The client's end of a connection: what hyper reads from and writes to.
//!
//! It ends connections whose clients read nothing of what waits for them, and closes in an order in which the client
//! still reads the last answer.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::coop::poll_proceed,
    time::{Instant, Sleep},
};

use crate::worker::connection::{LINGER, STALL};

/// What a read costs of the turn of its task, where tokio takes 1 of 128: the smallest frames are nine bytes, so that all of
/// that would be a hundred thousand of them while everybody else waits.
const READ: u32 = 8;

#[derive(Debug)]
pub(super) struct Downstream<S> {
    stream: S,
    stall: Timer,
    linger: Timer,
    closed: bool,
}

/// A timer that exists once something had to be waited for.
#[derive(Debug, Default)]
struct Timer {
    begun: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Runs from now on, unless it runs already.
    fn begin(&mut self) {
        self.begun.get_or_insert_with(Instant::now);
    }

    fn end(&mut self) {
        self.begun = None;
        self.sleep = None;
    }

    /// Ready when it has run for `limit`.
    fn poll(&mut self, limit: Duration, context: &mut Context<'_>) -> Poll<()> {
        let Some(begun) = self.begun else { return Poll::Pending };
        self.sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(begun + limit)))
            .as_mut()
            .poll(context)
    }
}

impl<S> Downstream<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, stall: Timer::default(), linger: Timer::default(), closed: false }
    }

    /// What a write came to; one that waits for too long fails.
    fn written(
        &mut self,
        outcome: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if outcome.is_ready() {
            self.stall.end();
            return outcome;
        }
        self.stall.begin();
        ready!(self.stall.poll(STALL, context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Downstream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        for _ in 1..READ {
            // Without any left the next read waits for the task's next turn.
            let Poll::Ready(spent) = poll_proceed(context) else { break };
            spent.made_progress();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Downstream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Closes our half first and reads what the client still sends: closing with bytes unread resets the
    /// connection, and the client may lose the answer (RFC 9112 §9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.closed {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            this.closed = true;
            this.linger.begin();
        }
        let mut rest = [0; 4096];
        loop {
            let mut rest = ReadBuf::new(&mut rest);
            match Pin::new(&mut this.stream).poll_read(context, &mut rest) {
                Poll::Ready(Ok(())) if !rest.filled().is_empty() => {}
                // Its half is closed as well, in one way or the other.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    ready!(this.linger.poll(LINGER, context));
                    return Poll::Ready(Ok(()));
                }
            }
            // A client that never pauses is not read for longer.
            if this.linger.poll(LINGER, context).is_ready() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    fn pair() -> (Downstream<DuplexStream>, DuplexStream) {
        let (ours, client) = tokio::io::duplex(16);
        (Downstream::new(ours), client)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_reads_ends_the_connection() {
        let (mut ours, mut client) = pair();
        let begun = Instant::now();
        let slow = async {
            tokio::time::sleep(STALL / 2).await;
            client.read_exact(&mut [0; 8]).await.unwrap();
            std::future::pending::<()>().await;
        };
        let error = tokio::select! {
            () = slow => unreachable!("it reads no more"),
            outcome = ours.write_all(&[0; 100]) => outcome.unwrap_err(),
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), (STALL / 2 + STALL).as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_client_still_sends_is_read_after_our_half_is_closed() {
        let (mut ours, mut client) = pair();
        let sends = async {
            client.write_all(&[0; 1_000]).await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "our half is closed");
            drop(client);
        };
        let begun = Instant::now();
        let (closed, ()) = tokio::join!(ours.shutdown(), sends);
        closed.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_closes_is_not_waited_for() {
        let (mut ours, _client) = pair();
        let begun = Instant::now();
        ours.shutdown().await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), LINGER.as_secs());
    }
}
