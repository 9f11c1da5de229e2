//! A run that needs more memory than its workers have fails, and is not tried for ever.

use std::process::Command;

use super::folder::{Folder, study};
use super::process::{Finished, Service, curvefleet, run};

/// One run of a network whose parameters take 981 MiB, with their gradients and moments.
fn large() -> Folder {
    let text = study("large", 1, 2).replace("hidden = 8", "hidden = 4000");
    Folder::new().and("study.toml", text.replace("[[models]]", "labels = [\"true\"]\n\n[[models]]"))
}

/// A coordinator that sets a run aside after its first failure, and a way to ask it.
fn coordinator(folder: &Folder) -> (Service, impl Fn(&[&str]) -> Finished) {
    let mut command = curvefleet(folder.path());
    command.args(["coordinator", "--listen", "127.0.0.1:0", "--lease-seconds", "1", "--max-attempts", "1"]);
    let service = Service::start(&mut command);
    let (url, path) = (service.url(), folder.path().to_path_buf());
    let ask = move |arguments: &[&str]| run(curvefleet(&path).args(arguments).args(["--coordinator", &url]));
    (service, ask)
}

/// A worker that may use so much memory, until it ends.
fn worker(folder: &Folder, url: &str, kib: u32, idle: &str) -> Finished {
    let program = curvefleet(folder.path());
    let mut command = Command::new("bash");
    command.current_dir(folder.path()).envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let script = format!("ulimit -v {kib}; exec \"$0\" worker --slots 1 --idle-seconds {idle} --coordinator {url}");
    run(command.arg("-c").arg(script).arg(program.get_program()))
}

#[test]
fn a_run_that_cannot_fit_fails_before_it_begins() {
    let folder = large();
    let (coordinator, ask) = coordinator(&folder);
    ask(&["submit", "study.toml"]).succeeded();
    let watch = std::thread::scope(|threads| {
        let watch = threads.spawn(|| ask(&["watch", "large"]));
        threads.spawn(|| worker(&folder, &coordinator.url(), 1_000_000, "1").succeeded());
        watch.join().unwrap()
    });
    assert_eq!(watch.code, 1, "{}", watch.out);
    let told = ask(&["explain", "large"]).succeeded().out;
    assert!(told.contains("out of memory: the run needs at least 990 MiB, and this worker has 976"), "{told}");
}

/// It might fit, and does not: the program ends as if the system had ended it, and its successors do, too.
#[test]
fn a_run_that_ends_its_workers_is_set_aside_after_some_of_them() {
    let folder = large();
    let (coordinator, ask) = coordinator(&folder);
    ask(&["submit", "study.toml"]).succeeded();
    let status = || -> serde_json::Value {
        let told = ask(&["status", "large", "--json"]).succeeded().out;
        serde_json::from_str::<serde_json::Value>(&told).unwrap()[0].clone()
    };
    // On a busy machine the coordinator may not have heard of one or the other that it had begun.
    let lost = (1..=12).find(|_| {
        let worker = worker(&folder, &coordinator.url(), 1_400_000, "30");
        assert_eq!(worker.code, -1, "a signal ended it: {}", worker.err);
        while status()["leased"] != 0 {}
        status()["failed"] == 1
    });
    assert!(lost >= Some(5), "{lost:?}");
    let watch = ask(&["watch", "large"]);
    assert_eq!(watch.code, 1, "{}", watch.out);
    let told = ask(&["explain", "large"]).succeeded().out;
    assert!(told.contains("workers in a row") && told.contains("more memory than they have"), "{told}");
}
