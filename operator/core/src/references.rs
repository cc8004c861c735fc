//! What a spec refers to: Services, templates of analyses, Mappings, and other Rollouts that refer to the same.
//!
//! Argo's rules and words (`validation_references.go`), in its order: what is missing first, then what is wrong. Added
//! are: a base Mapping must send to the stable Service, and no two Rollouts share a Service or a Mapping.

pub mod analysis;
mod beside;
pub mod services;

use crds::rollout::status::PingPongRole;
use serde_json::Value;

use crate::key::{self, Kind};
use crate::mapping::{canary_name, service::ServiceAddress};
use crate::spec::{Canary, Invalid, MappingRouting, Routing, Spec, Strategy};
use crate::weight::Weight;
use crate::world::{Claim, Mapping, World};
use crate::{gateway_route, ingress};

const STABLE_INGRESS: &str = "spec.strategy.canary.trafficRouting.nginx.stableIngress";
const MAPPINGS: &str = "spec.strategy.canary.trafficRouting.ambassador.mappings";

/// The first reference that is wrong. Nothing moves while there is one.
pub fn check(world: &World, spec: &Spec) -> Result<(), Invalid> {
    ping_pong_can_end(world, spec)?;
    let services = services::find(world)?;
    let analyses = analysis::find(world, spec)?;
    let routed = routed_canary(spec);
    let routing = routed.map(|(_, routing)| routing);
    let mappings = routing.map_or_else(|| Ok(Vec::new()), |routing| base_mappings(routing, world))?;
    services.iter().try_for_each(|(role, name, service)| services::check(world, *role, name, service))?;
    analyses.iter().try_for_each(|named| analysis::check(world, named))?;
    for (name, mapping) in mappings.iter().filter(|(name, _)| key::parse(name).0 == Kind::Mapping) {
        has_no_weight(name, mapping)?;
    }
    let Some((canary, routing)) = routed else { return Ok(()) };
    mappings.iter().try_for_each(|(key, object)| match key::parse(key) {
        (Kind::Mapping, name) => can_be_split(spec, routing, world, name, object),
        (Kind::Ingress, name) => ingress_can_be_split(spec, routing, world, name, object),
        (Kind::HttpRoute | Kind::GrpcRoute, _) => route_can_be_split(spec, routing, world, key, object),
    })?;
    beside::check(world, canary, routing)
}

/// While the stable version has `pongService`, its requests go by the canary Mapping: without `pingPong` that would be
/// deleted, and the base Mapping sends to the old version.
fn ping_pong_can_end(world: &World, spec: &Spec) -> Result<(), Invalid> {
    let recorded = world.rollout.status.as_ref().and_then(|status| status.canary.stable_ping_pong);
    if spec.ping_pong().is_some() || recorded != Some(PingPongRole::Pong) {
        return Ok(());
    }
    let carries =
        |mapping: &Mapping| mapping.owned && mapping.weight().is_some_and(|weight| weight > Weight::ZERO);
    if world.canary_mappings.values().any(carries) {
        let why =
            "pongService has the stable version: put pingPong back and roll out once more, then remove it";
        return Err(Invalid::forbidden("spec.strategy.canary.pingPong", why));
    }
    Ok(())
}

/// The canary with the Mappings of the strategy, if it has any.
fn routed_canary(spec: &Spec) -> Option<(&Canary, &MappingRouting)> {
    match &spec.strategy {
        Strategy::Canary(canary) => match &canary.routing {
            Routing::Mappings(routing) => Some((canary, routing)),
            Routing::Replicas { .. } => None,
        },
        Strategy::BlueGreen(_) => None,
    }
}

/// The base Mappings, all of which must exist.
fn base_mappings<'w>(
    routing: &'w MappingRouting,
    world: &'w World,
) -> Result<Vec<(&'w str, &'w Mapping)>, Invalid> {
    if routing.names.is_empty() && routing.ingress.is_some() {
        let why = "name the Ingress whose requests are split here, or several in stableIngresses";
        return Err(Invalid::required(STABLE_INGRESS, why));
    }
    if let Some(gateway) = &routing.gateway {
        let field = gateway.field.as_str();
        let own = world.rollout.metadata.namespace.as_deref().unwrap_or_default();
        if gateway.namespace.as_deref().is_some_and(|it| it != own) {
            let why =
                "this version of Sluice splits routes of the Rollout's own namespace; put the route there";
            return Err(Invalid::forbidden(format!("{field}.namespace"), why));
        }
        if routing.names.is_empty() {
            let why = "name the HTTPRoute whose requests are split in httpRoute, or several in httpRoutes";
            return Err(Invalid::required(field, why));
        }
    }
    if routing.names.is_empty() {
        return Err(Invalid::value(MAPPINGS, &Value::Null, "must provide at least one mapping"));
    }
    let find = |name: &'w String| {
        if let Some(mapping) = world.mapping(name) {
            Ok((name.as_str(), mapping))
        } else {
            let (kind, name) = key::parse(name);
            let why = format!("{} \"{name}\" not found", kind.resource());
            Err(Invalid::value(field(routing, kind), name, why))
        }
    };
    routing.names.iter().map(find).collect()
}

