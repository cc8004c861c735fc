//! The decision: [`World`] in, [`Plan`] out.
//!
//! Level-triggered, and made of the status that was recorded last: what a plan decides now is acted on by the next one,
//! as in Argo. The shell carries out the effects in order, records the status if it differs, and tells the events then.
//!
//! | file | idea |
//! |---|---|
//! | `scene` | the world as the decision reads it |
//! | `template` | one ReplicaSet: created, scaled, released, and how it stands |
//! | `service` | its Service |
//! | `analysis` | one AnalysisRun: begun, followed, told to end |
//! | `verdict` | what the Experiment has come to |
//! | `conditions` | the same in conditions |
//! | `manifest` | objects as they are created |
//! | `refused` | what the API server does not allow |

mod analysis;
mod conditions;
mod draft;
mod manifest;
mod refused;
mod scene;
mod service;
mod template;
mod verdict;

use crds::experiment::ExperimentStatus;
use operator_core::effect::{Effect, Event};
use operator_core::plan::Wake;

use self::draft::Draft;
pub use self::refused::refused;
pub(crate) use self::scene::Scene;
use crate::validate;
use crate::world::World;

/// What to do now, what to record, what to tell, and when to look again.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a plan that is not executed changes nothing"]
pub struct Plan {
    /// What to change in the cluster, in this order.
    pub effects: Vec<Effect>,
    /// The status to record after the effects, whole. The write is refused (and the plan made again) if the
    /// Experiment's `resourceVersion` is not the world's.
    pub status: ExperimentStatus,
    /// What to tell once that is recorded.
    pub news: Vec<News>,
    /// When to plan again.
    pub wake: Wake,
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// What happened.
    pub event: Event,
    /// Whether the Rollout that the Experiment belongs to is told as well.
    pub concerns_rollout: bool,
}

/// Decides the next move of one Experiment. Pure: the same world gives the same plan.
pub fn plan(world: &World) -> Plan {
    let scene = Scene::new(world);
    let mut draft = Draft::new(&scene);
    if world.experiment.metadata.deletion_timestamp.is_some() {
        return draft.finish(&scene);
    }
    if let Err(message) = validate::experiment(&world.experiment) {
        conditions::record_invalid(&scene, &message, &mut draft);
        return draft.finish(&scene);
    }
    for template in &scene.spec.templates {
        template::act(&scene, template, &mut draft);
    }
    for analysis in &scene.spec.analyses {
        analysis::act(&scene, analysis, &mut draft);
    }
    analysis::end_others(&scene, &mut draft);
    verdict::conclude(&scene, &mut draft);
    conditions::record(&scene, &mut draft);
    draft.finish(&scene)
}
