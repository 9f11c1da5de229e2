//! The steps of a random history, each with what holds of it whatever the model says.

use std::collections::{BTreeSet, HashSet};

use curvefleet_coordinator::ledger::Reply;
use curvefleet_coordinator::ledger::cancel::Cancel;
use curvefleet_coordinator::ledger::compact::{EndCompaction, LARGE_BYTES, ListMoved, Made, Plan, PlanCompaction};
use curvefleet_coordinator::ledger::drain::Drain;
use curvefleet_coordinator::ledger::expire::Expire;
use curvefleet_coordinator::ledger::heartbeat::{Held, InTraining};
use curvefleet_coordinator::ledger::lease::{Given, Known as Told, Lease};
use curvefleet_coordinator::ledger::lose::{CommittedParts, Lose};
use curvefleet_coordinator::ledger::manifest::{Claim, ReadPage, Written};
use curvefleet_coordinator::ledger::pause::{Pause, Prioritize};
use curvefleet_coordinator::ledger::register::Register;
use curvefleet_coordinator::ledger::release::Release;
use curvefleet_coordinator::ledger::retry::Retry;
use curvefleet_coordinator::ledger::runs::Run;
use curvefleet_coordinator::ledger::split::Split;
use curvefleet_coordinator::ledger::state::{FailureKind, RunState};
use curvefleet_coordinator::ledger::tokens::{ListTokens, RevokeToken, Role};
use curvefleet_proto::artifact::{compacted_key, sha256_hex};

use super::{Known, STUDIES, Step, TOKENS, WORKERS, listings, pick};
use crate::bench::{Bench, SETTINGS, commit_of, enter_of, lease_of, register_of, runs_of, study};
use crate::cases::tokens::token_of;

