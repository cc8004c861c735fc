//! `routes` and `explain route`: which object answers which requests, compiled from the objects as the operator does.

use std::fmt::Write as _;

use operator_routes::{
    Compiled, ObjectName, ServedArm, State, Status, Subject,
    dialect::{DocumentKind, documents::DocumentName},
    explain::{Answer, Candidate, Outcome, Request, Standing, What, candidates, explain},
    hostname,
};
use proxy_config::model::{Action, ArmId, Origin, PathMatch, Route, RouteId, SplitId};

use super::columns;
use super::text::{Colour, Paint, Text};
use crate::counts::Counts;

/// What stands in an arm that no object has.
const NOBODY: &str = "nobody";
/// How the key of an Ingress begins.
const INGRESS: &str = "ingress/";

/// What a table of routes has.
pub(super) const HEAD: [&str; 7] = ["HOST", "PATH", "OBJECT", "SHARE", "MEASURED", "SERVICE", "READY"];

/// The table of `routes`, in the order in which the proxies ask them; empty without any.
///
/// `namespace`: only routes of objects in it. `counts`: requests of a while.
#[must_use]
pub fn table(compiled: &Compiled, counts: Option<&Counts>, namespace: Option<&str>, paint: Paint) -> String {
    let mut routes: Vec<&Route> = compiled.config.routes.values().map(AsRef::as_ref).collect();
    routes.sort_by(|a, b| (&a.rank, &a.id).cmp(&(&b.rank, &b.id)));
    let mut rows = vec![HEAD.map(Text::plain).to_vec()];
    for route in routes {
        let arms = compiled.splits.get(&SplitId::new(route.id.as_str())).map(|it| it.served.arms.as_slice());
        let arms = arms.unwrap_or_default();
        let ours = |arm: &ServedArm| namespace.is_none_or(|it| *arm.mapping.namespace == *it);
        if namespace.is_some() && !arms.iter().any(ours) {
            continue;
        }
        let place = [hostname::show(&route.host), path(route)];
        let [host, path] = place.map(Text::plain);
        match &route.action {
            Action::Split(_) if !arms.is_empty() => {
                for (index, arm) in arms.iter().enumerate() {
                    let first = |text: &Text| if index == 0 { text.clone() } else { Text::default() };
                    let arm_id = arm_id(&arm.mapping);
                    let measured =
                        counts.and_then(|counts| measured(counts, route.id.as_str(), arm_id.as_str()));
                    let place = vec![first(&host), first(&path), Text::plain(owner(&arm.mapping))];
                    rows.push([place, of_arm(arm, measured)].concat());
                }
            }
            action => {
                let owner = arms.first().map_or_else(|| route.id.to_string(), |arm| owner(&arm.mapping));
                rows.push(vec![host, path, Text::plain(owner), fate(action)]);
            }
        }
    }
    if rows.len() == 1 {
        return String::new();
    }
    columns::render(&rows, paint)
}

/// What a route does that sends nothing on.
pub(super) fn fate(action: &Action) -> Text {
    match action {
        Action::Redirect(to) => Text::plain(format!("redirects with {}", to.status)),
        Action::Refuse(refusal) => {
            Text::coloured(format!("refused: {} {}", refusal.status, refusal.reason), Colour::Red)
        }
        Action::Split(_) => Text::plain("-"),
    }
}

/// The part that an arm had of the requests of its split, by versions if there are several; `None` without requests.
pub(super) fn measured(counts: &Counts, split: &str, arm: &str) -> Option<String> {
    let all = counts.of_split(split);
    if all == 0 {
        return None;
    }
    let share = |requests: u64| {
        let parts = (u128::from(requests) * 10_000 + u128::from(all) / 2) / u128::from(all);
        percent(u32::try_from(parts).unwrap_or(u32::MAX))
    };
    let versions: Vec<(&str, u64)> = counts.of_arm(split, arm).collect();
    Some(match versions[..] {
        [] => share(0),
        [(_, requests)] => share(requests),
        _ => {
            let version = |(hash, requests): &(&str, u64)| format!("{} of {hash}", share(*requests));
            versions.iter().map(version).collect::<Vec<_>>().join(", ")
        }
    })
}

/// The columns from SHARE on.
pub(super) fn of_arm(arm: &ServedArm, measured: Option<String>) -> Vec<Text> {
    let service = arm.service.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let ready = arm.endpoints.iter().map(|(hash, ready)| match &**hash {
        "" => ready.to_string(),
        hash => format!("{ready} of {hash}"),
    });
    let ready = ready.collect::<Vec<_>>().join(", ");
    let ready = if ready.is_empty() { "-".to_owned() } else { ready };
    vec![
        Text::plain(percent(arm.share.parts().into())),
        Text::plain(measured.unwrap_or_else(|| "-".to_owned())),
        Text::plain(service),
        Text::plain(ready),
    ]
}

/// The request itself, as a heading.
pub(super) fn head(request: &Request<'_>) -> String {
    let scheme = if request.tls { "https" } else { "http" };
    let Request { method, authority, target, port, .. } = request;
    format!("{method} {scheme}://{authority}{target} on port {port}")
}

