//! `setHeaderRoute` and `setMirrorRoute`: routes beside the weighted one, for requests that match.

use crds::rollout::step::{self, SetHeaderRoute, SetMirrorRoute};

use crate::weight::Weight;

/// What a step does with one of the `managedRoutes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedRoute {
    /// Its name.
    pub name: String,
    /// What becomes of the requests that match.
    pub action: Action,
    /// Which requests: those that satisfy one of these. None: the route goes.
    pub conditions: Vec<Condition>,
}

/// What becomes of the requests of a managed route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// They go to the canary, whatever the weight.
    Send,
    /// This share of them is copied to the canary, which answers nobody.
    Mirror(Weight),
}

/// All of it must hold of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Of the method.
    pub method: Option<Text>,
    /// Of the path.
    pub path: Option<Text>,
    /// Of headers, by name.
    pub headers: Vec<(String, Text)>,
}

/// What a text has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// This.
    Exact(String),
    /// Begin so.
    Prefix(String),
    /// Match this expression as a whole.
    Regex(String),
}

impl ManagedRoute {
    pub(super) fn headers(route: &SetHeaderRoute) -> Self {
        let condition = |it: &step::HeaderRoutingMatch| {
            let value = it.header_value.as_ref().and_then(Text::read);
            let headers = value.map(|value| (it.header_name.clone(), value)).into_iter().collect();
            Condition { headers, ..Condition::default() }
        };
        Self {
            name: route.name.clone().unwrap_or_default(),
            action: Action::Send,
            conditions: route.matches.iter().map(condition).collect(),
        }
    }

    /// A percentage outside 0 to 100 counts as the nearest one.
    pub(super) fn mirror(route: &SetMirrorRoute) -> Self {
        let condition = |it: &step::RouteMatch| Condition {
            method: it.method.as_ref().and_then(Text::read),
            path: it.path.as_ref().and_then(Text::read),
            headers: it
                .headers
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), Text::read(value)?)))
                .collect(),
        };
        Self {
            name: route.name.clone(),
            action: Action::Mirror(route.percentage.map_or(Weight::FULL, Weight::of_percent)),
            conditions: route.matches.iter().map(condition).collect(),
        }
    }
}

impl Text {
    /// `None` if nothing is asked for, which validation refuses.
    fn read(written: &step::StringMatch) -> Option<Self> {
        let exact = written.exact.clone().map(Self::Exact);
        let prefix = || written.prefix.clone().map(Self::Prefix);
        exact.or_else(prefix).or_else(|| written.regex.clone().map(Self::Regex))
    }
}
