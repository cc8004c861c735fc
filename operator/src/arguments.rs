//! The command line. Flags that Argo Rollouts' controller has keep its names, ports and defaults, so that its
//! Deployment runs Sluice with another image; see `ignored.rs` for those that are accepted and do nothing.

mod duration;
mod ignored;

use std::{collections::BTreeSet, path::PathBuf};

use clap::{Args, Parser, ValueEnum};

pub use self::{
    duration::{GoDuration, InvalidDuration},
    ignored::Ignored,
};

/// Progressive delivery for Kubernetes: controllers for Rollouts and for routes, and the server of the proxies'
/// configuration.
#[derive(Clone, Debug, Parser)]
#[command(name = "sluice-operator", version)]
pub struct Arguments {
    /// Which controllers run, separated by commas. Either runs alone: `rollouts` beside another Gateway, `routes`
    /// under Argo Rollouts.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = [Controller::Rollouts, Controller::Routes])]
    pub controllers: Vec<Controller>,
    /// The cluster and the part of it to work on.
    #[command(flatten)]
    pub cluster: ClusterArguments,
    /// Who this process is.
    #[command(flatten)]
    pub pod: PodArguments,
    /// Leases.
    #[command(flatten)]
    pub leases: LeaseArguments,
    /// The Rollout controller.
    #[command(flatten)]
    pub rollouts: RolloutArguments,
    /// How the Rollout controller reaches the traffic server.
    #[command(flatten)]
    pub traffic: TrafficArguments,
    /// The route controller and its config server.
    #[command(flatten)]
    pub routes: RouteArguments,
    /// Metrics, health, logs.
    #[command(flatten)]
    pub telemetry: TelemetryArguments,
    /// Accepted for the sake of Argo's manifests.
    #[command(flatten)]
    pub ignored: Ignored,
}

/// A controller that may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Controller {
    /// Rollouts, and what judges them: AnalysisRuns and Experiments.
    Rollouts,
    /// Mappings and all else that becomes configuration of the proxies.
    Routes,
}

/// The cluster and the part of it to work on.
#[derive(Clone, Debug, Args)]
pub struct ClusterArguments {
    /// Path of a kubeconfig; only needed outside of a cluster
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long)]
    pub context: Option<String>,
    /// Work on one namespace only: `--namespace`, or the operator's own
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false)]
    pub namespaced: bool,
    /// The namespace to work on with `--namespaced`
    #[arg(long, short = 'n')]
    pub namespace: Option<String>,
    /// Act only on objects with the label `argo-rollouts.argoproj.io/controller-instance-id` of this value; without
    /// it, only on objects without that label
    #[arg(long, default_value = "")]
    pub instance_id: String,
}

/// Who this process is. The chart sets the variables from the downward API.
#[derive(Clone, Debug, Args)]
pub struct PodArguments {
    /// Name of the operator's own pod
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,
    /// Uid of the operator's own pod: a restarted container of one pod takes its leases back at once
    #[arg(long, env = "POD_UID")]
    pub pod_uid: Option<String>,
    /// Namespace of the operator; outside of a cluster, the one of the kubeconfig's context
    #[arg(long, env = "POD_NAMESPACE")]
    pub pod_namespace: Option<String>,
    /// Address at which proxies and Rollout controllers reach this pod
    #[arg(long, env = "POD_IP")]
    pub pod_ip: Option<std::net::IpAddr>,
}

/// Leases. With fewer than two replicas they still keep Argo Rollouts and Sluice from acting at the same time.
#[derive(Clone, Debug, Args)]
pub struct LeaseArguments {
    /// Hold a lease before acting
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_elect: bool,
    /// How long others wait after the last renewal of a lease before they take it
    #[arg(long, default_value = "15s")]
    pub leader_election_lease_duration: GoDuration,
    /// How long after its last renewal the holder of a lease goes on acting; shorter than the lease's duration
    #[arg(long, default_value = "10s")]
    pub leader_election_renew_deadline: GoDuration,
    /// How often a lease is renewed, or looked at by those that wait for it
    #[arg(long, default_value = "2s")]
    pub leader_election_retry_period: GoDuration,
    /// Namespace of Argo Rollouts' lease; by default it is looked for, and if there is none, the operator's own
    #[arg(long)]
    pub argo_namespace: Option<String>,
}

