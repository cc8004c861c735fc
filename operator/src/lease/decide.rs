//! What to do about a lease: pure.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use tokio::time::Instant;

/// The times of a lease. `renew_deadline` is shorter than `duration`, so that a holder that cannot renew has stopped
/// before another one starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long others wait after a renewal.
    pub duration: Duration,
    /// How long the holder goes on after a renewal.
    pub renew_deadline: Duration,
    /// How often the lease is looked at.
    pub retry_period: Duration,
}

/// A lease as it was read, and since when it has not changed.
///
/// Time is measured from when this process first saw a value, never from the `renewTime` in it: that one is of
/// another machine's clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// What the API server returned.
    pub lease: Lease,
    /// When this process first saw this value of `lease.spec`.
    pub since: Instant,
}

/// What to do about a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a decision that is not carried out leaves the lease as it is"]
pub enum Decision {
    /// There is no lease: create it.
    Create,
    /// It is ours: renew it.
    Renew,
    /// It is free, or its holder has not renewed it in time: take it.
    Take {
        /// Who held it, empty if it was released.
        from: String,
    },
    /// Another process holds it.
    Wait {
        /// Who.
        holder: String,
        /// When it expires unless it is renewed.
        until: Instant,
    },
}

/// Decides about a lease. `tenured` says that this very process has taken it before; a lease in our name that this
/// process has not taken is of our predecessor in the same pod, which is dead: it is taken at once, as a new tenure.
pub fn decide(seen: Option<&Seen>, identity: &str, tenured: bool, terms: &Terms, now: Instant) -> Decision {
    let Some(seen) = seen else { return Decision::Create };
    let spec = seen.lease.spec.clone().unwrap_or_default();
    let holder = spec.holder_identity.clone().unwrap_or_default();
    if holder == identity {
        return if tenured { Decision::Renew } else { Decision::Take { from: holder } };
    }
    let until = seen.since + promised(&spec, terms);
    if holder.is_empty() || now >= until {
        Decision::Take { from: holder }
    } else {
        Decision::Wait { holder, until }
    }
}

/// How long the holder promised to others that it may go without a renewal: its own word counts, not our flag.
fn promised(spec: &LeaseSpec, terms: &Terms) -> Duration {
    match spec.lease_duration_seconds {
        Some(seconds) if seconds > 0 => Duration::from_secs(u64::from(seconds.unsigned_abs())),
        Some(_) | None => terms.duration,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry_period: Duration::from_secs(2),
    };

    fn held_by(holder: &str, seconds: Option<i32>, since: Instant) -> Seen {
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: seconds,
            ..LeaseSpec::default()
        };
        Seen { lease: Lease { spec: Some(spec), ..Lease::default() }, since }
    }

    #[tokio::test(start_paused = true)]
    async fn every_state_of_a_lease_has_its_decision() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let take = |from: &str| Decision::Take { from: from.to_owned() };
        let wait = |seconds| Decision::Wait { holder: "other".to_owned(), until: after(seconds) };
        for (case, seen, tenured, now, expected) in [
            ("absent", None, false, 0, Decision::Create),
            ("absent though we held it", None, true, 0, Decision::Create),
            ("ours", Some(held_by("me", Some(15), start)), true, 1, Decision::Renew),
            ("ours, late", Some(held_by("me", Some(15), start)), true, 60, Decision::Renew),
            ("our predecessor's", Some(held_by("me", Some(15), start)), false, 0, take("me")),
            ("fresh", Some(held_by("other", Some(15), start)), false, 0, wait(15)),
            ("one second before its end", Some(held_by("other", Some(15), start)), false, 14, wait(15)),
            ("expired", Some(held_by("other", Some(15), start)), false, 15, take("other")),
            ("taken from us", Some(held_by("other", Some(15), start)), true, 1, wait(15)),
            ("longer than our flag", Some(held_by("other", Some(60), start)), false, 15, wait(60)),
            ("without a duration", Some(held_by("other", None, start)), false, 14, wait(15)),
            ("with a nonsensical duration", Some(held_by("other", Some(-5), start)), false, 0, wait(15)),
            ("released", Some(held_by("", Some(1), start)), false, 0, take("")),
            ("without a spec", Some(Seen { lease: Lease::default(), since: start }), false, 0, take("")),
        ] {
            assert_eq!(decide(seen.as_ref(), "me", tenured, &TERMS, after(now)), expected, "{case}");
        }
    }
}
