//! How much work to ask for, and when: a shard for each free slot, and where shards are short some ahead, so that a worker asks about
//! once a minute.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use curvefleet_proto::limits::MAX_SHARDS_PER_LEASE;
use curvefleet_proto::v1::{Lease, LeaseRequest};
use tokio::task::JoinSet;

use super::holdings::Holding;
use super::{Shared, link, shard};

/// How long the work that is asked for ahead should last.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// How long to wait after there was nothing to have ahead; a slot that falls free asks at once.
const NONE_AHEAD: Duration = Duration::from_secs(10);
/// The weight of the newest shard in the measured speed: a few shards tell it, and one odd shard does not.
const NEWEST: f64 = 0.3;

/// Work that was done: planned milliseconds of a core, and how long it took.
pub type Done = (u64, Duration);

/// The requests for work so far, and what was given and has not begun.
#[derive(Debug)]
pub struct Asks {
    /// How many there were: each goes by its number, so that one that is overtaken by a later one is known as old.
    number: u64,
    /// Whether the last one was answered that the worker is drained.
    drained: bool,
    /// Why none is made for now, though there is room for results, as it was said.
    full_hands: Option<&'static str>,
    trouble: link::Trouble,
    slots: usize,
    /// Leased, and waiting for a slot.
    waiting: VecDeque<(Lease, Arc<Holding>)>,
    /// How fast a slot works.
    pub speed: Speed,
}

/// How fast a slot works, measured.
#[derive(Debug, Default)]
pub struct Speed {
    /// Planned milliseconds of a core that a slot does in a millisecond; 0 until it is known.
    planned_per_ms: f64,
    /// The average shard, in planned milliseconds of a core.
    shard_ms: f64,
}

impl Speed {
    /// Takes note of a shard that was trained to its end.
    pub fn note(&mut self, done: Option<Done>) {
        let Some((planned_ms, took)) = done.filter(|(planned_ms, _)| *planned_ms > 0) else { return };
        let planned_ms = planned_ms as f64;
        let speed = planned_ms / (took.as_secs_f64() * 1e3).max(1.0);
        let is_first = self.planned_per_ms == 0.0;
        let blend = |old: f64, new: f64| if is_first { new } else { old + NEWEST * (new - old) };
        self.planned_per_ms = blend(self.planned_per_ms, speed);
        self.shard_ms = blend(self.shard_ms, planned_ms);
    }

    /// Work to have ahead for so many slots, in planned milliseconds of a core: none where a shard lasts long enough by itself.
    fn ahead_ms(&self, slots: usize) -> u64 {
        let ahead = self.planned_per_ms * ASK_EVERY.as_secs_f64() * 1e3;
        if ahead > self.shard_ms { (ahead * slots as f64) as u64 } else { 0 }
    }
}

impl Asks {
    pub fn new(shared: &Shared, slots: usize) -> Asks {
        let (trouble, waiting) = (shared.link.trouble(), VecDeque::new());
        Asks { number: 0, drained: false, full_hands: None, trouble, slots, waiting, speed: Speed::default() }
    }

    /// Starts what waits as far as there are slots.
    pub fn begin(&mut self, shared: &Arc<Shared>, working: &mut JoinSet<Option<Done>>) {
        while working.len() < self.slots {
            let Some((lease, holding)) = self.waiting.pop_front() else { return };
            working.spawn(shard::train(shared.clone(), lease, holding));
        }
    }

    /// Whether it is time to ask: nothing waits, and a slot is free or shards are short.
    pub fn is_due(&self, working: &JoinSet<Option<Done>>) -> bool {
        self.waiting.is_empty()
            && (working.len() < self.slots || (!self.drained && self.speed.ahead_ms(self.slots) > 0))
    }

    /// Whether the worker has more on its hands than it can deliver; says so when that changes, unless the spool does.
    pub fn has_full_hands(&mut self, shared: &Shared) -> bool {
        if !shared.local.spool.has_room() {
            return true;
        }
        let reason = shared.full_hands();
        if std::mem::replace(&mut self.full_hands, reason) != reason {
            match reason {
                Some(reason) => tracing::warn!(worker = shared.name, reason, "no more shards are leased for now"),
                None => tracing::info!(worker = shared.name, "shards are leased again"),
            }
        }
        reason.is_some()
    }

    /// Asks for a shard for each of `free` slots, and some ahead; says how long to wait before asking again.
    pub async fn ask(&mut self, shared: &Arc<Shared>, free: usize) -> Duration {
        self.number += 1;
        let request = LeaseRequest {
            worker: shared.name.clone(),
            shards: free.min(MAX_SHARDS_PER_LEASE as usize) as u32,
            session: shared.session.clone(),
            number: self.number,
            // The request before has been answered or given up, so that no lease is on its way that is not among these.
            held: shared.holdings.held(),
            ahead_ms: self.speed.ahead_ms(self.slots),
        };
        match shared.link.lease(request).await {
            Ok(reply) => {
                self.trouble = shared.link.trouble();
                if std::mem::replace(&mut self.drained, reply.drained) != reply.drained {
                    let news = if reply.drained { "is drained and waits" } else { "works again" };
                    tracing::info!(worker = shared.name, "the worker {news}");
                }
                let wait = match (reply.leases.is_empty(), free) {
                    (false, _) => Duration::ZERO,
                    (true, 0) => NONE_AHEAD,
                    (true, _) => Duration::from_millis(reply.retry_after_ms.max(1)),
                };
                let held = reply.leases.into_iter().map(|lease| {
                    let holding = shared.holdings.add(&lease.shard, lease.fence);
                    (lease, holding)
                });
                self.waiting.extend(held);
                wait
            }
            Err(status) => {
                if self.trouble.is_news(&status) {
                    tracing::warn!(worker = shared.name, error = status.message(), "cannot ask for work, trying again");
                }
                self.trouble.pause()
            }
        }
    }

    /// Gives back what has not begun, all of it or what is not wanted any more.
    pub async fn hand_back(&mut self, shared: &Shared, all: bool) {
        let waiting = std::mem::take(&mut self.waiting);
        for (lease, holding) in waiting {
            if !all && !holding.is_lost() && !holding.is_unwanted() {
                self.waiting.push_back((lease, holding));
                continue;
            }
            if !holding.is_lost() {
                shard::release(shared, &holding).await;
            }
            shared.holdings.remove(&holding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_shards_are_asked_for_by_the_minute_and_long_ones_one_at_a_time() {
        let mut speed = Speed::default();
        assert_eq!(speed.ahead_ms(4), 0, "nothing is known yet");
        speed.note(Some((0, Duration::from_secs(1))));
        speed.note(None);
        assert_eq!(speed.ahead_ms(4), 0);
        speed.note(Some((500, Duration::from_secs(1))));
        assert_eq!(speed.ahead_ms(4), 4 * 30_000, "half a planned second per second, for a minute on four slots");
        let mut slow = Speed::default();
        slow.note(Some((500_000, Duration::from_secs(1_000))));
        assert_eq!(slow.ahead_ms(4), 0, "one shard lasts longer than a minute");
    }
}
