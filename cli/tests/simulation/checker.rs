//! Reads along with what the ledger answers and what workers are told, and says what must not have been.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use curvefleet_coordinator::ledger::commit::Commit;
use curvefleet_coordinator::ledger::heartbeat::{Heard, Heartbeat};
use curvefleet_coordinator::ledger::lease::{Given, Lease};
use curvefleet_coordinator::ledger::split::Split;
use curvefleet_coordinator::ledger::{Error, Reply, Request};
use curvefleet_proto::artifact::sha256_hex;
use curvefleet_proto::plan::ShardSpec;
use curvefleet_proto::v1::CommitRequest;
use futures::FutureExt as _;
use object_store::ObjectStoreExt as _;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;

use super::database::{Database, SETTINGS};
use super::scene::{Scene, lock};
use super::training::train_loss;

#[derive(Default)]
pub struct Checker {
    shards: BTreeMap<String, LastLease>,
    /// The runs in the plan of a shard that was leased.
    plans: BTreeMap<String, Vec<String>>,
    /// Runs that have left a shard, by shard, fence and run.
    left: HashSet<(String, u64, String)>,
    /// Parts whose commit was carried out.
    parts: HashSet<String>,
    /// The part that made a run done.
    done: BTreeMap<String, String>,
    /// What workers were told is done: run and part.
    acknowledged: BTreeSet<(String, String)>,
    pub violations: Vec<String>,
    pub counts: Counts,
}

/// What happened, so that a test can say that faults were met at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub leases: u64,
    /// Leases of a shard that was leased before.
    pub leased_again: u64,
    pub commits: u64,
    /// Commits, failures and renewals that were refused as stale.
    pub stale: u64,
    /// Commits that were made before.
    pub repeated: u64,
    /// Shards that gave runs to a worker that had nothing to do.
    pub split: u64,
}

impl Counts {
    pub fn add(&mut self, other: Counts) {
        self.leases += other.leases;
        self.leased_again += other.leased_again;
        self.commits += other.commits;
        self.stale += other.stale;
        self.repeated += other.repeated;
        self.split += other.split;
    }
}

struct LastLease {
    worker: String,
    fence: u64,
    deadline_ms: u64,
    /// Something other than time may have ended it.
    may_be_over: bool,
}

impl Checker {
    /// A worker was told that a commit is durable.
    pub fn acknowledged(&mut self, commit: &CommitRequest) {
        self.acknowledged.extend(commit.runs.iter().map(|run| (run.run.clone(), commit.part.clone())));
    }

    /// The ledger has carried out a request.
    pub fn carried_out(&mut self, scene: &Arc<Scene>, now_ms: u64, request: &Request, reply: &Result<Reply, Error>) {
        if let Request::Commit(commit) = request {
            self.check_left(scene, commit);
        }
        let Ok(reply) = reply else { return };
        match (request, reply) {
            (Request::Lease(lease), Reply::Lease(leased)) => self.leased(scene, now_ms, lease, &leased.leases),
            (Request::Heartbeat(beat), Reply::Heartbeat(heard)) => self.renewed(scene, now_ms, beat, heard),
            (Request::Commit(commit), Reply::Commit(true)) => self.committed(scene, commit),
            (Request::Fail(fail), Reply::Fail(true)) => {
                scene.note(format!("{} fails on {} of {} under {}", fail.worker, fail.run, fail.shard, fail.fence));
                self.check_newest(scene, "a failure", &fail.shard, &fail.worker, fail.fence);
                self.may_be_over(&fail.shard);
            }
            (Request::Commit(_), Reply::Commit(false)) | (Request::Fail(_), Reply::Fail(false)) => {
                self.counts.stale += 1
            }
            (Request::Split(split), Reply::Split(true)) => self.split(scene, split),
            (Request::Release(release), Reply::Release(_)) => {
                self.all_of_worker_may_be_over(&release.worker);
            }
            (Request::Register(register), Reply::Register(())) => {
                scene.note(format!("{} registers as {}", register.worker, register.session));
                self.all_of_worker_may_be_over(&register.worker);
            }
            (Request::Cancel(_) | Request::Retry(_) | Request::Lose(_) | Request::Pause(_) | Request::Drain(_), _) => {
                scene.note(format!("NEWS: {request:?}"));
                self.shards.values_mut().for_each(|shard| shard.may_be_over = true);
            }
            _ => {}
        }
    }

