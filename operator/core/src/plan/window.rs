//! `rollbackWindow`: a rollback to a recent version skips the steps (reference §2.12).
//!
//! Nothing else is skipped: traffic moves when the pods of the older version are there, proxies confirm it, and an
//! abort is an abort. (Argo sends everything to a version without pods, and takes an abort back.)

use super::scene::Scene;

/// The template is that of an older version than the stable one, with fewer versions made in between than the window
/// is wide.
pub(super) fn is_rollback(scene: &Scene<'_>) -> bool {
    let Some(((new, stable), width)) = scene.new.zip(scene.stable).zip(scene.spec.rollback_window) else {
        return false;
    };
    let between =
        scene.others.iter().filter(|set| new.created < set.created && set.created < stable.created).count();
    new.created < stable.created && between < width
}
