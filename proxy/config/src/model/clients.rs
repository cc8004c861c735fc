//! How much of a route one client may have.

use ipnet::IpNet;

/// How much of a route one client may have; what is above that is answered with 429. A client is an address, of IPv6 its
/// /64: who has one of these has them all. Each proxy counts by itself, over all of its threads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientLimits {
    /// Routes with equal ones count together.
    pub id: String,
    /// How often, at most [`ClientLimits::MOST_RATES`] of them; each must be kept to.
    pub rates: Vec<Rate>,
    /// Requests under way at the same time, to the last byte of the response, from 1; `None`: any number.
    pub at_once: Option<u32>,
    /// Clients that are not counted.
    pub exempt: Vec<IpNet>,
}

impl ClientLimits {
    /// One for a short time and one for a long one.
    pub const MOST_RATES: usize = 2;
}

/// So many requests in such a time, evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate {
    /// How many, from 1.
    pub requests: u32,
    /// In how long a time, in milliseconds, from 1.
    pub per_ms: u32,
    /// How many more may come at once.
    pub burst: u32,
}
