//! Gives shards to a worker until a deadline. Where there is none for it, others hear that it would have some of their runs.

use curvefleet_proto::limits::MAX_SHARDS_PER_LEASE;

use super::heartbeat::Held;
use super::operation::Apply;
use super::queue::{Candidate, Queue, Study};
use super::shard::Delta;
use super::sql::{Context, values};
use super::{Error, expire, queue, reuse, shard, workers};

/// Specifications in one answer stay within this many bytes together, so that the message fits a gRPC frame with room
/// to spare; a worker asks again for the rest. One shard is given whatever its size.
const MAX_SPEC_BYTES: usize = curvefleet_proto::limits::MAX_MESSAGE_BYTES / 4;
/// How long a worker that got nothing waits before it asks again, in milliseconds: at most this, so that new studies
/// start soon, ...
const RETRY_AFTER_MS_MAX: u64 = 1_000;
/// ... and at least this, so that idle workers do not keep the ledger busy.
const RETRY_AFTER_MS_MIN: u64 = 100;
/// How long a shard that has waited out its backoff waits for another worker than the one it failed on, in milliseconds. After
/// that the others are taken to be busy.
pub const ANOTHER_WORKER_MS: u64 = 60_000;

/// Asks for shards beyond those that the worker holds already.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Who asks; must be registered.
    pub worker: String,
    /// Its process; empty where it does not say.
    pub session: String,
    /// How many for now.
    pub shards: u32,
    /// Work to have ahead beyond these, in planned milliseconds of a core; the nearer the end of a study, the less is given.
    pub ahead_ms: u64,
    /// What the worker knows it holds.
    pub known: Option<Known>,
}

/// What a worker that asks for work knows. Its process asks for one thing after another and numbers what it asks, so that a lease
/// that it does not name is one whose answer was lost, and a request that comes after a later one is of no interest any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Grows with each request of the process; at least 1.
    pub number: u64,
    /// All leases that it holds.
    pub held: Vec<Held>,
}

/// What was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leased {
    /// The leases: studies of higher priority first, those of one priority in turn, each in the order of its plan.
    pub leases: Vec<Given>,
    /// Where there are none: how long to wait before asking again, in milliseconds.
    pub retry_after_ms: u64,
    /// Whether there are none because the worker is drained.
    pub drained: bool,
}

/// The right to train a shard's runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The study's name.
    pub study: String,
    /// The shard's id.
    pub shard: String,
    /// Grows with each lease of the shard.
    pub fence: u64,
    /// The pending runs, as places in the shard.
    pub runs: Vec<u32>,
    /// JSON of the shard's specification.
    pub spec_json: String,
    /// Planned work of each run, in milliseconds of a core.
    pub work_ms: u64,
}

impl Apply for Lease {
    fn apply(&self, context: &mut Context<'_>) -> Result<Leased, Error> {
        let Some(drained) = self.enter(context)? else {
            return Ok(Leased { retry_after_ms: RETRY_AFTER_MS_MIN, ..Leased::default() });
        };
        expire::sweep(context)?;
        if drained {
            return Ok(Leased { retry_after_ms: RETRY_AFTER_MS_MAX, drained, ..Leased::default() });
        }
        let leases = self.take(context)?;
        if leases.is_empty() && self.shards > 0 {
            queue::want(context, &self.worker, u64::from(self.shards))?;
        }
        let retry_after_ms = if leases.is_empty() { retry_after_ms(context)? } else { 0 };
        Ok(Leased { leases, retry_after_ms, drained })
    }
}

impl Lease {
    /// Takes note of the request and of the leases that its worker does not know of. Whether the worker is drained; `None` for a
    /// request that a later one has overtaken.
    fn enter(&self, context: &mut Context<'_>) -> Result<Option<bool>, Error> {
        let known = context.row(
            "UPDATE workers SET last_seen_ms = ?2 WHERE name = ?1 RETURNING session, asked, drained_ms",
            values![&self.worker, context.now_ms],
            |row| Ok((row.text(0)?, row.unsigned(1)?, row.unsigned(2)?)),
        )?;
        let Some((session, asked, drained_ms)) = known else { return Err(Error::NoWorker(self.worker.clone())) };
        if session != self.session && !self.session.is_empty() {
            return Err(Error::Superseded(self.worker.clone()));
        }
        let Some(known) = &self.known else { return Ok(Some(drained_ms > 0)) };
        if known.number <= asked {
            return Ok(None);
        }
        context.execute("UPDATE workers SET asked = ?2 WHERE name = ?1", values![&self.worker, known.number])?;
        for lease in shard::held_by(context, &self.worker)? {
            if !known.held.iter().any(|held| held.shard == lease.shard && held.fence == lease.fence) {
                let error = format!("the worker `{}` never heard of the lease: the answer was lost", self.worker);
                shard::lose_lease(context, lease.id, &self.worker, lease.fence, &error)?;
            }
        }
        Ok(Some(drained_ms > 0))
    }

