//! Workers whose store misbehaves: no run is lost or wrong, training goes on, and the log says what happened once.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::folder::{Folder, curves, manifest, study};
use super::garage;
use super::process::{Finished, Service, curvefleet, run};
use super::proxy::{Mood, Proxy};
use super::s3_server::{SECRET, serve, variables};

/// A coordinator that reaches the S3 server itself, for workers that reach it through a proxy.
struct Lab {
    folder: Folder,
    buckets: Folder,
    /// The S3 server's URL.
    endpoint: String,
    coordinator: Service,
    proxy: Proxy,
}

impl Lab {
    fn new(study: &str) -> Lab {
        let (folder, buckets) = (Folder::new().and("study.toml", study), Folder::new());
        std::fs::create_dir(buckets.path().join("lab")).unwrap();
        let endpoint = serve(buckets.path());
        let proxy = Proxy::start(&endpoint);
        let coordinator = coordinator(&folder, &endpoint);
        let lab = Lab { folder, buckets, endpoint, coordinator, proxy };
        lab.submit("study.toml", &lab.endpoint);
        lab
    }

    fn submit(&self, file: &str, endpoint: &str) {
        let mut command = curvefleet(self.folder.path());
        command.args(["submit", file, "--coordinator", &self.coordinator.url(), "--store", "s3://lab/experiments"]);
        run(command.envs(variables(endpoint, SECRET))).succeeded();
    }

    fn ask(&self, arguments: &[&str]) -> Finished {
        run(curvefleet(self.folder.path()).args(arguments).args(["--coordinator", &self.coordinator.url()]))
    }

    fn worker(&self, name: &str, arguments: &[&str]) -> Service {
        let mut command = curvefleet(self.folder.path());
        command.args(["worker", "--name", name, "--coordinator", &self.coordinator.url()]).args(arguments);
        Service::start_logging(command.envs(variables(&self.proxy.endpoint, SECRET)), &self.log_file(name))
    }

