//! The connection to a coordinator.

use std::time::Duration;

use clap::Args;
use curvefleet_proto::access::{self, Access, AccessOptions, Bearer, trouble};
use curvefleet_proto::limits::MAX_MESSAGE_BYTES;
use curvefleet_proto::v1::study_service_client::StudyServiceClient;
use curvefleet_proto::v1::token_service_client::TokenServiceClient;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

use crate::failure::Failure;

/// A channel that puts the token on every request.
pub type Authorized = InterceptedService<Channel, Bearer>;

/// A client of the service for people and tools.
pub type Client = StudyServiceClient<Authorized>;

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
    #[command(flatten)]
    access: AccessOptions,
}

/// The coordinators' URLs, with the certificates and the token that they take.
#[derive(Debug, Clone)]
pub struct Way {
    urls: Vec<String>,
    access: Access,
}

impl Coordinator {
    /// The way there.
    ///
    /// # Errors
    /// If certificates or token cannot be read.
    pub fn way(&self) -> Result<Way, Failure> {
        Way::new(&self.coordinator, &self.access)
    }

    /// Connects.
    ///
    /// # Errors
    /// If a URL is none, or no coordinator answers.
    pub async fn connect(&self) -> Result<Client, Failure> {
        self.way()?.connect().await
    }

    /// Connects to the service for tokens.
    ///
    /// # Errors
    /// As [`Coordinator::connect`].
    pub async fn connect_tokens(&self) -> Result<TokenServiceClient<Authorized>, Failure> {
        Ok(TokenServiceClient::new(self.way()?.channel().await?))
    }
}

impl Way {
    /// The way to coordinators as the command line says it.
    ///
    /// # Errors
    /// If certificates or token cannot be read.
    pub fn new(urls: &[String], options: &AccessOptions) -> Result<Way, Failure> {
        Ok(Way { urls: urls.to_vec(), access: options.from_environment()? })
    }

    /// The way to a coordinator in this process.
    pub fn to(running: &curvefleet_coordinator::Running) -> Way {
        Way { urls: vec![running.url()], access: running.access() }
    }

    /// Connects to the first of the coordinators that answers.
    ///
    /// # Errors
    /// If a URL or a certificate cannot be used, or no coordinator answers.
    pub async fn connect(&self) -> Result<Client, Failure> {
        Ok(StudyServiceClient::new(self.channel().await?)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES))
    }

    async fn channel(&self) -> Result<Authorized, Failure> {
        let endpoints = self.urls.iter().map(|url| self.endpoint(url)).collect::<Result<Vec<_>, _>>()?;
        let mut reason = None;
        for endpoint in endpoints {
            match endpoint.connect().await {
                Ok(channel) => return Ok(InterceptedService::new(channel, self.access.bearer())),
                Err(error) => reason = reason.or(trouble::sentence(&error)),
            }
        }
        let urls = self.urls.join(" or ");
        Err(Failure::user(match reason {
            Some(reason) => format!("cannot talk to the coordinator at {urls}: {reason}"),
            None => format!(
                "no coordinator answers at {urls}; start one with `curvefleet coordinator`, or name another with --coordinator (`curvefleet run` needs none)"
            ),
        }))
    }

    fn endpoint(&self, url: &str) -> Result<Endpoint, access::Error> {
        let endpoint = self.access.endpoint(url)?;
        Ok(endpoint
            .connect_timeout(CONNECT_WITHIN)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true))
    }
}
