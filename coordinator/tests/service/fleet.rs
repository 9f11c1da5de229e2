//! A coordinator on a port of its own with a store in a temporary folder, and clients.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use curvefleet_coordinator::clock::Clock;
use curvefleet_coordinator::{Coordinator, Error, Options, Running};
use curvefleet_proto::artifact::{dataset_key, part_key, sha256_hex};
use curvefleet_proto::plan::ShardSpec;
use curvefleet_proto::v1::study_service_client::StudyServiceClient;
use curvefleet_proto::v1::worker_service_client::WorkerServiceClient;
use curvefleet_proto::v1::{
    CommitRequest, CommittedRun, Lease, LeaseRequest, Origin, RegisterRequest, SubmitStudyRequest, SubmitStudyResponse,
};
use tonic::transport::Channel;
use tonic::{Request, Status};

/// A clock that a test turns.
#[derive(Debug, Default)]
pub struct Hand(AtomicU64);

impl Hand {
    pub fn turn(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

pub struct Fleet {
    pub running: Running,
    pub clock: Arc<Hand>,
    pub folder: Arc<tempfile::TempDir>,
    pub studies: StudyServiceClient<Channel>,
    pub workers: WorkerServiceClient<Channel>,
}

/// Options for a coordinator on any free port, with its store in `folder`.
pub fn options(folder: &tempfile::TempDir) -> Options {
    Options {
        listen: "127.0.0.1:0".to_string(),
        store: folder.path().join("store").display().to_string(),
        ..Options::default()
    }
}

/// A connection to a coordinator.
pub async fn connect(running: &Running) -> Channel {
    Channel::from_shared(running.url()).unwrap().connect().await.unwrap()
}

impl Fleet {
    pub async fn start() -> Fleet {
        let clock = Arc::new(Hand::default());
        clock.turn(1_000_000);
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Fleet::start_in(options(&folder), folder, clock).await.unwrap()
    }

    /// With the ledger in another folder than the store.
    pub async fn start_with_its_ledger_apart() -> Fleet {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let options = Options { ledger: Some(folder.path().join("ledger.sqlite")), ..options(&folder) };
        Fleet::start_in(options, folder, Arc::new(Hand::default())).await.unwrap()
    }

    async fn start_in(options: Options, folder: Arc<tempfile::TempDir>, clock: Arc<Hand>) -> Result<Fleet, Error> {
        let running = Coordinator::start_at(options, clock.clone()).await?;
        let channel = connect(&running).await;
        let (studies, workers) = (StudyServiceClient::new(channel.clone()), WorkerServiceClient::new(channel));
        Ok(Fleet { running, clock, folder, studies, workers })
    }

    /// Stops the coordinator and starts another on the same store and ledger.
    pub async fn restart(self) -> Fleet {
        let Fleet { running, clock, folder, studies, workers } = self;
        drop((studies, workers));
        running.shutdown().await;
        Fleet::start_in(options(&folder), folder, clock).await.unwrap()
    }

    pub fn file(&self, key: &str) -> PathBuf {
        self.folder.path().join("store").join(key)
    }

    /// Puts the data set that the studies name into the store.
    pub fn put_data(&self) {
        let file = self.file(&dataset_key(&data_sha256()));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "data").unwrap();
    }

    pub async fn submit(&mut self, study_toml: String) -> Result<SubmitStudyResponse, Status> {
        self.studies.submit_study(SubmitStudyRequest { study_toml }).await.map(tonic::Response::into_inner)
    }

    /// Registers the worker and leases for it.
    pub async fn lease(&mut self, worker: &str, shards: u32) -> Vec<Lease> {
        let (name, backend, version) = (worker.to_string(), "flex".to_string(), "1".to_string());
        let register =
            RegisterRequest { worker: name.clone(), slots: 1, backend, version, ..RegisterRequest::default() };
        self.workers.register(register).await.unwrap();
        self.workers
            .lease(LeaseRequest { worker: name, shards, ..LeaseRequest::default() })
            .await
            .unwrap()
            .into_inner()
            .leases
    }

    pub async fn commit(&mut self, worker: &str, lease: &Lease, runs: &[String]) -> Result<bool, Status> {
        self.workers.commit(commit_of(worker, lease, runs)).await.map(|response| response.into_inner().accepted)
    }

    /// The messages of a watch, to its end.
    pub async fn watch(&mut self, name: &str) -> Vec<curvefleet_proto::v1::StudyStatus> {
        let request = Request::new(curvefleet_proto::v1::WatchStudyRequest { name: name.to_string() });
        let mut stream = self.studies.watch_study(request).await.unwrap().into_inner();
        let mut statuses = Vec::new();
        while let Some(message) = stream.message().await.unwrap() {
            statuses.push(message.status.unwrap());
        }
        statuses
    }
}

fn data_sha256() -> String {
    "ab".repeat(32)
}

/// A study of three pairs with `seeds` runs each, a shard per pair.
pub fn study(name: &str, seeds: u32) -> String {
    format!(
        "name = \"{name}\"\nseeds = {seeds}\n[[data]]\nname = \"joints\"\nformat = \"generated\"\nsha256 = \"{}\"\n\
         steps_min = 20\nsteps_max = 30\nfeature_names = [\"x\", \"y\"]\n\
         classes = [{{ name = \"up\", count = 40 }}, {{ name = \"down\", count = 40 }}, {{ name = \"wave\", count = 40 }}]\n\
         [training]\nepochs = 10\n[[conditions]]\nlabels = [\"true\"]\n",
        data_sha256()
    )
}

/// The ids of the runs that a lease is about.
pub fn runs_of(lease: &Lease) -> Vec<String> {
    let spec: ShardSpec = serde_json::from_str(&lease.spec_json).unwrap();
    let runs: Vec<String> = spec.runs().map(|run| run.id.to_string()).collect();
    lease.runs.iter().map(|index| runs[*index as usize].clone()).collect()
}

/// The commit of runs of a lease as its first part.
pub fn commit_of(worker: &str, lease: &Lease, runs: &[String]) -> CommitRequest {
    let part = part_key(&lease.study, &lease.shard, lease.fence, 0);
    let committed = |run: &String| CommittedRun {
        run: run.clone(),
        log: "a log".to_string(),
        started_ms: 1_000,
        ended_ms: 2_000,
        resumed_after_epoch: 3,
    };
    let origin = Origin {
        study_sha256: "12".repeat(32),
        data_sha256: "34".repeat(32),
        version: "0.9".to_string(),
        git_commit: "abcdef".to_string(),
        backend: "cpu/avx2".to_string(),
        device: "A Processor".to_string(),
        cpu_features: vec!["avx2".to_string(), "fma".to_string()],
    };
    CommitRequest {
        worker: worker.to_string(),
        shard: lease.shard.clone(),
        fence: lease.fence,
        sha256: sha256_hex(part.as_bytes()),
        part,
        size_bytes: 123,
        runs: runs.iter().map(committed).collect(),
        origin: Some(origin),
    }
}
