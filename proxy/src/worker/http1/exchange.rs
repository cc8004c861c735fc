//! One request and its response.

use std::{
    borrow::Cow,
    future::poll_fn,
    rc::Rc,
    task::{Poll, ready},
};

use http::Method;
use proxy_core::{
    answer::Reason,
    counters::FirstTry,
    path,
    router::RequestHead,
    snapshot::{Action, Arm, Mirror},
};
use proxy_http1::{Asked, Body, Framing, Malformed, Part, Persistence, Request, Room, Version};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tracing::debug;

use super::{
    attempt::{Answered, Sending, Tries, Unanswered, Waits},
    connection::{After, Connection},
    filter::Filtering,
    head::{Client, Lines, Upward, offered, received, rewrite, written},
    own::{self, Draft},
    place::{Instead, Placed, place},
    transfer::{Broken, Transfer},
};
use crate::{
    shared::{Phase, count},
    worker::{
        mirror,
        pin::Pin,
        tunnel::{self, Prefixed},
    },
};

/// How much content bodies may have.
const MAX_BODY: u64 = u64::MAX;

/// What is going to be done with a request.
pub(super) struct Plan<'p> {
    pub(super) client: Client,
    pub(super) method: Method,
    pub(super) arm: &'p Arm,
    /// What is changed on the way, if anything is.
    pub(super) filtering: Option<Filtering<'p>>,
    /// Who gets a copy.
    mirrors: Vec<&'p Mirror>,
    framing: Framing,
    pub(super) expects_continue: bool,
    /// Whether the upstream is offered another protocol.
    pub(super) offers: bool,
    /// Whether the head for the upstream has a host.
    pub(super) has_host: bool,
}

/// A request that no upstream gets.
struct Refused {
    own: Draft,
    client: Client,
    framing: Framing,
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

const UNKNOWN: Client =
    Client { version: Version::Http11, asked: Asked::Other, persistence: Persistence::Close };

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Answers the request with the head that begins and ends here: from an endpoint of the arm that it is drawn for,
    /// or by ourselves with the reason.
    pub(super) async fn exchange(&mut self, begin: usize, end: usize) -> After {
        let worker = Rc::clone(&self.worker);
        let pin = worker.pin();
        let placed = self.place(&pin, begin, end);
        self.peer.input.use_up(end);
        let plan = match placed {
            Ok(plan) => plan,
            Err(refused) => return self.refuse(*refused).await,
        };
        let mut upload = match Transfer::new(plan.framing, plan.framing, MAX_BODY) {
            Ok(upload) => upload,
            Err(malformed) => return self.refuse_malformed(malformed).await,
        };
        if !plan.mirrors.is_empty()
            && !plan.offers
            && let Some(head) = written(self.sent.rest())
        {
            let tees = mirror::start(&worker, &plan.mirrors, &head, size(plan.framing), plan.arm.timeout);
            upload.copy_to(tees);
        }
        let now = Instant::now();
        let until = plan.arm.total_timeout.map(|it| now + it);
        let deadline = plan.arm.timeout.map(|it| now + it).into_iter().chain(until).min();
        let mut waits = Waits { deadline, idle: plan.arm.idle_timeout, last: now };
        let policy = plan.filtering.as_ref().and_then(|it| it.filters()?.retry.as_ref());
        let mut tries = Tries::new(&worker, plan.arm, policy);
        let outcome = self.attempt(&plan, &mut upload, &mut tries, &mut waits).await;
        let counters = plan.arm.counters(tries.placed());
        match outcome {
            Ok(answered) => {
                let status = http::StatusCode::from_u16(answered.answer.status);
                counters.count_answer(status.unwrap_or(http::StatusCode::BAD_GATEWAY));
                // No retry can follow.
                drop(tries);
                drop(pin);
                self.deliver(answered, upload, Waits { deadline: until, ..waits }).await
            }
            Err(Unanswered::Because(reason)) => {
                counters.count_answer(reason.status());
                if matches!(reason, Reason::Timeout | Reason::IdleTimeout) {
                    tries.count_first(FirstTry::Bad);
                }
                let (mut own, client) = (own::refuse(&worker, reason), plan.client);
                if let Some(filtering) = &plan.filtering {
                    filtering.end(Some(plan.arm), &mut own);
                }
                // Of a body that was begun nobody reads the rest.
                let whole = upload.is_over();
                let framing = if whole { Framing::None } else { Framing::UntilClose };
                let framing = if upload.is_untouched() { plan.framing } else { framing };
                self.refuse(Refused { own, client, framing }).await
            }
            Err(Unanswered::Malformed(malformed)) => self.refuse_malformed(malformed).await,
            Err(Unanswered::ClientGone) => After::Drop,
        }
    }

