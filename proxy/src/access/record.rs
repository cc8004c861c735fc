//! What is known of one request, written when it is over.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use chrono::{DateTime, SecondsFormat};
use http::{HeaderMap, HeaderName, StatusCode, Version, header::USER_AGENT, request::Parts};
use proxy_config::model::{Address, RouteId, UnixMillis};
use proxy_core::{answer::REASON_HEADER, endpoint::Endpoint, forward::X_REQUEST_ID, snapshot::Arm};
use serde::Serialize;
use tokio::time::Instant;

use super::{AccessLog, AccessLogFormat};
use crate::worker::authority;

/// W3C Trace Context §3.2.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// One line in the making. It is written when this is dropped.
#[derive(Debug)]
pub(crate) struct Record {
    log: Arc<AccessLog>,
    begun: Instant,
    line: Line,
}

/// In the order in which JSON has it. What is not known is left out.
#[derive(Debug, Default, Serialize)]
struct Line {
    time: String,
    client: String,
    method: String,
    host: String,
    path: String,
    protocol: &'static str,
    /// The client's answer; none if it was gone before.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    duration_ms: f64,
    /// Why the proxy answered by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arm: Option<String>,
    /// The version of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tries: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
}

impl Record {
    /// Begins with a request of this client for this host, as it was sent.
    pub(crate) fn begin(
        log: &Arc<AccessLog>,
        client: SocketAddr,
        now: UnixMillis,
        authority: &str,
        request: &Parts,
    ) -> Box<Self> {
        let text = |name| {
            let value = request.headers.get(name);
            value.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned())
        };
        let time = DateTime::from_timestamp_millis(now.0).unwrap_or_default();
        let line = Line {
            time: time.to_rfc3339_opts(SecondsFormat::Millis, true),
            client: client.ip().to_canonical().to_string(),
            method: request.method.to_string(),
            host: authority.to_owned(),
            path: request.uri.path_and_query().map_or("/", |it| it.as_str()).to_owned(),
            protocol: match request.version {
                Version::HTTP_10 => "HTTP/1.0",
                Version::HTTP_2 => "HTTP/2",
                _ => "HTTP/1.1",
            },
            request_id: text(X_REQUEST_ID),
            traceparent: text(TRACEPARENT),
            user_agent: text(USER_AGENT),
            ..Line::default()
        };
        Box::new(Self { log: Arc::clone(log), begun: Instant::now(), line })
    }

    /// Notes which route takes it.
    pub(crate) fn routed(&mut self, route: &RouteId) {
        self.line.route = Some(route.to_string());
    }

    /// Notes where it was sent, and after how many tries.
    pub(crate) fn sent(&mut self, arm: &Arm, endpoint: Option<&Endpoint>, tries: u32) {
        self.line.arm = Some(arm.id.to_string());
        self.line.tries = Some(tries);
        let Some(endpoint) = endpoint else { return };
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        self.line.hash = known(&endpoint.version.hash);
        self.line.pod = known(&endpoint.pod);
        self.line.upstream = Some(match &endpoint.address {
            Address::Socket(address) => address.to_string(),
            name @ Address::Name { .. } => authority(name),
        });
    }

    /// Notes what the client is answered.
    pub(crate) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.line.status = Some(status.as_u16());
        self.line.reason =
            headers.get(REASON_HEADER).map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.line.duration_ms = milliseconds(self.begun.elapsed());
        self.log.write(match self.log.settings.format {
            AccessLogFormat::Text => self.line.text(),
            AccessLogFormat::Json => self.line.json(),
        });
    }
}

impl Line {
    fn json(&self) -> Vec<u8> {
        // Texts and numbers can always be written.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// What comes from outside is quoted, so that nobody can make it look like something else.
    fn text(&self) -> Vec<u8> {
        let Self { time, client, method, host, path, protocol, status, duration_ms, reason, .. } = self;
        let status = status.map_or_else(|| "-".to_owned(), |it| it.to_string());
        let request = format!("{method} {path} {protocol}");
        let mut line = format!("{time} {client} {request:?} {status} {duration_ms}ms host={host:?}");
        let tries = self.tries.map(|it| it.to_string());
        let own = [
            ("reason", reason),
            ("route", &self.route),
            ("arm", &self.arm),
            ("hash", &self.hash),
            ("pod", &self.pod),
            ("upstream", &self.upstream),
            ("tries", &tries),
            ("request_id", &self.request_id),
            ("traceparent", &self.traceparent),
            ("user_agent", &self.user_agent),
        ];
        for (name, text) in own {
            let Some(text) = text else { continue };
            let plain = |it: u8| it.is_ascii_graphic() && !b"\"\\=".contains(&it);
            let written = if !text.is_empty() && text.bytes().all(plain) {
                format!(" {name}={text}")
            } else {
                format!(" {name}={text:?}")
            };
            line.push_str(&written);
        }
        line.push('\n');
        line.into_bytes()
    }
}

/// With three places: a microsecond.
fn milliseconds(duration: Duration) -> f64 {
    let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            time: "2026-11-30T04:00:00.123Z".into(),
            client: "198.18.0.9".into(),
            method: "GET".into(),
            host: "a.org".into(),
            path: "/x?q=\"".into(),
            protocol: "HTTP/1.1",
            status: Some(200),
            duration_ms: 1.25,
            arm: Some("default/web".into()),
            user_agent: Some("a\n\"b".into()),
            ..Line::default()
        }
    }

    #[test]
    fn nobody_can_make_a_line_of_text_look_like_another() {
        let text = String::from_utf8(line().text()).unwrap();
        assert_eq!(
            text,
            "2026-11-30T04:00:00.123Z 198.18.0.9 \"GET /x?q=\\\" HTTP/1.1\" 200 1.25ms host=\"a.org\" \
             arm=default/web user_agent=\"a\\n\\\"b\"\n"
        );
    }

    #[test]
    fn a_line_of_json_has_what_is_known() {
        let text = String::from_utf8(Line { status: None, ..line() }.json()).unwrap();
        assert_eq!(
            text,
            "{\"time\":\"2026-11-30T04:00:00.123Z\",\"client\":\"198.18.0.9\",\"method\":\"GET\",\"host\":\"a.org\",\
             \"path\":\"/x?q=\\\"\",\"protocol\":\"HTTP/1.1\",\"duration_ms\":1.25,\"arm\":\"default/web\",\
             \"user_agent\":\"a\\n\\\"b\"}\n"
        );
    }

    #[test]
    fn durations_have_three_places() {
        assert_eq!(milliseconds(Duration::from_nanos(1_234_567)).to_string(), "1.234");
    }
}
