//! What PostgreSQL or the way to it says, in one sentence, and whether it passes by itself.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;

use crate::ledger::Error;

/// A failure of the database or of the way to it. It shows no password: the server is told one, and never tells it.
#[derive(Debug)]
pub(super) struct Fault(tokio_postgres::Error);

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = self.0.as_db_error() {
            return write!(formatter, "{} (SQLSTATE {})", error.message(), error.code().code());
        }
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// Whether it may go better by itself, on a new connection: the server is away, stopping or starting, or short of something, or
    /// another transaction was in the way.
    pub fn is_passing(&self) -> bool {
        // Without a code it was the connection. Classes: PostgreSQL's documentation, appendix A.
        self.code().is_none_or(|code| {
            let passing = ["08", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class));
            // The server ended a session that waited in a transaction; a server that only reads is a standby, which will be
            // promoted or replaced; a lock was not to be had.
            passing || ["25P03", "25006", "55P03"].contains(&code)
        })
    }

    /// Whether it is about who may do what: a matter for the user, not for another try.
    pub fn is_refusal(&self) -> bool {
        // 28: authorisation; 3D000: no such database; 42501: a privilege is missing.
        self.code().is_some_and(|code| code.starts_with("28") || ["3D000", "42501"].contains(&code))
    }

    fn code(&self) -> Option<&str> {
        self.0.code().map(tokio_postgres::error::SqlState::code)
    }
}

/// A failure of the database.
pub(super) fn database(error: tokio_postgres::Error) -> Error {
    Error::Database(Arc::new(Fault::from(error)))
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Fault {
        Fault(error)
    }
}

/// Whether a batch that failed with this may go better by itself.
pub(super) fn is_passing(error: &Error) -> bool {
    match error {
        Error::Database(source) => source.downcast_ref::<Fault>().is_some_and(Fault::is_passing),
        _ => false,
    }
}
