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

/// Data files that lie in a bucket are imported from there, into a store in a bucket: the same data set as from this machine.
#[test]
fn data_are_imported_from_a_bucket_into_a_bucket() {
    let buckets = Folder::new();
    let raw = buckets.path().join("lab/raw");
    std::fs::create_dir_all(&raw).unwrap();
    let series = "@problemName toy\n@univariate true\n@equalLength true\n@classLabel true up down\n@data\n\
                  1,2,3,4:up\n4,3,2,1:down\n1,3,5,7:up\n7,5,3,1:down\n";
    std::fs::write(raw.join("toy.ts"), series).unwrap();
    let endpoint = serve(buckets.path());
    let folder = Folder::new().and("toy.ts", series);
    let import = |file: &str, store: &str, secret: &str| {
        let arguments = ["data", "import", "--format", "ts", file, "--store", store];
        run(curvefleet(folder.path()).args(arguments).envs(variables(&endpoint, secret)))
    };
    let imported = |store: &std::path::Path| -> Vec<String> {
        let files = std::fs::read_dir(store.join("datasets")).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    };
    import("s3://lab/raw/toy.ts", "s3://lab/experiments", SECRET).succeeded();
    import("toy.ts", "here", SECRET).succeeded();
    assert_eq!(imported(&buckets.path().join("lab/experiments")), imported(&folder.path().join("here")));
    import("s3://lab/raw/none.ts", "s3://lab/experiments", SECRET).refused(2, &["s3://lab/raw/none.ts"]);
    let refused = import("s3://lab/raw/toy.ts", "s3://lab/experiments", "not-the-secret");
    assert!(refused.code != 0 && refused.err.contains("s3://lab"), "{}", refused.err);
}
