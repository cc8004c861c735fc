//! The client of the API server.

use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};
use prometheus::Registry;

use super::Error;
use crate::{arguments::ClusterArguments, telemetry::RequestCounts};

/// A client that counts its requests. The API server is not asked anything yet.
pub(super) async fn connect(arguments: &ClusterArguments, registry: &Registry) -> Result<Client, Error> {
    let counts = RequestCounts::register(registry).map_err(Error::Metrics)?;
    let mut config = config(arguments).await.map_err(Error::Config)?;
    // Whoever asks tries again by himself. A request that waits in the client, for minutes with 429 and 503, could
    // write after the lease is lost, and nobody would learn why it waits.
    config.default_retry = false;
    Ok(ClientBuilder::try_from(config).map_err(Error::Client)?.with_layer(&counts).build())
}

async fn config(arguments: &ClusterArguments) -> Result<Config, Box<dyn std::error::Error + Send + Sync>> {
    let options = KubeConfigOptions { context: arguments.context.clone(), ..KubeConfigOptions::default() };
    Ok(match (&arguments.kubeconfig, &arguments.context) {
        (Some(path), _) => Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?,
        (None, Some(_)) => Config::from_kubeconfig(&options).await?,
        (None, None) => Config::infer().await?,
    })
}
