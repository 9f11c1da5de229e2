//! What the services are served with: message and stream limits, keepalive, health and reflection.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use curvefleet_proto::limits::{MAX_MESSAGE_BYTES, MAX_STREAMS_PER_CONNECTION};
use curvefleet_proto::v1::FILE_DESCRIPTOR_SET;
use curvefleet_proto::v1::study_service_server::StudyServiceServer;
use curvefleet_proto::v1::token_service_server::TokenServiceServer;
use curvefleet_proto::v1::worker_service_server::WorkerServiceServer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::server::HealthReporter;

use crate::access::GuardLayer;
use crate::access::listener::incoming;
use crate::error::Error;
use crate::service::{Core, StudyApi, TokenApi, WorkerApi};

/// A connection that is silent for this long is asked whether it is still there ...
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// ... and closed if it does not answer within this.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Says to whoever asks whether the services take requests.
#[derive(Debug, Clone)]
pub(crate) struct Health(HealthReporter);

impl Health {
    /// The services take no new work.
    pub async fn set_not_serving(&self) {
        self.0.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        self.0.set_not_serving::<StudyServiceServer<StudyApi>>().await;
        self.0.set_not_serving::<WorkerServiceServer<WorkerApi>>().await;
        self.0.set_not_serving::<TokenServiceServer<TokenApi>>().await;
    }
}

/// The services on a listening socket: the health switch, and the future that serves until `stop` and then until all
/// streams have ended.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    guard: GuardLayer,
    core: Arc<Core>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(Health, impl Future<Output = Result<(), tonic::transport::Error>> + Send), Error> {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<StudyServiceServer<StudyApi>>().await;
    reporter.set_serving::<WorkerServiceServer<WorkerApi>>().await;
    reporter.set_serving::<TokenServiceServer<TokenApi>>().await;
    let describe = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let reflection = describe().build_v1().map_err(|error| Error::Server(error.to_string()))?;
    // grpcurl and older tools still ask the alpha version.
    let reflection_alpha = describe().build_v1alpha().map_err(|error| Error::Server(error.to_string()))?;
    let served = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(MAX_STREAMS_PER_CONNECTION)
        .layer(guard)
        .add_routes(routes(core))
        .add_service(health)
        .add_service(reflection)
        .add_service(reflection_alpha)
        .serve_with_incoming_shutdown(Box::pin(incoming(listener, tls)), stop);
    Ok((Health(reporter), served))
}

/// The services for people and for workers.
pub(crate) fn routes(core: Arc<Core>) -> Routes {
    let studies = StudyServiceServer::new(StudyApi::new(core.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let tokens = TokenServiceServer::new(TokenApi::new(core.clone()));
    let workers = WorkerServiceServer::new(WorkerApi::new(core))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    Routes::new(studies).add_service(tokens).add_service(workers)
}