/// The Rollout controller.
#[derive(Clone, Debug, Args)]
pub struct RolloutArguments {
    /// How many Rollouts are worked on at the same time
    #[arg(long, default_value_t = 10)]
    pub rollout_threads: usize,
    /// Seconds after which a Rollout is looked at again though nothing has changed
    #[arg(long, default_value_t = 900)]
    pub rollout_resync: u64,
    /// How many Experiments are worked on at the same time
    #[arg(long, default_value_t = 10)]
    pub experiment_threads: usize,
    /// Group and version in which Mappings are read and written; by default the newest that is served
    #[arg(long)]
    pub ambassador_api_version: Option<String>,
    /// Address of the Prometheus that is asked where a metric of an AnalysisRun names none
    #[arg(long, env = "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS")]
    pub prometheus_address: Option<String>,
}

/// How the Rollout controller reaches the traffic server, which tells what every proxy serves.
#[derive(Clone, Debug, Args)]
pub struct TrafficArguments {
    /// `host:port` of the traffic server; by default this process when it runs the route controller, and the
    /// holder of its lease otherwise. Without either, weights are written and not verified
    #[arg(long)]
    pub traffic_server: Option<String>,
    /// PEM file with the certificate authority of the traffic server; by default ConfigMap `sluice-ca` is read
    #[arg(long)]
    pub traffic_ca_file: Option<PathBuf>,
    /// File with a ServiceAccount token of the audience `sluice-traffic`; by default one is requested
    #[arg(long)]
    pub traffic_token_file: Option<PathBuf>,
    /// ServiceAccount for which a token is requested when there is no token file
    #[arg(long, default_value = "sluice-operator")]
    pub service_account: String,
}

/// The route controller and its config server. Objects are named `namespace/name`, or `name` for one in the
/// operator's own namespace.
#[derive(Clone, Debug, Args)]
pub struct RouteArguments {
    /// Address of the config server and of the traffic server
    #[arg(long, default_value = "0.0.0.0:8443")]
    pub config_listen: std::net::SocketAddr,
    /// The operator's Service: its name is in the certificate of the config server
    #[arg(long, default_value = "sluice-operator")]
    pub operator_service: String,
    /// The proxies' Service: its endpoints are the proxies that count
    #[arg(long, default_value = "sluice-proxy")]
    pub proxy_service: String,
    /// The `ServiceAccount` whose tokens the config server accepts
    #[arg(long, default_value = "sluice-proxy")]
    pub proxy_service_account: String,
    /// The `ServiceAccount` whose tokens the traffic server accepts
    #[arg(long, default_value = "sluice-operator")]
    pub traffic_service_account: String,
    /// Only objects of this `ambassador_id` are served
    #[arg(long, default_value = "default")]
    pub ambassador_id: String,
    /// How Mappings are understood: as they are meant, or as Emissary does, to the letter
    #[arg(long, value_enum, default_value_t = AmbassadorCompat::Ideal)]
    pub ambassador_compat: AmbassadorCompat,
    /// Port on which the proxies accept requests where no Listener says otherwise
    #[arg(long, default_value_t = 8080)]
    pub proxy_port: u16,
    /// Port on which the proxies accept TLS where no Listener says otherwise
    #[arg(long, default_value_t = 8443)]
    pub proxy_tls_port: u16,
    /// Ingresses are served if the `spec.controller` of their IngressClass is one of these, beside our own; for example
    /// k8s.io/ingress-nginx
    #[arg(long, value_delimiter = ',')]
    pub ingress_controllers: Vec<String>,
    /// What the annotations of Ingresses that are acted on begin with
    #[arg(long, default_value = "nginx.ingress.kubernetes.io")]
    pub annotations_prefix: String,
    /// The ConfigMap with what holds for all Ingresses; by default there is none
    #[arg(long)]
    pub ingress_config_map: Option<String>,
    /// The Secret with the certificate for names that no Ingress names one for; by default they have no TLS
    #[arg(long)]
    pub default_tls_certificate: Option<String>,
    /// Gateways are served if the `spec.controllerName` of their GatewayClass is one of these, beside our own; for example
    /// gateway.envoyproxy.io/gatewayclass-controller
    #[arg(long, value_delimiter = ',')]
    pub gateway_controllers: Vec<String>,
    /// The Service whose addresses are written into the status of Ingresses; by default the proxies'
    #[arg(long)]
    pub publish_service: Option<String>,
    /// Addresses that are written into the status of Ingresses instead
    #[arg(long, value_delimiter = ',')]
    pub publish_status_address: Vec<String>,
    /// Image of the proxies of Gateways
    #[arg(long, default_value = concat!("localhost/sluice-proxy:", env!("CARGO_PKG_VERSION")))]
    pub gateway_proxy_image: String,
    /// When the image of the proxies of Gateways is pulled
    #[arg(long, default_value = "IfNotPresent")]
    pub gateway_proxy_image_pull_policy: String,
    /// What the proxies of Gateways log where no parameter says otherwise
    #[arg(long, default_value = "info")]
    pub gateway_proxy_log_level: String,
    /// Seconds for which a proxy of a Gateway still accepts connections after it was told to stop
    #[arg(long, default_value_t = 5)]
    pub gateway_proxy_drain_delay: u64,
    /// Seconds that requests may take to end after that
    #[arg(long, default_value_t = 30)]
    pub gateway_proxy_drain_timeout: u64,
}

