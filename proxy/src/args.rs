//! The command line.

use std::{
    net::IpAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use clap::{Parser, ValueEnum};

use crate::{
    Settings,
    access::{AccessLogFormat, AccessLogSettings},
};

/// The data plane of Sluice: routes requests as the operator says.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Args {
    /// Where the operator serves configuration; the name is resolved again at each connect.
    #[arg(long, value_name = "HOST:PORT")]
    pub config_server: String,

    /// The certificate that signs the operator's. May appear later.
    #[arg(long, value_name = "PATH", default_value = "/etc/sluice/ca/ca.crt")]
    pub ca_file: PathBuf,

    /// The token that says which pod this is; read again at each connect.
    #[arg(long, value_name = "PATH", default_value = "/var/run/secrets/sluice/token")]
    pub token_file: PathBuf,

    /// Where the last commit is kept for a restart of the container.
    #[arg(long, value_name = "PATH", default_value = "/var/run/sluice")]
    pub memory_dir: PathBuf,

    /// Whose configuration to serve; empty is the shared fleet.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub scope: String,

    /// Where this proxy runs: endpoints that are for this zone come first. Empty: none do.
    #[arg(long, value_name = "ZONE", default_value = "")]
    pub zone: String,

    /// The address of listeners and of the admin port.
    #[arg(long, value_name = "IP", default_value = "0.0.0.0")]
    pub bind_address: IpAddr,

    /// Serves /healthz, /readyz and /metrics.
    #[arg(long, value_name = "PORT", default_value_t = 8877)]
    pub admin_port: u16,

    /// Threads that carry requests; by default one per core.
    #[arg(long, value_name = "NUMBER")]
    pub workers: Option<NonZeroUsize>,

    /// Connections of clients at a time; further ones wait until one ends. Each costs two file descriptors and some
    /// 15 KiB.
    #[arg(long, value_name = "NUMBER", default_value_t = 16_384)]
    pub max_connections: u64,

    /// UDP sessions at a time; what further clients send is thrown away until one ends. Each costs one file descriptor
    /// and some 3 KiB.
    #[arg(long, value_name = "NUMBER", default_value_t = 8_192)]
    pub max_sessions: u64,

    /// Sends `Forwarded` (RFC 7239) to upstreams, beside `X-Forwarded-For`, `-Proto` and `-Host`.
    #[arg(long)]
    pub forwarded: bool,

    /// Sends `X-Forwarded-Client-Cert` to upstreams, of clients whose certificate was verified.
    #[arg(long)]
    pub forward_client_cert: bool,

    /// How long to go on accepting after SIGTERM, until everybody knows that this proxy leaves.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub drain_delay: u64,

    /// How long requests under way may take after that.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub drain_timeout: u64,

    /// Writes a line for each request to standard output, in this form.
    #[arg(long, value_enum, value_name = "FORM")]
    pub access_log: Option<AccessLogFormat>,

    /// One request of so many is in the access log.
    #[arg(long, value_name = "NUMBER", default_value_t = NonZeroU32::MIN)]
    pub access_log_one_of: NonZeroU32,

    /// What to log: a level, or directives such as `info,proxy=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log_level: String,

    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Args {
    /// The settings that these arguments mean.
    #[must_use]
    pub fn settings(self) -> Settings {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Settings {
            config_server: self.config_server,
            ca_file: self.ca_file,
            token_file: self.token_file,
            memory_dir: self.memory_dir,
            scope: self.scope,
            zone: Some(self.zone).filter(|it| !it.is_empty()),
            bind_address: self.bind_address,
            admin_port: self.admin_port,
            workers: self.workers.unwrap_or_else(cores),
            max_connections: self.max_connections,
            max_sessions: self.max_sessions,
            forwarded: self.forwarded,
            forward_client_cert: self.forward_client_cert,
            access_log: self
                .access_log
                .map(|format| AccessLogSettings { format, one_of: self.access_log_one_of }),
            drain_delay: Duration::from_secs(self.drain_delay),
            drain_timeout: Duration::from_secs(self.drain_timeout),
        }
    }
}
