//! Random histories: whatever is asked in whatever order, every answer is the model's, and some things hold whatever the model says.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use curvefleet_coordinator::ledger::Reply;
use curvefleet_coordinator::ledger::audit::ListAudit;
use curvefleet_coordinator::ledger::cancel::Cancel;
use curvefleet_coordinator::ledger::commit::Commit;
use curvefleet_coordinator::ledger::drain::Drain;
use curvefleet_coordinator::ledger::expire::Expire;
use curvefleet_coordinator::ledger::explain::Explain;
use curvefleet_coordinator::ledger::heartbeat::Held;
use curvefleet_coordinator::ledger::lease::Lease;
use curvefleet_coordinator::ledger::lease::{Given, Known as Told};
use curvefleet_coordinator::ledger::logs::Logs;
use curvefleet_coordinator::ledger::lose::{CommittedParts, Lose};
use curvefleet_coordinator::ledger::manifest::{Claim, ReadPage, StaleManifests, Written};
use curvefleet_coordinator::ledger::pause::{Pause, Prioritize};
use curvefleet_coordinator::ledger::register::Register;
use curvefleet_coordinator::ledger::release::Release;
use curvefleet_coordinator::ledger::retry::Retry;
use curvefleet_coordinator::ledger::runs::Run;
use curvefleet_coordinator::ledger::state::{FailureKind, RunState, StudyState};
use curvefleet_coordinator::ledger::study::ListStudies;
use curvefleet_coordinator::ledger::tokens::{ListTokens, RevokeToken, Role};
use curvefleet_coordinator::ledger::workers::ListWorkers;
use proptest::prelude::*;

