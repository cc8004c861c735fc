//! Experiments, pure: ReplicaSets that run beside each other for a while, and the analyses that judge them.
//!
//! The words and the order of things are those of Argo Rollouts (its `experiments`, `utils/experiment`,
//! `utils/conditions`), so that Experiments end the same way and say the same. Where it differs, the place says why.
//!
//! | module | what it does |
//! |---|---|
//! | [`world`] | one moment of the cluster, as far as one Experiment is concerned |
//! | [`plan`](plan()) | one pass over it |
//! | [`validate`] | what an Experiment may ask for |
//! | [`arguments`] | `{{templates.NAME.podTemplateHash}}` and its siblings |
//!
//! Architecture invariant: this crate knows no client, no clock and no random source, and nothing of Rollouts but how
//! templates of analyses become a run and pod templates a hash.

pub mod arguments;
pub mod plan;
pub mod validate;
pub mod world;

pub use self::plan::plan;
pub use self::world::World;
