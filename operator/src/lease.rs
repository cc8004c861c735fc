//! Leases: who may act. [`decide`] is pure; [`keep`] renews, takes and releases one lease and tells the rest of the
//! process through a channel. Whoever acts asks [`Tenure::holds`] before each effect.

mod decide;
mod keep;
mod locate;

pub use self::{
    decide::{Decision, Seen, Terms, decide},
    keep::{ADDRESS_ANNOTATION, Claim, keep},
    locate::{ROLLOUT_LEASE, locate, rollout_lease_name},
};

use tokio::time::Instant;

/// The name of the lease whose holder compiles routes and serves the proxies.
pub const ROUTE_LEASE: &str = "sluice-routes";

/// What this process knows of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tenure {
    /// Nobody is known to hold it: at the start, while the API server is out of reach, or after its release.
    Unknown,
    /// This process holds it.
    Held {
        /// Orders this tenure among all others of the lease.
        epoch: Epoch,
        /// When this process stops acting unless it has renewed the lease before.
        until: Instant,
    },
    /// Another process holds it.
    Foreign {
        /// Its identity as it stands in the lease.
        holder: String,
        /// Where it can be reached, if it says so.
        address: Option<String>,
    },
}

/// Orders the tenures of one lease: a later one is greater. Deleting the lease keeps the order, because the next one
/// is created later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch {
    /// Creation of the lease, in seconds since 1970.
    pub created: i64,
    /// How often the lease has changed hands.
    pub transitions: i32,
}

impl Tenure {
    /// Whether this process may act at `now`.
    #[must_use]
    pub fn holds(&self, now: Instant) -> bool {
        self.until(now).is_some()
    }

    /// Until when this process may act without another renewal; `None` if it may not act at `now`.
    #[must_use]
    pub fn until(&self, now: Instant) -> Option<Instant> {
        match self {
            Self::Held { until, .. } => Some(*until).filter(|until| now < *until),
            Self::Unknown | Self::Foreign { .. } => None,
        }
    }
}
