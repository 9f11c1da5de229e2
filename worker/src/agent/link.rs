//! Calls to the coordinator, with deadlines and retries. A coordinator that is away comes back: nothing here gives up on it. Where
//! there are several, a call that fails is made to the next one, and all later calls, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use curvefleet_proto::access::{Access, Bearer, trouble};
use curvefleet_proto::limits::MAX_MESSAGE_BYTES;
use curvefleet_proto::v1::worker_service_client::WorkerServiceClient;
use curvefleet_proto::v1::{
    CommitRequest, FailRequest, LeaseRequest, LeaseResponse, RegisterRequest, RegisterResponse, ReleaseRequest,
    SplitRequest,
};
use sha2::{Digest as _, Sha256};
use tonic::body::Body;
use tonic::codegen::http;
use tonic::service::interceptor::InterceptedService;
use tonic::{Code, Status};
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use crate::rng::{self, Stream};

/// Longest wait for an answer. A coordinator answers within one disk write; what takes longer is lost.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Longest wait for a connection: another coordinator may be there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Pause after the first failed call.
pub const RETRY_AFTER: Duration = Duration::from_millis(250);
/// Longest pause between calls.
const RETRY_AT_MOST: Duration = Duration::from_secs(15);
/// How often an idle connection is tried, and how long its answer may take: a dead coordinator is noticed well within a lease.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// A way to a coordinator: what takes requests of gRPC and answers them.
pub type Transport = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Status>;
/// Calls to one coordinator, with the worker's token on each.
pub type Client = WorkerServiceClient<InterceptedService<Transport, Bearer>>;

/// A connection to one of the coordinators that mends itself.
#[derive(Debug, Clone)]
pub struct Link {
    clients: Arc<[Client]>,
    bearer: Bearer,
    /// Counts the coordinators called so far; the one to call is the remainder by their number.
    at: Arc<AtomicUsize>,
    /// Counts the troubles, so that each draws pauses of its own.
    troubles: Arc<AtomicU64>,
    /// Of the random pauses: made from the worker's name, so that workers differ.
    seed: [u8; 32],
}

/// Which coordinator a call went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Called(usize);

/// A call that fails again and again: its pauses grow, and each reason is news once.
#[derive(Debug)]
pub struct Trouble {
    reason: String,
    failures: u32,
    /// How many coordinators there are to try between two longer pauses.
    coordinators: u32,
    random: Stream,
}

impl Trouble {
    /// Whether this reason is another one than the last.
    pub fn is_news(&mut self, status: &Status) -> bool {
        let news = self.reason != status.message();
        self.reason = status.message().to_string();
        news
    }

