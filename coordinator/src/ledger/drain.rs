//! Drains workers: a drained one is given nothing and hands back what it holds. A person drains one, or the ledger itself
//! does, where many different runs fail on it that go well elsewhere.

use super::operation::Apply;
use super::sql::{Context, values};
use super::{Error, audit, workers};

/// A worker on which so many different runs have failed, with none done in between, is drained: two or three may be the
/// runs' fault, ...
pub const DRAIN_AFTER_RUNS: u64 = 5;
/// ... and where no other worker has trained a run of the same studies meanwhile, any number may be.
const WHO: &str = "coordinator";

/// Drains a worker or lets it work again. One that is as asked already stays as it is.
#[derive(Debug, Clone)]
pub struct Drain {
    /// The worker's name.
    pub worker: String,
    /// Whether it is to be drained.
    pub drained: bool,
    /// Why; may be empty.
    pub reason: String,
    /// Who asks, for the audit.
    pub who: String,
}

impl Apply for Drain {
    fn apply(&self, context: &mut Context<'_>) -> Result<workers::Worker, Error> {
        workers::find(context, &self.worker)?;
        if self.drained {
            drain(context, &self.worker, &self.who, &self.reason)?;
        } else {
            self.undrain(context)?;
        }
        workers::find(context, &self.worker)
    }
}

impl Drain {
    fn undrain(&self, context: &mut Context<'_>) -> Result<(), Error> {
        let undrained = context.execute(
            "UPDATE workers SET drained_ms = 0, drained_by = '', drain_reason = '' WHERE name = ?1 AND drained_ms <> 0",
            values![&self.worker],
        )?;
        if undrained > 0 {
            context.execute("DELETE FROM failing WHERE worker = ?1", values![&self.worker])?;
            audit::record(context, &self.who, "undrain", &self.worker, &self.reason)?;
        }
        Ok(())
    }
}

fn drain(context: &mut Context<'_>, worker: &str, who: &str, reason: &str) -> Result<(), Error> {
    let drained = context.execute(
        "UPDATE workers SET drained_ms = ?2, drained_by = ?3, drain_reason = ?4 WHERE name = ?1 AND drained_ms = 0",
        values![worker, context.now_ms, who, reason],
    )?;
    if drained > 0 {
        audit::record(context, who, "drain", worker, reason)?;
    }
    Ok(())
}

/// Takes note that a run failed on a worker, and drains the worker if that is one too many.
pub(super) fn note_failure(
    context: &mut Context<'_>,
    worker: &str,
    run: &str,
    study_id: i64,
    error: &str,
) -> Result<(), Error> {
    context.execute(
        "DELETE FROM failing
         WHERE worker = ?1 AND at_ms <= (SELECT COALESCE(MAX(committed_ms), 0) FROM workers WHERE name = ?1)",
        values![worker],
    )?;
    context.execute(
        "INSERT INTO failing (worker, run, study_id, at_ms, error) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (worker, run) DO NOTHING",
        values![worker, run, study_id, context.now_ms, error],
    )?;
    let counts = context.row(
        "SELECT COUNT(*), COALESCE(SUM(CASE WHEN studies.committed_ms > failing.at_ms THEN 1 ELSE 0 END), 0)
         FROM failing JOIN studies ON studies.id = failing.study_id WHERE failing.worker = ?1",
        values![worker],
        |row| Ok((row.unsigned(0)?, row.unsigned(1)?)),
    )?;
    let (failed, refuted) = counts.unwrap_or_default();
    if failed >= DRAIN_AFTER_RUNS && refuted > 0 {
        let reason = format!(
            "{failed} different runs failed on it one after another, while other workers trained runs of the same \
             study; the last with: {error}"
        );
        drain(context, worker, WHO, &reason)?;
    }
    Ok(())
}
