//! Gives up the runs of a study that are not done.

use super::operation::Apply;
use super::sql::{Context, values};
use super::study::{Status, id_of, status_of};
use super::{Error, audit, shard};

/// A study to cancel. A study that has ended already stays as it is.
#[derive(Debug, Clone)]
pub struct Cancel {
    /// Its name.
    pub study: String,
    /// Who cancels it, for the audit.
    pub who: String,
}

impl Apply for Cancel {
    fn apply(&self, context: &mut Context<'_>) -> Result<Status, Error> {
        let study_id = id_of(context, &self.study)?;
        let cancelled = context.execute(
            "UPDATE studies SET state = 'cancelled', ended_ms = ?2 WHERE id = ?1 AND state = 'active'",
            values![study_id, context.now_ms],
        )?;
        if cancelled > 0 {
            shard::give_up(context, study_id)?;
            audit::record(context, &self.who, "cancel", &self.study, "")?;
        }
        status_of(context, &self.study)
    }
}