    fn log_file(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    /// The lines of a worker's log that have this in them.
    fn logged(&self, name: &str, part: &str) -> Vec<String> {
        let log = std::fs::read_to_string(self.log_file(name)).unwrap();
        log.lines().filter(|line| line.contains(part)).map(str::to_string).collect()
    }

    fn store(&self) -> PathBuf {
        self.buckets.path().join("lab/experiments")
    }

    /// Parts that are in the store.
    fn parts(&self, study: &str) -> usize {
        let files =
            std::fs::read_dir(self.store().join("studies").join(study).join("curves")).into_iter().flatten().flatten();
        files.filter(|file| file.path().extension().is_some_and(|is| is == "parquet")).count()
    }

    /// Parts that were tried to be written.
    fn tried(&self) -> usize {
        let lines = self.proxy.requests("/curves/");
        let keys = lines.iter().filter(|line| line.starts_with("PUT")).map(|line| line.split(' ').nth(1).unwrap());
        keys.collect::<BTreeSet<_>>().len()
    }

    /// Waits until so many parts were tried to be written.
    fn wait_for_tries(&self, parts: usize, worker: &mut Service) {
        while self.tried() < parts {
            assert!(worker.is_running(), "the worker ended");
            std::thread::yield_now();
        }
    }
}

/// A coordinator over the folder's ledger, with leases of an hour.
fn coordinator(folder: &Folder, endpoint: &str) -> Service {
    Service::start(
        curvefleet(folder.path())
            .args(["coordinator", "--listen", "127.0.0.1:0", "--lease-seconds", "3600"])
            .args(["--store", "s3://lab/experiments"])
            .envs(variables(endpoint, SECRET)),
    )
}

/// The rows of the same study on a machine where nothing goes wrong.
fn undisturbed(name: &str, study: &str) -> std::collections::BTreeMap<(String, u32), String> {
    let folder = Folder::new().and("study.toml", study);
    run(curvefleet(folder.path()).args(["run", "study.toml"])).succeeded();
    curves(&folder.path().join("curvefleet-data"), name)
}

#[test]
fn behind_a_store_that_misbehaves_in_every_way_no_run_is_lost_or_wrong_and_the_log_stays_short() {
    let text = study("chaos", 8, 60);
    let lab = Lab::new(&text);
    lab.proxy.set(Mood::Chaos { refusals: 12 });
    let worker = lab.worker("w", &["--slots", "2", "--checkpoint-seconds", "0"]);
    assert!(lab.ask(&["watch", "chaos"]).succeeded().out.contains("16 of 16 runs done"));
    assert!(worker.terminate().success(), "{:?}", lab.logged("w", ""));
    assert_eq!(manifest(&lab.store(), "chaos").len(), 16);
    assert!(curves(&lab.store(), "chaos") == undisturbed("chaos", &text), "the curves differ");
    let faults = lab.proxy.faults();
    assert!(faults > 40, "{faults} faults are no test");
    let warnings = lab.logged("w", "WARN");
    assert!((1..=8).contains(&warnings.len()), "{faults} faults gave {} warnings: {warnings:#?}", warnings.len());
    assert!(warnings.iter().any(|line| line.contains("does not allow this")), "{warnings:#?}");
    assert!(lab.logged("w", "").len() < 20, "{:#?}", lab.logged("w", ""));
    assert!(lab.logged("w", "dropped").is_empty(), "{:#?}", lab.logged("w", ""));
}

#[test]
fn training_goes_on_while_the_store_is_away_and_what_waits_is_delivered_when_it_is_back() {
    let text = study("patient", 8, 30);
    let lab = Lab::new(&text);
    lab.proxy.set(Mood::Away("/curves/"));
    let mut worker = lab.worker("w", &["--slots", "1", "--upload-memory-mib", "0"]);
    // One slot: further shards are trained while the parts of those before them wait, some of them on disk.
    lab.wait_for_tries(4, &mut worker);
    while lab.logged("w", "the store fails").is_empty() {
        assert!(worker.is_running());
        std::thread::yield_now();
    }
    lab.proxy.set(Mood::Good);
    assert!(lab.ask(&["watch", "patient"]).succeeded().out.contains("16 of 16 runs done"));
    assert!(worker.terminate().success());
    assert!(curves(&lab.store(), "patient") == undisturbed("patient", &text), "the curves differ");
    assert_eq!(lab.logged("w", "the store fails").len(), 1, "{:#?}", lab.logged("w", ""));
}

#[test]
fn a_worker_without_room_for_what_waits_says_so_and_goes_on_when_there_is() {
    let lab = Lab::new(&study("full", 4, 30));
    lab.proxy.set(Mood::Away("/curves/"));
    let mut worker = lab.worker("w", &["--slots", "2", "--upload-memory-mib", "0", "--spool-mib", "0"]);
    while lab.logged("w", "no room on this machine").is_empty() {
        assert!(worker.is_running());
        std::thread::yield_now();
    }
    lab.proxy.set(Mood::Good);
    assert!(lab.ask(&["watch", "full"]).succeeded().out.contains("8 of 8 runs done"));
    assert!(worker.terminate().success());
    assert_eq!(lab.logged("w", "no room on this machine").len(), 1, "{:#?}", lab.logged("w", ""));
    assert_eq!(lab.logged("w", "there is room again").len(), 1);
}

/// Leases of an hour: what could not be delivered is handed back, or the second worker would wait for it.
#[test]
fn told_to_stop_while_the_store_is_away_a_worker_says_what_is_lost_and_hands_it_back() {
    let text = study("cut", 4, 30);
    let lab = Lab::new(&text);
    lab.proxy.set(Mood::Away("/curves/"));
    let mut first = lab.worker("first", &["--slots", "1", "--stop-seconds", "1"]);
    lab.wait_for_tries(2, &mut first);
    assert_eq!(first.terminate().code(), Some(1));
    let said = lab.logged("first", "could not be uploaded and committed");
    assert!(said.len() == 1 && said[0].starts_with("error: ") && said[0].contains("--stop-seconds"), "{said:?}");
    lab.proxy.set(Mood::Good);
    let _second = lab.worker("second", &["--slots", "1"]);
    assert!(lab.ask(&["watch", "cut"]).succeeded().out.contains("8 of 8 runs done"));
    assert!(curves(&lab.store(), "cut") == undisturbed("cut", &text), "the curves differ");
}

#[test]
fn the_workers_of_a_machine_fetch_a_data_set_once_and_again_when_their_copy_is_damaged() {
    let lab = Lab::new(&study("shared", 6, 200));
    let workers = ["one", "two", "three"].map(|name| lab.worker(name, &["--slots", "2"]));
    assert!(lab.ask(&["watch", "shared"]).succeeded().out.contains("12 of 12 runs done"));
    for worker in workers {
        assert!(worker.terminate().success());
    }
    let fetched = || lab.proxy.requests("/datasets/").iter().filter(|line| line.starts_with("GET")).count();
    assert_eq!(fetched(), 1);
    let cache = lab.folder.path().join("cache/datasets");
    let kept: Vec<PathBuf> = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [kept] = kept.as_slice() else { panic!("{kept:?}") };
    let whole = std::fs::read(kept).unwrap();
    std::fs::write(kept, &whole[..whole.len() / 2]).unwrap();

    let next = study("next", 1, 3);
    std::fs::write(lab.folder.path().join("next.toml"), next).unwrap();
    lab.submit("next.toml", &lab.proxy.endpoint);
    let before = fetched();
    let worker = lab.worker("four", &["--slots", "1"]);
    assert!(lab.ask(&["watch", "next"]).succeeded().out.contains("2 of 2 runs done"));
    assert!(worker.terminate().success());
    assert_eq!(fetched(), before + 1);
    assert_eq!(lab.logged("four", "in the cache is damaged").len(), 1);
    assert!(std::fs::read(kept).unwrap() == whole);
}

#[test]
fn a_data_set_that_is_altered_on_its_way_is_fetched_again_and_one_that_stays_so_stops_the_study() {
    let text = study("altered", 1, 3);
    let lab = Lab::new(&text);
    lab.proxy.set(Mood::Altering { part: "/datasets/", answers: 2 });
    let worker = lab.worker("w", &["--slots", "2"]);
    assert!(lab.ask(&["watch", "altered"]).succeeded().out.contains("2 of 2 runs done"));
    assert!(worker.terminate().success());
    assert_eq!(lab.proxy.faults(), 2);
    assert_eq!(lab.logged("w", "came damaged").len(), 1, "{:#?}", lab.logged("w", ""));
    assert!(curves(&lab.store(), "altered") == undisturbed("altered", &text), "the curves differ");

    let lab = Lab::new(&text);
    lab.proxy.set(Mood::Altering { part: "/datasets/", answers: usize::MAX });
    let _worker = lab.worker("w", &["--slots", "2"]);
    let watched = lab.ask(&["watch", "altered"]);
    assert_eq!(watched.code, 1, "{}", watched.out);
    let status = lab.ask(&["status", "altered"]).succeeded();
    assert!(status.out.contains("is damaged, also when it is fetched again"), "{}", status.out);
}

/// Leases of an hour: the worker that is started again takes back what the first one of its name had.
fn a_worker_ends_without_its_coordinator(signal: &str) {
    let text = study("alone", 4, 30);
    let mut lab = Lab::new(&text);
    lab.proxy.set(Mood::Away("/curves/"));
    let mut worker = lab.worker("w", &["--slots", "1", "--stop-seconds", "1", "--checkpoint-seconds", "0"]);
    lab.wait_for_tries(2, &mut worker);
    lab.coordinator.signal(signal);
    lab.proxy.set(Mood::Good);
    while lab.parts("alone") < 2 {
        assert!(worker.is_running());
        std::thread::yield_now();
    }
    assert_eq!(worker.terminate().code(), Some(1), "{:#?}", lab.logged("w", ""));
    let said = lab.logged("w", "could not be uploaded and committed");
    assert!(said.len() == 1 && said[0].contains("from their last checkpoints"), "{:#?}", lab.logged("w", ""));

    lab.coordinator.kill();
    lab.coordinator = coordinator(&lab.folder, &lab.endpoint);
    let again = lab.worker("w", &["--slots", "1"]);
    assert!(lab.ask(&["watch", "alone"]).succeeded().out.contains("8 of 8 runs done"));
    assert!(again.terminate().success());
    assert!(!lab.logged("w", "goes on from a checkpoint").is_empty(), "{:#?}", lab.logged("w", ""));
    assert!(curves(&lab.store(), "alone") == undisturbed("alone", &text), "the curves differ");
}

#[test]
fn told_to_stop_a_worker_ends_though_its_coordinator_was_killed() {
    a_worker_ends_without_its_coordinator("KILL");
}

#[test]
fn told_to_stop_a_worker_ends_though_its_coordinator_does_not_answer() {
    a_worker_ends_without_its_coordinator("STOP");
}

#[test]
fn without_a_disk_for_the_cache_a_worker_says_so_and_works() {
    let lab = Lab::new(&study("bare", 1, 3));
    std::fs::write(lab.folder.path().join("file"), "no folder").unwrap();
    let worker = lab.worker("w", &["--slots", "1", "--cache", "file"]);
    assert!(lab.ask(&["watch", "bare"]).succeeded().out.contains("2 of 2 runs done"));
    assert!(worker.terminate().success());
    assert_eq!(lab.logged("w", "data sets are not cached").len(), 1, "{:#?}", lab.logged("w", ""));
}

/// The same on Garage, where there is one: the curves are those of an undisturbed machine, and what the store holds is whole.
#[test]
fn on_garage_behind_a_proxy_that_misbehaves_no_run_is_lost_or_wrong() {
    let Some(garage) = garage::start() else {
        eprintln!("skipped: there is no Garage here");
        return;
    };
    let direct = garage.variables();
    let proxy = Proxy::start(&direct[0].1);
    let through = direct.clone().map(|(name, value)| match name.as_str() {
        "AWS_ENDPOINT_URL" => (name, proxy.endpoint.clone()),
        _ => (name, value),
    });
    let text = study("chaos", 8, 60);
    let folder = Folder::new().and("study.toml", &text);
    let store = ["--store", "s3://lab/experiments"];
    let mut command = curvefleet(folder.path());
    command.args(["coordinator", "--listen", "127.0.0.1:0", "--lease-seconds", "3600"]).args(store);
    let coordinator = Service::start(command.envs(direct.clone()));
    let ask = |arguments: &[&str]| run(curvefleet(folder.path()).args(arguments).envs(direct.clone())).succeeded().out;
    let url = coordinator.url();
    ask(&["submit", "study.toml", "--coordinator", &url]);
    proxy.set(Mood::Chaos { refusals: 12 });
    let mut command = curvefleet(folder.path());
    command.args(["worker", "--slots", "2", "--checkpoint-seconds", "0", "--coordinator", &url]).envs(through);
    let worker = Service::start_logging(&mut command, &folder.path().join("w.log"));
    assert!(ask(&["watch", "chaos", "--coordinator", &url]).contains("16 of 16 runs done"));
    assert!(worker.terminate().success());
    assert!(proxy.faults() > 40, "{} faults are no test", proxy.faults());
    let warnings = std::fs::read_to_string(folder.path().join("w.log")).unwrap().matches("WARN").count();
    assert!((1..=8).contains(&warnings), "{} faults gave {warnings} warnings", proxy.faults());
    assert!(ask(&["verify", "chaos", "--rerun", "2", store[0], store[1]]).contains("2 of 2 runs with the same bits"));
    ask(&["export", "chaos", "--to", "copy", store[0], store[1]]);
    assert!(curves(&folder.path().join("copy"), "chaos") == undisturbed("chaos", &text), "the curves differ");
}
