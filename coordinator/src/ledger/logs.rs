//! The attempts at one run.

use super::Error;
use super::operation::Apply;
use super::sql::{Context, values};

/// An answer stays within this many bytes, so that it fits a gRPC message; the oldest attempts are left out, and said to be.
const MAX_LOGS_BYTES: usize = curvefleet_proto::limits::MAX_MESSAGE_BYTES / 2;

/// Asks for a run's attempts.
#[derive(Debug, Clone)]
pub struct Logs {
    /// The run's id or the first digits of it: lower-case hex digits.
    pub run: String,
}

/// A run's attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempts {
    /// The run's id.
    pub run: String,
    /// The newest that fit an answer, oldest first.
    pub attempts: Vec<Attempt>,
    /// How many older ones were left out.
    pub left_out: u64,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The worker that tried.
    pub worker: String,
    /// The fence of its lease.
    pub fence: u64,
    /// When it was reported, milliseconds since 1970.
    pub at_ms: u64,
    /// `done`, `infrastructure`, `run` or `study`.
    pub outcome: String,
    /// Empty where it succeeded.
    pub error: String,
    /// The worker's last lines.
    pub log: String,
}

impl Apply for Logs {
    fn apply(&self, context: &mut Context<'_>) -> Result<Attempts, Error> {
        let run = self.full_id(context)?;
        // A lease's end concerns the runs that were not done by then.
        let attempts = context.rows(
            "SELECT attempts.worker, attempts.fence, attempts.at_ms, attempts.outcome, attempts.error, attempts.log
             FROM runs JOIN attempts ON attempts.shard_id = runs.shard_id
             WHERE runs.key = ?1 AND (attempts.place = runs.place OR (attempts.place IS NULL AND NOT EXISTS
               (SELECT 1 FROM attempts AS earlier WHERE earlier.shard_id = runs.shard_id
                AND earlier.place = runs.place AND earlier.outcome = 'done' AND earlier.id < attempts.id)))
             ORDER BY attempts.at_ms, attempts.id",
            values![&run],
            |row| {
                Ok(Attempt {
                    worker: row.text(0)?,
                    fence: row.unsigned(1)?,
                    at_ms: row.unsigned(2)?,
                    outcome: row.text(3)?,
                    error: row.text(4)?,
                    log: row.text(5)?,
                })
            },
        )?;
        Ok(newest(run, attempts))
    }
}

impl Logs {
    fn full_id(&self, context: &mut Context<'_>) -> Result<String, Error> {
        // `g` follows the last hex digit: all ids that begin with the digits lie between.
        let end = format!("{}g", self.run);
        let found = context.rows(
            "SELECT DISTINCT key FROM runs WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT 2",
            values![&self.run, &end],
            |row| row.text(0),
        )?;
        let mut found = found.into_iter();
        match (found.next(), found.next()) {
            (None, _) => Err(Error::NoRun(self.run.clone())),
            (Some(run), None) => Ok(run),
            (Some(_), Some(_)) => Err(Error::AmbiguousRun(self.run.clone())),
        }
    }
}

fn newest(run: String, mut attempts: Vec<Attempt>) -> Attempts {
    let mut bytes = 0;
    let fits = attempts.iter().rev().take_while(|attempt| {
        bytes += attempt.error.len() + attempt.log.len() + attempt.worker.len() + 64;
        bytes <= MAX_LOGS_BYTES
    });
    let left_out = attempts.len() - fits.count();
    attempts.drain(..left_out);
    Attempts { run, attempts, left_out: left_out as u64 }
}
