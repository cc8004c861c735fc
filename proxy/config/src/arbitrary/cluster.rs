//! How clusters are spoken to and balanced.

use proptest::{collection::vec, option, prelude::*};

use super::{filters::edits, listener::versions, name};
use crate::model::{
    Balance, BalancePolicy, CertificateId, Enforced, GrpcQuestion, HashCookie, HashKey, HealthCheck,
    HttpQuestion, Limits, Outliers, Question, SuccessRate, Trust, UpstreamProtocol, UpstreamTls,
};

pub(super) fn protocol() -> impl Strategy<Value = UpstreamProtocol> {
    prop_oneof![Just(UpstreamProtocol::Http1), Just(UpstreamProtocol::Http2)]
}

pub(super) fn tls() -> impl Strategy<Value = UpstreamTls> {
    let trust = prop_oneof![name().prop_map(Trust::Ca), Just(Trust::System), Just(Trust::Anyone)];
    let certificate = option::of("[a-z]{1,9}".prop_map(CertificateId::new));
    (option::of("[a-z]{1,9}"), vec(name(), 0..3), trust, certificate, versions()).prop_map(
        |(server_name, names, trust, certificate, versions)| UpstreamTls {
            server_name,
            names,
            trust,
            certificate,
            versions,
        },
    )
}

pub(super) fn balance() -> impl Strategy<Value = Balance> {
    let policy = prop_oneof![
        Just(BalancePolicy::LeastRequest),
        Just(BalancePolicy::RoundRobin),
        (key(), 1..9_999_u32).prop_map(|(key, size)| BalancePolicy::RingHash(key, size)),
        key().prop_map(BalancePolicy::Maglev),
    ];
    (policy, limit()).prop_map(|(policy, slow_start_ms)| Balance { policy, slow_start_ms })
}

fn key() -> impl Strategy<Value = HashKey> {
    prop_oneof![
        name().prop_map(HashKey::Header),
        (name(), option::of(any::<u32>()), option::of("/[a-z]{0,9}"))
            .prop_map(|(name, ttl_s, path)| HashKey::Cookie(HashCookie { name, ttl_s, path })),
        Just(HashKey::SourceIp),
    ]
}

pub(super) fn limits() -> impl Strategy<Value = Limits> {
    any::<[Option<u32>; 4]>().prop_map(|[connections, pending, requests, retries]| Limits {
        connections,
        pending,
        requests,
        retries,
    })
}

pub(super) fn outliers() -> impl Strategy<Value = Outliers> {
    let success_rate = option::of(any::<[u32; 3]>().prop_map(|numbers| {
        let [minimum_hosts, request_volume, deviations_per_mille] = numbers;
        SuccessRate { minimum_hosts, request_volume, deviations_per_mille }
    }));
    let enforced = any::<[u32; 4]>().prop_map(|numbers| {
        let [server_errors, gateway_errors, local_failures, success_rate] = numbers;
        Enforced { server_errors, gateway_errors, local_failures, success_rate }
    });
    let after = (limit(), limit(), limit(), success_rate, enforced);
    (after, any::<[u32; 4]>()).prop_map(|(after, numbers)| {
        let (server_errors, gateway_errors, local_failures, success_rate, enforced) = after;
        let [interval_ms, base_ejection_ms, max_ejection_ms, max_ejection_percent] = numbers;
        Outliers {
            server_errors,
            gateway_errors,
            local_failures,
            success_rate,
            enforced,
            interval_ms,
            base_ejection_ms,
            max_ejection_ms,
            max_ejection_percent,
        }
    })
}

pub(super) fn check() -> impl Strategy<Value = HealthCheck> {
    let http = (name(), option::of("[a-z]{1,9}"), edits(), vec(any::<(u16, u16)>(), 0..3)).prop_map(
        |(path, host, request_headers, statuses)| {
            Question::Http(HttpQuestion { path, host, request_headers, statuses })
        },
    );
    let grpc = (name(), option::of("[a-z]{1,9}"))
        .prop_map(|(service, authority)| Question::Grpc(GrpcQuestion { service, authority }));
    (any::<[u32; 4]>(), prop_oneof![http, grpc]).prop_map(
        |([interval_ms, timeout_ms, unhealthy_threshold, healthy_threshold], question)| HealthCheck {
            interval_ms,
            timeout_ms,
            unhealthy_threshold,
            healthy_threshold,
            question,
        },
    )
}

fn limit() -> impl Strategy<Value = Option<u32>> {
    option::of(1..u32::MAX)
}