    fn violation(&mut self, scene: &Scene, what: String) {
        scene.note(format!("VIOLATION: {what}"));
        self.violations.push(what);
    }

    fn may_be_over(&mut self, shard: &str) {
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.may_be_over = true;
        }
    }

    fn all_of_worker_may_be_over(&mut self, worker: &str) {
        self.shards.values_mut().filter(|shard| shard.worker == worker).for_each(|shard| shard.may_be_over = true);
    }

    fn leased(&mut self, scene: &Arc<Scene>, now_ms: u64, lease: &Lease, given: &[Given]) {
        // What the worker does not name is taken from it.
        self.all_of_worker_may_be_over(&lease.worker);
        for Given { shard, fence, spec_json, .. } in given {
            let spec: ShardSpec = serde_json::from_str(spec_json).unwrap();
            self.plans.insert(shard.clone(), spec.runs().map(|run| run.id.to_string()).collect());
            scene.note(format!("{} leases {shard} under {fence}", lease.worker));
            self.counts.leases += 1;
            if let Some(last) = self.shards.get(shard) {
                self.counts.leased_again += 1;
                if *fence <= last.fence {
                    let what = format!("{shard} was leased under fence {fence}, and under {} before", last.fence);
                    self.violation(scene, what);
                } else if !last.may_be_over && last.deadline_ms > now_ms {
                    let what = format!("{shard} was leased to {} while {} held it", lease.worker, last.worker);
                    self.violation(scene, what);
                }
            }
            let deadline_ms = now_ms + SETTINGS.lease_ms;
            let last = LastLease { worker: lease.worker.clone(), fence: *fence, deadline_ms, may_be_over: false };
            self.shards.insert(shard.clone(), last);
        }
    }

    fn renewed(&mut self, scene: &Arc<Scene>, now_ms: u64, beat: &Heartbeat, heard: &Heard) {
        for (held, renewed) in beat.held.iter().zip(&heard.leases) {
            if renewed.is_none() {
                self.counts.stale += 1;
                continue;
            }
            self.check_newest(scene, "a renewal", &held.shard, &beat.worker, held.fence);
            if let Some(last) = self.shards.get_mut(&held.shard) {
                last.deadline_ms = now_ms + SETTINGS.lease_ms;
            }
        }
    }

    fn committed(&mut self, scene: &Arc<Scene>, commit: &Commit) {
        scene.note(format!("{} commits {} runs in {}", commit.worker, commit.runs.len(), commit.part));
        let is_stored = read(scene, &commit.part).is_some_and(|bytes| sha256_hex(&bytes) == commit.sha256);
        if !is_stored {
            self.violation(scene, format!("{} was committed and is not in the store", commit.part));
        }
        if !self.parts.insert(commit.part.clone()) {
            self.counts.repeated += 1;
            return;
        }
        self.counts.commits += 1;
        self.check_newest(scene, "a commit", &commit.shard, &commit.worker, commit.fence);
        self.may_be_over(&commit.shard);
        // Their runs may be those of other studies' shards, too, which close then.
        for (run, _) in &commit.runs {
            self.done.entry(run.clone()).or_insert_with(|| commit.part.clone());
        }
    }

    /// Runs leave a shard whose lease goes on.
    fn split(&mut self, scene: &Arc<Scene>, split: &Split) {
        let Split { worker, shard, fence, runs } = split;
        scene.note(format!("{worker} gives up {runs:?} of {shard} under {fence}"));
        self.check_newest(scene, "a split", shard, worker, *fence);
        self.may_be_over(shard);
        self.counts.split += u64::from(!runs.is_empty());
        let plan = self.plans.get(shard).into_iter().flatten().zip(0..);
        let left = plan.filter(|(_, place)| runs.contains(place)).map(|(run, _)| (shard.clone(), *fence, run.clone()));
        self.left.extend(left);
    }

    /// A run that a worker has given up is never trained under the lease that it has left.
    fn check_left(&mut self, scene: &Arc<Scene>, commit: &Commit) {
        for (run, _) in &commit.runs {
            if self.left.contains(&(commit.shard.clone(), commit.fence, run.clone())) {
                self.violation(scene, format!("{} trained {run}, which it had given up", commit.worker));
            }
        }
    }

    fn check_newest(&mut self, scene: &Arc<Scene>, what: &str, shard: &str, worker: &str, fence: u64) {
        let newest = self.shards.get(shard).is_some_and(|last| last.worker == worker && last.fence == fence);
        if !newest {
            self.violation(
                scene,
                format!("{what} of {shard} by {worker} under {fence} was taken, which is not its lease"),
            );
        }
    }

    /// Looks at what is left once all has ended.
    pub fn check_end(&mut self, scene: &Arc<Scene>, database: &Database) {
        let runs = runs(database);
        for (run, part) in self.acknowledged.clone() {
            let mut states = runs.iter().filter(|row| row.run == run).map(|row| row.state.as_str()).peekable();
            if states.peek().is_none() || states.any(|state| state != "done") {
                self.violation(scene, format!("a worker was told that {run} is done in {part}, and it is not"));
            }
        }
        for row in &runs {
            let done = row.state == "done";
            let is_set_aside = row.state == "failed" && row.attempts >= SETTINGS.max_attempts;
            if !done && !is_set_aside {
                self.violation(scene, format!("{} ends as {} after {} attempts", row.run, row.state, row.attempts));
            }
            if done && self.done.get(&row.run) != row.part.as_ref() {
                let what =
                    format!("{} was committed in {:?} and ends in {:?}", row.run, self.done.get(&row.run), row.part);
                self.violation(scene, what);
            }
            if let (true, Some(part)) = (done, &row.part)
                && let Err(reason) = check_part(scene, part, row)
            {
                self.violation(scene, format!("the curve of {} in {part}: {reason}", row.run));
            }
        }
        let twice = "SELECT COUNT(*) FROM (SELECT 1 FROM attempts WHERE outcome = 'done' GROUP BY shard_id, place HAVING COUNT(*) > 1)";
        let twice: i64 = database.look(|connection| connection.query_row(twice, [], |row| row.get(0)).unwrap());
        if twice > 0 {
            self.violation(scene, format!("{twice} runs were committed twice"));
        }
    }
}

