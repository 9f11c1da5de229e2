//! A person who submits studies and sometimes changes their mind, and does not give up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use curvefleet_proto::study::file::parse;
use curvefleet_proto::v1::study_service_client::StudyServiceClient;
use curvefleet_proto::v1::{CancelStudyRequest, RetryStudyRequest, SubmitStudyRequest};
use tonic::Status;

use super::network::Wire;
use super::scene::Scene;

/// How long an answer is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Longer than any message is on its way once the storm is over.
const LATE_AT_MOST: Duration = Duration::from_secs(15);
/// SHA-256 of the data set; no one looks into it.
pub const DATA_SHA256: &str = "abababababababababababababababababababababababababababababababab";

/// Two studies that share runs, as stored study files: name, text.
pub fn studies(scene: &Scene) -> Vec<(String, String)> {
    let first = scene.between("studies", 2, 6);
    let second = scene.between("studies", 1, 8);
    let shard_size = scene.between("studies", 1, 4);
    [("one", first), ("two", second)]
        .into_iter()
        .map(|(name, seeds)| (name.to_string(), study(name, seeds, shard_size)))
        .collect()
}

fn study(name: &str, seeds: u64, shard_size: u64) -> String {
    let text = format!(
        "name = \"{name}\"\nseeds = {seeds}\nshard_size = {shard_size}\n[[data]]\nname = \"joints\"\n\
         format = \"generated\"\nsha256 = \"{DATA_SHA256}\"\nsteps_min = 20\nsteps_max = 30\nfeature_names = [\"x\", \"y\"]\n\
         classes = [{{ name = \"up\", count = 40 }}, {{ name = \"down\", count = 40 }}, {{ name = \"wave\", count = 40 }}]\n\
         [[conditions]]\nlabels = [\"true\"]\n[training]\nepochs = 4\n"
    );
    parse(&text).and_then(|parsed| parsed.resolve_stored()).unwrap().to_toml().unwrap()
}

/// Submits all studies, by any of the ways.
pub async fn submit_all(scene: Arc<Scene>, wires: Vec<Wire>) {
    let mut cancelled = Vec::new();
    for (name, study_toml) in studies(&scene) {
        tokio::time::sleep(Duration::from_millis(scene.below("submitter", 8_000))).await;
        insist(&scene, &wires, "submit", |mut client| {
            let request = SubmitStudyRequest { study_toml: study_toml.clone() };
            async move { client.submit_study(request).await.map(|_| ()) }
        })
        .await;
        if !scene.chance("submitter", 300) {
            continue;
        }
        tokio::time::sleep(Duration::from_millis(scene.below("submitter", 8_000))).await;
        insist(&scene, &wires, "cancel", |mut client| {
            let request = CancelStudyRequest { name: name.clone() };
            async move { client.cancel_study(request).await.map(|_| ()) }
        })
        .await;
        tokio::time::sleep(Duration::from_millis(scene.below("submitter", 8_000))).await;
        retry(&scene, &wires, &name).await;
        cancelled.push(name);
    }
    // A wish to cancel that a road has held may be obeyed after the one to retry, and then the person has to say it again.
    while scene.weather().stormy {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(LATE_AT_MOST).await;
    for name in cancelled {
        retry(&scene, &wires, &name).await;
    }
    scene.all_submitted.store(true, Ordering::Relaxed);
    std::future::pending().await
}

async fn retry(scene: &Scene, wires: &[Wire], name: &str) {
    insist(scene, wires, "retry", |mut client| {
        let request = RetryStudyRequest { name: name.to_string() };
        async move { client.retry_study(request).await.map(|_| ()) }
    })
    .await;
}

async fn insist<F: Future<Output = Result<(), Status>>>(
    scene: &Scene,
    wires: &[Wire],
    what: &str,
    call: impl Fn(StudyServiceClient<Wire>) -> F,
) {
    for wire in wires.iter().cycle() {
        let answer = tokio::time::timeout(ANSWER_WITHIN, call(StudyServiceClient::new(wire.clone()))).await;
        let said = match &answer {
            Ok(Ok(())) => "is done".to_string(),
            Ok(Err(status)) => status.message().to_string(),
            Err(_) => "is not answered".to_string(),
        };
        scene.note(format!("the wish to {what}: {said}"));
        if matches!(answer, Ok(Ok(()))) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
