//! The objects of the proxies of a Gateway, or of those that the Gateways of a class share, as they are applied.
//!
//! None of them changes the pods when a listener comes or goes: the ports of the Gateway are in the Service alone, and
//! the proxies open theirs as their configuration says.

use std::collections::BTreeMap;

use operator_routes::{
    ObjectName, Scope,
    gateway::{AddressKind, Demand, DemandedPort, Transport, port::ADMIN},
};
use proxy_config::CONFIG_AUDIENCE;
use serde_json::{Value, json};

use crate::{
    names::Names,
    parameters::{Parameters, ServiceType},
    replicas::APPLIED_ANNOTATION,
};

/// How many proxies there are if nobody says otherwise: one goes while another stays.
const REPLICAS: u16 = 2;
/// Where Kubernetes 1.35 and newer says to a pod in which zone it is (KEP-4742); elsewhere it has no such label.
const ZONE_FIELD: &str = "metadata.labels['topology.kubernetes.io/zone']";
/// The user of Sluice's images.
const USER: u32 = 65_532;

/// What does not come from the Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// `HOST:PORT` of the config server, as pods of any namespace reach it.
    pub config_server: String,
    /// The certificate that signs the config server's, as PEM.
    pub authority: String,
    /// The image of the proxies.
    pub image: String,
    /// When it is pulled.
    pub image_pull_policy: String,
    /// What the proxies log.
    pub log_level: String,
    /// How long a proxy that ends still accepts connections, in seconds.
    pub drain_delay: u64,
    /// How long requests may take to end after that, in seconds.
    pub drain_timeout: u64,
}

/// The kinds of objects that a Gateway's proxies are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Names the proxies to the operator; without any right.
    ServiceAccount,
    /// Has the certificate of the operator's authority.
    ConfigMap,
    /// Has the Gateway's address, and its ports.
    Service,
    /// The proxies.
    Deployment,
    /// Keeps all of them from going at the same time.
    PodDisruptionBudget,
}

/// One object.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: ObjectName,
    /// All of it that is applied.
    pub content: Value,
}

impl Kind {
    /// All kinds, in the order in which they are made: pods wait for what they name.
    pub const ALL: [Self; 5] =
        [Self::ServiceAccount, Self::ConfigMap, Self::Service, Self::Deployment, Self::PodDisruptionBudget];

    /// Its group with the version, its name, and its plural.
    #[must_use]
    pub fn resource(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::PodDisruptionBudget => ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
        }
    }

    fn api_version(self) -> String {
        let (group, version, ..) = self.resource();
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
    }
}

/// Every object that the proxies of a scope take, in the order in which they are made. `spec.replicas` of the Deployment
/// is what the parameters say: see [`replicas`](crate::replicas()). Nothing for proxies that are not made for Gateways.
#[must_use]
pub fn wanted(
    scope: &Scope,
    demand: &Demand,
    parameters: &Parameters,
    installation: &Installation,
) -> Vec<Object> {
    let Some(names) = Names::of_scope(scope, &demand.class) else { return Vec::new() };
    let of = Of { scope, names, demand, parameters, installation };
    let mut objects = vec![
        of.object(Kind::ServiceAccount, json!({"automountServiceAccountToken": false})),
        of.object(Kind::ConfigMap, json!({"data": {"ca.crt": installation.authority}})),
    ];
    objects.extend(of.services());
    objects.push(of.deployment());
    let budget = json!({"maxUnavailable": 1, "selector": {"matchLabels": of.names.selector()}});
    objects.push(of.object(Kind::PodDisruptionBudget, json!({"spec": budget})));
    objects
}

/// How many proxies there are until somebody scales them.
#[must_use]
pub fn first_replicas(parameters: &Parameters) -> u16 {
    parameters.replicas.unwrap_or(REPLICAS)
}

/// Everything that the objects are made of.
struct Of<'a> {
    scope: &'a Scope,
    names: Names,
    demand: &'a Demand,
    parameters: &'a Parameters,
    installation: &'a Installation,
}

