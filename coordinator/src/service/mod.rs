//! The gRPC services. They check what comes in before anything is allocated for it, ask the ledger, and put its answers
//! into messages; they decide nothing themselves.
//!
//! - [`study`]: the service for people and tools; [`submit`] and [`watch`] hold its two longer methods
//! - [`worker`]: the service for workers; [`heartbeat`] holds its stream
//! - [`token`]: the service for who may use the coordinator
//! - [`damage`]: reads parts that are said to be damaged, and retries their runs
//! - [`reused`]: reads the parts that a new study's reused runs lie in
//! - [`check`]: bounds on names, ids and counts
//! - [`message`]: from the ledger's answers to messages
//! - [`refuse`]: from errors to gRPC statuses

mod check;
mod damage;
mod heartbeat;
mod message;
mod refuse;
mod reused;
mod study;
mod submit;
mod token;
mod watch;
mod worker;

use std::sync::Arc;

use curvefleet_proto::store::Store;
use curvefleet_proto::v1;

use crate::access::Tokens;
use crate::clock::Clock;
use crate::ledger::{Handle, Settings};
use crate::manifest::Manifests;
use crate::rates::Rates;

pub(crate) use study::StudyApi;
pub(crate) use token::TokenApi;
pub(crate) use worker::WorkerApi;

/// What both services work with.
pub(crate) struct Core {
    /// All that has to last.
    pub ledger: Handle,
    /// Where artifacts lie.
    pub store: Store,
    /// Whether the ledger lies there, too: then it is the right store.
    pub holds_ledger: bool,
    /// Who may ask.
    pub tokens: Arc<Tokens>,
    /// Writes manifests when a client asks.
    pub manifests: Arc<Manifests>,
    /// How fast the fleet trains.
    pub rates: Rates,
    /// For telling workers how long leases last.
    pub settings: Settings,
    /// For placing heartbeats in time.
    pub clock: Arc<dyn Clock>,
    /// Places for clients that follow studies.
    pub watchers: Arc<tokio::sync::Semaphore>,
    /// True when the coordinator stops: streams end then.
    pub stopping: tokio::sync::watch::Receiver<bool>,
    /// Held from the look at a study's name until it is in the ledger, so that of two studies with one name only the one
    /// that is taken leaves its file in the store.
    pub submitting: tokio::sync::Mutex<()>,
}

/// A stream of answers; a task fills it.
pub(crate) type Answers<T> = tokio_stream::wrappers::ReceiverStream<Result<T, tonic::Status>>;

/// Answers that wait for a slow peer at most, per stream; the task that fills the stream waits then.
const ANSWERS_WAITING: usize = 4;

/// A stream of answers and where they are put in.
fn answers<T>() -> (tokio::sync::mpsc::Sender<Result<T, tonic::Status>>, Answers<T>) {
    let (sender, receiver) = tokio::sync::mpsc::channel(ANSWERS_WAITING);
    (sender, tokio_stream::wrappers::ReceiverStream::new(receiver))
}

/// Returns when the coordinator stops.
pub(crate) async fn stopped(mut stopping: tokio::sync::watch::Receiver<bool>) {
    // An error means that the coordinator is gone altogether.
    drop(stopping.wait_for(|stopping| *stopping).await);
}

/// Reads a message to a method and checks it as the service does, but carries nothing out. For fuzzing; methods whose messages hold no
/// more than a name are not among those it knows.
///
/// # Errors
/// With the refusal that a peer would get.
pub fn check_message(method: &str, message: &[u8]) -> Result<(), tonic::Status> {
    match method {
        "Register" => worker::introduction(decoded(message)?).map(drop),
        "Lease" => worker::leases(decoded::<v1::LeaseRequest>(message)?.held).map(drop),
        "Commit" => worker::commit(decoded(message)?).map(drop),
        "Fail" => worker::fail(decoded(message)?).map(drop),
        "Release" => worker::leases(decoded::<v1::ReleaseRequest>(message)?.held).map(drop),
        "Split" => worker::split(decoded(message)?).map(drop),
        "ListRuns" => study::list_runs(decoded(message)?).map(drop),
        "SubmitStudy" => submit::check(&decoded::<v1::SubmitStudyRequest>(message)?.study_toml).map(drop),
        other => Err(tonic::Status::unimplemented(format!("`{other}` is not among the methods that are checked"))),
    }
}

fn decoded<M: prost::Message + Default>(message: &[u8]) -> Result<M, tonic::Status> {
    curvefleet_proto::codec::check(message)?;
    M::decode(message).map_err(|error| tonic::Status::internal(error.to_string()))
}
