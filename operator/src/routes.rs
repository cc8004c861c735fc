//! Watches every object that routes are made of, compiles them, and gives the result to the config server and to the
//! owner of each object.
//!
//! | to change … | look in |
//! |---|---|
//! | which objects are watched | `watches.rs` |
//! | in which version of its API a kind is read | `served.rs` |
//! | what is kept of each | the crate `operator-objects` |
//! | which Secrets and ConfigMaps are fetched | `contents.rs` |
//! | how the owner of an object learns its verdict | `statuses.rs` |
//! | how the proxies of Gateways are made | `gateways.rs` |
//! | when the lease makes a difference | this file |

mod contents;
mod gateways;
mod served;
mod statuses;
mod watches;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kube::Client;
use operator_gateways::{Installation, Outcome, SeenService};
use operator_objects::{Observed, SeenGateway, SeenIngress};
use operator_routes::{
    Compiler, Delta, GatewayObjectName, ObjectChange, ObjectName, Scope, Settings as CompilerSettings, State,
    Subject,
    dialect::{Carrier, DocumentKind, Origin, documents::DocumentName},
    object::SecretObject,
};
use proxy_config::model::Epoch;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use self::{
    contents::{Content, Contents},
    gateways::{Gateways, SeenDeployment},
    statuses::Statuses,
    watches::{Source, start_watches},
};
use crate::{
    config_server::{Settings, Shared},
    lease::Tenure,
    telemetry::Gate,
};

/// Changes that wait for the compiler. What is beyond waits in the watches.
const QUEUE: usize = 4096;

/// One thing that a watch has to say.
#[derive(Debug)]
enum Input {
    /// For the compiler.
    Change(ObjectChange),
    /// What an Ingress says of itself now.
    Ingress(ObjectName, Option<SeenIngress>),
    /// The name and uid of the ConfigMap with what holds for all Ingresses.
    Defaults(Option<(ObjectName, String)>),
    /// Where clients reach the proxies.
    Published(Vec<String>),
    /// What an object of Emissary says of itself now.
    Status(DocumentName, Option<Observed>),
    /// The uid of an object that bears an annotation.
    Carrier(Carrier, Option<String>),
    /// The version of a Secret.
    SecretVersion(ObjectName, Option<String>),
    /// A Secret that was asked for.
    Secret(ObjectName, Option<SecretObject>),
    /// The version of a ConfigMap.
    ConfigMapVersion(ObjectName, Option<String>),
    /// A ConfigMap that was asked for.
    ConfigMap(ObjectName, Option<BTreeMap<String, String>>),
    /// What an object of the Gateway API says of itself now.
    Gateway(GatewayObjectName, Option<SeenGateway>),
    /// A slice of a Service that may be one of proxies, and the pods in it that are ready or serving, by uid.
    ProxySlice(ObjectName, Option<(ObjectName, BTreeMap<String, ObjectName>)>),
    /// A Service that was made for a Gateway.
    GatewayService(ObjectName, Option<SeenService>),
    /// A Deployment that was made for Gateways; `None`: it is gone.
    GatewayDeployment(ObjectName, Option<SeenDeployment>),
    /// What became of making the proxies of a scope.
    Proxies(Scope, Outcome),
    /// All that was there when the watch began has been said.
    Complete(Source),
}

/// Runs until `shutdown`. `ready` opens once all objects are known.
pub(crate) async fn run(
    client: Client,
    settings: &Settings,
    installation: Installation,
    shared: Arc<Shared>,
    mut tenure: watch::Receiver<Tenure>,
    ready: Gate,
    shutdown: CancellationToken,
) {
    let (inputs, mut queue) = mpsc::channel(QUEUE);
    start_watches(&client, settings, &inputs, &shutdown);
    let contents = Contents::start(client.clone(), inputs.clone(), &shutdown);
    let addresses = settings.ingress.publish_addresses.clone();
    let controllers = settings.gateway_controllers.clone();
    let gateways =
        Gateways::new(client.clone(), installation, controllers.clone(), inputs.clone(), &shutdown);
    let statuses = Statuses::start(client, addresses, controllers, &shutdown);
    let mut routes = Routes::new(settings, shared, contents, statuses, gateways, ready);
    loop {
        let current = tenure.borrow_and_update().clone();
        routes.set_tenure(&current, Instant::now());
        let lapses = match current {
            Tenure::Held { until, .. } => Some(until),
            Tenure::Unknown | Tenure::Foreign { .. } => None,
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some(input) = queue.recv() => {
                routes.take(input);
                // What has come meanwhile is compiled together; nothing is waited for.
                for _ in 0..QUEUE {
                    let Ok(input) = queue.try_recv() else { break };
                    routes.take(input);
                }
                routes.compile();
            }
            Ok(()) = tenure.changed() => {}
            () = sleep_until(lapses.unwrap_or_else(Instant::now)), if routes.acts() && lapses.is_some() => {}
        }
    }
}

