//! Every fuzz target for some seconds, from its seeds: enough to see that it still runs and finds nothing at once.

use std::{fs, path::Path, process::Command};

use anyhow::Context as _;

use super::Report;
use crate::{command::find, demo::cargo, settings::workspace};

/// One target.
struct Target {
    /// The folder of the crate that it belongs to.
    package: &'static str,
    name: &'static str,
    /// Where its first inputs are, in the folder `fuzz` of the crate.
    seeds: &'static str,
    /// Words that are worth trying, in the same folder.
    dictionary: Option<&'static str>,
}

/// All targets of the repository.
const TARGETS: [Target; 7] = [
    of("proxy/http1", "cuts", "seeds", Some("http1.dict")),
    of("proxy/http1", "rewrite", "seeds", Some("http1.dict")),
    of("proxy/http1", "differential", "seeds", Some("http1.dict")),
    of("proxy/core", "matching", "seeds/matching", Some("matching.dict")),
    of("proxy/core", "proxied", "seeds/proxied", None),
    of("proxy/core", "stream", "seeds/stream", None),
    of("operator/routes", "objects", "seeds", Some("objects.dict")),
];
/// How long each target runs.
const SECONDS: u32 = 15;

const fn of(
    package: &'static str,
    name: &'static str,
    seeds: &'static str,
    dictionary: Option<&'static str>,
) -> Target {
    Target { package, name, seeds, dictionary }
}

/// Runs all targets.
pub(super) fn run(report: &mut Report) {
    if find("cargo-fuzz").is_none() {
        report.skip("fuzzing", "cargo-fuzz is not installed: `cargo install cargo-fuzz --locked`");
        return;
    }
    for target in &TARGETS {
        let name = format!("fuzz {}", target.name);
        match prepare(target) {
            Ok(mut command) => report.run(&name, &mut command),
            Err(error) => report.fail(&name, format!("{error:#}")),
        }
    }
}

/// What is found goes to a corpus that stays, beside the seeds, which are not written to.
fn prepare(target: &Target) -> anyhow::Result<Command> {
    let Target { package, name, seeds, dictionary } = target;
    let folder = workspace().join(package);
    let corpus = Path::new("fuzz/corpus").join(name);
    fs::create_dir_all(folder.join(&corpus)).context("failed to make the folder of the corpus")?;
    let mut command = cargo(["fuzz", "run", name]);
    command.arg(corpus).arg(format!("fuzz/{seeds}")).args(["--", "-max_len=4096"]);
    command.args(dictionary.map(|it| format!("-dict=fuzz/{it}")));
    command.arg(format!("-max_total_time={SECONDS}"));
    // The sanitizers are not stable, and no other compiler is asked for.
    command.current_dir(folder).env("RUSTC_BOOTSTRAP", "1");
    Ok(command)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::PathBuf};

    use super::*;

    /// The fuzz targets below a folder, by crate and name.
    fn found(folder: &Path, targets: &mut BTreeSet<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !path.is_dir() || name == "target" || name.starts_with('.') {
                continue;
            }
            if name != "fuzz_targets" {
                found(&path, targets);
                continue;
            }
            let package = path.ancestors().nth(2).unwrap().strip_prefix(workspace()).unwrap();
            for file in fs::read_dir(&path).unwrap() {
                let file = file.unwrap().path();
                targets
                    .insert((package.to_owned(), file.file_stem().unwrap().to_string_lossy().into_owned()));
            }
        }
    }

    #[test]
    fn every_target_of_the_repository_is_run_with_what_it_begins_with() {
        let mut targets = BTreeSet::new();
        found(workspace(), &mut targets);
        let listed = TARGETS.iter().map(|it| (PathBuf::from(it.package), it.name.to_owned())).collect();
        assert_eq!(targets, listed);
        for target in &TARGETS {
            let fuzz = workspace().join(target.package).join("fuzz");
            assert!(fuzz.join(target.seeds).is_dir(), "{}", target.name);
            assert!(target.dictionary.is_none_or(|it| fuzz.join(it).is_file()), "{}", target.name);
        }
    }
}
