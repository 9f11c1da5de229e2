//! The diary of what people and programs changed by hand.

use super::Error;
use super::operation::Apply;
use super::sql::{Context, Row, values};

/// Asks for the newest entries.
#[derive(Debug, Clone)]
pub struct ListAudit {
    /// Only those about this study, worker or part; all if empty.
    pub target: String,
    /// Only those before this entry; the newest if `None`.
    pub before: Option<u64>,
    /// How many at most; at least 1.
    pub limit: u32,
}

/// Who did what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Grows with time.
    pub id: u64,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// Who.
    pub who: String,
    /// What, in a word or two: `submit`, `pause`, `drain`, …
    pub what: String,
    /// To which study, worker or part.
    pub target: String,
    /// Why, or how exactly; may be empty.
    pub note: String,
}

impl Apply for ListAudit {
    /// The newest first.
    fn apply(&self, context: &mut Context<'_>) -> Result<Vec<Entry>, Error> {
        let before = self.before.unwrap_or(u64::MAX);
        context.rows(
            "SELECT id, at_ms, who, what, target, note FROM audit
             WHERE id < ?1 AND (?2 = '' OR target = ?2) ORDER BY id DESC LIMIT ?3",
            values![before, &self.target, self.limit],
            read,
        )
    }
}

/// All columns of an entry, in the order of its fields.
pub(super) fn read(row: &dyn Row) -> Result<Entry, Error> {
    Ok(Entry {
        id: row.unsigned(0)?,
        at_ms: row.unsigned(1)?,
        who: row.text(2)?,
        what: row.text(3)?,
        target: row.text(4)?,
        note: row.text(5)?,
    })
}

/// Writes down who did what to which study, worker or part, and why.
pub(super) fn record(context: &mut Context<'_>, who: &str, what: &str, target: &str, note: &str) -> Result<(), Error> {
    context.execute(
        "INSERT INTO audit (at_ms, who, what, target, note) VALUES (?1, ?2, ?3, ?4, ?5)",
        values![context.now_ms, who, what, target, note],
    )?;
    Ok(())
}
