//! `routes` and `explain route` of Gateways: each has its own routes, and several may have the same host.

use std::fmt::Write as _;

use operator_routes::{
    Compiled, Compiler, ObjectName, ServedArm,
    explain::{AtGateway, Bystander, GatewayRoute, Outcome, Request, What},
    hostname,
};
use proxy_config::model::Action;

use super::columns;
use super::routes::{self, HEAD, fate, head, measured, of_arm, path, percent};
use super::text::{Paint, Text};
use crate::counts::Counts;

/// A table for each Gateway, its routes in the order in which its proxies ask them; empty without any.
///
/// `namespace`: only routes in it, or of a Gateway in it. `counts`: requests of a while.
#[must_use]
pub fn tables(
    compiler: &Compiler,
    gateways: &[ObjectName],
    counts: Option<&Counts>,
    namespace: Option<&str>,
    paint: Paint,
) -> String {
    let table = |gateway: &ObjectName| {
        let here = namespace.is_none_or(|it| *gateway.namespace == *it);
        let mut rows = vec![HEAD.map(Text::plain).to_vec()];
        for it in compiler.gateway_routes(gateway) {
            if here || namespace.is_some_and(|namespace| *it.of.route.namespace == *namespace) {
                rows.extend(rows_of(compiler.compiled(), &it, counts));
            }
        }
        match rows.len() {
            1 if here => Some(format!("Gateway {gateway}: no HTTPRoute and no GRPCRoute is attached.\n")),
            1 => None,
            _ => Some(format!("Gateway {gateway}\n{}", columns::render(&rows, paint))),
        }
    };
    gateways.iter().filter_map(table).collect::<Vec<_>>().join("\n")
}

fn rows_of(compiled: &Compiled, it: &GatewayRoute, counts: Option<&Counts>) -> Vec<Vec<Text>> {
    let place = [hostname::show(&it.route.host), path(&it.route), it.of.to_string()].map(Text::plain);
    let Action::Split(split) = &it.route.action else {
        return vec![[place.to_vec(), vec![fate(&it.route.action)]].concat()];
    };
    let arms = compiled.splits.get(&split.id).map(|it| it.served.arms.as_slice()).unwrap_or_default();
    let row = |(index, arm): (usize, &ServedArm)| {
        let place = if index == 0 { place.clone() } else { place.clone().map(|_| Text::default()) };
        let measured = counts.and_then(|counts| measured(counts, split.id.as_str(), arm.id.as_str()));
        [place.to_vec(), of_arm(arm, measured)].concat()
    };
    arms.iter().enumerate().map(row).collect()
}

/// What becomes of a request wherever it may come in: at the proxies that Mappings and Ingresses share, and at every
/// Gateway that has to do with it. `port`: at the Gateways only on this one.
#[must_use]
pub fn everywhere(compiler: &Compiler, request: &Request<'_>, port: Option<u16>) -> String {
    let concerned: Vec<AtGateway> = compiler
        .gateways()
        .filter_map(|it| at(compiler, it, request, port))
        .filter(AtGateway::concerns)
        .collect();
    let strays = compiler.without_gateway(request);
    let mut sections = Vec::new();
    if routes::concerns(compiler.compiled(), request) || concerned.is_empty() && strays.is_empty() {
        sections.push(routes::explanation(compiler.compiled(), request));
    }
    sections.extend(concerned.iter().map(|it| explanation(compiler.compiled(), it, request)));
    if !strays.is_empty() {
        sections.push(listed("Routes for this host and path that no Gateway has:", &strays));
    }
    sections.join("\n")
}

/// What becomes of a request at these Gateways.
#[must_use]
pub fn at_chosen(
    compiler: &Compiler,
    gateways: &[ObjectName],
    request: &Request<'_>,
    port: Option<u16>,
) -> String {
    let at = gateways.iter().filter_map(|gateway| at(compiler, gateway, request, port));
    at.map(|it| explanation(compiler.compiled(), &it, request)).collect::<Vec<_>>().join("\n")
}

fn at(
    compiler: &Compiler,
    gateway: &ObjectName,
    request: &Request<'_>,
    port: Option<u16>,
) -> Option<AtGateway> {
    let usual = if request.tls { 443 } else { 80 };
    let port = port.or_else(|| compiler.gateway_port(gateway, request.tls, request.authority));
    compiler.at_gateway(gateway, &Request { port: port.unwrap_or(usual), ..request.clone() })
}

fn explanation(compiled: &Compiled, at: &AtGateway, request: &Request<'_>) -> String {
    let mut text = head(&Request { port: at.port, ..request.clone() });
    let _ = write!(text, " of Gateway {}", at.gateway);
    match &at.listener {
        Ok(listener) => {
            let _ = writeln!(text, ", listener `{listener}`\n");
        }
        Err(none) => {
            let _ = writeln!(text, "\n\n{none}");
        }
    }
    for outcome in &at.outcomes {
        let _ = writeln!(text, "{}", of_outcome(compiled, at, outcome));
    }
    for fault in at.answers.iter().flat_map(|it| &it.faults) {
        let _ = writeln!(text, "    {fault}");
    }
    if !at.others.is_empty() {
        text.push('\n');
        text +=
            &listed("Other routes for this host or path, in the order in which they are asked:", &at.others);
    }
    text
}

fn listed(title: &str, bystanders: &[Bystander]) -> String {
    let mut text = format!("{title}\n");
    for Bystander { who, why } in bystanders {
        let _ = writeln!(text, "  {who}: it {why}");
    }
    text
}

fn of_outcome(compiled: &Compiled, at: &AtGateway, Outcome { parts, what }: &Outcome) -> String {
    let share = percent(*parts);
    let by = at.answers.as_ref().map(|it| format!(", by {}", it.of)).unwrap_or_default();
    match what {
        What::NoRoute => format!("{share} 404: no route matches"),
        What::Refused { status, reason, .. } => format!("{share} {status} {reason}{by}"),
        What::Redirected { status, location, .. } => format!("{share} {status} to {location}{by}"),
        What::Forwarded { arm, target, .. } => {
            let split = at.answers.as_ref().and_then(|it| match &it.route.action {
                Action::Split(split) => compiled.splits.get(&split.id),
                Action::Redirect(_) | Action::Refuse(_) => None,
            });
            let served = split.and_then(|split| split.served.arms.iter().find(|it| it.id == *arm));
            let service = served.and_then(|it| it.service.as_ref());
            let to = service.map_or_else(|| arm.to_string(), |service| format!("Service {service}"));
            format!("{share} to {to} as {target}{by}")
        }
    }
}

#[cfg(test)]
mod tests;
