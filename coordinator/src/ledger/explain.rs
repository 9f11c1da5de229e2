//! Everything that bears on why a run, shard, worker or study is where it is: facts, which `crate::explain` puts into
//! sentences.
//!
//! - `run`, `shard`, `worker`, `study`: the facts about each

mod run;
mod shard;
mod study;
mod worker;

use super::Error;
use super::audit::Entry;
use super::logs::Attempt;
use super::operation::Apply;
use super::sql::{Context, values};
use super::state::ShardState;
use super::study::Status;
use super::workers::Worker;
use super::{audit, runs};

/// Studies that carry one run, as far as they are gone into.
const RUN_PLACES_MAX: i64 = 16;
/// Leases, failures and studies that are gone into with a worker or study.
const LISTED_MAX: i64 = 20;

/// Asks about whatever goes by this name: a worker, a study, a shard's id, a run's id, or the first digits of either id.
#[derive(Debug, Clone)]
pub struct Explain {
    /// The name or digits.
    pub what: String,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The ledger's time, milliseconds since 1970: that of a shared database may be another than the coordinator's.
    pub now_ms: u64,
    /// All that go by the name; at least one.
    pub about: Vec<About>,
}

/// What is known of one of those that go by the name.
#[derive(Debug, Clone, PartialEq)]
pub enum About {
    /// A worker.
    Worker(Box<AboutWorker>),
    /// A study.
    Study(Box<AboutStudy>),
    /// A shard.
    Shard(Box<AboutShard>),
    /// A run.
    Run(Box<AboutRun>),
}

/// A run, in all studies that have it.
#[derive(Debug, Clone, PartialEq)]
pub struct AboutRun {
    /// Its id.
    pub run: String,
    /// The attempts at it, the oldest first, without their logs.
    pub attempts: Vec<Attempt>,
    /// How many older ones are left out.
    pub left_out: u64,
    /// Where it stands in each study, the oldest study first.
    pub places: Vec<RunPlace>,
}

/// A run in a study.
#[derive(Debug, Clone, PartialEq)]
pub struct RunPlace {
    /// The run as it is listed.
    pub run: runs::Run,
    /// When its part was committed, milliseconds since 1970; 0 unless it is done.
    pub committed_ms: u64,
    /// Whether it failed under the lease at hand, and waits until the shard's other runs are through.
    pub is_tried: bool,
    /// Its shard.
    pub shard: AboutShard,
}

/// A shard.
#[derive(Debug, Clone, PartialEq)]
pub struct AboutShard {
    /// Its id.
    pub shard: String,
    /// The data set's name.
    pub data: String,
    /// The condition's name.
    pub condition: String,
    /// `true` or `shuffled`.
    pub labels: String,
    /// The model's name.
    pub model: String,
    /// Where it stands.
    pub state: ShardState,
    /// Of the last lease.
    pub fence: u64,
    /// Who holds it.
    pub holder: Option<Worker>,
    /// When the last lease was given, milliseconds since 1970.
    pub leased_ms: u64,
    /// When the lease at hand ends unless it is renewed, milliseconds since 1970.
    pub deadline_ms: u64,
    /// Not leased before this time, milliseconds since 1970.
    pub not_before_ms: u64,
    /// Infrastructure failures since something was committed last.
    pub setbacks: u32,
    /// The worker that it failed on last; empty where none is to be avoided.
    pub avoid: String,
    /// Workers that are given work, apart from that one.
    pub others: u64,
    /// What it needs of its worker, in words; empty where any will do.
    pub needs: String,
    /// Workers that are given work and have that.
    pub fitting: u64,
    /// The shard that it was split off; empty where the plan has it.
    pub split_from: String,
    /// The worker that has nothing to do and would have some of its runs; of interest while it is leased.
    pub wanted_by: String,
    /// How many of its runs stand where.
    pub runs: Counts,
    /// What failed on it last, without the log.
    pub last_failure: Option<Attempt>,
    /// Shards of its study that are leased before it.
    pub before: u64,
    /// Its study.
    pub study: Standing,
}

/// How many runs stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waiting or in training.
    pub pending: u64,
    /// Done.
    pub done: u64,
    /// Set aside.
    pub failed: u64,
    /// Given up.
    pub cancelled: u64,
}

/// A study and what stands before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Where it stands.
    pub status: Status,
    /// What a person did to it last that still holds: paused or cancelled it.
    pub by_hand: Option<Entry>,
    /// Studies of higher priority that have shards to lease.
    pub higher: Vec<Waiting>,
    /// Workers that are given work.
    pub working: u64,
    /// Workers that are alive and drained.
    pub drained: u64,
}

/// What of a study waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The study's name.
    pub study: String,
    /// Its priority.
    pub priority: i32,
    /// Whether it rests.
    pub is_paused: bool,
    /// Shards that may be leased now.
    pub ready: u64,
    /// Shards that wait out a backoff.
    pub backoff: u64,
    /// When the first of these may be leased, milliseconds since 1970; 0 where there are none.
    pub next_ms: u64,
}

/// A study.
#[derive(Debug, Clone, PartialEq)]
pub struct AboutStudy {
    /// Where it stands.
    pub standing: Standing,
    /// What of it waits.
    pub waiting: Waiting,
    /// Who holds shards of it: worker and how many.
    pub holders: Vec<(String, u64)>,
    /// Its runs that failed on workers that have committed nothing since, the newest first.
    pub failing: Vec<Failed>,
    /// Why runs were set aside: the error, how many runs, one of them. The most frequent first.
    pub errors: Vec<(String, u64, String)>,
}

