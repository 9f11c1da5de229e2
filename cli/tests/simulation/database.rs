//! The ledger's database: the real ledger on a real file. One coordinator has it to itself, as an SQLite file; or several share it, as they
//! share a PostgreSQL server, whose transactions that write follow one another, too. Some transactions fail, and of some nobody hears
//! whether they were committed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use curvefleet_coordinator::clock::Clock;
use curvefleet_coordinator::ledger::{Error, Ledger, Reply, Request, Settings, SqliteLedger};
use rusqlite::{Connection, params};

use super::scene::{BEGINNING_MS, Planted, Scene, lock};

pub const SETTINGS: Settings = Settings { lease_ms: 4_000, max_attempts: 3, runs_entered_at_once: 3 };

/// A clock that is off.
pub struct SkewedClock {
    pub scene: Arc<Scene>,
    pub skew_ms: AtomicI64,
}

impl Clock for SkewedClock {
    fn now_ms(&self) -> u64 {
        (BEGINNING_MS + self.scene.now_ms()).saturating_add_signed(self.skew_ms.load(Ordering::Relaxed))
    }
}

pub struct Database {
    scene: Arc<Scene>,
    _folder: tempfile::TempDir,
    file: PathBuf,
    ledger: Mutex<Option<SqliteLedger>>,
    /// Whether several coordinators share it; then it goes by its own clock and outlives them.
    is_shared: bool,
    clock: Arc<SkewedClock>,
    /// For looking and, with planted bugs, for tampering.
    aside: Mutex<Connection>,
    /// Leases that have expired since the coordinator was started: row, worker, fence and deadline.
    expired: Mutex<BTreeMap<i64, (String, i64, i64)>>,
}

/// A coordinator's way to the database.
pub struct Session {
    pub database: Arc<Database>,
    pub coordinator: usize,
}

impl Database {
    pub fn new(scene: Arc<Scene>, is_shared: bool, clock: Arc<SkewedClock>) -> Arc<Database> {
        // In memory where that is possible: what a power cut does to a disk is not simulated.
        let place =
            if std::path::Path::new("/dev/shm").is_dir() { PathBuf::from("/dev/shm") } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new().prefix("curvefleet-simulation").tempdir_in(place).unwrap();
        let file = folder.path().join("ledger.sqlite");
        let ledger = SqliteLedger::open(&file, SETTINGS).unwrap();
        let aside = Mutex::new(Connection::open(&file).unwrap());
        Arc::new(Database {
            scene,
            _folder: folder,
            file,
            ledger: Mutex::new(Some(ledger)),
            is_shared,
            clock,
            aside,
            expired: Mutex::default(),
        })
    }

    /// A coordinator's process has ended.
    pub fn coordinator_gone(&self) {
        if !self.is_shared {
            *lock(&self.ledger) = None;
        }
    }

    /// A coordinator's process has begun.
    pub fn coordinator_started(&self) {
        if self.is_shared {
            return;
        }
        if self.scene.planted == Some(Planted::ExpiryForgotten) {
            self.take_back_expiries();
        }
        *lock(&self.ledger) = Some(SqliteLedger::open(&self.file, SETTINGS).unwrap());
    }

    /// Looks into the database.
    pub fn look<T>(&self, look: impl FnOnce(&Connection) -> T) -> T {
        look(&lock(&self.aside))
    }

    fn transact(&self, told_ms: u64, requests: Vec<Request>) -> Vec<Result<Reply, Error>> {
        let now_ms = if self.is_shared { self.clock.now_ms() } else { told_ms };
        let failed = |requests: &[Request]| {
            let error = Error::Database(Arc::from(Box::from("the database is away")));
            requests.iter().map(|_| Err(error.clone())).collect()
        };
        if self.scene.weather().database_away || self.scene.mishap("database", 10) {
            return failed(&requests);
        }
        let replies = match self.scene.planted {
            None | Some(Planted::CommitBeforeUpload) => self.carry_out(now_ms, requests.clone()),
            Some(Planted::FenceUnchecked) => self.one_by_one(now_ms, &requests, Database::without_fence),
            Some(Planted::ExpiryForgotten) => self.one_by_one(now_ms, &requests, Database::noting_expiries),
        };
        {
            let mut checker = lock(&self.scene.checker);
            for (request, reply) in requests.iter().zip(&replies) {
                checker.carried_out(&self.scene, now_ms, request, reply);
            }
        }
        if self.is_shared && self.scene.mishap("database", 10) {
            // The connection broke at the commit, and the database did not come back in time.
            return requests.iter().map(|_| Err(Error::Unknown)).collect();
        }
        replies
    }

