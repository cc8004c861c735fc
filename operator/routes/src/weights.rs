//! Who gets which part of the requests of a group.
//!
//! Written weights are percent of the group. Emissary's arithmetic has holes (`weights` of its oracle table: a sum
//! below 100 without a weightless member answers 404); this one has none:
//!
//! 1. A weight counts from 0 to 100. Members owned by a Rollout come first, then the others in load order; who would
//!    lift the sum above 100 gets what is left.
//! 2. Members without weight share the remainder evenly.
//! 3. Without such members the other weights grow in proportion until they fill it. A member owned by a Rollout never
//!    gets more than is written: what nobody takes then is refused.
//! 4. A member that is alone and nobody's takes everything, whatever its weight, as in Emissary.
//!
//! Emissary's own arithmetic is [`divide_as_emissary`].

use proxy_config::model::Share;

use crate::compat::Compat;

/// A weight as the object has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// None: it shares the remainder.
    Nothing,
    /// This part of the group, from 0 to 10000; tenths of percents are allowed.
    Parts(u16),
}

/// One who wants a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What it asks for.
    pub written: Written,
    /// Whether a Rollout owns it.
    pub owned: bool,
    /// Whether its weight was written as more than 100.
    pub above_all: bool,
}

/// The result for one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// In the order of the claims. With `unclaimed` they sum to 10000.
    pub shares: Vec<Share>,
    /// What nobody may take.
    pub unclaimed: Share,
    /// What was not as written.
    pub remark: Option<Remark>,
}

/// Why shares are not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// The weights are above 100: the last ones got less.
    Over,
    /// The weights are below 100 and nobody takes the remainder: they were scaled up.
    Under,
    /// Several members without weight and nothing that says that they belong together.
    Even,
}

const WHOLE: u32 = 10_000;

/// Divides the requests of a group among its members, which are in load order.
#[must_use]
pub fn divide(claims: &[Claim], compat: Compat) -> Shares {
    match compat {
        Compat::Ideal => divide_wholly(claims),
        Compat::Strict => divide_as_emissary(claims),
    }
}

/// Emissary's arithmetic, holes included (emissary.md §2.2): each weighted member is drawn below the sum of the weights
/// up to its own, rounded to whole percents; those without weight come last and divide what is left, the last of
/// them up to 100. A weight above 100 ends the walk there; a sum above 100 leaves nothing to those without weight.
/// What nobody takes goes on to the next route.
#[must_use]
pub fn divide_as_emissary(claims: &[Claim]) -> Shares {
    let whole = |shares| Shares { shares, unclaimed: Share::ZERO, remark: None };
    if let [_] = claims {
        return whole(vec![Share::WHOLE]);
    }
    let mut bounds = vec![0_u32; claims.len()];
    let mut sum = 0;
    let mut sound = true;
    for (bound, claim) in bounds.iter_mut().zip(claims) {
        let Written::Parts(parts) = claim.written else { continue };
        if claim.above_all {
            sound = false;
            break;
        }
        sum += percent_half_even(u32::from(parts));
        *bound = sum;
    }
    sound &= sum <= 100;
    let open = drawing_order(claims).filter(|index| claims[*index].written == Written::Nothing);
    let open: Vec<usize> = open.collect();
    if sound && let Some((last, others)) = open.split_last() {
        let count = u32::try_from(open.len()).unwrap_or(u32::MAX);
        let each = percent_half_even((100 - sum) * 100 / count);
        for (number, index) in (1..).zip(others) {
            bounds[*index] = sum + each * number;
        }
        bounds[*last] = 100;
    }
    let mut shares = vec![Share::ZERO; claims.len()];
    let mut taken = 0;
    for index in drawing_order(claims) {
        let bound = bounds[index].min(100);
        if bound > taken {
            shares[index] = Share::of_10000((bound - taken) * 100).unwrap_or(Share::WHOLE);
            taken = bound;
        }
    }
    let unclaimed = Share::of_10000((100 - taken) * 100).unwrap_or(Share::ZERO);
    let remark = match (sound, unclaimed) {
        (false, _) => Some(Remark::Over),
        (true, Share::ZERO) => None,
        (true, _) => Some(Remark::Under),
    };
    Shares { shares, unclaimed, remark }
}

/// The order in which Emissary draws: those with a weight first.
pub fn drawing_order(claims: &[Claim]) -> impl Iterator<Item = usize> {
    let of = |weightless: bool| {
        let fits = move |index: &usize| (claims[*index].written == Written::Nothing) == weightless;
        (0..claims.len()).filter(fits)
    };
    of(false).chain(of(true))
}

/// Whole percents of 1/10000, halves to the even one, as Python rounds.
fn percent_half_even(parts: u32) -> u32 {
    let (whole, rest) = (parts / 100, parts % 100);
    match rest.cmp(&50) {
        std::cmp::Ordering::Less => whole,
        std::cmp::Ordering::Equal => whole + whole % 2,
        std::cmp::Ordering::Greater => whole + 1,
    }
}

