//! The ledger's database, read past the coordinators.

use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags};

use super::super::server::Database;

pub enum Ledger {
    Postgres(Database),
    /// The file.
    Sqlite(PathBuf),
}

impl Ledger {
    /// The number that a query answers; `None` while the database cannot be read.
    pub fn try_number(&self, query: &str) -> Option<i64> {
        match self {
            Ledger::Postgres(database) => Some(database.number(query)),
            Ledger::Sqlite(file) => {
                // Reading only, so that it is left to the coordinator to recover what a killed one wrote.
                let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
                connection.query_row(query, [], |row| row.get(0)).ok()
            }
        }
    }

    pub fn number(&self, query: &str) -> i64 {
        self.try_number(query).unwrap_or_else(|| panic!("the ledger cannot be read: {query}"))
    }
}
