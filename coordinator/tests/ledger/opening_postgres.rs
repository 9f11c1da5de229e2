//! Every reason to refuse a PostgreSQL database, and what is never said.

use std::str::FromStr as _;

use curvefleet_coordinator::ledger::PostgresLedger;
use curvefleet_coordinator::ledger::postgres::{DatabaseUrl, OpenError, Time};

use crate::bench::SETTINGS;
use crate::database::Postgres;

const SECRET: &str = "tell-no-one";

fn refused(url: &str) -> OpenError {
    let url = DatabaseUrl::from_str(url).unwrap();
    let Err(error) = PostgresLedger::open(&url, SETTINGS, Time::Told) else { panic!("the database is refused") };
    let told = format!("{error} {error:?} {url:?}");
    assert!(!told.contains(SECRET), "the password is told: {told}");
    error
}

#[test]
fn what_is_no_url_of_a_database_is_refused_without_its_password() {
    for url in [
        format!("mysql://me:{SECRET}@localhost/x"),
        format!("postgres://me:{SECRET}@localhost/x?sslmode=perhaps"),
        format!("postgres://me:{SECRET}@localhost/x?colour={SECRET}"),
        format!("postgres://me:{SECRET}@localhost:port/x"),
        format!("postgres://me:first@{SECRET}@localhost/x"),
        format!("postgres://me:fi?rst@{SECRET}@localhost/x"),
        format!("postgres:///x?password={SECRET}"),
        SECRET.to_string(),
        String::new(),
    ] {
        assert!(matches!(refused(&url), OpenError::Url { .. }), "{url}");
    }
}

#[test]
fn certificates_that_cannot_be_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, empty) = (folder.path().join("missing.pem"), folder.path().join("empty.pem"));
    std::fs::write(&empty, "no certificate").unwrap();
    for path in [missing, empty] {
        let url = format!("postgres://me:{SECRET}@localhost/x?sslmode=verify-full&sslrootcert={}", path.display());
        let error = refused(&url);
        assert!(matches!(&error, OpenError::Certificates { path: told, .. } if *told == path), "{error}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_named() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = refused(&format!("postgres://me:{SECRET}@127.0.0.1:{port}/fleet"));
    assert!(matches!(error, OpenError::Unreachable { .. }));
    assert!(error.to_string().contains(&format!("postgres://me@127.0.0.1:{port}/fleet")), "{error}");
}

#[test]
fn a_database_that_is_not_there_is_refused() {
    let Some(postgres) = Postgres::new("a_database_that_is_not_there_is_refused") else { return };
    let error = refused(&format!("{}_not", postgres.url()));
    assert!(matches!(error, OpenError::Unreachable { .. }) && error.to_string().contains("does not exist"), "{error}");
}

#[test]
fn a_database_of_something_else_is_refused_and_left_alone() {
    let Some(postgres) = Postgres::new("a_database_of_something_else_is_refused_and_left_alone") else { return };
    postgres.execute("CREATE TABLE recipes (name TEXT)");
    assert!(matches!(refused(&postgres.url()), OpenError::NotALedger { .. }));
    assert_eq!(postgres.column("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"), ["recipes"]);
}

#[test]
fn a_newer_schema_on_postgresql_is_refused_at_the_start_and_in_the_middle() {
    use curvefleet_coordinator::ledger::study::ListStudies;
    use curvefleet_coordinator::ledger::{Error, Ledger as _};
    let test = "a_newer_schema_on_postgresql_is_refused_at_the_start_and_in_the_middle";
    let Some(postgres) = Postgres::new(test) else { return };
    let mut ledger = postgres.ledger();
    postgres.execute("UPDATE ledger_schema SET version = 99");
    let error = refused(&postgres.url());
    assert!(matches!(error, OpenError::Newer { found: 99, .. }) && error.to_string().contains("newer"), "{error}");
    let reply = ledger.transact(0, vec![ListStudies.into()]).remove(0);
    assert!(matches!(&reply, Err(Error::Database(reason)) if reason.to_string().contains("schema 99")), "{reply:?}");
}

#[test]
fn a_password_that_the_server_refuses_is_not_told() {
    let Some(postgres) = Postgres::new("a_password_that_the_server_refuses_is_not_told") else { return };
    let (host, port) = postgres.address();
    let error = refused(&format!("postgres://nobody_of_this_name:{SECRET}@{host}:{port}/postgres"));
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error}");
}

/// Needs a server with a certificate; `CURVEFLEET_TEST_POSTGRES_CA` names the file that vouches for it, for the host `localhost`.
#[test]
fn tls_is_what_the_url_asks_for() {
    let test = "tls_is_what_the_url_asks_for";
    let Some(postgres) = Postgres::new(test) else { return };
    let Ok(authority) = std::env::var("CURVEFLEET_TEST_POSTGRES_CA") else {
        eprintln!("skipped {test}: CURVEFLEET_TEST_POSTGRES_CA is not set");
        return;
    };
    let (_, port) = postgres.address();
    let folder = tempfile::tempdir().unwrap();
    let url = |host: &str, rest: &str| {
        let mut url = url::Url::parse(&postgres.url()).unwrap();
        url.set_host(Some(host)).unwrap();
        url.set_port(Some(port)).unwrap();
        url.set_query(Some(rest));
        url.to_string()
    };
    let trusted = format!("sslrootcert={authority}");
    let opened = |url: &str| {
        let ledger = PostgresLedger::open(&DatabaseUrl::from_str(url).unwrap(), SETTINGS, Time::Told);
        let ledger = ledger.unwrap_or_else(|error| panic!("{url}: {error}"));
        let ssl = "SELECT COUNT(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                   WHERE ssl AND datname = current_database() AND application_name = 'curvefleet-coordinator'";
        let encrypted = postgres.column(ssl) == ["1"];
        drop(ledger);
        encrypted
    };
    assert!(!opened(&url("localhost", "sslmode=disable")));
    for rest in ["sslmode=prefer", "sslmode=require"] {
        assert!(opened(&url("localhost", rest)), "{rest}");
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        assert!(opened(&url("localhost", &format!("sslmode={mode}&{trusted}"))), "{mode}");
    }
    // The certificate is for `localhost`.
    assert!(opened(&url("127.0.0.1", &format!("sslmode=verify-ca&{trusted}"))));
    let error = refused(&url("127.0.0.1", &format!("sslmode=verify-full&{trusted}")));
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error}");
    // Another authority, which has never heard of it.
    let other = folder.path().join("other.pem");
    std::fs::write(&other, OTHER_AUTHORITY).unwrap();
    for mode in ["require", "verify-ca", "verify-full"] {
        let error = refused(&url("localhost", &format!("sslmode={mode}&sslrootcert={}", other.display())));
        assert!(matches!(error, OpenError::Unreachable { .. }), "{mode}: {error}");
    }
}

/// A certificate of an authority that has vouched for nothing; its key is gone.
const OTHER_AUTHORITY: &str = include_str!("../data/other-authority.pem");