/// The compiler and what surrounds it.
struct Routes {
    compiler: Compiler,
    shared: Arc<Shared>,
    contents: Contents,
    statuses: Statuses,
    gateways: Gateways,
    missing: BTreeSet<Source>,
    ready: Gate,
    /// Objects whose status does not say what it should, though the verdict may be the same.
    blank: BTreeSet<Subject>,
    /// The same of the Gateway API.
    blank_gateways: BTreeSet<GatewayObjectName>,
    proxy_service: ObjectName,
    proxy_slices: BTreeMap<ObjectName, (ObjectName, BTreeMap<String, ObjectName>)>,
    role: Role,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    /// The lease is held elsewhere, there if that is known.
    Standby { holder: Option<String> },
    /// It is held here, and not all objects are known yet.
    Preparing { epoch: Epoch },
    /// It is held here.
    Serving { epoch: Epoch },
}

impl Routes {
    fn new(
        settings: &Settings,
        shared: Arc<Shared>,
        contents: Contents,
        statuses: Statuses,
        gateways: Gateways,
        ready: Gate,
    ) -> Self {
        let compiler = CompilerSettings {
            ambassador_id: settings.ambassador_id.clone(),
            compat: settings.compat,
            namespace: settings.namespace.clone(),
            listener_port: settings.listener_port,
            tls_port: settings.tls_port,
            ingress_controllers: settings.ingress.controllers.clone(),
            ingress_annotations: settings.ingress.annotations_prefix.clone(),
            default_certificate: settings.ingress.default_certificate.clone(),
            gateway_controllers: settings.gateway_controllers.clone(),
        };
        Self {
            compiler: Compiler::new(compiler),
            shared,
            contents,
            statuses,
            gateways,
            missing: Source::all(settings).collect(),
            ready,
            blank: BTreeSet::new(),
            blank_gateways: BTreeSet::new(),
            proxy_service: settings.proxy_service.clone(),
            proxy_slices: BTreeMap::new(),
            role: Role::Standby { holder: None },
        }
    }

