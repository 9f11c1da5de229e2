//! A study whose store is an S3 server over HTTP, with signed requests.

use super::folder::{Folder, epochs_by_run, manifest, report};
use super::process::{curvefleet, run};
use super::s3_server::{SECRET, serve, variables};

#[test]
fn a_study_runs_against_an_s3_server_over_http() {
    let buckets = Folder::new();
    std::fs::create_dir(buckets.path().join("lab")).unwrap();
    let endpoint = serve(buckets.path());
    let folder = Folder::with_study("remote", 2, 3);
    let in_s3 = |arguments: &[&str], secret: &str| {
        run(curvefleet(folder.path())
            .args(arguments)
            .args(["--store", "s3://lab/experiments"])
            .envs(variables(&endpoint, secret)))
    };
    let first = in_s3(&["run", "study.toml"], SECRET).succeeded();
    assert!(first.out.contains("4 of 4 runs done"), "{}", first.out);
    assert!(first.out.contains("report: s3://lab/experiments/studies/remote/reports/"), "{}", first.out);

    let store = buckets.path().join("lab/experiments");
    let runs = manifest(&store, "remote");
    assert_eq!(runs.len(), 4);
    for (run, part) in &runs {
        assert_eq!(epochs_by_run(&store, part)[run], 3);
    }
    assert!(report(&store, "remote").contains("<svg"));
    assert!(
        in_s3(&["run", "study.toml"], SECRET)
            .succeeded()
            .out
            .starts_with("all 4 runs of study remote are done already")
    );
    let again = in_s3(&["report", "remote", "--name", "second"], SECRET).succeeded();
    assert!(again.out.contains("reports/second/index.html"), "{}", again.out);
    in_s3(&["report", "remote"], "not-the-secret").refused(1, &["s3://lab/experiments"]);
}
