//! A request's body on its way from whoever reads it to whoever sends it.
//!
//! Mirrors get their copies so: what the client sends goes to both, and only the request waits for it. So do endpoints
//! that hyper speaks with for a client that it does not; there the client waits for them.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::body::BodyError;

/// How many bytes of a body wait for a mirror. It gives a mirror the time to be connected to and to be a little
/// slower now and then; one that is behind by more loses the copy.
const MOST_WAITING: usize = 256 * 1024;

/// The end into which the request's body is copied.
#[derive(Debug)]
pub(super) struct Tee(Rc<RefCell<Pipe>>);

/// The end from which the copy is sent.
#[derive(Debug)]
pub(super) struct Follower {
    pipe: Rc<RefCell<Pipe>>,
    size: SizeHint,
}

/// Tells that a copy broke off while its sender does not look: it waits for a mirror that reads nothing.
#[derive(Debug)]
pub(super) struct Break(Rc<RefCell<Pipe>>);

#[derive(Debug, Default)]
struct Pipe {
    waiting: VecDeque<Frame<Bytes>>,
    bytes: usize,
    state: State,
    /// The copy is too far behind, or its original broke off.
    torn: bool,
    reader: Option<Waker>,
    watcher: Option<Waker>,
    /// Of whoever waits with more until it is wanted.
    feeder: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// Everything is in.
    Whole,
    /// The rest will never come, or nobody takes it.
    Broken,
}

/// Both ends, for a body of this size.
pub(super) fn pipe(size: SizeHint) -> (Tee, Follower) {
    let pipe = Rc::<RefCell<Pipe>>::default();
    (Tee(Rc::clone(&pipe)), Follower { pipe, size })
}

impl Tee {
    /// Copies a frame. It never waits.
    pub(super) fn push(&self, frame: &Frame<Bytes>) {
        let mut pipe = self.0.borrow_mut();
        if pipe.state != State::Open {
            return;
        }
        let copy = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => Frame::data(data.clone()),
            (None, Some(trailers)) => Frame::trailers(trailers.clone()),
            (None, None) => return,
        };
        pipe.bytes += copy.data_ref().map_or(0, Bytes::len);
        if pipe.bytes > MOST_WAITING {
            pipe.tear();
        } else {
            pipe.waiting.push_back(copy);
        }
        pipe.wake();
    }

    /// Whether the reader has taken everything and asks for more.
    pub(super) fn is_wanted(&self) -> bool {
        let pipe = self.0.borrow();
        pipe.state == State::Open && pipe.waiting.is_empty() && pipe.reader.is_some()
    }

    /// Ready when the reader asks for more, or never will again, which is an error.
    pub(super) fn poll_wanted(&self, context: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        if self.is_wanted() {
            return Poll::Ready(Ok(()));
        }
        let mut pipe = self.0.borrow_mut();
        if pipe.state == State::Broken {
            return Poll::Ready(Err(BodyError::Copy));
        }
        pipe.feeder = Some(context.waker().clone());
        Poll::Pending
    }

    /// The body is whole.
    pub(super) fn finish(&self) {
        let mut pipe = self.0.borrow_mut();
        if pipe.state == State::Open {
            pipe.end(State::Whole);
            pipe.wake();
        }
    }
}

impl Drop for Tee {
    /// A body that ends before its end has no copy that does not.
    fn drop(&mut self) {
        let mut pipe = self.0.borrow_mut();
        if pipe.state == State::Open {
            pipe.tear();
            pipe.wake();
        }
    }
}