    /// Whether this process acts as the holder of the lease.
    fn acts(&self) -> bool {
        !matches!(self.role, Role::Standby { .. })
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Change(change) => self.compiler.apply(change),
            Input::Status(name, status) => {
                // One that was deleted and made anew needs its status again, though the verdict is the same; so does
                // one of a newer generation.
                let outdated = |status: &Observed| {
                    let seen = status.told_generation;
                    status.state.is_empty() || seen.is_some() && seen != status.generation
                };
                if status.as_ref().is_some_and(outdated) {
                    self.blank.insert(Subject::Document(name.clone(), Origin::Object));
                }
                self.statuses.observed(name, status);
            }
            Input::Carrier(carrier, uid) => self.statuses.carries(carrier, uid),
            Input::Ingress(name, seen) => {
                if seen.is_some() {
                    self.blank.insert(Subject::Ingress(name.clone()));
                }
                self.statuses.saw_ingress(name, seen);
            }
            Input::Defaults(map) => {
                self.blank.insert(Subject::IngressDefaults);
                self.statuses.saw_defaults(map);
            }
            Input::Published(addresses) => {
                if self.statuses.publish(addresses) {
                    let ingresses = self.compiler.compiled().statuses.keys();
                    self.blank.extend(ingresses.filter(|it| matches!(it, Subject::Ingress(_))).cloned());
                }
            }
            Input::SecretVersion(name, version) => {
                if self.contents.seen(&Content::Secret(name.clone()), version) {
                    self.compiler.apply(ObjectChange::Secret(name, None));
                }
            }
            Input::Secret(name, secret) => {
                if self.contents.fetched(&Content::Secret(name.clone())) {
                    self.compiler.apply(ObjectChange::Secret(name, secret));
                }
            }
            Input::ConfigMapVersion(name, version) => {
                if self.contents.seen(&Content::ConfigMap(name.clone()), version) {
                    self.compiler.apply(ObjectChange::ConfigMap(name, None));
                }
            }
            Input::ConfigMap(name, data) => {
                if self.contents.fetched(&Content::ConfigMap(name.clone())) {
                    self.compiler.apply(ObjectChange::ConfigMap(name, data));
                }
            }
            Input::Gateway(name, seen) => {
                self.blank_gateways.insert(name.clone());
                self.statuses.saw_gateway(name, seen);
            }
            Input::ProxySlice(name, slice) => {
                let slice = slice.filter(|(_, pods)| !pods.is_empty());
                let before = match slice.clone() {
                    Some(slice) => self.proxy_slices.insert(name, slice),
                    None => self.proxy_slices.remove(&name),
                };
                if before != slice {
                    self.shared.set_endpoints(self.endpoints());
                }
            }
            Input::GatewayService(name, seen) => self.gateways.service(name, seen),
            Input::GatewayDeployment(name, seen) => self.gateways.deployment(&name, seen),
            Input::Proxies(scope, outcome) => self.gateways.outcome(&scope, outcome),
            Input::Complete(source) => {
                debug!(?source, "a watch is complete");
                self.missing.remove(&source);
                if self.missing.is_empty() {
                    self.ready.open();
                }
            }
        }
    }

    /// Compiles what was taken. Before every watch is complete there is nothing to compile: half a view of the
    /// cluster never reaches a proxy.
    fn compile(&mut self) {
        if !self.missing.is_empty() {
            return;
        }
        let blank = std::mem::take(&mut self.blank);
        let blank_gateways = std::mem::take(&mut self.blank_gateways);
        let started = Instant::now();
        let delta = self.compiler.compile();
        self.shared.metrics.compile.observe(started.elapsed().as_secs_f64());
        for (secret, wanted) in &delta.secrets {
            if self.contents.want(&Content::Secret(secret.clone()), *wanted) {
                self.compiler.apply(ObjectChange::Secret(secret.clone(), None));
            }
        }
        for (map, wanted) in &delta.config_maps {
            if self.contents.want(&Content::ConfigMap(map.clone()), *wanted) {
                self.compiler.apply(ObjectChange::ConfigMap(map.clone(), None));
            }
        }
        let other_services = self.follow_demands(&delta);
        // A term does not begin by telling Gateways that they have no proxies.
        if matches!(self.role, Role::Preparing { .. }) && self.supply() {
            return self.compile();
        }
        match self.role {
            Role::Standby { .. } => {}
            // Half of the certificates never reaches a proxy either: they are fetched first.
            Role::Preparing { .. } if !self.contents.complete() => {}
            Role::Preparing { epoch } => self.begin(epoch),
            Role::Serving { .. } => self.publish(&delta, &blank, &blank_gateways),
        }
        if other_services {
            self.shared.set_endpoints(self.endpoints());
        }
        // What there is of the proxies of Gateways is in what their status says.
        if self.supply() {
            self.compile();
        }
    }

    /// Tells the compiler what is new of the proxies of Gateways. Says whether anything is.
    fn supply(&mut self) -> bool {
        if self.gateways.is_empty() {
            return false;
        }
        let endpoints = self.endpoints();
        let ready = |scope: &Scope| endpoints.get(scope).map_or(0, BTreeMap::len);
        let news = self.gateways.news(ready);
        let some = !news.is_empty();
        for change in news {
            self.compiler.apply(change);
        }
        some
    }

    /// Follows what Gateways ask for. Says whether the Services of proxies are other ones.
    fn follow_demands(&mut self, delta: &Delta) -> bool {
        let mut other = false;
        // Classes come last, and first here: who leaves proxies of its own may have moved to those of its class.
        for (scope, demand) in delta.demands.iter().rev() {
            other |= self.gateways.demand(scope, demand.clone());
        }
        self.gateways.clear_away();
        other
    }

    /// A term of this process begins with everything that is compiled.
    fn begin(&mut self, epoch: Epoch) {
        let compiled = self.compiler.compiled();
        info!(
            routes = compiled.config.routes.len(),
            clusters = compiled.config.clusters.len(),
            transitions = epoch.transitions,
            "serving the proxies"
        );
        self.role = Role::Serving { epoch };
        self.gateways.set_acting(true);
        self.gateways.clear_away();
        let compiled = self.compiler.compiled();
        self.shared.serve(epoch, compiled, self.endpoints());
        self.statuses.want(&compiled.statuses, compiled.statuses.keys());
        self.statuses.want_gateways(&compiled.gateway_statuses, None);
        self.count_inactive();
    }

    fn publish(
        &mut self,
        delta: &Delta,
        blank: &BTreeSet<Subject>,
        blank_gateways: &BTreeSet<GatewayObjectName>,
    ) {
        let Delta { changes, gateways, demands, splits, pods, leaving, gateway_statuses, .. } = delta;
        let of_fleet = changes.is_empty() && splits.is_empty() && pods.is_empty() && leaving.is_empty();
        if !(of_fleet && gateways.is_empty() && demands.is_empty()) {
            self.shared.publish(delta);
        }
        let of_gateways: BTreeSet<&GatewayObjectName> =
            gateway_statuses.keys().chain(blank_gateways).collect();
        if !of_gateways.is_empty() {
            self.statuses.want_gateways(&self.compiler.compiled().gateway_statuses, Some(of_gateways));
        }
        if !delta.statuses.is_empty() || !blank.is_empty() {
            self.statuses.want(&self.compiler.compiled().statuses, delta.statuses.keys().chain(blank));
            self.count_inactive();
        }
    }

    /// Follows the lease.
    fn set_tenure(&mut self, tenure: &Tenure, now: Instant) {
        let wanted = match tenure {
            Tenure::Held { epoch, .. } if tenure.holds(now) => {
                let epoch = Epoch { created: epoch.created, transitions: epoch.transitions.into() };
                Role::Preparing { epoch }
            }
            Tenure::Foreign { address, .. } => Role::Standby { holder: address.clone() },
            Tenure::Held { .. } | Tenure::Unknown => Role::Standby { holder: None },
        };
        if wanted == self.role || wanted == self.role.before_serving() {
            return;
        }
        self.role = wanted;
        match self.role.clone() {
            Role::Standby { holder } => {
                info!(holder, "not serving the proxies");
                self.statuses.forget();
                self.gateways.set_acting(false);
                self.shared.stand_by(holder);
            }
            Role::Preparing { .. } | Role::Serving { .. } => {
                self.shared.prepare();
                self.compile();
            }
        }
    }

    fn count_inactive(&self) {
        let is_mapping = |subject: &Subject| {
            matches!(subject, Subject::Document(DocumentName { kind: DocumentKind::Mapping, .. }, _))
        };
        let statuses = self.compiler.compiled().statuses.iter();
        let inactive = statuses
            .filter(|(subject, status)| is_mapping(subject) && status.state == State::Inactive)
            .count();
        self.shared.metrics.inactive_mappings.set(i64::try_from(inactive).unwrap_or(i64::MAX));
    }

    /// The proxies behind each Service of proxies.
    fn endpoints(&self) -> BTreeMap<Scope, BTreeMap<String, ObjectName>> {
        let mut endpoints: BTreeMap<Scope, BTreeMap<String, ObjectName>> = BTreeMap::new();
        for (service, pods) in self.proxy_slices.values() {
            let scope = match self.gateways.scope_of(service) {
                _ if *service == self.proxy_service => Scope::Fleet,
                Some(scope) => scope.clone(),
                None => continue,
            };
            endpoints.entry(scope).or_default().extend(pods.clone());
        }
        endpoints
    }
}

