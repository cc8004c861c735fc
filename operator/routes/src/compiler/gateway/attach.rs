//! Which listeners a route attaches to.

use std::{collections::BTreeMap, sync::Arc};

use crds::gateway::reference::ParentReference;

use super::{
    super::stores::Stores,
    objects::{Parent, RouteName, gateway_of},
    served::Served,
};
use crate::{
    gateway::{
        hostname::{HostName, in_common},
        listener::{Fault, Listener, Owner},
        objects::Route,
    },
    object::ObjectName,
};

/// One parent of a route that is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attachment {
    pub(super) reference: Arc<ParentReference>,
    pub(super) gateway: ObjectName,
    pub(super) controller: Arc<str>,
    /// The listeners and the names that the route has of each, or why it has none.
    pub(super) listeners: Result<Taken, Fault>,
}

/// The names that a route has, by the index of the listener.
pub(super) type Taken = BTreeMap<usize, Vec<HostName>>;

/// The parents of a route that are ours.
pub(super) fn attach(
    stores: &Stores,
    served: &BTreeMap<ObjectName, Served>,
    name: &RouteName,
    route: &Route,
) -> Vec<Attachment> {
    let mut attachments: Vec<Attachment> = Vec::with_capacity(route.parents.len());
    for reference in &route.parents {
        if attachments.iter().any(|it| it.reference == *reference) {
            continue;
        }
        let Some(parent) = Parent::of(reference, &name.name.namespace) else { continue };
        let (gateway, owner) = match &parent {
            Parent::Gateway(gateway) => (gateway.clone(), Owner::Gateway),
            Parent::ListenerSet(set) => {
                let Some(read) = stores.gateway.sets.get(set) else { continue };
                let Some(gateway) = gateway_of(set, read) else { continue };
                (gateway, Owner::Set(set.clone()))
            }
        };
        let Some(of_gateway) = served.get(&gateway) else { continue };
        attachments.push(Attachment {
            reference: Arc::clone(reference),
            controller: Arc::clone(&of_gateway.controller),
            listeners: listeners(stores, of_gateway, &owner, reference, name, route),
            gateway,
        });
    }
    attachments
}

/// The names that a route with these attachments has of the listeners of a Gateway.
pub(super) fn taken(attachments: &[Attachment], gateway: &ObjectName) -> Taken {
    let of_gateway = attachments.iter().filter(|it| it.gateway == *gateway);
    let mut taken = Taken::new();
    for (index, hosts) in of_gateway.filter_map(|it| it.listeners.as_ref().ok()).flatten() {
        let known = taken.entry(*index).or_default();
        known.extend(hosts.iter().cloned());
        known.sort();
        known.dedup();
    }
    taken
}

fn listeners(
    stores: &Stores,
    served: &Served,
    owner: &Owner,
    reference: &ParentReference,
    name: &RouteName,
    route: &Route,
) -> Result<Taken, Fault> {
    let hostnames =
        route.hostnames.as_ref().map_err(|reason| Fault::new("UnsupportedValue", reason.as_str()))?;
    let meant = |it: &Listener| {
        it.owner == *owner
            && reference.section_name.as_ref().is_none_or(|section| *section == it.name)
            && reference.port.is_none_or(|port| port == it.port)
    };
    let meant: Vec<(usize, &Listener)> =
        served.listeners.iter().enumerate().filter(|(_, it)| meant(it)).collect();
    if meant.is_empty() {
        let what = match (&reference.section_name, reference.port) {
            (Some(section), Some(port)) => format!("`{section}` and port {port}"),
            (Some(section), None) => format!("`{section}`"),
            (None, Some(port)) => format!("port {port}"),
            (None, None) => "any name".to_owned(),
        };
        let message = format!("{} `{}` has no listener of {what}", reference.kind(), reference.name);
        return Err(Fault::new("NoMatchingParent", message));
    }
    let admits = |it: &Listener| {
        let namespace = &name.name.namespace;
        it.kinds.contains(&name.kind)
            && it.attachable()
            && it.from.admits(&it.namespace, namespace, || stores.gateway.labels(namespace))
    };
    let admitting: Vec<(usize, &Listener)> = meant.into_iter().filter(|(_, it)| admits(it)).collect();
    if admitting.is_empty() {
        let message = format!(
            "no listener allows routes of kind {} from namespace `{}`",
            name.kind.as_str(),
            name.name.namespace
        );
        return Err(Fault::new("NotAllowedByListeners", message));
    }
    let taken: Taken = admitting
        .iter()
        .map(|(index, it)| (*index, in_common(&it.hostname, hostnames)))
        .filter(|(_, names)| !names.is_empty())
        .collect();
    if taken.is_empty() {
        let names: Vec<String> =
            admitting.iter().map(|(_, it)| format!("`{}`", it.hostname.show())).collect();
        let message = format!("none of its hostnames is one of the listeners' ({})", names.join(", "));
        return Err(Fault::new("NoMatchingListenerHostname", message));
    }
    Ok(taken)
}
