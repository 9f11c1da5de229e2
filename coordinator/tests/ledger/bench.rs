//! A ledger on a bench: short ways to ask it, a clock to turn, and a switch to restart it. Whatever it is asked, the model is asked,
//! too, and the answers have to be equal.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use curvefleet_coordinator::ledger::audit::Entry;
use curvefleet_coordinator::ledger::backoff::FIRST_MS;
use curvefleet_coordinator::ledger::commit::Commit;
use curvefleet_coordinator::ledger::enter::Enter;
use curvefleet_coordinator::ledger::expire::Expire;
use curvefleet_coordinator::ledger::explain::{About, Standing};
use curvefleet_coordinator::ledger::fail::Fail;
use curvefleet_coordinator::ledger::heartbeat::{Heard, Heartbeat, Held, InTraining};
use curvefleet_coordinator::ledger::lease::{Given, Lease};
use curvefleet_coordinator::ledger::origin::{Origin, Provenance, Trained};
use curvefleet_coordinator::ledger::register::Register;
use curvefleet_coordinator::ledger::runs::{ListRuns, Run};
use curvefleet_coordinator::ledger::state::FailureKind;
use curvefleet_coordinator::ledger::study::{Status, StudyStatus};
use curvefleet_coordinator::ledger::submit::{Submit, Submitted};
use curvefleet_coordinator::ledger::{Error, Ledger, Operation, Reply, Request, Settings};
use curvefleet_proto::artifact::{part_key, sha256_hex};
use curvefleet_proto::plan::ShardSpec;
use curvefleet_proto::requirement::Capabilities;
use curvefleet_proto::study::file::parse;

use crate::database::Database;
use crate::model::Model;
use crate::proxy::{Cut, Proxy};

/// The settings that the cases count with.
pub const SETTINGS: Settings = Settings { lease_ms: 60_000, max_attempts: 3, runs_entered_at_once: 4 };

pub struct Bench {
    database: Box<dyn Database>,
    ledger: Option<Box<dyn Ledger>>,
    model: Model,
    /// The way to the database, where it can be cut.
    pub proxy: Option<Rc<Proxy>>,
    pub now_ms: u64,
}

/// A study of three classes: three pairs with true labels, `seeds` runs each in shards of `shard_size`.
pub fn study(name: &str, seeds: &str, shard_size: u32) -> Submit {
    study_that(name, seeds, shard_size, "")
}

/// Likewise, with more parts at the end of its file.
pub fn study_that(name: &str, seeds: &str, shard_size: u32, parts: &str) -> Submit {
    let text = format!(
        "name = \"{name}\"\nseeds = {seeds}\nshard_size = {shard_size}\n[[data]]\nname = \"joints\"\n\
         format = \"generated\"\nsha256 = \"{}\"\nsteps_min = 20\nsteps_max = 30\nfeature_names = [\"x\", \"y\"]\n\
         classes = [{{ name = \"up\", count = 40 }}, {{ name = \"down\", count = 40 }}, {{ name = \"wave\", count = 40 }}]\n\
         [[conditions]]\nlabels = [\"true\"]\n{parts}",
        "ab".repeat(32)
    );
    let study = parse(&text).and_then(|parsed| parsed.resolve_stored()).unwrap();
    let toml = study.to_toml().unwrap();
    Submit { hash: sha256_hex(toml.as_bytes()), toml, study: Arc::new(study), who: "test".to_string() }
}

/// The request for the next shards of a study.
pub fn enter_of(submit: &Submit) -> Enter {
    Enter { study: submit.study.clone(), hash: submit.hash.clone() }
}

/// The introduction of a worker with one slot that does not say what it has.
pub fn register_of(worker: &str) -> Register {
    let (worker, session, version) = (worker.to_string(), String::new(), "1".to_string());
    Register { worker, session, slots: 1, backend: "flex".to_string(), version, has: Capabilities::default() }
}

/// A request for work by a worker that does not say what it holds.
pub fn lease_of(worker: &str, shards: u32) -> Lease {
    Lease { worker: worker.to_string(), session: String::new(), shards, ahead_ms: 0, known: None }
}

/// A heartbeat of a worker that does not say which process it is.
pub fn beat_of(worker: &str, held: Vec<Held>) -> Heartbeat {
    Heartbeat { worker: worker.to_string(), session: String::new(), held, in_training: BTreeMap::new() }
}

