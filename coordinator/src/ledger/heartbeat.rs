//! Renews a worker's leases.

use std::collections::BTreeMap;

use super::operation::Apply;
use super::sql::{Context, values};
use super::{Error, vanish, workers};

/// A lease that a message names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The shard's id.
    pub shard: String,
    /// The lease's fence.
    pub fence: u64,
}

/// A worker's sign of life. Leases that it does not name are not renewed.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// Who it is.
    pub worker: String,
    /// Its process; empty where it does not say.
    pub session: String,
    /// The leases it holds.
    pub held: Vec<Held>,
    /// What it has in training, by the shard's id.
    pub in_training: BTreeMap<String, InTraining>,
}

/// Runs that are trained together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InTraining {
    /// The runs' ids; none of those that were done before.
    pub runs: Vec<String>,
    /// Whether they have finished an epoch under this lease.
    pub has_epoch: bool,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// For each lease that was named, in order: what has become of it, or `None` where the lease is not the worker's any
    /// more.
    pub leases: Vec<Option<Renewed>>,
    /// Whether the worker is known; if not, it registers again.
    pub registered: bool,
    /// Whether the worker is drained: it hands back all it holds and asks for nothing.
    pub drained: bool,
    /// Whether another process goes by the worker's name now: this one ends.
    pub superseded: bool,
}

/// A lease that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// The study it belongs to.
    pub study: String,
    /// Whether it is to be handed back: the study rests.
    pub hand_back: bool,
    /// Whether a worker that has nothing to do would have some of its runs.
    pub wanted: bool,
}

impl Apply for Heartbeat {
    fn apply(&self, context: &mut Context<'_>) -> Result<Heard, Error> {
        let known = context.row(
            "UPDATE workers SET last_seen_ms = ?3 WHERE name = ?1 AND (session = ?2 OR ?2 = '') RETURNING drained_ms",
            values![&self.worker, &self.session, context.now_ms],
            |row| row.unsigned(0),
        )?;
        let Some(drained_ms) = known else { return self.unknown(context) };
        let deadline_ms = context.now_ms.saturating_add(context.settings.lease_ms);
        let mut leases = Vec::with_capacity(self.held.len());
        for held in &self.held {
            let training = self.in_training.get(&held.shard);
            let runs = training.map_or(&[][..], |training| &training.runs);
            let in_training = runs.join(",");
            let has_epoch = u32::from(training.is_some_and(|training| training.has_epoch));
            let renewed = context.row(
                "UPDATE shards SET deadline_ms = ?4, in_training = ?5, has_epoch = ?6
                 WHERE key = ?1 AND worker = ?2 AND fence = ?3 AND state = 'leased'
                 RETURNING (SELECT name FROM studies WHERE studies.id = shards.study_id),
                           (SELECT paused_ms FROM studies WHERE studies.id = shards.study_id), wanted_by,
                           CASE WHEN suspect > 0 AND has_epoch > 0 THEN id END",
                values![&held.shard, &self.worker, held.fence, deadline_ms, &in_training, has_epoch],
                |row| {
                    let (hand_back, wanted) = (row.unsigned(1)? > 0, !row.text(2)?.is_empty());
                    Ok((Renewed { study: row.text(0)?, hand_back, wanted }, row.maybe_int(3)?))
                },
            )?;
            if let Some((_, Some(suspect_id))) = renewed {
                vanish::clear(context, suspect_id, runs)?;
            }
            leases.push(renewed.map(|(renewed, _)| renewed));
        }
        Ok(Heard { leases, registered: true, drained: drained_ms > 0, superseded: false })
    }
}

impl Heartbeat {
    /// Of a worker that never registered, or of a process whose name another one has.
    fn unknown(&self, context: &mut Context<'_>) -> Result<Heard, Error> {
        let superseded = workers::maybe_find(context, &self.worker)?.is_some();
        let leases = vec![None; self.held.len()];
        Ok(Heard { leases, registered: superseded, drained: false, superseded })
    }
}
