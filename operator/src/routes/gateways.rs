//! The proxies of Gateways: made by the holder of the lease, and told to the compiler, which tells the Gateways.
//!
//! | to change … | look in |
//! |---|---|
//! | what the objects are, and what is said of them | the crate `operator-gateways` |
//! | when they are made again | `keep.rs` |
//! | how they are written and taken away | `apply.rs` |

mod apply;
mod keep;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kube::Client;
use operator_gateways::{Installation, Names, Outcome, SeenService, supply, supply_of_member};
use operator_routes::{
    ObjectChange, ObjectName, Scope,
    gateway::{Demand, Presence, Supply},
};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::keep::{Farewell, Keeper};
use super::Input;

/// All proxies that Gateways of ours ask for, each their own or those of their class, and what there is of them.
pub(super) struct Gateways {
    client: Client,
    installation: Arc<Installation>,
    /// Of the classes whose Gateways are ours.
    controllers: Arc<[String]>,
    inputs: mpsc::Sender<Input>,
    shutdown: CancellationToken,
    asked: BTreeMap<Scope, Asked>,
    /// Those that have our labels.
    services: BTreeMap<ObjectName, SeenService>,
    /// Those that have them.
    deployments: BTreeMap<ObjectName, SeenDeployment>,
    /// The scope of the proxies behind each Service.
    scopes: BTreeMap<ObjectName, Scope>,
    /// Proxies that are being taken away.
    leaving: BTreeMap<Scope, DropGuard>,
    told: Told,
    /// This process makes what is missing.
    acts: bool,
}

/// A Deployment that was made for Gateways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SeenDeployment {
    /// `metadata.generation`.
    pub(super) generation: i64,
    /// Whose it is.
    pub(super) owner: Option<Owner>,
}

/// The Gateway or class that proxies belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) scope: Scope,
    pub(super) uid: Arc<str>,
}

/// Proxies that are asked for.
struct Asked {
    demand: Arc<Demand>,
    names: Names,
    outcome: Outcome,
    keeper: Option<Keeper>,
}

/// What the compiler knows.
#[derive(Default)]
struct Told {
    supplies: BTreeMap<ObjectName, Supply>,
    proxies: BTreeMap<Scope, Presence>,
}

impl Gateways {
    pub(super) fn new(
        client: Client,
        installation: Installation,
        controllers: Vec<String>,
        inputs: mpsc::Sender<Input>,
        shutdown: &CancellationToken,
    ) -> Self {
        Self {
            client,
            installation: Arc::new(installation),
            controllers: controllers.into(),
            inputs,
            shutdown: shutdown.clone(),
            asked: BTreeMap::new(),
            services: BTreeMap::new(),
            deployments: BTreeMap::new(),
            scopes: BTreeMap::new(),
            leaving: BTreeMap::new(),
            told: Told::default(),
            acts: false,
        }
    }

