//! How much of a route each client has: how often it has asked of late, and what it has under way.
//!
//! A rate is a bucket that leaks: each request fills it by one, time empties it, and what would overflow is refused and not
//! counted. So whoever keeps to the rate is never refused, and whoever does not gets exactly the rate. The table is bounded:
//! when there are more clients than it holds, those are forgotten that have asked for the least.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use proxy_config::model::{ClientLimits, Rate, UnixMillis};

/// Parts of a table that are locked one by one.
const SHARDS: usize = 16;
/// How many clients each of them remembers, those with something under way aside.
const MOST: usize = 1024;
/// What one request fills of a bucket.
const REQUEST: u64 = 1000;

/// What the clients of some routes have, for as long as one of the routes exists.
#[derive(Debug)]
pub(crate) struct Table {
    shards: [Mutex<HashMap<IpAddr, Client>>; SHARDS],
    hasher: RandomState,
}

/// The limits of a route, ready to be asked.
#[derive(Clone, Debug)]
pub struct Clients {
    limits: Arc<ClientLimits>,
    table: Arc<Table>,
}

/// What one client has.
#[derive(Clone, Copy, Debug, Default)]
struct Client {
    /// How full the bucket of each rate is, in thousandths of a request, as of then.
    filled: [u64; ClientLimits::MOST_RATES],
    then: Option<UnixMillis>,
    /// Requests under way.
    now: u32,
}

/// A request of a client, until it is dropped.
#[derive(Debug)]
#[must_use = "it is over when it is dropped"]
pub struct UnderWay {
    table: Arc<Table>,
    client: IpAddr,
}

/// The client has asked too often, or has as much under way as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client has asked too often, or has as much under way as it may")]
pub struct TooMany;

impl Clients {
    pub(crate) fn new(limits: ClientLimits, table: Arc<Table>) -> Self {
        Self { limits: Arc::new(limits), table }
    }

    /// Takes a request of this client. `None`: nothing has to be given back.
    ///
    /// # Errors
    /// It is one too many, and is not counted.
    pub fn take(&self, client: IpAddr, now: UnixMillis) -> Result<Option<UnderWay>, TooMany> {
        let Some(client) = self.counted(client) else { return Ok(None) };
        let mut shard = self.table.shard(client);
        if shard.len() >= MOST && !shard.contains_key(&client) {
            make_room(&mut shard, &self.limits.rates, now);
        }
        let known = shard.entry(client).or_default();
        *known = known.with(&self.limits, now).ok_or(TooMany)?;
        if self.limits.at_once.is_none() {
            return Ok(None);
        }
        known.now += 1;
        drop(shard);
        Ok(Some(UnderWay { table: Arc::clone(&self.table), client }))
    }

    /// Whether a request of this client would be one too many now. Counts nothing.
    #[must_use]
    pub fn refuses(&self, client: IpAddr, now: UnixMillis) -> bool {
        let Some(client) = self.counted(client) else { return false };
        let known = self.table.shard(client).get(&client).copied().unwrap_or_default();
        known.with(&self.limits, now).is_none()
    }

    /// What a client is counted as; `None`: it is not.
    fn counted(&self, client: IpAddr) -> Option<IpAddr> {
        let client = client.to_canonical();
        if self.limits.exempt.iter().any(|it| it.contains(&client)) {
            return None;
        }
        Some(match client {
            IpAddr::V4(_) => client,
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::from([a, b, c, d, 0, 0, 0, 0]).into()
            }
        })
    }
}

impl Client {
    /// The same after one more request; `None`: that is one too many.
    fn with(self, limits: &ClientLimits, now: UnixMillis) -> Option<Self> {
        if limits.at_once.is_some_and(|most| self.now >= most) {
            return None;
        }
        let mut after = self.leaked(&limits.rates, now);
        for (filled, rate) in after.filled.iter_mut().zip(&limits.rates) {
            *filled += REQUEST;
            if *filled > (u64::from(rate.burst) + 1) * REQUEST {
                return None;
            }
        }
        Some(after)
    }

    /// What is left of it now. A clock that goes back makes nothing fuller.
    fn leaked(mut self, rates: &[Rate], now: UnixMillis) -> Self {
        let elapsed = self.then.map_or(0, |then| now.0.saturating_sub(then.0));
        let elapsed = u64::try_from(elapsed).unwrap_or(0);
        for (filled, rate) in self.filled.iter_mut().zip(rates) {
            let leak = u128::from(elapsed) * u128::from(rate.requests) * u128::from(REQUEST)
                / u128::from(rate.per_ms.max(1));
            *filled = filled.saturating_sub(u64::try_from(leak).unwrap_or(u64::MAX));
        }
        self.then = Some(now);
        self
    }
}

/// Forgets those with nothing under way that have asked for the least, at least half of them, so that it is rarely done.
fn make_room(shard: &mut HashMap<IpAddr, Client>, rates: &[Rate], now: UnixMillis) {
    let weight = |client: &Client| client.leaked(rates, now).filled.into_iter().max().unwrap_or(0);
    let mut weights: Vec<u64> = shard.values().filter(|it| it.now == 0).map(weight).collect();
    if weights.is_empty() {
        return;
    }
    let middle = weights.len() / 2;
    let (_, limit, _) = weights.select_nth_unstable(middle);
    let limit = *limit;
    shard.retain(|_, client| client.now > 0 || weight(client) > limit);
}