pub fn take(bench: &mut Bench, known: &mut Known, step: &Step) {
    match step {
        Step::Submit(index) => {
            let (name, seeds, shard_size) = STUDIES[*index];
            let submitted = bench.ask(study(name, seeds, shard_size)).unwrap();
            assert_eq!(submitted.existed, !known.submitted.insert(name));
        }
        Step::Enter(index) => {
            let (name, seeds, shard_size) = STUDIES[*index];
            let entered = bench.ask(enter_of(&study(name, seeds, shard_size)));
            assert_eq!(entered.is_ok(), known.submitted.contains(name));
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
        Step::BeatTraining { lease, run, has_epoch } => with_lease(known, *lease, |_, worker, given| {
            let runs = runs_of(given);
            let Some(first) = runs.iter().position(|known| Some(known) == pick(&runs, *run)) else { return };
            let training = InTraining { runs: runs[first..].to_vec(), has_epoch: *has_epoch };
            bench.trains(worker, given, training);
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
            let before = listings(bench, known);
            let runs = carried(&before, given);
            let Some(run) = pick(&runs, *run) else { return };
            let accepted = bench.fail(worker, given, run, *kind);
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
        Step::Split { lease, runs } => with_lease(known, *lease, |known, worker, given| {
            split(bench, known, worker, given, *runs);
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
        Step::PlanCompaction => {
            let Some(plan) = bench.ask(PlanCompaction).unwrap() else { return };
            assert!(plan.sources.iter().all(|source| !source.runs.is_empty()), "what is moved has runs: {plan:?}");
            let is_again = |other: &Plan| (&other.study, other.claim) == (&plan.study, plan.claim);
            assert!(!known.plans.iter().any(is_again), "no two plans share a number");
            known.plans.push(plan);
        }
        Step::EndCompaction { plan, of_sources, unfit } => {
            end_compaction(bench, known, *plan, *of_sources, *unfit);
        }
        Step::Cut(cut) => bench.cut(*cut),
        Step::Restart => bench.restart(),
    }
}

/// Ends a plan, perhaps one that was ended before or that others have overtaken; runs stay done, and lie in the large part or where they
/// were.
fn end_compaction(bench: &mut Bench, known: &mut Known, plan: usize, of_sources: usize, unfit: bool) {
    let Some(plan) = pick(&known.plans, plan).cloned() else { return };
    let before = bench.runs(&plan.study);
    let sources: Vec<String> = plan.sources.iter().map(|source| source.part.clone()).step_by(of_sources).collect();
    let sha256 = sha256_hex(sources.concat().as_bytes());
    let key = compacted_key(&plan.study, plan.claim, &sha256);
    let unfit = plan.sources.iter().take(usize::from(unfit)).map(|source| source.part.clone()).collect();
    let made = Made { key: key.clone(), size_bytes: 1_000, sha256, sources: sources.clone() };
    let end = EndCompaction { study: plan.study.clone(), claim: plan.claim, made: Some(made), unfit };
    let moved = bench.ask(end).unwrap();
    let after = bench.runs(&plan.study);
    let list = ListMoved { study: plan.study, since_ms: 0, after: String::new(), limit: 1_000 };
    let listed: HashSet<String> = bench.ask(list).unwrap().into_iter().map(|moved| moved.part).collect();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&before.run, before.state), (&after.run, after.state));
        if before.part != after.part {
            assert!(moved > 0 && after.part == key && sources.contains(&before.part));
            assert!(listed.contains(&before.part));
            known.moved.insert(before.part.clone(), key.clone());
        }
    }
    if moved > 0 {
        known.parts.insert(key);
    }
}

/// The runs of a lost part are not done any more.
fn lose(bench: &mut Bench, known: &mut Known, study: &str, index: usize) {
    let parts: Vec<String> = known.parts.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let Some(part) = pick(&parts, index) else { return };
    let (study, who) = (study.to_string(), String::new());
    let asked = CommittedParts { study: study.clone(), parts: parts.clone() };
    let is_known = bench.ask(asked).is_ok();
    let lost =
        bench.ask(Lose { study, parts: vec![(part.clone(), "is missing".to_string())], who, what: "retry damaged" });
    assert_eq!(lost.is_ok(), is_known);
    if is_known {
        known.done.retain(|_, done| done != part);
    }
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
    let before = listings(bench, known);
    let runs: Vec<String> = carried(&before, given)
        .into_iter()
        .enumerate()
        .filter(|(index, _)| chosen >> index & 1 == 1)
        .map(|(_, run)| run)
        .collect();
    if runs.is_empty() {
        return;
    }
    let was_live = known.live(worker, given, bench.now_ms);
    let mut commit = commit_of(worker, given, 0, &runs);
    for n in 1.. {
        if known.parts.contains(&commit.part) {
            commit = commit_of(worker, given, n, &runs);
        } else {
            break;
        }
    }
    // Some are so large that a few fill a large part, and some too large to be moved.
    commit.size_bytes = [100, LARGE_BYTES * 2 / 3, LARGE_BYTES - 1, LARGE_BYTES][usize::from(chosen) % 4];
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

/// The runs that a shard carries.
fn carried(listings: &[Vec<Run>], given: &Given) -> Vec<String> {
    let runs = listings.iter().flatten().filter(|run| run.shard == given.shard);
    runs.map(|run| run.run.clone()).collect()
}

/// Pending runs go to another shard, keep what they were and their places in the plan, and nothing else changes.
fn split(bench: &mut Bench, known: &mut Known, worker: &'static str, given: &Given, chosen: u8) {
    let places: Vec<u32> = given.runs.iter().copied().filter(|place| chosen >> place & 1 == 1).collect();
    let was_live = known.live(worker, given, bench.now_ms);
    let before = listings(bench, known);
    let (shard, fence) = (given.shard.clone(), given.fence);
    let split = Split { worker: worker.to_string(), shard, fence, runs: places.clone() };
    let accepted = bench.ask(split.clone()).unwrap();
    assert!(accepted || !was_live, "a live lease may give runs up");
    let after = listings(bench, known);
    if !accepted {
        assert_eq!(after, before, "a stale request changes nothing");
        return;
    }
    for (old, new) in before.into_iter().flatten().zip(after.into_iter().flatten()) {
        let leaves =
            old.shard == given.shard && old.state == RunState::Pending && places.contains(&(old.place.1 as u32));
        assert_eq!(new.shard != old.shard, leaves);
        assert_eq!(new, Run { shard: new.shard.clone(), ..old });
    }
    // Where all runs that are left were tried, the lease has ended.
    forget(known, given, false);
    let before = listings(bench, known);
    bench.ask(split).unwrap();
    assert_eq!(listings(bench, known), before, "the same again changes nothing");
}
