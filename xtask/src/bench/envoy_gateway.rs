//! Envoy Gateway, which ours is measured beside: built from its Go module, installed by its own chart, and removed
//! again with all that it has made.
//!
//! The chart is the one in the module: what it would pull is built here or fetched, what a registry or a cloud is
//! needed for is switched off.

use std::path::PathBuf;

use super::peers;
use crate::{
    cluster::Cluster,
    go::{Module, Program},
    images::{self, Built, Published},
    settings::Settings,
    terminal::stage,
};

/// Where it is installed, and with it the proxies of all its Gateways.
pub(super) const NAMESPACE: &str = "envoy-gateway-system";
/// Of the chart.
const RELEASE: &str = "envoy-gateway";
/// As the bench calls it.
const CLASS: &str = "gatewayclass/envoy-gateway";
/// The Go module.
const MODULE: &str = "github.com/envoyproxy/gateway";
const PROGRAM: Program = Program {
    name: "envoy-gateway",
    package: "github.com/envoyproxy/gateway/cmd/envoy-gateway",
    tests: false,
};
/// The only user that the chart lets them run as.
const OPERATOR: Published =
    Published { registry: images::LOCAL, name: PROGRAM.name, tag: "bench", user: images::USER };
const PROXY: Published =
    Published { registry: images::LOCAL, name: "envoy", tag: "bench", user: images::USER };
/// Where a Deployment describes its pods.
const POD: &str = "spec.template.spec";
/// How long anything may take.
const PATIENCE: &str = "180s";

/// What is installed.
#[derive(Debug)]
pub(super) struct EnvoyGateway {
    operator: Built,
    proxy: Built,
    /// Of the chart.
    chart: PathBuf,
}

impl EnvoyGateway {
    /// Builds or fetches all of it and loads the images.
    pub(super) fn prepare(settings: &Settings, cluster: &Cluster) -> anyhow::Result<Self> {
        stage("Envoy Gateway", |stage| {
            let programs = module().ensure(settings, stage)?;
            let program = programs.path(PROGRAM.name);
            let operator = images::write_program_as(&OPERATOR, &program, programs.directory())?;
            let envoy = peers::envoy(settings, stage)?;
            let proxy = images::write_linked_program_as(&PROXY, &envoy, &peers::cache(settings)?)?;
            for image in [&operator, &proxy] {
                stage.at(format_args!("loading {}", image.reference));
                cluster.load_image(image)?;
            }
            let chart = module().requirement(MODULE)?.join("charts/gateway-helm");
            Ok(Self { operator, proxy, chart })
        })
    }

    /// Installs it beside the kinds of Gateway API that are there.
    pub(super) fn install(&self, cluster: &Cluster) -> anyhow::Result<()> {
        stage("Envoy Gateway", |stage| {
            stage.at("installing it");
            let [chart, kinds] =
                [self.chart.clone(), self.kinds()].map(|it| it.to_string_lossy().into_owned());
            cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename", &kinds])?;
            cluster.kubectl(&["wait", "crd", "--all", "--for=condition=Established", "--timeout=30s"])?;
            // Published charts have their values, the module has what they are made of.
            let values = self.chart.join("values.tmpl.yaml");
            cluster
                .helm(&[
                    "upgrade",
                    "--install",
                    RELEASE,
                    &chart,
                    "--skip-crds",
                    "--namespace",
                    NAMESPACE,
                    "--create-namespace",
                    "--values",
                    &values.to_string_lossy(),
                    "--set",
                    &self.values(),
                    "--wait",
                    "--timeout",
                    PATIENCE,
                ])
                .map(drop)
        })
    }

    /// Removes it and its kinds. The Gateways have to be gone.
    pub(super) fn remove(&self, cluster: &Cluster) -> anyhow::Result<()> {
        stage("Envoy Gateway", |stage| {
            stage.at("removing it");
            let timeout = format!("--timeout={PATIENCE}");
            // First, and by itself: its operator has to take a finalizer away.
            cluster.kubectl(&["delete", CLASS, "--ignore-not-found", &timeout])?;
            cluster.helm(&["uninstall", RELEASE, "--namespace", NAMESPACE, "--ignore-not-found"])?;
            cluster.kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found", &timeout])?;
            let kinds = self.kinds();
            let kinds = kinds.to_string_lossy();
            cluster.kubectl(&["delete", "--ignore-not-found", "--filename", &kinds, &timeout]).map(drop)
        })
    }

    /// Its own kinds; those of Gateway API, which the chart has as well, are there already.
    fn kinds(&self) -> PathBuf {
        self.chart.join("charts/crds/crds/generated")
    }

    fn values(&self) -> String {
        let image = "global.images.envoyGateway";
        let proxies = "config.envoyGateway.envoyProxy.provider";
        [
            format!("{image}.image={}", self.operator.reference),
            format!("{image}.pullPolicy=IfNotPresent"),
            format!("global.images.envoyProxy.image={}", self.proxy.reference),
            // As many proxies as a Gateway of ours has.
            format!("{proxies}.type=Kubernetes"),
            format!("{proxies}.kubernetes.envoyDeployment.replicas=2"),
            // They would wait for minutes for clients that are no more.
            format!("{proxies}.kubernetes.envoyDeployment.patch.type=StrategicMerge"),
            format!("{proxies}.kubernetes.envoyDeployment.patch.value.{POD}.terminationGracePeriodSeconds=1"),
            // What it needs is what is measured.
            "deployment.envoyGateway.resources.limits=null".to_owned(),
            "crds.enabled=false".to_owned(),
            // It needs a webhook, and concerns nodes in several zones.
            "topologyInjector.enabled=false".to_owned(),
        ]
        .join(",")
    }
}

fn module() -> Module {
    Module {
        folder: "integration-tests/envoy-gateway",
        programs: &[PROGRAM],
        linker_flags: "-s -w".to_owned(),
        note: "takes about 8 minutes, once",
    }
}