    /// Whether there is nothing to tell, nor was.
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty()
            && self.deployments.is_empty()
            && self.told.supplies.is_empty()
            && self.told.proxies.is_empty()
    }

    /// This is asked of proxies now; `None`: nobody asks for them any more. Says whether their Services are other ones.
    pub(super) fn demand(&mut self, scope: &Scope, demand: Option<Arc<Demand>>) -> bool {
        let before = self.asked.get(scope).map(|it| it.services().collect::<Vec<_>>()).unwrap_or_default();
        match (demand, self.asked.remove(scope)) {
            (None, None) => return false,
            (None, Some(gone)) => {
                if self.acts {
                    self.leave(scope, gone.names, Arc::clone(&gone.demand.uid));
                }
            }
            (Some(demand), known) => {
                let Some(names) = Names::of_scope(scope, &demand.class) else { return false };
                self.leaving.remove(scope);
                let asked = match known {
                    Some(known) => Asked { demand, names, ..known },
                    None => Asked { demand, names, outcome: Outcome::Unknown, keeper: None },
                };
                self.asked.insert(scope.clone(), asked);
                self.keep(scope);
            }
        }
        let now = self.asked.get(scope).map(|it| it.services().collect::<Vec<_>>()).unwrap_or_default();
        for service in &before {
            self.scopes.remove(service);
        }
        self.scopes.extend(now.iter().map(|service| (service.clone(), scope.clone())));
        before != now
    }

    /// A Service with one of our labels is like this now, or is gone.
    pub(super) fn service(&mut self, name: ObjectName, seen: Option<SeenService>) {
        match seen {
            Some(seen) => drop(self.services.insert(name, seen)),
            None => {
                if self.services.remove(&name).is_some() {
                    self.look_again(&name);
                }
            }
        }
    }

    /// A Deployment with our labels is like this now, or is gone.
    pub(super) fn deployment(&mut self, name: &ObjectName, seen: Option<SeenDeployment>) {
        let generation = seen.as_ref().map(|it| it.generation);
        let before = match seen {
            Some(seen) => self.deployments.insert(name.clone(), seen),
            None => self.deployments.remove(name),
        };
        // How many of its pods are ready is no news here.
        if before.is_some_and(|before| Some(before.generation) != generation) {
            self.look_again(name);
        }
    }

    /// An object of this name was changed or deleted, perhaps by ourselves.
    fn look_again(&self, object: &ObjectName) {
        let Some(scope) = self.scopes.get(object) else { return };
        if let Some(keeper) = self.asked.get(scope).and_then(|it| it.keeper.as_ref()) {
            keeper.look_again();
        }
    }

    /// What became of making proxies.
    pub(super) fn outcome(&mut self, scope: &Scope, outcome: Outcome) {
        if let Some(asked) = self.asked.get_mut(scope) {
            asked.outcome = outcome;
        }
    }

    /// From now on this process makes what is missing, or does not.
    pub(super) fn set_acting(&mut self, acts: bool) {
        self.acts = acts;
        self.leaving.clear();
        let scopes: Vec<Scope> = self.asked.keys().cloned().collect();
        for scope in scopes {
            if acts {
                self.keep(&scope);
            } else if let Some(asked) = self.asked.get_mut(&scope) {
                (asked.keeper, asked.outcome) = (None, Outcome::Unknown);
            }
        }
    }

    /// Takes away what nobody asks for: what the last process did not come to.
    pub(super) fn clear_away(&mut self) {
        if !self.acts {
            return;
        }
        let left: Vec<(Scope, Names, Arc<str>)> = self
            .deployments
            .iter()
            .filter_map(|(name, seen)| {
                let Owner { scope, uid } = seen.owner.as_ref()?;
                let is_left = !self.asked.contains_key(scope) && !self.leaving.contains_key(scope);
                let class = match scope {
                    Scope::Fleet => return None,
                    // Of a Gateway that is not ours any more it is asked first: see `leave`.
                    Scope::Gateway(gateway) => self.class_of_member(gateway)?,
                    Scope::Class(class) => Arc::clone(&class.name),
                };
                let names = Names::of_scope(scope, &class).filter(|names| is_left && names.base == *name)?;
                Some((scope.clone(), names, Arc::clone(uid)))
            })
            .collect();
        for (scope, names, uid) in left {
            self.leave(&scope, names, uid);
        }
    }

    /// What the compiler does not know yet. `ready`: how many proxies of a scope are.
    pub(super) fn news(&mut self, ready: impl Fn(&Scope) -> usize) -> Vec<ObjectChange> {
        let now = self.seen(ready);
        let before = std::mem::replace(&mut self.told, now);
        let Told { supplies, proxies } = &self.told;
        let supply = |name: &ObjectName| {
            let now = supplies.get(name);
            (now != before.supplies.get(name)).then(|| ObjectChange::Supply(name.clone(), now.cloned()))
        };
        let presence = |scope: &Scope| {
            let now = proxies.get(scope).copied();
            (now != before.proxies.get(scope).copied()).then(|| ObjectChange::Proxies(scope.clone(), now))
        };
        let names: BTreeSet<&ObjectName> = supplies.keys().chain(before.supplies.keys()).collect();
        let scopes: BTreeSet<&Scope> = proxies.keys().chain(before.proxies.keys()).collect();
        let supplies = names.into_iter().filter_map(supply);
        supplies.chain(scopes.into_iter().filter_map(presence)).collect()
    }

    /// What there is of all proxies.
    fn seen(&self, ready: impl Fn(&Scope) -> usize) -> Told {
        let mut told = Told::default();
        let owners = self.deployments.values().filter_map(|it| it.owner.as_ref());
        told.proxies.extend(owners.map(|owner| (owner.scope.clone(), Presence::Made)));
        for (scope, asked) in &self.asked {
            let Asked { demand, outcome, .. } = asked;
            let seen: Vec<SeenService> =
                asked.services().filter_map(|service| self.services.get(&service)).cloned().collect();
            let ready = ready(scope);
            let all = supply(demand, &seen, ready, outcome);
            if all.refused.is_none() && all.lacking.is_none() && told.proxies.contains_key(scope) {
                told.proxies.insert(scope.clone(), Presence::Reached);
            }
            // Classes come last: what serves a Gateway counts, not what is to.
            match scope {
                Scope::Fleet => {}
                Scope::Gateway(name) => drop(told.supplies.insert(name.clone(), all)),
                Scope::Class(_) => {
                    for (name, asked) in &demand.members {
                        let mut supply = supply_of_member(demand, asked, &seen, ready, outcome);
                        // One that is to have proxies of its own learns why they cannot be made.
                        let own = told.supplies.remove(name);
                        supply.refused = supply.refused.or_else(|| own.and_then(|own| own.refused));
                        told.supplies.insert(name.clone(), supply);
                    }
                }
            }
        }
        told
    }

    /// The scope of the proxies behind a Service, if it is one of ours.
    pub(super) fn scope_of(&self, service: &ObjectName) -> Option<&Scope> {
        self.scopes.get(service)
    }

    /// The class whose proxies serve a Gateway.
    fn class_of_member(&self, gateway: &ObjectName) -> Option<Arc<str>> {
        let mut all = self.asked.values().map(|it| &it.demand);
        all.find(|demand| demand.members.contains_key(gateway)).map(|demand| Arc::clone(&demand.class))
    }

    /// Takes proxies away that nobody asks for any more.
    fn leave(&mut self, scope: &Scope, names: Names, uid: Arc<str>) {
        let farewell = match scope {
            Scope::Gateway(gateway) if self.class_of_member(gateway).is_none() => {
                Farewell::IfForeign { gateway: gateway.clone(), controllers: Arc::clone(&self.controllers) }
            }
            Scope::Gateway(_) | Scope::Class(_) | Scope::Fleet => Farewell::Now,
        };
        let guard = keep::withdraw(&self.client, farewell, names, uid, &self.shutdown);
        self.leaving.insert(scope.clone(), guard);
    }

    fn keep(&mut self, scope: &Scope) {
        if !self.acts {
            return;
        }
        let Some(asked) = self.asked.get_mut(scope) else { return };
        let demand = Arc::clone(&asked.demand);
        if let Some(keeper) = &asked.keeper {
            keeper.demand(demand);
        } else {
            let (client, installation) = (self.client.clone(), Arc::clone(&self.installation));
            let inputs = self.inputs.clone();
            asked.keeper =
                Some(Keeper::start(client, installation, scope.clone(), demand, inputs, &self.shutdown));
        }
    }
}

impl Asked {
    /// The Services, one for each address that is asked for.
    fn services(&self) -> impl Iterator<Item = ObjectName> {
        (0..self.demand.addresses.len().max(1)).map(|place| self.names.service(place))
    }
}
