//! Several coordinators on one PostgreSQL database.

use std::path::Path;

use super::folder::{Folder, epochs_by_run, manifest};
use super::process::{Service, curvefleet, run};
use super::server::Database;

fn coordinator(folder: &Path, database: &Database, listen: &str) -> Service {
    let mut command = curvefleet(folder);
    command.args(["coordinator", "--listen", listen]).env("CURVEFLEET_DATABASE", database.url());
    Service::start(&mut command)
}

/// Asks until so many runs are done.
fn wait_for_runs(database: &Database, runs: i64) {
    while database.number("SELECT COALESCE(SUM(done), 0) FROM studies") < runs {
        assert_eq!(database.number("SELECT COUNT(*) FROM studies WHERE state <> 'active'"), 0, "ended too early");
    }
}

/// Two coordinators serve one fleet. The first is killed with SIGKILL, comes back, and then the second is killed: workers and the
/// watching client move over by themselves, no lease is lost, and every run is done exactly once.
#[test]
fn a_study_survives_the_sigkill_of_one_coordinator_and_then_of_the_other() {
    let test = "a_study_survives_the_sigkill_of_one_coordinator_and_then_of_the_other";
    let Some(database) = Database::new(test) else { return };
    let folder = Folder::with_study("relayed", 12, 600);
    let mut first = coordinator(folder.path(), &database, "127.0.0.1:0");
    let mut second = coordinator(folder.path(), &database, "127.0.0.1:0");
    assert!(first.first_line.contains("ledger postgres://"), "{}", first.first_line);
    let urls = format!("{},{}", first.url(), second.url());
    let ask = |arguments: &[&str]| run(curvefleet(folder.path()).args(arguments).args(["--coordinator", &urls]));
    ask(&["submit", "study.toml"]).succeeded();
    let _workers: Vec<Service> = ["a", "b", "c"]
        .into_iter()
        .map(|name| {
            let mut command = curvefleet(folder.path());
            command.args(["worker", "--slots", "1", "--name", name, "--coordinator", &urls]);
            Service::start(&mut command)
        })
        .collect();
    let watched = std::thread::scope(|scope| {
        let watched = scope.spawn(|| ask(&["watch", "relayed"]).succeeded().out);
        wait_for_runs(&database, 1);
        let address = first.url().trim_start_matches("http://").to_string();
        first.kill();
        wait_for_runs(&database, 4);
        let _first_again = coordinator(folder.path(), &database, &address);
        wait_for_runs(&database, 6);
        second.kill();
        watched.join().unwrap()
    });
    assert!(watched.contains("24 of 24 runs done"), "{watched}");

    let store = folder.path().join("curvefleet-data");
    let runs = manifest(&store, "relayed");
    assert_eq!(runs.len(), 24);
    for (run, part) in &runs {
        assert_eq!(epochs_by_run(&store, part)[run], 600);
    }
    assert_eq!(database.number("SELECT COUNT(*) FROM shards WHERE state <> 'closed' OR open <> 0"), 0);
    assert_eq!(database.number("SELECT COUNT(*) FROM runs WHERE state <> 'done' OR part_id IS NULL"), 0);
    assert_eq!(database.number("SELECT COUNT(*) FROM attempts WHERE outcome = 'done'"), 24);
    // A lease whose answer died with its coordinator is given again as soon as its worker asks; no other lease is lost, and none is
    // given twice.
    // (Shards that were split off others begin with what those went through.)
    let planned = "shard_id IN (SELECT id FROM shards WHERE split_from = '')";
    let unheard =
        database.number(&format!("SELECT COUNT(*) FROM attempts WHERE error LIKE '%never heard%' AND {planned}"));
    assert!(unheard <= 6, "{unheard} answers were lost by two coordinators to three workers");
    assert_eq!(
        database.number(&format!("SELECT COUNT(*) FROM attempts WHERE outcome <> 'done' AND {planned}")),
        unheard
    );
    assert_eq!(
        database.number("SELECT CAST(SUM(fence - 1) AS BIGINT) FROM shards WHERE split_from = ''"),
        unheard,
        "a shard was leased twice"
    );
    assert_eq!(database.number("SELECT COUNT(*) FROM studies WHERE changes <> manifest_changes"), 0);
}

#[test]
fn a_database_that_cannot_be_used_is_refused_without_its_password() {
    let folder = Folder::new();
    let refused = |arguments: &[&str], words: &[&str]| {
        let mut command = curvefleet(folder.path());
        let ended = run(command.args(["coordinator", "--listen", "127.0.0.1:0"]).args(arguments));
        assert!(!ended.err.contains("tell-no-one"), "{}", ended.err);
        ended.refused(2, words);
    };
    refused(&["--database", "mysql://me:tell-no-one@host/fleet"], &["postgres://", "CURVEFLEET_DATABASE"]);
    refused(&["--database", "postgres://me:tell-no-one@127.0.0.1:1/fleet"], &["postgres://me@127.0.0.1:1/fleet"]);
    refused(&["--database", "postgres://me:tell-no-one@host/fleet", "--ledger", "file"], &["--ledger"]);
    let mut help = curvefleet(folder.path());
    let help = run(help.args(["coordinator", "--help"]).env("CURVEFLEET_DATABASE", "postgres://me:tell-no-one@host/x"));
    let help = help.succeeded().out;
    assert!(help.contains("CURVEFLEET_DATABASE") && !help.contains("tell-no-one"), "{help}");
}
