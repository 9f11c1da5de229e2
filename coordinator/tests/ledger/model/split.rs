//! Runs that leave a shard whose worker has not begun them, because another has nothing to do.

use std::cmp::Reverse;

use curvefleet_coordinator::ledger::lease::Lease;
use curvefleet_coordinator::ledger::split::Split;
use curvefleet_coordinator::ledger::state::StudyState;

use super::{Attempt, Model, Shard, ShardState};

impl Model {
    /// A worker that was given nothing would share what others hold: the most work of the first study first.
    pub fn want(&mut self, lease: &Lease) {
        let has = self.workers[&lease.worker].register.has.clone();
        let is_asked = |shard: &&Shard| shard.state == ShardState::Leased && shard.wanted_by == lease.worker;
        let asked = self.shards.iter().filter(is_asked).count();
        let may_share = |index: &usize| {
            let shard = &self.shards[*index];
            let study = &self.studies[shard.study];
            let is_open = study.state == StudyState::Active && study.paused_ms == 0;
            let needs = study.submit.study.requirement_of(&shard.spec.model);
            let is_untold = shard.state == ShardState::Leased && shard.wanted_by.is_empty() && !shard.spent;
            is_open && is_untold && needs.lacking(&has).is_none()
        };
        let order = |index: &usize| {
            let shard = &self.shards[*index];
            let study = &self.studies[shard.study];
            let needs = study.submit.study.requirement_of(&shard.spec.model);
            let requires = study.submit.study.requirements().iter().position(|known| *known == needs);
            let left = shard.pending().count() as u64 * shard.work_ms;
            (Reverse(study.priority), shard.study, requires, Reverse(left), *index)
        };
        let mut found: Vec<usize> = (0..self.shards.len()).filter(may_share).collect();
        found.sort_by_key(order);
        for index in found.into_iter().take((lease.shards as usize).saturating_sub(asked)) {
            self.shards[index].wanted_by = lease.worker.clone();
        }
    }

    pub fn split(&mut self, now_ms: u64, split: &Split) -> bool {
        let Some(index) = self.held(&split.shard, &split.worker, split.fence) else { return false };
        self.seen(now_ms, &split.worker);
        let last_place =
            self.shards.iter().filter(|shard| shard.study == self.shards[index].study).map(|shard| shard.place);
        // Beyond those that are still to be entered.
        let place = last_place.max().unwrap() + 1 + self.unentered(self.shards[index].study);
        let shard = &mut self.shards[index];
        (shard.wanted_by, shard.spent) = (String::new(), split.runs.is_empty());
        let leaving: Vec<usize> = shard.pending().filter(|place| split.runs.contains(&(*place as u32))).collect();
        if leaving.is_empty() {
            return true;
        }
        let runs = leaving.iter().map(|place| (*place, shard.runs.remove(place).unwrap())).collect();
        let places: Vec<u32> = leaving.iter().map(|place| *place as u32).collect();
        let new = Shard {
            study: shard.study,
            place,
            plan_place: shard.plan_place,
            spec: shard.spec.split(&places),
            runs,
            state: ShardState::Pending,
            fence: shard.fence,
            worker: String::new(),
            leased_ms: 0,
            deadline_ms: 0,
            not_before_ms: 0,
            setbacks: shard.setbacks,
            avoid: String::new(),
            work_ms: shard.work_ms,
            split_from: split.shard.clone(),
            wanted_by: String::new(),
            spent: false,
            in_training: None,
        };
        self.shards.push(new);
        self.take_attempts(index, self.shards.len() - 1, &leaving);
        self.settle(now_ms, index);
        true
    }

    /// The attempts at runs go with them; the ends of leases concern both shards.
    fn take_attempts(&mut self, from: usize, to: usize, places: &[usize]) {
        let goes = |attempt: &Attempt| attempt.place.is_some_and(|place| places.contains(&place));
        let of_shard = self.attempts.iter().filter(|attempt| attempt.shard == from);
        let copied = of_shard.filter(|attempt| attempt.place.is_none() || goes(attempt));
        let copied: Vec<Attempt> = copied.map(|attempt| Attempt { shard: to, ..attempt.clone() }).collect();
        self.attempts.retain(|attempt| attempt.shard != from || !goes(attempt));
        self.attempts.extend(copied);
    }
}