    /// Reads the head, finds the rule and the arm, and writes the head for the upstream.
    fn place<'p>(&mut self, pin: &'p Pin, begin: usize, end: usize) -> Result<Plan<'p>, Box<Refused>> {
        let (worker, entry) = (&self.worker, &self.entry);
        let mut room = Room::new();
        let head = &self.peer.input.rest()[begin..end];
        let request = Request::parse(head, &mut room).map_err(|malformed| {
            debug!(client = %self.address, error = %malformed, "a request is malformed");
            Refused { own: own::malformed(worker, malformed), client: UNKNOWN, framing: Framing::None }
        })?;
        let client = Client {
            version: request.version,
            asked: Asked::by(request.method),
            persistence: request.persistence,
        };
        let framing = request.framing;
        let refuse = |own| Box::new(Refused { own, client, framing });
        if request.method == "CONNECT" {
            return Err(refuse(own::refuse(worker, Reason::ConnectMethod)));
        }
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| refuse(own::malformed(worker, Malformed::RequestLine)))?;
        let mut authority = Cow::Borrowed(request.authority.unwrap_or_default());
        if authority.bytes().any(|it| it.is_ascii_uppercase()) {
            authority = authority.to_ascii_lowercase().into();
        }
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
        let Placed { rule, location, mirrors } =
            place(pin, entry, &looked_at).map_err(|instead| match instead {
                Instead::Because(reason) => refuse(own::refuse(worker, reason)),
                Instead::Redirect(status, location) => refuse(own::redirect(status, location)),
            })?;
        let arm = match &rule.action {
            Action::Split(split) => split.draw(),
            Action::Refuse(_) | Action::Redirect(_) => None,
        };
        let filtering = if Filtering::is_needed(rule, arm) {
            let received =
                received(&request).ok_or_else(|| refuse(own::refuse(worker, Reason::BadRequest)))?;
            let said = request.authority.unwrap_or_default();
            let filtering = Filtering::begin(worker, entry, rule, arm, &received, said);
            if let Some(own) = filtering.instead(worker, &received) {
                return Err(refuse(own));
            }
            Some(filtering)
        } else {
            None
        };
        let refuse = |mut own| {
            if let Some(filtering) = &filtering {
                filtering.end(arm, &mut own);
            }
            refuse(own)
        };
        let arm = match (&rule.action, arm, location) {
            (Action::Split(_), Some(arm), _) => arm,
            (Action::Split(_), None, _) => return Err(refuse(own::refuse(worker, Reason::NoEndpoints))),
            (Action::Refuse(refusal), ..) => return Err(refuse(own::refuse_as_configured(refusal))),
            (Action::Redirect(redirect), _, Some(location)) => {
                return Err(refuse(own::redirect(redirect.status, location)));
            }
            (Action::Redirect(_), _, None) => {
                return Err(refuse(own::refuse(worker, Reason::BadRequest)));
            }
        };
        let rewritten = arm.transform.rewrite.apply(&path);
        let upgrade = offered(&request);
        let upward = Upward {
            request: &request,
            path: rewritten.as_deref().unwrap_or(&path),
            host: &arm.transform.host,
            sender: &entry.sender,
            client: &self.address,
            upgrade,
            id: filtering.as_ref().and_then(|it| it.facts()?.request_id.as_ref()),
        };
        self.sent.use_up(self.sent.len());
        let mut has_host = upward.write(&mut self.sent.bytes, &worker.random);
        if let Some(filtering) = &filtering
            && filtering.changes_request(arm)
        {
            // With ours it has too many fields. It must not pass without the changes.
            let Some(mut parts) = written(self.sent.rest()) else {
                return Err(refuse(own::refuse(worker, Reason::HeadTooLarge)));
            };
            filtering.change_request(arm, &mut parts.headers);
            has_host = rewrite(&mut self.sent.bytes, &parts, upgrade, framing);
        }
        let (expects_continue, offers) = (request.expects_continue, upgrade.is_some());
        Ok(Plan { client, method, arm, filtering, mirrors, framing, expects_continue, offers, has_host })
    }

    /// Passes the response on, and what is left of the request.
    async fn deliver(&mut self, answered: Answered, mut upload: Transfer, mut waits: Waits) -> After {
        let Answered { answer, mut upstream, in_flight, mut sending } = answered;
        if let Some(protocol) = answer.switch {
            if !self.flush().await {
                return After::Drop;
            }
            let client = Prefixed::new(&mut self.peer.stream, self.peer.input.rest());
            let upstream = Prefixed::new(upstream.stream, upstream.input.rest());
            let worker = Rc::clone(&self.worker);
            let tunnel = tunnel::run(worker, protocol, client, upstream, in_flight, waits.idle);
            Box::pin(tunnel).await;
            return After::Drop;
        }
        if answer.replaced {
            let whole = sending == Sending::Done && answer.client == Persistence::KeepAlive;
            let after = if whole { After::Next } else { After::Close };
            return if self.flush().await { after } else { After::Drop };
        }
        let Ok(mut download) = Transfer::new(answer.from, answer.to, MAX_BODY) else { return After::Drop };
        waits.moved();
        let worker = Rc::clone(&self.worker);
        let ended = poll_fn(|context| {
            let scratch = &mut **worker.scratch.borrow_mut();
            if sending == Sending::Yes {
                match upload.poll(&mut self.peer, &mut upstream, scratch, context) {
                    Poll::Pending => {}
                    Poll::Ready(Ok(())) => sending = Sending::Done,
                    Poll::Ready(Err(Broken::Sink(_))) => sending = Sending::Refused,
                    Poll::Ready(Err(Broken::Source(_) | Broken::Malformed(_))) => {
                        return Poll::Ready(Ended::ClientGone);
                    }
                }
            }
            match download.poll(&mut upstream, &mut self.peer, scratch, context) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => return Poll::Ready(Ended::Whole),
                Poll::Ready(Err(Broken::Sink(_))) => return Poll::Ready(Ended::ClientGone),
                Poll::Ready(Err(broken @ (Broken::Source(_) | Broken::Malformed(_)))) => {
                    return Poll::Ready(Ended::UpstreamBroke(broken));
                }
            }
            if upload.has_moved() | download.has_moved() {
                waits.moved();
            }
            if sending == Sending::Done && self.poll_gone(scratch, context).is_ready() {
                return Poll::Ready(Ended::ClientGone);
            }
            let stall = self.stall.at(self.peer.output.len()).map(|at| (at, Ended::Stalled));
            let over = waits.at().map(|(at, _)| (at, Ended::Over));
            let first = [stall, over].into_iter().flatten().min_by_key(|(at, _)| *at);
            let Some((at, ended)) = first else { return Poll::Pending };
            ready!(self.alarm.poll(Some(at), context));
            Poll::Ready(ended)
        })
        .await;
        match ended {
            Ended::Whole => {}
            Ended::Stalled => {
                count(&worker.shared.stalled);
                return After::Drop;
            }
            Ended::UpstreamBroke(broken) => {
                debug!(address = ?in_flight.endpoint.address, %broken, "a response breaks off");
                return After::Drop;
            }
            Ended::Over | Ended::ClientGone => return After::Drop,
        }
        let whole = sending == Sending::Done;
        if whole && answer.upstream == Persistence::KeepAlive {
            worker.http1.borrow_mut().give(&in_flight.endpoint, upstream);
        }
        if whole && answer.client == Persistence::KeepAlive { After::Next } else { After::Close }
    }

    /// Answers by ourselves. The connection goes on if the body of the request has come already.
    async fn refuse(&mut self, refused: Refused) -> After {
        let Refused { own, mut client, framing } = refused;
        if self.worker.phase.get() >= Phase::Leaving || !self.skip(framing) {
            client.persistence = Persistence::Close;
        }
        own::write(&mut self.peer.output.bytes, own, client, client.persistence);
        match (self.flush().await, client.persistence) {
            (false, _) => After::Drop,
            (true, Persistence::KeepAlive) => After::Next,
            (true, Persistence::Close) => After::Close,
        }
    }

    /// Answers a request of which no more can be read.
    pub(super) async fn refuse_malformed(&mut self, malformed: Malformed) -> After {
        debug!(client = %self.address, error = %malformed, "a request is malformed");
        let own = own::malformed(&self.worker, malformed);
        self.refuse(Refused { own, client: UNKNOWN, framing: Framing::None }).await
    }

    /// Skips the body of a request, if all of it is there.
    fn skip(&mut self, framing: Framing) -> bool {
        let Ok(mut body) = Body::new(framing, MAX_BODY) else { return false };
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

/// What is known of the size of a body before it comes.
fn size(framing: Framing) -> hyper::body::SizeHint {
    match framing {
        Framing::None => hyper::body::SizeHint::with_exact(0),
        Framing::Length(length) => hyper::body::SizeHint::with_exact(length),
        Framing::Chunked | Framing::UntilClose => hyper::body::SizeHint::default(),
    }
}
