//! Asks the service of a route about a request. The request waits for the answer, and keeps no snapshot meanwhile.

use std::{
    future::poll_fn,
    rc::Rc,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode, request::Parts, response};
use proxy_core::{
    answer::Reason,
    balance::Affinity,
    endpoint::EndpointId,
    filters::{Authorization, Question, Text, Verdict},
    retry::{self, Next, Replay},
    snapshot::Cluster,
};
use tracing::debug;

use super::{
    Worker,
    body::{Progress, Upload},
    pending::Said,
    pool::InFlight,
    quota::Taken,
    reply::{Failed, Reply, ask},
};
use crate::clock;

/// How many questions one thread has under way: each keeps a request waiting. Above that they fail at once (Envoy's default of a
/// cluster is 1024 requests over all threads).
pub(super) const MOST: u32 = 1024;
/// How long the text of an answer may be that a client gets.
const LONGEST: usize = 64 * 1024;
/// How long the end of a text is waited for that nobody wants, for the sake of its connection.
const REST: Duration = Duration::from_secs(1);

/// A question whose endpoint was chosen.
pub(super) struct Asking {
    worker: Rc<Worker>,
    by: Arc<Authorization>,
    question: Box<Question>,
    under_way: Result<UnderWay, Reason>,
}

struct UnderWay {
    first: (Arc<Cluster>, InFlight),
    _place: Taken,
}

/// An answer of the service.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: Bytes,
}

impl Asking {
    /// Chooses the endpoint. The question counts as a request of it from here on, before the request leaves its snapshot:
    /// whoever waits for the end of a pod's requests waits for it as well.
    pub(super) fn begin(worker: &Rc<Worker>, by: Arc<Authorization>, question: Box<Question>) -> Self {
        let place = worker.questions.take().ok_or(Reason::Overloaded);
        let under_way = place.and_then(|place| {
            let first = choose(worker, &by, &[])?;
            Ok(UnderWay { first, _place: place })
        });
        Self { worker: Rc::clone(worker), by, question, under_way }
    }

    /// What the service says.
    pub(super) async fn run(self) -> Said {
        let Self { worker, by, question, under_way } = self;
        let answer = match under_way {
            Ok(UnderWay { first, _place }) => {
                let exchange = exchange(&worker, &by, &question.parts, first);
                tokio::time::timeout(by.timeout, exchange).await.unwrap_or(Err(Reason::Timeout))
            }
            Err(reason) => Err(reason),
        };
        let facts = question.facts();
        let (verdict, text) = match answer {
            Ok(Answer { status, headers, text }) => (by.verdict(facts, status, &headers), text),
            Err(reason) => {
                debug!(cluster = %by.cluster(), reason = reason.as_str(), "a service was asked about a request in vain");
                (by.failed(facts), Bytes::new())
            }
        };
        let text = match &verdict {
            Verdict::Refuse(refusal) if refusal.text == Text::Theirs => text,
            Verdict::Refuse(_) | Verdict::Pass(_) => Bytes::new(),
        };
        Said { by, verdict, text }
    }
}

/// An endpoint of the service as it is now, but none of these.
fn choose(
    worker: &Rc<Worker>,
    authorization: &Authorization,
    unreachable: &[EndpointId],
) -> Result<(Arc<Cluster>, InFlight), Reason> {
    let pin = worker.pin();
    let cluster = pin.snapshot.cluster(authorization.cluster()).ok_or(Reason::NoBackend)?;
    let random = worker.random.next();
    let picked = cluster.pick(&Affinity::default(), unreachable, &[], random, clock::now);
    let endpoint = picked.ok_or(Reason::NoEndpoints)?;
    let in_flight = InFlight::new(cluster, endpoint, worker).map_err(|_| Reason::Overloaded)?;
    Ok((Arc::clone(cluster), in_flight))
}

/// Asks one endpoint after the other, until one answers. To ask again is harmless: a question changes nothing.
async fn exchange(
    worker: &Rc<Worker>,
    authorization: &Authorization,
    parts: &Parts,
    first: (Arc<Cluster>, InFlight),
) -> Result<Answer, Reason> {
    let (mut cluster, mut in_flight) = first;
    let (mut unreachable, mut may_reuse, mut tries) = (Vec::new(), true, 1);
    loop {
        let body = Upload::nothing(&Rc::new(Progress::default()));
        let request = Box::new(Request::from_parts(parts.clone(), body));
        let failure = match ask(worker, &cluster, &in_flight, may_reuse, request).await {
            Ok(response) => return read(authorization, response, in_flight).await,
            Err(Failed { failure, .. }) => failure,
        };
        match retry::next(failure, &Method::GET, Replay::Possible, tries, None) {
            Next::AnotherEndpoint => unreachable.push(in_flight.endpoint.id),
            Next::FreshConnection => may_reuse = false,
            Next::GiveUp(reason) => return Err(reason),
        }
        tries += 1;
        // What it was counts no more, whatever comes next.
        drop(in_flight);
        (cluster, in_flight) = choose(worker, authorization, &unreachable)?;
    }
}

/// Reads an answer, with its text if somebody wants it.
async fn read(
    authorization: &Authorization,
    response: Response<Reply>,
    in_flight: InFlight,
) -> Result<Answer, Reason> {
    let (response::Parts { status, headers, .. }, mut reply) = response.into_parts();
    let mut text = BytesMut::new();
    if authorization.wants_text(status) {
        while let Some(frame) = poll_fn(|context| reply.poll_frame(context)).await {
            let frame = frame.map_err(|_| Reason::UpstreamReset)?;
            let bytes = frame.data_ref().map(Bytes::as_ref).unwrap_or_default();
            if text.len() + bytes.len() > LONGEST {
                return Err(Reason::UpstreamProtocol);
            }
            text.extend_from_slice(bytes);
        }
        reply.keep(&in_flight);
    } else if reply.is_end_stream() {
        reply.keep(&in_flight);
    } else {
        // The request waits for none of it, but the connection is worth a little.
        tokio::task::spawn_local(skip(reply, in_flight));
    }
    Ok(Answer { status, headers, text: text.freeze() })
}

/// Reads the rest of an answer to its end, if that is near, and keeps its connection.
async fn skip(mut reply: Reply, in_flight: InFlight) {
    let mut left = LONGEST;
    let rest = poll_fn(|context| {
        loop {
            match ready!(reply.poll_frame(context)) {
                None => return Poll::Ready(true),
                Some(Err(_)) => return Poll::Ready(false),
                Some(Ok(frame)) => match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                    Some(rest) => left = rest,
                    None => return Poll::Ready(false),
                },
            }
        }
    });
    if tokio::time::timeout(REST, rest).await.unwrap_or(false) {
        reply.keep(&in_flight);
    }
}
