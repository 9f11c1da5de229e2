//! Who may ask what: every route with every role, with missing, wrong, expired and revoked tokens; workers that would be others; limits.

use std::collections::BTreeSet;

use curvefleet_coordinator::access::routes::{ROUTES, route};
use curvefleet_coordinator::access::secret::Secret;
use curvefleet_coordinator::ledger::tokens::{MakeToken, RevokeToken, Role};
use curvefleet_coordinator::{Coordinator, Options, Running};
use curvefleet_proto::access::{Access, Bearer};
use curvefleet_proto::v1::study_service_client::StudyServiceClient;
use curvefleet_proto::v1::token_service_client::TokenServiceClient;
use curvefleet_proto::v1::worker_service_client::WorkerServiceClient;
use curvefleet_proto::v1::{
    self, CreateTokenRequest, GetInfoRequest, HeartbeatRequest, LeaseRequest, ListWorkersRequest, RegisterRequest,
    RevokeTokenRequest, SubmitStudyRequest, WatchStudyRequest,
};
use prost::Message as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use crate::fleet::{Fleet, commit_of, connect, options, runs_of, study};

/// A token of this holder in the ledger, for an hour.
async fn token(running: &Running, name: &str, role: Role) -> Secret {
    let secret = Secret::new().unwrap();
    let (id, name, sha256) = (secret.id.clone(), name.to_string(), secret.sha256.clone());
    let make = MakeToken { id, name, role, sha256, valid_ms: 3_600_000, who: "test".to_string() };
    running.handle().ask(make).await.unwrap();
    secret
}

/// Waits until the coordinator has read that there are tokens, so that it serves no one without.
async fn closed(running: &Running) {
    let anyone = with(running, "").await;
    while ask(&anyone, "/curvefleet.v1.StudyService/GetInfo").await.is_none() {}
}

type Authorized = InterceptedService<Channel, Bearer>;

/// A connection that shows a token.
async fn with(running: &Running, token: &str) -> Authorized {
    InterceptedService::new(connect(running).await, Access::with_token(token).bearer())
}

/// Asks a route with an empty message; the status of a refusal that came in place of an answer.
async fn ask(channel: &Authorized, path: &'static str) -> Option<Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let (request, path) = (tonic::Request::new(()), http::uri::PathAndQuery::from_static(path));
    client.server_streaming(request, path, ProstCodec::<(), ()>::default()).await.err()
}

