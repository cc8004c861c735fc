//! One connection of a client.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use proxy_config::model::Scheme;
use proxy_http1::{HeadEnd, Kind, Malformed};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{
    alarm::Alarm,
    peer::{Buffer, Peer},
};
use crate::{
    access::Record,
    shared::{Phase, count},
    worker::{
        Worker,
        connection::{FIRST, IDLE, LINGER, MAX_HEAD, Open, STALL},
        entry::Entry,
        http2::{self, PREFACE},
        tunnel::Prefixed,
    },
};

/// How long a request head may take from its first byte to its last (nginx' `client_header_timeout`).
const HEAD: Duration = Duration::from_mins(1);
/// How much a client may send ahead while its request is under way. What comes then is the next request.
const AHEAD: usize = 64 * 1024;

/// A connection of a client.
#[derive(Debug)]
pub(super) struct Connection<S> {
    pub(super) worker: Rc<Worker>,
    /// How it came in.
    pub(super) entry: Entry,
    /// Where it comes from, as text.
    pub(super) address: Box<str>,
    pub(super) peer: Peer<S>,
    /// The head of the request that is under way, as the upstream gets it.
    pub(super) sent: Buffer,
    pub(super) alarm: Alarm,
    pub(super) stall: Stall,
    /// Whether it is told when the process drains.
    watches: bool,
    /// Whether nothing was asked for on it yet.
    fresh: bool,
    /// The line of the request that is under way, if it is logged.
    pub(super) record: Option<Box<Record>>,
}

/// What happens after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The next request may come, or has come already.
    Next,
    /// Our half is closed, and what the client still sends is read for a while.
    Close,
    /// Nothing can be said to the client any more.
    Drop,
}

/// How long the client has read nothing although something waits for it.
#[derive(Debug, Default)]
pub(super) struct Stall {
    since: Option<(Instant, usize)>,
}

/// What a client does next.
enum Next {
    /// It has sent a head, which begins and ends here.
    Head(usize, usize),
    Malformed(Malformed),
    /// It is gone, has been idle for too long, or the process drains.
    Over,
    /// It does not finish its head.
    Stalled,
}

