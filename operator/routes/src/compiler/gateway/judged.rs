//! What is said of Gateways, `ListenerSets`, classes and policies: from what it is decided, and when there is nothing to say.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use crds::gateway::{GatewayKind, listener::ListenerSpec};

use super::{
    super::{Compiler, Pending, uses::User, wants::Wanter},
    objects, policies, verdicts,
    verdicts::Counts,
};
use crate::{
    gateway::{
        Condition, GatewayObjectName, GatewayStatus, Supply, demand::Refused, listener::Fault,
        status::StatusContent,
    },
    object::ObjectName,
    scope::Scope,
};

/// The API has room for so many in the status of a policy.
const ANCESTORS: usize = 16;

impl Compiler {
    pub(super) fn judge_gateway(&self, name: &ObjectName, pending: &mut Pending) {
        let id = GatewayObjectName { kind: GatewayKind::Gateway, name: name.clone() };
        let read = self.stores.gateway.gateways.get(name);
        let read = read.and_then(|read| Some((read, read.spec.as_ref().ok()?)));
        let Some((served, (read, spec))) = self.gateways.served.get(name).zip(read) else {
            pending.gateway_statuses.insert(id, None);
            return;
        };
        let supply = self.supply(name);
        let content = verdicts::gateway(served, &spec.listeners, supply.as_deref(), &self.counts(name));
        let status = GatewayStatus { generation: read.generation, content };
        pending.gateway_statuses.insert(id, Some(Arc::new(status)));
    }

    /// What there is of a Gateway's proxies. Parameters of its own mean nothing for those that it shares.
    fn supply(&self, name: &ObjectName) -> Option<Cow<'_, Supply>> {
        let supply = self.stores.gateway.supplies.get(name)?;
        let place = &self.gateways.served.get(name)?.place;
        let shared = matches!(place.home, Scope::Class(_)) && place.next.is_none();
        let spec = self.stores.gateway.gateways.get(name)?.spec.as_ref().ok()?;
        let infrastructure = spec.infrastructure.as_ref().filter(|_| shared && supply.refused.is_none());
        let Some(reference) = infrastructure.and_then(|it| it.parameters_ref.as_ref()) else {
            return Some(Cow::Borrowed(supply));
        };
        let message = format!(
            "spec.infrastructure.parametersRef names `{}`, but the Gateways of class `{}` share their proxies: parameters \
             are those of the class",
            reference.name, spec.gateway_class_name
        );
        Some(Cow::Owned(Supply { refused: Some(Refused::Parameters(message)), ..supply.clone() }))
    }

    pub(super) fn judge_listener_set(&self, name: &ObjectName, pending: &mut Pending) {
        let id = GatewayObjectName { kind: GatewayKind::ListenerSet, name: name.clone() };
        let set = self.stores.gateway.sets.get(name);
        let gateway = set.and_then(|set| objects::gateway_of(name, set));
        let served = gateway.as_ref().and_then(|gateway| self.gateways.served.get(gateway));
        let status = set.zip(gateway.as_ref()).zip(served).map(|((set, gateway), served)| {
            let supply = self.supply(gateway);
            let supply = supply.as_deref();
            let specs: &[ListenerSpec] = set.spec.as_ref().map_or(&[], |spec| &spec.listeners);
            let content = match &set.spec {
                Err(reason) => verdicts::unreadable_set(reason),
                Ok(_) => verdicts::listener_set(served, name, specs, supply, &self.counts(gateway)),
            };
            Arc::new(GatewayStatus { generation: set.generation, content })
        });
        pending.gateway_statuses.insert(id, status);
    }

    pub(super) fn judge_class(&self, name: &Arc<str>, pending: &mut Pending) {
        let class = self.stores.gateway.classes.get(name);
        let ours = class.filter(|class| {
            class
                .spec
                .as_ref()
                .is_ok_and(|it| self.settings.gateway_controllers.contains(&it.controller_name))
        });
        let status = ours.map(|class| {
            let conditions = vec![Condition::holds("Accepted", "Accepted", "its Gateways are served")];
            let used = self.stores.gateway.of_class.contains_key(name);
            let content = StatusContent::Class { conditions, features: crate::gateway::FEATURES, used };
            Arc::new(GatewayStatus { generation: class.generation, content })
        });
        let id = GatewayObjectName {
            kind: GatewayKind::GatewayClass,
            name: ObjectName::new("", Arc::clone(name)),
        };
        pending.gateway_statuses.insert(id, status);
    }

    pub(super) fn judge_policy(&mut self, name: &ObjectName, pending: &mut Pending) {
        let policies = &self.stores.gateway.policies;
        let mut gateways: BTreeSet<&ObjectName> = BTreeSet::new();
        for service in policies.services(name) {
            let keys = self.service_backends.get(&service).into_iter().flatten();
            let users = keys.filter_map(|key| self.backends.get(key)).flat_map(|used| used.users());
            gateways.extend(users.filter_map(|user| match user {
                User::Group(_) | User::Place(_) | User::Connections(_) => None,
                User::Route(contributor) => Some(&contributor.gateway),
            }));
        }
        let read = policies.get(name).filter(|_| !gateways.is_empty());
        let spec = read.and_then(|read| read.spec.as_ref().ok());
        let wanted = spec.map(|spec| policies::wanted(name, spec)).unwrap_or_default();
        let status = read.map(|read| {
            let rival = policies.rival(name).map(|rival| {
                Fault::new("Conflicted", format!("BackendTLSPolicy `{rival}` is for the same and counts"))
            });
            let (refused, unresolved) = match &read.spec {
                Err(reason) => (Some(Fault::new("Invalid", format!("it cannot be read: {reason}"))), None),
                Ok(spec) => {
                    let resolved = policies::resolve(&self.stores, name, &spec.validation);
                    (rival.or_else(|| resolved.trust.err()), resolved.unresolved)
                }
            };
            let of = |gateway: &&ObjectName| {
                let served = self.gateways.served.get(*gateway)?;
                Some(verdicts::policy(gateway, &served.controller, refused.as_ref(), unresolved.as_ref()))
            };
            let ancestors: Vec<_> = gateways.iter().filter_map(of).take(ANCESTORS).collect();
            let content = StatusContent::Policy(ancestors);
            Arc::new(GatewayStatus { generation: read.generation, content })
        });
        let id = GatewayObjectName { kind: GatewayKind::BackendTlsPolicy, name: name.clone() };
        pending.gateway_statuses.insert(id, status);
        self.wants.set(&Wanter::Policy(name.clone()), wanted, pending);
    }

    fn counts(&self, gateway: &ObjectName) -> Counts {
        self.gateways.counts.get(gateway).cloned().unwrap_or_default()
    }
}
