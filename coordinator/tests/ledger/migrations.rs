//! Ledgers of every released schema are brought up to this program's, keep what they hold and go on.

use curvefleet_coordinator::ledger::Ledger;
use curvefleet_coordinator::ledger::commit::Commit;
use curvefleet_coordinator::ledger::retry::Retry;
use curvefleet_coordinator::ledger::runs::ListRuns;
use curvefleet_coordinator::ledger::state::{RunState, StudyState};
use curvefleet_coordinator::ledger::study::{GetStudy, ListStudies};
use curvefleet_coordinator::ledger::{Operation, SqliteLedger};

use crate::bench::{SETTINGS, commit_of, lease_of, register_of, runs_of};
use crate::database::Postgres;

const SQLITE_1: &str = include_str!("../data/ledger-1.sqlite.sql");
const POSTGRES_1: &str = include_str!("../data/ledger-1.postgres.sql");
/// After everything in the dumps, milliseconds since 1970.
const NOW_MS: u64 = 1_900_000_000_000;

fn ask<O: Operation>(ledger: &mut dyn Ledger, operation: O) -> O::Answer {
    O::answer(ledger.transact(NOW_MS, vec![operation.into()]).remove(0).unwrap()).unwrap()
}

/// What the dumps hold is there, and the run that was given up can be trained now.
fn is_whole_and_goes_on(ledger: &mut dyn Ledger) {
    let told = |ledger: &mut dyn Ledger| {
        let studies = ask(ledger, ListStudies).into_iter();
        studies.map(|study| (study.name, study.state, study.done, study.cancelled)).collect::<Vec<_>>()
    };
    let (waiting, finished) = ("waiting".to_string(), "finished".to_string());
    let before = [(waiting.clone(), StudyState::Cancelled, 2, 1), (finished.clone(), StudyState::Finished, 2, 0)];
    assert_eq!(told(ledger), before);
    assert!(ask(ledger, GetStudy { name: finished.clone() }).toml.contains("items_per_class = 12"));
    let list = ListRuns { study: waiting.clone(), state: None, after: None, limit: 10 };
    let runs = ask(ledger, list.clone()).runs;
    assert_eq!(
        runs.iter().filter(|run| run.state == RunState::Done && run.part.starts_with("studies/finished/")).count(),
        2
    );
    assert_eq!(ask(ledger, Retry { study: waiting.clone(), who: "test".to_string() }).requeued, 1);
    ask(ledger, register_of("w"));
    let given = ask(ledger, lease_of("w", 9)).leases.remove(0);
    let commit: Commit = commit_of("w", &given, 0, &runs_of(&given));
    assert!(ask(ledger, commit));
    assert_eq!(told(ledger)[0], (waiting, StudyState::Finished, 3, 0));
    assert!(ask(ledger, list).runs.iter().all(|run| run.state == RunState::Done));
}

#[test]
fn schema_1_on_sqlite_is_kept_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    rusqlite::Connection::open(&path).unwrap().execute_batch(SQLITE_1).unwrap();
    is_whole_and_goes_on(&mut SqliteLedger::open(&path, SETTINGS).unwrap());
    let fresh = folder.path().join("fresh.sqlite");
    drop(SqliteLedger::open(&fresh, SETTINGS).unwrap());
    assert_eq!(sqlite_columns(&path), sqlite_columns(&fresh));
}

#[test]
fn schema_1_on_postgresql_is_kept_and_goes_on() {
    let test = "schema_1_on_postgresql_is_kept_and_goes_on";
    let (Some(old), Some(fresh)) = (Postgres::new(test), Postgres::new(test)) else { return };
    old.execute(POSTGRES_1);
    is_whole_and_goes_on(&mut old.ledger());
    drop(fresh.ledger());
    assert_eq!(postgres_columns(&old), postgres_columns(&fresh));
}

/// One set of queries serves both, so that both have the same tables; PostgreSQL has what several coordinators need beside them.
#[test]
fn both_databases_have_the_same_tables_and_columns() {
    let Some(postgres) = Postgres::new("both_databases_have_the_same_tables_and_columns") else { return };
    drop(postgres.ledger());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    drop(SqliteLedger::open(&path, SETTINGS).unwrap());
    let own = ["coordinators.", "ledger_schema."];
    let mut columns = postgres_columns(&postgres);
    columns.retain(|column| !own.iter().any(|table| column.starts_with(table)));
    assert_eq!(columns, sqlite_columns(&path));
}

fn sqlite_columns(path: &std::path::Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut query = connection
        .prepare(
            "SELECT tables.name || '.' || columns.name FROM sqlite_schema AS tables
             JOIN pragma_table_info(tables.name) AS columns WHERE tables.type = 'table' ORDER BY 1",
        )
        .unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn postgres_columns(postgres: &Postgres) -> Vec<String> {
    postgres.column(
        "SELECT (table_name || '.' || column_name) COLLATE \"C\" FROM information_schema.columns
         WHERE table_schema = 'public' ORDER BY 1",
    )
}
