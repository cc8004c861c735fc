//! The leases of this process: of Rollouts and of routes.

use std::time::Duration;

use kube::{Api, Client};
use prometheus::Registry;
use tokio::{sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use super::{Error, Identity};
use crate::{
    arguments::{Arguments, LeaseArguments},
    clock,
    errors::chain,
    lease::{self, Claim, Epoch, ROUTE_LEASE, Tenure, Terms},
    telemetry,
};

/// Looks after leases until [`Leases::release`].
pub(super) struct Leases {
    client: Client,
    registry: Registry,
    identity: Identity,
    terms: Terms,
    elect: bool,
    tasks: TaskTracker,
    release: CancellationToken,
}

impl Leases {
    /// None yet.
    pub(super) fn new(
        arguments: &LeaseArguments,
        client: Client,
        registry: Registry,
        identity: Identity,
    ) -> Result<Self, Error> {
        Ok(Self {
            client,
            registry,
            identity,
            terms: terms(arguments)?,
            elect: arguments.leader_elect,
            tasks: TaskTracker::new(),
            release: CancellationToken::new(),
        })
    }

    /// The lease of Rollouts: Argo's, where Argo has it. `watched` is the only namespace that the operator may see.
    pub(super) fn of_rollouts(
        &self,
        arguments: &Arguments,
        watched: Option<String>,
    ) -> Result<watch::Receiver<Tenure>, Error> {
        let name = lease::rollout_lease_name(&arguments.cluster.instance_id);
        let known = match (&arguments.leases.argo_namespace, watched) {
            (Some(namespace), _) => Some(namespace.clone()),
            // Without a look into other namespaces there is nothing to look for.
            (None, Some(_)) => Some(self.identity.namespace.clone()),
            (None, None) => None,
        };
        self.look_after(name, known, None)
    }

    /// The lease of routes. `address` is where this process serves proxies.
    pub(super) fn of_routes(&self, address: Option<String>) -> Result<watch::Receiver<Tenure>, Error> {
        self.look_after(ROUTE_LEASE.to_owned(), Some(self.identity.namespace.clone()), address)
    }

    /// Gives all leases back.
    pub(super) async fn release(&self) {
        self.release.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Starts to look after a lease. Without a namespace it is located first.
    fn look_after(
        &self,
        name: String,
        namespace: Option<String>,
        address: Option<String>,
    ) -> Result<watch::Receiver<Tenure>, Error> {
        let (tell, tenure) = watch::channel(Tenure::Unknown);
        telemetry::show_lease(&self.registry, name.clone(), tenure.clone()).map_err(Error::Metrics)?;
        let release = self.release.clone();
        if !self.elect {
            let epoch = Epoch { created: clock::now().timestamp(), transitions: 0 };
            // For ever: a hundred years.
            let until = Instant::now() + Duration::from_hours(100 * 365 * 24);
            tell.send_replace(Tenure::Held { epoch, until });
            // The sender lives until the end: receivers wait for changes.
            self.tasks.spawn(async move {
                release.cancelled().await;
                drop(tell);
            });
            return Ok(tenure);
        }
        let (client, identity, terms) = (self.client.clone(), self.identity.clone(), self.terms);
        self.tasks.spawn(async move {
            let namespace = match namespace {
                Some(namespace) => namespace,
                None => match release.run_until_cancelled(located(&client, &name, &identity.namespace)).await
                {
                    Some(namespace) => namespace,
                    None => return,
                },
            };
            info!(lease = name, namespace, "looking after the lease");
            let leases = Api::namespaced(client, &namespace);
            let claim = Claim { leases, name, identity: identity.name, address, terms };
            lease::keep(claim, tell, release).await;
        });
        Ok(tenure)
    }
}

/// Where the lease of Rollouts is. An API server out of reach is waited for; where a role allows no look into other
/// namespaces, it is our own.
async fn located(client: &Client, name: &str, own: &str) -> String {
    let mut complained = false;
    loop {
        match lease::locate(client, name, own).await {
            Ok(namespace) => return namespace,
            Err(kube::Error::Api(status)) if status.code == 403 => {
                warn!(
                    lease = name,
                    namespace = own,
                    "not allowed to look for Argo's lease in all namespaces; using our own namespace"
                );
                return own.to_owned();
            }
            Err(error) => {
                if !complained {
                    warn!(error = chain(&error), "failed to reach the API server; trying again");
                    complained = true;
                }
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
    }
}

fn terms(arguments: &LeaseArguments) -> Result<Terms, Error> {
    let terms = Terms {
        duration: arguments.leader_election_lease_duration.0,
        renew_deadline: arguments.leader_election_renew_deadline.0,
        retry_period: arguments.leader_election_retry_period.0.max(Duration::from_millis(100)),
    };
    if terms.renew_deadline < terms.duration { Ok(terms) } else { Err(Error::Terms) }
}
