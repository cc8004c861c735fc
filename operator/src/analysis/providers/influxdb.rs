//! `influxdb`: the values of all records of a Flux query.

use std::time::Duration;

use http::Method;
use operator_analysis::expression::Value as Measured;
use serde_json::Value;

use super::{
    Keys, Profile, Sample,
    client::{Http, Request},
};

const TIMEOUT: Duration = Duration::from_secs(30);

/// The Secret with `authToken`, `org` and `address`.
pub(super) fn profile(configuration: &Value) -> Profile {
    Profile::named(configuration, "influxdb")
}

/// Takes a measurement.
pub(super) async fn measure(http: &Http, configuration: &Value, keys: &Keys) -> Result<Sample, String> {
    let query = configuration.get("query").and_then(Value::as_str).unwrap_or_default();
    let key = |name: &str| keys.get(name).map(String::as_str).filter(|it| !it.is_empty());
    let (Some(token), Some(org), Some(address)) = (key("authToken"), key("org"), key("address")) else {
        return Err("authToken, org, or address not found".to_owned());
    };
    let org: String = form_urlencoded::byte_serialize(org.as_bytes()).collect();
    let request = Request {
        method: Method::POST,
        url: format!("{}/api/v2/query?org={org}", address.trim_end_matches('/')),
        headers: [
            ("authorization", format!("Token {token}")),
            ("content-type", "application/vnd.flux".to_owned()),
            ("accept", "application/csv".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into(),
        body: query.as_bytes().to_vec(),
        insecure: false,
        timeout: TIMEOUT,
    };
    let answer = http.send(request).await.map_err(|it| it.to_string())?;
    let text = String::from_utf8_lossy(&answer.body);
    if !answer.status.is_success() {
        let error: Value = serde_json::from_str(&text).unwrap_or_default();
        let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
        return Err(format!("received non 2xx response code: {} {message}", answer.status.as_u16()));
    }
    let values = values(&text);
    if values.is_empty() {
        return Err("no results returned from flux query".to_owned());
    }
    let result = Measured::list(values);
    let text = result.to_string();
    Ok(Sample::new(result, text))
}

/// The column `_value` of each table. A table begins with its own header; numbers are numbers, all else is text.
fn values(csv: &str) -> Vec<Measured> {
    let mut column = None;
    let mut values = Vec::new();
    for line in csv.lines() {
        if line.trim().is_empty() {
            column = None;
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let fields = fields(line);
        match column {
            None => column = fields.iter().position(|it| it == "_value"),
            Some(place) => {
                if let Some(field) = fields.get(place) {
                    values
                        .push(field.parse().map_or_else(|_| Measured::text(field.as_str()), Measured::Float));
                }
            }
        }
    }
    values
}

/// The fields of a line of CSV: a quoted one may have commas, and two quotes in it are one.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let field = fields.last_mut().expect("there is always a last field");
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            character => field.push(character),
        }
    }
    fields
}
