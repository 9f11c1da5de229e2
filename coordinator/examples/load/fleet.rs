//! Workers that train nothing: each leases, commits all runs of its leases, and sends heartbeats meanwhile.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use curvefleet_proto::artifact::{part_key, sha256_hex};
use curvefleet_proto::plan::ShardSpec;
use curvefleet_proto::v1::worker_service_client::WorkerServiceClient;
use curvefleet_proto::v1::{CommitRequest, CommittedRun, HeartbeatRequest, Held, Lease, LeaseRequest, RegisterRequest};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use crate::Failure;
use crate::measure::{Answered, Kind, Phase};

type Client = WorkerServiceClient<Channel>;

/// A fleet of workers, and how far it is.
pub struct Fleet {
    url: String,
    runs: u64,
    shards: u32,
    done: AtomicU64,
    phase: AtomicU8,
    /// Workers that have introduced themselves.
    pub registered: AtomicUsize,
}

/// What a worker's heartbeats and its work share.
#[derive(Default)]
struct Worker {
    held: Mutex<Vec<Held>>,
    answered: Mutex<Vec<Answered>>,
}

/// Connects at once.
pub async fn connect(url: &str) -> Result<Channel, Failure> {
    Ok(Endpoint::from_shared(url.to_string())?.connect().await?)
}

impl Fleet {
    /// A fleet for the coordinator at `url` and so many runs, that leases so many shards at a time.
    pub fn new(url: String, runs: u64, shards: u32) -> Fleet {
        Fleet { url, runs, shards, done: AtomicU64::new(0), phase: AtomicU8::new(0), registered: AtomicUsize::new(0) }
    }

    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    fn phase(&self) -> Phase {
        Phase::of(self.phase.load(Ordering::Relaxed))
    }

    /// One worker, from its introduction until all runs of the study are done.
    pub async fn work(self: Arc<Self>, number: usize) -> Result<Vec<Answered>, Failure> {
        let name = format!("worker-{number}");
        let mut client = Client::new(connect(&self.url).await?);
        let introduction = RegisterRequest {
            worker: name.clone(),
            slots: 1,
            backend: "none".to_string(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            session: "load".to_string(),
            ..RegisterRequest::default()
        };
        let registered = client.register(introduction).await?.into_inner();
        let worker = Arc::new(Worker::default());
        let every = Duration::from_millis(registered.heartbeat_ms);
        // Not all at once, as the workers of a real fleet are not.
        let first = every.mul_f64((number as f64 * 0.618).fract());
        let beating = tokio::spawn(self.clone().beat(worker.clone(), client.clone(), name.clone(), first, every));
        self.registered.fetch_add(1, Ordering::Relaxed);
        while self.phase() != Phase::Work && !beating.is_finished() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut asked = 0;
        while self.done.load(Ordering::Relaxed) < self.runs {
            asked += 1;
            self.lease_and_commit(&worker, &mut client, &name, asked).await?;
        }
        if beating.is_finished() {
            beating.await??;
            return Err(format!("the heartbeats of {name} ended").into());
        }
        beating.abort();
        Ok(std::mem::take(&mut *worker.answered.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    async fn lease_and_commit(
        &self,
        worker: &Worker,
        client: &mut Client,
        name: &str,
        number: u64,
    ) -> Result<(), Failure> {
        let request = LeaseRequest {
            worker: name.to_string(),
            shards: self.shards,
            session: "load".to_string(),
            number,
            ..LeaseRequest::default()
        };
        let asked = Instant::now();
        let leased = client.lease(request).await?.into_inner();
        worker.note(self.phase(), Kind::Lease, asked);
        if leased.leases.is_empty() {
            tokio::time::sleep(Duration::from_millis(leased.retry_after_ms)).await;
        }
        worker.hold(&leased.leases);
        for lease in leased.leases {
            let request = commit(name, &lease)?;
            let runs = request.runs.len() as u64;
            let asked = Instant::now();
            if !client.commit(request).await?.into_inner().accepted {
                return Err(format!("the commit of {} under fence {} is stale", lease.shard, lease.fence).into());
            }
            worker.note(self.phase(), Kind::Commit, asked);
            worker.drop_first();
            self.done.fetch_add(runs, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Sends heartbeats for ever.
    async fn beat(
        self: Arc<Self>,
        worker: Arc<Worker>,
        mut client: Client,
        name: String,
        first: Duration,
        every: Duration,
    ) -> Result<(), Failure> {
        tokio::time::sleep(first).await;
        let (sender, receiver) = mpsc::channel(1);
        let mut replies = None;
        let mut receiver = Some(receiver);
        loop {
            let beat = HeartbeatRequest {
                worker: name.clone(),
                held: worker.held.lock().unwrap_or_else(PoisonError::into_inner).clone(),
                epochs_per_second: 1.0,
                session: "load".to_string(),
            };
            let asked = Instant::now();
            sender.send(beat).await?;
            if let Some(receiver) = receiver.take() {
                replies = Some(client.heartbeat(ReceiverStream::new(receiver)).await?.into_inner());
            }
            let reply = match &mut replies {
                Some(replies) => replies.message().await?,
                None => None,
            };
            reply.ok_or("the coordinator closed a stream of heartbeats")?;
            worker.note(self.phase(), Kind::Heartbeat, asked);
            tokio::time::sleep(every).await;
        }
    }
}

impl Worker {
    fn note(&self, phase: Phase, kind: Kind, asked: Instant) {
        let answered = Answered { phase, kind, after: asked.elapsed() };
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).push(answered);
    }

    fn hold(&self, leases: &[Lease]) {
        let held =
            leases.iter().map(|lease| Held { shard: lease.shard.clone(), fence: lease.fence, ..Held::default() });
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held.collect();
    }

    fn drop_first(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(0);
    }
}

/// The commit of all runs of a lease.
fn commit(worker: &str, lease: &Lease) -> Result<CommitRequest, Failure> {
    let spec: ShardSpec = serde_json::from_str(&lease.spec_json)?;
    let runs: Vec<String> = spec.runs().map(|run| run.id.to_string()).collect();
    let part = part_key(&lease.study, &lease.shard, lease.fence, 1);
    Ok(CommitRequest {
        worker: worker.to_string(),
        shard: lease.shard.clone(),
        fence: lease.fence,
        sha256: sha256_hex(part.as_bytes()),
        part,
        size_bytes: 1,
        runs: lease
            .runs
            .iter()
            .map(|place| CommittedRun { run: runs[*place as usize].clone(), log: "30 epochs".to_string() })
            .collect(),
    })
}
