//! The seam between the operations and a database: queries with `?1`, `?2` … for values, rows of numbers and texts.
//!
//! Queries keep to what SQLite and PostgreSQL both understand (`RETURNING`, partial indexes, `ON CONFLICT`). Numbers are
//! signed 64-bit in both; states are words; texts are ordered by their bytes. No query locks rows: each database sees to it
//! that transactions which write follow one another.

use super::Error;

/// A value bound to a query.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    /// No value.
    Null,
    /// A number.
    Int(i64),
    /// A text.
    Text(&'a str),
}

/// One row of an answer. A value of another type than asked for is a database error.
pub(crate) trait Row {
    /// A column that holds a number.
    fn int(&self, column: usize) -> Result<i64, Error>;
    /// A column that holds a text.
    fn text(&self, column: usize) -> Result<String, Error>;
    /// A column that holds a number or nothing.
    fn maybe_int(&self, column: usize) -> Result<Option<i64>, Error>;
    /// A column that holds a text or nothing.
    fn maybe_text(&self, column: usize) -> Result<Option<String>, Error>;

    /// A column that holds a number that is never negative.
    fn unsigned(&self, column: usize) -> Result<u64, Error> {
        let number = self.int(column)?;
        u64::try_from(number).map_err(|source| Error::Database(std::sync::Arc::new(source)))
    }
}

/// A database within a transaction.
pub(crate) trait Sql {
    /// Changes rows; says how many.
    fn execute(&mut self, query: &'static str, values: &[Value<'_>]) -> Result<u64, Error>;
    /// Runs one statement with many sets of values, in their order; a database in another place need not be waited for between.
    fn execute_many(&mut self, query: &'static str, sets: &[Vec<Value<'_>>]) -> Result<(), Error>;
    /// Calls `each` with every row of the answer, until it errs.
    fn query(
        &mut self,
        query: &'static str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), Error>,
    ) -> Result<(), Error>;
}

/// What an operation works with.
pub(crate) struct Context<'a> {
    /// The database, within the batch's transaction.
    pub sql: &'a mut dyn Sql,
    /// The time, milliseconds since 1970.
    pub now_ms: u64,
    /// What the ledger decides by.
    pub settings: super::Settings,
}

impl Context<'_> {
    /// Changes rows; says how many.
    pub fn execute(&mut self, query: &'static str, values: &[Value<'_>]) -> Result<u64, Error> {
        self.sql.execute(query, values)
    }

    /// Runs one statement with many sets of values, in their order.
    pub fn execute_many(&mut self, query: &'static str, sets: &[Vec<Value<'_>>]) -> Result<(), Error> {
        self.sql.execute_many(query, sets)
    }

    /// All rows of an answer.
    pub fn rows<T>(
        &mut self,
        query: &'static str,
        values: &[Value<'_>],
        read: impl Fn(&dyn Row) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut rows = Vec::new();
        self.sql.query(query, values, &mut |row| {
            rows.push(read(row)?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// The first row of an answer.
    pub fn row<T>(
        &mut self,
        query: &'static str,
        values: &[Value<'_>],
        read: impl Fn(&dyn Row) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        Ok(self.rows(query, values, read)?.into_iter().next())
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Value::Text(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Value::Int(i64::from(number))
    }
}

impl From<u64> for Value<'_> {
    /// Numbers beyond what a database holds come from peers alone (a fence, a size); the largest stands for them,
    /// which equals no number that the ledger ever wrote.
    fn from(number: u64) -> Self {
        Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// `values![a, b]`: the values of a query, each converted.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::ledger::sql::Value::from($value)),*] };
}
pub(crate) use values;
