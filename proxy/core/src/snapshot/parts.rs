//! What of a route is compiled: patterns, texts and names.

use std::sync::Arc;

use http::HeaderValue;
use proxy_config::{
    model::{self, Route},
    pattern::PatternError,
};

use super::{Action, HostRewrite, Rule, Transform, builder::same};
use crate::{
    filters::{Edits, Filters},
    rewrite::{Redirect, Rewrite},
    router::Condition,
};

/// What of a route has to be compiled, but for its match.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) filters: Option<Arc<Filters>>,
    pub(super) redirect: Option<Arc<Redirect>>,
    /// In the order of the arms.
    pub(super) transforms: Vec<Arc<Transform>>,
    /// In the order of the mirrors.
    pub(super) mirrors: Vec<Condition>,
}

impl Parts {
    /// Of a route; what does not differ from the rule that it had is taken from there. Arms that change nothing share
    /// `untouched`: most do.
    pub(super) fn new(
        route: &Arc<Route>,
        past: Option<&Rule>,
        untouched: &Arc<Transform>,
    ) -> Result<Self, PatternError> {
        let past = past.filter(|it| same(&it.route, route));
        let mut parts = Self {
            filters: match past {
                Some(past) => past.filters.clone(),
                None => Filters::new(&route.filters)?.map(Arc::new),
            },
            ..Self::default()
        };
        match (&route.action, past.map(|it| &it.action)) {
            (model::Action::Refuse(_), _) => {}
            (model::Action::Redirect(_), Some(Action::Redirect(redirect))) => {
                parts.redirect = Some(Arc::clone(redirect));
            }
            (model::Action::Redirect(redirect), _) => {
                parts.redirect = Some(Arc::new(Redirect::new(redirect, route)?));
            }
            (model::Action::Split(split), past) => {
                parts.mirrors = split.mirrors.iter().map(Condition::of_mirror).collect::<Result<_, _>>()?;
                parts.transforms = if let Some(Action::Split(past)) = past {
                    past.arms.iter().map(|it| Arc::clone(&it.transform)).collect()
                } else {
                    let transform = |arm| {
                        if changes_nothing(arm) {
                            Ok(Arc::clone(untouched))
                        } else {
                            Transform::new(arm, route).map(Arc::new)
                        }
                    };
                    split.arms.iter().map(transform).collect::<Result<_, _>>()?
                };
            }
        }
        Ok(parts)
    }
}

fn changes_nothing(arm: &model::Arm) -> bool {
    arm.rewrite == model::Rewrite::None
        && arm.host_rewrite == model::HostRewrite::Keep
        && arm.request_headers.is_empty()
        && arm.response_headers.is_empty()
}

impl Transform {
    fn new(arm: &model::Arm, route: &Route) -> Result<Self, PatternError> {
        Ok(Self {
            rewrite: Rewrite::new(&arm.rewrite, route)?,
            host: match &arm.host_rewrite {
                model::HostRewrite::Literal(host) => {
                    HeaderValue::from_str(host).map_or(HostRewrite::Keep, HostRewrite::Literal)
                }
                model::HostRewrite::Keep => HostRewrite::Keep,
                model::HostRewrite::Endpoint => HostRewrite::Endpoint,
            },
            request: Edits::new(&arm.request_headers),
            response: Edits::new(&arm.response_headers),
        })
    }
}
