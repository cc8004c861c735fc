//! One connection to a config server, from its hello to its end.

use std::time::Duration;

use proxy_config::{
    CONTRACT,
    digest::digest,
    features,
    model::Position,
    wire::config::{self as wire, config_client::ConfigClient, from_proxy},
};
use proxy_core::intake::{Commit, Intake, Step};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};
use tracing::{info, warn};

use super::{
    State,
    report::{self, Reporter},
    tls::{ConnectError, Credentials},
};

/// How often the operator is told what is under way.
const REPORT: Duration = Duration::from_secs(1);
/// How often at most when something that it may wait for has settled.
const SOONEST: Duration = Duration::from_millis(20);
/// Messages that may wait to be sent.
const OUTBOX: usize = 64;
/// How long a server may take to accept the stream, connecting included.
const OPEN: Duration = Duration::from_secs(15);
/// How long a server that is left may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the server refused the stream: {} ({:?})", .0.message(), .0.code())]
    Refused(Box<Status>),
    #[error("the server did not answer within {} s", OPEN.as_secs())]
    Silent,
    #[error("the stream broke: {} ({:?})", .0.message(), .0.code())]
    Broke(Box<Status>),
    #[error("the server closed the stream")]
    Closed,
    #[error("the server has lost its lease: {0}")]
    Outdated(String),
    #[error("the lease is held by {0}")]
    HeldBy(String),
    #[error("nobody holds the lease")]
    HeldByNobody,
}

/// One connection.
pub(super) struct Session<'a> {
    state: &'a State,
    intake: &'a mut Intake,
    outbox: mpsc::Sender<wire::FromProxy>,
    reporter: Reporter,
    /// Whether a commit was taken: the server works.
    pub(super) useful: bool,
}

/// Connects to `server` and serves what it says until the connection ends. The flag says whether it was of use.
pub(super) async fn run(
    state: &State,
    intake: &mut Intake,
    credentials: &Credentials,
    server: &str,
    scope: &str,
) -> (Ended, bool) {
    let (outbox, waiting) = mpsc::channel(OUTBOX);
    let mut session = Session { state, intake, outbox, reporter: Reporter::default(), useful: false };
    let opened = tokio::time::timeout(OPEN, session.open(credentials, server, scope, waiting)).await;
    let ended = match opened.unwrap_or(Err(Ended::Silent)) {
        Ok(inbox) => {
            info!(server, "connected to the config server");
            state.stream_is_up.set(true);
            let ended = session.talk(inbox).await;
            state.stream_is_up.set(false);
            ended
        }
        Err(ended) => ended,
    };
    (ended, session.useful)
}

impl Session<'_> {
    async fn open(
        &mut self,
        credentials: &Credentials,
        server: &str,
        scope: &str,
        waiting: mpsc::Receiver<wire::FromProxy>,
    ) -> Result<Streaming<wire::ToProxy>, Ended> {
        let channel = credentials.connect(server).await?;
        let mut request = Request::new(ReceiverStream::new(waiting));
        request.metadata_mut().insert("authorization", credentials.authorization().await?);
        self.intake.connect();
        self.send(from_proxy::Message::Hello(self.hello(scope))).await;
        let response = ConfigClient::new(channel).stream(request).await;
        response.map(tonic::Response::into_inner).map_err(|status| Ended::Refused(Box::new(status)))
    }

    fn hello(&self, scope: &str) -> wire::Hello {
        wire::Hello {
            contract: CONTRACT,
            features: features::SERVED.iter().map(|it| (*it).to_owned()).collect(),
            scope: scope.to_owned(),
            boot_id: self.state.boot_id.clone(),
            last: self.intake.position().map(Into::into),
            digest: self.intake.position().map(|_| digest(self.intake.config())).unwrap_or_default(),
        }
    }

    async fn talk(&mut self, mut inbox: Streaming<wire::ToProxy>) -> Ended {
        let mut ticks = tokio::time::interval(REPORT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // When the next report about something that has settled is due, and how soon one may be.
        let (mut due, mut soonest) = (None, Instant::now());
        loop {
            tokio::select! {
                message = inbox.message() => match message {
                    Ok(Some(message)) => {
                        if let Some(ended) = self.obey(message, &mut inbox).await {
                            return ended;
                        }
                    }
                    Ok(None) => return Ended::Closed,
                    Err(status) => return Ended::Broke(Box::new(status)),
                },
                _ = ticks.tick() => {
                    self.state.tick();
                    if self.outbox.capacity() > 0 {
                        let report = self.reporter.whole(self.state);
                        self.report(report);
                    }
                }
                () = self.state.shared.settled.notified(), if due.is_none() => due = Some(soonest),
                () = tokio::time::sleep_until(due.unwrap_or(soonest)), if due.is_some() => {
                    due = None;
                    soonest = Instant::now() + SOONEST;
                    self.report(report::settled(self.state));
                }
            }
        }
    }

    /// Does what a message asks; says so if the connection ends by it.
    async fn obey(&mut self, message: wire::ToProxy, inbox: &mut Streaming<wire::ToProxy>) -> Option<Ended> {
        match self.intake.receive(message) {
            Step::Wait => None,
            Step::Take(commit) => {
                self.take(commit).await;
                None
            }
            Step::Refuse(position, why) => {
                self.refuse(position, why.to_string()).await;
                None
            }
            Step::Leave(position, why) => {
                self.refuse(position, why.to_string()).await;
                // Closing our half first lets the server read why.
                self.outbox = mpsc::channel(1).0;
                let _ = tokio::time::timeout(FAREWELL, async {
                    while let Ok(Some(_)) = inbox.message().await {}
                })
                .await;
                Some(Ended::Outdated(why.to_string()))
            }
            Step::Follow(Some(address)) => Some(Ended::HeldBy(address)),
            Step::Follow(None) => Some(Ended::HeldByNobody),
        }
    }

    async fn take(&mut self, commit: Commit) {
        let position = commit.position;
        match self.state.serve(commit.clone()).await {
            Ok(()) => {
                self.intake.taken(commit);
                self.useful = true;
                self.state.commits_taken.set(self.state.commits_taken.get() + 1);
                self.send(from_proxy::Message::Ack(wire::Ack { position: Some(position.into()) })).await;
                self.state.acknowledged();
                // What a worker has just left may already be idle.
                self.report(report::settled(self.state));
            }
            Err(error) => self.refuse(position, error.to_string()).await,
        }
    }

    async fn refuse(&mut self, position: Position, reason: String) {
        warn!(seq = position.seq, reason, "refused a commit, serving what was served before");
        self.state.commits_refused.set(self.state.commits_refused.get() + 1);
        self.send(from_proxy::Message::Nack(wire::Nack { position: Some(position.into()), reason })).await;
    }

    async fn send(&self, message: from_proxy::Message) {
        // Nobody receives any more once the stream is over; the next read says why.
        let _ = self.outbox.send(wire::FromProxy { message: Some(message) }).await;
    }

    /// A report that finds no room is left out: the next one says more.
    fn report(&self, report: wire::Report) {
        let _ = self.outbox.try_send(wire::FromProxy { message: Some(from_proxy::Message::Report(report)) });
    }
}
