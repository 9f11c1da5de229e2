//! What is refused over gRPC, with the code for programs and the sentence for people.

use curvefleet_proto::limits::{MAX_HELD_PER_MESSAGE, MAX_NAME_BYTES};
use curvefleet_proto::v1::{
    CommitRequest, FailRequest, GetLogsRequest, GetStudyRequest, HeartbeatRequest, Held, LeaseRequest, ListRunsRequest,
    RegisterRequest, ReleaseRequest, WatchStudyRequest,
};
use tonic::{Code, Status};

use crate::fleet::{Fleet, commit_of, runs_of, study};

fn assert_refused<T>(result: Result<T, Status>, code: Code, words: &str) {
    let Err(status) = result else { panic!("`{words}` was taken") };
    assert!(status.code() == code && status.message().contains(words), "{words}: {status:?}");
}

#[tokio::test]
async fn wrong_studies_are_refused_before_anything_is_scheduled() {
    let mut fleet = Fleet::start().await;
    assert_refused(fleet.submit("name = ".to_string()).await, Code::InvalidArgument, "line 1");
    let unresolved = "name = \"m\"\n[[data]]\nname = \"joints\"\nformat = \"generated\"\n".to_string();
    assert_refused(fleet.submit(unresolved).await, Code::InvalidArgument, "curvefleet submit");
    let huge = "#".repeat(2 << 20);
    assert_refused(fleet.submit(huge).await, Code::InvalidArgument, "at most 1048576");
    assert_refused(fleet.submit(study("one", 2)).await, Code::FailedPrecondition, "`joints` is not in the store");
    let strange = study("one", 2).replace(&"ab".repeat(32), "../../etc/passwd");
    assert_refused(fleet.submit(strange).await, Code::InvalidArgument, "SHA-256");
    assert!(!fleet.file("studies/one/study.toml").exists());
    fleet.put_data();
    fleet.submit(study("one", 2)).await.unwrap();
    let kept = std::fs::read(fleet.file("studies/one/study.toml")).unwrap();
    assert_refused(fleet.submit(study("one", 3)).await, Code::AlreadyExists, "another name");
    assert_eq!(std::fs::read(fleet.file("studies/one/study.toml")).unwrap(), kept);
}

#[tokio::test]
async fn what_is_not_there_is_said_by_name() {
    let mut fleet = Fleet::start().await;
    let name = || "none".to_string();
    assert_refused(fleet.studies.get_study(GetStudyRequest { name: name() }).await, Code::NotFound, "`none`");
    assert_refused(fleet.studies.watch_study(WatchStudyRequest { name: name() }).await, Code::NotFound, "`none`");
    assert_refused(fleet.studies.get_logs(GetLogsRequest { run: "abc".into() }).await, Code::NotFound, "`abc`");
    assert_refused(fleet.studies.get_logs(GetLogsRequest { run: "xyz".into() }).await, Code::InvalidArgument, "hex");
    let lease = LeaseRequest { worker: "w".into(), shards: 1, ..LeaseRequest::default() };
    assert_refused(fleet.workers.lease(lease).await, Code::FailedPrecondition, "register");
}

#[tokio::test]
async fn messages_beyond_their_bounds_are_refused() {
    let mut fleet = Fleet::start().await;
    fleet.put_data();
    fleet.submit(study("one", 2)).await.unwrap();
    let lease = fleet.lease("w", 1).await.remove(0);
    for worker in [String::new(), "w".repeat(MAX_NAME_BYTES + 1), "w\n".to_string()] {
        let register = RegisterRequest {
            worker,
            slots: 1,
            backend: "b".into(),
            version: "1".into(),
            ..RegisterRequest::default()
        };
        assert_refused(fleet.workers.register(register).await, Code::InvalidArgument, "the worker's name");
    }
    for shards in [0, 65] {
        let lease = LeaseRequest { worker: "w".into(), shards, ..LeaseRequest::default() };
        assert_refused(fleet.workers.lease(lease).await, Code::InvalidArgument, "shards");
    }
    let held = vec![Held { shard: "s".into(), ..Held::default() }; MAX_HELD_PER_MESSAGE + 1];
    let release = ReleaseRequest { worker: "w".into(), held: held.clone(), ..ReleaseRequest::default() };
    assert_refused(fleet.workers.release(release).await, Code::InvalidArgument, "at most 1024");
    let beat = HeartbeatRequest { worker: "w".into(), held, epochs_per_second: 0.0, session: String::new() };
    let mut stream = fleet.workers.heartbeat(tokio_stream::once(beat)).await.unwrap().into_inner();
    assert_refused(stream.message().await, Code::InvalidArgument, "at most 1024");
    let list = ListRunsRequest { study: "one".into(), page: "first".into(), ..ListRunsRequest::default() };
    assert_refused(fleet.studies.list_runs(list).await, Code::InvalidArgument, "page");
    let list = ListRunsRequest { study: "one".into(), state: 77, ..ListRunsRequest::default() };
    assert_refused(fleet.studies.list_runs(list).await, Code::InvalidArgument, "77");

    let commit = commit_of("w", &lease, &runs_of(&lease));
    let wrong = [
        (CommitRequest { runs: vec![], ..commit.clone() }, "no run"),
        (CommitRequest { sha256: "AB".repeat(32), ..commit.clone() }, "SHA-256"),
        (CommitRequest { size_bytes: u64::MAX, ..commit.clone() }, "bytes"),
        (
            CommitRequest { part: "studies/two/curves/x-1-0.parquet".into(), ..commit.clone() },
            "not a part of this lease",
        ),
    ];
    for (commit, words) in wrong {
        assert_refused(fleet.workers.commit(commit).await, Code::InvalidArgument, words);
    }
    let fail =
        FailRequest { worker: "w".into(), shard: lease.shard.clone(), run: "0".repeat(32), ..Default::default() };
    assert_refused(fleet.workers.fail(fail).await, Code::InvalidArgument, "who is to blame");
    assert!(fleet.workers.commit(commit).await.unwrap().into_inner().accepted, "nothing of this did any harm");
}
