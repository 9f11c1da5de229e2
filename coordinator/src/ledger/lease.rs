//! Gives shards to a worker until a deadline.

use super::heartbeat::Held;
use super::operation::Apply;
use super::shard::Delta;
use super::sql::{Context, values};
use super::{Error, expire, reuse, shard, workers};

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
    /// How many at most.
    pub shards: u32,
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
    /// The leases: studies of higher priority first, then older ones, each in the order of its plan.
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
}

/// A pending shard.
struct Candidate {
    id: i64,
    key: String,
    spec_json: String,
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
        let studies = context.rows(
            "SELECT id, name FROM studies WHERE state = 'active' AND paused_ms = 0 ORDER BY priority DESC, id",
            values![],
            |row| Ok(Study { id: row.int(0)?, name: row.text(1)? }),
        )?;
        let mut leases = Vec::new();
        let of = if self.is_alone(context)? { Of::All } else { Of::Others };
        for study in &studies {
            if !self.lease_from(context, study, of, &mut leases)? {
                break;
            }
        }
        let retry_after_ms = if leases.is_empty() { retry_after_ms(context)? } else { 0 };
        Ok(Leased { leases, retry_after_ms, drained })
    }
}

/// A study that may be leased from.
struct Study {
    id: i64,
    name: String,
}

/// Whose failures may lie behind a shard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Not the asking worker's, or not lately.
    Others,
    /// Whosever: there is no one else to try again.
    All,
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

    /// Whether shards that failed on this worker wait for no other, because none is there.
    fn is_alone(&self, context: &mut Context<'_>) -> Result<bool, Error> {
        let failed = context.row(
            "SELECT 1 FROM shards WHERE avoid = ?1 AND state = 'pending' AND avoid <> '' LIMIT 1",
            values![&self.worker],
            |row| row.int(0),
        )?;
        if failed.is_none() {
            return Ok(false);
        }
        Ok(!workers::working(context)?.iter().any(|worker| worker.name != self.worker))
    }

    /// Leases from one study; false when the answer is full.
    fn lease_from(
        &self,
        context: &mut Context<'_>,
        study: &Study,
        of: Of,
        leases: &mut Vec<Given>,
    ) -> Result<bool, Error> {
        let mut bytes: usize = leases.iter().map(|lease| lease.spec_json.len()).sum();
        loop {
            let wanted = u64::from(self.shards).saturating_sub(leases.len() as u64);
            if wanted == 0 {
                return Ok(false);
            }
            let candidates = self.candidates(context, study.id, of, wanted)?;
            if candidates.is_empty() {
                return Ok(true);
            }
            for candidate in candidates {
                if !leases.is_empty() && bytes + candidate.spec_json.len() > MAX_SPEC_BYTES {
                    return Ok(false);
                }
                if adopt(context, study.id, candidate.id)? {
                    continue;
                }
                bytes += candidate.spec_json.len();
                leases.push(self.give(context, &study.name, candidate)?);
            }
        }
    }

    fn candidates(
        &self,
        context: &mut Context<'_>,
        study_id: i64,
        of: Of,
        wanted: u64,
    ) -> Result<Vec<Candidate>, Error> {
        // A failure of this worker's own is out of mind after so long, and none at all where it is the only worker.
        let forgotten_ms = match of {
            Of::Others => context.now_ms.saturating_sub(ANOTHER_WORKER_MS),
            Of::All => context.now_ms,
        };
        context.rows(
            "SELECT id, key, spec_json FROM shards JOIN shard_specs ON shard_specs.shard_id = shards.id
             WHERE study_id = ?1 AND state = 'pending' AND not_before_ms <= ?2
               AND (avoid <> ?4 OR not_before_ms <= ?5)
             ORDER BY place LIMIT ?3",
            values![study_id, context.now_ms, wanted, &self.worker, forgotten_ms],
            |row| Ok(Candidate { id: row.int(0)?, key: row.text(1)?, spec_json: row.text(2)? }),
        )
    }

    fn give(&self, context: &mut Context<'_>, study: &str, candidate: Candidate) -> Result<Given, Error> {
        let deadline_ms = context.now_ms.saturating_add(context.settings.lease_ms);
        let fence = context.row(
            "UPDATE shards SET state = 'leased', fence = fence + 1, worker = ?2, deadline_ms = ?3, leased_ms = ?4, avoid = ''
             WHERE id = ?1 RETURNING fence",
            values![candidate.id, &self.worker, deadline_ms, context.now_ms],
            |row| row.unsigned(0),
        )?;
        let runs = context.rows(
            "SELECT place FROM runs WHERE shard_id = ?1 AND state = 'pending' ORDER BY place",
            values![candidate.id],
            |row| Ok(row.unsigned(0)?.try_into().unwrap_or(u32::MAX)),
        )?;
        let Candidate { key, spec_json, .. } = candidate;
        Ok(Given { study: study.to_string(), shard: key, fence: fence.unwrap_or(0), runs, spec_json })
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
