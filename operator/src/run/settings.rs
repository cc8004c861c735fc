//! From flags to the settings of each part.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use operator_routes::{Compat, GATEWAY_CONTROLLER, INGRESS_CONTROLLER, ObjectName};
use tokio::sync::watch;

use super::{Error, Parts};
use crate::{
    analysis,
    arguments::AmbassadorCompat,
    config_server,
    lease::Tenure,
    rollouts,
    traffic::{Authority, Connector, Credential, Target},
};

impl Parts {
    pub(super) fn rollout_settings(&self) -> rollouts::Settings {
        let arguments = &self.arguments;
        rollouts::Settings {
            namespace: self.watched(),
            instance_id: arguments.cluster.instance_id.clone(),
            workers: arguments.rollouts.rollout_threads,
            experiment_workers: arguments.rollouts.experiment_threads,
            resync: Duration::from_secs(arguments.rollouts.rollout_resync),
            mapping_version: arguments.rollouts.ambassador_api_version.clone(),
        }
    }

    pub(super) fn analysis_settings(&self) -> analysis::Settings {
        let arguments = &self.arguments;
        analysis::Settings {
            namespace: self.watched(),
            instance_id: arguments.cluster.instance_id.clone(),
            resync: Duration::from_secs(arguments.rollouts.rollout_resync),
            prometheus_address: arguments.rollouts.prometheus_address.clone(),
            own_namespace: self.identity.namespace.clone(),
        }
    }

    pub(super) fn route_settings(&self) -> Result<config_server::Settings, Error> {
        let arguments = &self.arguments.routes;
        let name = |flag, value: &String| object_name(flag, value, &self.identity.namespace);
        Ok(config_server::Settings {
            listen: arguments.config_listen,
            namespace: self.identity.namespace.clone(),
            service: arguments.operator_service.clone(),
            proxy_service: name("--proxy-service", &arguments.proxy_service)?,
            proxy_service_account: name("--proxy-service-account", &arguments.proxy_service_account)?,
            traffic_service_account: name("--traffic-service-account", &arguments.traffic_service_account)?,
            ambassador_id: arguments.ambassador_id.clone(),
            compat: match arguments.ambassador_compat {
                AmbassadorCompat::Ideal => Compat::Ideal,
                AmbassadorCompat::Strict => Compat::Strict,
            },
            listener_port: arguments.proxy_port,
            tls_port: arguments.proxy_tls_port,
            watch_namespace: self.watched(),
            ingress: config_server::IngressSettings {
                controllers: [vec![INGRESS_CONTROLLER.to_owned()], arguments.ingress_controllers.clone()]
                    .concat(),
                annotations_prefix: arguments.annotations_prefix.clone(),
                config_map: arguments
                    .ingress_config_map
                    .as_ref()
                    .map(|it| name("--ingress-config-map", it))
                    .transpose()?,
                default_certificate: arguments
                    .default_tls_certificate
                    .as_ref()
                    .map(|it| name("--default-tls-certificate", it))
                    .transpose()?,
                publish_service: match &arguments.publish_service {
                    Some(service) => Some(name("--publish-service", service)?),
                    None => Some(name("--proxy-service", &arguments.proxy_service)?),
                },
                publish_addresses: arguments.publish_status_address.clone(),
            },
            proxies: config_server::ProxySettings {
                image: arguments.gateway_proxy_image.clone(),
                image_pull_policy: arguments.gateway_proxy_image_pull_policy.clone(),
                log_level: arguments.gateway_proxy_log_level.clone(),
                drain_delay: arguments.gateway_proxy_drain_delay,
                drain_timeout: arguments.gateway_proxy_drain_timeout,
            },
            gateway_controllers: [vec![GATEWAY_CONTROLLER.to_owned()], arguments.gateway_controllers.clone()]
                .concat(),
        })
    }

    /// How to reach the traffic server: at the address of the flag, else at the holder of the route lease if this
    /// process takes part in it.
    pub(super) fn traffic(&self, route_lease: Option<watch::Receiver<Tenure>>) -> Option<Connector> {
        let arguments = &self.arguments.traffic;
        let namespace = self.identity.namespace.clone();
        let target = match (&arguments.traffic_server, route_lease) {
            (Some(address), _) => Target::Fixed(address.clone()),
            (None, Some(tenure)) => Target::Holder { tenure, own: self.own_address().to_string() },
            (None, None) => return None,
        };
        let authority = match &arguments.traffic_ca_file {
            Some(path) => Authority::File(path.clone()),
            None => Authority::ConfigMap { namespace: namespace.clone() },
        };
        let credential = match &arguments.traffic_token_file {
            Some(path) => Credential::File(path.clone()),
            None => Credential::Request { namespace, service_account: arguments.service_account.clone() },
        };
        Some(Connector { client: self.client.clone(), target, authority, credential })
    }

    /// The only namespace to work on, if there is one.
    pub(super) fn watched(&self) -> Option<String> {
        let cluster = &self.arguments.cluster;
        let own = || self.identity.namespace.clone();
        cluster.namespaced.then(|| cluster.namespace.clone().unwrap_or_else(own))
    }

    /// Where others reach the config server of this process, if it is known.
    pub(super) fn config_address(&self) -> Option<String> {
        let port = self.arguments.routes.config_listen.port();
        self.arguments.pod.pod_ip.map(|ip| SocketAddr::new(ip, port).to_string())
    }

    /// Where this process reaches its own config server.
    fn own_address(&self) -> SocketAddr {
        let listen = self.arguments.routes.config_listen;
        match listen.ip() {
            ip if ip.is_unspecified() => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port()),
            _ => listen,
        }
    }
}

fn object_name(flag: &'static str, value: &str, own: &str) -> Result<ObjectName, Error> {
    let qualified = if value.contains('/') { value.to_owned() } else { format!("{own}/{value}") };
    qualified.parse().map_err(|_| Error::Name { flag, value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_namespace_is_of_our_own() {
        let read = |value| object_name("--proxy-service", value, "sluice").map(|it| it.to_string()).ok();
        assert_eq!(read("proxy").as_deref(), Some("sluice/proxy"));
        assert_eq!(read("edge/proxy").as_deref(), Some("edge/proxy"));
        assert_eq!(read("a/b/c"), None);
        assert_eq!(read(""), None);
    }
}
