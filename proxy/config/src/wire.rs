//! The generated wire types. Convert them at the border; nothing else should hold them.

/// `proto/config.proto`: configuration down, acknowledgements and reports up.
#[allow(
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    clippy::large_enum_variant,
    clippy::use_self,
    missing_docs,
    unused_qualifications,
    reason = "generated, so different with and without `grpc`; documented in proto/"
)]
pub mod config {
    include!(concat!(env!("OUT_DIR"), "/sluice.config.v1.rs"));
}

/// `proto/traffic.proto`: what the proxies serve.
#[allow(
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    clippy::large_enum_variant,
    clippy::use_self,
    missing_docs,
    unused_qualifications,
    reason = "generated, so different with and without `grpc`; documented in proto/"
)]
pub mod traffic {
    include!(concat!(env!("OUT_DIR"), "/sluice.traffic.v1.rs"));
}
