//! `newRelic`: the results of an NRQL query, asked through NerdGraph. One result is a map, several are a list.

use std::time::Duration;

use http::Method;
use operator_analysis::expression::Value as Measured;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Keys, Profile, Sample,
    client::{Http, Request},
};

/// How long a query may run where nothing is said.
const QUERY_SECONDS: u64 = 5;

/// `provider.newRelic`.
#[derive(Deserialize)]
struct NewRelic {
    #[serde(default)]
    query: String,
    #[serde(default)]
    timeout: Option<u64>,
}

/// The Secret with `personal-api-key`, `account-id`, and if need be `region` or `base-url-nerdgraph`.
pub(super) fn profile(configuration: &Value) -> Profile {
    Profile::named(configuration, "newrelic")
}

/// Takes a measurement.
pub(super) async fn measure(http: &Http, configuration: &Value, keys: &Keys) -> Result<Sample, String> {
    let NewRelic { query, timeout } = NewRelic::deserialize(configuration)
        .map_err(|it| format!("provider.newRelic cannot be read: {it}"))?;
    let key = |name: &str| keys.get(name).map(String::as_str).filter(|it| !it.is_empty());
    let (Some(api_key), Some(account)) = (key("personal-api-key"), key("account-id")) else {
        return Err("account ID or personal API key not found".to_owned());
    };
    let account: i64 = account.parse().map_err(|it| format!("could not parse account ID: {it}"))?;
    let url = match (key("base-url-nerdgraph"), key("region")) {
        (Some(url), _) => url,
        (None, Some(region)) if region.eq_ignore_ascii_case("eu") => "https://api.eu.newrelic.com/graphql",
        (None, _) => "https://api.newrelic.com/graphql",
    };
    let seconds = timeout.unwrap_or(QUERY_SECONDS).max(1);
    let question = "query($account: Int!, $nrql: Nrql!, $timeout: Seconds) { actor { account(id: $account) \
                    { nrql(query: $nrql, timeout: $timeout) { results } } } }";
    let body = json!({
        "query": question, "variables": {"account": account, "nrql": query, "timeout": seconds},
    });
    let request = Request {
        method: Method::POST,
        url: url.to_owned(),
        headers: vec![
            ("api-key".to_owned(), api_key.to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ],
        body: body.to_string().into_bytes(),
        insecure: false,
        timeout: Duration::from_secs(seconds.saturating_add(10)),
    };
    let answer = http.send(request).await.map_err(|it| it.to_string())?;
    if !answer.status.is_success() {
        return Err(format!("received non 2xx response code: {}", answer.status.as_u16()));
    }
    let answer: Value = serde_json::from_slice(&answer.body)
        .map_err(|it| format!("the answer is not that of NerdGraph: {it}"))?;
    if let Some(error) = answer.pointer("/errors/0/message").and_then(Value::as_str) {
        return Err(error.to_owned());
    }
    let results = answer.pointer("/data/actor/account/nrql/results").and_then(Value::as_array);
    let found = match results.map_or(&[][..], Vec::as_slice) {
        [one] if one.as_object().is_some_and(|it| !it.is_empty()) => one.clone(),
        [] | [_] => return Err("no results returned from NRQL query".to_owned()),
        several => Value::Array(several.to_vec()),
    };
    Ok(Sample::new(Measured::of_json(&found), found.to_string()))
}
