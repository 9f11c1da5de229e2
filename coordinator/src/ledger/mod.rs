//! The ledger: which studies there are, what has become of every run, and who may train which shard right now.
//!
//! Callers see [`Ledger`] alone: requests in, replies out, the time passed in. Each operation has a file that holds its
//! request, its reply and the SQL that carries it out. The SQL is plain and speaks to the database through the small
//! seam in `sql`, so that a database needs that seam, its migrations and nothing else.
//!
//! - Operations: [`submit`], [`enter`] (the shards of a large study, some at a time), [`lease`], [`heartbeat`], [`commit`], [`fail`],
//!   [`release`], [`split`] (runs that others train), [`expire`], [`cancel`], [`retry`], [`lose`] (lost parts), [`register`],
//!   [`workers`] (their list), [`study`] (status), [`runs`] and [`logs`] (listings), [`check`],
//!   [`manifest`] (rows for the manifest in the store), [`compact`] (small parts that become a large one), [`tokens`] (who may ask)
//! - Shared steps: `shard` (where a shard goes when its runs have changed), `reuse` (runs done in other studies),
//!   [`vanish`] (what becomes of a lost worker's run), `attempt` and `audit` (the two diaries), [`origin`] (how parts were trained), [`backoff`]
//! - Machinery: [`operation`] (the list of all operations), [`sqlite`] (the database in a file), [`postgres`] (the
//!   database that several coordinators share), [`direct`] (the ledger without a coordinator), [`writer`] (the one thread that owns it, and its [`Handle`]), [`error`]
//!
//! # What a run goes through
//!
//! ```text
//!            commit, or done in another study
//!  pending ───────────────────────────────────> done ── its part is lost ──> pending
//!   │ │  ^                                        ^
//!   │ │  └────────────── retry ─────────────┐     │ a late commit of a run that was set aside
//!   │ └── failed max_attempts times ──────> failed┘
//!   │                                       │
//!   └──── study cancelled or stopped ─────> cancelled ── retry ──> pending
//! ```
//!
//! A done run is done for good, with one exception: the coordinator has read its part and found it damaged or missing ([`lose`]). It
//! looks when a person says so, and when a new study would reuse the run.
//!
//! # What a shard goes through
//!
//! ```text
//!  pending ── lease (fence + 1, deadline) ──> leased ── no pending run is left ──────────────> closed
//!    ^                                          │                                               │
//!    ├── expired, released ─────────────────────┤                                               │
//!    ├── infrastructure failure: after backoff ─┤                                               │
//!    ├── every run left was tried: after backoff┘                                               │
//!    └── retry ─────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! - A lease is the pair (worker, fence) on a leased shard; a message with any other pair is stale and changes nothing.
//!   The fence never falls, also across restarts. Deadlines only decide when a shard is given to someone else: a worker
//!   that is late but was not replaced keeps its lease.
//! - A run that fails by its own fault stays pending with one attempt more and is *tried* under that fence: its worker
//!   goes on with the shard's other runs. When no untried run is left, the lease ends; if tried runs remain, the shard
//!   waits out a backoff and is leased again with them. At the last attempt the run is set aside as failed instead.
//! - Where workers are lost again and again in the first epoch of one run, as happens where memory is short, that is held against the
//!   run like a failure of its own ([`vanish`]).
//! - Runs that its worker has not begun may leave a leased shard, for a worker that has nothing to do: a new shard carries them on. The
//!   lease and what is committed under it stay what they are.
//! - A worker reports an infrastructure failure when it cannot go on with the shard: the lease ends at once, so it
//!   commits what it has finished before.
//! - Cancelling or stopping a study closes its shards; their workers learn of it at their next heartbeat.
//! - A run that is done is done in every study that has it pending; shards left empty by that close.
//! - A study is over when none of its runs is pending.

mod attempt;
pub mod audit;
pub mod backoff;
pub mod cancel;
pub mod check;
pub mod commit;
pub mod compact;
pub mod direct;
pub mod drain;
pub mod enter;
pub mod error;
pub mod expire;
pub mod explain;
pub mod fail;
pub mod heartbeat;
pub mod lease;
pub mod logs;
pub mod lose;
pub mod manifest;
pub mod operation;
pub mod origin;
pub mod pause;
pub mod postgres;
mod queue;
pub mod register;
pub mod release;
pub mod retry;
mod reuse;
pub mod runs;
mod shard;
pub mod split;
mod sql;
pub mod sqlite;
pub mod state;
pub mod study;
pub mod submit;
pub mod tokens;
pub mod vanish;
pub mod workers;
pub mod writer;

pub use error::Error;
pub use operation::{Operation, Reply, Request};
pub use postgres::PostgresLedger;
pub use sqlite::SqliteLedger;
pub use writer::Handle;

/// Attempts held against a run before it is set aside, unless the coordinator is told otherwise: one may be bad luck,
/// two a bad machine.
pub const MAX_ATTEMPTS: u32 = 3;

/// What the ledger decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long a lease lasts without a heartbeat, in milliseconds.
    pub lease_ms: u64,
    /// Attempts held against a run before it is set aside; at least 1.
    pub max_attempts: u32,
    /// Runs of a study that are entered in one transaction; of the first shard, if it has more.
    pub runs_entered_at_once: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { lease_ms: 60_000, max_attempts: MAX_ATTEMPTS, runs_entered_at_once: enter::RUNS_AT_ONCE }
    }
}

/// A database of studies, shards, runs and workers.
pub trait Ledger: Send {
    /// Carries out requests in their order, at the time `now_ms` (milliseconds since 1970); one reply per request.
    ///
    /// All of them become durable together, or, if the database fails, none does and every reply is
    /// [`Error::Database`]; every reply is [`Error::Unknown`] if the database is away and may have done either. A request that is refused changes nothing and leaves its neighbours alone.
    fn transact(&mut self, now_ms: u64, requests: Vec<Request>) -> Vec<Result<Reply, Error>>;
}
