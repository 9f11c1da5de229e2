//! The diary of what people and programs changed by hand.

use super::Error;
use super::sql::{Context, values};

/// Writes down who did what to which study.
pub(super) fn record(context: &mut Context<'_>, who: &str, what: &str, target: &str) -> Result<(), Error> {
    context.execute(
        "INSERT INTO audit (at_ms, who, what, target) VALUES (?1, ?2, ?3, ?4)",
        values![context.now_ms, who, what, target],
    )?;
    Ok(())
}
