//! One side of a tunnel.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use proxy_core::websocket::Frames;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::Instant,
};

use crate::worker::websocket::WEBSOCKET;

/// What is spoken in the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Protocol {
    WebSocket,
    Other,
}

impl Protocol {
    /// The one with the name that `Upgrade` has.
    pub(in crate::worker) fn named(name: &[u8]) -> Self {
        if name.eq_ignore_ascii_case(WEBSOCKET.as_bytes()) { Self::WebSocket } else { Self::Other }
    }
}

/// One side. It notes when something arrives on it and where the frames are that are written to it.
pub(super) struct Side<S> {
    stream: S,
    /// When something last arrived, here or there.
    last: Rc<Cell<Instant>>,
    written: Rc<Written>,
    /// Whether the tunnel has to end: no further frame is begun.
    ending: Rc<Cell<bool>>,
}

/// What was written to one side; `None`: it is not made of frames, or not of such as we know.
pub(super) struct Written(RefCell<Option<Frames>>);

impl Written {
    /// Whether it can end here.
    pub(super) fn is_between(&self) -> bool {
        self.0.borrow().as_ref().is_none_or(Frames::is_between)
    }

    /// Whether a close frame may be the next.
    fn may_close(&self) -> bool {
        self.0.borrow().as_ref().is_some_and(|it| it.is_between() && !it.is_closed())
    }

    /// How much of these bytes belongs to the frame that is under way.
    fn rest_of_frame(&self, bytes: &[u8]) -> usize {
        match &*self.0.borrow() {
            Some(frames) if frames.is_between() => 0,
            Some(frames) => frames.rest_of_frame(bytes),
            None => bytes.len(),
        }
    }

    fn pass(&self, bytes: &[u8]) {
        if let Some(frames) = &mut *self.0.borrow_mut() {
            frames.pass(bytes);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Side<S> {
    pub(super) fn new(
        stream: S,
        last: &Rc<Cell<Instant>>,
        protocol: Protocol,
        ending: &Rc<Cell<bool>>,
    ) -> Self {
        let frames = match protocol {
            Protocol::WebSocket => Some(Frames::default()),
            Protocol::Other => None,
        };
        Self {
            stream,
            last: Rc::clone(last),
            written: Rc::new(Written(RefCell::new(frames))),
            ending: Rc::clone(ending),
        }
    }

    pub(super) fn written(&self) -> Rc<Written> {
        Rc::clone(&self.written)
    }

    /// Says goodbye if that can be said here, and closes.
    pub(super) async fn leave(&mut self, goodbye: &[u8]) -> io::Result<()> {
        if self.written.may_close() {
            self.stream.write_all(goodbye).await?;
            self.stream.flush().await?;
        }
        self.stream.shutdown().await
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Side<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.last.set(Instant::now());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Side<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let allowed = if self.ending.get() { self.written.rest_of_frame(bytes) } else { bytes.len() };
        if allowed == 0 && !bytes.is_empty() {
            // Whoever set `ending` looks at the frames after each poll, and writes no more once all have ended.
            return Poll::Pending;
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, &bytes[..allowed]))?;
        self.written.pass(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
