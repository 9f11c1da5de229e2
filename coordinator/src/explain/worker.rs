//! Sentences about a worker.

use super::{Draft, SILENT_LEASE_PARTS, Scene, words};
use crate::ledger::drain::DRAIN_AFTER_RUNS;
use crate::ledger::explain::{AboutWorker, Waiting};
use crate::ledger::workers::Worker;

/// Leases and failures that are told; the others are counted.
const TOLD: usize = 5;

pub(super) fn explain(scene: &Scene<'_>, about: &AboutWorker) -> Draft {
    let worker = &about.worker;
    let mut draft = Draft {
        title: format!(
            "worker {} ({} at a time, {}, version {})",
            worker.name, worker.slots, worker.backend, worker.version
        ),
        ..Draft::default()
    };
    draft.say(has(worker));
    life(scene, worker, &mut draft);
    drained(scene, worker, &mut draft);
    leases(scene, about, &mut draft);
    failures(scene, about, &mut draft);
    if worker.takes_work() && about.leases.is_empty() {
        idle(scene, about, &mut draft);
    }
    draft
}

fn has(worker: &Worker) -> String {
    let mut parts = vec![words::counted(u64::from(worker.has.cores), "core")];
    if worker.has.memory_bytes > 0 {
        parts.push(format!("{:.0} GiB of memory", worker.has.memory_bytes as f64 / f64::from(1 << 30)));
    }
    parts.extend(worker.has.gpus.iter().map(|gpu| format!("the graphics card {gpu}")));
    parts.extend(worker.has.labels.iter().map(|(key, value)| format!("the label {key}={value}")));
    format!("It has {}.", words::list(&parts, usize::MAX))
}

fn life(scene: &Scene<'_>, worker: &Worker, draft: &mut Draft) {
    let silent_ms = scene.now_ms.saturating_sub(worker.last_seen_ms);
    if worker.left_ms > 0 {
        draft.say(format!("It ended politely {} and holds nothing.", scene.ago(worker.left_ms)));
    } else if !worker.alive {
        draft.say(format!(
            "Nothing was heard of it for {}, since {}, which is longer than a lease lasts ({}): its process was killed, its \
             machine is away, or the network between is cut. What it held goes to other workers.",
            words::span(silent_ms),
            words::at(scene.now_ms, worker.last_seen_ms),
            words::span(scene.settings.lease_ms)
        ));
    } else if silent_ms * SILENT_LEASE_PARTS > scene.settings.lease_ms {
        draft.say(format!("Nothing was heard of it for {}, which is longer than usual.", words::span(silent_ms)));
    } else {
        draft.say(format!("It is alive: it was heard of {} ago.", words::span(silent_ms)));
    }
    if worker.registered_ms > 0 && worker.alive {
        draft.say(format!("Its process began {}.", scene.ago(worker.registered_ms)));
    }
}

fn drained(scene: &Scene<'_>, worker: &Worker, draft: &mut Draft) {
    if worker.drained_ms == 0 {
        return;
    }
    let who = match worker.drained_by.as_str() {
        "coordinator" => "the coordinator drained it by itself".to_string(),
        who => format!("{who} drained it"),
    };
    let why = if worker.drain_reason.is_empty() {
        String::new()
    } else {
        format!(": {}", words::error(&worker.drain_reason))
    };
    draft.say(format!("It is given nothing, because {who} {}{why}.", scene.ago(worker.drained_ms)));
    draft.advise(format!("curvefleet undrain {}", worker.name), "let it work again, once the cause is mended");
}

fn leases(scene: &Scene<'_>, about: &AboutWorker, draft: &mut Draft) {
    for lease in about.leases.iter().take(TOLD) {
        let training = match scene.in_training(&about.worker.name, &lease.shard) {
            Some(training) => format!(
                "; in training is run {}, after {} with a training loss of {:.4}",
                training.run,
                words::counted(u64::from(training.epochs), "epoch"),
                training.train_loss
            ),
            None => String::new(),
        };
        draft.say(format!(
            "It holds the shard {} of study {} with {} to do, since {} (fence {}){training}.",
            lease.shard,
            lease.study,
            words::counted(lease.open, "run"),
            words::at(scene.now_ms, lease.leased_ms),
            lease.fence
        ));
        draft.advise(format!("curvefleet explain {}", lease.shard), "more about that shard");
    }
    if about.leases.len() > TOLD {
        draft.say(format!("It holds {} in all.", words::counted(u64::from(about.worker.shards), "shard")));
    }
}

fn failures(scene: &Scene<'_>, about: &AboutWorker, draft: &mut Draft) {
    let [newest, ..] = &about.failing[..] else { return };
    let failed = about.failing.len() as u64;
    draft.say(format!(
        "{} failed on it since it committed something last; at {DRAIN_AFTER_RUNS} it is drained, if other workers do well with the \
         same studies.",
        words::counted(failed, "different run")
    ));
    for failed in about.failing.iter().take(TOLD) {
        draft.attempts.push(format!(
            "{}, run {} of study {}: {}",
            words::at(scene.now_ms, failed.at_ms),
            failed.run,
            failed.study,
            words::error(&failed.error)
        ));
    }
    draft.advise(
        format!("curvefleet logs {}", super::study::short(&newest.run)),
        "the attempts at the run that failed last",
    );
    if about.worker.drained_ms == 0 {
        draft.advise(
            format!("curvefleet drain {}", about.worker.name),
            "take it out of service until its machine is mended",
        );
    }
}

/// Why a worker that could work has nothing to do.
fn idle(scene: &Scene<'_>, about: &AboutWorker, draft: &mut Draft) {
    let name = |waiting: &Waiting| waiting.study.clone();
    let names = |chosen: fn(&&Waiting) -> bool| about.waiting.iter().filter(chosen).map(name).collect::<Vec<_>>();
    if about.waiting.is_empty() {
        draft.say("It holds nothing, because no study has anything left to do.");
        draft.advise("curvefleet submit FILE", "hand in a study");
        return;
    }
    let ready = names(|waiting| !waiting.is_paused && waiting.ready > 0);
    let paused = names(|waiting| waiting.is_paused);
    let backoff = names(|waiting| !waiting.is_paused && waiting.ready == 0 && waiting.backoff > 0);
    if !ready.is_empty() {
        draft.say(format!(
            "It holds nothing, although something waits in {}: it asks at least every second, and is given it unless it lacks \
             what is needed there, or it failed on this worker just before and another one is there.",
            words::list(&ready, TOLD)
        ));
    }
    if !paused.is_empty() {
        draft.say(format!("Paused, and so not given out: {}.", words::list(&paused, TOLD)));
        draft.advise(format!("curvefleet resume {}", paused[0]), "let it go on");
    }
    if !backoff.is_empty() {
        let next_ms = about.waiting.iter().filter(|waiting| waiting.backoff > 0).map(|waiting| waiting.next_ms).min();
        draft.say(format!(
            "Waiting out a pause after a failure: {}; the first shard may be given out {}.",
            words::list(&backoff, TOLD),
            scene.ahead(next_ms.unwrap_or(scene.now_ms))
        ));
        draft.advise(format!("curvefleet explain {}", backoff[0]), "what failed there");
    }
    for (study, lacking) in &about.lacking {
        draft.say(format!("For shards of study {study} that wait it lacks {lacking}."));
    }
    if ready.is_empty() && paused.is_empty() && backoff.is_empty() {
        draft.say("It holds nothing, because all that is left to do is with other workers.");
    }
}
