//! Sending a request to an arm: one try after the other.

use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::StatusCode;
use proxy_config::model::UpstreamProtocol;
use proxy_core::{
    answer::Reason,
    retry::{self, Failure, Replay},
};
use proxy_http1::{Malformed, Persistence};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tracing::debug;

use super::{
    answer::{Answer, Reading},
    connect::connect,
    connection::{After, Connection},
    exchange::Plan,
    head::set_host,
    origin::Origin,
    pool::Upstream,
    sink::Sink,
    transfer::{Broken, Transfer},
};
use crate::worker::{Worker, pool::InFlight, tries::Tries};

/// What the upstream answered, and what the rest of the exchange needs. The head is written for the client already.
pub(super) struct Answered {
    pub(super) answer: Answer,
    pub(super) origin: Origin,
    pub(super) in_flight: InFlight,
    pub(super) sending: Sending,
}

/// Whether the request is still being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    Yes,
    Done,
    /// The upstream takes no more of it. It may have answered all the same.
    Refused,
}

/// Why there is no response to forward.
pub(super) enum Unanswered {
    /// The client is told.
    Because(Reason),
    /// The same, but what the client sends cannot be read further.
    Malformed(Malformed),
    /// The client broke off its own request: it cannot be told and nothing is wrong here.
    ClientGone,
}

/// Until when an exchange may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    pub(super) deadline: Option<Instant>,
    pub(super) idle: Option<Duration>,
    /// When something last moved. Kept only if there is an idle timeout.
    pub(super) last: Instant,
}

/// Why a try has no answer.
pub(super) enum Failed {
    Because(Failure),
    /// It has one, with a status that the route wants to be tried again.
    Discarded(StatusCode),
    Given(Unanswered),
}

/// One try.
pub(super) struct Trying {
    pub(super) sending: Sending,
    /// Whether its response can still be thrown away.
    pub(super) discards: bool,
    /// When it is given up for another.
    until: Option<Instant>,
}

impl Answered {
    /// The client has the whole answer. Keeps the connection to the endpoint, if it can be, and says what becomes of the
    /// client's.
    pub(super) fn finish(self, worker: &Worker) -> After {
        let Self { answer, origin, in_flight, sending } = self;
        let whole = sending == Sending::Done;
        if whole && !answer.replaced {
            origin.keep(worker, &in_flight);
        }
        if whole && answer.client == Persistence::KeepAlive { After::Next } else { After::Close }
    }
}

