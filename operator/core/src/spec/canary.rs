//! `spec.strategy.canary`.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use crds::rollout::status::PingPongRole;
use crds::rollout::{
    CanaryStrategy, NginxTrafficRouting, PodMetadata, ReplicaProgressThreshold, TrafficRouting,
};

use super::{
    Amount, AntiAffinity, Background, DEFAULT_DRAIN_DEADLINE_SECONDS, DEFAULT_SCALE_DOWN_DELAY_SECONDS,
    DEFAULT_SETTLE_SECONDS, DEFAULT_WARN_AFTER_SECONDS, GatewayRouting, Guard, Invalid, ManagedRoute, Step,
    gateway, seconds, validate,
};
use crate::analysis::Role;
use crate::gateway_route::Services;
use crate::key::{self, Kind};
use crate::weight::Total;
use crate::{ingress, mapping};

/// `spec.strategy.canary`.
#[derive(Clone, Debug, PartialEq)]
pub struct Canary {
    /// The steps, in order; none means a rolling update or a direct shift.
    pub steps: Vec<Step>,
    /// `analysis`: what runs beside the steps.
    pub analysis: Option<Background>,
    /// Who splits the traffic, and the Services.
    pub routing: Routing,
    /// `maxSurge`: pods above `replicas`. Basic canary only.
    pub max_surge: Amount,
    /// `maxUnavailable`: pods that may be missing. Basic canary only.
    pub max_unavailable: Amount,
    /// `minPodsPerReplicaSet`: least size of the canary once it has any; 0 with a basic canary.
    pub min_pods: i32,
    /// `dynamicStableScale`: the stable version shrinks as its traffic does. Never with a basic canary.
    pub dynamic_stable_scale: bool,
    /// `replicaProgressThreshold`: how many of the wanted pods are enough for a step.
    pub threshold: Option<ReplicaProgressThreshold>,
    /// `canaryMetadata`: what the pods of a new version carry.
    pub canary_metadata: Option<PodMetadata>,
    /// `stableMetadata`: what the pods of the stable version carry.
    pub stable_metadata: Option<PodMetadata>,
    /// `antiAffinity`: how strictly a new version stays off the nodes of the stable one.
    pub anti_affinity: Option<AntiAffinity>,
    /// How long the old version keeps running after promotion, at least. Zero with a basic canary, and with
    /// `dynamicStableScale`.
    pub scale_down_delay: TimeDelta,
    /// How many old ReplicaSets may wait for their scale-down at the same time; `None`: any number.
    pub scale_down_delay_revision_limit: Option<usize>,
    /// How long the canary keeps running after an abort, at least; `None`: for ever (written as 0). Zero with a basic
    /// canary.
    pub abort_scale_down_delay: Option<TimeDelta>,
    /// `guard`: what a judge watches.
    pub guard: Option<Guard>,
}

impl Canary {
    /// `stable`: which of the Services of `pingPong` has the stable version, as recorded in the status.
    pub(super) fn read(
        canary: &CanaryStrategy,
        guard: Option<Guard>,
        stable: Option<PingPongRole>,
    ) -> Result<Self, Invalid> {
        let routing = Routing::read(canary, stable)?;
        let routed = routing.is_routed();
        let dynamic = routed && canary.dynamic_stable_scale;
        let delay = |written: Option<i32>| match written {
            _ if !routed => TimeDelta::zero(),
            written => seconds(written.unwrap_or(DEFAULT_SCALE_DOWN_DELAY_SECONDS).max(0)),
        };
        Ok(Self {
            steps: canary
                .steps
                .iter()
                .enumerate()
                .map(|(index, step)| Step::read(index, step, routing.total()))
                .collect::<Result<_, _>>()?,
            analysis: canary
                .analysis
                .as_ref()
                .map_or(Ok(None), |it| Background::read(&Role::Background.path(), it))?,
            max_surge: Amount::read("maxSurge", canary.max_surge.as_ref())?,
            max_unavailable: Amount::read("maxUnavailable", canary.max_unavailable.as_ref())?,
            min_pods: if routed { canary.min_pods_per_replica_set.unwrap_or_default().max(0) } else { 0 },
            dynamic_stable_scale: dynamic,
            threshold: canary.replica_progress_threshold,
            canary_metadata: canary.canary_metadata.clone(),
            stable_metadata: canary.stable_metadata.clone(),
            anti_affinity: canary.anti_affinity.as_ref().and_then(AntiAffinity::read),
            scale_down_delay: if dynamic {
                TimeDelta::zero()
            } else {
                delay(canary.scale_down_delay_seconds)
            },
            scale_down_delay_revision_limit: canary
                .scale_down_delay_revision_limit
                .map(|limit| usize::try_from(limit).unwrap_or_default()),
            abort_scale_down_delay: match canary.abort_scale_down_delay_seconds {
                Some(0) if routed => None,
                written => Some(delay(written)),
            },
            routing,
            guard,
        })
    }
}

