//! Random histories: whatever is asked in whatever order, every answer is the model's, and some things hold whatever the model says.
//!
//! - `take`: the steps

mod take;

use std::collections::{BTreeMap, HashMap, HashSet};

use curvefleet_coordinator::ledger::audit::ListAudit;
use curvefleet_coordinator::ledger::commit::Commit;
use curvefleet_coordinator::ledger::compact::Plan;
use curvefleet_coordinator::ledger::explain::Explain;
use curvefleet_coordinator::ledger::lease::Given;
use curvefleet_coordinator::ledger::logs::Logs;
use curvefleet_coordinator::ledger::manifest::StaleManifests;
use curvefleet_coordinator::ledger::pause::Pause;
use curvefleet_coordinator::ledger::runs::Run;
use curvefleet_coordinator::ledger::state::{FailureKind, RunState, StudyState};
use curvefleet_coordinator::ledger::study::ListStudies;
use curvefleet_coordinator::ledger::workers::ListWorkers;
use proptest::prelude::*;
use take::take;

use crate::bench::{Bench, SETTINGS, runs_of, study};
use crate::cut::Behind;
use crate::database::Sqlite;
use crate::proxy::Cut;

/// Studies that share runs: seeds 0 and 1 are in all three.
const STUDIES: [(&str, &str, u32); 3] = [("one", "2", 2), ("two", "3", 3), ("three", "[1, 0, 5]", 2)];
const WORKERS: [&str; 3] = ["u", "v", "w"];
/// Ids of tokens; their first letters are their holders.
const TOKENS: [&str; 4] = ["a1", "a2", "b1", "b2"];

