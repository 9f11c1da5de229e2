//! Brings a ledger file up to this program's schema: embedded steps, forward only, each in its own transaction.

use std::path::Path;

use rusqlite::Connection;

use super::open::{OpenError, classify};

/// The steps; the n-th leads to schema n (from 1). Released ones are never changed.
const STEPS: [&str; 10] = [
    include_str!("../migrations/sqlite/0001.sql"),
    include_str!("../migrations/sqlite/0002.sql"),
    include_str!("../migrations/sqlite/0003.sql"),
    include_str!("../migrations/sqlite/0004.sql"),
    include_str!("../migrations/sqlite/0005.sql"),
    include_str!("../migrations/sqlite/0006.sql"),
    include_str!("../migrations/sqlite/0007.sql"),
    include_str!("../migrations/sqlite/0008.sql"),
    include_str!("../migrations/sqlite/0009.sql"),
    include_str!("../migrations/sqlite/0010.sql"),
];
/// Marks an SQLite file as a curvefleet ledger in its header: "cflt" in ASCII.
const APPLICATION_ID: i64 = 0x63_66_6c_74;

/// Refuses files that are not a ledger or newer than this program, before anything is written to them.
pub(super) fn check(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let classify = |source| classify(path, source);
    let number = |query: &str| connection.query_row(query, [], |row| row.get::<_, i64>(0)).map_err(classify);
    let objects = number("SELECT COUNT(*) FROM sqlite_schema")?;
    if objects > 0 && number("PRAGMA application_id")? != APPLICATION_ID {
        return Err(OpenError::NotALedger { path: path.to_path_buf() });
    }
    let (found, known) = (number("PRAGMA user_version")?, STEPS.len() as i64);
    if found > known {
        return Err(OpenError::Newer { path: path.to_path_buf(), found, known });
    }
    Ok(())
}

/// Whether the file lacks no step.
pub(super) fn is_current(path: &Path, connection: &Connection) -> Result<bool, OpenError> {
    let found = connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    Ok(found.map_err(|source| classify(path, source))? == STEPS.len() as i64)
}

/// Runs the steps that the file lacks.
pub(super) fn run(path: &Path, connection: &mut Connection) -> Result<(), OpenError> {
    let classify = |source| classify(path, source);
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(classify)?;
    for (step, schema) in STEPS.iter().zip(1_i64..).filter(|(_, schema)| *schema > found) {
        let transaction = connection.transaction().map_err(classify)?;
        transaction.execute_batch(step).map_err(classify)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(classify)?;
        transaction.pragma_update(None, "user_version", schema).map_err(classify)?;
        transaction.commit().map_err(classify)?;
        tracing::info!(ledger = %path.display(), schema, "brought the ledger to a newer schema");
    }
    Ok(())
}
