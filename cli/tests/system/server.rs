//! A database on the PostgreSQL server that the environment names.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio_postgres::SimpleQueryMessage;

/// A URL to a PostgreSQL server on which the tests may make databases.
const SERVER: &str = "CURVEFLEET_TEST_POSTGRES";

/// A database of its own, gone with the test.
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// A new database; `None` where there is no server, which is said by name.
    pub fn new(test: &str) -> Option<Database> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let Ok(server) = std::env::var(SERVER) else {
            eprintln!("skipped {test}: {SERVER} is not set");
            return None;
        };
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("curvefleet_system_{}_{number}", std::process::id());
        simple(&server, &format!("CREATE DATABASE {name}"));
        Some(Database { server, name })
    }

    pub fn url(&self) -> String {
        let (server, rest) = self.server.split_once('?').unwrap_or((&self.server, ""));
        let host = server.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let rest = if rest.is_empty() { String::new() } else { format!("?{rest}") };
        format!("{host}/{}{rest}", self.name)
    }

    /// The number that a query answers.
    pub fn number(&self, query: &str) -> i64 {
        let rows = simple(&self.url(), query);
        let first = rows.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        first.unwrap().parse().unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        simple(&self.server, &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

fn simple(url: &str, statements: &str) -> Vec<SimpleQueryMessage> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.simple_query(statements).await.unwrap()
    })
}
