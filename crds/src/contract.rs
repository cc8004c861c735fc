//! Labels, annotations and names that other programs rely on, byte for byte those of Argo Rollouts.
//!
//! The kubectl plugin, dashboards, Argo CD, users' scripts and Argo's own controller (before and after a take-over)
//! read them. `sluice.dev/…` keys are ours alone.

/// Label on ReplicaSets, their pods and their selectors, and the key that is put into Service selectors.
pub const POD_TEMPLATE_HASH_LABEL: &str = "rollouts-pod-template-hash";

/// Rollout and ReplicaSet annotation: the revision as a decimal number. Also on `AnalysisRuns`.
pub const REVISION_ANNOTATION: &str = "rollout.argoproj.io/revision";

/// ReplicaSet annotation: earlier revisions of the same template, comma separated.
pub const REVISION_HISTORY_ANNOTATION: &str = "rollout.argoproj.io/revision-history";

/// ReplicaSet annotation: `spec.replicas` of the Rollout when the ReplicaSet was last scaled.
pub const DESIRED_REPLICAS_ANNOTATION: &str = "rollout.argoproj.io/desired-replicas";

/// ReplicaSet annotation: JSON of the ephemeral metadata that is applied to the pods.
pub const EPHEMERAL_METADATA_ANNOTATION: &str = "rollout.argoproj.io/ephemeral-metadata";

/// ReplicaSet annotation: RFC 3339 time (UTC) after which the ReplicaSet may be scaled to 0.
pub const SCALE_DOWN_DEADLINE_ANNOTATION: &str = "scale-down-deadline";

/// Rollout annotation: generation of the workload that `workloadRef` names.
pub const WORKLOAD_GENERATION_ANNOTATION: &str = "rollout.argoproj.io/workload-generation";

/// Service annotation: name of the Rollout that owns the Service's selector.
pub const MANAGED_BY_ANNOTATION: &str = "argo-rollouts.argoproj.io/managed-by-rollouts";

/// Label that assigns an object to one of several controllers; absent = the controller without `--instance-id`.
pub const INSTANCE_ID_LABEL: &str = "argo-rollouts.argoproj.io/controller-instance-id";

/// `AnalysisRun` label: [`ROLLOUT_TYPE_STEP`] and its siblings.
pub const ROLLOUT_TYPE_LABEL: &str = "rollout-type";
/// Value of [`ROLLOUT_TYPE_LABEL`]: an analysis step.
pub const ROLLOUT_TYPE_STEP: &str = "Step";
/// Value of [`ROLLOUT_TYPE_LABEL`]: the analysis that runs beside the steps.
pub const ROLLOUT_TYPE_BACKGROUND: &str = "Background";
/// Value of [`ROLLOUT_TYPE_LABEL`]: blue-green, before promotion.
pub const ROLLOUT_TYPE_PRE_PROMOTION: &str = "PrePromotion";
/// Value of [`ROLLOUT_TYPE_LABEL`]: blue-green, after promotion.
pub const ROLLOUT_TYPE_POST_PROMOTION: &str = "PostPromotion";

/// `AnalysisRun` and Experiment label: index of the step that made it.
pub const STEP_INDEX_LABEL: &str = "step-index";

/// ReplicaSet annotation: the Experiment that owns it.
pub const EXPERIMENT_NAME_ANNOTATION: &str = "experiment.argoproj.io/name";
/// ReplicaSet annotation: the Experiment's template that it was made from.
pub const EXPERIMENT_TEMPLATE_NAME_ANNOTATION: &str = "experiment.argoproj.io/template-name";

/// Job label: uid of the AnalysisRun that measures with it.
pub const ANALYSIS_RUN_UID_LABEL: &str = "analysisrun.argoproj.io/uid";
/// Job annotation: name of the AnalysisRun.
pub const ANALYSIS_RUN_NAME_ANNOTATION: &str = "analysisrun.argoproj.io/name";
/// Job annotation: namespace of the AnalysisRun.
pub const ANALYSIS_RUN_NAMESPACE_ANNOTATION: &str = "analysisrun.argoproj.io/namespace";
/// Job annotation: metric that the Job measures.
pub const ANALYSIS_RUN_METRIC_ANNOTATION: &str = "analysisrun.argoproj.io/metric-name";

/// Annotation of kubectl that is never copied from a Rollout to its ReplicaSets.
pub const LAST_APPLIED_ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Annotation of the notification engine that is never copied from a Rollout to its ReplicaSets.
pub const NOTIFIED_ANNOTATION: &str = "notified.notifications.argoproj.io";

/// Suffix of the Mapping that carries the canary's weight; the base name is cut to 246 bytes before it.
pub const CANARY_MAPPING_SUFFIX: &str = "-canary";

/// ReplicaSet annotation: fingerprint of the whole pod template as the user wrote it, unknown fields included.
pub const TEMPLATE_FINGERPRINT_ANNOTATION: &str = "sluice.dev/template-fingerprint";

/// `AnalysisRun` annotation: fingerprint of the spec that it was created with, to tell it from one that was made of other
/// templates.
pub const RUN_FINGERPRINT_ANNOTATION: &str = "sluice.dev/run-fingerprint";

/// Pod label: the pod was chosen to go and takes no new requests.
pub const DRAINING_LABEL: &str = "sluice.dev/draining";

/// Pod annotation beside [`DRAINING_LABEL`]: RFC 3339 time at which the proxies end what the pod still has.
pub const DRAIN_UNTIL_ANNOTATION: &str = "sluice.dev/drain-until";

/// Service annotation: how long a new pod of the Service takes to its full share of requests, such as `30s`.
pub const SLOW_START_ANNOTATION: &str = "sluice.dev/slow-start";

/// Annotation of a Rollout: its `spec.strategy.canary.guard` as JSON, where the CRD that is served does not know the field
/// and drops it. The field goes first.
pub const GUARD_ANNOTATION: &str = "sluice.dev/guard";

/// Annotation of an HTTPRoute or a GRPCRoute: the route of the same kind and namespace whose place it takes. For requests
/// that both match it is asked first, and towards every other route it stands where that one does.
pub const STANDS_IN_ANNOTATION: &str = "sluice.dev/stands-in-for";

/// Pod annotation of Kubernetes by which the ReplicaSet controller chooses which pods to delete first.
pub const POD_DELETION_COST_ANNOTATION: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Of an Experiment whose templates have shares of the requests: [`WEIGHTS_AWAITED`], or [`WEIGHTS_SERVED`] once every proxy
/// serves them. Its time and its analyses begin then.
pub const WEIGHTS_ANNOTATION: &str = "sluice.dev/weights";

/// See [`WEIGHTS_ANNOTATION`].
pub const WEIGHTS_AWAITED: &str = "awaited";

/// See [`WEIGHTS_ANNOTATION`].
pub const WEIGHTS_SERVED: &str = "served";