/// All methods that the server has, from the descriptors that it was compiled with.
fn described() -> BTreeSet<String> {
    let sets = [
        v1::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let files = sets.iter().flat_map(|set| prost_types::FileDescriptorSet::decode(*set).unwrap().file);
    let paths = files.flat_map(|file| {
        let package = file.package().to_string();
        file.service.into_iter().flat_map(move |service| {
            let name = format!("/{package}.{}/", service.name());
            service.method.into_iter().map(move |method| format!("{name}{}", method.name())).collect::<Vec<_>>()
        })
    });
    paths.collect()
}

/// Who may ask a method, said once more and in another way than in the table.
fn may(path: &str, role: Option<Role>) -> bool {
    let (service, method) = path[1..].split_once('/').unwrap();
    let looks =
        ["Get", "List", "Watch", "Check", "Explain", "WriteManifest"].iter().any(|word| method.starts_with(word));
    match (service, role) {
        ("grpc.health.v1.Health", _) if method == "Check" => true,
        (_, None) => false,
        (service, Some(_)) if service.starts_with("grpc.") => true,
        ("curvefleet.v1.WorkerService", Some(role)) => role == Role::Worker,
        ("curvefleet.v1.TokenService", Some(role)) => role == Role::Admin,
        (_, Some(Role::Worker)) => false,
        (_, Some(Role::Read)) => looks,
        (_, Some(Role::Submit)) => !method.ends_with("Worker"),
        (_, Some(Role::Admin)) => true,
    }
}

#[test]
fn every_method_has_a_row_and_every_row_a_method() {
    let rows: BTreeSet<String> = ROUTES.iter().map(|route| route.path.to_string()).collect();
    assert_eq!(rows.len(), ROUTES.len(), "a route stands twice in the table");
    assert_eq!(rows, described());
}

#[tokio::test]
async fn every_route_is_open_to_its_roles_alone() {
    let fleet = Fleet::start().await;
    let (running, clock) = (&fleet.running, &fleet.clock);
    let mut shown: Vec<(Option<Role>, String)> = Vec::new();
    for role in Role::ALL {
        shown.push((Some(role), token(running, role.as_str(), role).await.text));
    }
    let revoked = token(running, "gone", Role::Admin).await;
    running.handle().ask(RevokeToken { id: revoked.id.clone(), who: "test".to_string() }).await.unwrap();
    let expired = Secret::new().unwrap();
    let (id, sha256, who) = (expired.id.clone(), expired.sha256.clone(), "test".to_string());
    let make = MakeToken { id, name: "late".to_string(), role: Role::Admin, sha256, valid_ms: 1, who };
    running.handle().ask(make).await.unwrap();
    clock.turn(2);
    let stranger = Secret::new().unwrap();
    // The id of one token with the secret of another.
    let mixed = format!("{}{}", &shown[0].1[..17], &stranger.text[17..]);
    shown.extend(
        [String::new(), "cfl_nonsense".to_string(), mixed, revoked.text, expired.text].map(|text| (None, text)),
    );
    shown.push((None, stranger.text));
    closed(running).await;
    for (role, text) in shown {
        let channel = with(running, &text).await;
        for path in described() {
            let route = route(&path).unwrap();
            let answer = ask(&channel, route.path).await;
            let code = answer.as_ref().map_or(Code::Ok, Status::code);
            let refused = match role {
                // Of many wrong tokens, the last are refused unread.
                None => matches!(code, Code::Unauthenticated | Code::ResourceExhausted),
                Some(_) => code == Code::PermissionDenied,
            };
            assert_eq!(!refused, may(&path, role), "{path} with a token for {role:?}: {answer:?}");
            let told = answer.map(|status| status.message().to_string()).unwrap_or_default();
            assert!(text.len() < 20 || !told.contains(&text[17..]), "{path} shows the token");
        }
    }
}

#[tokio::test]
async fn a_refusal_says_what_is_wrong() {
    let fleet = Fleet::start().await;
    let reader = token(&fleet.running, "rita", Role::Read).await;
    closed(&fleet.running).await;
    let mut client = StudyServiceClient::new(with(&fleet.running, &reader.text).await);
    client.get_info(GetInfoRequest {}).await.unwrap();
    let submit = SubmitStudyRequest { study_toml: study("one", 1) };
    let refused = client.submit_study(submit).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    for word in ["rita", "`read`", "SubmitStudy", "`submit` or `admin`"] {
        assert!(refused.message().contains(word), "{word}: {}", refused.message());
    }
    let mut stranger = StudyServiceClient::new(connect(&fleet.running).await);
    let refused = stranger.get_info(GetInfoRequest {}).await.unwrap_err();
    assert!(refused.message().contains("--token-file"), "{}", refused.message());
    fleet.clock.turn(3_600_000);
    let refused = client.get_info(GetInfoRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("has expired"), "{}", refused.message());
    let unknown = ask(&with(&fleet.running, "").await, "/curvefleet.v1.StudyService/Nonsense").await.unwrap();
    assert_eq!(unknown.code(), Code::Unauthenticated);
}

/// Where there are no tokens, no one can make the first over the network; where there are, an admin can make and revoke others, and
/// those that were open to anyone are so no longer.
#[tokio::test]
async fn the_first_token_is_made_on_the_ledger_and_others_by_admins() {
    let fleet = Fleet::start().await;
    let create =
        |name: &str, role: v1::Role| CreateTokenRequest { name: name.to_string(), role: role.into(), valid_ms: 1_000 };
    let mut anyone = TokenServiceClient::new(connect(&fleet.running).await);
    let refused = anyone.create_token(create("me", v1::Role::Admin)).await.unwrap_err();
    assert!(refused.message().contains("--direct"), "{}", refused.message());
    let mut watcher = fleet.studies.clone();
    watcher.get_info(GetInfoRequest {}).await.unwrap();

    let admin = token(&fleet.running, "root", Role::Admin).await;
    let mut tokens = TokenServiceClient::new(with(&fleet.running, &admin.text).await);
    // Until the tokens are read again, nothing asks for one; then no request without one passes any more.
    while watcher.get_info(GetInfoRequest {}).await.is_ok() {}
    for wrong in ["", "a/b", "a b", "é", &"a".repeat(61)] {
        let refused = tokens.create_token(create(wrong, v1::Role::Read)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{wrong}");
    }
    let unsaid = tokens.create_token(create("rita", v1::Role::Unspecified)).await.unwrap_err();
    assert_eq!(unsaid.code(), Code::InvalidArgument);
    let made = tokens.create_token(create("rita", v1::Role::Read)).await.unwrap().into_inner();
    let mut reader = StudyServiceClient::new(with(&fleet.running, &made.secret).await);
    reader.get_info(GetInfoRequest {}).await.unwrap();
    let listed = tokens.list_tokens(v1::ListTokensRequest {}).await.unwrap().into_inner().tokens;
    let names: Vec<&str> = listed.iter().map(|token| token.name.as_str()).collect();
    assert_eq!(names.len(), 2);
    assert!(!format!("{listed:?}").contains(&made.secret[17..]));
    let id = made.token.unwrap().id;
    for _ in 0..2 {
        let revoked =
            tokens.revoke_token(RevokeTokenRequest { id: id.clone() }).await.unwrap().into_inner().token.unwrap();
        assert!(revoked.revoked_ms > 0);
    }
    let refused = reader.get_info(GetInfoRequest {}).await.unwrap_err();
    assert!(refused.message().contains("was revoked"), "{}", refused.message());
    let unknown = tokens.revoke_token(RevokeTokenRequest { id: "none".to_string() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn open_streams_end_when_their_token_does() {
    let mut fleet = Fleet::start().await;
    fleet.put_data();
    fleet.submit(study("one", 1)).await.unwrap();
    let admin = token(&fleet.running, "root", Role::Admin).await;
    let (reader, worker) =
        (token(&fleet.running, "rita", Role::Read).await, token(&fleet.running, "lab", Role::Worker).await);
    closed(&fleet.running).await;
    let mut tokens = TokenServiceClient::new(with(&fleet.running, &admin.text).await);
    let mut studies = StudyServiceClient::new(with(&fleet.running, &reader.text).await);
    let mut workers = WorkerServiceClient::new(with(&fleet.running, &worker.text).await);
    let mut watch = studies.watch_study(WatchStudyRequest { name: "one".to_string() }).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    let (beats, receiver) = tokio::sync::mpsc::channel(1);
    let beat = HeartbeatRequest { worker: "w".to_string(), ..Default::default() };
    beats.send(beat.clone()).await.unwrap();
    let mut heartbeat = workers.heartbeat(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    heartbeat.message().await.unwrap().unwrap();
    for id in [reader.id, worker.id] {
        tokens.revoke_token(RevokeTokenRequest { id }).await.unwrap();
    }
    // No message is sent: the streams end by themselves.
    for refused in [watch.message().await.unwrap_err(), heartbeat.message().await.unwrap_err()] {
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert!(refused.message().contains("was revoked"), "{}", refused.message());
    }
    drop(beats);
}

/// A token that expires, or that is revoked on the ledger itself, ends streams when the tokens are read again, within seconds.
#[tokio::test]
async fn open_streams_end_when_their_token_expires_or_is_revoked_elsewhere() {
    let mut fleet = Fleet::start().await;
    fleet.put_data();
    fleet.submit(study("one", 1)).await.unwrap();
    let (one, other) =
        (token(&fleet.running, "rita", Role::Read).await, token(&fleet.running, "rita", Role::Read).await);
    closed(&fleet.running).await;
    let watch = WatchStudyRequest { name: "one".to_string() };
    let mut streams = Vec::new();
    for token in [&one, &other] {
        let mut client = StudyServiceClient::new(with(&fleet.running, &token.text).await);
        let mut stream = client.watch_study(watch.clone()).await.unwrap().into_inner();
        stream.message().await.unwrap().unwrap();
        streams.push(stream);
    }
    fleet.running.handle().ask(RevokeToken { id: one.id, who: "test".to_string() }).await.unwrap();
    assert!(streams[0].message().await.unwrap_err().message().contains("was revoked"));
    fleet.clock.turn(3_600_000);
    assert!(streams[1].message().await.unwrap_err().message().contains("has expired"));
}

/// Whatever a worker calls itself, it does not become one that another token's holder has: it can neither renew, commit nor release
/// what is not its own.
#[tokio::test]
async fn a_worker_cannot_act_as_one_of_another_token() {
    let mut fleet = Fleet::start().await;
    fleet.put_data();
    fleet.submit(study("one", 2)).await.unwrap();
    let (mine, other) =
        (token(&fleet.running, "lab-a", Role::Worker).await, token(&fleet.running, "lab-b", Role::Worker).await);
    let reader = token(&fleet.running, "rita", Role::Read).await;
    closed(&fleet.running).await;
    let mut a = WorkerServiceClient::new(with(&fleet.running, &mine.text).await);
    let mut b = WorkerServiceClient::new(with(&fleet.running, &other.text).await);
    let register = |worker: &str| RegisterRequest {
        worker: worker.to_string(),
        slots: 1,
        backend: "cpu".to_string(),
        version: "1".to_string(),
        ..RegisterRequest::default()
    };
    a.register(register("w")).await.unwrap();
    let ask = LeaseRequest { worker: "w".to_string(), shards: 1, ..LeaseRequest::default() };
    let lease = a.lease(ask).await.unwrap().into_inner().leases.remove(0);
    let held = vec![v1::Held { shard: lease.shard.clone(), fence: lease.fence, ..Default::default() }];
    for name in ["w", "lab-a/w", "../lab-a/w"] {
        b.register(register(name)).await.unwrap();
        let commit = commit_of(name, &lease, &runs_of(&lease));
        assert!(!b.commit(commit).await.unwrap().into_inner().accepted, "{name}");
        let release = v1::ReleaseRequest { worker: name.to_string(), held: held.clone(), ..Default::default() };
        assert_eq!(b.release(release).await.unwrap().into_inner().released, 0, "{name}");
        let beat = HeartbeatRequest { worker: name.to_string(), held: held.clone(), ..Default::default() };
        let mut beats = b.heartbeat(tokio_stream::once(beat)).await.unwrap().into_inner();
        assert_eq!(beats.message().await.unwrap().unwrap().revoked, std::slice::from_ref(&lease.shard), "{name}");
        let fail = v1::FailRequest {
            worker: name.to_string(),
            shard: lease.shard.clone(),
            fence: lease.fence,
            run: runs_of(&lease)[0].clone(),
            kind: v1::FailureKind::Run.into(),
            error: "no".to_string(),
            ..Default::default()
        };
        assert!(!b.fail(fail).await.unwrap().into_inner().accepted, "{name}");
    }
    let commit = commit_of("w", &lease, &runs_of(&lease));
    let elsewhere = v1::CommitRequest { part: commit.part.replace("studies/one", "studies/two"), ..commit.clone() };
    assert_eq!(a.commit(elsewhere).await.unwrap_err().code(), Code::InvalidArgument);
    let beside =
        v1::CommitRequest { part: format!("checkpoints/{}/epoch-1.bpk", runs_of(&lease)[0]), ..commit.clone() };
    assert_eq!(a.commit(beside).await.unwrap_err().code(), Code::InvalidArgument);
    assert!(a.commit(commit).await.unwrap().into_inner().accepted);
    let mut studies = StudyServiceClient::new(with(&fleet.running, &reader.text).await);
    let workers = studies.list_workers(ListWorkersRequest {}).await.unwrap().into_inner().workers;
    let names: Vec<&str> = workers.iter().map(|worker| worker.name.as_str()).collect();
    assert_eq!(names, ["lab-a/w", "lab-b/../lab-a/w", "lab-b/lab-a/w", "lab-b/w"]);
    let long = "w".repeat(curvefleet_proto::limits::MAX_NAME_BYTES);
    assert_eq!(a.register(register(&long)).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_private_coordinator_serves_its_own_process_alone() {
    let folder = tempfile::tempdir().unwrap();
    let running = Coordinator::start(Options { private: true, ..options(&folder) }).await.unwrap();
    let admin = token(&running, "root", Role::Admin).await;
    for path in ["/curvefleet.v1.StudyService/GetInfo", "/curvefleet.v1.WorkerService/Register"] {
        for text in ["", &admin.text] {
            assert_eq!(ask(&with(&running, text).await, path).await.unwrap().code(), Code::Unauthenticated);
        }
        let own = InterceptedService::new(connect(&running).await, running.access().bearer());
        let code = ask(&own, path).await.map(|status| status.code());
        assert!(matches!(code, None | Some(Code::InvalidArgument)), "{code:?}");
    }
    running.shutdown().await;
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let running = Coordinator::start(Options { requests_per_second: 5, ..options(&folder) }).await.unwrap();
    let mut client = StudyServiceClient::new(connect(&running).await);
    let refused = loop {
        if let Err(refused) = client.get_info(GetInfoRequest {}).await {
            break refused;
        }
    };
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("5 times per second"), "{}", refused.message());
    running.shutdown().await;
}

#[tokio::test]
async fn a_message_that_is_too_long_for_its_route_is_refused_by_its_length() {
    let mut fleet = Fleet::start().await;
    let backend = "b".repeat(100_000);
    let register = RegisterRequest { worker: "w".to_string(), slots: 1, backend, ..RegisterRequest::default() };
    let refused = fleet.workers.register(register).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    assert!(refused.message().contains("at most 65536"), "{}", refused.message());
}

#[tokio::test]
async fn addresses_beyond_this_machine_take_tls_and_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Options { listen: "0.0.0.0:0".to_string(), ..options(&folder) };
    let sentence = |options: Options| async { Coordinator::start(options).await.err().unwrap() };
    let error = sentence(open()).await;
    assert!(error.is_user_error() && error.to_string().contains("--tls-certificate"), "{error}");
    let file = |name: &str| Some(folder.path().join(name));
    let half = Options { tls_certificate: file("server.crt"), ..open() };
    assert!(sentence(half).await.to_string().contains("--tls-key"));
    let missing = Options { tls_certificate: file("server.crt"), tls_key: file("server.key"), ..open() };
    assert!(sentence(missing).await.to_string().contains("server.crt"));
    let clients = Options { tls_client_ca: file("ca.crt"), ..open() };
    assert!(sentence(clients).await.to_string().contains("--tls-client-ca"));
    // A token alone does not do: it would cross the network in the clear.
    let running = Coordinator::start(options(&folder)).await.unwrap();
    token(&running, "root", Role::Admin).await;
    running.shutdown().await;
    assert!(sentence(open()).await.to_string().contains("--tls-certificate"));
    Coordinator::start(Options { insecure: true, ..open() }).await.unwrap().shutdown().await;
}