/// One step. Indices are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    Submit(usize),
    /// The next shards of a study.
    Enter(usize),
    Lease {
        worker: usize,
        shards: u32,
    },
    BeatTraining {
        lease: usize,
        run: usize,
        has_epoch: bool,
    },
    Beat {
        lease: usize,
    },
    Commit {
        lease: usize,
        runs: u8,
    },
    CommitAgain {
        commit: usize,
    },
    Fail {
        lease: usize,
        run: usize,
        kind: FailureKind,
    },
    Release {
        lease: usize,
    },
    Split {
        lease: usize,
        runs: u8,
    },
    Cancel(usize),
    Retry(usize),
    Lose {
        study: usize,
        part: usize,
    },
    Pause {
        study: usize,
        paused: bool,
    },
    Prioritize {
        study: usize,
        priority: i32,
    },
    Drain {
        worker: usize,
        drained: bool,
    },
    /// A worker that numbers its requests asks, and knows of every `of_held`-th of its leases alone.
    LeaseKnowing {
        worker: usize,
        shards: u32,
        of_held: usize,
        is_old: bool,
    },
    /// A new process takes a worker's name.
    StartAnew {
        worker: usize,
    },
    Leave {
        worker: usize,
    },
    MakeToken {
        id: usize,
        role: usize,
        valid_ms: u64,
    },
    RevokeToken {
        id: usize,
    },
    Expire,
    Wait {
        ms: u64,
    },
    /// All workers ask in one batch.
    LeaseAll {
        shards: u32,
    },
    WriteManifest {
        study: usize,
        late: bool,
    },
    PlanCompaction,
    /// Of the plan's parts, every `of_sources`-th is in the large one and the first one may be unfit.
    EndCompaction {
        plan: usize,
        of_sources: usize,
        unfit: bool,
    },
    /// Where there is a connection to be cut.
    Cut(Cut),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        4 => Just(FailureKind::Run),
        2 => Just(FailureKind::Infrastructure),
        1 => Just(FailureKind::Study)
    ];
    prop_oneof![
        2 => (0..STUDIES.len()).prop_map(Step::Submit),
        4 => (0..STUDIES.len()).prop_map(Step::Enter),
        6 => (0..WORKERS.len(), 1_u32..4).prop_map(|(worker, shards)| Step::Lease { worker, shards }),
        2 => any::<usize>().prop_map(|lease| Step::Beat { lease }),
        2 => (any::<usize>(), any::<usize>(), any::<bool>())
            .prop_map(|(lease, run, has_epoch)| Step::BeatTraining { lease, run, has_epoch }),
        8 => (any::<usize>(), 1_u8..8).prop_map(|(lease, runs)| Step::Commit { lease, runs }),
        1 => any::<usize>().prop_map(|commit| Step::CommitAgain { commit }),
        4 => (any::<usize>(), 0_usize..3, kind).prop_map(|(lease, run, kind)| Step::Fail { lease, run, kind }),
        1 => any::<usize>().prop_map(|lease| Step::Release { lease }),
        4 => (any::<usize>(), 0_u8..8).prop_map(|(lease, runs)| Step::Split { lease, runs }),
        1 => (0..STUDIES.len()).prop_map(Step::Cancel),
        2 => (0..STUDIES.len()).prop_map(Step::Retry),
        1 => (0..STUDIES.len(), any::<usize>()).prop_map(|(study, part)| Step::Lose { study, part }),
        1 => (0..STUDIES.len(), any::<bool>()).prop_map(|(study, paused)| Step::Pause { study, paused }),
        1 => (0..STUDIES.len(), -1..2_i32).prop_map(|(study, priority)| Step::Prioritize { study, priority }),
        1 => (0..WORKERS.len(), any::<bool>()).prop_map(|(worker, drained)| Step::Drain { worker, drained }),
        3 => (0..WORKERS.len(), 1_u32..4, 1_usize..3, prop::bool::weighted(0.2))
            .prop_map(|(worker, shards, of_held, is_old)| Step::LeaseKnowing { worker, shards, of_held, is_old }),
        1 => (0..WORKERS.len()).prop_map(|worker| Step::StartAnew { worker }),
        1 => (0..WORKERS.len()).prop_map(|worker| Step::Leave { worker }),
        1 => (0..TOKENS.len(), 0..4_usize, 0..SETTINGS.lease_ms)
            .prop_map(|(id, role, valid_ms)| Step::MakeToken { id, role, valid_ms }),
        1 => (0..TOKENS.len()).prop_map(|id| Step::RevokeToken { id }),
        1 => Just(Step::Expire),
        3 => (0_u64..2 * SETTINGS.lease_ms).prop_map(|ms| Step::Wait { ms }),
        1 => (1_u32..4).prop_map(|shards| Step::LeaseAll { shards }),
        2 => (0..STUDIES.len(), any::<bool>()).prop_map(|(study, late)| Step::WriteManifest { study, late }),
        3 => Just(Step::PlanCompaction),
        3 => (any::<usize>(), 1..3_usize, prop::bool::weighted(0.2))
            .prop_map(|(plan, of_sources, unfit)| Step::EndCompaction { plan, of_sources, unfit }),
        2 => prop_oneof![Just(Step::Cut(Cut::BeforeCommit)), Just(Step::Cut(Cut::AfterCommit))],
        1 => Just(Step::Restart),
    ]
}