impl Canary {
    /// Every managed route that some step sets, with the step's index.
    pub fn managed_routes(&self) -> impl Iterator<Item = (usize, &ManagedRoute)> {
        self.steps.iter().enumerate().filter_map(|(index, step)| match step {
            Step::SetRoute(route) => Some((index, route)),
            Step::SetWeight(_)
            | Step::Pause(_)
            | Step::SetCanaryScale(_)
            | Step::Analysis(_)
            | Step::Experiment(_) => None,
        })
    }
}

/// Who splits the traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one of a Rollout")]
pub enum Routing {
    /// Nobody: the share of pods is the share of traffic (basic canary). The Services are optional.
    Replicas {
        /// `stableService`.
        stable_service: Option<String>,
        /// `canaryService`.
        canary_service: Option<String>,
    },
    /// Mappings (`getambassador.io`), Ingresses, or routes of the Gateway API.
    Mappings(MappingRouting),
}

/// `trafficRouting.ambassador`, `nginx` or `gatewayAPI`, with what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingRouting {
    /// The [keys](crate::key) of the objects that are split, without repetition, in the order written. An empty list is
    /// refused by [`crate::references::check`], as in Argo.
    pub names: Vec<String>,
    /// The Service of the stable version.
    pub stable_service: String,
    /// The Service of the canary.
    pub canary_service: String,
    /// `pingPong`, and which of its Services is the stable one now. The roles above follow from it.
    pub ping_pong: Option<PingPongRole>,
    /// When a weight counts as served.
    pub confirm: Confirm,
    /// What canary Ingresses are annotated with; `None`: no Ingresses are split.
    pub ingress: Option<IngressRouting>,
    /// How routes of the Gateway API are split; `None`: none are.
    pub gateway: Option<GatewayRouting>,
}

/// What canary Ingresses are annotated with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressRouting {
    /// `annotationPrefix`.
    pub prefix: String,
    /// `additionalIngressAnnotations`, which get the prefix where they have it not.
    pub additional: BTreeMap<String, String>,
    /// `canaryIngressAnnotations`, as they are.
    pub own: BTreeMap<String, String>,
    /// `maxTrafficWeight`, where it is written.
    pub total: Option<Total>,
}

impl IngressRouting {
    fn read(nginx: &NginxTrafficRouting, most: Option<i32>) -> Self {
        let prefix = nginx.annotation_prefix.clone();
        Self {
            prefix: prefix.unwrap_or_else(|| "nginx.ingress.kubernetes.io".to_owned()),
            additional: nginx.additional_ingress_annotations.clone(),
            own: nginx.canary_ingress_annotations.clone(),
            total: most.and_then(Total::new),
        }
    }
}

/// `trafficRouting.confirm`, defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// Time to wait after a write where the data plane cannot acknowledge.
    pub settle: TimeDelta,
    /// Time without an acknowledgement until a Warning says so.
    pub warn_after: TimeDelta,
    /// Longest time a pod waits for its requests before it goes.
    pub drain_deadline: TimeDelta,
}

impl MappingRouting {
    /// The base Mappings send to the canary, and their copies to the stable version: with `pingPong`, every other
    /// revision. A base always sends to `pingService`, and its copy to `pongService`.
    #[must_use]
    pub fn base_is_canary(&self) -> bool {
        self.ping_pong == Some(PingPongRole::Pong) && self.gateway.is_none()
    }

    /// What weights are parts of.
    #[must_use]
    pub fn total(&self) -> Total {
        self.ingress.as_ref().and_then(|ingress| ingress.total).unwrap_or(Total::PERCENT)
    }

    /// The two Services as a route of the Gateway API has them.
    #[must_use]
    pub fn services(&self) -> Services<'_> {
        Services { stable: &self.stable_service, canary: &self.canary_service }
    }

    /// The keys of the objects that managed routes are made beside: all, or those that Argo's plugin is told.
    pub fn with_managed_routes(&self) -> impl Iterator<Item = &String> {
        self.names.iter().filter(|name| {
            self.gateway.as_ref().is_none_or(|gateway| gateway.with_header_routes.contains(*name))
        })
    }

    /// The key of what has the canary's weight: the copy that a Rollout makes beside a base, or the base itself.
    #[must_use]
    pub fn copy_name(rollout: &str, base: &str) -> String {
        match key::parse(base) {
            (Kind::Mapping, name) => mapping::canary_name(name),
            (Kind::Ingress, name) => ingress::canary_key(rollout, name),
            (Kind::HttpRoute | Kind::GrpcRoute, _) => base.to_owned(),
        }
    }

    /// The Service that the base Mappings send to.
    #[must_use]
    pub fn base_service(&self) -> &str {
        if self.base_is_canary() { &self.canary_service } else { &self.stable_service }
    }

    /// The Service that the canary Mappings, their copies, send to.
    #[must_use]
    pub fn copy_service(&self) -> &str {
        if self.base_is_canary() { &self.stable_service } else { &self.canary_service }
    }
}

