//! Databases that can be opened again and again, and are gone after the test.

use std::str::FromStr as _;
use std::sync::atomic::{AtomicU64, Ordering};

use curvefleet_coordinator::ledger::Ledger;
use curvefleet_coordinator::ledger::postgres::{DatabaseUrl, PostgresLedger, Time};
use curvefleet_coordinator::ledger::sqlite::SqliteLedger;

use crate::bench::SETTINGS;

/// A URL to a PostgreSQL server on which the tests may make databases.
const SERVER: &str = "CURVEFLEET_TEST_POSTGRES";

/// A database that can be opened again and again.
pub trait Database {
    /// Opens it; everything opened before has been dropped.
    fn open(&self) -> Box<dyn Ledger>;
}

/// SQLite in a temporary folder.
pub struct Sqlite(tempfile::TempDir);

impl Sqlite {
    pub fn new() -> Sqlite {
        Sqlite(tempfile::tempdir().unwrap())
    }
}

impl Database for Sqlite {
    fn open(&self) -> Box<dyn Ledger> {
        Box::new(SqliteLedger::open(&self.0.path().join("ledger.sqlite"), SETTINGS).unwrap())
    }
}

/// A PostgreSQL database of its own.
pub struct Postgres {
    server: url::Url,
    name: String,
}

impl Postgres {
    /// A new database; `None` where there is no server, which is said by name.
    pub fn new(test: &str) -> Option<Postgres> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let Ok(server) = std::env::var(SERVER) else {
            eprintln!("skipped {test} on PostgreSQL: {SERVER} is not set");
            return None;
        };
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("curvefleet_test_{}_{number}", std::process::id());
        let server = url::Url::parse(&server).expect("the test server's URL is one");
        execute(server.as_str(), &format!("CREATE DATABASE {name}"));
        Some(Postgres { server, name })
    }

    /// The database's URL.
    pub fn url(&self) -> String {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url.to_string()
    }

    /// The server's host and port.
    pub fn address(&self) -> (String, u16) {
        (self.server.host_str().unwrap_or("127.0.0.1").to_string(), self.server.port().unwrap_or(5432))
    }

    /// The database's URL by way of another port on this machine.
    pub fn url_through(&self, port: u16) -> String {
        let mut url = url::Url::parse(&self.url()).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(port)).unwrap();
        // A proxy reads what goes through it.
        url.set_query(Some("sslmode=disable"));
        url.to_string()
    }

    pub fn ledger(&self) -> PostgresLedger {
        open(&self.url())
    }

    /// Runs statements on the database.
    pub fn execute(&self, statements: &str) {
        execute(&self.url(), statements);
    }

    /// The first column of a query's answer, as text.
    pub fn column(&self, query: &str) -> Vec<String> {
        let messages = simple(&self.url(), query);
        let rows = messages.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_string()),
            _ => None,
        });
        rows.collect()
    }
}

impl Database for Postgres {
    fn open(&self) -> Box<dyn Ledger> {
        Box::new(self.ledger())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        execute(self.server.as_str(), &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

pub fn open(url: &str) -> PostgresLedger {
    PostgresLedger::open(&DatabaseUrl::from_str(url).unwrap(), SETTINGS, Time::Told).unwrap()
}

fn execute(url: &str, statements: &str) {
    simple(url, statements);
}

fn simple(url: &str, statements: &str) -> Vec<tokio_postgres::SimpleQueryMessage> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.simple_query(statements).await.unwrap()
    })
}
