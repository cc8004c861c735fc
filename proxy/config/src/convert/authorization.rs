//! Services that are asked about requests, in both directions.

use super::{ConvertError, known, narrow, present, required, value::edits};
use crate::{
    model::{Absent, Authorization, AuthorizationFailure, ClusterId, Cookies, Refusals, Sees},
    wire::config::{self as wire, authorization::Failure},
};

impl TryFrom<wire::Authorization> for Authorization {
    type Error = ConvertError;

    fn try_from(authorization: wire::Authorization) -> Result<Self, ConvertError> {
        let wire::Authorization {
            cluster,
            method,
            host,
            target,
            sees,
            request_headers,
            passed_on,
            keeps_absent,
            whole_refusals,
            told,
            sign_in,
            cookies,
            timeout_ms,
            failure,
        } = authorization;
        let message = || format!("authorization by cluster {cluster}");
        Ok(Self {
            method: present(method),
            host: present(host),
            target: required(target, message, "target")?.try_into()?,
            sees: sees.map_or(Sees::All, |it| Sees::Only(it.names)),
            request_headers: edits(request_headers)?,
            passed_on,
            absent: if keeps_absent { Absent::Kept } else { Absent::Removed },
            refusals: if whole_refusals { Refusals::Whole } else { Refusals::Status },
            told,
            sign_in: sign_in.map(TryInto::try_into).transpose()?,
            cookies: match known(cookies, message, "cookies")? {
                wire::Cookies::Unspecified => Cookies::Never,
                wire::Cookies::Good => Cookies::Good,
                wire::Cookies::Always => Cookies::Always,
            },
            timeout_ms,
            failure: match required(failure, message, "failure")? {
                Failure::Refused(status) => AuthorizationFailure::Refused(narrow(status, message, "status")?),
                Failure::Passed(_) => AuthorizationFailure::Passed,
            },
            cluster: ClusterId::new(cluster),
        })
    }
}

impl From<&Authorization> for wire::Authorization {
    fn from(authorization: &Authorization) -> Self {
        let Authorization {
            cluster,
            method,
            host,
            target,
            sees,
            request_headers,
            passed_on,
            absent,
            refusals,
            told,
            sign_in,
            cookies,
            timeout_ms,
            failure,
        } = authorization;
        Self {
            cluster: cluster.to_string(),
            method: method.clone().unwrap_or_default(),
            host: host.clone().unwrap_or_default(),
            target: Some(target.into()),
            sees: match sees {
                Sees::All => None,
                Sees::Only(names) => Some(wire::SeenHeaders { names: names.clone() }),
            },
            request_headers: request_headers.iter().map(Into::into).collect(),
            passed_on: passed_on.clone(),
            keeps_absent: match absent {
                Absent::Removed => false,
                Absent::Kept => true,
            },
            whole_refusals: match refusals {
                Refusals::Status => false,
                Refusals::Whole => true,
            },
            told: told.clone(),
            sign_in: sign_in.as_ref().map(Into::into),
            cookies: match cookies {
                Cookies::Never => wire::Cookies::Unspecified,
                Cookies::Good => wire::Cookies::Good,
                Cookies::Always => wire::Cookies::Always,
            }
            .into(),
            timeout_ms: *timeout_ms,
            failure: Some(match failure {
                AuthorizationFailure::Refused(status) => Failure::Refused(u32::from(*status)),
                AuthorizationFailure::Passed => Failure::Passed(true),
            }),
        }
    }
}