/// Serves requests until either side closes, the connection has been idle for too long, or the process drains.
/// One in the clear may turn out to speak HTTP/2 (prior knowledge).
pub(in crate::worker) fn serve<S>(
    worker: Rc<Worker>,
    stream: S,
    entry: Entry,
    open: Open,
) -> impl Future<Output = ()>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut connection = Connection {
        worker: Rc::clone(&worker),
        address: entry.sender.address.ip().to_canonical().to_string().into(),
        entry,
        peer: Peer::new(stream),
        sent: Buffer::default(),
        alarm: Alarm::default(),
        stall: Stall::default(),
        watches: false,
        fresh: true,
        record: None,
    };
    // An `async fn` would have room for its arguments twice.
    async move {
        let mut drains = pin!(worker.draining.cancelled());
        let mut may_be_http2 = connection.entry.sender.scheme == Scheme::Http;
        loop {
            let after = match connection.next(drains.as_mut()).await {
                Next::Head(..) if may_be_http2 && connection.peer.input.rest().starts_with(PREFACE) => {
                    let Connection { peer, entry, .. } = connection;
                    let stream = Prefixed::new(peer.stream, peer.input.rest());
                    return Box::pin(http2::serve(Rc::clone(&worker), stream, entry, open)).await;
                }
                Next::Head(begin, end) => {
                    let after = connection.exchange(begin, end).await;
                    connection.record = None;
                    after
                }
                Next::Malformed(malformed) => connection.refuse_malformed(malformed).await,
                Next::Over => After::Close,
                Next::Stalled => After::Drop,
            };
            may_be_http2 = false;
            match after {
                After::Next => {}
                After::Close => return connection.close().await,
                After::Drop => return,
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Waits for the next request head.
    async fn next(&mut self, mut drains: Pin<&mut impl Future<Output = ()>>) -> Next {
        let mut end = HeadEnd::new(Kind::Request);
        let now = Instant::now();
        let mut idle_at = now + IDLE;
        let mut head_at = (!self.peer.input.is_empty()).then_some(now + HEAD);
        self.peer.rest();
        self.sent.end();
        poll_fn(|context| {
            loop {
                if !self.peer.input.is_empty() {
                    match end.find(self.peer.input.rest(), MAX_HEAD) {
                        Ok(Some((begin, end))) => {
                            self.fresh = false;
                            return Poll::Ready(Next::Head(begin, end));
                        }
                        Ok(None) => {}
                        Err(malformed) => return Poll::Ready(Next::Malformed(malformed)),
                    }
                }
                match self.peer.poll_fill(context, &mut self.worker.scratch.borrow_mut()) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Next::Over),
                    Poll::Ready(Ok(_)) => head_at = head_at.or_else(|| Some(Instant::now() + HEAD)),
                    Poll::Pending => break,
                }
            }
            // Asked once, it wakes this task whenever the process drains; then the phase says so.
            let drained = self.worker.phase.get() == Phase::Draining
                || !std::mem::replace(&mut self.watches, true) && drains.as_mut().poll(context).is_ready();
            if drained && self.peer.input.is_empty() {
                if !self.fresh {
                    return Poll::Ready(Next::Over);
                }
                idle_at = idle_at.min(Instant::now() + FIRST);
            }
            ready!(self.alarm.poll(Some(head_at.unwrap_or(idle_at)), context));
            if head_at.is_some() {
                count(&self.worker.shared.stalled);
            }
            Poll::Ready(if head_at.is_some() { Next::Stalled } else { Next::Over })
        })
        .await
    }

    /// Ready when the client is gone. What it sends ahead is kept, up to a limit; beyond it nothing is read, and its
    /// end not seen.
    ///
    /// A client that closes its half only cannot be told from one that is gone. Like most proxies we take it for gone:
    /// nearly always it is, and its pod is spared the work.
    pub(super) fn poll_gone(&mut self, scratch: &mut [u8], context: &mut Context<'_>) -> Poll<()> {
        while self.peer.input.len() < AHEAD {
            match ready!(self.peer.poll_fill(context, scratch)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
        Poll::Pending
    }

    /// Writes what waits for the client. `false`: it is gone, or reads nothing.
    pub(super) async fn flush(&mut self) -> bool {
        poll_fn(|context| match self.peer.poll_flush(context) {
            Poll::Ready(written) => Poll::Ready(written.is_ok()),
            Poll::Pending => {
                let at = self.stall.at(self.peer.waiting());
                ready!(self.alarm.poll(at, context));
                count(&self.worker.shared.stalled);
                Poll::Ready(false)
            }
        })
        .await
    }

    /// Closes our half first and reads what the client still sends: closing with bytes unread resets the
    /// connection, and the client may lose the answer (RFC 9112 §9.6).
    async fn close(&mut self) {
        let closed = poll_fn(|context| Pin::new(&mut self.peer.stream).poll_shutdown(context)).await;
        if closed.is_err() {
            return;
        }
        let until = Instant::now() + LINGER;
        poll_fn(|context| {
            loop {
                let read = self.peer.poll_read(context, &mut self.worker.scratch.borrow_mut());
                // A client that never pauses is not read for longer.
                if self.alarm.poll(Some(until), context).is_ready() {
                    return Poll::Ready(());
                }
                match ready!(read) {
                    Ok(0) | Err(_) => return Poll::Ready(()),
                    Ok(_) => {}
                }
            }
        })
        .await;
    }
}

impl Stall {
    /// When the client has read nothing for too long, if this much waits for it now.
    pub(super) fn at(&mut self, waiting: usize) -> Option<Instant> {
        if waiting == 0 {
            self.since = None;
            return None;
        }
        let since = match self.since {
            Some((since, before)) if before == waiting => since,
            Some(_) | None => Instant::now(),
        };
        self.since = Some((since, waiting));
        Some(since + STALL)
    }
}
