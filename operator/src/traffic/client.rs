//! Follows the traffic server for as long as the process lives.

use std::time::Duration;

use proxy_config::wire::traffic::{WatchRequest, traffic_client::TrafficClient};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, metadata::MetadataValue};
use tracing::{info, warn};

use super::{
    connect::Connector,
    store::{Touched, TrafficStore},
};
use crate::{clock, errors::chain};

/// The metadata in which a standby tells where the holder of the lease is.
const HOLDER: &str = "sluice-holder";

/// The shortest and the longest wait between two attempts.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A message may name every split of a large cluster.
const LARGEST_MESSAGE: usize = 256 << 20;

/// Fills the store until `stop` is cancelled. While the server is out of reach the store says so.
pub async fn follow(
    connector: Connector,
    store: &TrafficStore,
    touched: impl Fn(&Touched),
    stop: &CancellationToken,
) {
    let mut wait = RETRY.0;
    let mut redirect = None;
    let mut complaint = String::new();
    loop {
        let watching = watch(&connector, redirect.take(), store, &touched);
        let Some(ended) = stop.run_until_cancelled(watching).await else { return };
        if ended.told {
            wait = RETRY.0;
            complaint.clear();
        }
        if ended.reason != complaint {
            warn!(reason = ended.reason, "the traffic server is out of reach; trying again");
            complaint.clone_from(&ended.reason);
        }
        touched(&store.lose(ended.reason));
        redirect = ended.holder;
        if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return;
        }
        wait = (wait * 2).min(RETRY.1);
    }
}

/// How a stream ended.
struct Ended {
    reason: String,
    /// Where the server says that the holder of the lease is.
    holder: Option<String>,
    /// It told something before.
    told: bool,
}

impl Ended {
    fn at_once(reason: String) -> Self {
        Self { reason, holder: None, told: false }
    }

    fn by(status: &Status, told: bool) -> Self {
        let holder =
            status.metadata().get(HOLDER).and_then(|it| it.to_str().ok()).filter(|it| !it.is_empty());
        let reason = format!("{}: {}", status.code(), status.message());
        Self { reason, holder: holder.map(str::to_owned), told }
    }
}

async fn watch(
    connector: &Connector,
    redirect: Option<String>,
    store: &TrafficStore,
    touched: &impl Fn(&Touched),
) -> Ended {
    let connection = match connector.connect(redirect).await {
        Ok(connection) => connection,
        Err(error) => return Ended::at_once(chain(&error)),
    };
    let mut request = Request::new(WatchRequest {});
    match MetadataValue::try_from(connection.authorization) {
        Ok(value) => request.metadata_mut().insert("authorization", value),
        Err(_) => return Ended::at_once("the token is no header value".to_owned()),
    };
    let mut client = TrafficClient::new(connection.channel).max_decoding_message_size(LARGEST_MESSAGE);
    let mut updates = match client.watch(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Ended::by(&status, false),
    };
    info!(address = connection.address, "watching the traffic server");
    store.begin(clock::now().timestamp());
    let mut told = false;
    loop {
        match updates.message().await {
            Ok(Some(update)) => match store.take(update, clock::now().timestamp()) {
                Ok(news) => {
                    told = true;
                    if news != Touched::default() {
                        touched(&news);
                    }
                }
                Err(error) => {
                    return Ended { reason: format!("unreadable message: {error}"), holder: None, told };
                }
            },
            Ok(None) => {
                return Ended { reason: "the server has ended the stream".to_owned(), holder: None, told };
            }
            Err(status) => return Ended::by(&status, told),
        }
    }
}
