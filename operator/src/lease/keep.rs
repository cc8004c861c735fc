//! The loop that takes, renews and releases one lease.

use std::collections::BTreeSet;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{Api, ResourceExt, api::PostParams};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{Decision, Epoch, Seen, Tenure, Terms, decide};
use crate::{clock, errors::chain};

/// The annotation with the `host:port` at which a lease's holder serves.
pub const ADDRESS_ANNOTATION: &str = "sluice.dev/address";

/// Which lease is wanted, by whom.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a Client has no Debug")]
pub struct Claim {
    /// The leases of the namespace where it lies.
    pub leases: Api<Lease>,
    /// Its name.
    pub name: String,
    /// Who wants it: unique among all processes, and the same for restarted containers of one pod.
    pub identity: String,
    /// Where this process serves, for others that look for the holder.
    pub address: Option<String>,
    /// Its times.
    pub terms: Terms,
}

/// Takes the lease when it is free, renews it, and tells `tenure`. When `release` is cancelled the lease is given
/// back, so that the next holder need not wait for its end, and the function returns.
///
/// An API server out of reach, or one that refuses, is no end: the tenure lapses by itself at its `until`, the loop
/// goes on, and each error is logged once until a turn succeeds.
pub async fn keep(claim: Claim, tenure: watch::Sender<Tenure>, release: CancellationToken) {
    let mut keeper = Keeper { claim, tenure, seen: None, mine: None, said: BTreeSet::new() };
    let mut ticks = tokio::time::interval(keeper.claim.terms.retry_period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while release.run_until_cancelled(ticks.tick()).await.is_some() {
        let deadline = keeper.claim.terms.renew_deadline;
        match tokio::time::timeout(deadline, keeper.turn()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => keeper.failed(&chain(&error)),
            Err(_) => keeper.failed("the API server did not answer in time"),
        }
    }
    keeper.give_back().await;
}

struct Keeper {
    claim: Claim,
    tenure: watch::Sender<Tenure>,
    /// The lease as last read or written.
    seen: Option<Seen>,
    /// The tenure of this process: its epoch.
    mine: Option<Epoch>,
    /// What was wrong since the last turn that succeeded, to say each thing once.
    said: BTreeSet<String>,
}

impl Keeper {
    /// Looks at the lease and does what is to be done about it.
    async fn turn(&mut self) -> kube::Result<()> {
        let asked = Instant::now();
        if self.mine.is_none() || self.seen.is_none() {
            let read = self.claim.leases.get_opt(&self.claim.name).await?;
            self.saw(read, asked);
        }
        let identity = &self.claim.identity;
        let wanted = match decide(self.seen.as_ref(), identity, self.mine.is_some(), &self.claim.terms, asked)
        {
            Decision::Wait { holder, .. } => {
                self.stand_by(&holder);
                self.said.clear();
                return Ok(());
            }
            Decision::Create => self.taken(&Lease::default()),
            Decision::Renew => self.renewed(),
            Decision::Take { from } => {
                debug!(lease = self.claim.name, from, "taking the lease");
                let current = self.seen.as_ref().map(|it| it.lease.clone()).unwrap_or_default();
                self.taken(&current)
            }
        };
        self.write(&wanted, asked).await
    }

    /// Writes the lease under the resourceVersion it was read at, so that of two takers one fails.
    async fn write(&mut self, wanted: &Lease, asked: Instant) -> kube::Result<()> {
        let params = PostParams::default();
        let written = if wanted.metadata.resource_version.is_some() {
            self.claim.leases.replace(&self.claim.name, &params, wanted).await
        } else {
            self.claim.leases.create(&params, wanted).await
        };
        match written {
            Ok(lease) => {
                let epoch = epoch(&lease);
                if self.mine != Some(epoch) {
                    let from = self.holder();
                    info!(
                        lease = self.claim.name,
                        transitions = epoch.transitions,
                        from,
                        "holding the lease"
                    );
                }
                self.mine = Some(epoch);
                self.seen = Some(Seen { lease, since: asked });
                // Counted from before the request: the API server may have stored it then.
                let until = asked + self.claim.terms.renew_deadline;
                self.tenure.send_replace(Tenure::Held { epoch, until });
                self.said.clear();
                Ok(())
            }
            // Of two takers one is late, which is nothing to warn of: it reads the lease afresh in its next turn.
            Err(kube::Error::Api(status)) if status.code == 409 => {
                debug!(lease = self.claim.name, "the lease has changed in between");
                self.seen = None;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Who held the lease when it was last read; empty if nobody did.
    fn holder(&self) -> &str {
        let spec = self.seen.as_ref().and_then(|it| it.lease.spec.as_ref());
        spec.and_then(|it| it.holder_identity.as_deref()).unwrap_or_default()
    }

    fn saw(&mut self, lease: Option<Lease>, now: Instant) {
        self.seen = match (self.seen.take(), lease) {
            (_, None) => None,
            (Some(old), Some(new)) if old.lease.spec == new.spec => {
                Some(Seen { lease: new, since: old.since })
            }
            (_, Some(new)) => Some(Seen { lease: new, since: now }),
        };
    }

    fn stand_by(&mut self, holder: &str) {
        let address = self
            .seen
            .as_ref()
            .and_then(|it| it.lease.annotations().get(ADDRESS_ANNOTATION).cloned())
            .filter(|it| !it.is_empty());
        let foreign = Tenure::Foreign { holder: holder.to_owned(), address };
        self.mine = None;
        self.tenure.send_if_modified(|current| {
            let changed = *current != foreign;
            if changed {
                info!(lease = self.claim.name, holder, "another process holds the lease; not acting");
                current.clone_from(&foreign);
            }
            changed
        });
    }

    /// A turn failed. What this process holds lapses at its own time; until then it goes on.
    fn failed(&mut self, error: &str) {
        if self.said.insert(error.to_owned()) {
            warn!(lease = self.claim.name, error, "failed to take or renew the lease; trying again");
        }
        let now = Instant::now();
        self.tenure.send_if_modified(|current| {
            let lapsed = matches!(current, Tenure::Held { until, .. } if *until <= now);
            if lapsed {
                warn!(lease = self.claim.name, "the lease could not be renewed in time; not acting");
                *current = Tenure::Unknown;
            }
            lapsed
        });
        // The write may have arrived although its answer did not: read it afresh.
        self.seen = None;
    }

    fn taken(&self, current: &Lease) -> Lease {
        let mut lease = current.clone();
        let spec = lease.spec.get_or_insert_default();
        let stamp = micro_time();
        spec.acquire_time = Some(stamp.clone());
        spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |it| it.saturating_add(1)));
        self.sign(&mut lease, stamp);
        lease
    }

    fn renewed(&self) -> Lease {
        let mut lease = self.seen.as_ref().map(|it| it.lease.clone()).unwrap_or_default();
        self.sign(&mut lease, micro_time());
        lease
    }

    fn sign(&self, lease: &mut Lease, stamp: MicroTime) {
        lease.metadata.name = Some(self.claim.name.clone());
        lease.metadata.managed_fields = None;
        if let Some(address) = &self.claim.address {
            lease.annotations_mut().insert(ADDRESS_ANNOTATION.to_owned(), address.clone());
        } else {
            lease.annotations_mut().remove(ADDRESS_ANNOTATION);
        }
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(self.claim.identity.clone());
        spec.lease_duration_seconds =
            Some(i32::try_from(self.claim.terms.duration.as_secs().max(1)).unwrap_or(i32::MAX));
        spec.renew_time = Some(stamp);
    }

    /// Gives the lease back as client-go does: no holder, one second.
    async fn give_back(mut self) {
        self.tenure.send_replace(Tenure::Unknown);
        let (Some(_), Some(seen)) = (self.mine.take(), self.seen.take()) else { return };
        let mut lease = seen.lease;
        lease.metadata.managed_fields = None;
        lease.annotations_mut().remove(ADDRESS_ANNOTATION);
        let transitions = lease.spec.as_ref().and_then(|it| it.lease_transitions);
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            lease_transitions: transitions,
            renew_time: Some(micro_time()),
            acquire_time: Some(micro_time()),
            ..LeaseSpec::default()
        });
        let params = PostParams::default();
        let written = self.claim.leases.replace(&self.claim.name, &params, &lease);
        match tokio::time::timeout(self.claim.terms.retry_period, written).await {
            Ok(Ok(_)) => info!(lease = self.claim.name, "released the lease"),
            Ok(Err(error)) => {
                warn!(lease = self.claim.name, error = chain(&error), "failed to release the lease");
            }
            Err(_) => warn!(lease = self.claim.name, "failed to release the lease in time"),
        }
    }
}

fn epoch(lease: &Lease) -> Epoch {
    Epoch {
        created: lease.metadata.creation_timestamp.as_ref().map_or(0, |it| it.0.as_second()),
        transitions: lease.spec.as_ref().and_then(|it| it.lease_transitions).unwrap_or(0),
    }
}

/// The wall clock, in the microseconds that a lease is written in.
fn micro_time() -> MicroTime {
    let micros = clock::now().timestamp_micros();
    MicroTime(Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests;
