//! The matches of a route one by one: which of the proxies' routes stands for which, and what orders them.

use super::{Backends, Draft, Matching, RouteId, Standing, backends, fault, split_by_port};
use crate::{explain::RuleMatch, gateway::hostname::HostName};

/// A match of a rule for one name of a Gateway's hosts.
pub(in super::super) struct Asked<'a> {
    pub(in super::super) of: RuleMatch,
    pub(in super::super) host: &'a HostName,
    /// What it asks for, or why that means nothing.
    pub(in super::super) matching: &'a Result<Matching, String>,
    /// The proxies' route that stands for it.
    pub(in super::super) id: RouteId,
    pub(in super::super) standing: Standing<'a>,
}

impl Draft<'_> {
    /// Every match for every name.
    pub(in super::super) fn asked(&self) -> Vec<Asked<'_>> {
        let mut asked = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            for (number, matching) in rule.matches.iter().enumerate() {
                for (host, ports) in &self.names {
                    asked.extend(split_by_port(rule, ports).into_iter().map(|(port, _)| Asked {
                        of: RuleMatch {
                            kind: self.route.kind,
                            route: self.route.name.clone(),
                            rule: index,
                            name: rule.name.clone(),
                            number: (rule.matches.len() > 1).then_some(number),
                        },
                        host,
                        matching,
                        id: RouteId::new(self.id(index, number, host, port)),
                        standing: self.standing(index, number),
                    }));
                }
            }
        }
        asked
    }

    /// Why requests of a rule are not all served as written.
    pub(in super::super) fn faults(&self, rule: usize, known: Backends<'_>) -> Vec<String> {
        let Some(rule) = self.rules.get(rule) else { return Vec::new() };
        let members = rule.members.iter().filter_map(|member| member.unresolved(known));
        let copies = backends::mirrors(&rule.copies, known).1;
        let filters = rule.filters().err().map(|unusable| fault(&unusable));
        let mut faults: Vec<String> =
            members.chain(copies).chain(filters).map(|fault| fault.message).collect();
        faults.sort();
        faults.dedup();
        faults
    }
}
