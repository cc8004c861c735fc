//! Tables in which a hash finds its endpoint, and finds it again when other endpoints come and go.

use std::sync::Arc;

use super::hash::hash;
use crate::{endpoint::Endpoint, split::mix};

/// Places of a Maglev table: a prime, and a hundred times as many as most clusters have endpoints (Eisenbud 2016, §3.4).
const MAGLEV: u64 = 65_537;

/// Where a hash begins to look, as indexes of endpoints.
#[derive(Debug)]
pub(super) enum Places {
    /// In order of their hashes.
    Ring(Box<[(u64, u16)]>),
    Maglev(Box<[u16]>),
}

impl Places {
    /// A ring with up to `size` places, or one for each endpoint. How many each has changes only where the number of
    /// endpoints passes a power of two: between these an endpoint that comes or goes moves nobody else's requests.
    pub(super) fn ring(endpoints: &[Arc<Endpoint>], size: u32) -> Self {
        let each = (u64::from(size) / endpoints.len().next_power_of_two() as u64).max(1);
        let of_one = |(index, endpoint): (u16, &Arc<Endpoint>)| {
            let name = name(endpoint);
            (0..each).map(move |place| (mix(name ^ mix(place)), index))
        };
        let mut places: Vec<_> = numbered(endpoints).flat_map(of_one).collect();
        places.sort_unstable();
        Self::Ring(places.into())
    }

    /// A table in which endpoints have equally many places, give or take one.
    pub(super) fn maglev(endpoints: &[Arc<Endpoint>]) -> Self {
        const FREE: u16 = u16::MAX;
        let count = usize::try_from(MAGLEV).unwrap_or_default();
        let mut table = vec![FREE; count];
        // Each endpoint wants all places, in an order of its own, and takes the next free one in its turn.
        let mut wishes: Vec<_> = numbered(endpoints)
            .map(|(index, endpoint)| {
                let name = name(endpoint);
                (index, name % MAGLEV, mix(name) % (MAGLEV - 1) + 1)
            })
            .collect();
        let mut left = if wishes.is_empty() { 0 } else { count };
        while left > 0 {
            for (index, next, skip) in wishes.iter_mut().take(left) {
                let mut place = usize::try_from(*next).unwrap_or_default();
                while table[place] != FREE {
                    *next = (*next + *skip) % MAGLEV;
                    place = usize::try_from(*next).unwrap_or_default();
                }
                table[place] = *index;
            }
            left = left.saturating_sub(wishes.len());
        }
        if wishes.is_empty() {
            table.clear();
        }
        Self::Maglev(table.into())
    }

    /// The indexes of endpoints for a hash, the right one first; some come more than once.
    pub(super) fn from(&self, hash: u64) -> impl Iterator<Item = usize> + '_ {
        let (length, start) = match self {
            Self::Ring(places) => (places.len(), places.partition_point(|(place, _)| *place < hash)),
            Self::Maglev(places) => (places.len(), usize::try_from(hash % MAGLEV).unwrap_or_default()),
        };
        (0..length).map(move |step| {
            let place = (start + step) % length;
            usize::from(match self {
                Self::Ring(places) => places[place].1,
                Self::Maglev(places) => places[place],
            })
        })
    }
}

/// As many as a place can name; a cluster that has more balances over these.
fn numbered(endpoints: &[Arc<Endpoint>]) -> impl Iterator<Item = (u16, &Arc<Endpoint>)> {
    (0..u16::MAX).zip(endpoints)
}

/// The same in every proxy.
fn name(endpoint: &Endpoint) -> u64 {
    hash(format!("{:?}", endpoint.address).as_bytes())
}
