//! Who serves the Gateway that is measured, and where its programs are found.

use clap::ValueEnum;
use serde_json::{Value, json};

/// An implementation of Gateway API. Everything that differs between them is here; what is measured is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Implementation {
    /// This project.
    Sluice,
    /// Envoy Gateway, as its own chart installs it.
    EnvoyGateway,
}

/// Pods of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// Where they run.
    pub(super) namespace: String,
    /// What they have in common.
    pub(super) labels: String,
}

impl Implementation {
    /// The GatewayClass that makes a Gateway one of this implementation.
    #[must_use]
    pub fn class(self) -> Value {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": self.class_name()},
            "spec": {"controllerName": self.controller()},
        })
    }

    /// Its name.
    #[must_use]
    pub fn class_name(self) -> &'static str {
        match self {
            Self::Sluice => "sluice",
            Self::EnvoyGateway => "envoy-gateway",
        }
    }

    /// The port of its proxies that stands for port 80 of a Gateway: no proxy binds a privileged one.
    #[must_use]
    pub(super) fn http_port(self) -> u16 {
        match self {
            Self::Sluice => 64_512 + 80,
            Self::EnvoyGateway => 10_000 + 80,
        }
    }

    /// Where an operator tells of itself.
    #[must_use]
    pub(super) fn operator_metrics(self) -> u16 {
        match self {
            Self::Sluice => 8090,
            Self::EnvoyGateway => 19_001,
        }
    }

    /// Where a proxy tells of its process. Envoy tells of its heap only.
    #[must_use]
    pub(super) fn proxy_metrics(self) -> Option<u16> {
        match self {
            Self::Sluice => Some(64_512),
            Self::EnvoyGateway => None,
        }
    }

    /// The operator's pods, of an implementation that is installed in the namespace `system`.
    #[must_use]
    pub(super) fn operators(self, system: &str) -> Selection {
        let labels = match self {
            Self::Sluice => "app.kubernetes.io/component=operator",
            Self::EnvoyGateway => "control-plane=envoy-gateway",
        };
        Selection { namespace: system.to_owned(), labels: labels.to_owned() }
    }

    /// The proxies of a Gateway: beside it with Sluice, beside the operator with Envoy Gateway.
    #[must_use]
    pub(super) fn proxies(self, system: &str, namespace: &str, gateway: &str) -> Selection {
        match self {
            Self::Sluice => Selection {
                namespace: namespace.to_owned(),
                labels: format!("gateway.networking.k8s.io/gateway-name={gateway}"),
            },
            Self::EnvoyGateway => Selection {
                namespace: system.to_owned(),
                labels: format!(
                    "gateway.envoyproxy.io/owning-gateway-name={gateway},\
                     gateway.envoyproxy.io/owning-gateway-namespace={namespace}"
                ),
            },
        }
    }

    fn controller(self) -> &'static str {
        match self {
            Self::Sluice => "sluice.dev/gateway-controller",
            Self::EnvoyGateway => "gateway.envoyproxy.io/gatewayclass-controller",
        }
    }
}