    /// How long to wait now: [`RETRY_AFTER`], doubled whenever all coordinators have failed, at most [`RETRY_AT_MOST`]; and of that a
    /// random part from a half to the whole, so that the workers of a coordinator that is gone do not all call the next at once.
    pub fn pause(&mut self) -> Duration {
        let doublings = (self.failures / self.coordinators).min(16);
        self.failures += 1;
        let longest = (RETRY_AFTER * (1 << doublings)).min(RETRY_AT_MOST);
        longest.mul_f64(0.5 + 0.5 * self.random.uniform())
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
    /// A link that connects with the first call. Workers of different names begin with different coordinators.
    ///
    /// # Errors
    /// If there is no URL, or one of them cannot be used.
    pub fn new(urls: &[String], access: &Access, worker: &str) -> Result<Link, String> {
        let transports = urls.iter().map(|url| transport(url, access)).collect::<Result<_, _>>()?;
        Link::over(transports, access.bearer(), worker)
    }

    /// A link over these ways, with this token on each call.
    ///
    /// # Errors
    /// If there is none.
    pub fn over(transports: Vec<Transport>, bearer: Bearer, worker: &str) -> Result<Link, String> {
        let clients: Arc<[_]> = transports.into_iter().map(|transport| client(transport, &bearer)).collect();
        if clients.is_empty() {
            return Err("--coordinator names no coordinator; it looks like http://127.0.0.1:7700".to_string());
        }
        let seed: [u8; 32] = Sha256::digest(worker).into();
        let first = rng::stream(&seed, "first coordinator").below(clients.len() as u64) as usize;
        Ok(Link { clients, bearer, at: Arc::new(AtomicUsize::new(first)), troubles: Arc::default(), seed })
    }

    /// The bare client of the coordinator at hand, for the heartbeat stream.
    pub fn client(&self) -> (Client, Called) {
        let at = self.at.load(Ordering::Relaxed);
        (self.clients[at % self.clients.len()].clone(), Called(at))
    }

    /// Turns to the next coordinator, unless another call that failed has done so already.
    pub fn move_on(&self, Called(at): Called) {
        if self.clients.len() > 1 {
            // An error means that someone was faster.
            let _ = self.at.compare_exchange(at, at.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Whether a status says that the token is refused and there is another one in its file now: then the call may be made again.
    pub fn has_new_token(&self, status: &Status) -> bool {
        status.code() == Code::Unauthenticated && self.bearer.read_again()
    }

    /// A trouble that has not begun.
    pub fn trouble(&self) -> Trouble {
        let number = self.troubles.fetch_add(1, Ordering::Relaxed);
        let random = rng::stream(&self.seed, &format!("pauses {number}"));
        Trouble { reason: String::new(), failures: 0, coordinators: self.clients.len() as u32, random }
    }

    /// Introduces the worker; waits for the coordinator as long as it takes.
    ///
    /// # Errors
    /// With the coordinator's sentence, where it refuses the worker.
    pub async fn register(&self, request: &RegisterRequest) -> Result<RegisterResponse, String> {
        let registered = self.insist("register", |mut client| {
            let request = request.clone();
            async move { client.register(request).await }
        });
        registered.await.map_err(|status| status.message().to_string())
    }

    /// Asks for work, once; if that fails, the next call goes to the next coordinator.
    ///
    /// # Errors
    /// If there is no answer in time, or a refusal.
    pub async fn lease(&self, request: LeaseRequest) -> Result<LeaseResponse, Status> {
        let (mut client, called) = self.client();
        let answer = within(client.lease(request)).await;
        if let Err(status) = &answer {
            self.has_new_token(status);
            if is_passing(status.code()) {
                self.move_on(called);
            }
        }
        answer
    }

    /// Commits a part; repeated until it is answered, which is safe because a repeated commit is the same commit.
    ///
    /// # Errors
    /// If the coordinator refuses the request itself.
    pub async fn commit(&self, request: &CommitRequest) -> Result<Verdict, Status> {
        let answer = self.insist("commit", |mut client| {
            let request = request.clone();
            async move { client.commit(request).await }
        });
        answer.await.map(|reply| verdict(reply.accepted))
    }

    /// Reports a failed run; repeated until it is answered.
    ///
    /// # Errors
    /// If the coordinator refuses the request itself.
    pub async fn fail(&self, request: &FailRequest) -> Result<Verdict, Status> {
        let answer = self.insist("fail", |mut client| {
            let request = request.clone();
            async move { client.fail(request).await }
        });
        answer.await.map(|reply| verdict(reply.accepted))
    }

    /// Hands runs back that have not begun; repeated until it is answered, which is safe because they leave the shard once.
    ///
    /// # Errors
    /// If the coordinator refuses the request itself.
    pub async fn split(&self, request: &SplitRequest) -> Result<Verdict, Status> {
        let answer = self.insist("split", |mut client| {
            let request = request.clone();
            async move { client.split(request).await }
        });
        answer.await.map(|reply| verdict(reply.accepted))
    }

    /// Hands leases back, to the first coordinator that answers: if none does, or the answer is lost, they expire by themselves.
    ///
    /// # Errors
    /// If none answers in time, or one refuses.
    pub async fn release(&self, request: ReleaseRequest) -> Result<u32, Status> {
        let mut tries = self.clients.len();
        loop {
            let (mut client, called) = self.client();
            tries -= 1;
            match within(client.release(request.clone())).await {
                Err(status) if is_passing(status.code()) && tries > 0 => self.move_on(called),
                answer => return answer.map(|reply| reply.released),
            }
        }
    }

    /// Calls until there is an answer that is not about the connection.
    async fn insist<T, F>(&self, call: &'static str, attempt: impl Fn(Client) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let mut trouble = self.trouble();
        loop {
            let (client, called) = self.client();
            match within(attempt(client)).await {
                Err(status) if is_passing(status.code()) => {
                    if trouble.is_news(&status) {
                        tracing::warn!(call, error = status.message(), "the coordinator does not answer, trying again");
                    }
                    self.move_on(called);
                    tokio::time::sleep(trouble.pause()).await;
                }
                Err(status) if self.has_new_token(&status) => {}
                answer => return answer,
            }
        }
    }
}

/// A way that connects with its first call.
fn transport(url: &str, access: &Access) -> Result<Transport, String> {
    let channel = access
        .endpoint(url)
        .map_err(|error| error.to_string())?
        .connect_timeout(CONNECT_WITHIN)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
        .connect_lazy();
    Ok(BoxCloneSyncService::new(channel.map_err(|error| Status::from_error(error.into()))))
}

fn client(transport: Transport, bearer: &Bearer) -> Client {
    WorkerServiceClient::with_interceptor(transport, bearer.clone())
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
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
        Ok(answer) => answer.map(tonic::Response::into_inner).map_err(trouble::clearer),
        Err(_) => Err(Status::deadline_exceeded(format!("there was no answer within {} s", ANSWER_WITHIN.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(coordinators: usize, worker: &str) -> Link {
        let urls: Vec<String> =
            (0..coordinators).map(|number| format!("http://127.0.0.1:{}", 7_700 + number)).collect();
        Link::new(&urls, &Access::default(), worker).expect("these are URLs")
    }

    #[tokio::test]
    async fn calls_that_fail_together_move_on_once() {
        let link = link(3, "w");
        let ((_, first), (_, same)) = (link.client(), link.client());
        link.move_on(first);
        link.move_on(same);
        let (_, second) = link.client();
        assert_eq!(second, Called(first.0 + 1));
    }

    #[tokio::test]
    async fn workers_spread_over_the_coordinators() {
        let firsts = (0..64).map(|number| link(2, &format!("w{number}")).client().1.0);
        let second = firsts.filter(|first| *first == 1).count();
        assert!((16..48).contains(&second), "{second} of 64 begin with the second coordinator");
    }

    #[tokio::test]
    async fn pauses_grow_with_each_round_and_are_not_the_same_for_all() {
        let mut trouble = link(2, "w").trouble();
        let pauses: Vec<Duration> = (0..20).map(|_| trouble.pause()).collect();
        for (number, pause) in pauses.iter().enumerate() {
            let longest = (RETRY_AFTER * (1 << (number / 2))).min(RETRY_AT_MOST);
            assert!((longest / 2..=longest).contains(pause), "pause {number}: {pause:?}");
        }
        assert_ne!(pauses, {
            let mut other = link(2, "v").trouble();
            (0..20).map(|_| other.pause()).collect::<Vec<_>>()
        });
    }

    #[tokio::test]
    async fn what_is_no_url_is_refused() {
        assert!(Link::new(&[], &Access::default(), "w").is_err());
        for url in ["", "host:7700", "ftp://host:7700", "http://"] {
            let urls = ["http://127.0.0.1:7700".to_string(), url.to_string()];
            let error = Link::new(&urls, &Access::default(), "w").expect_err("one is no URL");
            assert!(error.contains(&format!("`{url}`")), "{error}");
        }
    }
}
