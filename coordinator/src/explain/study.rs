//! Sentences about a study, and about what of a study concerns its shards.

use super::{Draft, Scene, words};
use crate::ledger::explain::{AboutStudy, Standing, Waiting};
use crate::ledger::state::StudyState;

/// Errors and holders that are named; the others are counted.
const NAMED: usize = 3;

pub(super) fn explain(scene: &Scene<'_>, about: &AboutStudy) -> Draft {
    let status = &about.standing.status;
    let mut draft = Draft { title: format!("study {}", status.name), ..Draft::default() };
    draft.say(format!(
        "It was submitted {} and has {}: {} done, {} set aside as failed, {} given up, {} to do.",
        scene.ago(status.submitted_ms),
        words::counted(status.planned, "run"),
        status.done,
        status.failed,
        status.cancelled,
        status.open()
    ));
    if status.unentered > 0 {
        draft.say(format!(
            "It is still being entered: {} to come.",
            words::doing(status.unentered, "shard", "is", "are")
        ));
    }
    if status.state == StudyState::Active {
        in_training(scene, about, &mut draft);
        what_waits(scene, &about.waiting, &mut draft);
    }
    hindrances(scene, &about.standing, about.waiting.ready > 0, &mut draft);
    if status.state == StudyState::Finished {
        draft.say(format!("It ended {}: none of its runs is left to do.", scene.ago(status.ended_ms)));
    }
    if let [newest, ..] = &about.failing[..] {
        draft.say(format!(
            "{} lately; the last, {} on worker {}, was run {}: {}.",
            words::doing(about.failing.len() as u64, "run", "failed", "failed"),
            scene.ago(newest.at_ms),
            newest.worker,
            newest.run,
            words::error(&newest.error)
        ));
        draft.advise(format!("curvefleet explain {}", short(&newest.run)), "what becomes of the run that failed last");
    }
    for (error, runs, run) in about.errors.iter().take(NAMED) {
        draft.say(format!(
            "{} failed for good with: {} (one of them is {run}).",
            words::counted(*runs, "run"),
            words::error(error)
        ));
    }
    if let [(_, _, run), ..] = &about.errors[..] {
        draft.advise(
            format!("curvefleet logs {}", short(run)),
            "the attempts at one of the failed runs, with their logs",
        );
        draft.advise(format!("curvefleet retry {}", status.name), "try what failed again, once the cause is mended");
    }
    if status.state == StudyState::Active {
        draft.advise(format!("curvefleet watch {}", status.name), "follow it");
    }
    draft
}

fn in_training(scene: &Scene<'_>, about: &AboutStudy, draft: &mut Draft) {
    let status = &about.standing.status;
    if about.holders.is_empty() {
        draft.say("No worker holds any of it at the moment.");
        return;
    }
    let holders: Vec<String> = about.holders.iter().map(|(worker, _)| worker.clone()).collect();
    let shards: u64 = about.holders.iter().map(|(_, shards)| shards).sum();
    let progress = scene.rates.of(&status.name, scene.now_ms);
    let speed = if progress.epochs_per_second > 0.0 {
        let epochs = status.open().saturating_mul(status.epochs_per_run).saturating_sub(progress.epochs_in_training);
        let left_ms = (epochs as f64 / progress.epochs_per_second * 1e3) as u64;
        format!(
            ", {:.1} epochs per second together; at that rate it takes {} more",
            progress.epochs_per_second,
            words::span(left_ms)
        )
    } else {
        String::new()
    };
    draft.say(format!(
        "{} in {} with {}{speed}.",
        words::counted(status.leased, "run"),
        words::doing(shards, "shard", "is", "are"),
        words::list(&holders, NAMED)
    ));
}

fn what_waits(scene: &Scene<'_>, waiting: &Waiting, draft: &mut Draft) {
    if waiting.ready > 0 {
        draft.say(format!("{} for a worker.", words::doing(waiting.ready, "shard", "waits", "wait")));
    }
    if waiting.backoff > 0 {
        draft.say(format!(
            "{} out a pause after a failure; the first of these may be given out {}.",
            words::doing(waiting.backoff, "shard", "waits", "wait"),
            scene.ahead(waiting.next_ms)
        ));
    }
}

/// What keeps a study's shards from being given out, apart from what is the matter with the shard itself; `is_ready` is whether
/// some shard waits for a worker.
pub(super) fn hindrances(scene: &Scene<'_>, standing: &Standing, is_ready: bool, draft: &mut Draft) {
    let status = &standing.status;
    let name = &status.name;
    let by_hand = |what: &str| match &standing.by_hand {
        Some(entry) => format!("{what} {} by {}{}", scene.ago(entry.at_ms), entry.who, words::because(&entry.note)),
        None => what.to_string(),
    };
    match status.state {
        StudyState::Finished => return,
        StudyState::Cancelled => {
            draft.say(format!("The study was {}; what was not done by then was given up.", by_hand("cancelled")));
            draft.advise(format!("curvefleet retry {name}"), "put what was given up back into the queue");
            return;
        }
        StudyState::Stopped => {
            draft.say(format!(
                "The study was stopped {}, because it cannot work: {}.",
                scene.ago(status.ended_ms),
                words::error(&status.stop_reason)
            ));
            draft.advise(format!("curvefleet retry {name}"), "go on, once the reason is mended");
            return;
        }
        StudyState::Active => {}
    }
    if status.paused_ms > 0 {
        draft.say(format!("The study rests: it was {}, and nothing of it is given out.", by_hand("paused")));
        draft.advise(format!("curvefleet resume {name}"), "let the study go on");
    } else if is_ready {
        queue(standing, draft);
    }
}

/// Who goes first, and who is there to train.
fn queue(standing: &Standing, draft: &mut Draft) {
    for unmet in &standing.status.unmet {
        draft.say(format!("No worker that takes work has what some of its runs need: {unmet}."));
        draft.advise("curvefleet workers", "which workers there are, and what they have");
    }
    if standing.working == 0 {
        let (but, advice) = match standing.drained {
            0 => ("", "curvefleet worker --coordinator URL"),
            _ => (", apart from drained ones", "curvefleet undrain WORKER"),
        };
        draft.say(format!("No worker is alive{but}, so that nothing is given out."));
        draft.advise(advice, "give the study a worker");
        draft.advise("curvefleet workers", "which workers there were, and when they were last heard of");
        return;
    }
    if !standing.higher.is_empty() {
        let names = |waiting: &Waiting| format!("{} (priority {})", waiting.study, waiting.priority);
        let names: Vec<String> = standing.higher.iter().map(names).collect();
        let shards: u64 = standing.higher.iter().map(|waiting| waiting.ready).sum();
        draft.say(format!(
            "Studies of higher priority go first: {}, with {} to give out; this one has priority {}.",
            words::list(&names, NAMED),
            words::counted(shards, "shard"),
            standing.status.priority
        ));
        let above = standing.higher.iter().map(|waiting| waiting.priority).max().unwrap_or(0).saturating_add(1);
        draft.advise(format!("curvefleet priority {} {above}", standing.status.name), "put this study before them");
    }
    let drained =
        if standing.drained > 0 { format!(" ({} more are drained)", standing.drained) } else { String::new() };
    draft.say(format!("{} work at the moment{drained}.", words::doing(standing.working, "worker", "takes", "take")));
}

/// Digits enough to name a run in a command.
pub(super) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
