//! Puts the failed and cancelled runs of a study back into the queue.

use super::operation::Apply;
use super::sql::{Context, values};
use super::study::{Status, id_of, status_of};
use super::{Error, audit};

/// A study whose failed and cancelled runs are to be tried again. Where there are none, nothing changes.
#[derive(Debug, Clone)]
pub struct Retry {
    /// Its name.
    pub study: String,
    /// Who asks, for the audit.
    pub who: String,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Retried {
    /// How many runs went back into the queue.
    pub requeued: u64,
    /// The study's status now.
    pub status: Status,
}

impl Apply for Retry {
    fn apply(&self, context: &mut Context<'_>) -> Result<Retried, Error> {
        let study_id = id_of(context, &self.study)?;
        // `tried_fence` stays: under a lease that is still held, the worker will not come back to a run it gave up.
        let requeued = context.execute(
            "UPDATE runs SET state = 'pending', attempts = 0, lost_workers = 0
             WHERE state IN ('failed', 'cancelled') AND shard_id IN (SELECT id FROM shards WHERE study_id = ?1)",
            values![study_id],
        )?;
        if requeued > 0 {
            reopen(context, study_id)?;
            audit::record(context, &self.who, "retry", &self.study, &format!("{requeued} runs"))?;
        }
        Ok(Retried { requeued, status: status_of(context, &self.study)? })
    }
}

fn reopen(context: &mut Context<'_>, study_id: i64) -> Result<(), Error> {
    context.execute(
        "UPDATE shards SET open = (SELECT COUNT(*) FROM runs WHERE runs.shard_id = shards.id AND runs.state = 'pending')
         WHERE study_id = ?1",
        values![study_id],
    )?;
    context.execute(
        "UPDATE shards SET state = 'pending', not_before_ms = 0, setbacks = 0, avoid = ''
         WHERE study_id = ?1 AND state = 'closed' AND open > 0",
        values![study_id],
    )?;
    context.execute(
        "UPDATE studies SET state = 'active', stop_reason = '', ended_ms = 0, failed = 0, cancelled = 0,
           changes = changes + 1
         WHERE id = ?1",
        values![study_id],
    )?;
    Ok(())
}