impl Of<'_> {
    fn object(&self, kind: Kind, content: Value) -> Object {
        self.named(kind, self.names.base.clone(), content, &BTreeMap::new())
    }

    fn named(
        &self,
        kind: Kind,
        name: ObjectName,
        mut content: Value,
        annotations: &BTreeMap<String, String>,
    ) -> Object {
        let mut all = self.demand.annotations.clone();
        all.extend(annotations.clone());
        content["apiVersion"] = kind.api_version().into();
        content["kind"] = kind.resource().2.into();
        content["metadata"] = json!({
            "name": &*name.name,
            "namespace": &*name.namespace,
            "labels": self.labels(),
            "annotations": all,
            "ownerReferences": [self.owner()],
        });
        Object { kind, name, content }
    }

    /// Who takes them along: the Gateway, or the class.
    fn owner(&self) -> Value {
        let (kind, name) = match self.scope {
            Scope::Gateway(gateway) => ("Gateway", &*gateway.name),
            Scope::Class(_) | Scope::Fleet => ("GatewayClass", &*self.demand.class),
        };
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": kind,
            "name": name,
            "uid": &*self.demand.uid,
            "controller": true,
        })
    }

    /// The Gateway's labels, and ours over them: by ours its objects are found.
    fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.demand.labels.clone();
        labels.extend(self.names.labels());
        labels
    }

    /// One for each address that is asked for, or one. None while there is no port: a Service has to have one.
    fn services(&self) -> Vec<Object> {
        if self.demand.ports.is_empty() {
            return Vec::new();
        }
        let asked: Vec<&str> = match &self.demand.addresses[..] {
            [] => vec![""],
            addresses => {
                addresses.iter().filter(|it| it.kind == AddressKind::Ip).map(|it| it.value.as_str()).collect()
            }
        };
        asked.into_iter().enumerate().map(|(place, address)| self.service(place, address)).collect()
    }

    fn service(&self, place: usize, address: &str) -> Object {
        let ports = self.demand.ports.iter().map(|DemandedPort { port, transport, container }| {
            let (protocol, name) = match transport {
                Transport::Tcp => ("TCP", "tcp"),
                Transport::Udp => ("UDP", "udp"),
            };
            json!({
                "name": format!("{name}-{port}"),
                "port": port,
                "targetPort": container,
                "protocol": protocol,
            })
        });
        let mut spec = json!({
            "type": self.parameters.service_type.as_str(),
            "selector": self.names.selector(),
            "ports": ports.collect::<Vec<_>>(),
        });
        if self.parameters.service_type == ServiceType::LoadBalancer {
            if let Some(class) = &self.parameters.load_balancer_class {
                spec["loadBalancerClass"] = class.as_str().into();
            }
            // Deprecated, and what load balancers go by all the same.
            if !address.is_empty() {
                spec["loadBalancerIP"] = address.into();
            }
        }
        self.named(Kind::Service, self.names.service(place), json!({"spec": spec}), &BTreeMap::new())
    }

    fn deployment(&self) -> Object {
        let replicas = first_replicas(self.parameters);
        let spec = json!({
            "replicas": replicas,
            // A new proxy is ready before an old one goes.
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": self.names.selector()},
            "template": {
                "metadata": {"labels": self.labels(), "annotations": self.pod_annotations()},
                "spec": self.pod(),
            },
        });
        let applied = BTreeMap::from([(APPLIED_ANNOTATION.to_owned(), replicas.to_string())]);
        self.named(Kind::Deployment, self.names.base.clone(), json!({"spec": spec}), &applied)
    }

    /// What a Prometheus with the common scrape configuration looks for, unless the Gateway says otherwise.
    fn pod_annotations(&self) -> BTreeMap<String, String> {
        let mut annotations = BTreeMap::from([
            ("prometheus.io/scrape".to_owned(), "true".to_owned()),
            ("prometheus.io/port".to_owned(), ADMIN.to_string()),
        ]);
        annotations.extend(self.demand.annotations.clone());
        annotations
    }

    /// At the restricted Pod Security level.
    fn pod(&self) -> Value {
        let Installation { drain_delay, drain_timeout, .. } = self.installation;
        let name = &*self.names.base.name;
        let mut pod = json!({
            "serviceAccountName": name,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": drain_delay + drain_timeout + 10,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": USER,
                "runAsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [{
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": self.names.selector()},
            }],
            "containers": [self.container()],
            "volumes": [
                {"name": "ca", "configMap": {"name": name}},
                {"name": "token", "projected": {"sources": [{"serviceAccountToken": {
                    "audience": CONFIG_AUDIENCE,
                    "expirationSeconds": 3600,
                    "path": "token",
                }}]}},
                // What was served last: a restarted container goes on with it at once.
                {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
            ],
        });
        if let Some(class) = &self.parameters.priority_class {
            pod["priorityClassName"] = class.as_str().into();
        }
        pod
    }

    fn container(&self) -> Value {
        let Installation {
            config_server,
            image,
            image_pull_policy,
            log_level,
            drain_delay,
            drain_timeout,
            ..
        } = self.installation;
        let Parameters { workers, cpu_request, memory_request, memory_limit, .. } = self.parameters;
        let log_level = self.parameters.log_level.as_ref().unwrap_or(log_level);
        let mut arguments = vec![
            format!("--config-server={config_server}"),
            format!("--scope={}", self.scope),
            format!("--admin-port={ADMIN}"),
            format!("--log-level={log_level}"),
            format!("--drain-delay={drain_delay}"),
            format!("--drain-timeout={drain_timeout}"),
            // Empty where nobody knows it.
            "--zone=$(ZONE)".to_owned(),
        ];
        arguments.extend(workers.map(|workers| format!("--workers={workers}")));
        json!({
            "name": "proxy",
            "image": image,
            "imagePullPolicy": image_pull_policy,
            "args": arguments,
            "env": [{"name": "ZONE", "valueFrom": {"fieldRef": {"fieldPath": ZONE_FIELD}}}],
            "ports": [{"name": "admin", "containerPort": ADMIN}],
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": "admin"}},
            // The answer waits until the proxy is ready, for almost a second: see `/readyz` of the proxy.
            "readinessProbe": {
                "httpGet": {"path": "/readyz", "port": "admin"},
                "periodSeconds": 1,
                "timeoutSeconds": 2,
            },
            "resources": {
                "requests": {
                    "cpu": cpu_request.as_deref().unwrap_or("100m"),
                    "memory": memory_request.as_deref().unwrap_or("32Mi"),
                },
                "limits": {"memory": memory_limit.as_deref().unwrap_or("512Mi")},
            },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": true,
            },
            "volumeMounts": [
                {"name": "ca", "mountPath": "/etc/sluice/ca", "readOnly": true},
                {"name": "token", "mountPath": "/var/run/secrets/sluice", "readOnly": true},
                {"name": "memory", "mountPath": "/var/run/sluice"},
            ],
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