/// Whether a Mapping or an Ingress has to do with a request.
pub(super) fn concerns(compiled: &Compiled, request: &Request<'_>) -> bool {
    !candidates(compiled, request).is_empty()
}

/// What becomes of a request at the proxies that Mappings and Ingresses share, and why other routes do not answer it.
#[must_use]
pub fn explanation(compiled: &Compiled, request: &Request<'_>) -> String {
    let mut text = head(request) + "\n\n";
    match explain(compiled, request) {
        Answer::NoPort => text.push_str("Nobody listens on this port.\n"),
        Answer::NoChain => {
            text.push_str("There is no TLS for this name, or no HTTP in the clear on this port.\n");
        }
        Answer::NoHost => text.push_str("404: no Host has this name.\n"),
        Answer::Host(_, outcomes) => {
            for outcome in outcomes {
                let _ = writeln!(text, "{}", of_outcome(compiled, &outcome));
            }
        }
    }
    let others: Vec<Candidate> = candidates(compiled, request)
        .into_iter()
        .filter(|candidate| candidate.standing != Standing::Answers)
        .collect();
    if !others.is_empty() {
        text.push_str("\nOther routes for this host or path, in the order in which they are asked:\n");
        for Candidate { route, standing } in others {
            let _ = writeln!(text, "  {}: it {standing}", owners(compiled, &route));
        }
    }
    text
}

fn of_outcome(compiled: &Compiled, Outcome { parts, what }: &Outcome) -> String {
    let share = percent(*parts);
    match what {
        What::NoRoute => format!("{share} 404: no route matches"),
        What::Refused { route, status, reason } => {
            format!("{share} {status} {reason}, by {}{}", owners(compiled, route), said(compiled, route))
        }
        What::Redirected { route, status, location } => {
            format!("{share} {status} to {location}, by {}", owners(compiled, route))
        }
        What::Forwarded { route, arm, target, .. } => {
            let split = compiled.splits.get(&SplitId::new(route.as_str()));
            let arm_of = |it: &&ServedArm| arm_id(&it.mapping) == *arm;
            let served = split.and_then(|split| split.served.arms.iter().find(arm_of));
            match served {
                None if arm.as_str() == NOBODY => format!("{share} 503: the weights leave it to nobody"),
                None => format!("{share} to {arm}"),
                Some(served) => {
                    let service = served
                        .service
                        .as_ref()
                        .map_or_else(|| "an address".to_owned(), |it| format!("Service {it}"));
                    format!(
                        "{share} to {service} as {target}, by {}{}{}",
                        owner(&served.mapping),
                        guarded(compiled, route),
                        said(compiled, route)
                    )
                }
            }
        }
    }
}

/// Who may use a route, if not everybody.
fn guarded(compiled: &Compiled, route: &RouteId) -> String {
    let route = compiled.config.routes.get(route);
    let Some(access) = route.and_then(|route| route.filters.access.as_ref()) else { return String::new() };
    let list = |origins: &[Origin]| {
        let origin = |origin: &Origin| match origin {
            Origin::Client(range) => range.to_string(),
            Origin::Peer(range) => format!("connections from {range}"),
        };
        origins.iter().map(origin).collect::<Vec<_>>().join(", ")
    };
    let mut text = String::new();
    if !access.allowed.is_empty() {
        let _ = write!(text, "\n    for clients from {}; others get 403", list(&access.allowed));
    }
    if !access.denied.is_empty() {
        let _ = write!(text, "\n    not for clients from {}: they get 403", list(&access.denied));
    }
    if access.login.is_some() {
        text.push_str("\n    for who shows a name with its password; others get 401");
    }
    text
}

/// What the status of the route's objects says, if anything.
fn said(compiled: &Compiled, route: &RouteId) -> String {
    let mut sentences = Vec::new();
    for arm in compiled.splits.get(&SplitId::new(route.as_str())).into_iter().flat_map(|it| &it.served.arms) {
        let is_told = |(subject, status): &(&Subject, &Status)| {
            let about = match subject {
                Subject::Document(DocumentName { kind: DocumentKind::Mapping, name }, _) => {
                    *name == arm.mapping
                }
                Subject::Ingress(name) => {
                    arm_id(&arm.mapping).as_str() == name.to_string() && is_ingress(&arm.mapping)
                }
                Subject::Document(..) | Subject::Unreadable(..) | Subject::IngressDefaults => false,
            };
            about && status.state == State::Inactive
        };
        let told = compiled.statuses.iter().find(is_told);
        sentences.extend(told.map(|(_, status)| format!("\n    {}: {}", owner(&arm.mapping), status.reason)));
    }
    sentences.concat()
}

fn owners(compiled: &Compiled, route: &RouteId) -> String {
    let split = compiled.splits.get(&SplitId::new(route.as_str()));
    let names: Vec<String> =
        split.into_iter().flat_map(|it| &it.served.arms).map(|arm| owner(&arm.mapping)).collect();
    if names.is_empty() { format!("`{route}`") } else { names.join(" and ") }
}

