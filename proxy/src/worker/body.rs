//! Bodies on their way through hyper, in both directions.

use std::{
    cell::Cell,
    future::Future as _,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::StatusCode;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use proxy_core::{clients::UnderWay, grpc};
use tokio::time::{Instant, Sleep};

use super::{
    copy::{Break, Follower, Tee},
    deadlines::Overdue,
    pool::InFlight,
    reply::Reply,
};
use crate::access::Record;

/// Why a stream ends that has not come to its end.
const POD_GOES: &str = "sluice: the pod goes";

/// What both directions of one exchange know.
#[derive(Debug)]
pub(super) struct Progress {
    /// The request is sent, its body included.
    pub(super) uploaded: Cell<bool>,
    /// The client broke off while it sent its body.
    pub(super) client_failed: Cell<bool>,
    /// The client sent more than it may.
    pub(super) too_large: Cell<bool>,
    /// When something last moved. Kept only if the arm has an idle timeout.
    pub(super) last: Cell<Instant>,
}

/// A request body from the client to the upstream.
#[derive(Debug)]
pub(super) struct Upload {
    source: Source,
    progress: Rc<Progress>,
    /// Where else it goes.
    tees: Vec<Tee>,
    /// How much more may come; `None`: any length.
    allowed: Option<u64>,
}

#[derive(Debug)]
enum Source {
    /// There is no body.
    Nothing,
    Client(Incoming),
    /// Somebody else reads it: it is the copy of one, or comes from a client that hyper does not know.
    Fed(Follower),
}

/// A response body from the upstream to the client, or our own.
#[derive(Debug)]
pub(super) enum Download {
    Text(Option<Bytes>),
    Upstream(Box<FromUpstream>),
}

#[derive(Debug)]
pub(super) struct FromUpstream {
    /// `None`: nothing of it is wanted any more.
    reply: Option<Reply>,
    ended: bool,
    progress: Rc<Progress>,
    in_flight: InFlight,
    limits: Option<Limits>,
    /// Of a stream of gRPC, which can be ended with a status.
    overdue: Option<Overdue>,
    /// Written when the body is over.
    record: Option<Box<Record>>,
    /// Of a client whose requests are counted: it has one less when the body is over.
    under_way: Option<UnderWay>,
}

/// When a response that does not move is ended, and the timer for it, which exists once something had to be waited for.
#[derive(Debug)]
pub(super) struct Limits {
    idle: Option<Duration>,
    until: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("failed to read the body")]
    Read(#[source] hyper::Error),
    #[error("failed to receive the body")]
    Receive(#[source] std::io::Error),
    #[error("failed to tell where the body ends")]
    Malformed(#[from] proxy_http1::Malformed),
    #[error("the connection ended before the body")]
    Cut,
    #[error("nothing moved for too long")]
    Idle,
    #[error("the exchange took too long as a whole")]
    Late,
    #[error("failed to copy the whole body")]
    Copy,
    #[error("the body is longer than the route takes")]
    TooLarge,
}

// === impl Progress ===

impl Default for Progress {
    fn default() -> Self {
        let last = Cell::new(Instant::now());
        let [uploaded, client_failed, too_large] = [const { Cell::new(false) }; 3];
        Self { uploaded, client_failed, too_large, last }
    }
}

// === impl Upload ===

impl Upload {
    /// No body, for a request that is sent again as well.
    pub(super) fn nothing(progress: &Rc<Progress>) -> Self {
        Self::from(Source::Nothing, progress)
    }

    /// What a client sends.
    pub(super) fn of_client(incoming: Incoming, progress: &Rc<Progress>) -> Self {
        Self::from(Source::Client(incoming), progress)
    }

    /// What comes out of a pipe.
    pub(super) fn fed(follower: Follower, progress: &Rc<Progress>) -> Self {
        Self::from(Source::Fed(follower), progress)
    }

    /// What is read of it goes there as well.
    pub(super) fn copy_to(&mut self, tees: Vec<Tee>) {
        self.tees = tees;
    }

    /// No more of it is taken than this.
    pub(super) fn limit(&mut self, most: Option<u64>) {
        self.allowed = most;
    }

    /// Takes what of it came off what may come.
    fn allow(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        if let (Some(allowed), Some(bytes)) = (&mut self.allowed, frame.data_ref()) {
            let Some(left) = allowed.checked_sub(bytes.len() as u64) else {
                self.progress.too_large.set(true);
                return Err(BodyError::TooLarge);
            };
            *allowed = left;
        }
        Ok(frame)
    }

    /// Of one that is fed: for whoever has to know when it breaks off.
    pub(super) fn watch(&self) -> Option<Break> {
        match &self.source {
            Source::Fed(copy) => Some(copy.watch()),
            Source::Nothing | Source::Client(_) => None,
        }
    }

    /// What is known of its exchange.
    pub(super) fn progress(&self) -> Rc<Progress> {
        Rc::clone(&self.progress)
    }

    fn from(source: Source, progress: &Rc<Progress>) -> Self {
        let upload = Self { source, progress: Rc::clone(progress), tees: Vec::new(), allowed: None };
        progress.uploaded.set(upload.is_end_stream());
        upload
    }

    fn uploaded(&self) {
        self.progress.uploaded.set(true);
        self.tees.iter().for_each(Tee::finish);
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match &mut self.source {
            Source::Nothing => None,
            Source::Client(incoming) => {
                ready!(Pin::new(incoming).poll_frame(context)).map(|it| it.map_err(BodyError::Read))
            }
            Source::Fed(copy) => ready!(copy.poll_frame(context)),
        };
        let frame = frame.map(|it| it.and_then(|frame| self.allow(frame)));
        self.progress.last.set(Instant::now());
        match &frame {
            None => self.uploaded(),
            Some(Ok(frame)) => {
                self.tees.iter().for_each(|tee| tee.push(frame));
                if self.is_end_stream() {
                    self.uploaded();
                }
            }
            Some(Err(_)) => {
                self.progress.client_failed.set(true);
                self.tees.clear();
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Nothing => true,
            Source::Client(incoming) => incoming.is_end_stream(),
            Source::Fed(copy) => copy.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Nothing => SizeHint::with_exact(0),
            Source::Client(incoming) => incoming.size_hint(),
            Source::Fed(copy) => copy.size_hint(),
        }
    }
}

// === impl Download ===

impl Download {
    pub(super) fn upstream(
        reply: Reply,
        progress: Rc<Progress>,
        in_flight: InFlight,
        limits: Option<Limits>,
        overdue: Option<Overdue>,
    ) -> Self {
        let reply = Some(reply);
        let ended = false;
        Self::Upstream(Box::new(FromUpstream {
            reply,
            ended,
            progress,
            in_flight,
            limits,
            overdue,
            record: None,
            under_way: None,
        }))
    }

    /// A client that is counted has it under way until it is over.
    pub(super) fn hold(&mut self, under_way: Option<UnderWay>) {
        match self {
            Self::Text(_) => drop(under_way),
            Self::Upstream(body) => body.under_way = under_way,
        }
    }

    /// The line of its request is written when it is over; that of our own at once.
    pub(super) fn log(&mut self, record: Option<Box<Record>>) {
        match self {
            Self::Text(_) => drop(record),
            Self::Upstream(body) => body.record = record,
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Upstream(body) => body.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Upstream(body) => body.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Self::Upstream(body) => body.reply.as_ref().map(Reply::size_hint).unwrap_or_default(),
        }
    }
}

// === impl FromUpstream ===

impl FromUpstream {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(reply) = &mut self.reply else { return Poll::Ready(None) };
        match reply.poll_frame(context) {
            Poll::Ready(frame) => {
                if self.limits.is_some() {
                    self.progress.last.set(Instant::now());
                }
                self.ended = frame.is_none();
                if self.ended {
                    self.under_way = None;
                }
                Poll::Ready(frame)
            }
            Poll::Pending => {
                if let Some(overdue) = &mut self.overdue
                    && overdue.poll(context).is_ready()
                {
                    return Poll::Ready(Some(Ok(self.end_politely())));
                }
                match &mut self.limits {
                    Some(limits) => Poll::Ready(Some(Err(ready!(limits.poll(&self.progress, context))))),
                    None => Poll::Pending,
                }
            }
        }
    }

    /// What the client of a gRPC stream is told instead of the rest.
    fn end_politely(&mut self) -> Frame<Bytes> {
        self.ended = true;
        self.overdue = None;
        // Its exchange is not over: nothing else is sent on its connection.
        self.reply = None;
        Frame::trailers(grpc::trailers(StatusCode::SERVICE_UNAVAILABLE, POD_GOES))
    }

    fn is_over(&self) -> bool {
        self.ended || self.reply.as_ref().is_none_or(Reply::is_end_stream)
    }
}

impl Drop for FromUpstream {
    /// A connection whose exchange is over in both directions takes another request; any other is closed, which
    /// tells the upstream that nobody listens any more.
    fn drop(&mut self) {
        if self.is_over()
            && self.progress.uploaded.get()
            && let Some(reply) = self.reply.take()
        {
            reply.keep(&self.in_flight);
        }
    }
}

impl Limits {
    /// `None` if there are none.
    pub(super) fn new(idle: Option<Duration>, until: Option<Instant>) -> Option<Self> {
        (idle.is_some() || until.is_some()).then_some(Self { idle, until, timer: None })
    }

    /// Ready when nothing has moved for the idle timeout, or when all of the time is over.
    fn poll(&mut self, progress: &Progress, context: &mut Context<'_>) -> Poll<BodyError> {
        let idle_at = self.idle.map(|it| progress.last.get() + it);
        let Some(next) = [idle_at, self.until].into_iter().flatten().min() else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next)));
        if timer.deadline() != next {
            timer.as_mut().reset(next);
        }
        ready!(timer.as_mut().poll(context));
        // What has moved meanwhile has moved the next time as well.
        Poll::Ready(if self.until == Some(next) { BodyError::Late } else { BodyError::Idle })
    }
}
