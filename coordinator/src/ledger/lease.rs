//! Gives shards to a worker until a deadline.

use super::operation::Apply;
use super::shard::Delta;
use super::sql::{Context, values};
use super::{Error, expire, register, reuse, shard};

/// Specifications in one answer stay within this many bytes together, so that the message fits a gRPC frame with room
/// to spare; a worker asks again for the rest. One shard is given whatever its size.
const MAX_SPEC_BYTES: usize = curvefleet_proto::limits::MAX_MESSAGE_BYTES / 4;
/// How long a worker that got nothing waits before it asks again, in milliseconds: at most this, so that new studies
/// start soon, ...
const RETRY_AFTER_MS_MAX: u64 = 1_000;
/// ... and at least this, so that idle workers do not keep the ledger busy.
const RETRY_AFTER_MS_MIN: u64 = 100;

/// Asks for shards beyond those that the worker holds already.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Who asks; must be registered.
    pub worker: String,
    /// How many at most.
    pub shards: u32,
}

/// What was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// The leases: studies of higher priority first, then older ones, each in the order of its plan.
    pub leases: Vec<Given>,
    /// Where there are none: how long to wait before asking again, in milliseconds.
    pub retry_after_ms: u64,
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
        if !register::seen(context, &self.worker)? {
            return Err(Error::NoWorker(self.worker.clone()));
        }
        expire::sweep(context)?;
        let studies = context.rows(
            "SELECT id, name FROM studies WHERE state = 'active' ORDER BY priority DESC, id",
            values![],
            |row| Ok((row.int(0)?, row.text(1)?)),
        )?;
        let mut leases = Vec::new();
        for (study_id, study) in &studies {
            if !self.lease_from(context, *study_id, study, &mut leases)? {
                break;
            }
        }
        let retry_after_ms = if leases.is_empty() { retry_after_ms(context)? } else { 0 };
        Ok(Leased { leases, retry_after_ms })
    }
}

impl Lease {
    /// Leases from one study; false when the answer is full.
    fn lease_from(
        &self,
        context: &mut Context<'_>,
        study_id: i64,
        study: &str,
        leases: &mut Vec<Given>,
    ) -> Result<bool, Error> {
        let mut bytes: usize = leases.iter().map(|lease| lease.spec_json.len()).sum();
        loop {
            let wanted = u64::from(self.shards).saturating_sub(leases.len() as u64);
            if wanted == 0 {
                return Ok(false);
            }
            let candidates = candidates(context, study_id, wanted)?;
            if candidates.is_empty() {
                return Ok(true);
            }
            for candidate in candidates {
                if !leases.is_empty() && bytes + candidate.spec_json.len() > MAX_SPEC_BYTES {
                    return Ok(false);
                }
                if adopt(context, study_id, candidate.id)? {
                    continue;
                }
                bytes += candidate.spec_json.len();
                leases.push(self.give(context, study, candidate)?);
            }
        }
    }

    fn give(&self, context: &mut Context<'_>, study: &str, candidate: Candidate) -> Result<Given, Error> {
        let deadline_ms = context.now_ms.saturating_add(context.settings.lease_ms);
        let fence = context.row(
            "UPDATE shards SET state = 'leased', fence = fence + 1, worker = ?2, deadline_ms = ?3
             WHERE id = ?1 RETURNING fence",
            values![candidate.id, &self.worker, deadline_ms],
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

fn candidates(context: &mut Context<'_>, study_id: i64, wanted: u64) -> Result<Vec<Candidate>, Error> {
    context.rows(
        "SELECT id, key, spec_json FROM shards JOIN shard_specs ON shard_specs.shard_id = shards.id
         WHERE study_id = ?1 AND state = 'pending' AND not_before_ms <= ?2 ORDER BY place LIMIT ?3",
        values![study_id, context.now_ms, wanted],
        |row| Ok(Candidate { id: row.int(0)?, key: row.text(1)?, spec_json: row.text(2)? }),
    )
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

/// Until the first shard that waits out a backoff may be leased, within bounds.
fn retry_after_ms(context: &mut Context<'_>) -> Result<u64, Error> {
    let next = context.row(
        "SELECT MIN(shards.not_before_ms) FROM shards JOIN studies ON studies.id = shards.study_id
         WHERE studies.state = 'active' AND shards.state = 'pending'",
        values![],
        |row| row.maybe_int(0),
    )?;
    let next_ms = next.flatten().and_then(|ms| u64::try_from(ms).ok());
    let wait_ms = next_ms.map_or(RETRY_AFTER_MS_MAX, |ms| ms.saturating_sub(context.now_ms));
    Ok(wait_ms.clamp(RETRY_AFTER_MS_MIN, RETRY_AFTER_MS_MAX))
}