/// The field that names objects of this kind.
fn field(routing: &MappingRouting, kind: Kind) -> &str {
    match kind {
        Kind::Mapping => MAPPINGS,
        Kind::Ingress => STABLE_INGRESS,
        Kind::HttpRoute | Kind::GrpcRoute => {
            routing.gateway.as_ref().map_or("spec.strategy.canary.trafficRouting", |it| it.field.as_str())
        }
    }
}

fn has_no_weight(name: &str, mapping: &Mapping) -> Result<(), Invalid> {
    match mapping.object.pointer("/spec/weight") {
        None | Some(Value::Null) => Ok(()),
        Some(weight) if weight.as_f64() == Some(0.0) => Ok(()),
        Some(_) => {
            let why = format!("Ambassador mapping \"{name}\" can not define weight");
            Err(Invalid::value("spec.weight", name, why))
        }
    }
}

/// The Mapping sends to the stable Service, is nobody else's, and the name of its canary Mapping is free.
fn can_be_split(
    spec: &Spec,
    routing: &MappingRouting,
    world: &World,
    name: &str,
    mapping: &Mapping,
) -> Result<(), Invalid> {
    let namespace = world.rollout.metadata.namespace.as_deref().unwrap_or_default();
    let sends_to = |mapping: &Mapping, service: &str| {
        let address =
            mapping.object.pointer("/spec/service").and_then(Value::as_str).and_then(ServiceAddress::parse);
        address.is_some_and(|address| address.names(service, namespace))
    };
    let (base, copy) = (routing.base_service(), routing.copy_service());
    let (base_field, copy_field) = match routing.ping_pong {
        None => ("stableService", "canaryService"),
        Some(_) => ("pingService", "pongService"),
    };
    if !sends_to(mapping, base) {
        let why = format!(
            "Ambassador mapping \"{name}\" must send to the {base_field} \"{base}\" of its namespace"
        );
        let service = mapping.object.pointer("/spec/service").unwrap_or(&Value::Null);
        return Err(Invalid::value("spec.service", service, why));
    }
    let holder = holder(world, &Claim::Mapping(name.to_owned()), None);
    if holder != spec.name {
        let why = format!(
            "Ambassador mapping \"{name}\" is already split by Rollout \"{holder}\"; a mapping can be in one Rollout only"
        );
        return Err(Invalid::value(MAPPINGS, name, why));
    }
    let canary = canary_name(name);
    match world.canary_mappings.get(&canary) {
        // Argo's own canary Mapping, at a take-over, has no owner but sends to the canary Service.
        Some(existing) if !existing.owned && !sends_to(existing, copy) => {
            let why = format!(
                "Ambassador mapping \"{canary}\" exists, does not belong to this Rollout and does not send to the \
                 {copy_field}; rename or delete it"
            );
            Err(Invalid::value(MAPPINGS, name, why))
        }
        Some(_) | None => Ok(()),
    }
}

/// A rule of the Ingress sends to the stable Service, it is nobody else's, and the name of its canary Ingress is free.
fn ingress_can_be_split(
    spec: &Spec,
    routing: &MappingRouting,
    world: &World,
    name: &str,
    ingress: &Mapping,
) -> Result<(), Invalid> {
    let stable = routing.base_service();
    if !ingress::sends_to(&ingress.object, stable) {
        let why = format!("ingress `{name}` has no rules using service {stable} backend");
        return Err(Invalid::value(STABLE_INGRESS, name, why));
    }
    let key = ingress::key(name);
    let holder = holder(world, &Claim::Mapping(key.clone()), None);
    if holder != spec.name {
        let why = format!(
            "ingress `{name}` is already split by Rollout \"{holder}\"; an ingress can be in one Rollout only"
        );
        return Err(Invalid::value(STABLE_INGRESS, name, why));
    }
    let canary = MappingRouting::copy_name(&spec.name, &key);
    match world.canary_mappings.get(&canary) {
        Some(existing) if !existing.owned => {
            let why = format!(
                "{} exists and does not belong to this Rollout; rename or delete it",
                key::show(&canary)
            );
            Err(Invalid::value(STABLE_INGRESS, name, why))
        }
        Some(_) | None => Ok(()),
    }
}

