//! A study whose store is an S3 server over HTTP, with signed requests.

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;

use super::folder::{Folder, epochs_by_run, manifest, report};
use super::process::{curvefleet, run};

const KEY: &str = "a-key";
const SECRET: &str = "a-secret";

/// Serves the buckets that are folders of `root` on a loopback port, on a thread of its own for as long as the test process lives.
fn serve(root: &std::path::Path) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    listener.set_nonblocking(true).unwrap();
    let mut service = S3ServiceBuilder::new(FileSystem::new(root).unwrap());
    service.set_auth(SimpleAuth::from_single(KEY, SECRET));
    let service = service.build();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let service = service.clone();
                tokio::spawn(async move {
                    // A client that goes away in the middle is no concern of the test.
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
    });
    endpoint
}

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
            .env("AWS_ENDPOINT_URL", &endpoint)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", secret))
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
