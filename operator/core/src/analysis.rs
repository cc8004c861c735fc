//! From the templates that a Rollout or an Experiment names to the `AnalysisRun` that it starts.
//!
//! Argo's rules and words (`utils/analysis`, reference §2.19 and §7.3). Nothing here decides when a run starts: that is
//! [`crate::plan`]'s.
//!
//! | file | idea |
//! |---|---|
//! | `role` | what a run is for |
//! | `templates` | the templates of an analysis, nested ones included |
//! | `merge` | many templates and the Rollout's own rules as one run |
//! | `arguments`, `field` | the values that a Rollout gives |

pub mod arguments;
mod field;
pub mod merge;
mod role;
pub mod templates;

pub use self::arguments::Facts;
pub use self::role::Role;
pub use self::templates::Template;