/// The ids of a shard's runs, in its order.
pub fn runs_of(given: &Given) -> Vec<String> {
    let spec: ShardSpec = serde_json::from_str(&given.spec_json).unwrap();
    spec.runs().map(|run| run.id.to_string()).collect()
}

/// The commit of some runs of a lease as its `n`-th part.
pub fn commit_of(worker: &str, given: &Given, n: u32, runs: &[String]) -> Commit {
    let part = part_key(&given.study, &given.shard, given.fence, n);
    Commit {
        worker: worker.to_string(),
        shard: given.shard.clone(),
        fence: given.fence,
        sha256: sha256_hex(part.as_bytes()),
        part,
        size_bytes: 100,
        runs: runs.iter().map(|run| (run.clone(), "a log".to_string())).collect(),
        provenance: provenance_of(worker, given.fence, runs),
    }
}

/// What the worker `old` says of its runs, which is nothing, or another; the times are the run's place and the fence.
fn provenance_of(worker: &str, fence: u64, runs: &[String]) -> Option<Provenance> {
    let origin = Origin { backend: format!("cpu/{worker}"), device: "A Processor".to_string(), ..Origin::default() };
    let trained = |(place, run): (usize, &String)| {
        let trained = Trained { started_ms: place as u64, ended_ms: fence, resumed_after_epoch: 7 };
        (run.clone(), trained)
    };
    let trained = runs.iter().enumerate().map(trained).collect();
    (worker != "old").then_some(Provenance { origin, trained })
}

/// An error without its wording, which is the ledger's affair.
fn plain(error: Error) -> Error {
    match error {
        Error::Invalid(_) => Error::Invalid(String::new()),
        error => error,
    }
}

/// The audit's entries without their numbers: PostgreSQL leaves some out where a batch was undone.
fn unnumbered(reply: Reply) -> Reply {
    let unnumber = |standing: &mut Standing| standing.by_hand.iter_mut().for_each(|entry| entry.id = 0);
    match reply {
        Reply::Explain(mut explained) => {
            for about in &mut explained.about {
                match about {
                    About::Worker(_) => {}
                    About::Study(study) => unnumber(&mut study.standing),
                    About::Shard(shard) => unnumber(&mut shard.study),
                    About::Run(run) => run.places.iter_mut().for_each(|place| unnumber(&mut place.shard.study)),
                }
            }
            Reply::Explain(explained)
        }
        Reply::ListAudit(entries) => {
            Reply::ListAudit(entries.into_iter().map(|entry| Entry { id: 0, ..entry }).collect())
        }
        reply => reply,
    }
}

impl Bench {
    pub fn new(database: Box<dyn Database>) -> Bench {
        let ledger = Some(database.open());
        Bench { database, ledger, model: Model::default(), proxy: None, now_ms: 1_000_000 }
    }

    pub fn restart(&mut self) {
        self.ledger = None;
        // A ledger that cannot be opened is refused, not tried again.
        if let Some(proxy) = &self.proxy {
            proxy.spare();
        }
        self.ledger = Some(self.database.open());
    }

    /// Cuts the connection of the next batch that commits.
    pub fn cut(&self, cut: Cut) {
        if let Some(proxy) = &self.proxy {
            proxy.cut(cut);
        }
    }

    /// Asks ledger and model for a whole batch.
    pub fn transact(&mut self, requests: Vec<Request>) -> Vec<Result<Reply, Error>> {
        let expected: Vec<_> = requests
            .iter()
            .map(|request| self.model.answer(self.now_ms, request).map(unnumbered).map_err(plain))
            .collect();
        let replies = self.transact_unmodelled(requests.clone());
        let answers: Vec<_> = replies.iter().cloned().map(|reply| reply.map(unnumbered).map_err(plain)).collect();
        // Replies of all kinds have nothing in common but how they are shown.
        assert_eq!(format!("{answers:#?}"), format!("{expected:#?}"), "{requests:#?}");
        replies
    }

    /// Asks the ledger alone; after a change the model is behind.
    pub fn transact_unmodelled(&mut self, requests: Vec<Request>) -> Vec<Result<Reply, Error>> {
        let asked = requests.len();
        let replies = self.ledger.as_deref_mut().unwrap().transact(self.now_ms, requests);
        assert_eq!(replies.len(), asked);
        replies
    }

