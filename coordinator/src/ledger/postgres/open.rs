//! Connecting for the first time, and every reason to refuse.

use std::path::PathBuf;

use super::fault::Fault;
use super::migrate::{self, Found};
use super::session::Session;
use super::url::{DatabaseUrl, Target};
use super::{PostgresLedger, Time};
use crate::ledger::Settings;

/// The oldest PostgreSQL that the ledger runs on, as `server_version_num` writes it; the oldest that is still maintained anywhere.
const OLDEST_SERVER: i32 = 130_000;

/// Why a database cannot be used. None shows a password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is none.
    #[error(
        "the database's URL cannot be used: {reason}; it looks like postgres://user:password@host:5432/database, with special \
         characters percent-encoded, and is best given as CURVEFLEET_DATABASE"
    )]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// The certificates to trust cannot be read.
    #[error("the certificates that the database's server is checked by cannot be used: {}: {reason}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No server answers, or it answers with a refusal.
    #[error("the database {database} cannot be reached: {reason}; check --database, the server and the user's rights")]
    Unreachable {
        /// The database, without a password.
        database: String,
        /// What the system or the server says.
        reason: String,
    },
    /// The server is too old.
    #[error("the database {database} is on PostgreSQL {found}, and the ledger needs PostgreSQL 13 or newer")]
    OldServer {
        /// The database, without a password.
        database: String,
        /// The server's version.
        found: String,
    },
    /// It holds something else.
    #[error(
        "the database {database} holds tables that are not a curvefleet ledger; make an empty one for it, such as with \
         `createdb curvefleet`"
    )]
    NotALedger {
        /// The database, without a password.
        database: String,
    },
    /// It was written by a newer program.
    #[error(
        "the ledger in the database {database} has schema {found}, and this program knows schemas up to {known}: use the newer \
         curvefleet that wrote it"
    )]
    Newer {
        /// The database, without a password.
        database: String,
        /// Its schema.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// The database fails in some other way.
    #[error("the ledger in the database {database} cannot be used: {reason}")]
    Database {
        /// The database, without a password.
        database: String,
        /// What the server says.
        reason: String,
    },
    /// The system gives no runtime.
    #[error("the system refused what a connection to a database needs: {0}")]
    System(#[from] std::io::Error),
}

impl PostgresLedger {
    /// Opens the ledger in the database at `url`, makes it where the database is empty, and brings it up to this program's
    /// schema. Not to be called from asynchronous code: it waits.
    ///
    /// # Errors
    /// If the URL is none, the server cannot be reached or refuses, or the database is no ledger, or one of a newer program.
    pub fn open(url: &DatabaseUrl, settings: Settings, time: Time) -> Result<PostgresLedger, OpenError> {
        let target = url.target()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let classify = |fault| classify(&target, &fault);
        let session = Session::try_connect(&runtime, &target).map_err(classify)?;
        let opened = runtime.block_on(async {
            let client = session.client();
            let row = client.query_one("SELECT current_setting('server_version'), current_setting('server_version_num')::int4, current_setting('fsync')", &[]).await?;
            let (version, number, fsync): (String, i32, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            if number < OLDEST_SERVER {
                return Ok((Err(version), String::new()));
            }
            if fsync != "on" {
                tracing::warn!(database = %target, "the server has fsync off: a power cut may lose what was said to be done");
            }
            let found = migrate::run(client).await?;
            let id = client.query_one("SELECT CAST(gen_random_uuid() AS TEXT)", &[]).await?.try_get(0)?;
            Ok((Ok(found), id))
        });
        let (found, id) = opened.map_err(|error: tokio_postgres::Error| classify(Fault::from(error)))?;
        let database = target.to_string();
        match found {
            Err(found) => Err(OpenError::OldServer { database, found }),
            Ok(Found::Other) => Err(OpenError::NotALedger { database }),
            Ok(Found::Newer(found)) => Err(OpenError::Newer { database, found, known: migrate::KNOWN }),
            Ok(Found::Ledger) => Ok(PostgresLedger { runtime, target, settings, time, id, session: Some(session) }),
        }
    }
}

fn classify(target: &Target, fault: &Fault) -> OpenError {
    let (database, reason) = (target.to_string(), fault.to_string());
    if fault.is_passing() || fault.is_refusal() {
        OpenError::Unreachable { database, reason }
    } else {
        OpenError::Database { database, reason }
    }
}
