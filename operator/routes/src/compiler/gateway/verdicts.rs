//! What the status of each object says.

use std::{collections::BTreeMap, sync::Arc};

use crds::gateway::{GROUP, listener::ListenerSpec, reference::ParentReference};

use super::served::Served;
use crate::{
    gateway::{
        Condition, Supply,
        demand::{Lacking, Refused},
        listener::{Fault, Listener, Owner},
        status::{ListenerStatus, ParentStatus, StatusContent},
    },
    object::ObjectName,
};

/// How many routes are attached to each listener, by its id.
pub(super) type Counts = BTreeMap<Arc<str>, u32>;

/// The Gateway itself.
pub(super) fn gateway(
    served: &Served,
    specs: &[ListenerSpec],
    supply: Option<&Supply>,
    counts: &Counts,
) -> StatusContent {
    let own: Vec<&Listener> = served.of_owner(&Owner::Gateway).collect();
    let accepted = accepted(&own, Listener::accepted, supply.and_then(|it| it.refused.as_ref()));
    let lacking = lacking(supply);
    let programmed = if !accepted.holds {
        Condition::fails("Programmed", "Invalid", accepted.message.clone())
    } else if let Some(fault) = &lacking {
        Condition::fails("Programmed", fault.reason, fault.message.clone())
    } else if !served.listeners.is_empty() && !served.listeners.iter().any(Listener::served) {
        Condition::fails("Programmed", "Invalid", "none of its listeners can be served")
    } else {
        Condition::holds("Programmed", "Programmed", "its proxies serve it")
    };
    let refused = (!accepted.holds).then(|| Fault::new("Invalid", accepted.message.clone()));
    let lacking = refused.or(lacking);
    let mut conditions = vec![accepted, programmed];
    if served.refers {
        conditions.push(match &served.unresolved {
            Some(fault) => Condition::fails("ResolvedRefs", fault.reason, fault.message.clone()),
            None => Condition::holds("ResolvedRefs", "ResolvedRefs", "everything that it refers to is there"),
        });
    }
    if served.insecure {
        let message = "clients without a valid certificate are let in: `mode` is `AllowInsecureFallback`";
        conditions.push(Condition::holds("InsecureFrontendValidationMode", "ConfigurationChanged", message));
    }
    let attached = served
        .sets()
        .into_iter()
        .filter(|set| served.of_owner(&Owner::Set((*set).clone())).any(Listener::served));
    StatusContent::Gateway {
        conditions,
        addresses: supply.map(|it| it.addresses.clone()).unwrap_or_default(),
        attached_listener_sets: u32::try_from(attached.count()).unwrap_or(u32::MAX),
        listeners: listeners(&own, specs, lacking.as_ref(), counts),
    }
}

/// A ListenerSet of a Gateway of ours.
pub(super) fn listener_set(
    served: &Served,
    name: &ObjectName,
    specs: &[ListenerSpec],
    supply: Option<&Supply>,
    counts: &Counts,
) -> StatusContent {
    if served.refused_sets.contains(name) {
        let message = "`allowedListeners` of the Gateway does not allow ListenerSets from this namespace";
        let conditions = vec![
            Condition::fails("Accepted", "NotAllowed", message),
            Condition::fails("Programmed", "NotAllowed", message),
        ];
        return StatusContent::ListenerSet { conditions, listeners: Vec::new() };
    }
    let own: Vec<&Listener> = served.of_owner(&Owner::Set(name.clone())).collect();
    let of_gateway: Vec<&Listener> = served.of_owner(&Owner::Gateway).collect();
    let refused = supply.and_then(|it| it.refused.as_ref());
    let gateway = accepted(&of_gateway, Listener::accepted, refused);
    let accepted = match refused {
        Some(_) => Condition::fails("Accepted", "ParentNotAccepted", gateway.message.clone()),
        // A Gateway without a certificate is accepted and not programmed; of a ListenerSet the suite wants that it is
        // not accepted (test `ListenerSetReferenceGrant`).
        None => accepted(&own, Listener::served, None),
    };
    let lacking = lacking(supply);
    let programmed = if accepted.holds {
        match &lacking {
            Some(fault) => Condition::fails("Programmed", "Pending", fault.message.clone()),
            None => Condition::holds("Programmed", "Programmed", "the Gateway's proxies serve it"),
        }
    } else {
        let reason = if refused.is_some() { "ParentNotProgrammed" } else { accepted.reason };
        Condition::fails("Programmed", reason, accepted.message.clone())
    };
    let listeners = listeners(&own, specs, lacking.as_ref(), counts);
    StatusContent::ListenerSet { conditions: vec![accepted, programmed], listeners }
}

