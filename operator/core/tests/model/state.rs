//! One state of the model: a few bytes, so that millions fit, and canonical, so that equal states are found again.
//!
//! - The clock stands still and times grow older: all times are ticks relative to now, and those that no deadline can
//!   reach any more are equal.
//! - A `resourceVersion` says only which of two versions of an object is newer, so versions are numbered anew from 1.
//! - Proxies have no names: they are sorted.

use std::hash::{DefaultHasher, Hash, Hasher as _};

/// How many proxies there can be.
pub(crate) const PROXIES: usize = 3;

/// The oldest time that is told from older ones, in ticks before now: longer than every deadline of the fixture.
pub(crate) const OLDEST: i8 = 6;

/// A version of the pod template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Image {
    V1,
    V2,
    V3,
}

impl Image {
    pub(crate) const ALL: [Self; 3] = [Self::V1, Self::V2, Self::V3];

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// A number for every image.
pub(crate) type PerImage<T> = [T; 3];

/// A canonical status, kept by the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StatusId(pub(crate) u32);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) objects: Objects,
    pub(crate) fleet: Fleet,
    /// What somebody saw earlier and still believes.
    pub(crate) view: Option<Box<View>>,
}

/// The objects in the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Objects {
    pub(crate) rollout: Rollout,
    pub(crate) sets: PerImage<Option<ReplicaSet>>,
    pub(crate) stable: Service,
    pub(crate) canary: Service,
    pub(crate) mapping: Option<Mapping>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rollout {
    pub(crate) image: Image,
    pub(crate) replicas: u8,
    pub(crate) paused: bool,
    /// The status is about this spec.
    pub(crate) observed: bool,
    pub(crate) status: StatusId,
    /// The annotation; 0 if there is none.
    pub(crate) revision: u8,
    pub(crate) version: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ReplicaSet {
    pub(crate) uid: u8,
    pub(crate) version: u8,
    pub(crate) replicas: u8,
    /// Pods that are ready; the others exist and are not.
    pub(crate) available: u8,
    /// `desired-replicas`.
    pub(crate) desired: Option<u8>,
    pub(crate) revision: u8,
    /// The last number of `revision-history`, where the strategy reads it.
    pub(crate) earlier: Option<u8>,
    /// `scale-down-deadline`, in ticks from now.
    pub(crate) deadline: Option<i8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Service {
    /// What it selects; `None`: all pods.
    pub(crate) image: Option<Image>,
    pub(crate) version: u8,
}

/// The canary Mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mapping {
    pub(crate) weight: u8,
    pub(crate) version: u8,
    /// The version it was created with stands for its uid.
    pub(crate) uid: u8,
}

/// The config server and the proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fleet {
    pub(crate) server: Server,
    /// Requests under way to the pods of each image.
    pub(crate) requests: PerImage<bool>,
    pub(crate) proxies: [Option<Proxy>; PROXIES],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Server {
    Up,
    /// It compiles and sends nothing for now.
    Behind,
    /// The operator cannot ask it.
    Unreachable,
}

/// A proxy that may carry traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Proxy {
    /// The operator knows what it serves.
    pub(crate) known: bool,
    /// It acknowledges nothing for now.
    pub(crate) stuck: bool,
    /// What it serves; `None` while it has never been told.
    pub(crate) served: Option<Content>,
    /// What it was sent and has not acknowledged: it may serve that too.
    pub(crate) sent: Option<Content>,
}

/// The one split as it was compiled at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Content {
    /// Ready pods in the stable arm.
    pub(crate) stable: PerImage<u8>,
    /// The canary arm, if there is a canary Mapping.
    pub(crate) canary: Option<CanaryArm>,
    pub(crate) stable_version: u8,
    pub(crate) canary_version: u8,
    pub(crate) mapping_version: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CanaryArm {
    pub(crate) weight: u8,
    pub(crate) ready: PerImage<u8>,
}

/// An earlier moment that somebody still acts on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct View {
    pub(crate) whose: Whose,
    pub(crate) objects: Objects,
    pub(crate) fleet: Fleet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    /// The operator's own caches of these objects lag. They never fall behind what it has written itself.
    Cache(Store),
    /// A second operator that has lost the lease: it made its plan then, and carries it out later.
    Other,
}

/// Which caches lag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Store {
    Rollout,
    ReplicaSets,
    Proxies,
    All,
}

impl State {
    /// Identifies the state. Two states share one by chance once in 10^5 searches of 10^7 states.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// The same state in its one form.
    pub(crate) fn canonical(mut self) -> Self {
        self.fleet.proxies.sort_unstable();
        let mut view = self.view.take();
        if let Some(view) = &mut view {
            view.fleet.proxies.sort_unstable();
        }
        for class in [rollout_versions, stable_versions, canary_versions, mapping_versions] {
            let mut used = 0_u64;
            let mut note = |version: &mut u8| used |= 1 << *version;
            class(&mut self.objects, &mut self.fleet, &mut note);
            if let Some(view) = &mut view {
                class(&mut view.objects, &mut view.fleet, &mut note);
            }
            // 0 stands for "no object" and stays.
            let rank = |version: u8| ((used & !1) & ((1 << version) - 1)).count_ones() + 1;
            let mut renumber = |version: &mut u8| {
                if *version > 0 {
                    *version = u8::try_from(rank(*version)).expect("few versions");
                }
            };
            class(&mut self.objects, &mut self.fleet, &mut renumber);
            if let Some(view) = &mut view {
                class(&mut view.objects, &mut view.fleet, &mut renumber);
            }
        }
        for image in Image::ALL {
            renumber_sets(&mut self.objects, view.as_deref_mut(), image.index());
        }
        self.view = view;
        self
    }
}

type Visit<'v> = &'v mut dyn FnMut(&mut u8);

fn rollout_versions(objects: &mut Objects, _: &mut Fleet, visit: Visit<'_>) {
    visit(&mut objects.rollout.version);
}

fn stable_versions(objects: &mut Objects, fleet: &mut Fleet, visit: Visit<'_>) {
    visit(&mut objects.stable.version);
    contents_mut(fleet).for_each(|content| visit(&mut content.stable_version));
}

fn canary_versions(objects: &mut Objects, fleet: &mut Fleet, visit: Visit<'_>) {
    visit(&mut objects.canary.version);
    contents_mut(fleet).for_each(|content| visit(&mut content.canary_version));
}

fn mapping_versions(objects: &mut Objects, fleet: &mut Fleet, visit: Visit<'_>) {
    if let Some(mapping) = &mut objects.mapping {
        visit(&mut mapping.version);
        visit(&mut mapping.uid);
    }
    contents_mut(fleet).for_each(|content| visit(&mut content.mapping_version));
}

fn contents_mut(fleet: &mut Fleet) -> impl Iterator<Item = &mut Content> {
    fleet.proxies.iter_mut().flatten().flat_map(|proxy| proxy.served.iter_mut().chain(&mut proxy.sent))
}

/// Only a view tells versions and uids of ReplicaSets apart.
fn renumber_sets(objects: &mut Objects, view: Option<&mut View>, index: usize) {
    let held = objects.sets[index].as_mut();
    let seen = view.and_then(|view| view.objects.sets[index].as_mut());
    match (held, seen) {
        (Some(held), Some(seen)) => {
            let same = (held.uid == seen.uid, held.version == seen.version);
            (seen.uid, seen.version) = (1, 1);
            (held.uid, held.version) = (if same.0 { 1 } else { 2 }, if same.1 { 1 } else { 2 });
        }
        (Some(only), None) | (None, Some(only)) => (only.uid, only.version) = (1, 1),
        (None, None) => {}
    }
}
