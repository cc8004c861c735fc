//! Filters of routes.

use ipnet::IpNet;
use proptest::{collection::vec, option, prelude::*};

use super::name;
use crate::model::{
    Absent, Access, Authorization, AuthorizationFailure, ClientLimits, ClusterId, Cookies, Cors, Edit,
    ErrorResponse, Filters, HeaderEdit, Login, Origin, OriginMatch, Rate, Refusals, Retry, RetryOn, Secret,
    Sees, Upgrades, User, Value, ValuePart, Variable,
};

pub(super) fn filters() -> impl Strategy<Value = Filters> {
    let upgrades = prop_oneof![Just(Upgrades::Any), vec(name(), 0..3).prop_map(Upgrades::Only)];
    let optional = (option::of(cors()), option::of(retry()), option::of(access()));
    let limits = (option::of(clients()), option::of(any::<u64>()));
    (edits(), edits(), optional, vec(error(), 0..3), upgrades, limits).prop_map(
        |(request_headers, response_headers, (cors, retry, access), errors, upgrades, limits)| Filters {
            request_headers,
            response_headers,
            cors: cors.map(Box::new),
            retry: retry.map(Box::new),
            errors,
            upgrades,
            access: access.map(Box::new),
            clients: limits.0.map(Box::new),
            max_body_bytes: limits.1,
        },
    )
}

fn clients() -> impl Strategy<Value = ClientLimits> {
    let rate = (any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(requests, per_ms, burst)| Rate {
        requests,
        per_ms,
        burst,
    });
    let range = (any::<std::net::IpAddr>(), 0_u8..=32)
        .prop_map(|(address, bits)| IpNet::new(address, bits).expect("at most 32 bits of an address"));
    (name(), vec(rate, 0..3), option::of(1..u32::MAX), vec(range, 0..3))
        .prop_map(|(id, rates, at_once, exempt)| ClientLimits { id, rates, at_once, exempt })
}

pub(super) fn edits() -> impl Strategy<Value = Vec<HeaderEdit>> {
    let edit = prop_oneof![value().prop_map(Edit::Set), value().prop_map(Edit::Add), Just(Edit::Remove)];
    vec((name(), edit).prop_map(|(name, edit)| HeaderEdit { name, edit }), 0..3)
}

fn value() -> impl Strategy<Value = Value> {
    let variable = prop_oneof![
        Just(Variable::ClientAddress),
        Just(Variable::ClientSocket),
        Just(Variable::Protocol),
        Just(Variable::Scheme),
        Just(Variable::Method),
        Just(Variable::Authority),
        Just(Variable::Path),
        Just(Variable::Status),
        Just(Variable::RequestId),
        Just(Variable::Host),
        Just(Variable::NormalPath),
        Just(Variable::NormalTarget),
        Just(Variable::Query),
        Just(Variable::EscapedPath),
    ];
    let part = prop_oneof![
        name().prop_map(ValuePart::Text),
        variable.prop_map(ValuePart::Variable),
        name().prop_map(ValuePart::RequestHeader),
    ];
    vec(part, 0..3).prop_map(Value)
}

fn cors() -> impl Strategy<Value = Cors> {
    let origin = prop_oneof![
        Just(OriginMatch::Any),
        name().prop_map(OriginMatch::Exact),
        name().prop_map(OriginMatch::Regex),
    ];
    let names = || vec(name(), 0..3);
    (vec(origin, 0..3), names(), names(), names(), any::<bool>(), option::of(1..u32::MAX), any::<bool>())
        .prop_map(|(origins, methods, headers, exposed_headers, credentials, max_age_s, answers_refused)| {
            Cors { origins, methods, headers, exposed_headers, credentials, max_age_s, answers_refused }
        })
}

fn access() -> impl Strategy<Value = Access> {
    let range = (any::<std::net::IpAddr>(), 0_u8..=32, any::<bool>()).prop_map(|(address, bits, peer)| {
        let range = IpNet::new(address, bits).expect("at most 32 bits of an address");
        if peer { Origin::Peer(range) } else { Origin::Client(range) }
    });
    let user = (name(), name()).prop_map(|(name, hash)| User { name, hash: Secret(hash) });
    let login = (name(), vec(user, 0..3)).prop_map(|(realm, users)| Login { realm, users });
    (vec(range.clone(), 0..3), vec(range, 0..3), option::of(login), option::of(authorization()))
        .prop_map(|(allowed, denied, login, authorization)| Access { allowed, denied, login, authorization })
}

/// On the heap: the tests' stacks are too small for all that a route may have.
fn authorization() -> BoxedStrategy<Authorization> {
    let names = || vec(name(), 0..3);
    let question = (option::of("[A-Z]{1,9}"), option::of("[a-z]{1,9}"), value(), edits());
    let sees = prop_oneof![Just(Sees::All), names().prop_map(Sees::Only)];
    let absent = prop_oneof![Just(Absent::Removed), Just(Absent::Kept)];
    let refusals = prop_oneof![Just(Refusals::Status), Just(Refusals::Whole)];
    let cookies = prop_oneof![Just(Cookies::Never), Just(Cookies::Good), Just(Cookies::Always)];
    let failure = prop_oneof![
        any::<u16>().prop_map(AuthorizationFailure::Refused),
        Just(AuthorizationFailure::Passed),
    ];
    let answer = (names(), absent, refusals, names(), option::of(value()), cookies);
    (name(), question, sees, answer, any::<u32>(), failure)
        .prop_map(
            |(
                cluster,
                (method, host, target, request_headers),
                sees,
                (passed_on, absent, refusals, told, sign_in, cookies),
                timeout_ms,
                failure,
            )| Authorization {
                cluster: ClusterId::new(cluster),
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
            },
        )
        .boxed()
}

fn retry() -> impl Strategy<Value = Retry> {
    let on = prop_oneof![
        Just(RetryOn::ServerError),
        Just(RetryOn::GatewayError),
        Just(RetryOn::Reset),
        Just(RetryOn::ConnectFailure),
        Just(RetryOn::RefusedStream),
        Just(RetryOn::Conflict),
    ];
    let timeout = option::of(1..u32::MAX);
    (vec(on, 0..3), vec(any::<u16>(), 0..3), any::<u32>(), timeout, 1..u32::MAX).prop_map(
        |(on, statuses, retries, per_try_timeout_ms, backoff_ms)| Retry {
            on,
            statuses,
            retries,
            per_try_timeout_ms,
            backoff_ms,
        },
    )
}

fn error() -> impl Strategy<Value = ErrorResponse> {
    (any::<u16>(), value(), "[a-z]{1,9}/[a-z]{1,9}").prop_map(|(status, body, content_type)| ErrorResponse {
        status,
        body,
        content_type,
    })
}
