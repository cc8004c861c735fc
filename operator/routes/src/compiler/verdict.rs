//! What a Mapping's status says.

use proxy_config::model::{Case, Share};

use super::{backend::Problem, group::Member};
use crate::{
    compiled::{State, Status},
    weights::{Remark, Shares, Written},
};

/// How many other Mappings are named.
const NAMED: usize = 5;

/// The verdict on a Mapping that has no part in a route.
pub(super) fn inactive(reason: String) -> Status {
    Status { state: State::Inactive, reason }
}

/// The verdict on a Mapping that has one, with what the user should know.
pub(super) fn running(reason: String) -> Status {
    Status { state: State::Running, reason }
}

/// The verdict on a Mapping in the route of `members`.
pub(super) fn of_member(
    member: &Member<'_>,
    problem: Option<&Problem>,
    remark: Option<&str>,
    shares: &Shares,
    case: Option<Case>,
    members: &[Member<'_>],
) -> Status {
    let mut sentences: Vec<String> = Vec::new();
    sentences.extend(problem.map(|problem| format!("requests are answered with 503: {}", problem.text)));
    sentences.extend(remark.map(str::to_owned));
    sentences.extend(member.mapping.remarks.iter().cloned());
    if member.mapping.case.is_some_and(|own| Some(own) != case) {
        sentences.push("`case_sensitive` of the first Mapping with the same match is used".to_owned());
    }
    sentences.extend(shares.remark.and_then(|remark| of_weights(member, remark, members)));
    if shares.unclaimed > Share::ZERO {
        sentences.push(unclaimed(shares.unclaimed));
    }
    let state = if problem.is_some() { State::Inactive } else { State::Running };
    Status { state, reason: sentences.join("; ") }
}

/// What nobody may take.
pub(super) fn unclaimed(share: Share) -> String {
    let percent = f64::from(share.parts()) / 100.0;
    format!(
        "{percent} % of the requests are answered with 503: the weights do not reach 100 and no Mapping without \
         weight takes the rest"
    )
}

/// Why the member's share is not what was written.
fn of_weights(member: &Member<'_>, remark: Remark, members: &[Member<'_>]) -> Option<String> {
    let weightless = |member: &Member<'_>| member.mapping.weight == Written::Nothing;
    match remark {
        Remark::Over => {
            let others = others(member, members, |_| true);
            Some(format!(
                "its weight and those of {others} are above 100: whoever comes last gets what is left"
            ))
        }
        Remark::Under => {
            let others = others(member, members, |_| true);
            Some(format!(
                "its weight and those of {others} are below 100 and no Mapping without weight takes the rest: they \
                 are scaled up"
            ))
        }
        Remark::Even if weightless(member) => {
            let others = others(member, members, weightless);
            Some(format!(
                "it shares the requests of this match evenly with {others}: give all but one a `weight` if that is \
                 meant, or different matches"
            ))
        }
        Remark::Even => None,
    }
}

/// The names of some of the others, and how many more there are.
fn others(member: &Member<'_>, members: &[Member<'_>], counts: impl Fn(&Member<'_>) -> bool) -> String {
    let others: Vec<&Member<'_>> =
        members.iter().filter(|other| other.name != member.name && counts(other)).collect();
    let named: Vec<String> = others.iter().take(NAMED).map(|other| format!("`{}`", other.name)).collect();
    match others.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
