//! `cargo xtask test`: everything that a change has to pass, here and in CI.

mod fuzz;
mod outcome;
mod prometheus;

use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;

use self::{outcome::Outcome, prometheus::Prometheus};
use crate::{
    cluster::{self, Cluster},
    command::find,
    conformance,
    demo::cargo,
    gateway_api::{self, Channel},
    images::{self, Image, Profile},
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

    /// Only the tests on a cluster that have this in their name, or all of a target with this name, such as
    /// `takeover` in `integration-tests/tests`, or `conformance`.
    #[arg(long, value_name = "NAME", conflicts_with = "fast")]
    only: Option<String>,
}

/// Crates whose borders keep decisions apart from input and output: each must build from its own manifest.
const ALONE: [&str; 12] = [
    "crds",
    "proxy-config",
    "proxy-core",
    "proxy-http1",
    "operator-analysis",
    "operator-objects",
    "operator-routes",
    "operator-core",
    "operator-experiments",
    "operator-gateways",
    "operator-forecast",
    "operator-judge",
];

/// Tests of rollouts that may run beside one another: each has a namespace of its own, the machine has few cores.
const BESIDE_ONE_ANOTHER: &str = "2";

/// The tests on a cluster, and how many of each target run at the same time. Those that stop operators and proxies run
/// after all others.
const ON_CLUSTER: [(&str, &str); 13] = [
    ("rollouts", BESIDE_ONE_ANOTHER),
    ("admission", "1"),
    ("migration", "1"),
    ("examples", "1"),
    ("experiments", BESIDE_ONE_ANOTHER),
    (ANALYSIS, BESIDE_ONE_ANOTHER),
    ("ingress", BESIDE_ONE_ANOTHER),
    ("gateways", BESIDE_ONE_ANOTHER),
    ("routes", "1"),
    ("takeover", "1"),
    ("out_of_cluster", BESIDE_ONE_ANOTHER),
    ("disturbances", "1"),
    ("documentation", "1"),
];

/// The target with analyses, which needs a Prometheus beside the cluster.
const ANALYSIS: &str = "analysis";

/// The name of the step with the suite of Gateway API, and the profiles that it runs.
const CONFORMANCE: &str = "conformance";
const PROFILES: [conformance::Profile; 3] =
    [conformance::Profile::Http, conformance::Profile::Grpc, conformance::Profile::Tls];

/// Runs `cargo xtask test`.
pub(crate) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<()> {
    let mut report = Report::default();
    if let Some(name) = &arguments.only {
        let cluster = installed(settings)?;
        if name == CONFORMANCE {
            conforms(&mut report, settings, &cluster);
        } else {
            tests(&mut report, &cluster, &Prometheus::of(settings)?, Some(name))?;
        }
        return report.end();
    }
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
    let prometheus = Prometheus::of(settings).unwrap_or_else(|error| {
        report.fail("prometheus", format!("{error:#}"));
        Prometheus::Missing("it could not be fetched")
    });
    let mut tests = cargo(["test", "--workspace", "--no-fail-fast"]);
    report.run("tests", prometheus.beside(&mut tests));
    fuzz::run(&mut report);
    if arguments.fast {
        report.skip("cluster", "--fast");
    } else {
        match installed(settings) {
            Ok(cluster) => on_cluster(&mut report, settings, &cluster, &prometheus),
            Err(error) => report.fail("install", format!("{error:#}")),
        }
    }
    report.end()
}

/// A cluster with this tree's Sluice and the kinds of Gateway API.
fn installed(settings: &Settings) -> anyhow::Result<Cluster> {
    gateway_api::install(&cluster::ensure(settings)?, Channel::Experimental)?;
    install::install(settings, Profile::Release, 2)
}

/// The official suite of Gateway API, with all that we claim.
fn conforms(report: &mut Report, settings: &Settings, cluster: &Cluster) {
    let mut step = Step { name: CONFORMANCE.to_owned(), took: Duration::ZERO, outcome: Outcome::default() };
    match conformance::of_test(settings, cluster, &PROFILES, &|_| {}) {
        Ok(tally) => {
            step.outcome.passed = tally.passed.len();
            step.outcome.failed = tally.failed.len();
            step.outcome.failure = (!tally.is_good()).then(|| tally.explanation());
            step.took = tally.took;
        }
        Err(error) => step.outcome.failure = Some(format!("{error:#}")),
    }
    report.steps.push(step);
}

/// Tests against the real thing.
fn on_cluster(report: &mut Report, settings: &Settings, cluster: &Cluster, prometheus: &Prometheus) {
    match manifest::check(cluster) {
        Ok(()) => report.pass("plain manifest"),
        Err(error) => report.fail("plain manifest", format!("{error:#}")),
    }
    if let Err(error) = tests(report, cluster, prometheus, None) {
        report.fail("programs", format!("{error:#}"));
    }
    // Last: it makes dozens of Gateways with proxies of their own.
    conforms(report, settings, cluster);
}

/// Runs the tests on a cluster, or those with `only` in their name.
fn tests(
    report: &mut Report,
    cluster: &Cluster,
    prometheus: &Prometheus,
    only: Option<&str>,
) -> anyhow::Result<()> {
    // Built for its image already: the tests run the same program outside of the cluster.
    let operator = images::program(Image::Operator, Profile::Release)?;
    crate::command::run(&mut cargo(["build", "--quiet", "--package", "kubectl-sluice"]))?;
    let whole = only.is_some_and(|only| ON_CLUSTER.iter().any(|(target, _)| *target == only));
    for (target, threads) in ON_CLUSTER {
        if whole && only != Some(target) {
            continue;
        }
        if let (ANALYSIS, Prometheus::Missing(why)) = (target, prometheus) {
            report.skip(target, why);
            continue;
        }
        let arguments = ["test", "--package", "integration-tests", "--test", target, "--no-fail-fast", "--"];
        let options = ["--ignored", "--test-threads", threads];
        let mut tests = cluster.reaching(env!("CARGO").as_ref());
        tests.args(arguments).args(options).args(only.filter(|_| !whole)).current_dir(workspace());
        report.run(target, prometheus.beside(with_program(&mut tests, &operator)));
    }
    Ok(())
}

/// The same command, which finds `program` by its name.
fn with_program<'a>(command: &'a mut Command, program: &Path) -> &'a mut Command {
    let set = command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value);
    let path = set.map(OsStr::to_owned).or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    let folder = program.parent().map(Path::to_owned);
    match std::env::join_paths(folder.into_iter().chain(std::env::split_paths(&path))) {
        Ok(path) => command.env("PATH", path),
        Err(_) => command,
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
