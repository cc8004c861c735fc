//! One request and its response.

use std::{
    borrow::Cow,
    cell::Cell,
    future::poll_fn,
    pin::pin,
    rc::Rc,
    task::{Poll, ready},
    time::Duration,
};

use http::{HeaderMap, Method, header::HOST, request::Parts};
use proxy_config::model::Address;
use proxy_core::{
    admission::Instead,
    answer::Reason,
    balance::Affinity,
    path,
    router::RequestHead,
    snapshot::{Arm, HostRewrite, Mirror},
};
use proxy_http1::{Asked, Body, Framing, Malformed, Part, Persistence, Request, Room, Version};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tokio_util::either::Either;
use tracing::debug;

use super::{
    attempt::{Answered, Sending, Unanswered, Waits},
    client::Client,
    connection::{After, Connection},
    head::{Lines, Upward, offered, received, rewrite, written},
    origin::Origin,
    transfer::{Broken, MOST, Transfer},
};
use crate::{
    access::Record,
    clock,
    shared::{Phase, count},
    worker::{
        Worker,
        entry::Entry,
        filter::{self, Filtering},
        mirror,
        own::{self, Draft},
        pending::{Known, Pending, Waiting},
        pin::Pin,
        place::{Placed, draw, lower_case, mirrors, place},
        tries::Tries,
        tunnel::{self, Prefixed, Protocol},
        upstream::authority,
    },
};

/// What is going to be done with a request.
pub(super) struct Plan<'p> {
    pub(super) client: Client,
    pub(super) method: Method,
    pub(super) arm: &'p Arm,
    /// What of it decides its endpoint.
    pub(super) affinity: Affinity,
    /// What is changed on the way, if anything is.
    pub(super) filtering: Option<Box<Filtering<'p>>>,
    /// Who gets a copy.
    mirrors: Vec<&'p Mirror>,
    framing: Framing,
    /// Whether the client waits with the body until it is asked for it.
    pub(super) expects_continue: Cell<bool>,
    /// The protocol that the upstream is offered instead.
    pub(super) offers: Option<Protocol>,
    /// Whether the head for the upstream has a host.
    has_host: bool,
}

/// A request that no upstream gets.
struct Refused {
    own: Draft,
    client: Client,
    framing: Framing,
}

/// Why a request is not sent to an upstream.
enum Stopped {
    Refused(Box<Refused>),
    /// Not before this is known.
    Pending(Pending),
}

/// How a response came to its end.
enum Ended {
    Whole,
    ClientGone,
    UpstreamBroke(Broken),
    /// Nothing has moved for too long, or all of its time is over.
    Over,
    Stalled,
}

/// A client of whose request nothing can be said.
const UNKNOWN: Client =
    Client { version: Version::Http11, asked: Asked::Other, persistence: Persistence::Close };