/// The object behind an arm, as `kubectl` names it.
fn owner(name: &ObjectName) -> String {
    match name.name.strip_prefix(INGRESS) {
        Some(ingress) => format!("Ingress {}/{ingress}", name.namespace),
        None => format!("Mapping {name}"),
    }
}

fn is_ingress(name: &ObjectName) -> bool {
    name.name.starts_with(INGRESS)
}

/// The id of the arm that an object has: of what is told apart, the object's own.
fn arm_id(name: &ObjectName) -> ArmId {
    let own = name.name.strip_prefix(INGRESS).unwrap_or(&name.name);
    let own = own.split(' ').next().unwrap_or(own);
    ArmId::new(format!("{}/{own}", name.namespace))
}

pub(super) fn percent(parts: u32) -> String {
    match (parts / 100, parts % 100) {
        (whole, 0) => format!("{whole} %"),
        (whole, rest) => format!("{whole}.{rest:02} %"),
    }
}

/// The path and what else is asked for.
pub(super) fn path(route: &Route) -> String {
    let mut text = match &route.path {
        PathMatch::Prefix(text) => format!("{text}*"),
        PathMatch::Elements(text) => text.clone(),
        PathMatch::Exact(text) => format!("={text}"),
        PathMatch::Regex(pattern) => format!("~{pattern}"),
    };
    if route.method.is_some() {
        text.push_str(" +method");
    }
    for header in &route.headers {
        let _ = write!(text, " +{}", header.name);
    }
    for parameter in &route.query {
        let _ = write!(text, " +?{}", parameter.name);
    }
    text
}

#[cfg(test)]
mod tests {
    use operator_routes::{
        Compiler, ObjectChange, Settings,
        object::{EmissaryObject, Service, ServiceAddress, ServicePort},
    };
    use serde_json::{Value, json};

    use super::*;

    fn compiled() -> Compiled {
        let mut compiler = Compiler::new(Settings::default());
        let mut mapping = |name: &str, spec: Value| {
            let name = DocumentName { kind: DocumentKind::Mapping, name: ObjectName::new("shop", name) };
            compiler.apply(ObjectChange::Emissary(name, Some(EmissaryObject::new("1", spec))));
        };
        mapping("stable", json!({"hostname": "*", "prefix": "/shop/", "service": "web"}));
        mapping("canary", json!({"hostname": "*", "prefix": "/shop/", "service": "web", "weight": 30}));
        mapping(
            "beta",
            json!({"hostname": "*", "prefix": "/shop/", "service": "gone", "headers": {"x-beta": "1"}}),
        );
        mapping(
            "away",
            json!({"hostname": "a.org", "prefix": "/", "service": "b.org", "host_redirect": true}),
        );
        let service = Service {
            ports: vec![ServicePort { port: 80, ..ServicePort::default() }],
            address: ServiceAddress::ClusterIp([198, 18, 0, 1].into()),
            ..Service::default()
        };
        compiler.apply(ObjectChange::Service(ObjectName::new("shop", "web"), Some(service)));
        compiler.compile();
        compiler.compiled().clone()
    }

    #[test]
    fn the_table_has_a_line_for_each_arm_of_each_route() {
        insta::assert_snapshot!(table(&compiled(), None, None, Paint::Plain));
        assert_eq!(table(&compiled(), None, Some("elsewhere"), Paint::Plain), "");
    }

    #[test]
    fn requests_that_were_counted_are_shown_beside_what_is_configured() {
        let compiled = compiled();
        let splits = compiled.config.routes.values().filter_map(|route| match &route.action {
            Action::Split(split) => Some(split),
            Action::Refuse(_) | Action::Redirect(_) => None,
        });
        let mut page = String::new();
        let arms = splits.flat_map(|split| split.arms.iter().map(move |arm| (&split.id, &arm.id)));
        for ((split, arm), requests) in arms.zip([30, 71]) {
            let _ = writeln!(
                page,
                "sluice_proxy_requests_total{{arm=\"{arm}\",code=\"2xx\",hash=\"h1\",split=\"{split}\"}} {requests}\n\
                 sluice_proxy_requests_total{{arm=\"{arm}\",code=\"2xx\",hash=\"h2\",split=\"{split}\"}} {}",
                requests % 2 * 100
            );
        }
        insta::assert_snapshot!(table(&compiled, Some(&Counts::read(&page)), None, Paint::Plain));
    }

    #[test]
    fn an_explanation_says_who_answers_and_why_others_do_not() {
        let headers = [("x-beta".to_owned(), "1".to_owned())];
        let plain = Request {
            port: 8080,
            tls: false,
            authority: "a.org",
            method: "GET",
            target: "/shop/x",
            headers: &[],
        };
        let beta = Request { headers: &headers, ..plain.clone() };
        let texts = [plain, beta].map(|request| explanation(&compiled(), &request));
        insta::assert_snapshot!(texts.join("\n---\n"));
    }
}
