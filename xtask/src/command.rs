//! Running other programs: an error always carries the command line and what the program said.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, bail};

/// Directories searched after those of `PATH`, which leaves them out for ordinary users on Debian.
const SYSTEM_DIRECTORIES: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command with its arguments, looked up in `PATH` and in the system directories.
pub(crate) fn command<I, S>(program: &str, arguments: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    let mut command = find(program).map_or_else(|| Command::new(program), Command::new);
    command.args(arguments);
    command
}

/// Where a program lies, if it is installed.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(std::env::split_paths(SYSTEM_DIRECTORIES))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// Runs a command to its end and returns what it wrote to standard output, without the space around it.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start {}", shown(command)))?;
    checked(command, &output)
}

/// Like [`run`], with `input` on standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &[u8]) -> anyhow::Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("failed to start {}", shown(command)))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends early closes the pipe; its exit status and words tell more than the pipe's error.
        let _ = stdin.write_all(input);
    }
    let output =
        child.wait_with_output().with_context(|| format!("failed to wait for {}", shown(command)))?;
    checked(command, &output)
}

/// Like [`run`], with a file on standard input.
pub(crate) fn run_with_file(command: &mut Command, path: &Path) -> anyhow::Result<String> {
    let file = fs::File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
    let output =
        command.stdin(file).output().with_context(|| format!("failed to start {}", shown(command)))?;
    checked(command, &output)
}

fn checked(command: &Command, output: &Output) -> anyhow::Result<String> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {}", shown(command), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn shown(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    let line = words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    format!("`{line}`")
}
