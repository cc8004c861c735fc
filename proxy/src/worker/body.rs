//! The body of a copy of a request on its way to a mirror.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::copy::Follower;

/// What is known of an exchange from outside of its body.
#[derive(Debug)]
pub(super) struct Progress {
    /// The request is sent, its body included.
    pub(super) uploaded: Cell<bool>,
    /// The client broke off while it sent its body.
    pub(super) client_failed: Cell<bool>,
}

/// A request body that follows that of another request.
#[derive(Debug)]
pub(super) struct Upload {
    source: Follower,
    progress: Rc<Progress>,
}

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("failed to copy the whole body")]
    Copy,
}

impl Upload {
    pub(super) fn new(source: Follower, progress: Rc<Progress>) -> Self {
        progress.uploaded.set(source.is_end_stream());
        Self { source, progress }
    }

    /// What is known of its exchange.
    pub(super) fn progress(&self) -> Rc<Progress> {
        Rc::clone(&self.progress)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(self.source.poll_frame(context));
        match &frame {
            Some(Ok(_)) => self.progress.uploaded.set(self.source.is_end_stream()),
            None => self.progress.uploaded.set(true),
            Some(Err(_)) => self.progress.client_failed.set(true),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.source.size_hint()
    }
}