/// How Mappings are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AmbassadorCompat {
    /// As they are meant: weights always sum to the whole, each Mapping has its own settings.
    Ideal,
    /// As Emissary does, except for what makes it refuse a whole configuration.
    Strict,
}

/// Metrics, health, logs.
#[derive(Clone, Debug, Args)]
pub struct TelemetryArguments {
    /// Port of `/metrics`
    #[arg(long = "metricsPort", alias = "metricsport", default_value_t = 8090)]
    pub metrics_port: u16,
    /// Port of `/healthz` and `/readyz`
    #[arg(long = "healthzPort", alias = "healthzport", default_value_t = 8080)]
    pub healthz_port: u16,
    /// One of trace, debug, info, warn, error; or a filter such as `info,operator::lease=debug`
    #[arg(long, default_value = "info")]
    pub loglevel: String,
    /// Format of the log
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub logformat: LogFormat,
}

/// Format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line for a person.
    Text,
    /// One JSON object a line.
    Json,
}

impl Arguments {
    /// The controllers to run.
    #[must_use]
    pub fn controllers(&self) -> BTreeSet<Controller> {
        self.controllers.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The command line of Argo Rollouts' own manifests and of its chart's defaults.
    #[test]
    fn takes_the_flags_of_argo_manifests() {
        let arguments = Arguments::try_parse_from([
            "sluice-operator",
            "--namespaced",
            "--healthzPort=8080",
            "--metricsPort=8090",
            "--loglevel=warn",
            "--logformat=json",
            "--kloglevel=0",
            "--leader-elect",
            "--qps=40",
            "--burst",
            "80",
            "--rollout-threads=20",
            "--experiment-threads=10",
            "--ambassador-api-version=getambassador.io/v3alpha1",
            "--leader-election-lease-duration=1m0s",
        ])
        .unwrap();
        assert!(arguments.cluster.namespaced);
        assert!(arguments.leases.leader_elect);
        assert_eq!(arguments.rollouts.rollout_threads, 20);
        assert_eq!(arguments.leases.leader_election_lease_duration.0.as_secs(), 60);
        assert_eq!(arguments.rollouts.experiment_threads, 10);
        assert_eq!(arguments.ignored.given(), ["--burst", "--kloglevel", "--qps"]);
    }

    #[test]
    fn defaults_are_argos() {
        let arguments = Arguments::try_parse_from(["sluice-operator"]).unwrap();
        assert_eq!(arguments.telemetry.metrics_port, 8090);
        assert_eq!(arguments.telemetry.healthz_port, 8080);
        assert_eq!(arguments.leases.leader_election_renew_deadline.0.as_secs(), 10);
        assert!(!arguments.cluster.namespaced);
        assert_eq!(arguments.controllers().len(), 2);
        assert!(arguments.ignored.given().is_empty());
    }

    #[test]
    fn a_switch_takes_a_value_in_gos_way() {
        let arguments = Arguments::try_parse_from(["sluice-operator", "--leader-elect=false"]).unwrap();
        assert!(!arguments.leases.leader_elect);
    }

    #[test]
    fn controllers_run_alone() {
        let arguments = Arguments::try_parse_from(["sluice-operator", "--controllers", "rollouts"]).unwrap();
        assert_eq!(arguments.controllers(), BTreeSet::from([Controller::Rollouts]));
    }
}
