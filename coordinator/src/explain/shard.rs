//! Sentences about a shard.

use super::study::hindrances;
use super::{Draft, SILENT_LEASE_PARTS, Scene, words};
use crate::ledger::explain::AboutShard;
use crate::ledger::lease::ANOTHER_WORKER_MS;
use crate::ledger::state::ShardState;
use crate::ledger::workers::Worker;

pub(super) fn explain(scene: &Scene<'_>, about: &AboutShard) -> Draft {
    let study = &about.study.status.name;
    let mut draft =
        Draft { title: format!("shard {} of study {study}: {}", about.shard, cell(about)), ..Draft::default() };
    let runs = about.runs;
    let all = runs.pending + runs.done + runs.failed + runs.cancelled;
    draft.say(format!(
        "It carries {}: {} done, {} set aside as failed, {} given up, {} to do.",
        words::counted(all, "run"),
        runs.done,
        runs.failed,
        runs.cancelled,
        runs.pending
    ));
    if !about.split_from.is_empty() {
        draft.say(format!(
            "It was split off the shard {}: a worker had nothing to do, and that shard's had not begun these runs.",
            about.split_from
        ));
    }
    where_it_is(scene, about, "", &mut draft);
    draft
}

/// Data set, condition, labels and model.
pub(super) fn cell(about: &AboutShard) -> String {
    format!("{} {} ({} labels, {})", about.data, about.condition, about.labels, about.model)
}

/// Where a shard is, why, and what to do about it; the error `told` has been told already.
pub(super) fn where_it_is(scene: &Scene<'_>, about: &AboutShard, told: &str, draft: &mut Draft) {
    match (about.state, &about.holder) {
        (ShardState::Leased, Some(holder)) => leased(scene, about, holder, draft),
        (ShardState::Leased, None) => draft.say("A worker that the ledger does not know holds it."),
        (ShardState::Pending, _) => pending(scene, about, told, draft),
        (ShardState::Closed, _) => {
            draft.say("The shard is closed: none of its runs is left to do.");
            hindrances(scene, &about.study, false, draft);
        }
    }
}

fn leased(scene: &Scene<'_>, about: &AboutShard, holder: &Worker, draft: &mut Draft) {
    let name = &holder.name;
    draft.say(format!(
        "Worker {name} holds the shard since {} ({}), under fence {}{}.",
        words::at(scene.now_ms, about.leased_ms),
        words::span(scene.now_ms.saturating_sub(about.leased_ms)),
        about.fence,
        if about.fence > 1 {
            let counted = if about.split_from.is_empty() {
                ""
            } else {
                ", the leases of the shard that it was split off among them"
            };
            format!(": it was leased {} before{counted}", words::times(about.fence - 1))
        } else {
            String::new()
        }
    ));
    match scene.in_training(name, &about.shard) {
        Some(training) => draft.say(format!(
            "In training is run {}, after {} with a training loss of {:.4}.",
            training.run,
            words::counted(u64::from(training.epochs), "epoch"),
            training.train_loss
        )),
        None => draft.say(
            "This coordinator has not heard yet which of its runs is in training: the worker fetches the data, has the shard \
             waiting behind others, or talks to another coordinator.",
        ),
    }
    let silent_ms = scene.now_ms.saturating_sub(holder.last_seen_ms);
    if silent_ms * SILENT_LEASE_PARTS > scene.settings.lease_ms {
        draft.say(format!(
            "Nothing was heard of the worker for {}. If that lasts, the lease ends {}, and another worker goes on from the last \
             checkpoint.",
            words::span(silent_ms),
            scene.ahead(about.deadline_ms)
        ));
        draft.advise(format!("curvefleet explain {name}"), "what is the matter with the worker");
    } else {
        draft.say(format!(
            "The worker was heard of {} ago; without another heartbeat the lease would end {}.",
            words::span(silent_ms),
            scene.ahead(about.deadline_ms)
        ));
    }
    if holder.drained_ms > 0 {
        draft.say(format!(
            "The worker was drained {} and hands the shard back after the epoch at hand.",
            scene.ago(holder.drained_ms)
        ));
    }
    if !about.wanted_by.is_empty() {
        draft.say(format!(
            "Worker {} has nothing to do: {name} is asked to hand back half of the runs that it has not begun.",
            about.wanted_by
        ));
    }
    if about.study.status.paused_ms > 0 {
        draft.say("The study was paused, and the worker hands the shard back after the epoch at hand.");
    }
    hindrances(scene, &about.study, false, draft);
}

fn pending(scene: &Scene<'_>, about: &AboutShard, told: &str, draft: &mut Draft) {
    if about.fence == 0 {
        draft.say("No worker has had it yet.");
    }
    let waits = about.not_before_ms > scene.now_ms;
    if let Some(failure) = about.last_failure.as_ref().filter(|failure| failure.error != told) {
        draft.say(format!(
            "What failed on it last, {} on worker {}: {}.",
            scene.ago(failure.at_ms),
            failure.worker,
            words::error(&failure.error)
        ));
    }
    if about.setbacks > 1 {
        draft.say(format!(
            "The machine, the network or the store failed it {} in a row; that is held against none of its runs.",
            words::times(u64::from(about.setbacks))
        ));
    }
    if waits {
        draft.say(format!(
            "After a failure a shard waits, longer each time: it may be given out {}.",
            scene.ahead(about.not_before_ms)
        ));
    }
    let until_ms = about.not_before_ms.saturating_add(ANOTHER_WORKER_MS);
    if !about.avoid.is_empty() && about.others > 0 && until_ms > scene.now_ms {
        draft.say(format!(
            "It goes to another worker than {}, on which it failed, if one asks for it within the next {}.",
            about.avoid,
            words::span(until_ms.saturating_sub(scene.now_ms))
        ));
        draft.advise(format!("curvefleet explain {}", about.avoid), "whether that worker is at fault");
    }
    if !about.needs.is_empty() {
        let fitting = words::doing(about.fitting, "worker", "has", "have");
        draft.say(format!("It needs {}; {fitting} that at the moment.", about.needs));
    }
    if !waits && about.study.status.paused_ms == 0 {
        match about.before {
            0 => draft.say("Of its study it is the next to be given out."),
            before => draft.say(format!("Of its study, {} are given out before it.", words::counted(before, "shard"))),
        }
    }
    hindrances(scene, &about.study, !waits, draft);
}
