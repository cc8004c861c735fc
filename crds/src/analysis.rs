//! `AnalysisTemplate`, `ClusterAnalysisTemplate` and `AnalysisRun`: metrics that decide whether a version is good.

pub mod metric;
pub mod run;
pub mod sluice;
pub mod template;

pub use self::metric::{Metric, MetricProvider};
pub use self::run::{
    AnalysisPhase, AnalysisRun, AnalysisRunSpec, AnalysisRunStatus, Measurement, MetricResult, RunSummary,
    TtlStrategy,
};
pub use self::sluice::{ErrorRateMetric, LatencyMetric, RequestRateMetric, SluiceMetric};
pub use self::template::{
    AnalysisTemplate, AnalysisTemplateSpec, Argument, ClusterAnalysisTemplate, ClusterAnalysisTemplateSpec,
    DryRun, FieldRef, MeasurementRetention, SecretKeyRef, ValueFrom,
};