use crate::bench::{Bench, SETTINGS, commit_of, lease_of, register_of, runs_of, study};
use crate::cases::tokens::token_of;
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
    Lease {
        worker: usize,
        shards: u32,
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
        6 => (0..WORKERS.len(), 1_u32..4).prop_map(|(worker, shards)| Step::Lease { worker, shards }),
        2 => any::<usize>().prop_map(|lease| Step::Beat { lease }),
        8 => (any::<usize>(), 1_u8..8).prop_map(|(lease, runs)| Step::Commit { lease, runs }),
        1 => any::<usize>().prop_map(|commit| Step::CommitAgain { commit }),
        4 => (any::<usize>(), 0_usize..3, kind).prop_map(|(lease, run, kind)| Step::Fail { lease, run, kind }),
        1 => any::<usize>().prop_map(|lease| Step::Release { lease }),
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

fn take(bench: &mut Bench, known: &mut Known, step: &Step) {
    match step {
        Step::Submit(index) => {
            let (name, seeds, shard_size) = STUDIES[*index];
            let submitted = bench.ask(study(name, seeds, shard_size)).unwrap();
            assert_eq!(submitted.existed, !known.submitted.insert(name));
        }
        Step::Lease { worker, shards } => lease(bench, known, WORKERS[*worker], *shards),
        Step::Beat { lease } => with_lease(known, *lease, |known, worker, given| {
            let was_live = known.live(worker, given, bench.now_ms);
            let held = bench.holds(worker, given);
            assert!(held || !was_live, "a live lease is renewed");
            if held {
                let deadline_ms = bench.now_ms + SETTINGS.lease_ms;
                known.live.insert(given.shard.clone(), (worker, given.fence, deadline_ms));
            }
        }),
        Step::Commit { lease, runs } => with_lease(known, *lease, |known, worker, given| {
            commit(bench, known, worker, given, *runs);
        }),
        Step::CommitAgain { commit } => {
            if let Some(again) = pick(&known.commits, *commit).cloned() {
                let before = listings(bench, known);
                assert!(bench.ask(again).unwrap(), "an accepted commit is accepted for good");
                assert_eq!(listings(bench, known), before);
            }
        }
        Step::Fail { lease, run, kind } => with_lease(known, *lease, |known, worker, given| {
            let was_live = known.live(worker, given, bench.now_ms);
            let runs = runs_of(given);
            let before = listings(bench, known);
            let accepted = bench.fail(worker, given, &runs[run % runs.len()], *kind);
            assert!(accepted || !was_live);
            if accepted {
                forget(known, given, *kind == FailureKind::Study);
            } else {
                assert_eq!(listings(bench, known), before, "a stale failure changes nothing");
            }
        }),
        Step::Release { lease } => with_lease(known, *lease, |known, worker, given| {
            let held = vec![Held { shard: given.shard.clone(), fence: given.fence }];
            if bench.ask(Release { worker: worker.to_string(), held, leaving: None }).unwrap() == 1 {
                forget(known, given, false);
            }
        }),
        Step::Cancel(index) => {
            let name = STUDIES[*index].0;
            let cancel = Cancel { study: name.to_string(), who: String::new() };
            assert_eq!(bench.ask(cancel).is_ok(), known.submitted.contains(name));
            known.live.clear();
        }
        Step::Retry(index) => {
            let name = STUDIES[*index].0;
            let retry = Retry { study: name.to_string(), who: String::new() };
            assert_eq!(bench.ask(retry).is_ok(), known.submitted.contains(name));
        }
        Step::Lose { study, part } => lose(bench, known, STUDIES[*study].0, *part),
        Step::Pause { study, paused } => {
            let (study, paused, reason, who) = (STUDIES[*study].0, *paused, "a reason".to_string(), "me".to_string());
            let asked = bench.ask(Pause { study: study.to_string(), paused, reason, who });
            assert_eq!(asked.is_ok(), known.submitted.contains(study));
        }
        Step::Prioritize { study, priority } => {
            let (study, priority) = (STUDIES[*study].0, *priority);
            let asked = bench.ask(Prioritize { study: study.to_string(), priority, who: "me".to_string() });
            assert_eq!(asked.map(|status| status.priority).ok(), known.submitted.contains(study).then_some(priority));
        }
        Step::Drain { worker, drained } => {
            let (worker, reason, who) = (WORKERS[*worker].to_string(), "a reason".to_string(), "me".to_string());
            if let Ok(worker) = bench.ask(Drain { worker, drained: *drained, reason, who }) {
                assert_eq!(worker.drained_ms > 0, *drained);
            }
        }
        Step::LeaseKnowing { worker, shards, of_held, is_old } => {
            lease_knowing(bench, known, WORKERS[*worker], *shards, *of_held, *is_old);
        }
        Step::StartAnew { worker } => start_anew(bench, known, WORKERS[*worker]),
        Step::Leave { worker } => leave(bench, known, WORKERS[*worker]),
        Step::MakeToken { id, role, valid_ms } => {
            let id = TOKENS[*id];
            let before = bench.ask(ListTokens).unwrap().tokens.len();
            let made = bench.ask(token_of(id, &id[..1], Role::ALL[*role], *valid_ms)).is_ok();
            assert_eq!(bench.ask(ListTokens).unwrap().tokens.len(), before + usize::from(made));
        }
        Step::RevokeToken { id } => {
            let id = TOKENS[*id].to_string();
            let revoked = bench.ask(RevokeToken { id, who: "me".to_string() });
            assert!(revoked.map_or(true, |token| !token.is_live(bench.now_ms)), "what is revoked is not live");
        }
        Step::Expire => drop(bench.ask(Expire { all: false }).unwrap()),
        Step::Wait { ms } => bench.now_ms += ms,
        Step::LeaseAll { shards } => lease_all(bench, known, *shards),
        Step::WriteManifest { study, late } => write_manifest(bench, STUDIES[*study].0, *late),
        Step::Cut(cut) => bench.cut(*cut),
        Step::Restart => bench.restart(),
    }
}

/// The runs of a lost part are not done any more, and its commit is none that can be repeated.
fn lose(bench: &mut Bench, known: &mut Known, study: &str, index: usize) {
    let parts: Vec<String> = known.parts.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let Some(part) = pick(&parts, index) else { return };
    let (study, who) = (study.to_string(), String::new());
    let asked = CommittedParts { study: study.clone(), parts: parts.clone() };
    let is_known = bench.ask(asked).is_ok();
    let lost = bench.ask(Lose { study, parts: vec![(part.clone(), "is missing".to_string())], who });
    assert_eq!(lost.is_ok(), is_known);
    if is_known {
        let lost = known.done.iter().filter(|(_, done)| *done == part).map(|((_, run), _)| run.clone());
        let lost: HashSet<String> = lost.collect();
        known.done.retain(|_, done| done != part);
        // Nor is one that holds a lost run beside others: it was done before, by the lost part.
        let is_whole = |commit: &Commit| !commit.runs.iter().any(|(run, _)| lost.contains(run));
        known.commits.retain(|commit| commit.part != *part && is_whole(commit));
    }
}

fn pick<T>(all: &[T], index: usize) -> Option<&T> {
    all.get(index.checked_rem(all.len())?)
}

fn with_lease(known: &mut Known, index: usize, then: impl FnOnce(&mut Known, &'static str, &Given)) {
    if let Some((worker, given)) = pick(&known.leases, index).cloned() {
        then(known, worker, &given);
    }
}

/// The lease may have ended; after a study's end, so may all.
fn forget(known: &mut Known, given: &Given, all: bool) {
    known.live.remove(&given.shard);
    if all {
        known.live.clear();
    }
}

fn lease(bench: &mut Bench, known: &mut Known, worker: &'static str, shards: u32) {
    register(bench, known, worker);
    let leases = bench.ask(lease_of(worker, shards)).unwrap().leases;
    note_leases(bench, known, worker, leases);
}

/// Introduces the process that goes by the worker's name, which keeps its leases.
fn register(bench: &mut Bench, known: &mut Known, worker: &'static str) {
    let (process, _) = *known.processes.entry(worker).or_default();
    bench.ask(Register { session: session(process), ..register_of(worker) }).unwrap();
}

/// Every lease that the worker does not name is given back, and those that it names are kept.
fn lease_knowing(
    bench: &mut Bench,
    known: &mut Known,
    worker: &'static str,
    shards: u32,
    of_held: usize,
    is_old: bool,
) {
    let (process, number) = known.processes.entry(worker).or_default();
    *number += u64::from(!is_old);
    let (session, number) = (session(*process), *number);
    let is_numbered = number > 0;
    let held = |(shard, (_, fence, _)): (&String, &(&str, u64, u64))| Held { shard: shard.clone(), fence: *fence };
    let of_worker = known.live.iter().filter(|(_, (holder, ..))| *holder == worker);
    let mut held: Vec<Held> = of_worker.map(held).collect();
    held.sort_by(|a, b| a.shard.cmp(&b.shard));
    let named: Vec<Held> = held.iter().step_by(of_held).cloned().collect();
    bench.ask(Register { session: session.clone(), ..register_of(worker) }).unwrap();
    let told = is_numbered.then(|| Told { number, held: named.clone() });
    let ahead_ms = of_held as u64 * 100;
    let leased = bench.ask(Lease { session, known: told, ahead_ms, ..lease_of(worker, shards - 1) }).unwrap();
    if is_numbered && is_old {
        assert!(leased.leases.is_empty(), "an old request is not carried out");
    } else if is_numbered {
        known.live.retain(|shard, (holder, ..)| *holder != worker || named.iter().any(|held| held.shard == *shard));
    }
    note_leases(bench, known, worker, leased.leases);
}

fn session(process: u64) -> String {
    if process == 0 { String::new() } else { process.to_string() }
}

fn start_anew(bench: &mut Bench, known: &mut Known, worker: &'static str) {
    let entry = known.processes.entry(worker).or_default();
    *entry = (entry.0 + 1, 0);
    let new = session(entry.0);
    bench.ask(Register { session: new, ..register_of(worker) }).unwrap();
    known.live.retain(|_, (holder, ..)| *holder != worker);
}

fn leave(bench: &mut Bench, known: &mut Known, worker: &'static str) {
    let (process, _) = known.processes.entry(worker).or_default();
    let (worker_name, leaving) = (worker.to_string(), Some(session(*process)));
    bench.ask(Release { worker: worker_name, held: Vec::new(), leaving }).unwrap();
    // A worker that never registered holds nothing.
    known.live.retain(|_, (holder, ..)| *holder != worker);
}

fn lease_all(bench: &mut Bench, known: &mut Known, shards: u32) {
    for worker in WORKERS {
        register(bench, known, worker);
    }
    let asked = WORKERS.map(|worker| lease_of(worker, shards).into());
    for (worker, reply) in WORKERS.into_iter().zip(bench.transact(asked.to_vec())) {
        let Ok(Reply::Lease(leased)) = reply else { panic!("{reply:?}") };
        note_leases(bench, known, worker, leased.leases);
    }
}

/// Writes a manifest; a writer that is late notes its page after another has claimed the manifest.
fn write_manifest(bench: &mut Bench, study: &str, late: bool) {
    let study = study.to_string();
    let Ok(Some(mut claim)) = bench.ask(Claim { study: study.clone() }) else { return };
    let page = bench.ask(ReadPage { study: study.clone(), after: None, limit: 100 }).unwrap();
    let runs = page.entries.len() as u64;
    if late {
        bench.now_ms += SETTINGS.lease_ms;
        let other = bench.ask(Claim { study: study.clone() }).unwrap().expect("claims end");
        let late = Written { study: study.clone(), claim, changes: page.changes, runs };
        assert!(!bench.ask(late).unwrap(), "another has claimed it since");
        assert!(!bench.status(&study).manifest_current);
        claim = other;
    }
    assert!(bench.ask(Written { study, claim, changes: page.changes, runs }).unwrap());
}

fn note_leases(bench: &Bench, known: &mut Known, worker: &'static str, leases: Vec<Given>) {
    for given in leases {
        if let Some((_, _, deadline_ms)) = known.live.get(&given.shard) {
            assert!(*deadline_ms <= bench.now_ms, "two live leases on the shard {}", given.shard);
        }
        let last = known.fences.insert(given.shard.clone(), given.fence);
        assert!(last.is_none_or(|last| given.fence > last), "the fence of {} grows", given.shard);
        assert!(!given.runs.is_empty(), "a lease has something to train");
        let deadline_ms = bench.now_ms + SETTINGS.lease_ms;
        known.live.insert(given.shard.clone(), (worker, given.fence, deadline_ms));
        known.leases.push((worker, given));
    }
}

fn commit(bench: &mut Bench, known: &mut Known, worker: &'static str, given: &Given, chosen: u8) {
    let all = runs_of(given);
    let runs: Vec<String> =
        all.into_iter().enumerate().filter(|(index, _)| chosen >> index & 1 == 1).map(|(_, run)| run).collect();
    if runs.is_empty() {
        return;
    }
    let was_live = known.live(worker, given, bench.now_ms);
    let before = listings(bench, known);
    let mut commit = commit_of(worker, given, 0, &runs);
    for n in 1.. {
        if known.parts.contains(&commit.part) {
            commit = commit_of(worker, given, n, &runs);
        } else {
            break;
        }
    }
    let accepted = bench.ask(commit.clone()).unwrap();
    assert!(accepted || !was_live, "a live lease may commit");
    let after = listings(bench, known);
    if accepted {
        // The commit may have closed shards of any study that waited for its runs.
        known.live.clear();
        known.parts.insert(commit.part.clone());
        let index = STUDIES.iter().filter(|(name, ..)| known.submitted.contains(name));
        let at = index.map(|(name, ..)| *name).position(|name| name == given.study).unwrap();
        let done = after[at].iter().filter(|run| runs.contains(&run.run));
        assert!(done.clone().count() == runs.len() && done.clone().all(|run| run.state == RunState::Done));
        known.commits.push(commit);
    } else {
        assert_eq!(after, before, "a stale commit changes nothing");
    }
}

fn check(bench: &mut Bench, known: &mut Known) {
    for (name, ..) in STUDIES.iter().filter(|(name, ..)| known.submitted.clone().contains(name)) {
        let (runs, status) = (bench.runs(name), bench.status(name));
        let count = |state| runs.iter().filter(|run| run.state == state).count() as u64;
        assert_eq!(status.planned, runs.len() as u64);
        assert_eq!(status.done, count(RunState::Done));
        assert_eq!(status.failed, count(RunState::Failed));
        assert_eq!(status.cancelled, count(RunState::Cancelled));
        assert_eq!(status.open(), count(RunState::Pending));
        assert!(status.leased <= status.open());
        assert_eq!(status.state == StudyState::Active, status.open() > 0);
        assert_eq!(status.ended_ms == 0, status.open() > 0);
        for run in runs {
            assert_eq!(run.state == RunState::Done, !run.part.is_empty());
            assert!(run.attempts <= SETTINGS.max_attempts);
            let key = (name.to_string(), run.run.clone());
            if let Some(part) = known.done.get(&key) {
                assert_eq!(&run.part, part, "a done run stays done, by the same part");
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
    for (name, ..) in STUDIES.iter().filter(|(name, ..)| known.submitted.contains(name)) {
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
