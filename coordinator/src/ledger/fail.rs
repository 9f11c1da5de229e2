//! Takes the report of a run that could not be trained.

use super::backoff::backoff_ms;
use super::operation::Apply;
use super::shard::{Delta, Held};
use super::sql::{Context, values};
use super::state::FailureKind;
use super::{Error, attempt, drain, register, shard};

/// A failed attempt. The same report again changes nothing more.
#[derive(Debug, Clone)]
pub struct Fail {
    /// Who tried.
    pub worker: String,
    /// The shard.
    pub shard: String,
    /// The lease's fence.
    pub fence: u64,
    /// The run's id.
    pub run: String,
    /// Who is to blame.
    pub kind: FailureKind,
    /// One sentence.
    pub error: String,
    /// The worker's last lines.
    pub log: String,
}

/// The run that failed.
struct Run {
    place: i64,
    state: String,
    attempts: u32,
    tried_fence: u64,
}

impl Apply for Fail {
    /// False where the lease is stale: then nothing has changed.
    fn apply(&self, context: &mut Context<'_>) -> Result<bool, Error> {
        let Some(held) = shard::held(context, &self.shard, &self.worker, self.fence)? else { return Ok(false) };
        let Some(run) = self.run(context, &held)? else {
            return Err(Error::Invalid(format!("the run `{}` is not one of the shard `{}`", self.run, self.shard)));
        };
        register::seen(context, &self.worker)?;
        let told_before = run.state != "pending" || run.tried_fence == self.fence;
        if self.kind == FailureKind::Run && told_before {
            return Ok(true);
        }
        self.record(context, &held, &run)?;
        if self.kind != FailureKind::Study {
            drain::note_failure(context, &self.worker, &self.run, held.study_id, &self.error)?;
        }
        match self.kind {
            FailureKind::Infrastructure => self.infrastructure(context, &held)?,
            FailureKind::Run => hold_against(context, held.id, held.study_id, run.place, run.attempts, self.fence)?,
            FailureKind::Study => self.stop_study(context, &held)?,
        }
        Ok(true)
    }
}

impl Fail {
    fn run(&self, context: &mut Context<'_>, held: &Held) -> Result<Option<Run>, Error> {
        context.row(
            "SELECT place, state, attempts, tried_fence FROM runs WHERE shard_id = ?1 AND key = ?2",
            values![held.id, &self.run],
            |row| {
                Ok(Run {
                    place: row.int(0)?,
                    state: row.text(1)?,
                    attempts: row.unsigned(2)?.try_into().unwrap_or(u32::MAX),
                    tried_fence: row.unsigned(3)?,
                })
            },
        )
    }

    fn record(&self, context: &mut Context<'_>, held: &Held, run: &Run) -> Result<(), Error> {
        let entry = attempt::Entry {
            shard_id: held.id,
            place: run.place,
            worker: &self.worker,
            fence: self.fence,
            outcome: self.kind.as_str(),
            error: &self.error,
            log: &self.log,
        };
        attempt::record(context, &entry)?;
        context.execute(
            "UPDATE runs SET error = ?3, worker = ?4 WHERE shard_id = ?1 AND place = ?2 AND state = 'pending'",
            values![held.id, run.place, &self.error, &self.worker],
        )?;
        Ok(())
    }

    /// The shard goes back and waits longer with each setback in a row.
    fn infrastructure(&self, context: &mut Context<'_>, held: &Held) -> Result<(), Error> {
        let setbacks = held.setbacks.saturating_add(1);
        context.execute("UPDATE shards SET setbacks = ?2 WHERE id = ?1", values![held.id, setbacks])?;
        shard::end_failed_lease(context, held.id, context.now_ms.saturating_add(backoff_ms(setbacks)))
    }

    fn stop_study(&self, context: &mut Context<'_>, held: &Held) -> Result<(), Error> {
        context.execute(
            "UPDATE studies SET state = 'stopped', stop_reason = ?2, ended_ms = ?3 WHERE id = ?1",
            values![held.study_id, &self.error, context.now_ms],
        )?;
        shard::give_up(context, held.study_id)
    }
}

/// A run of a leased shard counts as tried under this lease, once more than the `attempts` until now; at the last attempt it is set
/// aside.
pub(super) fn hold_against(
    context: &mut Context<'_>,
    shard_id: i64,
    study_id: i64,
    place: i64,
    attempts: u32,
    fence: u64,
) -> Result<(), Error> {
    let attempts = attempts.saturating_add(1);
    let set_aside = attempts >= context.settings.max_attempts;
    let state = if set_aside { "failed" } else { "pending" };
    context.execute(
        "UPDATE runs SET attempts = ?3, tried_fence = ?4, state = ?5 WHERE shard_id = ?1 AND place = ?2",
        values![shard_id, place, attempts, fence, state],
    )?;
    shard::settle(context, shard_id)?;
    if set_aside {
        shard::count(context, study_id, Delta { failed: 1, ..Delta::default() })?;
    }
    Ok(())
}
