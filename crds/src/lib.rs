//! Every Kubernetes kind that Sluice reads or writes, one file a kind.
//!
//! | file | kinds |
//! |---|---|
//! | [`rollout`] | `Rollout` (`argoproj.io/v1alpha1`) |
//! | [`analysis`] | `AnalysisTemplate`, `ClusterAnalysisTemplate`, `AnalysisRun` |
//! | [`experiment`] | `Experiment` |
//! | [`mapping`] | `Mapping` (`getambassador.io`, v1, v2 and v3alpha1) |
//! | [`gateway`] | the specs of `gateway.networking.k8s.io`: `Gateway`, `HTTPRoute`, … |
//! | [`host`], [`listener`], [`tls_context`], [`module`], [`tcp_mapping`], [`resolver`] | the rest of `getambassador.io` |
//! | [`object_status`] | the status of those of them that have none in Emissary |
//!
//! The names, the JSON and the meaning of every field are those of Argo Rollouts and Emissary, so that manifests
//! move over unchanged. [`contract`] holds the labels and annotations that are part of that promise.
//!
//! [`duration`] reads durations as they are written in all of them.
//!
//! The definitions for the API server come from these types: [`definition`]. [`read()`] reads an object and, if that
//! fails, says where it is wrong.
//!
//! Architecture invariant: this crate knows no client, no clock and no random source.

pub mod analysis;
pub mod contract;
pub mod definition;
pub mod duration;
pub mod experiment;
pub mod gateway;
pub mod go_json;
pub mod host;
pub mod listener;
pub mod mapping;
pub mod module;
pub mod object_status;
pub mod read;
pub mod resolver;
pub mod rollout;
pub mod schema;
pub mod shapes;
pub mod tcp_mapping;
pub mod tls_context;

pub use analysis::{AnalysisRun, AnalysisTemplate, ClusterAnalysisTemplate};
pub use experiment::Experiment;
pub use host::Host;
pub use listener::Listener;
pub use mapping::Mapping;
pub use module::Module;
pub use read::{Unreadable, read};
pub use resolver::{ConsulResolver, KubernetesEndpointResolver, KubernetesServiceResolver};
pub use rollout::Rollout;
pub use tcp_mapping::TCPMapping;
pub use tls_context::TLSContext;