/// What is known from outside.
#[derive(Default)]
struct Known {
    submitted: HashSet<&'static str>,
    /// Every lease ever given, and to whom.
    leases: Vec<(&'static str, Given)>,
    /// Leases that nothing has ended yet, by shard: (worker, fence, deadline).
    live: HashMap<String, (&'static str, u64, u64)>,
    fences: HashMap<String, u64>,
    /// How many processes each worker has had, and how many numbered requests the last one has made.
    processes: HashMap<&'static str, (u64, u64)>,
    /// Accepted commits, to be repeated.
    commits: Vec<Commit>,
    parts: HashSet<String>,
    /// Parts of the runs that are done, by study and run.
    done: BTreeMap<(String, String), String>,
    /// Every plan of a compaction, ended or not.
    plans: Vec<Plan>,
    /// The large part that a part's rows were moved into.
    moved: HashMap<String, String>,
}

impl Known {
    fn live(&self, worker: &str, given: &Given, now_ms: u64) -> bool {
        let live = self.live.get(&given.shard);
        live.is_some_and(|(holder, fence, deadline_ms)| {
            *holder == worker && *fence == given.fence && *deadline_ms > now_ms
        })
    }
}

fn listings(bench: &mut Bench, known: &Known) -> Vec<Vec<Run>> {
    let studies = STUDIES.iter().filter(|(name, ..)| known.submitted.contains(name));
    studies.map(|(name, ..)| bench.runs(name)).collect()
}

fn pick<T>(all: &[T], index: usize) -> Option<&T> {
    all.get(index.checked_rem(all.len())?)
}

fn check(bench: &mut Bench, known: &mut Known) {
    for (name, ..) in STUDIES.iter().filter(|(name, ..)| known.submitted.clone().contains(name)) {
        let (runs, status) = (bench.runs(name), bench.status(name));
        let count = |state| runs.iter().filter(|run| run.state == state).count() as u64;
        let unentered = status.planned - runs.len() as u64;
        assert_eq!(status.unentered == 0, unentered == 0);
        assert_eq!(status.done, count(RunState::Done));
        assert_eq!(status.failed, count(RunState::Failed));
        assert_eq!(status.cancelled, count(RunState::Cancelled));
        assert_eq!(status.open(), count(RunState::Pending) + unentered);
        assert!(status.leased <= status.open());
        assert!(status.state != StudyState::Active || status.open() > 0);
        assert!(status.state == StudyState::Active || count(RunState::Pending) == 0);
        assert_eq!(status.ended_ms == 0, status.state == StudyState::Active);
        for run in runs {
            assert_eq!(run.state == RunState::Done, !run.part.is_empty());
            assert!(run.attempts <= SETTINGS.max_attempts);
            let key = (name.to_string(), run.run.clone());
            if let Some(part) = known.done.get(&key) {
                let is_moved = known.moved.get(part) == Some(&run.part);
                assert!(run.part == *part || is_moved, "a done run stays done, by the same part: {run:?}, {part}");
            }
            if run.state == RunState::Done {
                known.done.insert(key, run.part);
            }
        }
    }
    bench.ask(ListWorkers).unwrap();
    bench.ask(ListStudies).unwrap();
    for worker in WORKERS {
        drop(bench.ask(Explain { what: worker.to_string() }));
    }
    bench.ask(StaleManifests).unwrap();
    bench.ask(ListAudit { target: String::new(), before: None, limit: 20 }).unwrap();
    if let Some((_, given)) = known.leases.last() {
        let run = runs_of(given).remove(0);
        bench.ask(Logs { run: run.clone() }).unwrap();
        bench.ask(Explain { what: run }).unwrap();
        bench.ask(Explain { what: given.shard.clone() }).unwrap();
        bench.ask(Explain { what: given.study.clone() }).unwrap();
    }
    // The same run is done once: by one part in all studies.
    let mut parts: HashMap<&str, &str> = HashMap::new();
    for ((_, run), part) in &known.done {
        assert_eq!(parts.entry(run).or_insert(part), part, "one run, one part");
    }
}

/// When the troubles end, every study that was not given up ends, too.
fn history(bench: &mut Bench, steps: &[Step]) {
    let mut known = Known::default();
    for step in steps {
        take(bench, &mut known, step);
        check(bench, &mut known);
    }
    for (name, seeds, shard_size) in STUDIES.iter().filter(|(name, ..)| known.submitted.contains(name)) {
        bench.submit(study(name, seeds, *shard_size)).unwrap();
        let (study, reason, who) = (name.to_string(), String::new(), String::new());
        bench.ask(Pause { study, paused: false, reason, who }).unwrap();
    }
    for _ in 0..3 {
        bench.now_ms += 10 * SETTINGS.lease_ms;
        bench.finish_all("last");
    }
    check(bench, &mut known);
    for (name, ..) in STUDIES.iter().filter(|(name, ..)| known.submitted.contains(name)) {
        assert!(bench.status(name).state != StudyState::Active);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_history_on_sqlite_is_the_models(steps in prop::collection::vec(step(), 1..60)) {
        history(&mut Bench::new(Box::new(Sqlite::new())), &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// With connections cut between a commit and its answer.
    #[test]
    fn any_history_on_postgresql_is_the_models(steps in prop::collection::vec(step(), 1..60)) {
        if let Some(behind) = Behind::new("any_history_on_postgresql_is_the_models") {
            let proxy = behind.proxy.clone();
            let mut bench = Bench::new(Box::new(behind));
            bench.proxy = Some(proxy);
            history(&mut bench, &steps);
        }
    }
}
