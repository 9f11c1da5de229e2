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

/// Which coordinator to talk to.
#[derive(Debug, Clone, Args)]
pub struct Coordinator {
    /// The coordinator's URL
    #[arg(long, env = "CURVEFLEET_COORDINATOR", value_name = "URL", default_value = "http://127.0.0.1:7700")]
    pub coordinator: String,
}

impl Coordinator {
    /// Connects.
    ///
    /// # Errors
    /// If the URL is none, or no coordinator answers there.
    pub async fn connect(&self) -> Result<Client, Failure> {
        connect(&self.coordinator).await
    }
}

/// Connects to the coordinator at a URL.
///
/// # Errors
/// If the URL is none, or no coordinator answers there.
pub async fn connect(url: &str) -> Result<Client, Failure> {
    if !url.starts_with("http://") {
        let message = "does not begin with http://; it looks like http://127.0.0.1:7700";
        return Err(Failure::user(format!("the coordinator's URL `{url}` {message}")));
    }
    let endpoint = Endpoint::from_shared(url.to_string()).map_err(|error| {
        Failure::user(format!(
            "the coordinator's URL `{url}` cannot be used: {error}; it looks like http://127.0.0.1:7700"
        ))
    })?;
    let channel = endpoint.connect_timeout(CONNECT_WITHIN).connect().await.map_err(|_| {
        Failure::user(format!(
            "no coordinator answers at {url}; start one with `curvefleet coordinator`, or name another with --coordinator (`curvefleet run` needs none)"
        ))
    })?;
    Ok(StudyServiceClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES))
}
