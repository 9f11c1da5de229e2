//! The seam's queries and values on PostgreSQL, within a transaction.

use std::error::Error as StdError;

use bytes::BytesMut;
use futures::future::{join, try_join_all};
use tokio::runtime::Runtime;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Statement};

use super::fault::database;
use super::session::Statements;
use crate::ledger::Error;
use crate::ledger::sql::{Row, Sql, Value};

/// Statements on their way to the server at a time, so that a large study does not fill memory.
const IN_FLIGHT: usize = 1_024;
/// Rows that one statement inserts where there are many: a study of a million runs keeps all others waiting for its transaction, and a
/// statement for each row takes several times as long.
const ROWS: usize = 50;

/// A transaction that carries out one request after another. What a request writes lies behind a savepoint, so that it can be
/// undone alone. The savepoint travels with the request's first change and costs no wait of its own.
pub(super) struct Transaction<'a> {
    runtime: &'a Runtime,
    client: &'a Client,
    statements: &'a mut Statements,
    /// Whether a savepoint stands.
    savepoint: bool,
    /// Whether the request at hand has changed anything.
    changed: bool,
}

impl<'a> Transaction<'a> {
    pub fn new(runtime: &'a Runtime, client: &'a Client, statements: &'a mut Statements) -> Transaction<'a> {
        Transaction { runtime, client, statements, savepoint: false, changed: false }
    }

    /// Keeps what the request changed.
    pub fn keep_request(&mut self) {
        self.changed = false;
    }

    /// Undoes what the request changed.
    pub fn undo_request(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.changed) {
            let undo = self.client.batch_execute("ROLLBACK TO SAVEPOINT request");
            self.runtime.block_on(undo).map_err(database)?;
        }
        Ok(())
    }

    /// The statement of a query, and what has to go before it.
    fn prepare(&mut self, query: &'static str) -> Result<(Statement, Option<&'static str>), Error> {
        let statement = self.statements.get(self.runtime, self.client, query)?;
        Ok((statement, self.before(query)))
    }

    /// The same for the statement that inserts [`ROWS`] rows of `columns` values where `query` inserts one.
    fn prepare_rows(
        &mut self,
        query: &'static str,
        columns: usize,
    ) -> Result<(Statement, Option<&'static str>), Error> {
        let statement =
            self.statements.get_rows(self.runtime, self.client, query, || with_rows(query, columns, ROWS))?;
        Ok((statement, self.before(query)))
    }

    /// What has to go before a query.
    fn before(&mut self, query: &'static str) -> Option<&'static str> {
        let first_change = !self.changed && !query.trim_start().starts_with("SELECT");
        let before = match (first_change, self.savepoint) {
            (false, _) => None,
            (true, false) => Some("SAVEPOINT request"),
            (true, true) => Some("RELEASE SAVEPOINT request; SAVEPOINT request"),
        };
        self.changed |= first_change;
        self.savepoint |= first_change;
        before
    }

    /// Sends `before`, if there is any, and the work right behind it; waits for both.
    fn send<T>(
        &self,
        before: Option<&'static str>,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        let sent = async {
            match before {
                None => work.await,
                Some(before) => {
                    let (before, done) = join(self.client.batch_execute(before), work).await;
                    before.and(done)
                }
            }
        };
        self.runtime.block_on(sent).map_err(database)
    }
}

fn parameters<'a>(values: &'a [Value<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl Sql for Transaction<'_> {
    fn execute(&mut self, query: &'static str, values: &[Value<'_>]) -> Result<u64, Error> {
        let (statement, before) = self.prepare(query)?;
        let parameters = parameters(values);
        self.send(before, self.client.execute(&statement, &parameters))
    }

    fn execute_many(&mut self, query: &'static str, sets: &[Vec<Value<'_>>]) -> Result<(), Error> {
        let mut sets = sets;
        if is_insert_of_values(query) {
            let (groups, rest) = sets.as_chunks::<ROWS>();
            for group in groups {
                let (statement, before) = self.prepare_rows(query, group[0].len())?;
                let parameters: Vec<_> = group.iter().flat_map(|values| parameters(values)).collect();
                self.send(before, self.client.execute(&statement, &parameters))?;
            }
            sets = rest;
        }
        for sets in sets.chunks(IN_FLIGHT) {
            let (statement, before) = self.prepare(query)?;
            let sets: Vec<_> = sets.iter().map(|values| parameters(values)).collect();
            let all = try_join_all(sets.iter().map(|parameters| self.client.execute(&statement, parameters)));
            self.send(before, all)?;
        }
        Ok(())
    }

    fn query(
        &mut self,
        query: &'static str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (statement, before) = self.prepare(query)?;
        let parameters = parameters(values);
        let rows = self.send(before, self.client.query(&statement, &parameters))?;
        rows.iter().try_for_each(|row| each(row))
    }
}

