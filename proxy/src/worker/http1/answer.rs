//! The head of an answer: read from the upstream, and written for the client.

use http::{HeaderMap, HeaderValue, StatusCode, header::SET_COOKIE};
use proxy_core::retry::{self, Failure};
use proxy_http1::{Framing, HeadEnd, Kind, Malformed, Persistence, Response, Room};
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::debug;

use super::{
    attempt::{Failed, Sending, Trying},
    client::{Close, write_switch},
    connection::Connection,
    exchange::Plan,
    head::headers,
    pool::Upstream,
    transfer::Transfer,
};
use crate::{
    clock,
    shared::Phase,
    worker::{connection::MAX_HEAD, own::Draft, pool::InFlight, tries::Tries, tunnel::Protocol},
};

/// How many interim responses an upstream may send before its answer. More is a flood.
pub(super) const MAX_INTERIM: u32 = 16;

/// What the head of a response means for its exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Of the client's connection.
    pub(super) client: Persistence,
    /// The tunnel that follows.
    pub(super) switch: Option<Protocol>,
    /// Whether it is written whole, with another body than its own.
    pub(super) replaced: bool,
}

/// What one try has seen of its response.
pub(super) struct Reading {
    end: HeadEnd,
    interim: u32,
    /// The length of the request's head.
    pub(super) head: usize,
    pub(super) connection: retry::Connection,
}

impl Reading {
    pub(super) fn new(head: usize, connection: retry::Connection) -> Self {
        Self { end: HeadEnd::new(Kind::Response), interim: 0, head, connection }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// The answer, once its head has come, and how its body is read; it is written for the client.
    pub(super) fn read_answer(
        &mut self,
        plan: &Plan<'_>,
        tries: &Tries<'_>,
        in_flight: &InFlight,
        upstream: &mut Upstream,
        trying: &Trying,
        reading: &mut Reading,
    ) -> Result<Option<(Answer, Transfer, Persistence)>, Failed> {
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
            // The codec lets no other through.
            let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::BAD_GATEWAY);
            if trying.discards && tries.discards(status) {
                return Err(Failed::Discarded(status));
            }
            let to = plan.client.framing(response.framing);
            let download = Transfer::new(response.framing, to).map_err(protocol)?;
            let persistence = response.persistence;
            let mut answer = self.answer(plan, in_flight, status, to);
            if status == StatusCode::SWITCHING_PROTOCOLS {
                // Only to what was asked for, and when all of the request has been sent.
                if plan.offers.is_none() || trying.sending != Sending::Done {
                    return Err(Failed::Because(Failure::Protocol));
                }
                answer.switch = Some(Protocol::named(response.upgrade.unwrap_or_default()));
                write_switch(&mut self.peer.output.bytes, &response);
            } else if plan.filtering.is_some() {
                let headers = headers(response.fields.end_to_end()).unwrap_or_default();
                self.write_answer(plan, &mut answer, (response.reason, headers), (to, response.length));
            } else {
                let close = Close { framing: to, length: response.length, persistence: answer.client };
                let cookie = plan.affinity.cookie.as_deref();
                plan.client.pass_response(&mut self.peer.output.bytes, &response, cookie, close);
            }
            upstream.input.use_up(end);
            return Ok(Some((answer, download, persistence)));
        }
        Ok(None)
    }

    /// What a response means, before anybody changes it.
    pub(super) fn answer(
        &self,
        plan: &Plan<'_>,
        in_flight: &InFlight,
        status: StatusCode,
        framing: Framing,
    ) -> Answer {
        let closes = framing == Framing::UntilClose
            || self.worker.phase.get() >= Phase::Leaving
            || in_flight.endpoint.is_overdue(clock::now);
        let client = if closes { Persistence::Close } else { plan.client.persistence };
        Answer { status, client, switch: None, replaced: false }
    }

    /// Writes a response for the client as the route wants it, with other headers or another body.
    pub(super) fn write_answer(
        &mut self,
        plan: &Plan<'_>,
        answer: &mut Answer,
        (reason, headers): (&str, HeaderMap),
        (framing, length): (Framing, Option<u64>),
    ) {
        let out = &mut self.peer.output.bytes;
        let mut draft = Draft::new(None);
        *draft.status_mut() = answer.status;
        *draft.headers_mut() = headers;
        if let Some(cookie) = &plan.affinity.cookie {
            draft.headers_mut().append(SET_COOKIE, HeaderValue::clone(cookie));
        }
        if let Some(filtering) = &plan.filtering {
            filtering.end(Some(plan.arm), &mut draft);
        }
        if draft.body().is_some() {
            answer.replaced = true;
            plan.client.write_own(out, draft, answer.client);
        } else {
            let close = Close { framing, length, persistence: answer.client };
            plan.client.write_response(out, (answer.status.as_u16(), reason), draft.headers(), close);
        }
    }
}