impl Plan<'_> {
    /// The host that an endpoint at this address is asked for, where it depends on that.
    pub(super) fn host_at<'a>(&self, address: &'a Address) -> Option<Cow<'a, str>> {
        match (&self.arm.transform.host, address) {
            (HostRewrite::Endpoint, Address::Name { host, .. }) => Some(host.into()),
            // HTTP/1.0 clients may leave the host out; the upstream wants one.
            _ if !self.has_host => Some(authority(address).into()),
            (HostRewrite::Keep | HostRewrite::Literal(_) | HostRewrite::Endpoint, _) => None,
        }
    }

    /// What is known of the size of its body before it comes.
    pub(super) fn size(&self) -> hyper::body::SizeHint {
        match self.framing {
            Framing::None => hyper::body::SizeHint::with_exact(0),
            Framing::Length(length) => hyper::body::SizeHint::with_exact(length),
            Framing::Chunked | Framing::UntilClose => hyper::body::SizeHint::default(),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Answers the request with the head that begins and ends here: from an endpoint of the arm that it is drawn for,
    /// or by ourselves with the reason.
    pub(super) async fn exchange(&mut self, begin: usize, end: usize) -> After {
        let worker = Rc::clone(&self.worker);
        let mut pin = worker.pin();
        self.peer.output.begin();
        let placed = {
            // Within these braces: what comes later needs no room for it.
            let mut known = Known::default();
            loop {
                match self.place(&pin, begin, end, &mut known) {
                    Ok(plan) => break Ok(plan),
                    Err(Stopped::Refused(refused)) => break Err(refused),
                    Err(Stopped::Pending(pending)) => {
                        let waiting = pending.begin(&worker);
                        drop(pin);
                        // Its state need not be part of every connection's.
                        let Some(more) = Box::pin(self.find_out(waiting, known)).await else {
                            return After::Drop;
                        };
                        (known, pin) = (more, worker.pin());
                    }
                }
            }
        };
        self.peer.input.use_up(end);
        let mut plan = match placed {
            Ok(plan) => plan,
            Err(refused) => {
                let persistence = self.refuse(*refused);
                return self.refused(persistence).await;
            }
        };
        // To the last byte of the response.
        let _under_way = plan.filtering.as_mut().and_then(|it| it.under_way());
        let most = plan.filtering.as_ref().and_then(|it| it.max_body_bytes()).unwrap_or(MOST);
        let mut upload = match Transfer::of_at_most(most, plan.framing, plan.framing) {
            Ok(upload) => upload,
            Err(malformed) => return self.refuse_malformed(malformed).await,
        };
        // What an upgrade leads to cannot be copied, and its head alone would mean another request.
        if !plan.mirrors.is_empty() && plan.offers.is_none() {
            match self.head(&plan) {
                Some(head) => {
                    let (size, timeout) = (plan.size(), plan.arm.timeout);
                    upload.copy_to(mirror::start(&worker, &plan.mirrors, &head, size, timeout));
                }
                None => mirror::drop_all(&plan.mirrors),
            }
        }
        let now = Instant::now();
        let until = plan.arm.total_timeout.map(|it| now + it);
        let deadline = plan.arm.timeout.map(|it| now + it).into_iter().chain(until).min();
        let mut waits = Waits { deadline, idle: plan.arm.idle_timeout, last: now };
        let policy = plan.filtering.as_ref().and_then(|it| it.filters()?.retry.as_deref());
        let mut tries = Tries::new(&worker, plan.arm, policy, &plan.affinity, now);
        let mut slot = None;
        let outcome = self.attempt(&plan, &mut upload, &mut tries, &mut waits, &mut slot).await;
        if let Err(unanswered) = outcome {
            return match self.give_up(&plan, &upload, &mut tries, &unanswered) {
                Some(persistence) => self.refused(persistence).await,
                None => After::Drop,
            };
        }
        if let Some(answered) = &slot {
            plan.arm.counters(tries.placed()).count_answer(answered.answer.status);
            if let Some(record) = &mut self.record {
                record.sent(plan.arm, tries.placed(), tries.made());
                record.answered(answered.answer.status, &HeaderMap::new());
            }
        }
        // No retry can follow.
        drop(tries);
        drop(plan);
        drop(pin);
        waits.deadline = until;
        if let Some(answered) = slot.take_if(|it| it.answer.switch.is_some()) {
            return Box::pin(self.switch(answered, waits.idle)).await;
        }
        let delivered = match &mut slot {
            Some(answered) => self.deliver(answered, &mut upload, &mut waits).await,
            None => false,
        };
        match slot {
            Some(answered) if delivered => answered.finish(&worker),
            Some(_) | None => After::Drop,
        }
    }

    /// Writes what the client is told instead of a response. `None`: it cannot be told.
    fn give_up(
        &mut self,
        plan: &Plan<'_>,
        upload: &Transfer,
        tries: &mut Tries<'_>,
        unanswered: &Unanswered,
    ) -> Option<Persistence> {
        let reason = match *unanswered {
            Unanswered::Because(reason) => reason,
            Unanswered::Malformed(malformed) => return Some(self.malformed(malformed)),
            Unanswered::ClientGone => return None,
        };
        if matches!(reason, Reason::Timeout | Reason::IdleTimeout) {
            tries.expired();
        }
        plan.arm.counters(tries.placed()).count_answer(reason.status());
        if let Some(record) = &mut self.record {
            record.sent(plan.arm, tries.placed(), tries.made());
        }
        let mut own = own::refuse(&self.worker, reason);
        if let Some(filtering) = &plan.filtering {
            filtering.end(Some(plan.arm), &mut own);
        }
        // Of a body that was begun nobody reads the rest.
        let framing = match (upload.is_untouched(), upload.is_over()) {
            (true, _) => plan.framing,
            (false, true) => Framing::None,
            (false, false) => Framing::UntilClose,
        };
        Some(self.refuse(Refused { own, client: plan.client, framing }))
    }

    /// Reads the head, finds the rule and the arm, and writes the head for the upstream.
    #[expect(clippy::too_many_lines, reason = "one decision after the other")]
    fn place<'p>(
        &mut self,
        pin: &'p Pin,
        begin: usize,
        end: usize,
        known: &mut Known,
    ) -> Result<Plan<'p>, Stopped> {
        let (worker, entry) = (&self.worker, &self.entry);
        let mut room = Room::new();
        let head = &self.peer.input.rest()[begin..end];
        let request = Request::parse(head, &mut room).map_err(|malformed| {
            debug!(client = %self.address, error = %malformed, "a request is malformed");
            let own = own::malformed(worker, malformed);
            Stopped::Refused(Box::new(Refused { own, client: UNKNOWN, framing: Framing::None }))
        })?;
        if !known.again {
            self.record = record(worker, entry, &request);
        }
        let client = Client {
            version: request.version,
            asked: Asked::by(request.method),
            persistence: request.persistence,
        };
        let framing = request.framing;
        let refuse = |own| Stopped::Refused(Box::new(Refused { own, client, framing }));
        if request.method == "CONNECT" {
            return Err(refuse(own::refuse(worker, Reason::ConnectMethod)));
        }
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| refuse(own::malformed(worker, Malformed::RequestLine)))?;
        let authority = lower_case(request.authority.unwrap_or_default());
        let (path, query) = request.target.path_and_query();
        let path = path::normalize(path);
        let looked_at = RequestHead {
            listener: &entry.listener.id,
            authority: &authority,
            path: &path,
            query,
            method: &method,
            headers: &Lines(request.fields),
        };
        let Placed { rule, location } = place(pin, entry, &looked_at).map_err(|instead| match instead {
            Instead::Because(reason) => refuse(own::refuse(worker, reason)),
            Instead::Redirect(status, location) => refuse(own::redirect(status, location)),
        })?;
        self.record.iter_mut().for_each(|it| it.routed(&rule.route.id));
        let said = request.authority.unwrap_or_default();
        let whole = || Some(Cow::Owned(received(&request)?));
        let access = filter::access(worker, entry, rule, known, said, whole).map_err(Stopped::Pending)?;
        let (arm, mirrors) =
            if access.is_granted() { (draw(rule), mirrors(rule, &looked_at)) } else { (None, Vec::new()) };
        let filtering = if Filtering::is_needed(rule, arm) {
            let received =
                received(&request).ok_or_else(|| refuse(own::refuse(worker, Reason::BadRequest)))?;
            let filtering = Filtering::begin(worker, entry, rule, arm, &received, said, access);
            if let Some(own) = filtering.instead(worker, &received) {
                return Err(refuse(own));
            }
            Some(Box::new(filtering))
        } else {
            None
        };
        let refuse = |mut own| {
            if let Some(filtering) = &filtering {
                filtering.end(arm, &mut own);
            }
            refuse(own)
        };
        let Some(arm) = arm else { return Err(refuse(own::without_arm(worker, &rule.action, location))) };
        let rewritten = arm.transform.rewrite.apply(&path);
        let upgrade = offered(&request);
        let upward = Upward {
            request: &request,
            path: rewritten.as_deref().unwrap_or(&path),
            host: &arm.transform.host,
            sender: &entry.sender,
            extra: entry.extra(worker),
            client: &self.address,
            upgrade,
            id: filtering.as_ref().and_then(|it| it.facts()?.request_id.as_ref()),
        };
        self.sent.use_up(self.sent.len());
        self.sent.begin();
        let mut has_host = upward.write(&mut self.sent.bytes, &worker.random);
        let balancer = &arm.cluster.balancer;
        let edits = filtering.as_ref().filter(|it| it.changes_request(arm));
        let mut affinity = Affinity::default();
        if edits.is_some() || balancer.asks() {
            // With ours it has too many fields. It must not pass without what the route wants of them.
            let Some(mut parts) = written(self.sent.rest()) else {
                return Err(refuse(own::refuse(worker, Reason::HeadTooLarge)));
            };
            if let Some(edits) = edits {
                edits.change_request(arm, &mut parts.headers);
                has_host |= parts.headers.get(HOST).is_some_and(|it| !it.is_empty());
                rewrite(&mut self.sent.bytes, &parts, upgrade, framing);
            }
            affinity = balancer.affinity(&parts.headers, entry.sender.address.ip(), || worker.random.next());
        }
        let (expects_continue, offers) = (Cell::new(request.expects_continue), upgrade.map(Protocol::named));
        Ok(Plan {
            client,
            method,
            arm,
            affinity,
            filtering,
            mirrors,
            framing,
            expects_continue,
            offers,
            has_host,
        })
    }

    /// Waits for what has to be known of a request. `None`: nobody is there to be told, or it cannot be found out.
    async fn find_out(&mut self, waiting: Waiting, known: Known) -> Option<Known> {
        let worker = Rc::clone(&self.worker);
        let mut found = pin!(waiting.end(&worker, known));
        poll_fn(|context| {
            if let Poll::Ready(known) = found.as_mut().poll(context) {
                return Poll::Ready(known);
            }
            self.poll_gone(&mut worker.scratch.borrow_mut(), context).map(|()| None)
        })
        .await
    }

    /// The head that was written for the upstream, for others than who reads it. `None`: it has more fields than a head
    /// may have.
    pub(super) fn head(&self, plan: &Plan<'_>) -> Option<Parts> {
        let mut head = written(self.sent.rest())?;
        if !plan.has_host {
            head.headers.remove(HOST);
        }
        Some(head)
    }

    /// Passes the response on, and what is left of the request. Whether the client has all of it.
    async fn deliver(&mut self, answered: &mut Answered, upload: &mut Transfer, waits: &mut Waits) -> bool {
        let Answered { answer, origin, in_flight, sending } = answered;
        if answer.replaced {
            return self.flush().await;
        }
        waits.moved();
        let worker = Rc::clone(&self.worker);
        let ended = poll_fn(|context| {
            let scratch = &mut **worker.scratch.borrow_mut();
            if *sending == Sending::Yes {
                match origin.poll_upload(upload, &mut self.peer, scratch, context) {
                    Poll::Pending => {}
                    Poll::Ready(Ok(())) => *sending = Sending::Done,
                    Poll::Ready(Err(Broken::Sink(_))) => *sending = Sending::Refused,
                    Poll::Ready(Err(Broken::Source(_) | Broken::Malformed(_))) => {
                        return Poll::Ready(Ended::ClientGone);
                    }
                }
            }
            match origin.poll_download(&mut self.peer, scratch, context) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => return Poll::Ready(Ended::Whole),
                Poll::Ready(Err(Broken::Sink(_))) => return Poll::Ready(Ended::ClientGone),
                Poll::Ready(Err(broken @ (Broken::Source(_) | Broken::Malformed(_)))) => {
                    return Poll::Ready(Ended::UpstreamBroke(broken));
                }
            }
            if upload.has_moved() | origin.has_moved() {
                waits.moved();
            }
            if *sending == Sending::Done && self.poll_gone(scratch, context).is_ready() {
                return Poll::Ready(Ended::ClientGone);
            }
            let stall = self.stall.at(self.peer.waiting()).map(|at| (at, Ended::Stalled));
            let over = waits.at().map(|(at, _)| (at, Ended::Over));
            let first = [stall, over].into_iter().flatten().min_by_key(|(at, _)| *at);
            let Some((at, ended)) = first else { return Poll::Pending };
            ready!(self.alarm.poll(Some(at), context));
            Poll::Ready(ended)
        })
        .await;
        match ended {
            Ended::Whole => return true,
            Ended::Stalled => count(&worker.shared.stalled),
            Ended::UpstreamBroke(broken) => {
                debug!(address = ?in_flight.endpoint.address, %broken, "a response breaks off");
            }
            Ended::Over | Ended::ClientGone => {}
        }
        false
    }

    /// Leaves HTTP, for as long as both sides want.
    async fn switch(&mut self, answered: Answered, idle: Option<Duration>) -> After {
        let Answered { answer, origin, in_flight, .. } = answered;
        let upstream = match origin {
            Origin::Http1 { upstream, .. } => {
                Either::Left(Prefixed::new(upstream.stream, upstream.input.rest()))
            }
            Origin::Opened(opened) => Either::Right(*opened),
            Origin::Http2(_) => return After::Drop,
        };
        let Some(protocol) = answer.switch else { return After::Drop };
        if self.flush().await {
            let client = Prefixed::new(&mut self.peer.stream, self.peer.input.rest());
            let worker = Rc::clone(&self.worker);
            tunnel::run(worker, protocol, client, upstream, in_flight, idle).await;
        }
        After::Drop
    }

    /// Writes an answer of our own. The connection goes on if the body of the request has come already.
    fn refuse(&mut self, refused: Refused) -> Persistence {
        let Refused { own, mut client, framing } = refused;
        if let Some(record) = &mut self.record {
            record.answered(own.status(), own.headers());
        }
        if self.worker.phase.get() >= Phase::Leaving || !self.skip(framing) {
            client.persistence = Persistence::Close;
        }
        client.write_own(&mut self.peer.output.bytes, own, client.persistence);
        client.persistence
    }

    /// Sends an answer of our own that was written.
    async fn refused(&mut self, persistence: Persistence) -> After {
        match (self.flush().await, persistence) {
            (false, _) => After::Drop,
            (true, Persistence::KeepAlive) => After::Next,
            (true, Persistence::Close) => After::Close,
        }
    }

    /// Writes the answer to a request of which no more can be read.
    fn malformed(&mut self, malformed: Malformed) -> Persistence {
        debug!(client = %self.address, error = %malformed, "a request is malformed");
        let own = own::malformed(&self.worker, malformed);
        self.refuse(Refused { own, client: UNKNOWN, framing: Framing::None })
    }

    /// Answers it.
    pub(super) async fn refuse_malformed(&mut self, malformed: Malformed) -> After {
        let persistence = self.malformed(malformed);
        self.refused(persistence).await
    }

    /// Skips the body of a request, if all of it is there.
    fn skip(&mut self, framing: Framing) -> bool {
        let Ok(mut body) = Body::new(framing, MOST) else { return false };
        loop {
            let Ok(step) = body.step(self.peer.input.rest()) else { return false };
            let over = match step.part {
                None => Some(false),
                Some(Part::Content(_)) => None,
                Some(Part::End | Part::Trailers(_)) => Some(true),
            };
            let taken = step.taken;
            self.peer.input.use_up(taken);
            if let Some(over) = over {
                return over;
            }
        }
    }
}

/// The line of a request, if it is logged.
fn record(worker: &Worker, entry: &Entry, request: &Request<'_, '_>) -> Option<Box<Record>> {
    let log = worker.access_log()?;
    let authority = request.authority.unwrap_or_default();
    Some(Record::begin(log, entry.sender.address, clock::now(), authority, &received(request)?))
}