    fn take(&self, context: &mut Context<'_>) -> Result<Vec<Given>, Error> {
        let mut queue = Queue::open(context, &self.worker)?;
        let mut ahead = Ahead::open(context, self)?;
        let mut leases: Vec<Given> = Vec::new();
        let mut bytes = 0;
        loop {
            let now = u64::from(self.shards).saturating_sub(leases.len() as u64);
            if now == 0 && (self.ahead_ms == 0 || leases.len() >= MAX_SHARDS_PER_LEASE as usize) {
                return Ok(leases);
            }
            let Some((study, candidates)) = queue.next(context, now.max(1))? else { return Ok(leases) };
            for candidate in candidates {
                let is_ahead = leases.len() >= self.shards as usize;
                if is_ahead && !ahead.has_room(study, &candidate) {
                    return Ok(leases);
                }
                if !leases.is_empty() && bytes + candidate.spec_json.len() > MAX_SPEC_BYTES {
                    return Ok(leases);
                }
                if adopt(context, study.id, candidate.id)? {
                    continue;
                }
                bytes += candidate.spec_json.len();
                study.gave(candidate.work_ms);
                ahead.gave(&candidate, is_ahead);
                leases.push(self.give(context, &study.name, candidate)?);
            }
        }
    }

    fn give(&self, context: &mut Context<'_>, study: &str, candidate: Candidate) -> Result<Given, Error> {
        let deadline_ms = context.now_ms.saturating_add(context.settings.lease_ms);
        let fence = context.row(
            "UPDATE shards SET state = 'leased', fence = fence + 1, worker = ?2, deadline_ms = ?3, leased_ms = ?4, avoid = '',
               wanted_by = '', spent = 0, in_training = '', has_epoch = 0
             WHERE id = ?1 RETURNING fence, work_ms",
            values![candidate.id, &self.worker, deadline_ms, context.now_ms],
            |row| Ok((row.unsigned(0)?, row.unsigned(1)?)),
        )?;
        let runs = context.rows(
            "SELECT place FROM runs WHERE shard_id = ?1 AND state = 'pending' ORDER BY place",
            values![candidate.id],
            |row| Ok(row.unsigned(0)?.try_into().unwrap_or(u32::MAX)),
        )?;
        let Candidate { key, spec_json, .. } = candidate;
        let (fence, work_ms) = fence.unwrap_or_default();
        Ok(Given { study: study.to_string(), shard: key, fence, runs, spec_json, work_ms })
    }
}

/// How much a worker has, and may have beyond what it can begin.
struct Ahead {
    /// Left of the work that it asked for, in planned milliseconds of a core.
    left_ms: u64,
    /// Runs to do that it holds.
    held: u64,
    /// Its slots, and all workers'.
    own_slots: u64,
    all_slots: u64,
}

impl Ahead {
    fn open(context: &mut Context<'_>, lease: &Lease) -> Result<Ahead, Error> {
        if lease.ahead_ms == 0 {
            return Ok(Ahead { left_ms: 0, held: 0, own_slots: 0, all_slots: 1 });
        }
        let (own_slots, all_slots) = workers::slots(context, &lease.worker)?;
        let held = context.row(
            "SELECT CAST(COALESCE(SUM(open), 0) AS BIGINT) FROM shards WHERE worker = ?1 AND state = 'leased'",
            values![&lease.worker],
            |row| row.unsigned(0),
        )?;
        Ok(Ahead { left_ms: lease.ahead_ms, held: held.unwrap_or_default(), own_slots, all_slots })
    }

    /// Whether a shard may be given ahead: no worker holds more than half of its share of what is left of the study, so that the end
    /// of a study finds all of them at work.
    fn has_room(&self, study: &Study, candidate: &Candidate) -> bool {
        let held = self.held.saturating_add(candidate.open);
        let is_fair =
            2 * u128::from(held) * u128::from(self.all_slots) <= u128::from(study.open) * u128::from(self.own_slots);
        candidate.work_ms <= self.left_ms && is_fair
    }

    fn gave(&mut self, candidate: &Candidate, is_ahead: bool) {
        self.held = self.held.saturating_add(candidate.open);
        self.left_ms -= if is_ahead { candidate.work_ms } else { 0 };
    }
}

/// Takes over what was done in other studies since; true if that leaves nothing to train.
fn adopt(context: &mut Context<'_>, study_id: i64, shard_id: i64) -> Result<bool, Error> {
    let adopted = reuse::adopt_done(context, shard_id)?;
    if adopted == 0 {
        return Ok(false);
    }
    let closed = shard::settle(context, shard_id)?;
    let done = i64::try_from(adopted).unwrap_or(i64::MAX);
    shard::count(context, study_id, Delta { done, ..Delta::default() })?;
    Ok(closed)
}

/// Until the next shard has waited out a backoff, within bounds.
fn retry_after_ms(context: &mut Context<'_>) -> Result<u64, Error> {
    let next = context.row(
        "SELECT MIN(not_before_ms) FROM shards WHERE state = 'pending' AND not_before_ms > 0 AND not_before_ms > ?1",
        values![context.now_ms],
        |row| row.maybe_int(0),
    )?;
    let next_ms = next.flatten().and_then(|ms| u64::try_from(ms).ok());
    let wait_ms = next_ms.map_or(RETRY_AFTER_MS_MAX, |ms| ms.saturating_sub(context.now_ms));
    Ok(wait_ms.clamp(RETRY_AFTER_MS_MIN, RETRY_AFTER_MS_MAX))
}
