//! What can be wrong with a health check.

use super::{Fault, filters::edits, text::is_host};
use crate::model::{HealthCheck, HttpQuestion, Question};

pub(super) fn faults(check: &HealthCheck, faults: &mut Vec<Fault>) {
    let HealthCheck { interval_ms, timeout_ms, unhealthy_threshold, healthy_threshold, question } = check;
    if [interval_ms, timeout_ms, unhealthy_threshold, healthy_threshold].into_iter().any(|it| *it == 0) {
        faults.push(Fault::HealthCheckTimes);
    }
    let host = match question {
        Question::Http(HttpQuestion { path, host, request_headers, statuses }) => {
            if !(path.starts_with('/') && path.bytes().all(|it| it.is_ascii_graphic() && it != b'#')) {
                faults.push(Fault::Path(path.clone()));
            }
            edits(request_headers, faults);
            let is_range = |(first, last): &(u16, u16)| (100..=*last).contains(first) && *last <= 599;
            if statuses.is_empty() || !statuses.iter().all(is_range) {
                faults.push(Fault::HealthCheckStatuses);
            }
            host
        }
        Question::Grpc(grpc) => &grpc.authority,
    };
    faults.extend(host.iter().filter(|it| !is_host(it)).cloned().map(Fault::HostRewrite));
}
