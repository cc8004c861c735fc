//! A trace in lines that a person can read: every move, why the operator does what it does, and the state after it.

use std::fmt::{self, Write as _};

use super::model::{Model, Planner};
use super::moves::Move;
use super::scene::Scene;
use super::search::Trace;
use super::state::{Content, Image, PerImage, Proxy, Server, State, Store};

impl Trace {
    /// The violation and the story that leads to it.
    pub(crate) fn story(&self, planner: Planner) -> String {
        let mut model = Model::new(self.strategy, planner);
        let mut state = self.start.state(&mut model);
        let mut text = format!("{}\n", self.violation);
        let line = |text: &mut String, it: &str, state: &State, model: &Model| {
            let status = model.status(&state.objects);
            let phase = status.phase.map_or("-", crds::rollout::RolloutPhase::as_str);
            let step = status.current_step_index.map_or_else(|| "-".to_owned(), |step| step.to_string());
            let stable = model.stable(&state.objects).map_or_else(|| "-".to_owned(), |it| it.to_string());
            let flags = [(status.abort, " aborted"), (status.promote_full, " promoted in full")];
            let flags: String = flags.into_iter().filter(|(set, _)| *set).map(|(_, word)| word).collect();
            writeln!(text, "  {it:<34} {phase} step {step} stable {stable}{flags} | {state}")
                .expect("a String takes text");
        };
        line(&mut text, &format!("{:?}", self.start), &state, &model);
        for it in &self.moves {
            let scene = Scene::of(&mut model, &state);
            let name = match it {
                Move::Pass => format!("pass: {}", shortened(&model, &scene.why())),
                other => other.to_string(),
            };
            match scene.make(&mut model, &state, *it) {
                Ok(next) => state = next,
                Err(violation) => {
                    writeln!(text, "  {name:<34} -> {violation}").expect("a String takes text");
                    return text;
                }
            }
            line(&mut text, &name, &state, &model);
        }
        text
    }
}

/// Images instead of hashes.
fn shortened(model: &Model, text: &str) -> String {
    Image::ALL
        .into_iter()
        .fold(text.to_owned(), |text, image| text.replace(model.hash(image), &image.to_string()))
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V3 => "v3",
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let objects = &self.objects;
        let rollout = &objects.rollout;
        write!(f, "wants {} of {}", rollout.replicas, rollout.image)?;
        if rollout.paused {
            f.write_str(" paused")?;
        }
        f.write_str(" | pods")?;
        for image in Image::ALL {
            if let Some(set) = objects.sets[image.index()] {
                write!(f, " {image} {}/{}", set.available, set.replicas)?;
                if let Some(deadline) = set.deadline {
                    write!(f, " (goes at {deadline})")?;
                }
            }
            if self.fleet.requests[image.index()] {
                write!(f, " ({image} has requests)")?;
            }
        }
        let selected =
            |image: Option<Image>| image.map_or_else(|| "all".to_owned(), |image| image.to_string());
        write!(f, " | Services {} {}", selected(objects.stable.image), selected(objects.canary.image))?;
        match objects.mapping {
            Some(mapping) => write!(f, " weight {}", mapping.weight)?,
            None => f.write_str(" no canary Mapping")?,
        }
        match self.fleet.server {
            Server::Up => f.write_str(" | proxies")?,
            Server::Behind => f.write_str(" | server behind, proxies")?,
            Server::Unreachable => f.write_str(" | server unreachable, proxies")?,
        }
        for proxy in self.fleet.proxies.iter().flatten() {
            write!(f, " [{proxy}]")?;
        }
        if let Some(view) = &self.view {
            write!(f, " | {:?} believes: wants {}", view.whose, view.objects.rollout.image)?;
        }
        Ok(())
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [(!self.known, "unknown "), (self.stuck, "stuck ")];
        for (_, word) in flags.into_iter().filter(|(set, _)| *set) {
            f.write_str(word)?;
        }
        match &self.served {
            Some(content) => write!(f, "{content}")?,
            None => f.write_str("new")?,
        }
        match &self.sent {
            Some(content) => write!(f, " <- {content}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pods = |f: &mut fmt::Formatter<'_>, ready: PerImage<u8>| {
            let ready = Image::ALL.into_iter().map(|image| (image, ready[image.index()]));
            let words: Vec<String> =
                ready.filter(|it| it.1 > 0).map(|(image, ready)| format!("{ready}x{image}")).collect();
            f.write_str(if words.is_empty() { "nobody".to_owned() } else { words.join("+") }.as_str())
        };
        pods(f, self.stable)?;
        if let Some(canary) = self.canary {
            write!(f, ", {}% ", canary.weight)?;
            pods(f, canary.ready)?;
        }
        Ok(())
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("pass"),
            Self::Crash(effects) => write!(f, "crash after effect {effects}"),
            Self::Lag(store) => f.write_str(match store {
                Store::Rollout => "the cache of the Rollout lags",
                Store::ReplicaSets => "the cache of ReplicaSets lags",
                Store::Proxies => "news of the proxies lag",
                Store::All => "all caches lag",
            }),
            Self::CatchUp => f.write_str("the caches catch up"),
            Self::OtherPlans => f.write_str("another operator plans"),
            Self::OtherActs => f.write_str("the other operator acts"),
            Self::Tick => f.write_str("10 s pass"),
            Self::PodUp(image) => write!(f, "a pod of {image} is available"),
            Self::PodDown(image) => write!(f, "a pod of {image} fails"),
            Self::SetGone(image) => write!(f, "ReplicaSet {image} is deleted"),
            Self::RequestStarts(image) => write!(f, "a request to {image} starts"),
            Self::RequestsEnd(image) => write!(f, "the requests to {image} end"),
            Self::Acknowledge(proxy) => write!(f, "proxy {proxy} acknowledges"),
            Self::Stuck(proxy) => write!(f, "proxy {proxy} hangs"),
            Self::Unstuck(proxy) => write!(f, "proxy {proxy} goes on"),
            Self::Forgotten(proxy) => write!(f, "proxy {proxy} reconnects"),
            Self::Joins => f.write_str("a proxy joins"),
            Self::Leaves(proxy) => write!(f, "proxy {proxy} leaves"),
            Self::Server(Server::Up) => f.write_str("the config server works again"),
            Self::Server(Server::Behind) => f.write_str("the config server falls behind"),
            Self::Server(Server::Unreachable) => f.write_str("the config server is unreachable"),
            Self::SetImage(image) => write!(f, "user: image {image}"),
            Self::Scale(replicas) => write!(f, "user: {replicas} replicas"),
            Self::Pause(true) => f.write_str("user: pause"),
            Self::Pause(false) => f.write_str("user: unpause"),
            Self::Abort => f.write_str("user: abort"),
            Self::Retry => f.write_str("user: retry"),
            Self::Promote => f.write_str("user: promote"),
            Self::PromoteFull => f.write_str("user: promote in full"),
            Self::DeleteMapping => f.write_str("somebody deletes the canary Mapping"),
            Self::SetWeight(weight) => write!(f, "somebody sets weight {weight}"),
            Self::ResetService => f.write_str("somebody resets the canary Service"),
        }
    }
}
