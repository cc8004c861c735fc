//! Health checks, in both directions.

use super::{ConvertError, narrow, present, required, value::edits};
use crate::{
    model::{GrpcQuestion, HealthCheck, HttpQuestion, Question},
    wire::config as wire,
};

/// Inward; `message` names the cluster.
pub(super) fn check(
    check: wire::HealthCheck,
    message: impl Fn() -> String + Copy,
) -> Result<HealthCheck, ConvertError> {
    use wire::health_check::Question as Asks;
    let wire::HealthCheck { interval_ms, timeout_ms, unhealthy_threshold, healthy_threshold, question } =
        check;
    let question = match required(question, message, "health check question")? {
        Asks::Http(wire::HttpQuestion { path, host, request_headers, statuses }) => {
            let status = |status| narrow(status, message, "status");
            let range = |it: wire::StatusRange| -> Result<_, ConvertError> {
                Ok((status(it.first)?, status(it.last)?))
            };
            Question::Http(HttpQuestion {
                path,
                host: present(host),
                request_headers: edits(request_headers)?,
                statuses: statuses.into_iter().map(range).collect::<Result<_, _>>()?,
            })
        }
        Asks::Grpc(wire::GrpcQuestion { service, authority }) => {
            Question::Grpc(GrpcQuestion { service, authority: present(authority) })
        }
    };
    Ok(HealthCheck { interval_ms, timeout_ms, unhealthy_threshold, healthy_threshold, question })
}

impl From<&HealthCheck> for wire::HealthCheck {
    fn from(check: &HealthCheck) -> Self {
        use wire::health_check::Question as Asks;
        let HealthCheck { interval_ms, timeout_ms, unhealthy_threshold, healthy_threshold, question } = check;
        let question = match question {
            Question::Http(HttpQuestion { path, host, request_headers, statuses }) => {
                let range = |(first, last): &(u16, u16)| wire::StatusRange {
                    first: u32::from(*first),
                    last: u32::from(*last),
                };
                Asks::Http(wire::HttpQuestion {
                    path: path.clone(),
                    host: host.clone().unwrap_or_default(),
                    request_headers: request_headers.iter().map(Into::into).collect(),
                    statuses: statuses.iter().map(range).collect(),
                })
            }
            Question::Grpc(GrpcQuestion { service, authority }) => Asks::Grpc(wire::GrpcQuestion {
                service: service.clone(),
                authority: authority.clone().unwrap_or_default(),
            }),
        };
        Self {
            interval_ms: *interval_ms,
            timeout_ms: *timeout_ms,
            unhealthy_threshold: *unhealthy_threshold,
            healthy_threshold: *healthy_threshold,
            question: Some(question),
        }
    }
}
