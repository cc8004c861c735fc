//! What can be set for all Gateways of a class, or for one: a ConfigMap that `parametersRef` names.

use std::collections::BTreeMap;

use crds::gateway::class::ParametersReference;
use operator_routes::ObjectName;

/// Settings of a Gateway's proxies. What is absent is as the installation has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// Whose the proxies are.
    pub proxies: Proxies,
    /// How many proxies there are until somebody scales them.
    pub replicas: Option<u16>,
    /// How the Service is reached.
    pub service_type: ServiceType,
    /// `spec.loadBalancerClass` of the Service.
    pub load_balancer_class: Option<String>,
    /// What the proxies log.
    pub log_level: Option<String>,
    /// Threads of each proxy; by default one for each core.
    pub workers: Option<u16>,
    /// `resources.requests.cpu`.
    pub cpu_request: Option<String>,
    /// `resources.requests.memory`.
    pub memory_request: Option<String>,
    /// `resources.limits.memory`.
    pub memory_limit: Option<String>,
    /// `spec.priorityClassName` of the pods.
    pub priority_class: Option<String>,
}

/// Whose the proxies of a Gateway are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proxies {
    /// Its own.
    #[default]
    Own,
    /// Those of its class.
    Shared,
}

/// How a Service is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceType {
    /// From outside of the cluster, at an address of its own.
    #[default]
    LoadBalancer,
    /// From inside of the cluster.
    ClusterIp,
    /// From outside, at ports of every node.
    NodePort,
}

/// Who names a ConfigMap with parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `spec.parametersRef` of the GatewayClass.
    Class,
    /// `spec.infrastructure.parametersRef` of the Gateway.
    Gateway,
}

/// Why parameters cannot be used, in words for the status of the Gateway.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The reference is to something else.
    #[error("{} is {kind} of group {group:?}: only a ConfigMap of the core group has parameters", .from.field())]
    Kind {
        /// Who refers to it.
        from: Source,
        /// What it is.
        kind: String,
        /// Of which group.
        group: String,
    },
    /// A class has no namespace that its ConfigMap could be in.
    #[error("{} names no namespace: add it, a GatewayClass has none", .0.field())]
    Namespace(Source),
    /// There is no such ConfigMap.
    #[error("{} is ConfigMap {name}, which does not exist", .from.field())]
    Missing {
        /// Who refers to it.
        from: Source,
        /// Which.
        name: ObjectName,
    },
    /// A key that means nothing.
    #[error("ConfigMap {name} has the key {key:?}; the parameters are {}", KEYS.join(", "))]
    Key {
        /// Of which ConfigMap.
        name: ObjectName,
        /// Which.
        key: String,
    },
    /// A Gateway says what only its class can.
    #[error("ConfigMap {0} has the key \"proxies\", which only the parameters of a GatewayClass can have")]
    OfClass(ObjectName),
    /// A value that cannot be.
    #[error("ConfigMap {name} has {key}: {value:?}, which is not {expected}")]
    Value {
        /// Of which ConfigMap.
        name: ObjectName,
        /// Which key.
        key: String,
        /// Its value.
        value: String,
        /// What it could be.
        expected: &'static str,
    },
}

/// Every key.
const KEYS: [&str; 10] = [
    "proxies",
    "replicas",
    "serviceType",
    "loadBalancerClass",
    "logLevel",
    "workers",
    "cpuRequest",
    "memoryRequest",
    "memoryLimit",
    "priorityClass",
];

impl Source {
    /// The field with the reference.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Class => "spec.parametersRef of the GatewayClass",
            Self::Gateway => "spec.infrastructure.parametersRef",
        }
    }

    /// The ConfigMap that it refers to, for a Gateway of this name.
    ///
    /// # Errors
    /// If it refers to anything else.
    pub fn config_map(
        self,
        reference: &ParametersReference,
        gateway: &ObjectName,
    ) -> Result<ObjectName, Invalid> {
        if !reference.group.is_empty() || reference.kind != "ConfigMap" {
            let (kind, group) = (reference.kind.clone(), reference.group.clone());
            return Err(Invalid::Kind { from: self, kind, group });
        }
        match (self, &reference.namespace) {
            (Self::Class, Some(namespace)) => {
                Ok(ObjectName::new(namespace.as_str(), reference.name.as_str()))
            }
            (Self::Class, None) => Err(Invalid::Namespace(self)),
            (Self::Gateway, _) => Ok(gateway.sibling(reference.name.as_str())),
        }
    }
}

impl Parameters {
    /// Takes what a ConfigMap sets; a Gateway's own go over those of its class.
    ///
    /// # Errors
    /// If it has a key or a value that means nothing there: none of it is taken then.
    pub fn take(
        mut self,
        from: Source,
        name: &ObjectName,
        data: &BTreeMap<String, String>,
    ) -> Result<Self, Invalid> {
        for (key, value) in data {
            let wrong = |expected| Invalid::Value {
                name: name.clone(),
                key: key.clone(),
                value: value.clone(),
                expected,
            };
            let number = || value.parse::<u16>().map_err(|_| wrong("a whole number"));
            let text = || {
                let text = value.trim();
                if text.is_empty() { Err(wrong("a text")) } else { Ok(Some(text.to_owned())) }
            };
            let quantity =
                || if is_quantity(value) { text() } else { Err(wrong("a quantity such as 100m or 64Mi")) };
            match key.as_str() {
                "proxies" if from == Source::Gateway => return Err(Invalid::OfClass(name.clone())),
                "proxies" => {
                    self.proxies = Proxies::parse(value).ok_or_else(|| wrong("own or shared"))?;
                }
                "replicas" => self.replicas = Some(number()?),
                "workers" => self.workers = Some(number()?),
                "serviceType" => {
                    self.service_type = ServiceType::parse(value)
                        .ok_or_else(|| wrong("LoadBalancer, ClusterIP or NodePort"))?;
                }
                "loadBalancerClass" => self.load_balancer_class = text()?,
                "logLevel" => self.log_level = text()?,
                "cpuRequest" => self.cpu_request = quantity()?,
                "memoryRequest" => self.memory_request = quantity()?,
                "memoryLimit" => self.memory_limit = quantity()?,
                "priorityClass" => self.priority_class = text()?,
                _ => return Err(Invalid::Key { name: name.clone(), key: key.clone() }),
            }
        }
        Ok(self)
    }
}

