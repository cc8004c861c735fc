//! `cargo xtask test`: everything that a change has to pass, here and in CI.

mod outcome;

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;

use self::outcome::Outcome;
use crate::{
    cluster::Cluster,
    command::find,
    demo::cargo,
    images::Profile,
    install, manifest,
    settings::{Settings, workspace},
    terminal,
};

/// Options of `cargo xtask test`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Leave out everything that needs a cluster.
    #[arg(long)]
    fast: bool,
}

/// Crates whose borders keep decisions apart from input and output: each must build from its own manifest.
const ALONE: [&str; 5] = ["crds", "proxy-config", "proxy-core", "operator-routes", "operator-core"];

/// Tests of rollouts that may run beside one another: each has a namespace of its own, the machine has few cores.
const BESIDE_ONE_ANOTHER: &str = "2";

/// Runs `cargo xtask test`.
pub(crate) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<()> {
    let mut report = Report::default();
    report.run("format", &mut cargo(["fmt", "--all", "--check"]));
    let mut lints = cargo(["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]);
    report.run("lints", &mut lints);
    if find("cargo-deny").is_some() {
        report.run("dependencies", &mut cargo(["deny", "check", "bans", "licenses", "sources"]));
    } else {
        report.skip("dependencies", "cargo-deny is not installed: `cargo install cargo-deny --locked`");
    }
    for package in ALONE {
        report.run(&format!("{package} alone"), &mut cargo(["check", "--quiet", "--package", package]));
    }
    report.run("tests", &mut cargo(["test", "--workspace", "--no-fail-fast"]));
    if arguments.fast {
        report.skip("cluster", "--fast");
    } else {
        match install::install(settings, Profile::Release, 2) {
            Ok(cluster) => on_cluster(&mut report, &cluster),
            Err(error) => report.fail("install", format!("{error:#}")),
        }
    }
    report.end()
}

/// Tests against the real thing. Those that stop operators and proxies run after all others.
fn on_cluster(report: &mut Report, cluster: &Cluster) {
    match manifest::check(cluster) {
        Ok(()) => report.pass("plain manifest"),
        Err(error) => report.fail("plain manifest", format!("{error:#}")),
    }
    let targets =
        [("rollouts", BESIDE_ONE_ANOTHER), ("admission", "1"), ("migration", "1"), ("disturbances", "1")];
    for (target, threads) in targets {
        let arguments = ["test", "--package", "integration-tests", "--test", target, "--no-fail-fast", "--"];
        let options = ["--ignored", "--test-threads", threads];
        let mut tests = cluster.reaching(env!("CARGO").as_ref());
        report.run(target, tests.args(arguments).args(options).current_dir(workspace()));
    }
}

/// What became of each step.
#[derive(Debug, Default)]
struct Report {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    took: Duration,
    outcome: Outcome,
}

impl Report {
    /// Runs a command to its end, whatever it is, so that one run shows everything that is wrong.
    fn run(&mut self, name: &str, command: &mut Command) {
        let mut step = Step { name: name.to_owned(), took: Duration::ZERO, outcome: Outcome::default() };
        let ran = terminal::stage(name, |stage| {
            stage.at(name);
            let (well, text) = output(command)?;
            step.took = stage.elapsed();
            step.outcome = Outcome::of(&text);
            stage.outcome(&step.outcome);
            ensure!(well, outcome::essence(&text));
            Ok(())
        });
        step.outcome.failure = ran.err().map(|error| format!("{error:#}"));
        self.steps.push(step);
    }

    fn pass(&mut self, name: &str) {
        self.push(name, Outcome::default());
    }

    fn skip(&mut self, name: &str, why: &str) {
        self.push(name, Outcome { skipped_because: Some(why.to_owned()), ..Outcome::default() });
    }

    fn fail(&mut self, name: &str, why: String) {
        self.push(name, Outcome::failed(why));
    }

    fn push(&mut self, name: &str, outcome: Outcome) {
        self.steps.push(Step { name: name.to_owned(), took: Duration::ZERO, outcome });
    }

    /// Prints what failed, the summary, and the sums in the form that build servers read.
    fn end(self) -> anyhow::Result<()> {
        for step in &self.steps {
            if let Some(failure) = &step.outcome.failure {
                terminal::result(format_args!("\n─── {} ───\n{failure}", step.name));
            }
        }
        terminal::result("");
        for Step { name, took, outcome } in &self.steps {
            terminal::result(format_args!("{name:<24} {:>6.1} s  {outcome}", took.as_secs_f64()));
        }
        let sum = |of: fn(&Outcome) -> usize| self.steps.iter().map(|step| of(&step.outcome)).sum::<usize>();
        let failures = self.steps.iter().filter(|step| step.outcome.failure.is_some()).count();
        let (passed, failed) = (sum(|it| it.passed), sum(|it| it.failed).max(failures));
        terminal::result(format_args!("\n{passed} passed, {failed} failed"));
        if failures > 0 {
            bail!("{failures} of {} steps failed", self.steps.len());
        }
        Ok(())
    }
}

/// Whether the command ended well, and all that it wrote.
fn output(command: &mut Command) -> anyhow::Result<(bool, String)> {
    let (mut reader, writer) = std::io::pipe().context("failed to make a pipe")?;
    let second = writer.try_clone().context("failed to make a pipe")?;
    let mut child =
        command.stdin(Stdio::null()).stdout(writer).stderr(second).spawn().context("failed to start")?;
    // The command holds the pipe's other end as well; only when nobody does, reading ends.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut text).context("failed to read the output")?;
    let status = child.wait().context("failed to wait")?;
    Ok((status.success(), String::from_utf8_lossy(&text).into_owned()))
}
