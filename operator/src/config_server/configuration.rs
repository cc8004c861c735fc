//! The service `Config`: one stream per proxy.

use std::sync::Arc;

use operator_routes::{ObjectName, Scope};
use proxy_config::{
    CONFIG_AUDIENCE, CONTRACT,
    convert::ConvertError,
    model::{ArmId, Position, SplitId, Version},
    wire::config::{
        Commit, FromProxy, PodLoad, Redirect, ToProxy, config_server::Config, from_proxy, to_proxy,
    },
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, info, warn};

use super::{
    authentication::{Authenticate, Caller, authenticate},
    fleet::{ProxyId, Report},
    shared::{Account, NotServing, Session, Shared, Unserved},
    state::{Cohort, CohortKey, Hello, Outgoing, Tally, Tries, TriesKey},
};
use crate::clock;

/// How long a proxy may take to say hello.
const HELLO_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);
/// How many messages wait for the socket before the stream's task does.
const QUEUE: usize = 64;

/// The service.
pub(super) struct Configuration<A> {
    pub(super) shared: Arc<Shared>,
    pub(super) authenticator: Arc<A>,
    /// The `ServiceAccount` of the proxies that all Mappings and Ingresses share.
    pub(super) fleet: ObjectName,
    pub(super) shutdown: CancellationToken,
}

type Outbound = mpsc::Sender<Result<ToProxy, Status>>;

#[tonic::async_trait]
impl<A: Authenticate> Config for Configuration<A> {
    type StreamStream = ReceiverStream<Result<ToProxy, Status>>;

