//! What one changed route costs a proxy that has thousands, from its message to the next snapshot: `cargo xtask bench
//! changes` runs this.

#![expect(clippy::print_stdout, reason = "the figures are what a bench is for")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock and its command line")]

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use proxy_config::{
    model::{
        Action, Address, Arm, ArmId, Case, Change, Cluster, ClusterId, Endpoint, Epoch, Filters, HostMatch,
        HostRewrite, Key, PathMatch, Position, Rank, Rewrite, Route, RouteId, Share, Split, SplitId, Version,
    },
    wire::config::{self as wire, to_proxy::Message},
};
use proxy_core::{
    intake::{Intake, Step},
    snapshot::{Builder, Snapshot},
};
use serde_json::{Value, json};

/// Which hosts the rules are for.
#[derive(Clone, Copy)]
enum Hosts {
    /// Every one.
    Any,
    /// Each rule one of its own.
    Own,
}

fn route(number: usize, hosts: Hosts, timeout_ms: u32) -> Change {
    let arm = Arm {
        id: ArmId::new("only"),
        share: Share::WHOLE,
        cluster: ClusterId::new(format!("cluster-{number}")),
        rewrite: Rewrite::None,
        host_rewrite: HostRewrite::Keep,
        timeout_ms: Some(timeout_ms),
        idle_timeout_ms: None,
        total_timeout_ms: None,
        request_headers: Vec::new(),
        response_headers: Vec::new(),
    };
    let split = Split { id: SplitId::new(format!("split-{number}")), arms: vec![arm], mirrors: Vec::new() };
    Change::Route(Arc::new(Route {
        id: route_id(number),
        rank: Rank(number.to_be_bytes().to_vec()),
        host: match hosts {
            Hosts::Any => HostMatch::Any,
            Hosts::Own => HostMatch::Exact(format!("host-{number}.example.org")),
        },
        path: PathMatch::Elements(format!("/team-{}/service-{number}", number % 97)),
        case: Case::Counts,
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
        listeners: Vec::new(),
        classes: Vec::new(),
        to_https: None,
        filters: Filters::default(),
        action: Action::Split(split),
    }))
}

fn route_id(number: usize) -> RouteId {
    RouteId::new(format!("http/bench/route-{number}"))
}

fn cluster(number: usize) -> Change {
    let [.., high, low] = number.to_be_bytes();
    let endpoint = Endpoint {
        address: Address::Socket(([198, 18, high, low], 8080).into()),
        version: Version::default(),
        pod: format!("pod-{number}").into(),
        draining: None,
        zones: Vec::new(),
    };
    let id = ClusterId::new(format!("cluster-{number}"));
    Change::Cluster(Arc::new(Cluster::plain(id, 1_000, vec![endpoint])))
}

/// A proxy without workers.
#[derive(Default)]
struct Proxy {
    intake: Intake,
    builder: Builder,
    /// As workers do.
    served: Arc<Snapshot>,
    seq: u64,
}

impl Proxy {
    /// Takes a commit with these changes. Says how long that took.
    fn commit(&mut self, changes: Vec<Change>) -> Duration {
        self.seq += 1;
        let position = Position { epoch: Epoch { created: 1, transitions: 1 }, seq: self.seq };
        let messages: Vec<wire::ToProxy> = changes.into_iter().map(Into::into).collect();
        let commit = wire::Commit { position: Some(position.into()), full: self.seq == 1 };
        let started = Instant::now();
        for message in messages {
            drop(self.intake.receive(message));
        }
        match self.intake.receive(wire::ToProxy { message: Some(Message::Commit(commit)) }) {
            Step::Take(commit) => {
                let snapshot = self.builder.build(Arc::clone(&commit.config), || 42);
                self.served = snapshot.expect("there is no pattern in it");
                self.intake.taken(commit);
            }
            step => unreachable!("what is sent can be served: {step:?}"),
        }
        started.elapsed()
    }

    /// The median of how long each of some single changes takes.
    fn median(&mut self, times: usize, change: impl Fn(usize) -> Change) -> Duration {
        let mut all: Vec<Duration> = (0..times).map(|it| self.commit(vec![change(it)])).collect();
        all.sort_unstable();
        all[all.len() / 2]
    }
}

fn milliseconds(time: Duration) -> Value {
    json!((time.as_secs_f64() * 1e6).round() / 1e3)
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let quick = arguments.iter().any(|it| it == "--quick");
    let file = arguments.iter().position(|it| it == "--json").and_then(|at| arguments.get(at + 1));
    let (routes, times) = if quick { (1_000, 20) } else { (10_000, 200) };
    let mut figures = BTreeMap::new();

    for (hosts, name) in [(Hosts::Any, "every host"), (Hosts::Own, "hosts of their own")] {
        let name = format!("{routes} routes for {name}");
        let mut proxy = Proxy::default();
        let all = (0..routes).flat_map(|it| [cluster(it), route(it, hosts, 1_000)]);
        let cold = proxy.commit(all.collect());
        figures.insert(format!("{name}: from nothing, ms"), milliseconds(cold));
        let change = proxy.median(times, |it| route(it * 31 % routes, hosts, 2_000));
        figures.insert(format!("{name}: one is edited, ms"), milliseconds(change));
        let change = proxy.median(times, |it| match it % 2 {
            0 => Change::Removed(Key::Route(route_id(it / 2 * 31 % routes))),
            _ => route(it / 2 * 31 % routes, hosts, 1_000),
        });
        figures.insert(format!("{name}: one goes or comes, ms"), milliseconds(change));
        let change = proxy.median(times, |it| match cluster(it * 31 % routes) {
            Change::Cluster(cluster) => {
                let slower = Cluster { connect_timeout_ms: 2_000, ..Cluster::clone(&cluster) };
                Change::Cluster(Arc::new(slower))
            }
            other => other,
        });
        figures.insert(format!("{name}: one cluster is edited, ms"), milliseconds(change));
    }

    let width = figures.keys().map(String::len).max().unwrap_or_default();
    for (name, figure) in &figures {
        println!("{name:<width$} {figure}");
    }
    if let Some(file) = file {
        let text = serde_json::to_string_pretty(&figures).expect("figures are JSON") + "\n";
        std::fs::write(file, text).expect("the file of the figures can be written");
    }
}
