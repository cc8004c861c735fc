//! `datadog`: the last point of a query (API v1), or one number of queries and a formula (API v2).

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use crds::duration;
use http::Method;
use operator_analysis::expression::{Value as Measured, float_text};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Keys, Profile, Sample,
    client::{Http, Request},
};

const TIMEOUT: Duration = Duration::from_secs(10);

/// How far a query looks back where nothing is said.
const INTERVAL: TimeDelta = TimeDelta::minutes(5);

/// `provider.datadog`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Datadog {
    #[serde(default)]
    query: String,
    #[serde(default)]
    queries: BTreeMap<String, String>,
    #[serde(default)]
    formula: String,
    #[serde(default)]
    interval: String,
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    aggregator: String,
}

/// The Secret with `api-key`, `app-key` and, if it is not Datadog's own in the United States, `address`.
pub(super) fn profile(configuration: &Value) -> Profile {
    let secret = configuration.get("secretRef");
    let name = secret.and_then(|it| it.get("name")?.as_str()).filter(|it| !it.is_empty());
    let namespaced = secret.and_then(|it| it.get("namespaced")?.as_bool()).unwrap_or(false);
    Profile { secret: name.unwrap_or("datadog").to_owned(), namespaced }
}

/// Takes a measurement.
pub(super) async fn measure(
    http: &Http,
    configuration: &Value,
    keys: &Keys,
    now: DateTime<Utc>,
) -> Result<Sample, String> {
    let datadog =
        Datadog::deserialize(configuration).map_err(|it| format!("provider.datadog cannot be read: {it}"))?;
    let key = |name: &str| keys.get(name).filter(|it| !it.is_empty());
    let (Some(api), Some(app)) = (key("api-key"), key("app-key")) else {
        return Err("API or App token not found".to_owned());
    };
    let address = key("address").map_or("https://api.datadoghq.com", |it| it.trim_end_matches('/'));
    let mut request = request(&datadog, address, now)?;
    for (name, value) in
        [("content-type", "application/json"), ("dd-api-key", api), ("dd-application-key", app)]
    {
        request.headers.push((name.to_owned(), value.to_owned()));
    }
    let answer = http.send(request).await.map_err(|it| it.to_string())?;
    let body = String::from_utf8_lossy(&answer.body);
    match answer.status.as_u16() {
        200 => {}
        code @ (401 | 403) => {
            return Err(format!("received authentication error response code: {code} {body}"));
        }
        code => return Err(format!("received non 2xx response code: {code} {body}")),
    }
    let answer: Value =
        serde_json::from_slice(&answer.body).map_err(|it| format!("Could not parse JSON body: {it}"))?;
    sample(&answer, is_second(&datadog))
}

fn is_second(datadog: &Datadog) -> bool {
    datadog.api_version == "v2"
}

fn request(datadog: &Datadog, address: &str, now: DateTime<Utc>) -> Result<Request, String> {
    let interval = match datadog.interval.as_str() {
        "" => INTERVAL,
        written => duration::parse(written).map_err(|it| it.to_string())?,
    };
    let (to, from) = (now.timestamp(), (now - interval).timestamp());
    let base = |method, url, body| Request {
        method,
        url,
        headers: Vec::new(),
        body,
        insecure: false,
        timeout: TIMEOUT,
    };
    match datadog.api_version.as_str() {
        "" | "v1" => {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("from", &from.to_string());
            form.append_pair("query", &datadog.query);
            form.append_pair("to", &to.to_string());
            Ok(base(Method::GET, format!("{address}/api/v1/query?{}", form.finish()), Vec::new()))
        }
        "v2" => {
            let one = BTreeMap::from([("query".to_owned(), datadog.query.clone())]);
            let queries = if datadog.queries.is_empty() { &one } else { &datadog.queries };
            let formula = match (datadog.formula.as_str(), queries.keys().next()) {
                ("", Some(only)) => only,
                (formula, _) => formula,
            };
            let aggregator = if datadog.aggregator.is_empty() { "last" } else { &datadog.aggregator };
            let queries: Vec<Value> = queries
                .iter()
                .map(|(name, query)| {
                    json!({"aggregator": aggregator, "data_source": "metrics", "name": name, "query": query})
                })
                .collect();
            let body = json!({"data": {"type": "scalar_request", "attributes": {
                "from": from * 1000, "to": to * 1000, "queries": queries, "formulas": [{"formula": formula}],
            }}});
            Ok(base(Method::POST, format!("{address}/api/v2/query/scalar"), body.to_string().into_bytes()))
        }
        other => Err(format!("Invalid API version: {other}")),
    }
}

/// The number, or nil where there is none: `default(result, 0)` is for that.
fn sample(answer: &Value, second: bool) -> Result<Sample, String> {
    let number = if second {
        if let Some(errors) = answer.get("errors").filter(|it| !it.is_null()) {
            return Err(format!("There were errors in your query: {errors}"));
        }
        answer.pointer("/data/attributes/columns/0/values/0")
    } else {
        let points = answer.pointer("/series/0/pointlist").and_then(Value::as_array);
        match points.and_then(|it| it.last()).map(|it| it.get(1)) {
            Some(None) => return Err("Datapoint does not have 2 values".to_owned()),
            Some(value) => value,
            None => None,
        }
    };
    Ok(match number.and_then(Value::as_f64) {
        Some(number) => Sample::new(Measured::Float(number), float_text(number)),
        None => Sample::new(Measured::Nil, "[]".to_owned()),
    })
}
