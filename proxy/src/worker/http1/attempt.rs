//! Sending a request to an arm: picking endpoints, connecting, trying again.

use std::{
    future::poll_fn,
    io,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Method, StatusCode};
use proxy_config::model::Address;
use proxy_core::{
    answer::Reason,
    balance,
    counters::FirstTry,
    endpoint::{Endpoint, EndpointId},
    retry::{self, Failure, Next, Policy, Replay},
    snapshot::{Arm, HostRewrite},
};
use proxy_http1::{Framing, HeadEnd, Kind, Malformed, Persistence, Response, Room};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::Instant,
};
use tracing::debug;

use super::{
    connection::{Connection, MAX_HEAD},
    exchange::Plan,
    head::{headers, set_host, write_switch},
    own::{self, Draft},
    peer::Peer,
    pool::Upstream,
    transfer::{Broken, Transfer},
};
use crate::{
    clock,
    shared::{Phase, count},
    worker::{Worker, attempt::dial, pool::InFlight, tunnel::Protocol},
};

/// How many interim responses an upstream may send before its answer. More is a flood.
const MAX_INTERIM: u32 = 16;

/// What the upstream answered, and what the rest of the exchange needs. The head is written for the client already.
pub(super) struct Answered {
    pub(super) answer: Answer,
    pub(super) upstream: Upstream,
    pub(super) in_flight: InFlight,
    pub(super) sending: Sending,
}

/// What the head of a response means for its exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// How its body comes, and how it goes on.
    pub(super) from: Framing,
    pub(super) to: Framing,
    /// Of the upstream's connection, and of the client's.
    pub(super) upstream: Persistence,
    pub(super) client: Persistence,
    /// The tunnel that follows.
    pub(super) switch: Option<Protocol>,
    /// Whether it is written whole, with another body than its own.
    pub(super) replaced: bool,
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

/// The state of one request's tries. The first try's outcome is counted once, when it is known.
pub(super) struct Tries<'a> {
    worker: &'a Rc<Worker>,
    arm: &'a Arm,
    made: u32,
    first_is_counted: bool,
    /// Endpoints that could not be connected to.
    unreachable: Vec<EndpointId>,
    /// Whether pooled connections are not to be trusted any more.
    fresh: bool,
    /// Where the last try went.
    placed: Option<Arc<Endpoint>>,
    /// What the route wants to be tried again.
    policy: Option<&'a Policy>,
    /// Endpoints that failed in another way: others are better.
    avoided: Vec<EndpointId>,
    /// Whether a client that waits with its body was told to send it.
    invited: bool,
}

/// Why a try has no answer.
enum Failed {
    Because(Failure),
    /// It has one, with a status that the route wants to be tried again.
    Discarded(u16),
    Given(Unanswered),
}

/// What one try has seen of its response.
struct Reading {
    end: HeadEnd,
    interim: u32,
    sending: Sending,
    /// The length of the request's head.
    head: usize,
    connection: retry::Connection,
    /// When this try is given up for another.
    until: Option<Instant>,
    /// Whether the response can still be thrown away.
    discards: bool,
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

impl<'a> Tries<'a> {
    pub(super) fn new(worker: &'a Rc<Worker>, arm: &'a Arm, policy: Option<&'a Policy>) -> Self {
        Self {
            worker,
            arm,
            made: 0,
            first_is_counted: false,
            unreachable: Vec::new(),
            fresh: false,
            placed: None,
            policy,
            avoided: Vec::new(),
            invited: false,
        }
    }

    /// Where the last try went; the answer is counted for its version.
    pub(super) fn placed(&self) -> Option<&Endpoint> {
        self.placed.as_deref()
    }

    /// The outcome of a try is known. Only that of the first is counted.
    pub(super) fn count_first(&mut self, outcome: FirstTry) {
        if !std::mem::replace(&mut self.first_is_counted, true) {
            self.arm.counters(self.placed()).count_first_try(outcome);
        }
    }

