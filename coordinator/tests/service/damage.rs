//! Retrying the runs of damaged parts: the coordinator believes what it reads in the store, not what it is told.

use curvefleet_proto::artifact::{sha256_hex, study_key};
use curvefleet_proto::limits::MAX_PARTS_PER_RETRY;
use curvefleet_proto::v1::{CommitRequest, RetryDamagedRequest, RetryDamagedResponse, StudyState};
use tonic::{Code, Status};

use crate::fleet::{Fleet, commit_of, runs_of, study};

/// A study of three parts, all done and in the store; gives their keys.
async fn done_study(fleet: &mut Fleet) -> Vec<String> {
    fleet.put_data();
    fleet.submit(study("one", 2)).await.unwrap();
    let mut parts = Vec::new();
    for lease in fleet.lease("w", 9).await {
        let commit = commit_of("w", &lease, &runs_of(&lease));
        let bytes = format!("the curves of {}", lease.shard);
        let file = fleet.file(&commit.part);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, &bytes).unwrap();
        parts.push(commit.part.clone());
        let sha256 = sha256_hex(bytes.as_bytes());
        let commit = CommitRequest { size_bytes: bytes.len() as u64, sha256, ..commit };
        assert!(fleet.workers.commit(commit).await.unwrap().into_inner().accepted);
    }
    parts
}

async fn retry(fleet: &mut Fleet, parts: &[String]) -> Result<RetryDamagedResponse, Status> {
    let request = RetryDamagedRequest { study: "one".to_string(), parts: parts.to_vec() };
    fleet.studies.retry_damaged(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn parts_that_are_whole_stay_done_whatever_is_said_of_them() {
    let mut fleet = Fleet::start().await;
    let parts = done_study(&mut fleet).await;
    let answer = retry(&mut fleet, &parts).await.unwrap();
    assert_eq!((answer.whole, answer.requeued), (parts, 0));
    assert_eq!(answer.status.unwrap().state(), StudyState::Finished);
}

#[tokio::test]
async fn missing_truncated_and_altered_parts_are_trained_again() {
    let mut fleet = Fleet::start().await;
    let parts = done_study(&mut fleet).await;
    std::fs::remove_file(fleet.file(&parts[0])).unwrap();
    let whole = std::fs::read(fleet.file(&parts[1])).unwrap();
    std::fs::write(fleet.file(&parts[1]), &whole[1..]).unwrap();
    let mut altered = std::fs::read(fleet.file(&parts[2])).unwrap();
    altered[3] ^= 1;
    std::fs::write(fleet.file(&parts[2]), altered).unwrap();
    let answer = retry(&mut fleet, &parts[1..]).await.unwrap();
    assert_eq!((answer.whole, answer.requeued), (Vec::new(), 4), "those that were named, and no others");
    let answer = retry(&mut fleet, &parts).await.unwrap();
    let status = answer.status.unwrap();
    assert_eq!((answer.requeued, status.state(), status.runs.unwrap().done), (2, StudyState::Active, 0));
    assert_eq!(fleet.lease("v", 9).await.len(), 3);
}

#[tokio::test]
async fn unknown_studies_and_too_many_parts_are_refused_and_unknown_parts_passed_over() {
    let mut fleet = Fleet::start().await;
    let status = retry(&mut fleet, &[]).await.unwrap_err();
    assert!(status.code() == Code::NotFound && status.message().contains("`one`"), "{status:?}");
    done_study(&mut fleet).await;
    let answer = retry(&mut fleet, &["../../etc/passwd".to_string(), String::new()]).await.unwrap();
    assert_eq!((answer.whole.len(), answer.requeued), (0, 0));
    let many = vec![String::new(); MAX_PARTS_PER_RETRY + 1];
    assert_eq!(retry(&mut fleet, &many).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn reused_runs_whose_parts_are_missing_or_damaged_are_trained_again() {
    let mut fleet = Fleet::start().await;
    let parts = done_study(&mut fleet).await;
    let two = fleet.submit(study("two", 2)).await.unwrap();
    assert_eq!((two.reused, two.damaged_parts), (6, 0));
    std::fs::remove_file(fleet.file(&parts[0])).unwrap();
    std::fs::write(fleet.file(&parts[1]), "rubbish").unwrap();
    let three = fleet.submit(study("three", 2)).await.unwrap();
    assert_eq!((three.reused, three.damaged_parts, three.doubtful_parts), (2, 2, 0));
    let status = three.status.unwrap();
    assert_eq!((status.state(), status.runs.unwrap().done), (StudyState::Active, 2));
    let again = fleet.submit(study("three", 2)).await.unwrap();
    assert_eq!((again.existed, again.reused, again.damaged_parts), (true, 0, 0));
}

/// The folder of the one earlier study is gone: deleted, or on another disk.
async fn after_the_earlier_study_is_gone(fleet: &mut Fleet) -> (u64, u64, u64) {
    done_study(fleet).await;
    std::fs::remove_dir_all(fleet.file(&study_key("one")).parent().unwrap()).unwrap();
    let two = fleet.submit(study("two", 2)).await.unwrap();
    (two.reused, two.damaged_parts, two.doubtful_parts)
}

#[tokio::test]
async fn a_store_that_has_nothing_of_any_earlier_study_is_not_believed() {
    let mut fleet = Fleet::start_with_its_ledger_apart().await;
    assert_eq!(after_the_earlier_study_is_gone(&mut fleet).await, (6, 0, 3), "nothing is taken back unasked");
    // Now that it has the file of a study of this ledger, it is known.
    let three = fleet.submit(study("three", 2)).await.unwrap();
    assert_eq!((three.reused, three.damaged_parts, three.doubtful_parts), (0, 3, 0));
}

#[tokio::test]
async fn a_store_that_holds_the_ledger_is_the_right_one() {
    let mut fleet = Fleet::start().await;
    assert_eq!(after_the_earlier_study_is_gone(&mut fleet).await, (0, 3, 0));
}
