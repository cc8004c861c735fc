//! Every fuzz target for some seconds, from its seeds: enough to see that it still runs and finds nothing at once.

use std::{fs, path::Path, process::Command};

use anyhow::Context as _;

use super::Report;
use crate::{command::find, demo::cargo, settings::workspace};

/// The crate with the targets, their names, and their dictionary.
const TARGETS: [(&str, &[&str], &str); 2] = [
    ("proxy/http1", &["cuts", "rewrite", "differential"], "http1.dict"),
    ("operator/routes", &["objects"], "objects.dict"),
];
/// How long each target runs.
const SECONDS: u32 = 15;

/// Runs all targets.
pub(super) fn run(report: &mut Report) {
    if find("cargo-fuzz").is_none() {
        report.skip("fuzzing", "cargo-fuzz is not installed: `cargo install cargo-fuzz --locked`");
        return;
    }
    for (package, targets, dictionary) in TARGETS {
        for target in targets {
            let name = format!("fuzz {target}");
            match prepare(package, target, dictionary) {
                Ok(mut command) => report.run(&name, &mut command),
                Err(error) => report.fail(&name, format!("{error:#}")),
            }
        }
    }
}

/// What is found goes to a corpus that stays, beside the seeds, which are not written to.
fn prepare(package: &str, target: &str, dictionary: &str) -> anyhow::Result<Command> {
    let folder = workspace().join(package);
    let corpus = Path::new("fuzz/corpus").join(target);
    fs::create_dir_all(folder.join(&corpus)).context("failed to make the folder of the corpus")?;
    let mut command = cargo(["fuzz", "run", target]);
    command.arg(corpus).args(["fuzz/seeds", "--", "-max_len=4096"]);
    command.arg(format!("-dict=fuzz/{dictionary}")).arg(format!("-max_total_time={SECONDS}"));
    // The sanitizers are not stable, and no other compiler is asked for.
    command.current_dir(folder).env("RUSTC_BOOTSTRAP", "1");
    Ok(command)
}