    /// Decides an endpoint by the snapshot of this moment, and counts the request there.
    fn pick(&mut self) -> Option<InFlight> {
        let random = self.worker.random.next();
        let picked = if self.made == 0 {
            balance::pick(&self.arm.cluster.endpoints, &[], random).cloned()
        } else {
            let now = self.worker.pin();
            let cluster = now.snapshot.cluster(&self.arm.cluster.id).unwrap_or(&self.arm.cluster);
            let failed: Vec<_> = self.unreachable.iter().chain(&self.avoided).copied().collect();
            let best = balance::pick(&cluster.endpoints, &failed, random);
            best.or_else(|| balance::pick(&cluster.endpoints, &self.unreachable, random)).cloned()
        };
        let in_flight = picked.as_ref().map(|it| InFlight::new(it, self.worker));
        if picked.is_some() {
            self.placed = picked;
        }
        in_flight
    }

    /// Prepares the next try and says how long to wait before it, or why there is none.
    fn again(&mut self, failure: Failure, method: &Method, replay: Replay) -> Result<Duration, Reason> {
        let wait = match retry::next(failure, method, replay, self.made, self.policy) {
            Next::GiveUp(reason) => return Err(reason),
            Next::AnotherEndpoint if failure == Failure::Connect => {
                self.unreachable.extend(self.placed().map(|it| it.id));
                Duration::ZERO
            }
            Next::AnotherEndpoint => self.avoid(),
            Next::FreshConnection => {
                self.fresh = true;
                Duration::ZERO
            }
        };
        count(&self.worker.shared.retries);
        Ok(wait)
    }

    /// The last endpoint failed: others are better for a while, and all of them after a pause.
    fn avoid(&mut self) -> Duration {
        let failed = self.placed().map(|it| it.id);
        self.avoided.extend(failed);
        self.policy.map(|it| it.wait(self.made, self.worker.random.next())).unwrap_or_default()
    }

