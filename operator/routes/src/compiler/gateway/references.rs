//! Secrets and `ConfigMaps` that objects of the Gateway API refer to.

use std::sync::Arc;

use crds::gateway::reference::ObjectReference;
use proxy_config::model::Certificate;

use super::super::{certificates, stores::Stores, wants::Wanted};
use crate::{
    gateway::{grants::Referrer, listener::Fault},
    object::ObjectName,
};

/// The word of the API for a reference that nobody has permitted.
pub(in super::super) const NOT_PERMITTED: &str = "RefNotPermitted";

/// Why authorities cannot be had.
pub(in super::super) enum Missing {
    /// What is referred to is of no kind that holds any.
    Kind(String),
    /// It is not there, or holds none.
    Object(String),
}

/// The object that is referred to from `namespace`.
pub(in super::super) fn target(reference: &ObjectReference, namespace: &Arc<str>) -> ObjectName {
    let namespace = reference.namespace.as_deref().filter(|it| !it.is_empty()).unwrap_or(namespace);
    ObjectName::new(namespace, reference.name.as_str())
}

/// What has to be known of it; `None` for a kind that is of no use.
pub(in super::super) fn wanted(reference: &ObjectReference, namespace: &Arc<str>) -> Option<Wanted> {
    let name = target(reference, namespace);
    match (reference.group(), reference.kind.as_deref()) {
        ("", Some("ConfigMap")) => Some(Wanted::ConfigMap(name)),
        ("", Some("Secret") | None) => Some(Wanted::Secret(name)),
        _ => None,
    }
}

/// The certificate in a Secret that `from` refers to.
pub(in super::super) fn certificate(
    stores: &Stores,
    reference: &ObjectReference,
    from: Referrer<'_>,
    invalid: &'static str,
) -> Result<Arc<Certificate>, Fault> {
    let kind = reference.kind.as_deref().unwrap_or("Secret");
    if (reference.group(), kind) != ("", "Secret") {
        let message =
            format!("`{}` is of kind `{kind}`, and only a Secret holds a certificate", reference.name);
        return Err(Fault::new(invalid, message));
    }
    let name = target(reference, &from.namespace.into());
    permitted(stores, from, "Secret", &name)?;
    certificates::certificate(stores, &name).map(Arc::new).map_err(|reason| Fault::new(invalid, reason))
}

/// Whether `from` may refer to an object of the core group.
pub(in super::super) fn permitted(
    stores: &Stores,
    from: Referrer<'_>,
    kind: &str,
    to: &ObjectName,
) -> Result<(), Fault> {
    if stores.gateway.grants.permit(from, "", kind, to) {
        return Ok(());
    }
    let message = format!(
        "no ReferenceGrant in namespace `{}` lets a {} of namespace `{}` refer to {kind} `{}`",
        to.namespace, from.kind, from.namespace, to.name
    );
    Err(Fault::new(NOT_PERMITTED, message))
}

/// The authorities in a ConfigMap or Secret, as PEM.
pub(in super::super) fn authorities(
    stores: &Stores,
    reference: &ObjectReference,
    namespace: &Arc<str>,
) -> Result<String, Missing> {
    match wanted(reference, namespace) {
        None => {
            let kind = reference.kind.as_deref().unwrap_or_default();
            let message =
                format!("`{}` is of kind `{kind}`, and a ConfigMap or Secret is needed", reference.name);
            Err(Missing::Kind(message))
        }
        Some(Wanted::Secret(name)) => certificates::authorities(stores, &name).map_err(Missing::Object),
        Some(Wanted::ConfigMap(name)) => {
            let map = stores.gateway.config_maps.get(&name);
            let map = map.ok_or_else(|| Missing::Object(format!("ConfigMap `{name}` does not exist")))?;
            let text = map.get("ca.crt").filter(|text| text.contains("-----BEGIN CERTIFICATE-----"));
            text.cloned()
                .ok_or_else(|| Missing::Object(format!("ConfigMap `{name}` has no certificate in `ca.crt`")))
        }
    }
}
