//! Sentences about a run.

use super::study::short;
use super::{Draft, Scene, shard, words};
use crate::ledger::explain::{AboutRun, RunPlace};
use crate::ledger::logs::Attempt;
use crate::ledger::state::{RunState, ShardState};

pub(super) fn explain(scene: &Scene<'_>, about: &AboutRun) -> Draft {
    let mut draft = Draft::default();
    let [first, others @ ..] = &about.places[..] else { return draft };
    draft.title = format!("run {}: {}, seed {}", about.run, shard::cell(&first.shard), first.run.seed);
    place(scene, about, first, &mut draft);
    for other in others {
        place(scene, about, other, &mut draft);
    }
    if about.left_out > 0 {
        draft.attempts.push(format!("{} before these", words::counted(about.left_out, "attempt")));
    }
    draft.attempts.extend(about.attempts.iter().map(|attempt| line(scene, attempt)));
    if !about.attempts.is_empty() {
        draft.advise(format!("curvefleet logs {}", short(&about.run)), "the attempts with their logs");
    }
    draft
}

/// What a run is in one study.
fn place(scene: &Scene<'_>, about: &AboutRun, place: &RunPlace, draft: &mut Draft) {
    let (run, study) = (&place.run, &place.shard.study.status.name);
    let max = scene.settings.max_attempts;
    match run.state {
        RunState::Done => {
            let at = scene.ago(place.committed_ms);
            draft.say(format!(
                "In study {study} it is done: worker {} committed it {at}. Its curve lies in {}.",
                run.worker, run.part
            ));
            if !run.part.starts_with(&format!("studies/{study}/")) {
                draft.say(format!("Study {study} did not train it itself: it reuses what another study had done."));
            }
            draft.advise(
                format!("curvefleet verify {study}"),
                "whether the curves in the store are as they were committed",
            );
        }
        RunState::Failed => {
            draft.say(format!(
                "In study {study} it was set aside: it failed {} by its own fault, and after {max} nobody tries again. The last \
                 error, on worker {}: {}.",
                words::times(u64::from(run.attempts)),
                run.worker,
                words::error(&run.error)
            ));
            draft.advise(
                format!("curvefleet retry {study}"),
                "try all failed runs of the study again, once the cause is mended",
            );
        }
        RunState::Cancelled => {
            draft.say(format!("In study {study} it was given up."));
            super::study::hindrances(scene, &place.shard.study, false, draft);
        }
        RunState::Pending => pending(scene, about, place, draft),
    }
}

fn pending(scene: &Scene<'_>, about: &AboutRun, place: &RunPlace, draft: &mut Draft) {
    let (run, shard, study) = (&place.run, &place.shard, &place.shard.study.status.name);
    let max = scene.settings.max_attempts;
    let in_training = shard.holder.as_ref().and_then(|holder| scene.in_training(&holder.name, &shard.shard));
    match (shard.state, in_training) {
        (ShardState::Leased, _) if place.is_tried => draft.say(format!(
            "In study {study} it failed under the lease at hand, and is tried again when the other runs of its shard {} are \
             through.",
            shard.shard
        )),
        (ShardState::Leased, Some(training)) if training.run == about.run => {
            draft.say(format!("In study {study} it is in training, in the shard {}.", shard.shard));
        }
        (ShardState::Leased, _) => {
            draft.say(format!("In study {study} it is to do, in the shard {}, which a worker holds.", shard.shard));
        }
        _ => draft.say(format!("In study {study} it waits with its shard {} for a worker.", shard.shard)),
    }
    if run.attempts > 0 {
        draft.say(format!(
            "It has failed {} by its own fault, the last time on worker {}: {}. After {max} it is set aside.",
            words::times(u64::from(run.attempts)),
            run.worker,
            words::error(&run.error)
        ));
    }
    shard::where_it_is(scene, shard, &run.error, draft);
}

/// An attempt in one line.
fn line(scene: &Scene<'_>, attempt: &Attempt) -> String {
    let how = match attempt.outcome.as_str() {
        "done" => "done".to_string(),
        "run" => format!("failed by its own fault: {}", words::error(&attempt.error)),
        "infrastructure" => format!("machine, network or store: {}", words::error(&attempt.error)),
        "study" => format!("the study cannot work: {}", words::error(&attempt.error)),
        "lost" => format!("taken back: {}", words::error(&attempt.error)),
        other => format!("{other}: {}", words::error(&attempt.error)),
    };
    format!("{}, {} (fence {}): {how}", words::at(scene.now_ms, attempt.at_ms), attempt.worker, attempt.fence)
}
