//! Introduces a worker.

use std::sync::Arc;

use curvefleet_proto::limits::MAX_WORKERS;
use curvefleet_proto::requirement::Capabilities;

use super::operation::Apply;
use super::sql::{Context, values};
use super::{Error, attempt, shard, vanish, workers};

/// A worker's introduction; again with the same name after a restart. A process that introduces itself again, because the
/// coordinator asked it to, keeps its leases; a new process of the same name takes the old one's place, and what the old one
/// held goes back into the queue at once.
#[derive(Debug, Clone)]
pub struct Register {
    /// Its name, unique in the fleet.
    pub worker: String,
    /// Tells the process from others that go by the same name, before or after.
    pub session: String,
    /// How many runs it trains at the same time.
    pub slots: u32,
    /// The backend and instruction set it trains with.
    pub backend: String,
    /// Version of its program.
    pub version: String,
    /// What it has.
    pub has: Capabilities,
}

impl Apply for Register {
    fn apply(&self, context: &mut Context<'_>) -> Result<(), Error> {
        let known = context.row(
            "SELECT session, last_seen_ms, left_ms FROM workers WHERE name = ?1",
            values![&self.worker],
            |row| Ok((row.text(0)?, row.unsigned(1)?, row.unsigned(2)?)),
        )?;
        let alive_since_ms = workers::alive_since_ms(context);
        let was_alive = known.as_ref().is_some_and(|(_, seen_ms, left_ms)| *seen_ms >= alive_since_ms && *left_ms == 0);
        if !was_alive {
            self.check_room(context)?;
        }
        let is_new = known.as_ref().is_none_or(|(session, ..)| *session != self.session);
        if is_new && known.is_some() {
            self.take_leases_of_the_old_process(context)?;
        }
        self.write(context, is_new)
    }
}

impl Register {
    fn check_room(&self, context: &mut Context<'_>) -> Result<(), Error> {
        let alive = context.row(
            "SELECT COUNT(*) FROM workers WHERE last_seen_ms >= ?1 AND left_ms = 0",
            values![workers::alive_since_ms(context)],
            |row| row.unsigned(0),
        )?;
        if alive.unwrap_or_default() >= MAX_WORKERS as u64 {
            return Err(Error::TooManyWorkers);
        }
        Ok(())
    }

    fn take_leases_of_the_old_process(&self, context: &mut Context<'_>) -> Result<(), Error> {
        let held = shard::held_by(context, &self.worker)?;
        for lease in held {
            let error = format!("the worker `{}` was started anew and does not know of the lease", self.worker);
            attempt::record_lease_end(context, lease.id, &self.worker, lease.fence, &error)?;
            vanish::note(context, lease.id, &self.worker, lease.fence)?;
            shard::end_lease(context, lease.id, context.now_ms)?;
        }
        Ok(())
    }

    fn write(&self, context: &mut Context<'_>, is_new: bool) -> Result<(), Error> {
        let has = serde_json::to_string(&self.has).map_err(|source| Error::Database(Arc::new(source)))?;
        context.execute(
            "INSERT INTO workers (name, slots, backend, version, has, session, last_seen_ms, registered_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
             ON CONFLICT (name) DO UPDATE SET slots = excluded.slots, backend = excluded.backend,
               version = excluded.version, has = excluded.has, session = excluded.session,
               last_seen_ms = excluded.last_seen_ms, left_ms = 0",
            values![&self.worker, self.slots, &self.backend, &self.version, &has, &self.session, context.now_ms],
        )?;
        if is_new {
            context.execute(
                "UPDATE workers SET asked = 0, registered_ms = ?2 WHERE name = ?1",
                values![&self.worker, context.now_ms],
            )?;
        }
        Ok(())
    }
}

/// Notes that a worker was heard of; false if it is not registered.
pub(super) fn seen(context: &mut Context<'_>, worker: &str) -> Result<bool, Error> {
    let changed =
        context.execute("UPDATE workers SET last_seen_ms = ?2 WHERE name = ?1", values![worker, context.now_ms])?;
    Ok(changed > 0)
}

/// Notes that a worker has committed something.
pub(super) fn committed(context: &mut Context<'_>, worker: &str) -> Result<(), Error> {
    context.execute(
        "UPDATE workers SET last_seen_ms = ?2, committed_ms = ?2 WHERE name = ?1",
        values![worker, context.now_ms],
    )?;
    Ok(())
}
