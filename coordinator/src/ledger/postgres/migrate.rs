//! Brings a database up to this program's schema: embedded steps, forward only, all in one transaction.

use std::sync::Arc;

use tokio_postgres::Client;

use crate::ledger::Error;

/// The steps; the n-th leads to schema n (from 1), the same as in SQLite. Released ones are never changed.
const STEPS: [&str; 10] = [
    include_str!("../migrations/postgres/0001.sql"),
    include_str!("../migrations/postgres/0002.sql"),
    include_str!("../migrations/postgres/0003.sql"),
    include_str!("../migrations/postgres/0004.sql"),
    include_str!("../migrations/postgres/0005.sql"),
    include_str!("../migrations/postgres/0006.sql"),
    include_str!("../migrations/postgres/0007.sql"),
    include_str!("../migrations/postgres/0008.sql"),
    include_str!("../migrations/postgres/0009.sql"),
    include_str!("../migrations/postgres/0010.sql"),
];
/// The schema that this program knows.
pub(super) const KNOWN: i64 = STEPS.len() as i64;
/// The advisory lock of transactions that write: "cflt ldg" … as a number that no other program is likely to lock.
pub(super) const LOCK: i64 = 7_164_780_217_418_998_900;

/// What the database holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A ledger that this program can use, now.
    Ledger,
    /// Tables of something else.
    Other,
    /// A ledger of a newer program.
    Newer(i64),
}

/// Refuses a schema that another program has moved on meanwhile.
pub(super) fn check(version: i64) -> Result<(), Error> {
    if version == KNOWN {
        return Ok(());
    }
    let reason = format!(
        "it has schema {version} now, and this program knows schema {KNOWN}: restart this coordinator with the \
         curvefleet that changed it"
    );
    Err(Error::Database(Arc::from(Box::from(reason))))
}

/// Looks at the database, and runs the steps that it lacks. Of several coordinators that start at once, one runs them.
pub(super) async fn run(client: &Client) -> Result<Found, tokio_postgres::Error> {
    client.batch_execute("BEGIN").await?;
    client.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let found = look(client).await?;
    let version = match found {
        Ok(version) => version,
        Err(found) => {
            client.batch_execute("ROLLBACK").await?;
            return Ok(found);
        }
    };
    if version == 0 {
        client.batch_execute("CREATE TABLE ledger_schema (version BIGINT NOT NULL)").await?;
        client.batch_execute("INSERT INTO ledger_schema (version) VALUES (0)").await?;
    }
    for (step, schema) in STEPS.iter().zip(1_i64..).filter(|(_, schema)| *schema > version) {
        client.batch_execute(step).await?;
        client.execute("UPDATE ledger_schema SET version = $1", &[&schema]).await?;
        tracing::info!(schema, "brought the ledger to a newer schema");
    }
    client.batch_execute("COMMIT").await?;
    Ok(Found::Ledger)
}

/// The ledger's schema, 0 in an empty database; or what is there instead.
async fn look(client: &Client) -> Result<Result<i64, Found>, tokio_postgres::Error> {
    let tables = "SELECT COUNT(*), COUNT(*) FILTER (WHERE tablename = 'ledger_schema') FROM pg_tables
                  WHERE schemaname = current_schema()";
    let row = client.query_one(tables, &[]).await?;
    let (tables, ledgers): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    if ledgers == 0 {
        return Ok(if tables == 0 { Ok(0) } else { Err(Found::Other) });
    }
    let version = client.query_one("SELECT version FROM ledger_schema", &[]).await?.try_get(0)?;
    Ok(if version > KNOWN { Err(Found::Newer(version)) } else { Ok(version) })
}
