//! `cargo xtask conformance`: the official suite of Gateway API against this tree's Sluice.

mod backends;
mod events;
mod suite;

use std::fs;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde_json::json;

use self::suite::Suite;
pub(crate) use self::suite::Tally;
use crate::{
    cluster::{self, Cluster},
    gateway_api::{self, Channel},
    images,
    install::{self, NAMESPACE},
    settings::{Settings, workspace},
    terminal::{self, stage},
};

/// The class of the suite's Gateways, by its own default name.
const CLASS: &str = "gateway-conformance";
/// Who serves it.
const CONTROLLER: &str = "sluice.dev/gateway-controller";
/// Where reports lie, from the root of the workspace.
const REPORTS: &str = "docs/conformance";
/// How long the controller may take to accept the class.
const PATIENCE: &str = "--timeout=60s";

/// Options of `cargo xtask conformance`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The profiles to run; all if none is named.
    #[arg(long, value_enum, value_delimiter = ',')]
    profile: Vec<Profile>,

    /// One test alone, by its short name such as `HTTPRouteWeight`.
    #[arg(long, value_name = "NAME")]
    run_test: Option<String>,

    /// The features to test instead of those that the GatewayClass claims.
    #[arg(long, value_delimiter = ',')]
    features: Vec<String>,

    /// Tests to leave out.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    skip_test: Vec<String>,

    /// The kinds to install. Some features need fields that are tried out.
    #[arg(long, value_enum, default_value_t = Channel::Experimental)]
    channel: Channel,

    /// An address that Gateways can have, for the test of static addresses. The local cluster has one.
    #[arg(long, value_name = "IP")]
    usable_address: Option<String>,

    /// An address that no Gateway can have.
    #[arg(long, value_name = "IP", default_value = "198.51.100.1")]
    unusable_address: String,

    /// Build without optimisation: quicker to build, slower to run.
    #[arg(long)]
    dev: bool,

    /// Use the Sluice that runs.
    #[arg(long)]
    no_install: bool,
}

/// A profile of the suite: the tests of one kind of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// HTTPRoute.
    Http,
    /// GRPCRoute.
    Grpc,
    /// TLSRoute.
    Tls,
    /// TCPRoute.
    Tcp,
    /// UDPRoute.
    Udp,
}

impl Profile {
    const ALL: [Self; 5] = [Self::Http, Self::Grpc, Self::Tls, Self::Tcp, Self::Udp];

    /// As the suite calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Http => "GATEWAY-HTTP",
            Self::Grpc => "GATEWAY-GRPC",
            Self::Tls => "GATEWAY-TLS",
            Self::Tcp => "GATEWAY-TCP",
            Self::Udp => "GATEWAY-UDP",
        }
    }
}

/// Runs `cargo xtask conformance`.
pub(crate) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<()> {
    let profile = if arguments.dev { images::Profile::Dev } else { images::Profile::Release };
    let cluster = cluster::ensure(settings)?;
    gateway_api::install(&cluster, arguments.channel)?;
    if !arguments.no_install {
        install::install(settings, profile, 1)?;
    }
    let profiles = if arguments.profile.is_empty() { &Profile::ALL[..] } else { &arguments.profile };
    let local = settings.context.is_none().then(|| cluster::FREE_ADDRESS.to_owned());
    let mut suite = prepare(settings, &cluster, profiles, &arguments.features)?;
    suite.run_test.clone_from(&arguments.run_test);
    suite.skip_tests.clone_from(&arguments.skip_test);
    suite.addresses =
        arguments.usable_address.clone().or(local).map(|usable| (usable, arguments.unusable_address.clone()));
    // A report is about everything or misleads.
    let whole = arguments.run_test.is_none()
        && arguments.features.is_empty()
        && arguments.skip_test.is_empty()
        && profiles.len() == Profile::ALL.len();
    let report = workspace().join("target/conformance.yaml");
    suite.report = whole.then(|| report.clone());
    let tally = suite.run(&cluster, &|line| terminal::result(line))?;
    terminal::result(format_args!("\n{tally}"));
    if !tally.is_good() {
        bail!("the suite did not pass");
    }
    if whole {
        let name = format!("{}-v{}-default-report.yaml", arguments.channel.name(), env!("CARGO_PKG_VERSION"));
        let folder = workspace().join(REPORTS);
        fs::create_dir_all(&folder).with_context(|| format!("failed to create {REPORTS}"))?;
        // Written anew: the suite makes a file that nobody else may read.
        let text = fs::read_to_string(&report).context("failed to read the suite's report")?;
        fs::write(folder.join(&name), text).with_context(|| format!("failed to write {REPORTS}/{name}"))?;
        terminal::result(format_args!("{REPORTS}/{name}"));
    }
    Ok(())
}

/// Runs these profiles with all that the class claims; for `cargo xtask test`. Each finished test is told.
pub(crate) fn of_test(
    settings: &Settings,
    cluster: &Cluster,
    profiles: &[Profile],
    tell: &dyn Fn(&str),
) -> anyhow::Result<Tally> {
    gateway_api::install(cluster, Channel::Experimental)?;
    let mut suite = prepare(settings, cluster, profiles, &[])?;
    let local = settings.context.is_none().then_some(cluster::FREE_ADDRESS);
    suite.addresses = local.map(|usable| (usable.to_owned(), "198.51.100.1".to_owned()));
    suite.run(cluster, tell)
}

/// The suite, its backends and the class that it tests.
fn prepare(
    settings: &Settings,
    cluster: &Cluster,
    profiles: &[Profile],
    features: &[String],
) -> anyhow::Result<Suite> {
    let programs = stage("suite", |stage| gateway_api::module().ensure(settings, stage))?;
    backends::load(cluster, &programs)?;
    let claimed = stage("class", |stage| {
        stage.at("waiting until it is accepted");
        accept(cluster)?;
        claimed(cluster)
    })?;
    let features = if features.is_empty() { claimed } else { features.to_vec() };
    Ok(Suite::new(programs.path("conformance"), profiles, features))
}

/// Makes the class and waits until somebody serves it. The suite makes dozens of Gateways: one proxy for each, which
/// reserves little, has room on any machine.
fn accept(cluster: &Cluster) -> anyhow::Result<()> {
    let parameters = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CLASS, "namespace": NAMESPACE},
        "data": {"replicas": "1", "cpuRequest": "10m", "memoryRequest": "16Mi"},
    });
    let class = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": CLASS},
        "spec": {
            "controllerName": CONTROLLER,
            "parametersRef": {"group": "", "kind": "ConfigMap", "name": CLASS, "namespace": NAMESPACE},
        },
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [parameters, class]});
    cluster.kubectl_with_input(&["apply", "--filename=-"], &list.to_string())?;
    let name = format!("gatewayclass/{CLASS}");
    cluster
        .kubectl(&["wait", &name, "--for=condition=Accepted", PATIENCE])
        .map(drop)
        .with_context(|| format!("GatewayClass `{CLASS}` is not accepted: is the operator up?"))
}

/// The features that the class claims in its status.
fn claimed(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let path = "--output=jsonpath={.status.supportedFeatures[*].name}";
    let names = cluster.kubectl(&["get", "gatewayclass", CLASS, path])?;
    let names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
    if names.is_empty() {
        bail!("GatewayClass `{CLASS}` claims no features: the suite would test nothing");
    }
    Ok(names)
}
