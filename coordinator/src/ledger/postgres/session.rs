//! One connection to the database: how transactions begin and end on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Statement};

use super::fault::{Fault, database};
use super::migrate;
use super::statement::{Transaction, with_dollars};
use super::url::Target;
use crate::ledger::Error;

/// How long a session that is given up may take to say so to the server.
const FAREWELL: Duration = Duration::from_millis(200);

/// What every session is told first. A transaction whose coordinator has stopped or is cut off is ended by the server, because
/// its lock keeps all others waiting: after 5 s without a word, far beyond the pause between two statements. What was
/// committed is on disk before it is said to be, also where the server's default is less.
const SETTINGS: &str = "SET idle_in_transaction_session_timeout = '5s'; SET tcp_user_timeout = '10s';
    SET statement_timeout = 0; SET lock_timeout = 0; SET jit = off;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// Begins a transaction that writes: those of all coordinators follow one another. The number is `migrate::LOCK`.
const BEGIN_WRITING: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(7164780217418998900)";
/// Begins a transaction that reads one snapshot.
const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Counts a transaction in its coordinator's row.
const COUNT: &str = "INSERT INTO coordinators (id, batches) VALUES (?1, 1)
    ON CONFLICT (id) DO UPDATE SET batches = coordinators.batches + 1
    RETURNING batches, (SELECT version FROM ledger_schema),
      CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";
/// What a transaction that reads has to know.
const LOOK: &str = "SELECT CAST(0 AS BIGINT), version, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)
    FROM ledger_schema";

/// A connection, with the statements prepared on it.
pub(super) struct Session {
    client: Client,
    statements: Statements,
    /// Carries bytes while the runtime runs.
    driver: JoinHandle<Result<(), tokio_postgres::Error>>,
}

/// A transaction that has begun.
pub(super) struct Begun {
    /// The count in the coordinator's row if it is committed; 0 for one that reads.
    pub batch: i64,
    /// The server's time, milliseconds since 1970.
    pub now_ms: u64,
}

/// Statements prepared on one connection, by query.
#[derive(Default)]
pub(super) struct Statements {
    single: HashMap<&'static str, Statement>,
    /// Those that insert many rows at once, by the query that inserts one.
    rows: HashMap<&'static str, Statement>,
}

impl Statements {
    /// The statement of a query with the seam's placeholders.
    pub fn get(&mut self, runtime: &Runtime, client: &Client, query: &'static str) -> Result<Statement, Error> {
        prepared(&mut self.single, runtime, client, query, || with_dollars(query))
    }

    /// The statement that inserts many rows where `query` inserts one; `text` writes it.
    pub fn get_rows(
        &mut self,
        runtime: &Runtime,
        client: &Client,
        query: &'static str,
        text: impl FnOnce() -> String,
    ) -> Result<Statement, Error> {
        prepared(&mut self.rows, runtime, client, query, text)
    }
}

fn prepared(
    statements: &mut HashMap<&'static str, Statement>,
    runtime: &Runtime,
    client: &Client,
    query: &'static str,
    text: impl FnOnce() -> String,
) -> Result<Statement, Error> {
    if let Some(statement) = statements.get(query) {
        return Ok(statement.clone());
    }
    let statement = runtime.block_on(client.prepare(&text())).map_err(database)?;
    statements.insert(query, statement.clone());
    Ok(statement)
}

impl Session {
    /// Connects.
    pub fn connect(runtime: &Runtime, target: &Target) -> Result<Session, Error> {
        Session::try_connect(runtime, target).map_err(|fault| Error::Database(Arc::new(fault)))
    }

    pub fn try_connect(runtime: &Runtime, target: &Target) -> Result<Session, Fault> {
        let connect = async {
            let (client, connection) = target.connect().await?;
            let driver = tokio::spawn(connection);
            client.batch_execute(SETTINGS).await?;
            Ok((client, driver))
        };
        let (client, driver) = runtime.block_on(connect).map_err(|error: tokio_postgres::Error| Fault::from(error))?;
        Ok(Session { client, statements: Statements::default(), driver })
    }

    /// The bare connection.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Begins a transaction that may write, once no other coordinator is in one.
    pub fn begin_writing(&mut self, runtime: &Runtime, id: &str) -> Result<Begun, Error> {
        let count = self.statements.get(runtime, &self.client, COUNT)?;
        let (client, id): (_, &(dyn tokio_postgres::types::ToSql + Sync)) = (&self.client, &id);
        let begin = try_join(client.batch_execute(BEGIN_WRITING), client.query_one(&count, std::slice::from_ref(&id)));
        begun(&runtime.block_on(begin).map_err(database)?.1)
    }

    /// Begins a transaction that only reads.
    pub fn begin_reading(&mut self, runtime: &Runtime) -> Result<Begun, Error> {
        let look = self.statements.get(runtime, &self.client, LOOK)?;
        let begin = try_join(self.client.batch_execute(BEGIN_READING), self.client.query_one(&look, &[]));
        begun(&runtime.block_on(begin).map_err(database)?.1)
    }

    /// The transaction that has begun.
    pub fn transaction<'a>(&'a mut self, runtime: &'a Runtime) -> Transaction<'a> {
        Transaction::new(runtime, &self.client, &mut self.statements)
    }

    /// Ends the transaction by `COMMIT` or `ROLLBACK`.
    pub fn end(&self, runtime: &Runtime, how: &'static str) -> Result<(), Error> {
        runtime.block_on(self.client.batch_execute(how)).map_err(database)
    }

    /// Closes the connection, and with it the transaction and its lock.
    pub fn close(self, runtime: &Runtime) {
        let Session { client, statements, mut driver } = self;
        drop((client, statements));
        runtime.block_on(async {
            if tokio::time::timeout(FAREWELL, &mut driver).await.is_err() {
                driver.abort();
            }
        });
    }
}

fn begun(row: &tokio_postgres::Row) -> Result<Begun, Error> {
    let get = |column: usize| row.try_get::<_, i64>(column).map_err(database);
    let (batch, version, now_ms) = (get(0)?, get(1)?, get(2)?);
    migrate::check(version)?;
    Ok(Begun { batch, now_ms: now_ms.try_into().unwrap_or(0) })
}