struct Run {
    run: String,
    state: String,
    attempts: u32,
    part: Option<String>,
    sha256: Option<String>,
    epochs: u32,
}

fn runs(database: &Database) -> Vec<Run> {
    let query = "SELECT runs.key, runs.state, runs.attempts, parts.key, parts.sha256, studies.epochs_per_run
                 FROM runs JOIN shards ON shards.id = runs.shard_id JOIN studies ON studies.id = shards.study_id
                 LEFT JOIN parts ON parts.id = runs.part_id ORDER BY runs.shard_id, runs.place";
    database.look(|connection| {
        let mut statement = connection.prepare(query).unwrap();
        let row = |row: &rusqlite::Row<'_>| {
            let (run, state, attempts) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Run { run, state, attempts, part: row.get(3)?, sha256: row.get(4)?, epochs: row.get(5)? })
        };
        statement.query_map([], row).unwrap().map(Result::unwrap).collect()
    })
}

/// What lies in the store under a key.
fn read(scene: &Scene, key: &str) -> Option<bytes::Bytes> {
    let path = object_store::path::Path::from(key);
    let object = async { scene.objects.get(&path).await.ok()?.bytes().await.ok() };
    // A store in memory answers at once.
    object.now_or_never().unwrap()
}

/// Whether the part holds the run's epochs once each, with the numbers that every machine would get.
fn check_part(scene: &Scene, part: &str, run: &Run) -> Result<(), String> {
    let bytes = read(scene, part).ok_or("it is not in the store")?;
    if run.sha256.as_deref() != Some(&sha256_hex(&bytes)) {
        return Err("it has other bytes than the ledger says".to_string());
    }
    let reader = SerializedFileReader::new(bytes).map_err(|error| error.to_string())?;
    let mut next = 1;
    for row in reader.get_row_iter(None).unwrap().map(Result::unwrap) {
        if *row.get_string(0).unwrap() != run.run {
            continue;
        }
        let (epoch, loss) = (row.get_uint(6).unwrap(), row.get_double(7).unwrap());
        if epoch != next || loss.to_bits() != train_loss(&run.run, epoch).to_bits() {
            return Err(format!("epoch {next} is epoch {epoch} with a loss of {loss}"));
        }
        next += 1;
    }
    if next != run.epochs + 1 { Err(format!("it has {} epochs", next - 1)) } else { Ok(()) }
}

/// What was seen, and what must not have been.
pub fn verdict(scene: &Scene) -> (Vec<String>, Counts) {
    let checker = lock(&scene.checker);
    (checker.violations.clone(), checker.counts)
}
