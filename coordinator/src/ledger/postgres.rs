//! The ledger in a PostgreSQL database, which several coordinators may share.
//!
//! - [`url`](mod@url): the database's URL, whose password is never shown
//! - [`open`]: connecting for the first time, and every reason to refuse
//! - `tls`: the connection's TLS, as the URL's `sslmode` says
//! - `migrate`: brings an older database up to this program's schema
//! - `session`: one connection: how transactions begin and end on it
//! - `statement`: the seam's queries and values on PostgreSQL
//! - `fault`: which failures pass by themselves
//!
//! # Several coordinators
//!
//! A transaction that changes anything first takes one advisory lock, which PostgreSQL drops with the transaction or with the
//! connection. So transactions that write follow one another, whichever coordinator they come from, and each sees all that came
//! before: what holds on SQLite, where there is one writer, holds here for the same reason. No coordinator leads; whoever has
//! requests takes its turn. Requests that only read take no lock and see one snapshot.
//!
//! The alternative, `SERIALIZABLE` with retries, would let transactions run side by side only to undo most of them: leases of
//! one study want the same first shards, and every commit counts itself in its study's row. What several coordinators buy is
//! that any may die, not throughput; that comes from group commit.
//!
//! A coordinator that stops in the middle of a transaction, or can no longer be reached, does not block the others: the server
//! ends a transaction that waits too long for its client, and the lock with it (`session`).
//!
//! # Lost connections
//!
//! A batch is undone and carried out again, on a new connection if need be, until it is committed or the time for it is
//! over. Where the connection breaks before the answer to a `COMMIT`, the batch may have been committed, and most operations must
//! not be carried out twice. So each transaction that writes counts itself in its coordinator's row of the table
//! `coordinators`. The next transaction has the lock, so that the lost one is over, and the count tells which way it went.

mod fault;
mod migrate;
pub mod open;
mod session;
mod statement;
mod tls;
pub mod url;

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::sql::Context;
use super::{Error, Ledger, Reply, Request, Settings};
use fault::is_passing;
use session::Session;
use url::Target;

pub use open::OpenError;
pub use url::DatabaseUrl;

/// How long a batch is tried while the database is away, before those who wait are told so: less than their own deadlines.
const RETRY_WITHIN: Duration = Duration::from_secs(10);
/// The pause after the first failure; it doubles with each ...
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// ... up to this.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Whose time a ledger goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// The time that every batch is told.
    Told,
    /// The database server's, so that coordinators whose clocks differ agree about deadlines.
    Server,
}

/// A ledger in a PostgreSQL database.
pub struct PostgresLedger {
    /// Drives the connection while a batch is carried out; the thread that owns the ledger waits meanwhile.
    runtime: Runtime,
    target: Target,
    settings: Settings,
    time: Time,
    /// Names this ledger in the table `coordinators`.
    id: String,
    /// None after a failure.
    session: Option<Session>,
}

type Replies = Vec<Result<Reply, Error>>;

/// A batch whose `COMMIT` was sent, and not answered.
struct Sent {
    /// The count in its coordinator's row, if it was committed.
    batch: i64,
    replies: Replies,
}

impl Ledger for PostgresLedger {
    fn transact(&mut self, now_ms: u64, requests: Vec<Request>) -> Replies {
        let give_up = Instant::now() + RETRY_WITHIN;
        let mut pause = PAUSE_MIN;
        let mut sent = None;
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self.attempt(now_ms, &requests, &mut sent) {
                Ok(replies) => return replies,
                Err(error) => error,
            };
            // A first try may take all the time there is: where this process was stopped in the middle, or the server is gone without
            // a word.
            if !is_passing(&error) || (tries > 1 && Instant::now() + pause > give_up) {
                tracing::error!(%error, requests = requests.len(), "a batch was given up because the database failed");
                let error = if sent.is_some() { Error::Unknown } else { error };
                return requests.iter().map(|_| Err(error.clone())).collect();
            }
            tracing::warn!(%error, database = %self.target, "the database failed, trying again");
            self.runtime.block_on(async { tokio::time::sleep(pause).await });
            pause = (2 * pause).min(PAUSE_MAX);
        }
    }
}

impl PostgresLedger {
    /// The database as people may see it: user, hosts and name.
    pub fn place(&self) -> String {
        self.target.to_string()
    }

    /// Carries a batch out once. On an error nothing was changed, unless there is something in `sent`.
    fn attempt(&mut self, now_ms: u64, requests: &[Request], sent: &mut Option<Sent>) -> Result<Replies, Error> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::connect(&self.runtime, &self.target)?,
        };
        let done = if requests.iter().all(Request::is_read) {
            self.read(&mut session, now_ms, requests)
        } else {
            self.write(&mut session, now_ms, requests, sent)
        };
        // What a failure leaves behind, an open transaction or a lock, goes with the connection.
        match done {
            Ok(_) => self.session = Some(session),
            Err(_) => session.close(&self.runtime),
        }
        done
    }

    fn read(&self, session: &mut Session, now_ms: u64, requests: &[Request]) -> Result<Replies, Error> {
        let begun = session.begin_reading(&self.runtime)?;
        let replies = self.apply(session, self.now_ms(now_ms, begun.now_ms), requests)?;
        session.end(&self.runtime, "COMMIT")?;
        Ok(replies)
    }

    fn write(
        &self,
        session: &mut Session,
        now_ms: u64,
        requests: &[Request],
        sent: &mut Option<Sent>,
    ) -> Result<Replies, Error> {
        let begun = session.begin_writing(&self.runtime, &self.id)?;
        if let Some(earlier) = sent.take_if(|sent| begun.batch > sent.batch) {
            // Whether or not this one is undone changes nothing; the connection is given up if it fails.
            return session.end(&self.runtime, "ROLLBACK").map(|()| earlier.replies.clone()).inspect_err(|_| {
                *sent = Some(earlier);
            });
        }
        *sent = None;
        let replies = self.apply(session, self.now_ms(now_ms, begun.now_ms), requests)?;
        session.end(&self.runtime, "COMMIT").inspect_err(|_| {
            *sent = Some(Sent { batch: begun.batch, replies: replies.clone() });
        })?;
        Ok(replies)
    }

    fn now_ms(&self, told_ms: u64, server_ms: u64) -> u64 {
        match self.time {
            Time::Told => told_ms,
            Time::Server => server_ms,
        }
    }

    /// Carries out each request; what a refused one wrote is undone alone.
    fn apply(&self, session: &mut Session, now_ms: u64, requests: &[Request]) -> Result<Replies, Error> {
        let mut transaction = session.transaction(&self.runtime);
        let mut replies = Vec::with_capacity(requests.len());
        for request in requests {
            let context = &mut Context { sql: &mut transaction, now_ms, settings: self.settings };
            let reply = request.apply(context);
            match &reply {
                Err(error) if error.is_database() => return Err(error.clone()),
                Err(_) => transaction.undo_request()?,
                Ok(_) => transaction.keep_request(),
            }
            replies.push(reply);
        }
        Ok(replies)
    }
}