/// A worker.
#[derive(Debug, Clone, PartialEq)]
pub struct AboutWorker {
    /// The worker.
    pub worker: Worker,
    /// What it holds, by study and plan.
    pub leases: Vec<Lease>,
    /// The runs that failed on it since it committed something last, the newest first.
    pub failing: Vec<Failed>,
    /// What of each active study waits, by priority and age.
    pub waiting: Vec<Waiting>,
    /// What it lacks for shards that wait: the study's name and half a sentence.
    pub lacking: Vec<(String, String)>,
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The study's name.
    pub study: String,
    /// The shard's id.
    pub shard: String,
    /// The fence.
    pub fence: u64,
    /// When it was given, milliseconds since 1970.
    pub leased_ms: u64,
    /// When it ends unless it is renewed, milliseconds since 1970.
    pub deadline_ms: u64,
    /// Pending runs.
    pub open: u64,
}

/// A run that failed on a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The worker.
    pub worker: String,
    /// Its id.
    pub run: String,
    /// Its study's name.
    pub study: String,
    /// When it failed first, milliseconds since 1970.
    pub at_ms: u64,
    /// The error.
    pub error: String,
}

impl Apply for Explain {
    fn apply(&self, context: &mut Context<'_>) -> Result<Explained, Error> {
        let mut found = Vec::new();
        if let Some(worker) = worker::about(context, &self.what)? {
            found.push(About::Worker(Box::new(worker)));
        }
        if let Some(study) = study::about(context, &self.what)? {
            found.push(About::Study(Box::new(study)));
        }
        if found.is_empty() {
            found.push(self.by_digits(context)?);
        }
        Ok(Explained { now_ms: context.now_ms, about: found })
    }
}

impl Explain {
    fn by_digits(&self, context: &mut Context<'_>) -> Result<About, Error> {
        // `g` follows the last hex digit: all ids that begin with the digits lie between.
        let digits = self.what.to_ascii_lowercase();
        let end = format!("{digits}g");
        let shards = context.rows(
            "SELECT key FROM shards WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT 2",
            values![&digits, &end],
            |row| row.text(0),
        )?;
        let runs = context.rows(
            "SELECT DISTINCT key FROM runs WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT 2",
            values![&digits, &end],
            |row| row.text(0),
        )?;
        match (&shards[..], &runs[..]) {
            ([], []) => Err(Error::Nothing(self.what.clone())),
            ([key], []) => Ok(About::Shard(Box::new(shard::about(context, key)?))),
            ([], [key]) => Ok(About::Run(Box::new(run::about(context, key)?))),
            _ => Err(Error::Ambiguous(self.what.clone())),
        }
    }
}

/// What waits of the studies that a query chooses, by priority and age.
macro_rules! select_waiting {
    ($rest:literal) => {
        concat!(
            "SELECT name, priority, paused_ms,
                    (SELECT COUNT(*) FROM shards WHERE shards.study_id = studies.id AND shards.state = 'pending'
                     AND shards.not_before_ms <= ?1),
                    (SELECT COUNT(*) FROM shards WHERE shards.study_id = studies.id AND shards.state = 'pending'
                     AND shards.not_before_ms > ?1),
                    (SELECT COALESCE(MIN(shards.not_before_ms), 0) FROM shards WHERE shards.study_id = studies.id
                     AND shards.state = 'pending' AND shards.not_before_ms > ?1)
             FROM studies WHERE ",
            $rest,
            " ORDER BY priority DESC, id LIMIT ?2"
        )
    };
}
use select_waiting;

fn read_waiting(row: &dyn super::sql::Row) -> Result<Waiting, Error> {
    Ok(Waiting {
        study: row.text(0)?,
        priority: row.int(1)?.try_into().unwrap_or(0),
        is_paused: row.int(2)? > 0,
        ready: row.unsigned(3)?,
        backoff: row.unsigned(4)?,
        next_ms: row.unsigned(5)?,
    })
}

/// The runs that failed on workers that have committed nothing since, of those that a query chooses; the newest first.
macro_rules! select_failing {
    ($rest:literal) => {
        concat!(
            "SELECT failing.worker, failing.run, studies.name, failing.at_ms, failing.error
             FROM failing JOIN studies ON studies.id = failing.study_id JOIN workers ON workers.name = failing.worker
             WHERE failing.at_ms > workers.committed_ms AND ",
            $rest,
            " ORDER BY failing.at_ms DESC, failing.run, failing.worker LIMIT ?2"
        )
    };
}
use select_failing;

fn read_failed(row: &dyn super::sql::Row) -> Result<Failed, Error> {
    Ok(Failed {
        worker: row.text(0)?,
        run: row.text(1)?,
        study: row.text(2)?,
        at_ms: row.unsigned(3)?,
        error: row.text(4)?,
    })
}

/// Attempts of which the newest matter, without their logs.
fn read_attempt(row: &dyn super::sql::Row) -> Result<Attempt, Error> {
    Ok(Attempt {
        worker: row.text(0)?,
        fence: row.unsigned(1)?,
        at_ms: row.unsigned(2)?,
        outcome: row.text(3)?,
        error: row.text(4)?,
        log: String::new(),
    })
}