impl Role {
    /// What it was before all objects were known.
    fn before_serving(&self) -> Self {
        match self {
            Self::Serving { epoch } => Self::Preparing { epoch: *epoch },
            other @ (Self::Standby { .. } | Self::Preparing { .. }) => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config_server::Metrics, telemetry::Readiness, test_api::TestApi};

    fn installation() -> Installation {
        Installation {
            config_server: "sluice-operator.sluice.svc:8443".to_owned(),
            authority: "PEM".to_owned(),
            image: "sluice-proxy:1".to_owned(),
            image_pull_policy: "IfNotPresent".to_owned(),
            log_level: "info".to_owned(),
            drain_delay: 5,
            drain_timeout: 30,
        }
    }

    #[tokio::test]
    async fn ready_when_every_watch_is_complete_also_without_the_lease() {
        let settings = Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            namespace: "sluice".to_owned(),
            service: "sluice-operator".to_owned(),
            proxy_service: ObjectName::new("sluice", "sluice-proxy"),
            proxy_service_account: ObjectName::new("sluice", "sluice-proxy"),
            traffic_service_account: ObjectName::new("sluice", "sluice-operator"),
            ambassador_id: "default".to_owned(),
            compat: operator_routes::Compat::Ideal,
            listener_port: 8080,
            tls_port: 8443,
            watch_namespace: None,
            ingress: crate::config_server::IngressSettings::default(),
            proxies: crate::config_server::ProxySettings::default(),
            gateway_controllers: Vec::new(),
        };
        let shared = Arc::new(Shared::new(Metrics::new(&prometheus::Registry::new()).unwrap()));
        let (client, shutdown) = (TestApi::default().client(), CancellationToken::new());
        let contents = Contents::start(client.clone(), mpsc::channel(1).0, &shutdown);
        let gateways =
            Gateways::new(client.clone(), installation(), Vec::new(), mpsc::channel(1).0, &shutdown);
        let statuses = Statuses::start(client, Vec::new(), Vec::new(), &shutdown);
        let readiness = Readiness::default();
        let mut routes =
            Routes::new(&settings, shared, contents, statuses, gateways, readiness.gate("routes"));
        for source in Source::all(&settings) {
            assert_eq!(readiness.closed(), ["routes"], "before {source:?}");
            routes.take(Input::Complete(source));
        }
        assert!(readiness.closed().is_empty());
    }
}