/// One that cannot be read.
pub(super) fn unreadable_set(reason: &str) -> StatusContent {
    let message = format!("it cannot be read: {reason}");
    let conditions = vec![
        Condition::fails("Accepted", "ListenersNotValid", message.clone()),
        Condition::fails("Programmed", "ListenersNotValid", message),
    ];
    StatusContent::ListenerSet { conditions, listeners: Vec::new() }
}

/// A route for one of its parents.
pub(super) fn route(
    reference: &Arc<ParentReference>,
    controller: &Arc<str>,
    refused: Option<&Fault>,
    unresolved: Option<&Fault>,
    partially: Option<&Fault>,
) -> ParentStatus {
    let mut conditions = vec![
        match refused {
            Some(fault) => Condition::fails("Accepted", fault.reason, fault.message.clone()),
            None => Condition::holds("Accepted", "Accepted", "the route is attached"),
        },
        match unresolved {
            Some(fault) => Condition::fails("ResolvedRefs", fault.reason, fault.message.clone()),
            None => Condition::holds("ResolvedRefs", "ResolvedRefs", "everything that it refers to is there"),
        },
    ];
    if let Some(fault) = partially {
        conditions.push(Condition::holds("PartiallyInvalid", fault.reason, fault.message.clone()));
    }
    ParentStatus { parent: Arc::clone(reference), controller: Arc::clone(controller), conditions }
}

/// A policy for one Gateway whose routes need it.
pub(super) fn policy(
    gateway: &ObjectName,
    controller: &Arc<str>,
    refused: Option<&Fault>,
    unresolved: Option<&Fault>,
) -> ParentStatus {
    let parent = ParentReference {
        group: Some(GROUP.to_owned()),
        kind: Some("Gateway".to_owned()),
        namespace: Some(gateway.namespace.to_string()),
        name: gateway.name.to_string(),
        section_name: None,
        port: None,
    };
    let accepted = match refused {
        Some(fault) => Condition::fails("Accepted", fault.reason, fault.message.clone()),
        None => Condition::holds("Accepted", "Accepted", "the policy is in force"),
    };
    let resolved = match unresolved {
        Some(fault) => Condition::fails("ResolvedRefs", fault.reason, fault.message.clone()),
        None => Condition::holds("ResolvedRefs", "ResolvedRefs", "everything that it refers to is there"),
    };
    let controller = Arc::clone(controller);
    ParentStatus { parent: Arc::new(parent), controller, conditions: vec![accepted, resolved] }
}

/// Whether something with these listeners is accepted: not if none of them is `valid`.
fn accepted(listeners: &[&Listener], valid: fn(&Listener) -> bool, refused: Option<&Refused>) -> Condition {
    match refused {
        Some(Refused::Parameters(message)) => {
            return Condition::fails("Accepted", "InvalidParameters", message.clone());
        }
        Some(Refused::Address(message)) => {
            return Condition::fails("Accepted", "UnsupportedAddress", message.clone());
        }
        None => {}
    }
    let bad: Vec<String> =
        listeners.iter().filter(|it| !valid(it)).map(|it| format!("`{}`", it.name)).collect();
    if bad.is_empty() {
        return Condition::holds("Accepted", "Accepted", "it is accepted");
    }
    let message = format!("listeners that are not valid: {}", bad.join(", "));
    if bad.len() == listeners.len() {
        Condition::fails("Accepted", "ListenersNotValid", message)
    } else {
        Condition::holds("Accepted", "ListenersNotValid", message)
    }
}

/// What keeps clients from reaching a Gateway.
fn lacking(supply: Option<&Supply>) -> Option<Fault> {
    let Some(supply) = supply else {
        return Some(Fault::new("Pending", "its proxies are not there yet"));
    };
    supply.lacking.as_ref().map(|lacking| match lacking {
        Lacking::Address(message) => Fault::new("AddressNotAssigned", message.as_str()),
        Lacking::UsableAddress(message) => Fault::new("AddressNotUsable", message.as_str()),
        Lacking::Resources(message) => Fault::new("NoResources", message.as_str()),
        Lacking::Pending(message) => Fault::new("Pending", message.as_str()),
    })
}

/// In the order of the spec.
fn listeners(
    listeners: &[&Listener],
    specs: &[ListenerSpec],
    lacking: Option<&Fault>,
    counts: &Counts,
) -> Vec<ListenerStatus> {
    let of = |spec: &ListenerSpec| {
        let listener = listeners.iter().find(|it| it.name == spec.name)?;
        Some(ListenerStatus {
            name: listener.name.clone(),
            supported_kinds: listener.kinds.clone(),
            attached_routes: counts.get(&*listener.id()).copied().unwrap_or_default(),
            conditions: listener.conditions(lacking),
        })
    };
    specs.iter().filter_map(of).collect()
}
