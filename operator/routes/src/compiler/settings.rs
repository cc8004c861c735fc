//! What the compiler is told beside the objects.

use crate::{compat::Compat, gateway::GATEWAY_CONTROLLER, object::ObjectName};

/// What does not come from objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Objects are used if their `ambassador_id` names this instance.
    pub ambassador_id: String,
    /// How closely Emissary is followed.
    pub compat: Compat,
    /// The operator's own namespace.
    pub namespace: String,
    /// The port on which the proxies take cleartext HTTP where no Listener says better.
    pub listener_port: u16,
    /// The port on which they take TLS where no Listener says better, once there is a certificate.
    pub tls_port: u16,
    /// `spec.controller` of the IngressClasses whose Ingresses are served.
    pub ingress_controllers: Vec<String>,
    /// What the annotations of Ingresses that are acted on begin with, without the slash.
    pub ingress_annotations: String,
    /// The Secret with the certificate for names of Ingresses that have none of their own, and for all others.
    pub default_certificate: Option<ObjectName>,
    /// `spec.controllerName` of the GatewayClasses whose Gateways are served.
    pub gateway_controllers: Vec<String>,
}

/// The controller of our own IngressClasses.
pub const INGRESS_CONTROLLER: &str = "sluice.dev/ingress-controller";
/// The controller of Emissary's IngressClasses.
pub const EMISSARY_CONTROLLER: &str = "getambassador.io/ingress-controller";
/// What ingress-nginx's annotations begin with.
pub const INGRESS_ANNOTATIONS: &str = "nginx.ingress.kubernetes.io";

impl Default for Settings {
    /// Those of an installation that says nothing.
    fn default() -> Self {
        Self {
            ambassador_id: "default".to_owned(),
            compat: Compat::Ideal,
            namespace: "sluice".to_owned(),
            listener_port: 8080,
            tls_port: 8443,
            ingress_controllers: vec![INGRESS_CONTROLLER.to_owned()],
            ingress_annotations: INGRESS_ANNOTATIONS.to_owned(),
            default_certificate: None,
            gateway_controllers: vec![GATEWAY_CONTROLLER.to_owned()],
        }
    }
}
