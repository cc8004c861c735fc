//! What the status of an object says.

use proxy_config::model::{Case, Share};

use super::{backend::Backend, group::Member, stores::Stores};
use crate::{
    compat::Compat,
    compiled::{Rule, State, Status},
    dialect::DocumentKind,
    object::ResolverKind,
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

/// The verdict on a resolver.
pub(super) fn of_resolver(kind: DocumentKind) -> Status {
    match kind {
        DocumentKind::Resolver(ResolverKind::Consul) => inactive(
            "Consul is not asked for endpoints: use Kubernetes Services and `resolver: endpoint`".to_owned(),
        ),
        _ => running(String::new()),
    }
}

/// A group as its members see it.
pub(super) struct Group<'a> {
    pub(super) members: &'a [Member<'a>],
    pub(super) shares: &'a Shares,
    pub(super) case: Case,
    /// Why no request gets to it.
    pub(super) unserved: Option<&'a str>,
    pub(super) compat: Compat,
}

/// Why no host has a route, if so.
pub(super) fn hostless(rule: &Rule, stores: &Stores) -> Option<String> {
    if rule.everywhere || (!stores.has_hosts() && stores.compat == Compat::Ideal) {
        return None;
    }
    let selected = stores.selectors().any(|selector| selector.selects(&rule.labels));
    let reason = match rule.named {
        _ if selected => return None,
        // Emissary says nothing of it.
        true if stores.compat == Compat::Strict || stores.has_plain_hosts() => return None,
        true => "no Host has it: each has a `mappingSelector`, and none selects its labels",
        false => {
            "no Host has it: it has no `hostname`, and no Host selects its labels; write `hostname: \"*\"` for every Host"
        }
    };
    Some(reason.to_owned())
}

/// The verdict on a Mapping in the route of a group.
pub(super) fn of_member(
    member: &Member<'_>,
    Backend { problem, remark, .. }: &Backend,
    group: &Group<'_>,
) -> Status {
    let Group { members, shares, case, unserved, compat } = group;
    let mut sentences: Vec<String> = Vec::new();
    sentences.extend(unserved.map(str::to_owned));
    sentences
        .extend(problem.as_ref().map(|problem| format!("requests are answered with 503: {}", problem.text)));
    sentences.extend(remark.clone());
    sentences.extend(member.mapping.remarks.iter().cloned());
    if member.mapping.case.is_some_and(|own| own != *case) {
        sentences.push("`case_sensitive` of the first Mapping with the same match is used".to_owned());
    }
    sentences.extend(of_shared_fields(member, members));
    sentences.extend(shares.remark.and_then(|remark| of_weights(member, remark, members, *compat)));
    if shares.unclaimed > Share::ZERO {
        sentences.push(unclaimed(shares.unclaimed, *compat));
    }
    let state = if problem.is_some() || unserved.is_some() { State::Inactive } else { State::Running };
    Status { state, reason: sentences.join("; ") }
}

/// The fields of which a group has one value, where the member's is another.
fn of_shared_fields(member: &Member<'_>, members: &[Member<'_>]) -> Option<String> {
    let own = member.mapping;
    let theirs = || members.iter().map(|it| it.mapping);
    let cors = own.cors.is_some() && theirs().any(|it| it.cors.is_some() && it.cors != own.cors);
    let retry = own.retry.is_some() && theirs().any(|it| it.retry.is_some() && it.retry != own.retry);
    let upgrades =
        own.upgrades.is_some() && theirs().any(|it| it.upgrades.is_some() && it.upgrades != own.upgrades);
    let errors =
        !own.errors.is_empty() && theirs().any(|it| !it.errors.is_empty() && it.errors != own.errors);
    let fields = [
        ("`cors`", cors),
        ("`retry_policy`", retry),
        ("`allow_upgrade`", upgrades),
        ("`error_response_overrides`", errors),
    ];
    let names: Vec<&str> = fields.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
    (!names.is_empty()).then(|| {
        format!("Mappings with the same match have other values of {}: one counts for all", names.join(", "))
    })
}

/// What nobody takes.
pub(super) fn unclaimed(share: Share, compat: Compat) -> String {
    let percent = f64::from(share.parts()) / 100.0;
    let fate = match compat {
        Compat::Ideal => "are answered with 503",
        Compat::Strict => "are taken by none of them, as in Emissary,",
    };
    format!(
        "{percent} % of the requests {fate}: the weights do not reach 100 and no Mapping without weight takes the rest"
    )
}

/// Why the member's share is not what was written.
fn of_weights(member: &Member<'_>, remark: Remark, members: &[Member<'_>], compat: Compat) -> Option<String> {
    let weightless = |member: &Member<'_>| member.mapping.weight == Written::Nothing;
    match remark {
        Remark::Over | Remark::Under if compat == Compat::Strict => None,
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