fn divide_wholly(claims: &[Claim]) -> Shares {
    if let [only] = claims
        && !only.owned
    {
        return Shares { shares: vec![Share::WHOLE], unclaimed: Share::ZERO, remark: None };
    }
    let mut parts = vec![0_u32; claims.len()];
    let mut left = WHOLE;
    let mut over = false;
    for owned in [true, false] {
        for (part, claim) in parts.iter_mut().zip(claims).filter(|(_, claim)| claim.owned == owned) {
            if let Written::Parts(written) = claim.written {
                over |= u32::from(written) > left;
                *part = u32::from(written).min(left);
                left -= *part;
            }
        }
    }
    let open: Vec<usize> =
        (0..claims.len()).filter(|index| claims[*index].written == Written::Nothing).collect();
    let mut remark = over.then_some(Remark::Over);
    if !open.is_empty() {
        for (index, share) in open.iter().zip(apportion(left, &vec![1; open.len()])) {
            parts[*index] = share;
        }
        left = 0;
        if open.len() > 1 {
            remark = remark.or(Some(Remark::Even));
        }
    } else if left > 0 {
        let growing: Vec<usize> = (0..claims.len()).filter(|i| !claims[*i].owned && parts[*i] > 0).collect();
        if !growing.is_empty() {
            let weights: Vec<u32> = growing.iter().map(|index| parts[*index]).collect();
            let room = left + weights.iter().sum::<u32>();
            for (index, share) in growing.iter().zip(apportion(room, &weights)) {
                parts[*index] = share;
            }
            left = 0;
            remark = Some(Remark::Under);
        }
    }
    let share = |parts| Share::of_10000(parts).unwrap_or(Share::WHOLE);
    Shares { shares: parts.into_iter().map(share).collect(), unclaimed: share(left), remark }
}

/// `total` divided as `weights` are, by largest remainder, ties to the first. `weights` are not all zero.
fn apportion(total: u32, weights: &[u32]) -> Vec<u32> {
    let sum: u32 = weights.iter().sum();
    let mut parts: Vec<u32> = weights.iter().map(|weight| total * weight / sum).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|index| (std::cmp::Reverse(total * weights[*index] % sum), *index));
    let missing = total - parts.iter().sum::<u32>();
    for index in order.into_iter().take(missing as usize) {
        parts[index] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(text: &str) -> Claim {
        let owned = text.starts_with('!');
        let written = match text.trim_start_matches('!') {
            "-" => Written::Nothing,
            number => Written::Parts(number.parse::<u16>().unwrap() * 100),
        };
        Claim { written, owned, above_all: false }
    }

    #[test]
    fn a_group_divides_as_the_table_says() {
        // `!` = owned by a Rollout, `-` = no weight; then shares, unclaimed, remark
        let table = [
            ("-", "10000", 0, None),
            ("30", "10000", 0, None),
            ("0", "10000", 0, None),
            ("!30", "3000", 7000, None),
            ("!0", "0", 10_000, None),
            ("- 30", "7000 3000", 0, None),
            ("- !30", "7000 3000", 0, None),
            ("- 0", "10000 0", 0, None),
            ("- 100", "0 10000", 0, None),
            ("20 30", "4000 6000", 0, Some(Remark::Under)),
            ("0 30", "0 10000", 0, Some(Remark::Under)),
            ("0 0", "0 0", 10_000, None),
            ("60 60", "6000 4000", 0, Some(Remark::Over)),
            ("- 60 60", "0 6000 4000", 0, Some(Remark::Over)),
            ("90 !30 -", "7000 3000 0", 0, Some(Remark::Over)),
            ("10 !30", "7000 3000", 0, Some(Remark::Under)),
            ("0 !30", "0 3000", 7000, None),
            ("- - -", "3334 3333 3333", 0, Some(Remark::Even)),
            ("- - 33", "3350 3350 3300", 0, Some(Remark::Even)),
            ("1 1 1", "3334 3333 3333", 0, Some(Remark::Under)),
        ];
        for (claims, shares, unclaimed, remark) in table {
            let result = divide(&claims.split(' ').map(claim).collect::<Vec<_>>(), Compat::Ideal);
            let got = result.shares.iter().map(|s| s.parts().to_string()).collect::<Vec<_>>().join(" ");
            assert_eq!(
                (got.as_str(), result.unclaimed.parts(), result.remark),
                (shares, unclaimed, remark),
                "{claims}"
            );
        }
    }

    #[test]
    fn emissary_divides_as_its_table_says() {
        // the claims, their shares, what is left to the next route
        let table = [
            ("30", "100", 0),
            ("- 30", "70 30", 0),
            ("- 0", "100 0", 0),
            ("20 30", "20 30", 50),
            ("0 30", "0 30", 70),
            ("- - -", "33 33 34", 0),
            ("- - 33", "34 33 33", 0),
            ("60 60", "60 40", 0),
            ("- 60 60", "0 60 40", 0),
            ("- ^100", "0 0", 100),
            ("10 ^100 20", "10 0 0", 90),
        ];
        for (claims, shares, unclaimed) in table {
            let claims: Vec<Claim> = claims
                .split(' ')
                .map(|text| Claim { above_all: text.starts_with('^'), ..claim(text.trim_start_matches('^')) })
                .collect();
            let result = divide(&claims, Compat::Strict);
            let got =
                result.shares.iter().map(|it| (it.parts() / 100).to_string()).collect::<Vec<_>>().join(" ");
            assert_eq!((got.as_str(), result.unclaimed.parts() / 100), (shares, unclaimed), "{claims:?}");
        }
    }

    proptest! {
        #[test]
        fn shares_sum_to_the_whole(
            claims in prop::collection::vec((prop::option::of(0_u16..=10_000), any::<bool>()), 1..9)
        ) {
            let claims: Vec<Claim> = claims
                .into_iter()
                .map(|(written, owned)| {
                    let written = written.map_or(Written::Nothing, Written::Parts);
                    Claim { written, owned, above_all: false }
                })
                .collect();
            let result = divide(&claims, Compat::Ideal);
            let sum: u32 = result.shares.iter().map(|share| u32::from(share.parts())).sum();
            prop_assert_eq!(sum + u32::from(result.unclaimed.parts()), 10_000);
            for (claim, share) in claims.iter().zip(&result.shares) {
                if let (true, Written::Parts(written)) = (claim.owned, claim.written) {
                    prop_assert!(share.parts() <= written, "an owned member never gets more than is written");
                }
            }
        }
    }
}
