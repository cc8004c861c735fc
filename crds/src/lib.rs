//! Every Kubernetes kind that Sluice reads or writes, one file a kind.
//!
//! | file | kinds |
//! |---|---|
//! | [`rollout`] | `Rollout` (`argoproj.io/v1alpha1`) |
//! | [`analysis`] | `AnalysisTemplate`, `ClusterAnalysisTemplate`, `AnalysisRun` |
//! | [`experiment`] | `Experiment` |
//! | [`mapping`], [`host`], [`listener`], [`tls_context`], [`module`], [`tcp_mapping`], [`resolver`] | `getambassador.io` |
//!
//! The names, the JSON and the meaning of every field are those of Argo Rollouts and Emissary, so that manifests
//! move over unchanged. [`contract`] holds the labels and annotations that are part of that promise.
//! The `CustomResourceDefinition`s are generated from these types by [`yaml`].
//!
//! Architecture invariant: this crate knows no client, no clock and no random source.

pub mod analysis;
pub mod contract;
pub mod experiment;
pub mod go_json;
pub mod rollout;
pub mod schema;

pub use analysis::{AnalysisRun, AnalysisTemplate, ClusterAnalysisTemplate};
pub use experiment::Experiment;
pub use rollout::Rollout;
