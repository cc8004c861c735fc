//! The proxies of each Gateway: made by the holder of the lease, and told to the compiler, which tells the Gateway.
//!
//! | to change … | look in |
//! |---|---|
//! | what the objects are, and what is said of them | the crate `operator-gateways` |
//! | when they are made again | `keep.rs` |
//! | how they are written and taken away | `apply.rs` |

mod apply;
mod keep;

use std::{collections::BTreeMap, sync::Arc};

use kube::Client;
use operator_gateways::{Installation, Names, Outcome, SeenService, supply};
use operator_routes::{
    ObjectName, Scope,
    gateway::{Demand, Supply},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::keep::Keeper;
use super::Input;

/// All Gateways of ours, and what there is of their proxies.
#[expect(clippy::struct_field_names, reason = "beside the Services and Deployments")]
pub(super) struct Gateways {
    client: Client,
    installation: Arc<Installation>,
    /// Of the classes whose Gateways are ours.
    controllers: Arc<[String]>,
    inputs: mpsc::Sender<Input>,
    shutdown: CancellationToken,
    gateways: BTreeMap<ObjectName, Gateway>,
    /// Those that have our labels.
    services: BTreeMap<ObjectName, SeenService>,
    /// The generations of Deployments that have them.
    deployments: BTreeMap<ObjectName, i64>,
    /// The scope of the proxies behind each Service.
    scopes: BTreeMap<ObjectName, Scope>,
    /// This process makes what is missing.
    acts: bool,
}

struct Gateway {
    demand: Arc<Demand>,
    names: Names,
    outcome: Outcome,
    /// What the compiler knows.
    told: Option<Supply>,
    keeper: Option<Keeper>,
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
            gateways: BTreeMap::new(),
            services: BTreeMap::new(),
            deployments: BTreeMap::new(),
            scopes: BTreeMap::new(),
            acts: false,
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.gateways.is_empty()
    }

    /// A Gateway asks for this now, or is gone or not ours any more. Says whether the Services of its proxies are other
    /// ones.
    pub(super) fn demand(&mut self, name: &ObjectName, demand: Option<Arc<Demand>>) -> bool {
        let before = self.gateways.get(name).map(|it| it.services().collect::<Vec<_>>()).unwrap_or_default();
        match (demand, self.gateways.remove(name)) {
            (None, None) => return false,
            (None, Some(gone)) => {
                if self.acts {
                    let controllers = Arc::clone(&self.controllers);
                    keep::withdraw(&self.client, controllers, name, &gone.demand, &self.shutdown);
                }
            }
            (Some(demand), known) => {
                let names = Names::of(name, &demand.class);
                let gateway = match known {
                    Some(known) => Gateway { demand, names, ..known },
                    None => Gateway { demand, names, outcome: Outcome::Unknown, told: None, keeper: None },
                };
                self.gateways.insert(name.clone(), gateway);
                self.keep(name);
            }
        }
        let now = self.gateways.get(name).map(|it| it.services().collect::<Vec<_>>()).unwrap_or_default();
        for service in &before {
            self.scopes.remove(service);
        }
        let scope = Scope::Gateway(name.clone());
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

    /// A Deployment with our labels is of this generation now, or is gone.
    pub(super) fn deployment(&mut self, name: &ObjectName, generation: Option<i64>) {
        let before = match generation {
            Some(generation) => self.deployments.insert(name.clone(), generation),
            None => self.deployments.remove(name),
        };
        // How many of its pods are ready is no news here.
        if before.is_some() && before != generation {
            self.look_again(name);
        }
    }

    /// An object of this name was changed or deleted, perhaps by ourselves.
    fn look_again(&self, object: &ObjectName) {
        let Some(Scope::Gateway(gateway)) = self.scopes.get(object) else { return };
        if let Some(keeper) = self.gateways.get(gateway).and_then(|it| it.keeper.as_ref()) {
            keeper.look_again();
        }
    }

    /// What became of making the proxies of a Gateway.
    pub(super) fn outcome(&mut self, name: &ObjectName, outcome: Outcome) {
        if let Some(gateway) = self.gateways.get_mut(name) {
            gateway.outcome = outcome;
        }
    }

    /// From now on this process makes what is missing, or does not.
    pub(super) fn set_acting(&mut self, acts: bool) {
        self.acts = acts;
        let names: Vec<ObjectName> = self.gateways.keys().cloned().collect();
        for name in names {
            if acts {
                self.keep(&name);
            } else if let Some(gateway) = self.gateways.get_mut(&name) {
                (gateway.keeper, gateway.outcome) = (None, Outcome::Unknown);
            }
        }
    }

    /// What the compiler does not know yet. `ready`: how many proxies of a scope are.
    pub(super) fn news(&mut self, ready: impl Fn(&Scope) -> usize) -> Vec<(ObjectName, Supply)> {
        let mut news = Vec::new();
        for (name, gateway) in &mut self.gateways {
            let seen: Vec<SeenService> =
                gateway.services().filter_map(|service| self.services.get(&service)).cloned().collect();
            let ready = ready(&Scope::Gateway(name.clone()));
            let supply = supply(&gateway.demand, &seen, ready, &gateway.outcome);
            if gateway.told.as_ref() != Some(&supply) {
                gateway.told = Some(supply.clone());
                news.push((name.clone(), supply));
            }
        }
        news
    }

    /// The scope of the proxies behind a Service, if it is one of ours.
    pub(super) fn scope_of(&self, service: &ObjectName) -> Option<&Scope> {
        self.scopes.get(service)
    }

    fn keep(&mut self, name: &ObjectName) {
        if !self.acts {
            return;
        }
        let Some(gateway) = self.gateways.get_mut(name) else { return };
        let demand = Arc::clone(&gateway.demand);
        if let Some(keeper) = &gateway.keeper {
            keeper.demand(demand);
        } else {
            let (client, installation) = (self.client.clone(), Arc::clone(&self.installation));
            let inputs = self.inputs.clone();
            gateway.keeper =
                Some(Keeper::start(client, installation, name.clone(), demand, inputs, &self.shutdown));
        }
    }
}

impl Gateway {
    /// Its Services, one for each address that is asked for.
    fn services(&self) -> impl Iterator<Item = ObjectName> {
        (0..self.demand.addresses.len().max(1)).map(|place| self.names.service(place))
    }
}
