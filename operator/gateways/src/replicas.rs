//! How many proxies a Gateway has, without a quarrel with whoever scales them.
//!
//! The parameter says how many there are at first. An autoscaler, or a person, goes on from there: as long as the
//! parameter stays, the number is theirs. Another parameter is another order.

/// What is there of a Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scaled {
    /// `spec.replicas`.
    pub now: i32,
    /// What was applied last, as [`APPLIED_ANNOTATION`] says; `None`: it says nothing that can be read.
    pub applied: Option<i32>,
}

/// The annotation of a Deployment with the number that was applied last.
pub const APPLIED_ANNOTATION: &str = "sluice.dev/applied-replicas";

/// What to apply: the number, or nothing where the number is somebody else's. A field that is applied no more stays as
/// it is where somebody else has written it as well, and only there is it left out.
#[must_use]
pub fn replicas(there: Option<Scaled>, parameter: i32) -> Option<i32> {
    match there {
        Some(Scaled { now, applied: Some(applied) }) if applied == parameter && now != applied => None,
        Some(_) | None => Some(parameter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_scales_keeps_the_number_until_the_parameter_changes() {
        let cases = [
            ("there is none yet", None, 2, Some(2)),
            ("nobody scales", Some((2, Some(2))), 2, Some(2)),
            ("somebody scaled", Some((5, Some(2))), 2, None),
            ("somebody scaled to nothing", Some((0, Some(2))), 2, None),
            ("the parameter changed", Some((2, Some(2))), 3, Some(3)),
            ("the parameter changed after somebody scaled", Some((5, Some(2))), 3, Some(3)),
            ("nothing is known of it", Some((5, None)), 2, Some(2)),
        ];
        for (case, there, parameter, expected) in cases {
            let there = there.map(|(now, applied)| Scaled { now, applied });
            assert_eq!(replicas(there, parameter), expected, "{case}");
        }
    }
}
