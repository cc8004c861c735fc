//! `cloudWatch`: the values of Amazon's `GetMetricData`, by its JSON protocol.
//!
//! The result is the list of its results, with Amazon's names: `result[0].Values`. Region and credentials are those of
//! the operator, as with Argo.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use crds::duration;
use http::Method;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use operator_analysis::expression::{Value as Measured, float_text};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::{
    Sample,
    amazon::{Account, Amazon},
    client::{Http, Request},
};

const TIMEOUT: Duration = Duration::from_secs(30);

/// How far back is asked where nothing is said, as Argo does.
const INTERVAL: TimeDelta = TimeDelta::minutes(5);

/// The operation, as the protocol names it.
const OPERATION: &str = "GraniteServiceVersion20100801.GetMetricData";

/// `provider.cloudWatch`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CloudWatch {
    #[serde(default)]
    interval: String,
    #[serde(default)]
    metric_data_queries: Vec<Query>,
}

/// Read as Argo writes it, sent as Amazon does.
#[derive(Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase", serialize = "PascalCase"))]
struct Query {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expression: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metric_stat: Option<MetricStat>,
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    period: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    return_data: Option<bool>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase", serialize = "PascalCase"))]
struct MetricStat {
    metric: Metric,
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    period: Option<i64>,
    #[serde(default, rename(deserialize = "stat", serialize = "Stat"))]
    statistic: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    unit: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase", serialize = "PascalCase"))]
struct Metric {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dimensions: Option<Vec<Dimension>>,
    #[serde(rename(deserialize = "metricName", serialize = "MetricName"))]
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase", serialize = "PascalCase"))]
struct Dimension {
    name: String,
    value: String,
}

/// What is answered.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    #[serde(default)]
    metric_data_results: Vec<Series>,
    #[serde(default)]
    messages: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Series {
    id: Option<String>,
    label: Option<String>,
    #[serde(default)]
    messages: Vec<Message>,
    status_code: Option<String>,
    #[serde(default)]
    timestamps: Vec<f64>,
    #[serde(default)]
    values: Vec<Number>,
}

/// A number, or a text for those that JSON does not have.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(f64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    #[serde(default)]
    code: String,
    #[serde(default)]
    value: String,
}

/// What a refusal says.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default, rename = "__type")]
    kind: String,
    #[serde(default, alias = "Message")]
    message: String,
}

/// Takes a measurement.
pub(super) async fn measure(
    http: &Http,
    amazon: &Amazon,
    configuration: &Value,
    now: DateTime<Utc>,
) -> Result<Sample, String> {
    let CloudWatch { interval, metric_data_queries } = CloudWatch::deserialize(configuration)
        .map_err(|it| format!("provider.cloudWatch cannot be read: {it}"))?;
    let interval = match interval.as_str() {
        "" => INTERVAL,
        written => duration::parse(written).map_err(|it| it.to_string())?,
    };
    let account = Account::default();
    let asked = json!({
        "StartTime": (now - interval).timestamp(),
        "EndTime": now.timestamp(),
        "MetricDataQueries": metric_data_queries,
    });
    let mut request = Request {
        method: Method::POST,
        url: endpoint(amazon, &amazon.region(&account)?),
        headers: [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", OPERATION)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        body: asked.to_string().into_bytes(),
        insecure: false,
        timeout: TIMEOUT,
    };
    amazon.sign("monitoring", &account, &mut request).await?;
    let answer = http.send(request).await.map_err(|it| it.to_string())?;
    if !answer.status.is_success() {
        let Refusal { kind, message } = serde_json::from_slice(&answer.body).unwrap_or_default();
        let kind = kind.rsplit_once('#').map_or(kind.as_str(), |(_, kind)| kind);
        return Err(format!("CloudWatch refuses with status {}: {kind}: {message}", answer.status.as_u16()));
    }
    let reply = serde_json::from_slice(&answer.body)
        .map_err(|it| format!("the answer is not that of CloudWatch: {it}"))?;
    Ok(sample(reply))
}

/// As Amazon's clients find it.
fn endpoint(amazon: &Amazon, region: &str) -> String {
    let said = ["AWS_ENDPOINT_URL_CLOUDWATCH", "AWS_ENDPOINT_URL"];
    said.into_iter().find_map(|it| amazon.variable(it)).unwrap_or_else(|| {
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("https://monitoring.{region}.{domain}/")
    })
}

fn sample(reply: Reply) -> Sample {
    let Reply { metric_data_results, messages } = reply;
    let results: Vec<(Measured, String)> = metric_data_results.into_iter().map(result).collect();
    let texts: Vec<&str> = results.iter().map(|(_, text)| text.as_str()).collect();
    let text = format!("[{}]", texts.join(" "));
    let mut sample =
        Sample::new(Measured::list(results.into_iter().map(|(result, _)| result).collect()), text);
    if !messages.is_empty() {
        let said: Vec<String> = messages.iter().map(|it| format!("{}: {}", it.code, it.value)).collect();
        sample.metadata.insert("messages".to_owned(), said.join("; "));
    }
    sample
}

/// A result, and its values in words.
fn result(series: Series) -> (Measured, String) {
    let Series { id, label, messages, status_code, timestamps, values } = series;
    let values: Vec<f64> = values.into_iter().map(Number::get).collect();
    let texts: Vec<String> = values.iter().copied().map(float_text).collect();
    let text = |it: Option<String>| it.map_or(Measured::Nil, Measured::text);
    let messages = messages.into_iter().map(|it| {
        let fields = [("Code", Measured::text(it.code)), ("Value", Measured::text(it.value))];
        map(fields)
    });
    let fields = [
        ("Id", text(id)),
        ("Label", text(label)),
        ("Messages", Measured::list(messages.collect())),
        ("StatusCode", text(status_code)),
        ("Timestamps", Measured::list(timestamps.into_iter().map(moment).collect())),
        ("Values", Measured::Floats(Arc::new(values))),
    ];
    (map(fields), format!("[{}]", texts.join(" ")))
}

fn map<const N: usize>(fields: [(&str, Measured); N]) -> Measured {
    let fields: BTreeMap<String, Measured> =
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Measured::Map(Arc::new(fields))
}

/// Seconds since 1970, perhaps with a fraction.
#[expect(clippy::cast_possible_truncation, reason = "a moment that does not fit is none")]
fn moment(seconds: f64) -> Measured {
    DateTime::from_timestamp_millis((seconds * 1_000.0) as i64).map_or(Measured::Nil, Measured::Time)
}

impl Number {
    fn get(self) -> f64 {
        match self {
            Self::Number(number) => number,
            Self::Text(text) => text.parse().unwrap_or(f64::NAN),
        }
    }
}

/// A number, or a text that is one; other texts count as 0, as in Argo.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let written = Option::<IntOrString>::deserialize(deserializer)?;
    Ok(written.map(|written| match written {
        IntOrString::Int(number) => number.into(),
        IntOrString::String(text) => text.parse().unwrap_or_default(),
    }))
}
