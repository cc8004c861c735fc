//! The access log: a line for each request, or for one of so many, when it is over.
//!
//! A request that is not logged costs one look. Lines are written by a thread of their own; one that finds too many waiting
//! is dropped and counted, because a log that nobody reads must not hold requests up.

mod record;

use std::{
    io::{self, BufWriter, Write},
    num::NonZeroU32,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    time::Duration,
};

use clap::ValueEnum;

pub(crate) use self::record::Record;

/// How many lines may wait.
const WAITING: usize = 8 * 1024;
/// How long the end of the process waits for them.
const FLUSH: Duration = Duration::from_secs(1);

/// Which requests are logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessLogSettings {
    /// How a line looks.
    pub format: AccessLogFormat,
    /// One request of so many is logged, by each worker.
    pub one_of: NonZeroU32,
}

/// How lines of the access log look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AccessLogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where lines go.
#[derive(Debug)]
pub(crate) struct AccessLog {
    settings: AccessLogSettings,
    lines: SyncSender<Message>,
    dropped: AtomicU64,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// Everything before is to be written, and this to be told.
    Flush(SyncSender<()>),
}

impl AccessLog {
    /// Begins to write to standard output.
    pub(crate) fn start(settings: AccessLogSettings) -> io::Result<Self> {
        let (lines, waiting) = mpsc::sync_channel(WAITING);
        std::thread::Builder::new().name("access-log".into()).spawn(move || write(&waiting))?;
        Ok(Self { settings, lines, dropped: AtomicU64::new(0) })
    }

    /// Whether the request of this number is logged.
    pub(crate) fn takes(&self, number: u32) -> bool {
        number.is_multiple_of(self.settings.one_of.get())
    }

    /// Lines that were not written.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn write(&self, line: Vec<u8>) {
        if self.lines.try_send(Message::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all lines are written, but not for long: somebody may have stopped to read them.
    pub(crate) fn flush(&self) {
        let (written, done) = mpsc::sync_channel(1);
        if self.lines.try_send(Message::Flush(written)).is_ok() {
            let _ = done.recv_timeout(FLUSH);
        }
    }
}

/// Writes until nobody has anything to say any more. What cannot be written is lost: nobody could be told.
fn write(waiting: &Receiver<Message>) {
    let mut out = BufWriter::new(io::stdout().lock());
    while let Ok(message) = waiting.recv() {
        let mut next = Some(message);
        while let Some(message) = next {
            match message {
                Message::Line(line) => drop(out.write_all(&line)),
                Message::Flush(written) => {
                    let _ = out.flush();
                    // Whoever waited has given up.
                    let _ = written.try_send(());
                }
            }
            next = waiting.try_recv().ok();
        }
        let _ = out.flush();
    }
}
