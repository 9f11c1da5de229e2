//! The connection to a coordinator.

use std::time::Duration;

use clap::Args;
use curvefleet_proto::limits::MAX_MESSAGE_BYTES;
use curvefleet_proto::v1::study_service_client::StudyServiceClient;
use tonic::transport::{Channel, Endpoint};

use crate::failure::Failure;

/// A client of the service for people and tools.
pub type Client = StudyServiceClient<Channel>;

/// Longest wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How often an idle connection is tried, and how long its answer may take: a coordinator that has stopped is not waited for for ever.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Which coordinator to talk to.
#[derive(Debug, Clone, Args)]
pub struct Coordinator {
    /// The coordinator's URL; where several coordinators share a ledger, all of theirs with commas between
    #[arg(
        long,
        env = "CURVEFLEET_COORDINATOR",
        value_name = "URL",
        default_value = "http://127.0.0.1:7700",
        value_delimiter = ','
    )]
    pub coordinator: Vec<String>,
}

impl Coordinator {
    /// Connects.
    ///
    /// # Errors
    /// If a URL is none, or no coordinator answers.
    pub async fn connect(&self) -> Result<Client, Failure> {
        connect(&self.coordinator).await
    }
}

/// Connects to the first of the coordinators that answers.
///
/// # Errors
/// If a URL is none, or no coordinator answers.
pub async fn connect(urls: &[String]) -> Result<Client, Failure> {
    let endpoints = urls.iter().map(|url| endpoint(url)).collect::<Result<Vec<_>, _>>()?;
    for endpoint in endpoints {
        if let Ok(channel) = endpoint.connect().await {
            return Ok(StudyServiceClient::new(channel)
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES));
        }
    }
    Err(Failure::user(format!(
        "no coordinator answers at {}; start one with `curvefleet coordinator`, or name another with --coordinator (`curvefleet run` needs none)",
        urls.join(" or ")
    )))
}

fn endpoint(url: &str) -> Result<Endpoint, Failure> {
    if !url.starts_with("http://") {
        let message = "does not begin with http://; it looks like http://127.0.0.1:7700";
        return Err(Failure::user(format!("the coordinator's URL `{url}` {message}")));
    }
    let endpoint = Endpoint::from_shared(url.to_string()).map_err(|error| {
        Failure::user(format!(
            "the coordinator's URL `{url}` cannot be used: {error}; it looks like http://127.0.0.1:7700"
        ))
    })?;
    Ok(endpoint
        .connect_timeout(CONNECT_WITHIN)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true))
}