    pub fn ask_unmodelled<O: Operation>(&mut self, operation: O) -> O::Answer {
        O::answer(self.transact_unmodelled(vec![operation.into()]).remove(0).unwrap()).unwrap()
    }

    pub fn ask<O: Operation>(&mut self, operation: O) -> Result<O::Answer, Error> {
        self.transact(vec![operation.into()]).remove(0).map(|reply| O::answer(reply).unwrap())
    }

    /// Submits a study and enters all of it.
    pub fn submit(&mut self, submit: Submit) -> Result<Submitted, Error> {
        let enter = enter_of(&submit);
        let mut submitted = self.ask(submit)?;
        while submitted.entered.left > 0 {
            submitted.entered = self.ask(enter.clone())?;
        }
        submitted.status = self.status(&enter.study.name);
        Ok(submitted)
    }

    /// Submits a study of 3 × 2 runs in shards of 2: one shard per pair.
    pub fn submit_small(&mut self, name: &str) -> Submitted {
        self.submit(study(name, "2", 2)).unwrap()
    }

    pub fn register(&mut self, worker: &str) {
        self.ask(register_of(worker)).unwrap();
    }

    /// Registers the worker and leases for it.
    pub fn lease(&mut self, worker: &str, shards: u32) -> Vec<Given> {
        self.register(worker);
        self.ask(lease_of(worker, shards)).unwrap().leases
    }

    pub fn lease_one(&mut self, worker: &str) -> Given {
        let mut leases = self.lease(worker, 1);
        assert_eq!(leases.len(), 1, "one shard was waiting");
        leases.remove(0)
    }

    /// Lets all leases run out, and the pause after that.
    pub fn outlast_leases(&mut self) {
        self.now_ms += SETTINGS.lease_ms;
        self.ask(Expire { all: false }).unwrap();
        self.now_ms += FIRST_MS;
    }

    pub fn beat(&mut self, worker: &str, given: &[&Given]) -> Heard {
        let held = given.iter().map(|given| Held { shard: given.shard.clone(), fence: given.fence }).collect();
        self.ask(beat_of(worker, held)).unwrap()
    }

    /// Whether the worker still holds the lease.
    pub fn holds(&mut self, worker: &str, given: &Given) -> bool {
        self.beat(worker, &[given]).leases[0].is_some()
    }

    /// A heartbeat that says what is in training under the lease; whether the lease goes on.
    pub fn trains(&mut self, worker: &str, given: &Given, training: InTraining) -> bool {
        let held = vec![Held { shard: given.shard.clone(), fence: given.fence }];
        let in_training = BTreeMap::from([(given.shard.clone(), training)]);
        self.ask(Heartbeat { in_training, ..beat_of(worker, held) }).unwrap().leases[0].is_some()
    }

    pub fn failure(&self, worker: &str, given: &Given, run: &str, kind: FailureKind) -> Fail {
        Fail {
            worker: worker.to_string(),
            shard: given.shard.clone(),
            fence: given.fence,
            run: run.to_string(),
            kind,
            error: "it broke".to_string(),
            log: "the last lines".to_string(),
        }
    }

    pub fn fail(&mut self, worker: &str, given: &Given, run: &str, kind: FailureKind) -> bool {
        let failure = self.failure(worker, given, run, kind);
        self.ask(failure).unwrap()
    }

    /// Leases everything and commits it all. Some commits come too late: another study's commit in the same round has
    /// made all runs of a shard done and closed it.
    pub fn finish_all(&mut self, worker: &str) {
        loop {
            let leases = self.lease(worker, 64);
            if leases.is_empty() {
                return;
            }
            for given in leases {
                let runs = runs_of(&given);
                let open: Vec<String> = given.runs.iter().map(|index| runs[*index as usize].clone()).collect();
                self.ask(commit_of(worker, &given, 0, &open)).unwrap();
            }
        }
    }

    pub fn status(&mut self, study: &str) -> Status {
        self.ask(StudyStatus { name: study.to_string() }).unwrap()
    }

    pub fn runs(&mut self, study: &str) -> Vec<Run> {
        self.ask(ListRuns { study: study.to_string(), state: None, after: None, limit: 5_000 }).unwrap().runs
    }
}