/// A rule of the route has both Services, and it is nobody else's.
fn route_can_be_split(
    spec: &Spec,
    routing: &MappingRouting,
    world: &World,
    key: &str,
    route: &Mapping,
) -> Result<(), Invalid> {
    let (kind, name) = key::parse(key);
    let services = routing.services();
    if !gateway_route::has_both(&route.object, services) {
        let why = format!(
            "no rule of {} has both Services in its backendRefs: \"{}\" and \"{}\"; add the missing one, the canary with \
             weight 0",
            key::show(key),
            services.stable,
            services.canary
        );
        return Err(Invalid::value(field(routing, kind), name, why));
    }
    let holder = holder(world, &Claim::Mapping(key.to_owned()), None);
    if holder != spec.name {
        let why = format!(
            "{} is already split by Rollout \"{holder}\"; a route can be in one Rollout only",
            key::show(key)
        );
        return Err(Invalid::value(field(routing, kind), name, why));
    }
    Ok(())
}

/// The Rollout that may use an object: the one that is noted on it if it claims it, else the oldest that does (by
/// name among equally old ones).
fn holder<'w>(world: &'w World, claim: &Claim, noted: Option<&str>) -> &'w str {
    let metadata = &world.rollout.metadata;
    let created = metadata.creation_timestamp.as_ref().map_or(i64::MAX, |time| time.0.as_second());
    let ours = (created, metadata.name.as_deref().unwrap_or_default());
    let rivals = world.rivals.iter().filter(|rival| rival.claim == *claim);
    let claims = rivals.map(|rival| (rival.created.timestamp(), rival.rollout.as_str())).chain([ours]);
    let holder = claims.min_by_key(|(created, name)| (noted != Some(name), *created, *name));
    holder.map_or(ours.1, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::DateTime;
    use crds::rollout::PodMetadata;
    use serde_json::json;

    use super::*;
    use crate::traffic::Traffic;
    use crate::world::{Analyses, Lookup, Rival, Service};

    fn world() -> World {
        let rollout = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": "shop", "namespace": "prod", "creationTimestamp": "2030-01-02T00:00:00Z"},
            "spec": {
                "selector": {"matchLabels": {"app": "shop"}},
                "template": {
                    "metadata": {"labels": {"app": "shop"}},
                    "spec": {"containers": [{"name": "web", "image": "shop:1"}]},
                },
                "strategy": {"canary": {
                    "stableService": "stable",
                    "canaryService": "canary",
                    "trafficRouting": {"ambassador": {"mappings": ["shop"]}},
                }},
            },
        });
        let service = Service {
            uid: "s".to_owned(),
            resource_version: "1".to_owned(),
            selector: BTreeMap::from([("app".to_owned(), "shop".to_owned())]),
            managed_by: None,
            ports: Vec::new(),
        };
        World {
            guard: None,
            now: DateTime::UNIX_EPOCH,
            rollout: serde_json::from_value(rollout).unwrap(),
            replica_sets: Vec::new(),
            pods: Vec::new(),
            workload: None,
            services: ["stable", "canary"].map(|it| (it.to_owned(), Lookup::Found(service.clone()))).into(),
            mappings: BTreeMap::from([("shop".to_owned(), Lookup::Found(mapping("stable", false)))]),
            canary_mappings: BTreeMap::new(),
            analysis: Analyses::default(),
            experiments: BTreeMap::new(),
            rivals: Vec::new(),
            traffic: Traffic::NotConfigured,
        }
    }

    fn mapping(service: &str, owned: bool) -> Mapping {
        Mapping {
            uid: "m".to_owned(),
            resource_version: "1".to_owned(),
            owned,
            deleting: false,
            changed_by: None,
            object: json!({"spec": {"prefix": "/", "service": service}}),
        }
    }

    fn rival(name: &str, day: u32, claim: Claim) -> Rival {
        let created = format!("2030-01-{day:02}T00:00:00Z").parse().unwrap();
        Rival { rollout: name.to_owned(), created, claim }
    }

    /// The message after a change of a world in which all is well; empty if it still is.
    fn message(change: impl FnOnce(&mut World)) -> String {
        let mut world = world();
        change(&mut world);
        let spec = Spec::parse(&world.rollout).unwrap();
        check(&world, &spec).err().map(|invalid| invalid.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(message(|_| {}), "");
        assert_eq!(
            message(|world| {
                world.services.insert("canary".to_owned(), Lookup::Missing);
            }),
            "spec.strategy.canary.canaryService: Invalid value: \"canary\": service \"canary\" not found"
        );
        assert_eq!(
            message(|world| world.mappings.clear()),
            "spec.strategy.canary.trafficRouting.ambassador.mappings: Invalid value: \"shop\": \
             mappings.getambassador.io \"shop\" not found"
        );
    }

    #[test]
    fn no_mapping_is_refused() {
        let message = message(|world| {
            let canary = world.rollout.spec.strategy.canary.as_mut().unwrap();
            canary.traffic_routing.as_mut().unwrap().ambassador.as_mut().unwrap().mappings.clear();
        });
        assert!(message.ends_with("must provide at least one mapping"), "{message}");
    }

    #[test]
    fn a_base_mapping_sends_to_the_stable_service() {
        let message = message(|world| {
            world.mappings.insert("shop".to_owned(), Lookup::Found(mapping("stable.test", false)));
        });
        assert!(message.contains("must send to the stableService \"stable\""), "{message}");
    }

    #[test]
    fn a_mapping_in_the_place_of_the_canary_mapping_is_not_overwritten() {
        let with = |it: Mapping| {
            message(|world| {
                world.canary_mappings.insert("shop-canary".to_owned(), it);
            })
        };
        assert_eq!(with(mapping("elsewhere", true)), "");
        assert_eq!(with(mapping("canary", false)), "");
        assert!(with(mapping("elsewhere", false)).contains("rename or delete it"));
    }

    #[test]
    fn a_service_may_select_by_what_its_pods_carry_in_their_role() {
        let by_role = |world: &mut World, name: &str| {
            let metadata = PodMetadata {
                labels: [("role".to_owned(), "stable".to_owned())].into(),
                ..PodMetadata::default()
            };
            let canary = world.rollout.spec.strategy.canary.as_mut().unwrap();
            canary.stable_metadata = Some(metadata);
            if let Some(Lookup::Found(service)) = world.services.get_mut(name) {
                service.selector.insert("role".to_owned(), "stable".to_owned());
            }
        };
        let message = |name: &str| {
            let mut world = world();
            by_role(&mut world, name);
            let (role, name, service) =
                services::find(&world).unwrap().into_iter().find(|(_, found, _)| *found == name).unwrap();
            services::check(&world, role, name, service).err().map(|invalid| invalid.to_string())
        };
        assert_eq!(message("stable"), None);
        let refused = "spec.strategy.canary.canaryService: Invalid value: \"canary\": \
                       Service \"canary\" has unmatch label \"role\" in rollout";
        assert_eq!(message("canary").as_deref(), Some(refused));
    }

    #[test]
    fn the_older_rollout_keeps_what_two_claim() {
        let service = || Claim::Service("stable".to_owned());
        let refused = "spec.strategy.canary.stableService: Invalid value: \"stable\": \
                       Service \"stable\" is managed by another Rollout";
        assert_eq!(message(|world| world.rivals.push(rival("old", 1, service()))), refused);
        assert_eq!(message(|world| world.rivals.push(rival("young", 3, service()))), "");
        let mapping = Claim::Mapping("shop".to_owned());
        assert!(message(|world| world.rivals.push(rival("old", 1, mapping))).contains("Rollout \"old\""));
    }

    #[test]
    fn the_annotation_of_a_service_decides_before_age() {
        let note = |world: &mut World, name: &str| {
            if let Some(Lookup::Found(service)) = world.services.get_mut("stable") {
                service.managed_by = Some(name.to_owned());
            }
        };
        let service = || Claim::Service("stable".to_owned());
        assert_eq!(message(|world| note(world, "deleted")), "");
        assert_eq!(
            message(|world| {
                world.rivals.push(rival("old", 1, service()));
                note(world, "shop");
            }),
            ""
        );
        assert_ne!(
            message(|world| {
                world.rivals.push(rival("young", 3, service()));
                note(world, "young");
            }),
            ""
        );
    }
}