impl Waits {
    /// When the exchange is over, and why.
    pub(super) fn at(&self) -> Option<(Instant, Reason)> {
        let idle = self.idle.map(|idle| (self.last + idle, Reason::IdleTimeout));
        let deadline = self.deadline.map(|it| (it, Reason::Timeout));
        [deadline, idle].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    pub(super) fn moved(&mut self) {
        if self.idle.is_some() {
            self.last = Instant::now();
        }
    }
}

impl Trying {
    pub(super) fn new(tries: &Tries<'_>, sends: bool) -> Self {
        Self {
            sending: if sends { Sending::Yes } else { Sending::Done },
            discards: false,
            until: tries.policy().and_then(|it| it.per_try).map(|limit| Instant::now() + limit),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Tries until there is a response head, which is then in `answered`, or a reason to give up. A result would need its
    /// room in every one of these futures.
    pub(super) async fn attempt(
        &mut self,
        plan: &Plan<'_>,
        upload: &mut Transfer,
        tries: &mut Tries<'_>,
        waits: &mut Waits,
        answered: &mut Option<Answered>,
    ) -> Result<(), Unanswered> {
        loop {
            let in_flight = tries.next().map_err(Unanswered::Because)?;
            let outcome = match plan.arm.cluster.protocol {
                UpstreamProtocol::Http1 => self.once(plan, upload, tries, waits, in_flight, answered).await,
                // Its state need not be part of every connection's.
                UpstreamProtocol::Http2 => {
                    Box::pin(self.once_bridged(plan, upload, tries, waits, in_flight, answered)).await
                }
            };
            let wait = match outcome {
                Ok(status) => {
                    tries.answered(status);
                    return Ok(());
                }
                Err(Failed::Given(unanswered)) => return Err(unanswered),
                Err(Failed::Because(failure)) => {
                    let replay = if upload.is_untouched() { Replay::Possible } else { Replay::Impossible };
                    tries.failed(failure, &plan.method, replay).map_err(Unanswered::Because)?
                }
                Err(Failed::Discarded(status)) => {
                    tries.answered(status);
                    tries.discarded()
                }
            };
            self.pause(wait, waits).await?;
        }
    }

    /// One try at an endpoint that speaks HTTP/1.1.
    async fn once(
        &mut self,
        plan: &Plan<'_>,
        upload: &mut Transfer,
        tries: &Tries<'_>,
        waits: &mut Waits,
        in_flight: InFlight,
        answered: &mut Option<Answered>,
    ) -> Result<StatusCode, Failed> {
        let endpoint = &in_flight.endpoint;
        let mut trying = Trying::new(tries, true);
        let pooled = if tries.may_reuse() { self.worker.http1.borrow_mut().take(endpoint.id) } else { None };
        let (mut upstream, connection) = if let Some(upstream) = pooled {
            (upstream, retry::Connection::Pooled)
        } else {
            let worker = Rc::clone(&self.worker);
            let connecting = connect(&worker, &plan.arm.cluster, endpoint, tries.may_reuse());
            // It is rare, and its state need not be part of every connection's.
            Box::pin(self.connected(connecting, &trying, waits, &in_flight)).await?
        };
        upstream.output.extend(self.sent.rest());
        if let Some(host) = plan.host_at(&endpoint.address) {
            set_host(&mut upstream.output.bytes, &host);
        }
        self.invite(plan);
        let mut reading = Reading::new(upstream.output.len(), connection);
        let (answer, download, persistence) = poll_fn(|context| {
            self.poll_answer(
                plan,
                upload,
                tries,
                waits,
                &in_flight,
                &mut upstream,
                &mut trying,
                &mut reading,
                context,
            )
        })
        .await?;
        let origin = Origin::Http1 { upstream, download, persistence };
        *answered = Some(Answered { answer, origin, in_flight, sending: trying.sending });
        Ok(answer.status)
    }

    /// Sends what can be sent and reads until the head of the answer is there.
    #[expect(clippy::too_many_arguments, reason = "one exchange, in the parts that live for different times")]
    fn poll_answer(
        &mut self,
        plan: &Plan<'_>,
        upload: &mut Transfer,
        tries: &Tries<'_>,
        waits: &mut Waits,
        in_flight: &InFlight,
        upstream: &mut Upstream,
        trying: &mut Trying,
        reading: &mut Reading,
        context: &mut Context<'_>,
    ) -> Poll<Result<(Answer, Transfer, Persistence), Failed>> {
        let worker = Rc::clone(&self.worker);
        let scratch = &mut **worker.scratch.borrow_mut();
        if trying.sending == Sending::Yes {
            self.send(upload, upstream, &mut trying.sending, waits, scratch, context)?;
            if trying.sending == Sending::Refused {
                if upstream.output.len() >= reading.head && upload.is_untouched() {
                    return Poll::Ready(Err(Failed::Because(Failure::Unsent)));
                }
                upstream.output.use_up(upstream.output.len());
            }
        }
        self.flush_invitation(context)?;
        trying.discards = upload.is_untouched();
        loop {
            if let Some(answer) = self.read_answer(plan, tries, in_flight, upstream, trying, reading)? {
                return Poll::Ready(Ok(answer));
            }
            match upstream.poll_fill(context, scratch) {
                Poll::Pending => break,
                Poll::Ready(Ok(0) | Err(_)) => {
                    return Poll::Ready(Err(Failed::Because(Failure::Broken(reading.connection))));
                }
                Poll::Ready(Ok(_)) => waits.moved(),
            }
        }
        self.poll_over(trying, waits, scratch, context).map(Err)
    }

    /// Sends what can be sent of the request.
    pub(super) fn send(
        &mut self,
        upload: &mut Transfer,
        to: &mut impl Sink,
        sending: &mut Sending,
        waits: &mut Waits,
        scratch: &mut [u8],
        context: &mut Context<'_>,
    ) -> Result<(), Failed> {
        if *sending != Sending::Yes {
            return Ok(());
        }
        match upload.poll(&mut self.peer, to, scratch, context) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => *sending = Sending::Done,
            Poll::Ready(Err(Broken::Sink(error))) => {
                debug!(client = %self.address, %error, "an endpoint takes no more of a request");
                *sending = Sending::Refused;
            }
            Poll::Ready(Err(Broken::Source(_))) => return Err(Failed::Given(Unanswered::ClientGone)),
            Poll::Ready(Err(Broken::Malformed(malformed))) => {
                return Err(Failed::Given(Unanswered::Malformed(malformed)));
            }
        }
        if upload.has_moved() {
            waits.moved();
        }
        Ok(())
    }

    /// Tells a client that waits with its body to send it.
    pub(super) fn invite(&mut self, plan: &Plan<'_>) {
        if plan.expects_continue.take() && self.peer.input.is_empty() {
            self.peer.output.extend(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    pub(super) fn flush_invitation(&mut self, context: &mut Context<'_>) -> Result<(), Failed> {
        if self.peer.waiting() > 0 && matches!(self.peer.poll_flush(context), Poll::Ready(Err(_))) {
            return Err(Failed::Given(Unanswered::ClientGone));
        }
        Ok(())
    }

    /// Ready when the client is gone, or the time of the exchange or of the try is over.
    pub(super) fn poll_over(
        &mut self,
        trying: &Trying,
        waits: &Waits,
        scratch: &mut [u8],
        context: &mut Context<'_>,
    ) -> Poll<Failed> {
        if trying.sending != Sending::Yes && self.poll_gone(scratch, context).is_ready() {
            return Poll::Ready(Failed::Given(Unanswered::ClientGone));
        }
        self.poll_late(trying, waits, context)
    }

    pub(super) fn poll_late(
        &mut self,
        trying: &Trying,
        waits: &Waits,
        context: &mut Context<'_>,
    ) -> Poll<Failed> {
        let over = waits.at().map(|(at, reason)| (at, Failed::Given(Unanswered::Because(reason))));
        let late = trying.until.map(|at| (at, Failed::Because(Failure::Late)));
        let first = [over, late].into_iter().flatten().min_by_key(|(at, _)| *at);
        let Some((at, failed)) = first else { return Poll::Pending };
        ready!(self.alarm.poll(Some(at), context));
        Poll::Ready(failed)
    }

    /// Waits before the next try.
    async fn pause(&mut self, wait: Duration, waits: &Waits) -> Result<(), Unanswered> {
        if wait.is_zero() {
            return Ok(());
        }
        let worker = Rc::clone(&self.worker);
        let end = Instant::now() + wait;
        poll_fn(|context| {
            if self.poll_gone(&mut worker.scratch.borrow_mut(), context).is_ready() {
                return Poll::Ready(Err(Unanswered::ClientGone));
            }
            let (at, over) = match waits.at() {
                Some((at, reason)) if at < end => (at, Err(Unanswered::Because(reason))),
                Some(_) | None => (end, Ok(())),
            };
            ready!(self.alarm.poll(Some(at), context));
            Poll::Ready(over)
        })
        .await
    }
}
