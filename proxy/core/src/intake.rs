//! What to do with each message of the config stream.
//!
//! Changes wait until their commit. A commit is taken whole or refused whole; after a refusal the next changes
//! are relative to what was kept.

use std::{collections::BTreeSet, sync::Arc};

use proxy_config::{
    convert::ConvertError,
    model::{Change, Config, Epoch, Key, Position},
    validate::{Problem, References, validate_change, validate_references},
    wire::config::{self as wire, to_proxy::Message},
};

/// The receiving end of the stream, over all connections of one process.
#[derive(Debug, Default)]
pub struct Intake {
    /// What the proxy serves.
    config: Arc<Config>,
    /// Where that is from; `None` before the first commit.
    position: Option<Position>,
    /// Who names what in the configuration that was looked at last, which may have been refused.
    references: (Arc<Config>, References),
    /// What has arrived since the last commit, or why it cannot be taken.
    pending: Vec<Change>,
    malformed: Option<ConvertError>,
    /// Whether a commit has been taken on this connection.
    connection: Connection,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Connection {
    #[default]
    New,
    /// Its last commit had this number.
    At(u64),
}

/// What to do.
#[derive(Debug)]
#[must_use = "a step that is not done loses a commit"]
pub enum Step {
    /// Nothing before the next message.
    Wait,
    /// Serve this; then tell [`Intake::taken`] and acknowledge, or refuse.
    Take(Commit),
    /// Tell the server why; go on with what is served.
    Refuse(Position, Refusal),
    /// Tell the server why and look for another one: this one has lost its lease.
    Leave(Position, Refusal),
    /// The lease is held elsewhere: at this address, or nobody knows.
    Follow(Option<String>),
}

/// A configuration to serve.
#[derive(Clone, Debug)]
pub struct Commit {
    /// All of it.
    pub config: Arc<Config>,
    /// Where it is from.
    pub position: Position,
}

/// Why a commit is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It comes from an operator that held the lease before the one we have heard.
    #[error(
        "epoch {}/{} is before {}/{}, which this proxy has already heard",
        .got.created, .got.transitions, .known.created, .known.transitions
    )]
    OldEpoch {
        /// Its epoch.
        got: Epoch,
        /// Ours.
        known: Epoch,
    },
    /// Commits of one connection are numbered upwards.
    #[error("commit {got} follows commit {last}")]
    Order {
        /// Its number.
        got: u64,
        /// The one before.
        last: u64,
    },
    /// A message that means nothing.
    #[error("failed to read a change: {0}")]
    Malformed(#[from] ConvertError),
    /// A configuration that cannot be served.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Problem>),
}

impl Intake {
    /// Starts with what an earlier process remembered.
    pub fn remember(&mut self, commit: &Commit) {
        self.config = Arc::clone(&commit.config);
        self.position = Some(commit.position);
    }

    /// A new connection: what was pending on the last one is void.
    pub fn connect(&mut self) {
        self.pending.clear();
        self.malformed = None;
        self.connection = Connection::New;
    }

    /// What is served.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where that is from.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// Takes one message.
    pub fn receive(&mut self, message: wire::ToProxy) -> Step {
        match message.message {
            // A message of a later contract that is none of ours.
            None => Step::Wait,
            Some(Message::Redirect(redirect)) => {
                Step::Follow(Some(redirect.address).filter(|it| !it.is_empty()))
            }
            Some(Message::Change(change)) => {
                match Change::try_from(change) {
                    Ok(change) => self.pending.push(change),
                    Err(error) => drop(self.malformed.get_or_insert(error)),
                }
                Step::Wait
            }
            Some(Message::Commit(commit)) => self.commit(commit),
        }
    }

    /// The commit is served: the next changes are relative to it.
    pub fn taken(&mut self, commit: Commit) {
        self.connection = Connection::At(commit.position.seq);
        self.position = Some(commit.position);
        self.config = commit.config;
    }

    fn commit(&mut self, commit: wire::Commit) -> Step {
        let changes = std::mem::take(&mut self.pending);
        let malformed = self.malformed.take();
        let position = match Position::try_from(commit.position.unwrap_or_default()) {
            Ok(position) => position,
            Err(error) => return Step::Refuse(Position::default(), Refusal::Malformed(error)),
        };
        if let Some(known) = self.position.filter(|it| it.epoch > position.epoch) {
            return Step::Leave(position, Refusal::OldEpoch { got: position.epoch, known: known.epoch });
        }
        if let Some(error) = malformed {
            return Step::Refuse(position, Refusal::Malformed(error));
        }
        match self.connection {
            Connection::At(last) if position.seq <= last => {
                return Step::Refuse(position, Refusal::Order { got: position.seq, last });
            }
            Connection::At(_) | Connection::New => {}
        }
        let past = if commit.full { Arc::default() } else { Arc::clone(&self.config) };
        let mut config = Config::clone(&past);
        let mut problems: Vec<_> = changes.iter().flat_map(validate_change).collect();
        let keys = changes.iter().map(Change::key).collect();
        for change in changes {
            config.apply(change);
        }
        let config = Arc::new(config);
        if !self.are_sound(&past, &config, &keys) {
            problems.extend(validate_references(&config));
        }
        if problems.is_empty() {
            Step::Take(Commit { config, position })
        } else {
            Step::Refuse(position, Refusal::Invalid(problems))
        }
    }

    /// Whether what the resources of a configuration name is there; it differs in these from one of which that is known.
    fn are_sound(&mut self, past: &Arc<Config>, config: &Arc<Config>, changed: &BTreeSet<Key>) -> bool {
        let (of, mut references) = std::mem::take(&mut self.references);
        if !Arc::ptr_eq(&of, past) {
            references = References::of(past);
        }
        let sound = references.follow(past, config, changed);
        self.references = (Arc::clone(config), references);
        sound
    }
}

#[cfg(test)]
mod tests;
