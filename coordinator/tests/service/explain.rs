//! What `explain` says of a study's life, its shards, runs and workers.

use curvefleet_proto::v1::{
    CancelStudyRequest, DrainWorkerRequest, ExplainRequest, Explanation, FailRequest, FailureKind, HeartbeatRequest,
    Held, Lease, LeaseRequest, PauseStudyRequest, PrioritizeStudyRequest, ReleaseRequest, ResumeStudyRequest,
};
use tonic::Code;

use crate::fleet::{Fleet, runs_of, study};

impl Fleet {
    /// The explanations of whatever goes by the name, each as one text.
    async fn explain(&mut self, what: &str) -> Vec<String> {
        let request = ExplainRequest { what: what.to_string() };
        let explanations = self.studies.explain(request).await.unwrap().into_inner().explanations;
        explanations.iter().map(text).collect()
    }

    /// What is said holds all these words.
    async fn says(&mut self, what: &str, words: &[&str]) {
        let said = self.explain(what).await.join("\n");
        for word in words {
            assert!(said.contains(word), "`{word}` is missing:\n{said}");
        }
    }

    async fn fail(&mut self, worker: &str, lease: &Lease, run: &str, kind: FailureKind, error: &str) {
        let request = FailRequest {
            worker: worker.to_string(),
            shard: lease.shard.clone(),
            fence: lease.fence,
            run: run.to_string(),
            kind: kind.into(),
            error: error.to_string(),
            log: String::new(),
        };
        assert!(self.workers.fail(request).await.unwrap().into_inner().accepted);
    }
}

