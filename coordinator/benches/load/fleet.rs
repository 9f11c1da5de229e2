//! Workers that lease, beat and commit as real ones do, and train nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use curvefleet_proto::artifact::{part_key, sha256_hex};
use curvefleet_proto::limits::MAX_MESSAGE_BYTES;
use curvefleet_proto::plan::ShardSpec;
use curvefleet_proto::v1::study_service_client::StudyServiceClient;
use curvefleet_proto::v1::worker_service_client::WorkerServiceClient;
use curvefleet_proto::v1::{
    CommitRequest, CommittedRun, HeartbeatRequest, Held, Lease, LeaseRequest, Origin, RegisterRequest,
    SubmitStudyRequest,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use crate::Result;
use crate::latency::Latencies;

/// Longest wait for an answer: that of a study of millions of runs takes its time.
const ANSWER_WITHIN: Duration = Duration::from_secs(600);

/// Connected workers.
#[derive(Debug)]
pub struct Fleet {
    channels: Vec<Channel>,
}

/// What a fleet is to do.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// The study.
    pub study: &'static str,
    /// Its runs.
    pub runs: u64,
    /// How long a shard takes.
    pub training: Duration,
    /// When to stop, if the study is not done before.
    pub until: Option<Instant>,
}

/// One worker.
struct Worker {
    name: String,
    client: WorkerServiceClient<Channel>,
    held: Arc<Mutex<Vec<Held>>>,
    latencies: Latencies,
}

impl Fleet {
    /// Connects `workers` workers.
    pub async fn connect(url: &str, workers: usize) -> Result<Fleet> {
        let endpoint = Endpoint::from_shared(url.to_string())?.timeout(ANSWER_WITHIN);
        let mut channels = Vec::with_capacity(workers);
        for _ in 0..workers {
            channels.push(endpoint.connect().await?);
        }
        Ok(Fleet { channels })
    }

    /// Hands a study in.
    pub async fn submit(&self, study: &str) -> Result<()> {
        let channel = self.channels.first().ok_or("a fleet of no workers")?;
        let mut client = StudyServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        client.submit_study(SubmitStudyRequest { study_toml: study.to_string() }).await?;
        Ok(())
    }

    /// Works the study off, or as much of it as there is time for.
    pub async fn work(&self, work: Work) -> Result<Latencies> {
        let done = Arc::new(AtomicU64::new(0));
        let mut working = JoinSet::new();
        for (number, channel) in self.channels.iter().enumerate() {
            let client = WorkerServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
            let name = format!("{}-{number}", work.study);
            let worker = Worker { name, client, held: Arc::default(), latencies: Latencies::default() };
            // Spread over the time that a shard takes, as those of a fleet are.
            let begin_after = work.training.mul_f64(number as f64 / self.channels.len() as f64);
            working.spawn(worker.work(work, begin_after, done.clone()));
        }
        let mut latencies = Latencies::default();
        while let Some(worker) = working.join_next().await {
            latencies.extend(worker??);
        }
        Ok(latencies)
    }
}

impl Worker {
    async fn work(mut self, work: Work, begin_after: Duration, done: Arc<AtomicU64>) -> Result<Latencies> {
        tokio::time::sleep(begin_after).await;
        let register = RegisterRequest {
            worker: self.name.clone(),
            slots: 1,
            backend: "none".to_string(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            ..RegisterRequest::default()
        };
        let registered = self.client.register(register).await?.into_inner();
        let (stop, stopped) = oneshot::channel();
        let interval = Duration::from_millis(registered.heartbeat_ms);
        let beating = tokio::spawn(beat(self.client.clone(), self.name.clone(), self.held.clone(), interval, stopped));
        let is_time_up = || work.until.is_some_and(|until| Instant::now() >= until);
        while done.load(Ordering::Relaxed) < work.runs && !is_time_up() {
            let began = Instant::now();
            let request = LeaseRequest { worker: self.name.clone(), shards: 1, ..LeaseRequest::default() };
            let leased = self.client.lease(request).await?.into_inner();
            self.latencies.lease.push(micros(began));
            if leased.leases.is_empty() {
                tokio::time::sleep(Duration::from_millis(leased.retry_after_ms)).await;
            }
            for lease in leased.leases {
                self.hold(vec![Held { shard: lease.shard.clone(), fence: lease.fence, ..Held::default() }]);
                tokio::time::sleep(work.training).await;
                done.fetch_add(self.commit(&lease).await?, Ordering::Relaxed);
                self.hold(Vec::new());
            }
        }
        drop(stop);
        self.latencies.heartbeat = beating.await??;
        Ok(self.latencies)
    }

    fn hold(&self, leases: Vec<Held>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = leases;
    }

    /// Commits a lease's runs as one part; says how many.
    async fn commit(&mut self, lease: &Lease) -> Result<u64> {
        let spec: ShardSpec = serde_json::from_str(&lease.spec_json)?;
        let part = part_key(&lease.study, &lease.shard, lease.fence, 0);
        let runs = spec.runs().map(|run| CommittedRun {
            run: run.id.to_string(),
            log: format!(
                "seed {} on {} (none): 50 epochs; at the end training loss 0.1234, validation accuracy 0.900",
                run.seed, self.name
            ),
            ..CommittedRun::default()
        });
        let request = CommitRequest {
            worker: self.name.clone(),
            shard: lease.shard.clone(),
            fence: lease.fence,
            sha256: sha256_hex(part.as_bytes()),
            part,
            // So large that the coordinator leaves it as it is: there is no such object.
            size_bytes: 64 << 20,
            runs: runs.collect(),
            origin: Some(Origin {
                study_sha256: spec.study_sha256.clone(),
                data_sha256: spec.settings.data_sha256.clone(),
                version: env!("CARGO_PKG_VERSION").to_string(),
                git_commit: "0".repeat(40),
                backend: "none".to_string(),
                device: "a processor".to_string(),
                cpu_features: vec!["avx2".to_string(), "fma".to_string()],
            }),
        };
        let runs = request.runs.len() as u64;
        let began = Instant::now();
        let answer = self.client.commit(request).await?.into_inner();
        self.latencies.commit.push(micros(began));
        if answer.accepted { Ok(runs) } else { Err(format!("the lease of {} was lost", lease.shard).into()) }
    }
}

/// Sends heartbeats until `stopped`; says how long each waited for its answer.
async fn beat(
    mut client: WorkerServiceClient<Channel>,
    worker: String,
    held: Arc<Mutex<Vec<Held>>>,
    interval: Duration,
    mut stopped: oneshot::Receiver<()>,
) -> Result<Vec<u64>> {
    let (beats, stream) = mpsc::channel(1);
    let mut answers = client.heartbeat(ReceiverStream::new(stream)).await?.into_inner();
    let mut latencies = Vec::new();
    loop {
        let held = held.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let began = Instant::now();
        let beat =
            HeartbeatRequest { worker: worker.clone(), held, epochs_per_second: 1.0, ..HeartbeatRequest::default() };
        beats.send(beat).await?;
        answers.message().await?.ok_or("the coordinator ends a stream of heartbeats")?;
        latencies.push(micros(began));
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            _ = &mut stopped => return Ok(latencies),
        }
    }
}

fn micros(began: Instant) -> u64 {
    began.elapsed().as_micros() as u64
}
