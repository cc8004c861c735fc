//! `metrics[]`: what is measured, how often, and when it is good.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SluiceMetric;
use crate::go_json;

/// One metric.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Name, unique within a run.
    pub name: String,
    /// Time between measurements, as a Go duration. Required if `count` is more than 1.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// Time before the first measurement, as a Go duration.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub initial_delay: Option<String>,
    /// Number of measurements; absent = 1, or with an interval no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<IntOrString>,
    /// Expression over `result` that must be true for a good measurement.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub success_condition: Option<String>,
    /// Expression over `result` that is true for a bad measurement; wins over `successCondition`.
    #[serde(default, deserialize_with = "go_json::non_empty", skip_serializing_if = "Option::is_none")]
    pub failure_condition: Option<String>,
    /// Bad measurements that are tolerated; absent = 0, -1 = any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_limit: Option<IntOrString>,
    /// Inconclusive measurements that are tolerated; absent = 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inconclusive_limit: Option<IntOrString>,
    /// Errors in a row that are tolerated; absent = 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_error_limit: Option<IntOrString>,
    /// Good measurements in a row that end the metric as successful; absent or 0 = off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_success_limit: Option<IntOrString>,
    /// Who measures: exactly one.
    #[serde(default, deserialize_with = "go_json::null_is_zero")]
    pub provider: MetricProvider,
}

/// Who measures. Exactly one field is set; what is in it belongs to the provider and is read when it measures.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricProvider {
    /// What Sluice's proxies have counted. Where Argo's definitions are installed, which have no such field,
    /// `plugin.sluice` says the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sluice: Option<SluiceMetric>,
    /// `{address, query, timeout, insecure, headers[{key, value}], authentication, rangeQuery{start, end, step}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub prometheus: Option<Value>,
    /// `{method, url, headers[{key, value}], body, jsonBody, timeoutSeconds, jsonPath, insecure, authentication}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub web: Option<Value>,
    /// `{metadata, spec}` of a Kubernetes Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub job: Option<Value>,
    /// `{query | queries and formula, interval, apiVersion, aggregator, secretRef{name, namespaced}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub datadog: Option<Value>,
    /// `{profile, query, timeout}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub new_relic: Option<Value>,
    /// `{interval, metricDataQueries[]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub cloud_watch: Option<Value>,
    /// `{address, query}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub graphite: Option<Value>,
    /// `{profile, query}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub influxdb: Option<Value>,
    /// `{address, query, interval}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub skywalking: Option<Value>,
    /// `{address, query}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub wavefront: Option<Value>,
    /// `{address, application, canaryConfigName, accounts, threshold{pass, marginal}, scopes[], lookback}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub kayenta: Option<Value>,
    /// Metric plugins of Argo by name, each with its own configuration. The one that is named `sluice` is no plugin, but
    /// another way to write `sluice`.
    #[serde(default, deserialize_with = "go_json::null_is_zero", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub plugin: BTreeMap<String, Value>,
}

impl MetricProvider {
    /// The name of the plugin that stands for the field `sluice`.
    pub const SLUICE_PLUGIN: &'static str = "sluice";

    /// What is asked of Sluice's proxies, however it is written; `None`: nothing.
    ///
    /// # Errors
    /// If what is written as a plugin is not what the field takes.
    pub fn asked_of_proxies(&self) -> Result<Option<SluiceMetric>, serde_json::Error> {
        match (&self.sluice, self.plugin.get(Self::SLUICE_PLUGIN)) {
            (Some(metric), _) => Ok(Some(metric.clone())),
            (None, Some(written)) => SluiceMetric::deserialize(written).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// Argo's names of the providers that are set, in Argo's order; a plugin counts as one of its own.
    pub fn named(&self) -> impl Iterator<Item = &'static str> {
        let Self {
            sluice,
            prometheus,
            web,
            job,
            datadog,
            new_relic,
            cloud_watch,
            graphite,
            influxdb,
            skywalking,
            wavefront,
            kayenta,
            plugin,
        } = self;
        let known = [
            (prometheus.is_some(), "Prometheus"),
            (job.is_some(), "Job"),
            (kayenta.is_some(), "Kayenta"),
            (web.is_some(), "Web"),
            (datadog.is_some(), "Datadog"),
            (wavefront.is_some(), "Wavefront"),
            (new_relic.is_some(), "NewRelic"),
            (cloud_watch.is_some(), "CloudWatch"),
            (graphite.is_some(), "Graphite"),
            (influxdb.is_some(), "Influxdb"),
            (skywalking.is_some(), "skywalking"),
            (sluice.is_some(), "Sluice"),
        ];
        let known = known.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name);
        known.chain(std::iter::repeat_n("RPCPlugin", plugin.len()))
    }
}