impl Proxies {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "own" => Some(Self::Own),
            "shared" => Some(Self::Shared),
            _ => None,
        }
    }
}

impl ServiceType {
    /// As Kubernetes calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LoadBalancer => "LoadBalancer",
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::LoadBalancer, Self::ClusterIp, Self::NodePort].into_iter().find(|it| it.as_str() == text)
    }
}

/// Whether the API server takes it for a quantity: digits, perhaps with a point, and a known unit.
fn is_quantity(text: &str) -> bool {
    const UNITS: [&str; 15] =
        ["", "n", "u", "m", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let digits = text.trim_end_matches(|it: char| it.is_ascii_alphabetic());
    UNITS.contains(&&text[digits.len()..])
        && digits.starts_with(|it: char| it.is_ascii_digit())
        && digits.ends_with(|it: char| it.is_ascii_digit())
        && digits.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> ObjectName {
        ObjectName::new("infra", "web")
    }

    fn taken(data: &[(&str, &str)]) -> Result<Parameters, String> {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Parameters::default().take(Source::Class, &name(), &data).map_err(|error| error.to_string())
    }

    #[test]
    fn each_key_sets_one_thing() {
        let parameters = taken(&[
            ("proxies", "shared"),
            ("replicas", "3"),
            ("serviceType", "ClusterIP"),
            ("cpuRequest", "250m"),
            ("memoryLimit", "1.5Gi"),
        ])
        .unwrap();
        let expected = Parameters {
            proxies: Proxies::Shared,
            replicas: Some(3),
            service_type: ServiceType::ClusterIp,
            cpu_request: Some("250m".to_owned()),
            memory_limit: Some("1.5Gi".to_owned()),
            ..Parameters::default()
        };
        assert_eq!(parameters, expected);
    }

    #[test]
    fn a_gateways_own_go_over_those_of_its_class() {
        let class = taken(&[("replicas", "3"), ("logLevel", "debug")]).unwrap();
        let data = BTreeMap::from([("replicas".to_owned(), "1".to_owned())]);
        let own = class.take(Source::Gateway, &name(), &data).unwrap();
        assert_eq!((own.replicas, own.log_level.as_deref()), (Some(1), Some("debug")));
    }

    #[test]
    fn what_means_nothing_is_told_with_what_would() {
        let cases = [
            (("replica", "3"), "has the key \"replica\"; the parameters are proxies, replicas, serviceType"),
            (("proxies", "both"), "has proxies: \"both\", which is not own or shared"),
            (("replicas", "three"), "has replicas: \"three\", which is not a whole number"),
            (("replicas", "-1"), "which is not a whole number"),
            (("serviceType", "External"), "which is not LoadBalancer, ClusterIP or NodePort"),
            (("memoryLimit", "much"), "which is not a quantity such as 100m or 64Mi"),
            (("memoryLimit", "1.Mi"), "which is not a quantity"),
            (("logLevel", " "), "which is not a text"),
        ];
        for (entry, expected) in cases {
            let error = taken(&[entry]).unwrap_err();
            assert!(error.starts_with("ConfigMap infra/web has "), "{error}");
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn only_a_class_says_whose_proxies_are() {
        let data = BTreeMap::from([("proxies".to_owned(), "own".to_owned())]);
        let error = Parameters::default().take(Source::Gateway, &name(), &data).unwrap_err().to_string();
        assert!(error.contains("only the parameters of a GatewayClass"), "{error}");
    }

    #[test]
    fn only_a_config_map_has_parameters() {
        let reference = |group: &str, kind: &str, namespace: Option<&str>| ParametersReference {
            group: group.to_owned(),
            kind: kind.to_owned(),
            name: "settings".to_owned(),
            namespace: namespace.map(str::to_owned),
        };
        let gateway = ObjectName::new("shop", "web");
        let found = |source: Source, reference| {
            source.config_map(&reference, &gateway).map(|it| it.to_string()).map_err(|it| it.to_string())
        };
        let map = |namespace| reference("", "ConfigMap", namespace);
        assert_eq!(found(Source::Class, map(Some("infra"))).as_deref(), Ok("infra/settings"));
        assert_eq!(found(Source::Gateway, map(None)).as_deref(), Ok("shop/settings"));
        assert_eq!(
            found(Source::Gateway, map(Some("infra"))).as_deref(),
            Ok("shop/settings"),
            "always its own"
        );
        assert!(found(Source::Class, map(None)).unwrap_err().contains("names no namespace"));
        let other = found(Source::Gateway, reference("example.org", "Proxy", None)).unwrap_err();
        assert!(other.contains("is Proxy of group \"example.org\""), "{other}");
    }
}
