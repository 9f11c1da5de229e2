//! The ledger itself, without a coordinator: for making the first token, and when no token for `admin` is left. Whoever may write the
//! ledger's file or log in to its database may do this; it gives them nothing that they did not have.

use std::path::Path;

use super::postgres::{DatabaseUrl, PostgresLedger, Time};
use super::sqlite::{OpenError, SqliteLedger};
use super::{Error, Ledger, Operation, Settings};
use crate::clock::{Clock as _, SystemClock};

/// A ledger that is open for a few requests.
pub struct DirectLedger {
    ledger: Box<dyn Ledger>,
    /// Its file or database, for people.
    pub place: String,
}

impl DirectLedger {
    /// Opens the ledger in a database, or else in a file; a coordinator may be at work on it. A ledger that is not there is made. Not
    /// to be called from asynchronous code: it waits.
    ///
    /// # Errors
    /// As a coordinator that opens it, but for one that is at work.
    pub fn open(database: Option<&DatabaseUrl>, file: &Path) -> Result<DirectLedger, crate::Error> {
        let settings = Settings::default();
        if let Some(url) = database {
            let ledger = PostgresLedger::open(url, settings, Time::Server)?;
            let place = ledger.place();
            return Ok(DirectLedger { ledger: Box::new(ledger), place });
        }
        let ledger = match SqliteLedger::open(file, settings) {
            Err(OpenError::Locked { .. }) => SqliteLedger::open_beside(file, settings)?,
            opened => opened?,
        };
        Ok(DirectLedger { ledger: Box::new(ledger), place: file.display().to_string() })
    }

    /// The answer to a request, once it is durable.
    ///
    /// # Errors
    /// If the request is refused, or the database fails.
    pub fn ask<O: Operation>(&mut self, operation: O) -> Result<O::Answer, Error> {
        let reply = self.ledger.transact(SystemClock.now_ms(), vec![operation.into()]).into_iter().next();
        let reply = reply.ok_or(Error::Closed)??;
        O::answer(reply).ok_or_else(|| Error::unreadable("answer to this request", "another operation's"))
    }
}

impl std::fmt::Debug for DirectLedger {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "DirectLedger({})", self.place)
    }
}