/// Whether a query inserts one row of values, and nothing else.
fn is_insert_of_values(query: &str) -> bool {
    query.starts_with("INSERT INTO") && query.contains("VALUES (") && query.ends_with(')')
}

/// The query that inserts `rows` rows where `query`, of which [`is_insert_of_values`] holds, inserts one: the placeholders of row i
/// count on from those of the row before.
fn with_rows(query: &str, columns: usize, rows: usize) -> String {
    let (insert, row) = query.split_once("VALUES ").unwrap_or((query, ""));
    // From the last to the first, or `?1` would be found in `?10`.
    let row_of = |i: usize| {
        (1..=columns)
            .rev()
            .fold(row.to_string(), |row, n| row.replace(&format!("?{n}"), &format!("${}", i * columns + n)))
    };
    let tuples: Vec<String> = (0..rows).map(row_of).collect();
    format!("{insert}VALUES {}", tuples.join(", "))
}

/// A query with PostgreSQL's placeholders: `$1` for `?1`. No query of the ledger has a question mark elsewhere.
pub(super) fn with_dollars(query: &str) -> String {
    query.replace('?', "$")
}

impl ToSql for Value<'_> {
    fn to_sql(&self, target: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(number) if *target == Type::INT8 => number.to_sql(target, out),
            Value::Int(number) if *target == Type::INT4 => i32::try_from(*number)?.to_sql(target, out),
            Value::Int(_) => Err("a number stands where the query has a text".into()),
            Value::Text(_) if [Type::INT8, Type::INT4].contains(target) => {
                Err("a text stands where the query has a number".into())
            }
            // The one character that PostgreSQL does not keep; it may come in the log of a worker.
            Value::Text(text) if text.contains('\0') => text.replace('\0', "\u{fffd}").to_sql(target, out),
            Value::Text(text) => text.to_sql(target, out),
        }
    }

    fn accepts(target: &Type) -> bool {
        [Type::INT8, Type::INT4, Type::TEXT, Type::VARCHAR].contains(target)
    }

    to_sql_checked!();
}

/// A number of any width.
struct Number(i64);

impl<'a> FromSql<'a> for Number {
    fn from_sql(source: &Type, raw: &'a [u8]) -> Result<Number, Box<dyn StdError + Sync + Send>> {
        if *source == Type::INT4 { i32::from_sql(source, raw).map(i64::from) } else { i64::from_sql(source, raw) }
            .map(Number)
    }

    fn accepts(source: &Type) -> bool {
        [Type::INT8, Type::INT4].contains(source)
    }
}

impl Row for tokio_postgres::Row {
    fn int(&self, column: usize) -> Result<i64, Error> {
        self.try_get(column).map(|Number(number)| number).map_err(database)
    }

    fn text(&self, column: usize) -> Result<String, Error> {
        self.try_get(column).map_err(database)
    }

    fn maybe_int(&self, column: usize) -> Result<Option<i64>, Error> {
        let number: Option<Number> = self.try_get(column).map_err(database)?;
        Ok(number.map(|Number(number)| number))
    }

    fn maybe_text(&self, column: usize) -> Result<Option<String>, Error> {
        self.try_get(column).map_err(database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_translated() {
        assert_eq!(
            with_dollars("SELECT 1 WHERE a = ?1 AND (?12 = '' OR b = ?2)"),
            "SELECT 1 WHERE a = $1 AND ($12 = '' OR b = $2)"
        );
    }

    #[test]
    fn inserts_of_one_row_become_inserts_of_many() {
        let query = "INSERT INTO t (a, b, c) VALUES (?1, 'x', ?2)";
        assert!(is_insert_of_values(query));
        assert_eq!(with_rows(query, 2, 2), "INSERT INTO t (a, b, c) VALUES ($1, 'x', $2), ($3, 'x', $4)");
        for other in ["UPDATE t SET a = ?1", "INSERT INTO t (a) VALUES (?1) RETURNING id", "SELECT (?1)"] {
            assert!(!is_insert_of_values(other), "{other}");
        }
    }

    #[test]
    fn the_one_character_that_is_not_kept_is_replaced() {
        let mut out = BytesMut::new();
        Value::Text("a\0b").to_sql(&Type::TEXT, &mut out).expect("a text is taken");
        assert_eq!(&out[..], "a\u{fffd}b".as_bytes());
        assert!(Value::Text("5").to_sql(&Type::INT8, &mut out).is_err());
        assert!(Value::Int(5).to_sql(&Type::TEXT, &mut out).is_err());
    }
}