impl Table {
    fn shard(&self, client: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, Client>> {
        let hash = usize::try_from(self.hasher.hash_one(client) % SHARDS as u64).unwrap_or(0);
        self.shards[hash].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Table {
    fn default() -> Self {
        Self { shards: Default::default(), hasher: RandomState::new() }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(client) = self.table.shard(self.client).get_mut(&self.client) {
            client.now = client.now.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(rates: &[(u32, u32, u32)], at_once: Option<u32>) -> Clients {
        let rate = |&(requests, per_ms, burst): &(u32, u32, u32)| Rate { requests, per_ms, burst };
        let exempt = vec!["192.0.2.0/24".parse().unwrap()];
        let limits =
            ClientLimits { id: "a".into(), rates: rates.iter().map(rate).collect(), at_once, exempt };
        Clients::new(limits, Arc::default())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many of so many requests are taken at this time.
    fn taken(clients: &Clients, client: &str, requests: u32, now: i64) -> usize {
        (0..requests).filter(|_| clients.take(address(client), UnixMillis(now)).is_ok()).count()
    }

    #[test]
    fn a_client_gets_its_rate_and_its_burst_and_others_are_others() {
        let clients = clients(&[(10, 1_000, 4)], None);
        assert_eq!(taken(&clients, "198.18.0.1", 20, 0), 5);
        assert_eq!(taken(&clients, "198.18.0.2", 20, 0), 5);
        assert_eq!(taken(&clients, "198.18.0.1", 20, 99), 0);
        assert_eq!(taken(&clients, "198.18.0.1", 20, 100), 1);
        assert_eq!(taken(&clients, "198.18.0.1", 20, 400), 3);
        // Whoever keeps to it is never refused, and a long rest gives no more than the burst.
        for step in 1..=100 {
            assert_eq!(taken(&clients, "198.18.0.1", 1, 400 + step * 100), 1, "{step}");
        }
        assert_eq!(taken(&clients, "198.18.0.1", 20, 3_600_000), 5);
        assert_eq!(taken(&clients, "198.18.0.1", 20, 0), 0, "the clock went back");
        assert_eq!(taken(&clients, "192.0.2.7", 100, 0), 100, "it is exempt");
    }

    #[test]
    fn every_rate_has_to_be_kept_to() {
        let clients = clients(&[(10, 1_000, 9), (20, 60_000, 14)], None);
        assert_eq!(taken(&clients, "198.18.0.1", 100, 0), 10);
        assert_eq!(taken(&clients, "198.18.0.1", 100, 1_000), 5);
        assert_eq!(taken(&clients, "198.18.0.1", 100, 2_000), 0);
        assert!(clients.refuses(address("198.18.0.1"), UnixMillis(2_000)));
        assert!(!clients.refuses(address("198.18.0.1"), UnixMillis(60_000)));
    }

    #[test]
    fn addresses_of_one_network_and_spellings_of_one_address_are_one_client() {
        let clients = clients(&[(1, 1_000, 0)], None);
        assert_eq!(taken(&clients, "2001:db8::1", 1, 0), 1);
        assert_eq!(taken(&clients, "2001:db8::ffff:1", 1, 0), 0);
        assert_eq!(taken(&clients, "2001:db8:0:1::1", 1, 0), 1);
        assert_eq!(taken(&clients, "198.18.0.1", 1, 0), 1);
        assert_eq!(taken(&clients, "::ffff:198.18.0.1", 1, 0), 0);
    }

    #[test]
    fn what_is_under_way_is_given_back_when_it_is_over() {
        let clients = clients(&[], Some(2));
        let (client, now) = (address("198.18.0.1"), UnixMillis(0));
        let first = clients.take(client, now).unwrap();
        let second = clients.take(client, now).unwrap();
        assert_eq!(clients.take(client, now).unwrap_err(), TooMany);
        assert!(clients.take(address("198.18.0.2"), now).is_ok());
        drop(first);
        let third = clients.take(client, now).unwrap();
        assert!(clients.refuses(client, now));
        drop((second, third));
        assert!(!clients.refuses(client, now));
    }

    #[test]
    fn the_table_stays_small_and_forgets_those_first_that_asked_for_the_least() {
        let clients = clients(&[(1, 1_000_000, 99)], Some(100));
        let held = clients.take(address("198.18.0.1"), UnixMillis(0)).unwrap();
        assert_eq!(taken(&clients, "198.18.0.2", 200, 0), 100);
        let many = u32::try_from(SHARDS * MOST * 4).unwrap();
        for number in 0..many {
            let client = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
            drop(clients.take(client, UnixMillis(0)));
        }
        let known: usize = clients.table.shards.iter().map(|it| it.lock().unwrap().len()).sum();
        assert!(known <= SHARDS * MOST, "{known}");
        assert_eq!(taken(&clients, "198.18.0.2", 1, 0), 0, "who asked most is remembered");
        drop(held);
        let shard = clients.table.shard(address("198.18.0.1"));
        assert_eq!(
            shard.get(&address("198.18.0.1")).map(|it| it.now),
            Some(0),
            "who had something under way, too"
        );
    }
}