impl Routing {
    fn read(canary: &CanaryStrategy, stable: Option<PingPongRole>) -> Result<Self, Invalid> {
        let (stable_service, canary_service, ping_pong) = services(canary, stable);
        let Some(routing) = &canary.traffic_routing else {
            return Ok(Self::Replicas { stable_service, canary_service });
        };
        Ok(Self::Mappings(MappingRouting {
            names: split_objects(routing),
            stable_service: stable_service.ok_or_else(|| validate::service_missing("stableService"))?,
            canary_service: canary_service.ok_or_else(|| validate::service_missing("canaryService"))?,
            ping_pong,
            confirm: Confirm::read(routing.confirm),
            ingress: routing
                .nginx
                .as_ref()
                .map(|nginx| IngressRouting::read(nginx, routing.max_traffic_weight)),
            gateway: GatewayRouting::read(routing)?.map(|(gateway, _)| gateway),
        }))
    }

    /// What weights are parts of.
    #[must_use]
    pub fn total(&self) -> Total {
        match self {
            Self::Replicas { .. } => Total::PERCENT,
            Self::Mappings(routing) => routing.total(),
        }
    }

    /// Somebody splits the traffic.
    #[must_use]
    pub fn is_routed(&self) -> bool {
        match self {
            Self::Replicas { .. } => false,
            Self::Mappings(_) => true,
        }
    }

    /// `stableService`.
    #[must_use]
    pub fn stable_service(&self) -> Option<&str> {
        match self {
            Self::Replicas { stable_service, .. } => stable_service.as_deref(),
            Self::Mappings(routing) => Some(&routing.stable_service),
        }
    }

    /// `canaryService`.
    #[must_use]
    pub fn canary_service(&self) -> Option<&str> {
        match self {
            Self::Replicas { canary_service, .. } => canary_service.as_deref(),
            Self::Mappings(routing) => Some(&routing.canary_service),
        }
    }

    /// The base Mappings; none with a basic canary.
    #[must_use]
    pub fn mappings(&self) -> &[String] {
        match self {
            Self::Replicas { .. } => &[],
            Self::Mappings(routing) => &routing.names,
        }
    }
}

/// The [keys](crate::key) of the objects that a spec names to be split, whether or not it is valid. Without repetition, in
/// the order written.
#[must_use]
pub fn split_objects(routing: &TrafficRouting) -> Vec<String> {
    let mappings = routing.ambassador.iter().flat_map(|ambassador| &ambassador.mappings).cloned();
    let nginx =
        routing.nginx.iter().flat_map(|nginx| nginx.stable_ingress.iter().chain(&nginx.stable_ingresses));
    let ingresses = nginx.map(|name| ingress::key(name));
    let mut keys: Vec<String> = Vec::new();
    for key in mappings.chain(ingresses).chain(gateway::named(routing)) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// The stable and the canary Service. Until a role is recorded, `pingService` is the stable one.
fn services(
    canary: &CanaryStrategy,
    stable: Option<PingPongRole>,
) -> (Option<String>, Option<String>, Option<PingPongRole>) {
    let routed = canary.traffic_routing.is_some();
    let Some(roles) = canary.ping_pong.as_ref().filter(|_| routed) else {
        return (canary.stable_service.clone(), canary.canary_service.clone(), None);
    };
    let [base, copy] = [&roles.ping_service, &roles.pong_service].map(|name| Some(name.clone()));
    match stable.unwrap_or(PingPongRole::Ping) {
        PingPongRole::Ping => (base, copy, Some(PingPongRole::Ping)),
        PingPongRole::Pong => (copy, base, Some(PingPongRole::Pong)),
    }
}

/// Where nothing is written.
impl Default for Confirm {
    fn default() -> Self {
        Self::read(None)
    }
}

impl Confirm {
    fn read(written: Option<crds::rollout::Confirm>) -> Self {
        let confirm = written.unwrap_or_default();
        let or = |written: Option<i32>, default: i32| seconds(written.unwrap_or(default).max(0));
        Self {
            settle: or(confirm.settle_seconds, DEFAULT_SETTLE_SECONDS),
            warn_after: or(confirm.warn_after_seconds, DEFAULT_WARN_AFTER_SECONDS),
            drain_deadline: or(confirm.drain_deadline_seconds, DEFAULT_DRAIN_DEADLINE_SECONDS),
        }
    }
}
