//! The last commit, kept for a restart of the container.

use std::{
    fs,
    io::{self, BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use prost::{DecodeError, Message as _};
use proxy_config::{
    convert::ConvertError,
    model::{Change, Config, Position},
    validate::validate,
    wire::config::{self as wire, to_proxy},
};
use proxy_core::intake::Commit;
use tokio::{task::JoinHandle, time::Instant};
use tracing::warn;

/// How often the file is written at most. Commits may come hundreds of times a second; an old one is served
/// until the operator confirms or corrects it, so that one second more or less does not matter.
const PERIOD: Duration = Duration::from_secs(1);

/// The file with the last commit: changes as they came, closed by a full commit, each with its length before it.
#[derive(Debug)]
pub(super) struct Memory {
    file: PathBuf,
    written: Option<(Instant, Position)>,
    /// The thread that writes: with many routes that takes longer than a commit may wait.
    writing: Option<JoinHandle<()>>,
    failed: Arc<AtomicBool>,
}

/// Why a remembered commit is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecallError {
    #[error("failed to read {0}")]
    Read(PathBuf, #[source] io::Error),
    #[error("failed to decode {0}")]
    Decode(PathBuf, #[source] DecodeError),
    #[error("failed to understand {0}")]
    Convert(PathBuf, #[source] ConvertError),
    #[error("{0} ends before its commit")]
    Incomplete(PathBuf),
    #[error("{0} holds a configuration that cannot be served: {1}")]
    Invalid(PathBuf, String),
}

impl Memory {
    pub(super) fn new(directory: &Path) -> Self {
        Self { file: directory.join("commit"), written: None, writing: None, failed: Arc::default() }
    }

    /// What was remembered. `None` on the first start of a pod.
    pub(super) fn recall(&self) -> Result<Option<Commit>, RecallError> {
        let file = || self.file.clone();
        let bytes = match fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(RecallError::Read(file(), error)),
        };
        let mut config = Config::default();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let message = wire::ToProxy::decode_length_delimited(&mut rest)
                .map_err(|error| RecallError::Decode(file(), error))?;
            match message.message {
                Some(to_proxy::Message::Change(change)) => {
                    config.apply(
                        Change::try_from(change).map_err(|error| RecallError::Convert(file(), error))?,
                    );
                }
                Some(to_proxy::Message::Commit(commit)) => {
                    let position = Position::try_from(commit.position.unwrap_or_default())
                        .map_err(|error| RecallError::Convert(file(), error))?;
                    return match validate(&config).first() {
                        None => Ok(Some(Commit { config: Arc::new(config), position })),
                        Some(problem) => Err(RecallError::Invalid(file(), problem.to_string())),
                    };
                }
                Some(to_proxy::Message::Redirect(_)) | None => {}
            }
        }
        Err(RecallError::Incomplete(file()))
    }

    /// Writes the commit, unless it is written, or another is being or was written just now; call again then. A
    /// directory that cannot be written costs a warning and the quick restart, nothing else.
    pub(super) fn keep(&mut self, config: &Arc<Config>, position: Position) {
        let now = Instant::now();
        if self.written.is_some_and(|(at, known)| known == position || now < at + PERIOD)
            || self.writing.as_ref().is_some_and(|it| !it.is_finished())
        {
            return;
        }
        self.written = Some((now, position));
        let (file, config, failed) = (self.file.clone(), Arc::clone(config), Arc::clone(&self.failed));
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let outcome = write(&file, messages(&config, position));
            let failed_before = failed.swap(outcome.is_err(), Ordering::Relaxed);
            if let Err(error) = outcome
                && !failed_before
            {
                warn!(file = %file.display(), %error, "failed to remember the last commit");
            }
        }));
    }
}

/// Under another name first, so that a crash leaves the old one whole. Piece by piece: all of it would be as much again as
/// the configuration is.
fn write(path: &Path, pieces: impl Iterator<Item: AsRef<[u8]>>) -> io::Result<()> {
    let new = path.with_extension("new");
    // It holds the keys of certificates.
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    let mut file = BufWriter::new(file);
    for piece in pieces {
        file.write_all(piece.as_ref())?;
    }
    file.flush()?;
    fs::rename(&new, path)
}

fn messages(config: &Config, position: Position) -> impl Iterator<Item = Vec<u8>> {
    let commit = wire::Commit { position: Some(position.into()), full: true };
    let commit = wire::ToProxy { message: Some(to_proxy::Message::Commit(commit)) };
    let changes = config.changes().map(wire::ToProxy::from);
    changes.chain([commit]).map(|it| it.encode_length_delimited_to_vec())
}

#[cfg(test)]
mod tests {
    use proxy_config::model::{Epoch, Listener, ListenerId};

    use super::*;

    fn position(seq: u64) -> Position {
        Position { epoch: Epoch { created: 1, transitions: 2 }, seq }
    }

    fn config(port: u16) -> Arc<Config> {
        let mut config = Config::default();
        config.apply(Change::Listener(Arc::new(Listener::http(ListenerId::new("http"), port))));
        Arc::new(config)
    }

    /// Keeps a commit, and waits until what is written is.
    async fn keep(memory: &mut Memory, config: &Arc<Config>, position: Position) {
        memory.keep(config, position);
        if let Some(writing) = memory.writing.take() {
            writing.await.unwrap();
        }
    }

    /// A directory that is removed at the end.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let directory = std::env::temp_dir().join(format!("sluice-{name}-{}", std::process::id()));
            fs::create_dir_all(&directory).unwrap();
            Self(directory)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_recalled() {
        let directory = Directory::new("memory-kept");
        let mut memory = Memory::new(&directory.0);
        keep(&mut memory, &config(8080), position(7)).await;
        let commit = memory.recall().unwrap().unwrap();
        assert_eq!((commit.config, commit.position), (config(8080), position(7)));
        keep(&mut memory, &config(8081), position(8)).await;
        assert_eq!(memory.recall().unwrap().unwrap().position, position(7), "a second has not passed");
        tokio::time::advance(PERIOD).await;
        keep(&mut memory, &config(8081), position(8)).await;
        assert_eq!(memory.recall().unwrap().unwrap().position, position(8));
    }

    #[tokio::test]
    async fn a_damaged_file_is_an_error_and_no_configuration() {
        let directory = Directory::new("memory-damaged");
        let memory = Memory::new(&directory.0);
        let whole: Vec<u8> = messages(&config(8080), position(7)).flatten().collect();
        for length in 1..whole.len() {
            write(&memory.file, [&whole[..length]].into_iter()).unwrap();
            assert!(memory.recall().is_err(), "{length} bytes of {}", whole.len());
        }
        write(&memory.file, messages(&config(0), position(7))).unwrap();
        let error = memory.recall().unwrap_err().to_string();
        assert!(error.ends_with("listener http: port 0 cannot be listened on"), "{error}");
    }
}