fn text(explanation: &Explanation) -> String {
    let advice = explanation.advice.iter().map(|advice| advice.command.clone());
    let title = std::iter::once(explanation.title.clone());
    let lines = explanation.sentences.iter().chain(&explanation.attempts).cloned();
    title.chain(lines).chain(advice).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_run_is_explained_from_its_submission_to_its_end() {
    let mut fleet = Fleet::start().await;
    fleet.put_data();
    fleet.submit(study("one", 2)).await.unwrap();
    fleet.says("one", &["6 to do", "No worker is alive", "curvefleet worker"]).await;
    let lease = fleet.lease("w", 1).await.remove(0);
    let runs = runs_of(&lease);
    fleet.says(&lease.shard, &["Worker w holds the shard", "has not heard yet", "2 to do"]).await;
    let held = Held {
        shard: lease.shard.clone(),
        fence: 1,
        run: runs[0].clone(),
        epoch: 4,
        train_loss: 0.25,
        training: Vec::new(),
        has_epoch: false,
    };
    let beat = HeartbeatRequest { worker: "w".to_string(), held: vec![held], ..HeartbeatRequest::default() };
    let mut heard = fleet.workers.heartbeat(tokio_stream::iter([beat])).await.unwrap().into_inner();
    heard.message().await.unwrap().unwrap();
    fleet.says(&runs[0], &["it is in training", "after 4 epochs", "0.2500"]).await;
    fleet.says(&runs[1][..20].to_uppercase(), &["is to do, in the shard", "Worker w holds"]).await;
    fleet.clock.turn(30_000);
    fleet
        .says(
            &lease.shard,
            &["Nothing was heard of the worker for 30 s", "the lease ends in 30 s", "curvefleet explain w"],
        )
        .await;
    fleet.says("w", &["for 30 s", &lease.shard, &runs[0]]).await;

    // It fails, waits, and goes to another worker.
    fleet.fail("w", &lease, &runs[0], FailureKind::Run, "training diverged").await;
    fleet
        .says(
            &runs[0],
            &["failed under the lease at hand", "failed once", "training diverged", "After 3 it is set aside"],
        )
        .await;
    assert!(fleet.commit("w", &lease, &runs[1..]).await.unwrap());
    fleet.says(&runs[1], &["it is done: worker w committed it 0 s ago", "curves/", "curvefleet verify one"]).await;
    fleet.lease("v", 2).await;
    fleet
        .says(&runs[0], &["waits with its shard", "may be given out in 1 s", "another worker than w", "failed once"])
        .await;
    fleet.says("one", &["waits out a pause"]).await;
    fleet.clock.turn(1_000);
    fleet.says(&runs[0], &["the next to be given out", "2 workers take work"]).await;
    let again = fleet.lease("v", 1).await.remove(0);
    fleet.fail("v", &again, &runs[0], FailureKind::Infrastructure, "the disk is full").await;
    fleet.says(&again.shard, &["the disk is full", "on worker v", "another worker than v"]).await;
    for (wait_ms, worker) in [(1_000, "w"), (2_000, "v")] {
        fleet.clock.turn(wait_ms);
        let again = fleet.lease(worker, 1).await.remove(0);
        fleet.fail(worker, &again, &runs[0], FailureKind::Run, "training diverged again").await;
    }
    fleet
        .says(
            &runs[0],
            &["set aside: it failed 3 times", "diverged again", "curvefleet retry one", "machine, network or store"],
        )
        .await;
    fleet.says("one", &["1 run failed for good with: training diverged again", "curvefleet logs"]).await;
}

#[tokio::test]
async fn what_people_did_is_explained_with_the_way_back() {
    let mut fleet = Fleet::start().await;
    fleet.put_data();
    fleet.submit(study("one", 1)).await.unwrap();
    fleet.submit(study("two", 2)).await.unwrap();
    let lease = fleet.lease("w", 1).await.remove(0);
    let run = runs_of(&lease).remove(0);
    let (name, reason) = ("one".to_string(), "the demo".to_string());
    fleet.studies.pause_study(PauseStudyRequest { name: name.clone(), reason }).await.unwrap();
    fleet.says(&lease.shard, &["was paused", "hands the shard back", "the demo", "curvefleet resume one"]).await;
    let held = vec![Held { shard: lease.shard.clone(), fence: lease.fence, ..Held::default() }];
    fleet.workers.release(ReleaseRequest { worker: "w".to_string(), held, ..ReleaseRequest::default() }).await.unwrap();
    fleet.says(&run, &["The study rests: it was paused 0 s ago", "the demo", "curvefleet resume one"]).await;
    fleet.studies.resume_study(ResumeStudyRequest { name }).await.unwrap();
    let priority = PrioritizeStudyRequest { name: "two".to_string(), priority: 7 };
    fleet.studies.prioritize_study(priority).await.unwrap();
    fleet
        .says(
            &run,
            &["Studies of higher priority go first: two (priority 7), with 3 shards", "curvefleet priority one 8"],
        )
        .await;
    let drain = DrainWorkerRequest { worker: "w".to_string(), reason: "new disk".to_string() };
    fleet.studies.drain_worker(drain).await.unwrap();
    fleet.says("w", &["It is given nothing", "drained it 0 s ago", "new disk", "curvefleet undrain w"]).await;
    fleet.says(&run, &["No worker is alive, apart from drained ones", "curvefleet undrain WORKER"]).await;
    let asked = LeaseRequest { worker: "w".to_string(), shards: 1, ..LeaseRequest::default() };
    assert!(fleet.workers.lease(asked).await.unwrap().into_inner().drained);
    fleet.studies.cancel_study(CancelStudyRequest { name: "one".to_string() }).await.unwrap();
    fleet.says(&run, &["it was given up", "The study was cancelled 0 s ago", "curvefleet retry one"]).await;
    fleet.says("one", &["cancelled", "3 given up"]).await;
}

#[tokio::test]
async fn an_idle_worker_and_a_stopped_study_say_why() {
    let mut fleet = Fleet::start().await;
    fleet.put_data();
    assert!(fleet.lease("w", 1).await.is_empty());
    fleet.says("w", &["no study has anything left to do", "curvefleet submit FILE"]).await;
    fleet.submit(study("w", 1)).await.unwrap();
    let both = fleet.explain("w").await;
    assert_eq!(both.len(), 2, "a worker and a study of one name");
    let lease = fleet.lease("v", 3).await.remove(0);
    fleet.says("w", &["all that is left to do is with other workers"]).await;
    fleet.fail("v", &lease, &runs_of(&lease)[0], FailureKind::Study, "the data set is damaged").await;
    fleet.says(&lease.shard, &["The study was stopped", "the data set is damaged", "curvefleet retry w"]).await;
    fleet.clock.turn(120_000);
    fleet.says("v", &["Nothing was heard of it for 2 min 0 s", "longer than a lease lasts (1 min 0 s)"]).await;
    let refused = fleet.studies.explain(ExplainRequest { what: "nobody".to_string() }).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert!(refused.message().contains("curvefleet workers"), "{}", refused.message());
    assert!(fleet.studies.explain(ExplainRequest { what: "x".repeat(500) }).await.is_err());
}
