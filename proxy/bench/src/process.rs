//! What a process and its children use, as the kernel counts it.

use std::{fs, path::PathBuf, process::Child, time::Duration};

use anyhow::Context as _;

/// A running program, ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Takes care of a program that was started.
    pub(crate) fn new(child: Child) -> Self {
        Self(child)
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// The processor time of all its threads and children until now, to the nanosecond (`/proc/PID/schedstat`, for each
    /// thread).
    pub(crate) fn processor_time(&self) -> anyhow::Result<Duration> {
        let mut nanoseconds = 0;
        for process in self.family()? {
            for thread in fs::read_dir(process.join("task")).context("failed to list threads")? {
                let file = thread.context("failed to list threads")?.path().join("schedstat");
                // A thread may end meanwhile.
                let Ok(text) = fs::read_to_string(file) else { continue };
                nanoseconds +=
                    text.split(' ').next().and_then(|it| it.parse::<u64>().ok()).unwrap_or_default();
            }
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// The memory that it has resident, children included, in bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let mut kibibytes = 0;
        for process in self.family()? {
            let text = fs::read_to_string(process.join("status")).context("failed to read the memory")?;
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix(" kB"));
            kibibytes += line.and_then(|it| it.trim().parse::<u64>().ok()).unwrap_or_default();
        }
        Ok(kibibytes * 1024)
    }

    /// The directories of it and its children in `/proc`.
    fn family(&self) -> anyhow::Result<Vec<PathBuf>> {
        let id = self.0.id();
        let own = PathBuf::from(format!("/proc/{id}"));
        let children = fs::read_to_string(own.join(format!("task/{id}/children")));
        let children = children.context("failed to list the children of a proxy: it has ended")?;
        let children = children.split_whitespace().map(|child| PathBuf::from(format!("/proc/{child}")));
        Ok(children.chain([own.clone()]).collect())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGTERM first: a master ends its workers.
        let id = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(id) = id
            && rustix::process::kill_process(id, rustix::process::Signal::TERM).is_ok()
        {
            for _ in 0..40 {
                if self.has_ended() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(25));
            }
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
