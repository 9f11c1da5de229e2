//! Lets a study rest, lets it go on, and puts it before or behind others.

use super::operation::Apply;
use super::sql::{Context, values};
use super::study::{Status, id_of, status_of};
use super::{Error, audit};

/// Lets a study rest or go on. A resting study's shards are not leased; those that are leased are handed back at their
/// workers' next heartbeat. A study that is as asked already, or that has ended, stays as it is.
#[derive(Debug, Clone)]
pub struct Pause {
    /// The study's name.
    pub study: String,
    /// Whether it is to rest.
    pub paused: bool,
    /// Why, for the audit; may be empty.
    pub reason: String,
    /// Who asks, for the audit.
    pub who: String,
}

/// Gives a study a priority: those of higher priority are leased first, those of the same share the workers.
#[derive(Debug, Clone)]
pub struct Prioritize {
    /// The study's name.
    pub study: String,
    /// 0 unless given.
    pub priority: i32,
    /// Who asks, for the audit.
    pub who: String,
}

impl Apply for Pause {
    fn apply(&self, context: &mut Context<'_>) -> Result<Status, Error> {
        let study_id = id_of(context, &self.study)?;
        let changed = if self.paused {
            context.execute(
                "UPDATE studies SET paused_ms = ?2 WHERE id = ?1 AND paused_ms = 0 AND state = 'active'",
                values![study_id, context.now_ms],
            )?
        } else {
            context.execute("UPDATE studies SET paused_ms = 0 WHERE id = ?1 AND paused_ms <> 0", values![study_id])?
        };
        if changed > 0 {
            let what = if self.paused { "pause" } else { "resume" };
            audit::record(context, &self.who, what, &self.study, &self.reason)?;
        }
        status_of(context, &self.study)
    }
}

impl Apply for Prioritize {
    fn apply(&self, context: &mut Context<'_>) -> Result<Status, Error> {
        let study_id = id_of(context, &self.study)?;
        let before = status_of(context, &self.study)?.priority;
        if before != self.priority {
            context.execute(
                "UPDATE studies SET priority = ?2 WHERE id = ?1",
                values![study_id, i64::from(self.priority)],
            )?;
            let note = format!("from {before} to {}", self.priority);
            audit::record(context, &self.who, "priority", &self.study, &note)?;
        }
        status_of(context, &self.study)
    }
}