    /// Whether a response with this status is thrown away for another try.
    fn discards(&self, status: u16) -> bool {
        let status = StatusCode::from_u16(status);
        self.policy.zip(status.ok()).is_some_and(|(policy, status)| policy.retries_status(status, self.made))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Tries until there is a response head or a reason to give up.
    pub(super) async fn attempt(
        &mut self,
        plan: &Plan<'_>,
        upload: &mut Transfer,
        tries: &mut Tries<'_>,
        waits: &mut Waits,
    ) -> Result<Answered, Unanswered> {
        loop {
            let Some(in_flight) = tries.pick() else {
                // Endpoints that were tried and failed are a connect failure; none at all is another matter.
                let reason = if tries.made == 0 { Reason::NoEndpoints } else { Reason::ConnectFailed };
                tries.count_first(FirstTry::Bad);
                return Err(Unanswered::Because(reason));
            };
            tries.made += 1;
            match self.once(plan, upload, tries, waits, in_flight).await {
                Ok(answered) => {
                    let bad = answered.answer.status >= 500;
                    tries.count_first(if bad { FirstTry::Bad } else { FirstTry::Good });
                    return Ok(answered);
                }
                Err(Failed::Given(unanswered)) => {
                    // A client that gave up says nothing about the endpoint.
                    if let Unanswered::Because(_) = unanswered {
                        tries.count_first(FirstTry::Bad);
                    }
                    return Err(unanswered);
                }
                Err(Failed::Because(failure)) => {
                    tries.count_first(FirstTry::Bad);
                    let replay = if upload.is_untouched() { Replay::Possible } else { Replay::Impossible };
                    let wait = tries.again(failure, &plan.method, replay).map_err(Unanswered::Because)?;
                    self.pause(wait, waits).await?;
                }
                Err(Failed::Discarded(status)) => {
                    tries.count_first(if status >= 500 { FirstTry::Bad } else { FirstTry::Good });
                    count(&tries.worker.shared.retries);
                    let wait = tries.avoid();
                    self.pause(wait, waits).await?;
                }
            }
        }
    }

    async fn once(
        &mut self,
        plan: &Plan<'_>,
        upload: &mut Transfer,
        tries: &mut Tries<'_>,
        waits: &mut Waits,
        in_flight: InFlight,
    ) -> Result<Answered, Failed> {
        let pooled =
            if tries.fresh { None } else { self.worker.http1.borrow_mut().take(in_flight.endpoint.id) };
        let (mut upstream, connection) = if let Some(upstream) = pooled {
            (upstream, retry::Connection::Pooled)
        } else {
            // It is rare, and its state need not be part of every connection's.
            let connected = Box::pin(self.connect(plan, waits, &in_flight)).await;
            (Peer::new(connected?), retry::Connection::Fresh)
        };
        upstream.output.extend(self.sent.rest());
        match (&plan.arm.transform.host, &in_flight.endpoint.address) {
            (HostRewrite::Endpoint, Address::Name { host, .. }) => set_host(&mut upstream.output.bytes, host),
            // HTTP/1.0 clients may leave the host out; the upstream wants one.
            (_, Address::Socket(address)) if !plan.has_host => {
                set_host(&mut upstream.output.bytes, &address.to_string());
            }
            (_, Address::Name { host, port }) if !plan.has_host => {
                set_host(&mut upstream.output.bytes, &format!("{host}:{port}"));
            }
            (HostRewrite::Keep | HostRewrite::Literal(_) | HostRewrite::Endpoint, _) => {}
        }
        if plan.expects_continue && self.peer.input.is_empty() && !std::mem::replace(&mut tries.invited, true)
        {
            self.peer.output.extend(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let mut reading = Reading {
            end: HeadEnd::new(Kind::Response),
            interim: 0,
            sending: Sending::Yes,
            head: upstream.output.len(),
            connection,
            until: tries.policy.and_then(|it| it.per_try).map(|limit| Instant::now() + limit),
            discards: false,
        };
        let answer = poll_fn(|context| {
            self.poll_answer(plan, upload, tries, waits, &in_flight, &mut upstream, &mut reading, context)
        })
        .await?;
        Ok(Answered { answer, upstream, in_flight, sending: reading.sending })
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
        reading: &mut Reading,
        context: &mut Context<'_>,
    ) -> Poll<Result<Answer, Failed>> {
        let worker = Rc::clone(&self.worker);
        let scratch = &mut **worker.scratch.borrow_mut();
        if reading.sending == Sending::Yes {
            match upload.poll(&mut self.peer, upstream, scratch, context) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => reading.sending = Sending::Done,
                Poll::Ready(Err(Broken::Sink(error))) => {
                    debug!(address = ?in_flight.endpoint.address, %error, "failed to send a request");
                    if upstream.output.len() >= reading.head && upload.is_untouched() {
                        return Poll::Ready(Err(Failed::Because(Failure::Unsent)));
                    }
                    upstream.output.use_up(upstream.output.len());
                    reading.sending = Sending::Refused;
                }
                Poll::Ready(Err(Broken::Source(_))) => {
                    return Poll::Ready(Err(Failed::Given(Unanswered::ClientGone)));
                }
                Poll::Ready(Err(Broken::Malformed(malformed))) => {
                    return Poll::Ready(Err(Failed::Given(Unanswered::Malformed(malformed))));
                }
            }
            if upload.has_moved() {
                waits.moved();
            }
        }
        if !self.peer.output.is_empty() && matches!(self.peer.poll_flush(context), Poll::Ready(Err(_))) {
            return Poll::Ready(Err(Failed::Given(Unanswered::ClientGone)));
        }
        reading.discards = upload.is_untouched();
        loop {
            if let Some(answer) = self.read_answer(plan, tries, in_flight, upstream, reading)? {
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
        if reading.sending != Sending::Yes && self.poll_gone(scratch, context).is_ready() {
            return Poll::Ready(Err(Failed::Given(Unanswered::ClientGone)));
        }
        let over = waits.at().map(|(at, reason)| (at, Failed::Given(Unanswered::Because(reason))));
        let late = reading.until.map(|at| (at, Failed::Because(Failure::Late)));
        let first = [over, late].into_iter().flatten().min_by_key(|(at, _)| *at);
        let Some((at, failed)) = first else { return Poll::Pending };
        ready!(self.alarm.poll(Some(at), context));
        Poll::Ready(Err(failed))
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

    /// The answer, once its head has come; it is written for the client.
    fn read_answer(
        &mut self,
        plan: &Plan<'_>,
        tries: &Tries<'_>,
        in_flight: &InFlight,
        upstream: &mut Upstream,
        reading: &mut Reading,
    ) -> Result<Option<Answer>, Failed> {
        let protocol = |error: Malformed| {
            debug!(address = ?in_flight.endpoint.address, %error, "an upstream does not speak HTTP");
            Failed::Because(Failure::Protocol)
        };
        while !upstream.input.is_empty() {
            let found = reading.end.find(upstream.input.rest(), MAX_HEAD).map_err(protocol)?;
            let Some((begin, end)) = found else { return Ok(None) };
            let mut room = Room::new();
            let head = &upstream.input.rest()[begin..end];
            let response = Response::parse(head, &mut room, plan.client.asked).map_err(protocol)?;
            if response.is_interim() {
                reading.interim += 1;
                if reading.interim > MAX_INTERIM {
                    return Err(Failed::Because(Failure::Protocol));
                }
                reading.end = HeadEnd::new(Kind::Response);
                upstream.input.use_up(end);
                continue;
            }
            if reading.discards && tries.discards(response.status) {
                return Err(Failed::Discarded(response.status));
            }
            let answer = self.write_answer(plan, in_flight, &response, reading.sending)?;
            upstream.input.use_up(end);
            return Ok(Some(answer));
        }
        Ok(None)
    }

    fn write_answer(
        &mut self,
        plan: &Plan<'_>,
        in_flight: &InFlight,
        response: &Response<'_, '_>,
        sending: Sending,
    ) -> Result<Answer, Failed> {
        let (status, from) = (response.status, response.framing);
        let out = &mut self.peer.output.bytes;
        if status == 101 {
            // Only to what was asked for, and when all of the request has been sent.
            if !plan.offers || sending != Sending::Done {
                return Err(Failed::Because(Failure::Protocol));
            }
            let websocket = response.upgrade.is_some_and(|it| it.eq_ignore_ascii_case(b"websocket"));
            write_switch(out, response);
            let (to, close) = (from, Persistence::Close);
            let switch = Some(if websocket { Protocol::WebSocket } else { Protocol::Other });
            return Ok(Answer { status, from, to, upstream: close, client: close, switch, replaced: false });
        }
        let to = plan.client.framing(from);
        let closes = to == Framing::UntilClose
            || self.worker.phase.get() >= Phase::Leaving
            || in_flight.endpoint.is_overdue(clock::now);
        let client = if closes { Persistence::Close } else { plan.client.persistence };
        let upstream = response.persistence;
        let mut answer = Answer { status, from, to, upstream, client, switch: None, replaced: false };
        let Some(filtering) = &plan.filtering else {
            plan.client.write_response(out, response, None, to, client);
            return Ok(answer);
        };
        let mut draft = Draft::new(None);
        *draft.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        *draft.headers_mut() = headers(response.fields.end_to_end()).unwrap_or_default();
        filtering.end(Some(plan.arm), &mut draft);
        if draft.body().is_some() {
            answer.replaced = true;
            own::write(out, draft, plan.client, client);
        } else {
            plan.client.write_response(out, response, Some(draft.headers()), to, client);
        }
        Ok(answer)
    }

    /// Connects to an endpoint, unless the client or the time is over before.
    async fn connect(
        &mut self,
        plan: &Plan<'_>,
        waits: &Waits,
        in_flight: &InFlight,
    ) -> Result<TcpStream, Failed> {
        let worker = Rc::clone(&self.worker);
        let address = &in_flight.endpoint.address;
        let dialing = tokio::time::timeout(plan.arm.cluster.connect_timeout, dial(address));
        let mut dialing = std::pin::pin!(dialing);
        let dialed = poll_fn(|context| {
            if let Poll::Ready(dialed) = dialing.as_mut().poll(context) {
                return Poll::Ready(Ok(dialed.map_err(io::Error::from).flatten()));
            }
            if self.poll_gone(&mut worker.scratch.borrow_mut(), context).is_ready() {
                return Poll::Ready(Err(Unanswered::ClientGone));
            }
            let Some((at, reason)) = waits.at() else { return Poll::Pending };
            ready!(self.alarm.poll(Some(at), context));
            Poll::Ready(Err(Unanswered::Because(reason)))
        })
        .await;
        match dialed.map_err(Failed::Given)?.and_then(|stream| stream.set_nodelay(true).map(|()| stream)) {
            Ok(stream) => {
                count(&worker.shared.connects);
                Ok(stream)
            }
            Err(error) => {
                debug!(?address, %error, "failed to connect to an endpoint");
                count(&worker.shared.connect_failures);
                Err(Failed::Because(Failure::Connect))
            }
        }
    }
}