impl Break {
    /// Resolves when the copy breaks off. What waited for the mirror is gone then.
    pub(super) async fn happens(self) {
        poll_fn(|context| {
            let mut pipe = self.0.borrow_mut();
            if pipe.torn {
                return Poll::Ready(());
            }
            pipe.watcher = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Follower {
    /// For whoever has to know when the copy breaks off.
    pub(super) fn watch(&self) -> Break {
        Break(Rc::clone(&self.pipe))
    }

    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut pipe = self.pipe.borrow_mut();
        if let Some(frame) = pipe.waiting.pop_front() {
            pipe.bytes -= frame.data_ref().map_or(0, Bytes::len);
            return Poll::Ready(Some(Ok(frame)));
        }
        match pipe.state {
            State::Open => {
                pipe.reader = Some(context.waker().clone());
                if let Some(feeder) = pipe.feeder.take() {
                    feeder.wake();
                }
                Poll::Pending
            }
            State::Whole => Poll::Ready(None),
            State::Broken => Poll::Ready(Some(Err(BodyError::Copy))),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let pipe = self.pipe.borrow();
        pipe.waiting.is_empty() && pipe.state == State::Whole
    }

    /// Of the whole body: it is asked for before anything is read.
    pub(super) fn size_hint(&self) -> SizeHint {
        self.size
    }
}

impl Drop for Follower {
    /// Nobody reads any more: nothing is kept for it.
    fn drop(&mut self) {
        let mut pipe = self.pipe.borrow_mut();
        pipe.end(State::Broken);
        if let Some(feeder) = pipe.feeder.take() {
            feeder.wake();
        }
    }
}

impl Pipe {
    fn tear(&mut self) {
        self.torn = true;
        self.end(State::Broken);
    }

    fn end(&mut self, state: State) {
        self.state = state;
        if state == State::Broken {
            self.waiting.clear();
        }
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        if let Some(watcher) = self.watcher.take() {
            watcher.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next(copy: &mut Follower) -> Option<Result<Bytes, BodyError>> {
        let frame = poll_fn(|context| copy.poll_frame(context)).await?;
        Some(frame.map(|frame| frame.into_data().unwrap()))
    }

    #[tokio::test]
    async fn what_goes_in_comes_out_and_then_the_end() {
        let (tee, mut copy) = pipe(SizeHint::with_exact(5));
        tee.push(&Frame::data(Bytes::from_static(b"abc")));
        let read = async {
            assert_eq!(next(&mut copy).await.unwrap().unwrap(), "abc");
            assert!(!copy.is_end_stream());
            assert_eq!(next(&mut copy).await.unwrap().unwrap(), "de");
            assert!(next(&mut copy).await.is_none());
        };
        let write = async {
            tokio::task::yield_now().await;
            tee.push(&Frame::data(Bytes::from_static(b"de")));
            tee.finish();
        };
        tokio::join!(read, write);
        assert!(copy.is_end_stream());
    }

    #[tokio::test]
    async fn a_copy_that_is_too_far_behind_breaks_and_keeps_nothing() {
        let (tee, mut copy) = pipe(SizeHint::default());
        let part = Bytes::from(vec![0; MOST_WAITING / 2]);
        tee.push(&Frame::data(part.clone()));
        tee.push(&Frame::data(part.clone()));
        assert_eq!(next(&mut copy).await.unwrap().unwrap().len(), part.len());
        tee.push(&Frame::data(part.clone()));
        tee.push(&Frame::data(Bytes::from_static(b"1")));
        tee.finish();
        assert!(matches!(next(&mut copy).await, Some(Err(BodyError::Copy))));
        assert!(copy.pipe.borrow().waiting.is_empty());
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_breaks_its_copy() {
        let (tee, mut copy) = pipe(SizeHint::default());
        tee.push(&Frame::data(Bytes::from_static(b"abc")));
        drop(tee);
        assert!(matches!(next(&mut copy).await, Some(Err(BodyError::Copy))));
    }

    #[tokio::test]
    async fn whoever_watches_learns_of_a_break_that_nobody_reads() {
        let (tee, copy) = pipe(SizeHint::default());
        let broken = copy.watch();
        let write = async {
            tokio::task::yield_now().await;
            tee.push(&Frame::data(Bytes::from(vec![0; MOST_WAITING + 1])));
        };
        tokio::join!(broken.happens(), write);
    }

    #[tokio::test]
    async fn a_copy_that_was_sent_whole_has_no_break() {
        let (tee, copy) = pipe(SizeHint::default());
        let broken = copy.watch();
        tee.finish();
        drop((tee, copy));
        let soon = tokio::time::timeout(std::time::Duration::from_millis(1), broken.happens());
        assert!(soon.await.is_err());
    }

    #[tokio::test]
    async fn whoever_feeds_waits_until_more_is_wanted() {
        let (tee, mut copy) = pipe(SizeHint::default());
        let feed = async {
            for part in ["a", "b"] {
                poll_fn(|context| tee.poll_wanted(context)).await.unwrap();
                tee.push(&Frame::data(Bytes::from_static(part.as_bytes())));
                assert!(!tee.is_wanted());
            }
            assert!(poll_fn(|context| tee.poll_wanted(context)).await.is_err(), "the reader is gone");
        };
        let read = async {
            tokio::task::yield_now().await;
            for part in ["a", "b"] {
                assert_eq!(next(&mut copy).await.unwrap().unwrap(), part);
            }
            tokio::task::yield_now().await;
            drop(copy);
        };
        tokio::join!(feed, read);
    }

    #[test]
    fn nothing_is_kept_for_a_reader_that_is_gone() {
        let (tee, copy) = pipe(SizeHint::default());
        drop(copy);
        tee.push(&Frame::data(Bytes::from_static(b"abc")));
        assert!(tee.0.borrow().waiting.is_empty());
    }
}
