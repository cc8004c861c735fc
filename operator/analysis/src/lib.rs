//! Runs of analysis, pure: which metrics to measure when, what a measurement means, and when a run is over.
//!
//! The words and the order of things are those of Argo Rollouts (its `analysis/analysis.go`, `utils/evaluate`,
//! `utils/analysis`), so that runs end the same way and say the same.
//!
//! | module | what it does |
//! |---|---|
//! | [`plan`](plan()) | one pass over a run |
//! | [`assess`] | the verdict on a metric from its counts |
//! | [`condition`] | the verdict on one measurement |
//! | [`expression`] | the language of conditions |
//! | [`arguments`] | `{{args.name}}`, and secrets that stay secret |
//! | [`validate`] | what a metric may ask for |
//! | [`traffic`] | what the provider `sluice` is asked, and what it answers |
//!
//! Architecture invariant: this crate knows no client, no clock and no random source, and nothing of Rollouts.

pub mod arguments;
pub mod assess;
pub mod condition;
pub mod expression;
pub mod plan;
pub mod rules;
pub mod traffic;
pub mod validate;

pub use self::plan::plan;
