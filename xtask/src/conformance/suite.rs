//! The suite's program: how it is called and how it is read.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::Stdio,
};

use anyhow::Context as _;

pub(crate) use super::events::Tally;
use super::{CLASS, Profile};
use crate::{cluster::Cluster, command::find, terminal::stage};

/// The name of its one test.
const TEST: &str = "TestConformance";
/// After which it ends itself and says where it was.
const LIMIT: &str = "40m";

/// One run of the suite.
#[derive(Clone, Debug)]
pub(crate) struct Suite {
    program: PathBuf,
    profiles: Vec<Profile>,
    features: Vec<String>,
    /// The only test to run.
    pub(super) run_test: Option<String>,
    pub(super) skip_tests: Vec<String>,
    /// One that a Gateway can have, one that none can have.
    pub(super) addresses: Option<(String, String)>,
    /// Where to write the report.
    pub(super) report: Option<PathBuf>,
}

impl Suite {
    pub(super) fn new(program: PathBuf, profiles: &[Profile], features: Vec<String>) -> Self {
        Self {
            program,
            profiles: profiles.to_vec(),
            features,
            run_test: None,
            skip_tests: Vec::new(),
            addresses: None,
            report: None,
        }
    }

    /// Runs it to its end and tells of each test that has ended.
    pub(super) fn run(&self, cluster: &Cluster, tell: &dyn Fn(&str)) -> anyhow::Result<Tally> {
        let go = find("go").context("go is gone")?;
        let mut command = cluster.reaching(&go);
        command.args(["tool", "test2json", "-t"]).arg(&self.program).args(self.arguments());
        stage("conformance", |stage| {
            stage.at("running the suite");
            let mut child = command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::inherit())
                .spawn()
                .context("failed to start the suite")?;
            let mut tally = Tally::default();
            let output = child.stdout.take().context("the suite has no output")?;
            for line in BufReader::new(output).lines() {
                if let Some(told) = tally.take(&line.context("failed to read what the suite says")?) {
                    tell(&told);
                }
            }
            let status = child.wait().context("failed to wait for the suite")?;
            (tally.ended_well, tally.took) = (status.success(), stage.elapsed());
            stage.outcome(format!(
                "{} of {} passed",
                tally.passed.len(),
                tally.passed.len() + tally.failed.len()
            ));
            Ok(tally)
        })
    }

    fn arguments(&self) -> Vec<String> {
        let names = self.profiles.iter().map(|profile| profile.name()).collect::<Vec<_>>().join(",");
        let mut arguments = vec![
            "-test.v=test2json".to_owned(),
            format!("-test.run=^{TEST}$"),
            format!("-test.timeout={LIMIT}"),
            format!("-gateway-class={CLASS}"),
            format!("-conformance-profiles={names}"),
            format!("-supported-features={}", self.supported().join(",")),
        ];
        arguments.extend(self.run_test.iter().map(|test| format!("-run-test={test}")));
        if !self.skip_tests.is_empty() {
            arguments.push(format!("-skip-tests={}", self.skip_tests.join(",")));
        }
        if let Some((usable, unusable)) = &self.addresses {
            arguments.push(format!("-usable-address={usable}"));
            arguments.push(format!("-unusable-address={unusable}"));
        }
        if let Some(report) = &self.report {
            arguments.push(format!("-report-output={}", report.display()));
            arguments.extend([
                "-organization=sluice-dev".to_owned(),
                "-project=sluice".to_owned(),
                format!("-url={}", env!("CARGO_PKG_REPOSITORY")),
                format!("-version=v{}", env!("CARGO_PKG_VERSION")),
                format!("-contact={}/issues", env!("CARGO_PKG_REPOSITORY")),
            ]);
        }
        arguments
    }

    /// Static addresses can be tested only where it is known which there are.
    fn supported(&self) -> Vec<&str> {
        let testable = |feature: &&str| self.addresses.is_some() || *feature != "GatewayStaticAddresses";
        self.features.iter().map(String::as_str).filter(testable).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_addresses_are_tested_only_where_there_are_some() {
        let features = ["Gateway", "GatewayStaticAddresses"].map(str::to_owned).to_vec();
        let mut suite = Suite::new(PathBuf::from("suite"), &[Profile::Http, Profile::Tls], features);
        let has = |suite: &Suite, argument: &str| suite.arguments().iter().any(|it| it == argument);
        assert!(has(&suite, "-supported-features=Gateway"));
        assert!(has(&suite, "-conformance-profiles=GATEWAY-HTTP,GATEWAY-TLS"));
        suite.addresses = Some(("198.18.0.1".to_owned(), "198.51.100.1".to_owned()));
        assert!(has(&suite, "-supported-features=Gateway,GatewayStaticAddresses"));
        assert!(has(&suite, "-usable-address=198.18.0.1"));
    }
}