    fn carry_out(&self, now_ms: u64, requests: Vec<Request>) -> Vec<Result<Reply, Error>> {
        match lock(&self.ledger).as_mut() {
            Some(ledger) => ledger.transact(now_ms, requests),
            None => requests.iter().map(|_| Err(Error::Closed)).collect(),
        }
    }

    fn one_by_one(
        &self,
        now_ms: u64,
        requests: &[Request],
        carry_out: fn(&Database, u64, &Request) -> Result<Reply, Error>,
    ) -> Vec<Result<Reply, Error>> {
        requests.iter().map(|request| carry_out(self, now_ms, request)).collect()
    }

    fn alone(&self, now_ms: u64, request: &Request) -> Result<Reply, Error> {
        self.carry_out(now_ms, vec![request.clone()]).remove(0)
    }

    /// Planted: for the time of a commit, the shard's lease is whatever the commit says it is.
    fn without_fence(&self, now_ms: u64, request: &Request) -> Result<Reply, Error> {
        let Request::Commit(commit) = request else { return self.alone(now_ms, request) };
        let aside = lock(&self.aside);
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let query = "SELECT id, worker, fence, state FROM shards WHERE key = ?1 AND state <> 'closed'";
        let found: Result<(i64, String, i64, String), _> = aside.query_row(query, [&commit.shard], row);
        let Ok((id, worker, fence, state)) = found else {
            drop(aside);
            return self.alone(now_ms, request);
        };
        let write = "UPDATE shards SET worker = ?2, fence = ?3, state = ?4 WHERE id = ?1 AND state <> 'closed'";
        let told = i64::try_from(commit.fence).unwrap();
        aside.execute(write, params![id, commit.worker, told, "leased"]).unwrap();
        let reply = self.alone(now_ms, request);
        aside.execute(write, params![id, worker, fence, state]).unwrap();
        aside.execute("UPDATE shards SET fence = ?2 WHERE id = ?1", params![id, fence]).unwrap();
        reply
    }

    /// Planted: remembers the leases that end by their deadline.
    fn noting_expiries(&self, now_ms: u64, request: &Request) -> Result<Reply, Error> {
        if matches!(request, Request::Expire(_) | Request::Lease(_)) {
            let aside = lock(&self.aside);
            let query =
                "SELECT id, worker, fence, deadline_ms FROM shards WHERE state = 'leased' AND deadline_ms <= ?1";
            let mut statement = aside.prepare(query).unwrap();
            let until = i64::try_from(now_ms).unwrap();
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?)));
            let over = statement.query_map([until], row).unwrap().map(Result::unwrap);
            lock(&self.expired).extend(over);
        }
        self.alone(now_ms, request)
    }

    /// Planted: the leases that have expired are as they were.
    fn take_back_expiries(&self) {
        for (id, (worker, fence, deadline_ms)) in std::mem::take(&mut *lock(&self.expired)) {
            let write = "UPDATE shards SET state = 'leased', worker = ?2, fence = ?3, deadline_ms = ?4
                         WHERE id = ?1 AND state <> 'closed'";
            lock(&self.aside).execute(write, params![id, worker, fence, deadline_ms]).unwrap();
        }
    }
}

impl Ledger for Session {
    fn transact(&mut self, now_ms: u64, requests: Vec<Request>) -> Vec<Result<Reply, Error>> {
        self.database.scene.note(format!("coordinator {} asks for {} things", self.coordinator, requests.len()));
        self.database.transact(now_ms, requests)
    }
}
