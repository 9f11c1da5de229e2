//! A study from submission to manifest, as clients and workers see it.

use curvefleet_coordinator::ledger::backoff::FIRST_MS;
use curvefleet_proto::artifact::{MANIFEST_METADATA, MANIFEST_SCHEMA, crate_key, manifest_key, sha256_hex, study_key};
use curvefleet_proto::v1::{
    CancelStudyRequest, CheckRunsRequest, FailRequest, FailureKind, GetInfoRequest, GetLogsRequest, GetStudyRequest,
    HeartbeatRequest, HeartbeatResponse, Held, ListRunsRequest, ListStudiesRequest, ListWorkersRequest, RunState,
    StudyState, WriteManifestRequest,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio_stream::wrappers::ReceiverStream;

use crate::fleet::{Fleet, commit_of, runs_of, study};

/// One heartbeat on a stream of its own.
async fn beat(fleet: &mut Fleet, request: HeartbeatRequest) -> HeartbeatResponse {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    sender.send(request).await.unwrap();
    let mut stream = fleet.workers.heartbeat(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let response = stream.message().await.unwrap().unwrap();
    drop(sender);
    assert!(stream.message().await.unwrap().is_none(), "one answer for one request");
    response
}

/// Reads the manifest: run, state and part of each row.
fn manifest(fleet: &Fleet, study: &str) -> Vec<(String, String, Option<String>)> {
    use arrow_array::{Array as _, cast::AsArray as _};
    let file = std::fs::File::open(fleet.file(&manifest_key(study))).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    assert_eq!(builder.schema().fields(), MANIFEST_SCHEMA.fields());
    let metadata = builder.metadata().file_metadata().key_value_metadata().unwrap();
    assert!(metadata.iter().any(|pair| pair.key == MANIFEST_METADATA && pair.value.as_deref() == Some(study)));
    let mut rows = Vec::new();
    for batch in builder.build().unwrap() {
        let batch = batch.unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
        let (run, state, part) = (column("run"), column("state"), column("part"));
        for row in 0..batch.num_rows() {
            let part = part.is_valid(row).then(|| part.value(row).to_string());
            rows.push((run.value(row).to_string(), state.value(row).to_string(), part));
        }
    }
    rows
}

/// What the manifest says of how each run was trained.
fn trainings(fleet: &Fleet, study: &str) -> Vec<[String; 8]> {
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::{UInt32Type, UInt64Type};
    let file = std::fs::File::open(fleet.file(&manifest_key(study))).unwrap();
    let columns =
        ["backend", "device", "cpu_features", "version", "git_commit", "started_ms", "ended_ms", "resumed_after_epoch"];
    let mut rows = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap) {
        let value = |name: &str, row: usize| {
            let column = batch.column_by_name(name).unwrap();
            match name {
                "resumed_after_epoch" => column.as_primitive::<UInt32Type>().value(row).to_string(),
                "started_ms" | "ended_ms" => column.as_primitive::<UInt64Type>().value(row).to_string(),
                _ => column.as_string::<i32>().value(row).to_string(),
            }
        };
        rows.extend((0..batch.num_rows()).map(|row| columns.map(|name| value(name, row))));
    }
    rows
}

#[tokio::test]
async fn a_study_goes_from_submission_to_a_manifest_that_can_be_read() {
    let mut fleet = Fleet::start().await;
    fleet.put_data();
    let submitted = fleet.submit(study("one", 2)).await.unwrap();
    assert!(!submitted.existed);
    assert!(fleet.file(&study_key("one")).exists());
    let again = fleet.submit(study("one", 2)).await.unwrap();
    assert!(again.existed);

    let leases = fleet.lease("w", 9).await;
    assert_eq!(leases.len(), 3);
    let held = leases.iter().map(|lease| Held {
        shard: lease.shard.clone(),
        fence: lease.fence,
        run: runs_of(lease)[0].clone(),
        epoch: 4,
        train_loss: 0.5,
        training: Vec::new(),
        has_epoch: false,
    });
    let heartbeat = HeartbeatRequest {
        worker: "w".to_string(),
        held: held.collect(),
        epochs_per_second: 6.0,
        session: String::new(),
    };
    let heard = beat(&mut fleet, heartbeat).await;
    assert!(heard.revoked.is_empty() && !heard.register_again);
    let request = GetStudyRequest { name: "one".to_string() };
    let told = fleet.studies.get_study(request).await.unwrap().into_inner();
    let status = told.status.unwrap();
    assert_eq!((status.epochs_per_second, status.epochs_left), (6.0, 6 * 10 - 3 * 4));
    assert_eq!(status.runs.unwrap().leased, 6);
    assert!(told.study_toml.contains("epochs = 10"));

    let planned: Vec<String> = leases.iter().flat_map(runs_of).collect();
    for lease in leases.iter().rev() {
        assert!(fleet.commit("w", lease, &runs_of(lease)).await.unwrap());
    }
    let statuses = fleet.watch("one").await;
    let last = statuses.last().unwrap();
    assert_eq!((last.state(), last.manifest_runs, last.epochs_left), (StudyState::Finished, 6, 0));
    let rows = manifest(&fleet, "one");
    assert_eq!(rows.iter().map(|(run, ..)| run.clone()).collect::<Vec<_>>(), planned, "in the plan's order");
    assert!(rows.iter().all(|(_, state, part)| state == "done" && part.is_some()));

    let told = trainings(&fleet, "one");
    assert_eq!(
        told,
        vec![["cpu/avx2", "A Processor", "avx2 fma", "0.9", "abcdef", "1000", "2000", "3"].map(str::to_string); 6]
    );

    let bytes = std::fs::read(fleet.file(&manifest_key("one"))).unwrap();
    let described = std::fs::read_to_string(fleet.file(&crate_key("one"))).unwrap();
    let described: serde_json::Value = serde_json::from_str(&described).unwrap();
    let graph = described["@graph"].as_array().unwrap();
    let entity = |id: &str| graph.iter().find(|entity| entity["@id"] == id).unwrap_or_else(|| panic!("no entity {id}"));
    let files = ["study.toml", "manifest.parquet"];
    for name in files {
        let bytes = std::fs::read(fleet.file(&format!("studies/one/{name}"))).unwrap();
        assert_eq!(entity(name)["sha256"], sha256_hex(&bytes));
    }
    let root = entity("./");
    assert!(root["description"].as_str().unwrap().starts_with("6 training runs") && root["datePublished"].is_string());
    let parts = root["hasPart"].as_array().unwrap().iter().map(|part| part["@id"].as_str().unwrap());
    assert_eq!(parts.collect::<Vec<_>>(), ["curves/", "manifest.parquet", "study.toml"]);
    let training = entity("#training");
    assert_eq!(training["description"], "Trained on: cpu/avx2, A Processor");
    assert_eq!(
        (&training["startTime"], &training["endTime"]),
        (&"1970-01-01T00:00:01Z".into(), &"1970-01-01T00:00:02Z".into())
    );
    for reference in ["instrument", "object", "result"] {
        let referred = training[reference].as_array().unwrap();
        assert!(!referred.is_empty());
        for id in referred {
            entity(id["@id"].as_str().unwrap());
        }
    }
    assert_eq!(entity("#curvefleet-0.9-abcdef")["version"], "0.9");

    let request = WriteManifestRequest { study: "one".to_string() };
    let written = fleet.studies.write_manifest(request).await.unwrap().into_inner();
    assert_eq!((written.key.as_str(), written.runs), ("studies/one/manifest.parquet", 6));
    assert_eq!(std::fs::read(fleet.file(&written.key)).unwrap(), bytes, "the same ledger writes the same bytes");
    fleet.running.shutdown().await;
}

/// A watcher that comes first sees the study move and the stream end with it.
#[tokio::test]
async fn a_watch_follows_a_study_to_its_end() {
    let mut fleet = Fleet::start().await;
    fleet.put_data();
    fleet.submit(study("one", 1)).await.unwrap();
    let request = curvefleet_proto::v1::WatchStudyRequest { name: "one".to_string() };
    let mut stream = fleet.studies.watch_study(request).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap().status.unwrap();
    assert_eq!((first.state(), first.runs.unwrap().pending), (StudyState::Active, 3));
    for lease in fleet.lease("w", 9).await {
        assert!(fleet.commit("w", &lease, &runs_of(&lease)).await.unwrap());
    }
    let mut last = first;
    while let Some(message) = stream.message().await.unwrap() {
        let status = message.status.unwrap();
        assert_ne!(status, last, "a message has news");
        last = status;
    }
    assert_eq!((last.state(), last.runs.unwrap().done, last.manifest_runs), (StudyState::Finished, 3, 3));
}

#[tokio::test]
async fn failures_cancelling_and_listings_are_told_as_they_are() {
    let mut fleet = Fleet::start().await;
    fleet.put_data();
    fleet.submit(study("one", 2)).await.unwrap();
    let lease = fleet.lease("w", 1).await.remove(0);
    let runs = runs_of(&lease);
    let fail = FailRequest {
        worker: "w".to_string(),
        shard: lease.shard.clone(),
        fence: lease.fence,
        run: runs[0].clone(),
        kind: FailureKind::Run.into(),
        error: "the loss is not a number".to_string(),
        log: "epoch 3".to_string(),
    };
    assert!(fleet.workers.fail(fail).await.unwrap().into_inner().accepted);
    let request = GetLogsRequest { run: runs[0][..10].to_uppercase() };
    let attempts = fleet.studies.get_logs(request).await.unwrap().into_inner().attempts;
    assert_eq!((attempts[0].outcome.as_str(), attempts[0].log.as_str()), ("run", "epoch 3"));
    assert!(fleet.commit("w", &lease, &runs[1..]).await.unwrap());

    let request = CancelStudyRequest { name: "one".to_string() };
    let status = fleet.studies.cancel_study(request).await.unwrap().into_inner().status.unwrap();
    assert_eq!((status.state(), status.runs.unwrap().cancelled), (StudyState::Cancelled, 5));
    let held = vec![Held { shard: lease.shard.clone(), fence: lease.fence, ..Held::default() }];
    let heard = beat(
        &mut fleet,
        HeartbeatRequest { worker: "w".to_string(), held, epochs_per_second: f64::NAN, session: String::new() },
    )
    .await;
    assert_eq!(heard.revoked, std::slice::from_ref(&lease.shard));

    let mut list = ListRunsRequest { study: "one".to_string(), page_size: 4, ..ListRunsRequest::default() };
    let first = fleet.studies.list_runs(list.clone()).await.unwrap().into_inner();
    list.page = first.next_page;
    let second = fleet.studies.list_runs(list).await.unwrap().into_inner();
    assert_eq!((first.runs.len(), second.runs.len(), second.next_page.as_str()), (4, 2, ""));
    assert_eq!(first.runs[0].error, "the loss is not a number");
    let state = RunState::Done.into();
    let done = ListRunsRequest { study: "one".to_string(), state, ..ListRunsRequest::default() };
    let done = fleet.studies.list_runs(done).await.unwrap().into_inner().runs;
    assert_eq!(done.iter().map(|run| &run.run).collect::<Vec<_>>(), [&runs[1]]);
    let check = CheckRunsRequest { runs: runs.clone() };
    assert_eq!(fleet.studies.check_runs(check).await.unwrap().into_inner().done, runs[1..]);
    let studies = fleet.studies.list_studies(ListStudiesRequest {}).await.unwrap().into_inner().studies;
    assert_eq!(studies.len(), 1);
    let workers = fleet.studies.list_workers(ListWorkersRequest {}).await.unwrap().into_inner().workers;
    assert!(workers.len() == 1 && workers[0].alive && workers[0].shards == 0);
    assert_eq!(fleet.watch("one").await.last().unwrap().manifest_runs, 1);
}

/// The worker's connection is cut and comes back to a coordinator that knows its lease.
#[tokio::test]
async fn a_worker_goes_on_across_a_restart_of_the_coordinator() {
    let mut fleet = Fleet::start().await;
    fleet.put_data();
    fleet.submit(study("one", 2)).await.unwrap();
    let lease = fleet.lease("w", 1).await.remove(0);
    let runs = runs_of(&lease);
    let commit = commit_of("w", &lease, &runs[..1]);
    assert!(fleet.workers.commit(commit.clone()).await.unwrap().into_inner().accepted);
    let mut fleet = fleet.restart().await;
    assert_eq!(manifest(&fleet, "one").len(), 1, "a coordinator that stops leaves its manifests behind");
    assert!(fleet.workers.commit(commit).await.unwrap().into_inner().accepted, "the answer may have been lost");
    let held = vec![Held { shard: lease.shard.clone(), fence: lease.fence, ..Held::default() }];
    let heard = beat(
        &mut fleet,
        HeartbeatRequest { worker: "w".to_string(), held, epochs_per_second: 0.0, session: String::new() },
    )
    .await;
    assert!(heard.revoked.is_empty() && !heard.register_again);
    let info = fleet.studies.get_info(GetInfoRequest {}).await.unwrap().into_inner();
    fleet.clock.turn(info.lease_ms);
    assert!(
        fleet.lease("v", 9).await.iter().all(|given| given.shard != lease.shard),
        "an expired shard waits a little"
    );
    fleet.clock.turn(FIRST_MS);
    let again = fleet.lease("v", 1).await.remove(0);
    assert_eq!((&again.shard, again.fence), (&lease.shard, lease.fence + 1));
}
