//! Health, reflection, and every reason not to start.

use curvefleet_coordinator::{Coordinator, Options};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::fleet::{Fleet, connect, options};

async fn refused(options: Options, words: &[&str]) {
    let Err(error) = Coordinator::start(options).await else { panic!("it starts, against {words:?}") };
    let sentence = error.to_string();
    assert!(words.iter().all(|word| sentence.contains(word)), "{words:?} are missing in: {sentence}");
    assert!(error.is_user_error(), "{sentence}");
    assert!(!sentence.contains('\n'), "{sentence}");
}

#[tokio::test]
async fn health_and_reflection_answer_for_each_service() {
    let fleet = Fleet::start().await;
    let mut health = HealthClient::new(connect(&fleet.running).await);
    for service in ["", "curvefleet.v1.StudyService", "curvefleet.v1.WorkerService"] {
        let request = HealthCheckRequest { service: service.to_string() };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }
    let mut reflection = ServerReflectionClient::new(connect(&fleet.running).await);
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let request = ServerReflectionRequest { host: String::new(), message_request };
    let mut answers = reflection.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(
        names.contains(&"curvefleet.v1.StudyService") && names.contains(&"curvefleet.v1.WorkerService"),
        "{names:?}"
    );
}

/// Open streams do not hold up a stop: their peers are told to come back.
#[tokio::test]
async fn stopping_ends_open_streams_and_frees_port_and_ledger() {
    let mut fleet = Fleet::start().await;
    fleet.put_data();
    fleet.submit(crate::fleet::study("one", 1)).await.unwrap();
    let watch = curvefleet_proto::v1::WatchStudyRequest { name: "one".to_string() };
    let mut watch = fleet.studies.watch_study(watch).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    let (beats, receiver) = tokio::sync::mpsc::channel(1);
    let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut heartbeat = fleet.workers.heartbeat(receiver).await.unwrap().into_inner();
    let (address, folder) = (fleet.running.address(), fleet.folder.clone());
    fleet.running.shutdown().await;
    assert_eq!(watch.message().await.unwrap_err().code(), tonic::Code::Unavailable);
    assert_eq!(heartbeat.message().await.unwrap_err().code(), tonic::Code::Unavailable);
    drop(beats);
    let again = Options { listen: address.to_string(), ..options(&folder) };
    Coordinator::start(again).await.unwrap().shutdown().await;
}

#[tokio::test]
async fn a_second_coordinator_on_one_ledger_or_port_is_refused() {
    let fleet = Fleet::start().await;
    let same_ledger = options(&fleet.folder);
    refused(same_ledger, &["ledger.sqlite", "in use by another coordinator", "--ledger"]).await;
    let other = tempfile::tempdir().unwrap();
    let same_port = Options { listen: fleet.running.address().to_string(), ..options(&other) };
    refused(same_port, &[&fleet.running.address().to_string(), "--listen"]).await;
}

#[tokio::test]
async fn addresses_beyond_this_machine_need_insecure_in_so_many_words() {
    let folder = tempfile::tempdir().unwrap();
    for listen in ["0.0.0.0:0", "[::]:0"] {
        refused(
            Options { listen: listen.to_string(), ..options(&folder) },
            &["--insecure", "--tls-certificate", "127.0.0.1"],
        )
        .await;
    }
    refused(Options { listen: "nonsense".to_string(), ..options(&folder) }, &["`nonsense`", "127.0.0.1:7700"]).await;
    let open = Options { listen: "0.0.0.0:0".to_string(), insecure: true, ..options(&folder) };
    Coordinator::start(open).await.unwrap().shutdown().await;
}

#[tokio::test]
async fn stores_and_ledgers_that_cannot_be_used_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    refused(Options { store: "ftp://host/folder".to_string(), ..options(&folder) }, &["ftp://host/folder"]).await;
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    refused(Options { store: file.display().to_string(), ..options(&folder) }, &["folder", "file"]).await;
    refused(Options { ledger: Some(file.clone()), ..options(&folder) }, &["not a curvefleet ledger"]).await;
    let inside = Some(file.join("ledger.sqlite"));
    refused(Options { ledger: inside, ..options(&folder) }, &["cannot be opened for writing"]).await;
}

#[tokio::test]
async fn leases_of_an_earlier_process_can_be_ended_at_the_start() {
    let mut fleet = Fleet::start().await;
    fleet.put_data();
    fleet.submit(crate::fleet::study("one", 1)).await.unwrap();
    assert_eq!(fleet.lease("w", 9).await.len(), 3);
    let Fleet { running, clock, folder, .. } = fleet;
    running.shutdown().await;
    let ended = Options { expire_leases_at_start: true, ..options(&folder) };
    let running = Coordinator::start_at(ended, clock).await.unwrap();
    let study = curvefleet_coordinator::ledger::study::StudyStatus { name: "one".to_string() };
    assert_eq!(running.handle().ask(study).await.unwrap().leased, 0);
    running.shutdown().await;
}
