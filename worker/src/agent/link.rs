//! Calls to the coordinator, with deadlines and retries. A coordinator that is away comes back: nothing here gives up on it.

use std::time::Duration;

use curvefleet_proto::limits::MAX_MESSAGE_BYTES;
use curvefleet_proto::v1::worker_service_client::WorkerServiceClient;
use curvefleet_proto::v1::{
    CommitRequest, FailRequest, LeaseRequest, LeaseResponse, RegisterRequest, RegisterResponse, ReleaseRequest,
};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// Longest wait for an answer. A coordinator answers within one disk write; what takes longer is lost.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Pause after the first failed call.
pub const RETRY_AFTER: Duration = Duration::from_millis(250);
/// Longest pause between calls.
const RETRY_AT_MOST: Duration = Duration::from_secs(15);
/// How often an idle connection is tried, and how long its answer may take: a dead coordinator is noticed well within a lease.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// A connection to the coordinator that mends itself.
#[derive(Debug, Clone)]
pub struct Link {
    client: WorkerServiceClient<Channel>,
}

/// A call that fails again and again: its pauses grow, and each reason is news once.
#[derive(Debug, Default)]
pub struct Trouble {
    reason: String,
    failures: u32,
}

impl Trouble {
    /// Whether this reason is another one than the last.
    pub fn is_news(&mut self, status: &Status) -> bool {
        let news = self.reason != status.message();
        self.reason = status.message().to_string();
        news
    }

    /// How long to wait now: [`RETRY_AFTER`], doubled with each failure, at most [`RETRY_AT_MOST`].
    pub fn pause(&mut self) -> Duration {
        let doublings = self.failures.min(16);
        self.failures += 1;
        (RETRY_AFTER * (1 << doublings)).min(RETRY_AT_MOST)
    }
}

/// What became of a report about a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The ledger took it.
    Accepted,
    /// The lease is not the worker's any more: nothing changed.
    Stale,
}

impl Link {
    /// A link that connects with the first call.
    ///
    /// # Errors
    /// If `url` is not a URL with `http://`.
    pub fn new(url: &str) -> Result<Link, String> {
        let refused = |reason: &str| {
            format!("the coordinator's URL `{url}` cannot be used: {reason}; it looks like http://127.0.0.1:7700")
        };
        if !url.starts_with("http://") {
            return Err(refused("it does not begin with http://"));
        }
        let endpoint = Endpoint::from_shared(url.to_string()).map_err(|error| refused(&error.to_string()))?;
        let channel = endpoint
            .connect_timeout(ANSWER_WITHIN)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true)
            .connect_lazy();
        let client = WorkerServiceClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Link { client })
    }

    /// The bare client, for the heartbeat stream.
    pub fn client(&self) -> WorkerServiceClient<Channel> {
        self.client.clone()
    }

    /// Introduces the worker; waits for the coordinator as long as it takes.
    ///
    /// # Errors
    /// With the coordinator's sentence, where it refuses the worker.
    pub async fn register(&self, request: &RegisterRequest) -> Result<RegisterResponse, String> {
        let registered = self.insist("register", || {
            let (mut client, request) = (self.client.clone(), request.clone());
            async move { client.register(request).await }
        });
        registered.await.map_err(|status| status.message().to_string())
    }

    /// Asks for work, once.
    ///
    /// # Errors
    /// If there is no answer in time, or a refusal.
    pub async fn lease(&self, request: LeaseRequest) -> Result<LeaseResponse, Status> {
        let mut client = self.client.clone();
        within(client.lease(request)).await
    }

    /// Commits a part; repeated until it is answered, which is safe because a repeated commit is the same commit.
    ///
    /// # Errors
    /// If the coordinator refuses the request itself.
    pub async fn commit(&self, request: &CommitRequest) -> Result<Verdict, Status> {
        let answer = self.insist("commit", || {
            let (mut client, request) = (self.client.clone(), request.clone());
            async move { client.commit(request).await }
        });
        answer.await.map(|reply| verdict(reply.accepted))
    }

    /// Reports a failed run; repeated until it is answered.
    ///
    /// # Errors
    /// If the coordinator refuses the request itself.
    pub async fn fail(&self, request: &FailRequest) -> Result<Verdict, Status> {
        let answer = self.insist("fail", || {
            let (mut client, request) = (self.client.clone(), request.clone());
            async move { client.fail(request).await }
        });
        answer.await.map(|reply| verdict(reply.accepted))
    }

    /// Hands leases back, once: if the answer is lost they expire by themselves.
    pub async fn release(&self, request: ReleaseRequest) -> Result<u32, Status> {
        let mut client = self.client.clone();
        within(client.release(request)).await.map(|reply| reply.released)
    }

    /// Calls until there is an answer that is not about the connection.
    async fn insist<T, F>(&self, call: &'static str, attempt: impl Fn() -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let mut trouble = Trouble::default();
        loop {
            match within(attempt()).await {
                Err(status) if is_passing(status.code()) => {
                    if trouble.is_news(&status) {
                        tracing::warn!(call, error = status.message(), "the coordinator does not answer, trying again");
                    }
                    tokio::time::sleep(trouble.pause()).await;
                }
                answer => return answer,
            }
        }
    }
}

/// Whether a later call may go better without anyone doing anything.
fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::Internal
            | Code::ResourceExhausted
            | Code::Aborted
    )
}

fn verdict(accepted: bool) -> Verdict {
    if accepted { Verdict::Accepted } else { Verdict::Stale }
}

async fn within<T>(call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<T, Status> {
    match tokio::time::timeout(ANSWER_WITHIN, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!("there was no answer within {} s", ANSWER_WITHIN.as_secs()))),
    }
}
