//! The ledger in one SQLite file: write-ahead log, every commit on disk before it is answered, one coordinator at a time.
//!
//! - [`open`]: opening a file, and every reason to refuse it
//! - `lock`: keeps a second coordinator out
//! - `migrate`: brings an older file up to this program's schema
//! - [`backup`](mod@backup): a consistent copy, also while a coordinator is at work

pub mod backup;
mod lock;
mod migrate;
pub mod open;

use std::fs::File;
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, Transaction, TransactionBehavior};

use super::sql::{Context, Row, Sql, Value};
use super::{Error, Ledger, Reply, Request, Settings};

pub use backup::{BackupError, backup};
pub use open::OpenError;

/// A ledger in an SQLite file.
#[derive(Debug)]
pub struct SqliteLedger {
    connection: Connection,
    settings: Settings,
    /// Held locked for as long as the ledger is open, so that no second coordinator opens the same file. `None` where it is opened
    /// beside the coordinator that holds it.
    _lock: Option<File>,
}

impl Ledger for SqliteLedger {
    fn transact(&mut self, now_ms: u64, requests: Vec<Request>) -> Vec<Result<Reply, Error>> {
        match self.try_transact(now_ms, &requests) {
            Ok(replies) => replies,
            Err(error) => {
                tracing::error!(%error, requests = requests.len(), "a batch was undone because the database failed");
                requests.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }
}

impl SqliteLedger {
    /// The replies, once they are durable. On an error nothing was changed: dropping a transaction undoes it.
    fn try_transact(&mut self, now_ms: u64, requests: &[Request]) -> Result<Vec<Result<Reply, Error>>, Error> {
        let behavior = TransactionBehavior::Immediate;
        let mut transaction = self.connection.transaction_with_behavior(behavior).map_err(database)?;
        let mut replies = Vec::with_capacity(requests.len());
        for request in requests {
            replies.push(apply(&mut transaction, now_ms, self.settings, request)?);
        }
        transaction.commit().map_err(database)?;
        Ok(replies)
    }
}

/// Carries out one request; what a refused one wrote is undone alone.
fn apply(
    transaction: &mut Transaction<'_>,
    now_ms: u64,
    settings: Settings,
    request: &Request,
) -> Result<Result<Reply, Error>, Error> {
    let mut savepoint = transaction.savepoint().map_err(database)?;
    let mut sql: &Connection = &savepoint;
    let reply = request.apply(&mut Context { sql: &mut sql, now_ms, settings });
    match reply {
        Ok(reply) => savepoint.commit().map_err(database).map(|()| Ok(reply)),
        Err(error) if error.is_database() => Err(error),
        Err(refusal) => {
            savepoint.rollback().map_err(database)?;
            Ok(Err(refusal))
        }
    }
}

impl Sql for &Connection {
    fn execute(&mut self, query: &'static str, values: &[Value<'_>]) -> Result<u64, Error> {
        let mut statement = self.prepare_cached(query).map_err(database)?;
        let changed = statement.execute(rusqlite::params_from_iter(values)).map_err(database)?;
        Ok(changed as u64)
    }

    fn execute_many(&mut self, query: &'static str, sets: &[Vec<Value<'_>>]) -> Result<(), Error> {
        let mut statement = self.prepare_cached(query).map_err(database)?;
        for values in sets {
            statement.execute(rusqlite::params_from_iter(values)).map_err(database)?;
        }
        Ok(())
    }

    fn query(
        &mut self,
        query: &'static str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut statement = self.prepare_cached(query).map_err(database)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values)).map_err(database)?;
        while let Some(row) = rows.next().map_err(database)? {
            each(row)?;
        }
        Ok(())
    }
}

impl Row for rusqlite::Row<'_> {
    fn int(&self, column: usize) -> Result<i64, Error> {
        self.get(column).map_err(database)
    }

    fn text(&self, column: usize) -> Result<String, Error> {
        self.get(column).map_err(database)
    }

    fn maybe_int(&self, column: usize) -> Result<Option<i64>, Error> {
        self.get(column).map_err(database)
    }

    fn maybe_text(&self, column: usize) -> Result<Option<String>, Error> {
        self.get(column).map_err(database)
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

fn database(error: rusqlite::Error) -> Error {
    Error::Database(Arc::new(error))
}
