//! How much of the requests each backend of a rule gets.

use proxy_config::model::Share;

/// The parts of weights in their sum; `None` if nobody has any. What rounding leaves goes to whom it took most from.
pub(crate) fn shares(weights: &[u32]) -> Option<Vec<Share>> {
    let sum: u64 = weights.iter().map(|it| u64::from(*it)).sum();
    if sum == 0 {
        return None;
    }
    let whole = u64::from(Share::WHOLE.parts());
    let mut parts: Vec<u64> = weights.iter().map(|it| u64::from(*it) * whole / sum).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|index| std::cmp::Reverse(u64::from(weights[*index]) * whole % sum));
    let left = usize::try_from(whole - parts.iter().sum::<u64>()).unwrap_or_default();
    for index in by_remainder.into_iter().take(left) {
        parts[index] += 1;
    }
    Some(
        parts
            .into_iter()
            .map(|it| u32::try_from(it).ok().and_then(Share::of_10000).unwrap_or_default())
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_parts_of_their_sum() {
        let table: [(&[u32], Option<&[u16]>); 7] = [
            (&[1], Some(&[10_000])),
            (&[70, 30, 0], Some(&[7_000, 3_000, 0])),
            (&[8, 2], Some(&[8_000, 2_000])),
            (&[1, 1, 1], Some(&[3_334, 3_333, 3_333])),
            (&[1_000_000, 1], Some(&[10_000, 0])),
            (&[0, 0], None),
            (&[], None),
        ];
        for (weights, expected) in table {
            let found = shares(weights).map(|it| it.into_iter().map(Share::parts).collect::<Vec<_>>());
            assert_eq!(found.as_deref(), expected, "{weights:?}");
        }
    }
}