    async fn stream(
        &self,
        request: Request<Streaming<FromProxy>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let caller = authenticate(&*self.authenticator, request.metadata(), CONFIG_AUDIENCE).await?;
        let account = match &caller.service_account {
            account if *account == self.fleet => Account::Fleet,
            other => Account::Other(other.clone()),
        };
        let (outbound, stream) = mpsc::channel(QUEUE);
        let shared = Arc::clone(&self.shared);
        let shutdown = self.shutdown.clone();
        let inbound = request.into_inner();
        tokio::spawn(async move {
            let served = serve(&shared, &caller, &account, inbound, &outbound);
            if let Some(Err(status)) = shutdown.run_until_cancelled(served).await {
                debug!(%status, "a proxy's stream ended");
                // The proxy may be gone already.
                let _ = outbound.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// From the first message to the last.
async fn serve(
    shared: &Shared,
    caller: &Caller,
    account: &Account,
    mut inbound: Streaming<FromProxy>,
    outbound: &Outbound,
) -> Result<(), Status> {
    let guest = greet(caller, &mut inbound).await?;
    let Some(session) = connect(shared, account, &guest, &mut inbound, outbound).await? else {
        return Ok(());
    };
    let Guest { id, name, scope, .. } = &guest;
    info!(pod = %name, %scope, boot = id.boot, "a proxy has connected");
    let result = follow(shared, &session, name, &mut inbound, outbound).await;
    shared.disconnect(&session);
    info!(pod = %name, %scope, boot = id.boot, "a proxy has disconnected");
    result
}

/// A proxy that has said hello.
struct Guest {
    id: ProxyId,
    /// Its pod.
    name: ObjectName,
    /// Whose configuration it asks for.
    scope: Scope,
    hello: Hello,
}

/// Reads the hello and refuses what this server does not speak.
async fn greet(caller: &Caller, inbound: &mut Streaming<FromProxy>) -> Result<Guest, Status> {
    let first = timeout(HELLO_WITHIN, inbound.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no hello"))??
        .and_then(|message| message.message);
    let Some(from_proxy::Message::Hello(hello)) = first else {
        return Err(Status::invalid_argument("the first message is a hello"));
    };
    if hello.contract != CONTRACT {
        let text = format!("contract {} is not spoken here, {CONTRACT} is", hello.contract);
        return Err(Status::failed_precondition(text));
    }
    let Ok(scope) = hello.scope.parse::<Scope>() else {
        return Err(Status::invalid_argument(format!("`{}` is no scope", hello.scope)));
    };
    let Some((uid, pod)) = caller.pod.clone() else {
        return Err(Status::permission_denied("the token is bound to no pod"));
    };
    let last = hello.last.map(Position::try_from).transpose().map_err(invalid)?;
    let features = hello.features.into_iter().collect();
    Ok(Guest {
        id: ProxyId { pod: uid, boot: hello.boot_id },
        name: ObjectName::new(caller.service_account.namespace.clone(), pod),
        scope,
        hello: Hello { last, digest: hello.digest, features },
    })
}

/// Waits until this process serves, and registers the stream. `None`: the proxy was sent elsewhere or has gone.
async fn connect(
    shared: &Shared,
    account: &Account,
    guest: &Guest,
    inbound: &mut Streaming<FromProxy>,
    outbound: &Outbound,
) -> Result<Option<Session>, Status> {
    let Guest { id, name, scope, hello } = guest;
    let mut bell = shared.listen();
    loop {
        bell.mark_unchanged();
        match shared.connect(account, scope, id, name, hello) {
            Ok(session) => return Ok(Some(session)),
            Err(Unserved::Here(NotServing::Elsewhere(holder))) => {
                send(outbound, redirect(holder)).await;
                return Ok(None);
            }
            Err(Unserved::Here(NotServing::Preparing)) => {}
            Err(Unserved::Stranger) => {
                let text = "the ServiceAccount of the token is not that of any Gateway's proxies";
                return Err(Status::permission_denied(text));
            }
            Err(Unserved::Scope(own)) => {
                warn!(pod = %name, asked = %scope, %own, "a proxy asks for what is not its own");
                let text = format!("scope `{scope}` is not for this ServiceAccount, `{own}` is");
                return Err(Status::permission_denied(text));
            }
        }
        tokio::select! {
            _ = bell.changed() => {}
            message = inbound.message() => if message?.is_none() { return Ok(None) },
        }
    }
}

/// Carries commits down and what the proxy says up, until either end has enough.
async fn follow(
    shared: &Shared,
    session: &Session,
    name: &ObjectName,
    inbound: &mut Streaming<FromProxy>,
    outbound: &Outbound,
) -> Result<(), Status> {
    let mut bell = shared.listen();
    loop {
        bell.mark_unchanged();
        match shared.next_commit(session) {
            Ok(None) => {}
            Ok(Some(commit)) => {
                debug!(pod = %name, seq = commit.position.seq, changes = commit.changes.len(), "sending a commit");
                if !send_commit(outbound, commit).await {
                    return Ok(());
                }
            }
            Err(NotServing::Elsewhere(holder)) => {
                send(outbound, redirect(holder)).await;
                return Ok(());
            }
            Err(NotServing::Preparing) => {
                send(outbound, redirect(None)).await;
                return Ok(());
            }
        }
        tokio::select! {
            _ = bell.changed() => {}
            message = inbound.message() => match message?.and_then(|message| message.message) {
                Some(message) => take(shared, session, name, message)?,
                None => return Ok(()),
            },
        }
    }
}

fn take(
    shared: &Shared,
    session: &Session,
    name: &ObjectName,
    message: from_proxy::Message,
) -> Result<(), Status> {
    match message {
        from_proxy::Message::Hello(_) => Err(Status::invalid_argument("a second hello")),
        from_proxy::Message::Ack(ack) => {
            let position = position(ack.position)?;
            let taken = shared.acknowledge(session, position);
            debug!(pod = %name, seq = position.seq, ?taken, "a proxy serves a commit");
            Ok(())
        }
        from_proxy::Message::Nack(nack) => {
            let position = position(nack.position)?;
            warn!(pod = %name, seq = position.seq, reason = nack.reason, "a proxy refused a commit");
            shared.refuse(session, position, nack.reason);
            Ok(())
        }
        from_proxy::Message::Report(report) => {
            let in_flight = report.in_flight.into_iter().map(|it| {
                let version = Version { namespace: it.namespace.into(), hash: it.hash.into() };
                (version, it.requests)
            });
            let served = position(report.served)?;
            // What began with the empty snapshot of the start is sent nowhere.
            let oldest_pinned = report.oldest_pinned.map_or(Ok(served), |pinned| position(Some(pinned)))?;
            let pod_load = |it: PodLoad| (ObjectName::new(it.namespace, it.pod), it.requests);
            let draining = session.counts_pods.then(|| report.draining.into_iter().map(pod_load).collect());
            let cohorts = report.cohorts.into_iter().flat_map(cohorts).collect();
            let tally = Tally { cohorts, tries: report.tries.into_iter().map(tries).collect() };
            let report = Report { in_flight: in_flight.collect(), draining, served, oldest_pinned };
            shared.report(session, report, tally, clock::now().timestamp());
            Ok(())
        }
    }
}

fn cohorts(of: proxy_config::wire::config::ArmCohorts) -> impl Iterator<Item = (CohortKey, Cohort)> {
    let proxy_config::wire::config::ArmCohorts { split, arm, namespace, hash, seconds } = of;
    let (split, arm) = (SplitId::new(split), ArmId::new(arm));
    let version = Version { namespace: namespace.into(), hash: hash.into() };
    seconds.into_iter().map(move |told| {
        let proxy_config::wire::config::Cohort { second, requests, bad, shares, ended } = told;
        let (split, arm, version) = (split.clone(), arm.clone(), version.clone());
        (CohortKey { second, split, arm, version }, Cohort { requests, bad, shares, ended })
    })
}

fn tries(told: proxy_config::wire::config::ArmTries) -> (TriesKey, Tries) {
    let proxy_config::wire::config::ArmTries { split, arm, namespace, hash, bad, ended } = told;
    let version = Version { namespace: namespace.into(), hash: hash.into() };
    (TriesKey { split: SplitId::new(split), arm: ArmId::new(arm), version }, Tries { bad, ended })
}

/// A position that is absent is that of a proxy which has nothing yet.
fn position(position: Option<proxy_config::wire::config::Position>) -> Result<Position, Status> {
    position.map_or_else(|| Ok(Position::default()), |position| Position::try_from(position).map_err(invalid))
}

#[expect(clippy::needless_pass_by_value, reason = "it is the end of the error, and a function for `map_err`")]
fn invalid(error: ConvertError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn redirect(holder: Option<String>) -> ToProxy {
    let redirect = Redirect { address: holder.unwrap_or_default() };
    ToProxy { message: Some(to_proxy::Message::Redirect(redirect)) }
}

async fn send_commit(outbound: &Outbound, commit: Outgoing) -> bool {
    let Outgoing { changes, position, full } = commit;
    for change in changes {
        if !send(outbound, change.into()).await {
            return false;
        }
    }
    let commit = Commit { position: Some(position.into()), full };
    send(outbound, ToProxy { message: Some(to_proxy::Message::Commit(commit)) }).await
}

/// Says whether the other end is still there.
async fn send(outbound: &Outbound, message: ToProxy) -> bool {
    outbound.send(Ok(message)).await.is_ok()
}
