//! Carries out a plan of faults on a fleet, and ends each.

use std::time::{Duration, Instant};

use super::fleet::Fleet;
use super::plan::{Fault, Planned};
use super::proxy::{Proxy, Weather};

/// No fault lasts longer, whatever else it waits for.
const AT_MOST: Duration = Duration::from_secs(4);
/// So many workers may be away at a time: others go on.
const WORKERS_AWAY: usize = 2;

/// Brings the faults about.
pub struct Nemesis {
    planned: Vec<Planned>,
    active: Vec<Active>,
    /// What was done, for a person.
    pub story: Vec<String>,
    began: Instant,
}

struct Active {
    planned: Planned,
    since: Instant,
    /// What its counter said when it began.
    from: u64,
}

impl Nemesis {
    pub fn new(plan: Vec<Planned>) -> Nemesis {
        Nemesis { planned: plan, active: Vec::new(), story: Vec::new(), began: Instant::now() }
    }

    /// Whether all faults have been and gone.
    pub fn is_through(&self) -> bool {
        self.planned.is_empty() && self.active.is_empty()
    }

    /// Ends the faults that have lasted, and begins those that are due now that so many runs are done. One that cannot go together
    /// with one at hand waits.
    pub fn act(&mut self, fleet: &mut Fleet, done: i64) {
        for active in std::mem::take(&mut self.active) {
            if active.has_lasted(fleet, done) {
                self.tell(done, "ends", active.planned.fault);
                end(fleet, active.planned.fault);
            } else {
                self.active.push(active);
            }
        }
        let mut place = 0;
        while let Some(next) = self.planned.get(place).copied() {
            if next.at > done || !self.is_possible(next.fault) {
                place += 1;
                continue;
            }
            self.planned.remove(place);
            self.tell(done, "begins", next.fault);
            let from = counter(fleet, next.fault, done);
            begin(fleet, next.fault);
            self.active.push(Active { planned: next, since: Instant::now(), from });
        }
    }

    fn tell(&mut self, done: i64, what: &str, fault: Fault) {
        let seconds = self.began.elapsed().as_secs_f64();
        self.story.push(format!("{seconds:7.3} s, {done:3} runs done: {fault:?} {what}"));
    }

    fn is_possible(&self, fault: Fault) -> bool {
        let at_hand = || self.active.iter().map(|active| active.planned.fault);
        if at_hand().any(|other| target(other) == target(fault)) {
            return false;
        }
        match fault {
            Fault::WorkerKilled(_) | Fault::WorkerStopped(_) | Fault::WorkerForgotten(_) => {
                at_hand().filter(|other| matches!(target(*other), Target::Worker(_))).count() < WORKERS_AWAY
            }
            // A coordinator does not start on a full disk, and is not asked to.
            Fault::CoordinatorKilled(_) => !at_hand().any(|other| other == Fault::DiskFull),
            Fault::DiskFull => !at_hand().any(|other| matches!(other, Fault::CoordinatorKilled(_))),
            _ => true,
        }
    }
}

impl Active {
    fn has_lasted(&self, fleet: &Fleet, done: i64) -> bool {
        if self.since.elapsed() >= AT_MOST {
            return true;
        }
        match self.planned.fault {
            Fault::WorkerForgotten(worker) => {
                let name = &fleet.workers[worker].name;
                let held =
                    format!("SELECT COUNT(*) FROM shards WHERE state = 'leased' AND worker = '{name}' AND open > 0");
                fleet.ledger.try_number(&held) == Some(0)
            }
            fault => counter(fleet, fault, done) - self.from >= self.planned.lasts,
        }
    }
}

/// What a fault befalls: one at a time.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Worker(usize),
    Coordinator(usize),
    Store,
}

fn target(fault: Fault) -> Target {
    match fault {
        Fault::WorkerKilled(worker) | Fault::WorkerStopped(worker) | Fault::WorkerForgotten(worker) => {
            Target::Worker(worker)
        }
        Fault::CoordinatorKilled(coordinator)
        | Fault::CoordinatorStopped(coordinator)
        | Fault::NetworkCut(coordinator)
        | Fault::NetworkDown(coordinator)
        | Fault::NetworkHole(coordinator)
        | Fault::NetworkLost(coordinator)
        | Fault::NetworkDeaf(coordinator) => Target::Coordinator(coordinator),
        Fault::StoreCut | Fault::StoreDown | Fault::StoreDeaf | Fault::StoreAnswers(_) | Fault::DiskFull => {
            Target::Store
        }
    }
}

/// What a fault's length is counted in.
fn counter(fleet: &Fleet, fault: Fault, done: i64) -> u64 {
    match (target(fault), fault) {
        (Target::Worker(_), _) => done as u64,
        (Target::Coordinator(coordinator), _) => fleet.coordinators[coordinator].way.asked(),
        (Target::Store, Fault::StoreAnswers(_) | Fault::DiskFull) => fleet.order.asked(),
        (Target::Store, _) => fleet.to_store.asked(),
    }
}

fn begin(fleet: &mut Fleet, fault: Fault) {
    match fault {
        Fault::WorkerKilled(worker) => kill(&mut fleet.workers[worker].service),
        Fault::WorkerStopped(worker) | Fault::WorkerForgotten(worker) => signal(&fleet.workers[worker].service, "STOP"),
        Fault::CoordinatorKilled(coordinator) => kill(&mut fleet.coordinators[coordinator].service),
        Fault::CoordinatorStopped(coordinator) => signal(&fleet.coordinators[coordinator].service, "STOP"),
        Fault::NetworkCut(coordinator) => fleet.coordinators[coordinator].way.cut(),
        Fault::NetworkDown(coordinator) => go_down(&fleet.coordinators[coordinator].way),
        Fault::NetworkHole(coordinator) | Fault::NetworkLost(coordinator) => {
            fleet.coordinators[coordinator].way.set(Weather::Hole)
        }
        Fault::NetworkDeaf(coordinator) => fleet.coordinators[coordinator].way.set(Weather::Deaf),
        Fault::StoreCut => fleet.to_store.cut(),
        Fault::StoreDown => go_down(&fleet.to_store),
        Fault::StoreDeaf => fleet.to_store.set(Weather::Deaf),
        Fault::StoreAnswers(status) => fleet.order.set(status),
        Fault::DiskFull if fleet.disk.is_small() => fleet.disk.fill(),
        Fault::DiskFull => fleet.order.set(507),
    }
}

fn end(fleet: &mut Fleet, fault: Fault) {
    match fault {
        Fault::WorkerKilled(worker) => fleet.start_worker(worker),
        Fault::WorkerStopped(worker) | Fault::WorkerForgotten(worker) => signal(&fleet.workers[worker].service, "CONT"),
        Fault::CoordinatorKilled(coordinator) => fleet.start_coordinator(coordinator),
        Fault::CoordinatorStopped(coordinator) => signal(&fleet.coordinators[coordinator].service, "CONT"),
        Fault::NetworkCut(_) | Fault::StoreCut => {}
        Fault::NetworkLost(coordinator) => {
            let way = &fleet.coordinators[coordinator].way;
            way.cut();
            way.set(Weather::Fair);
        }
        Fault::NetworkDown(coordinator) | Fault::NetworkHole(coordinator) | Fault::NetworkDeaf(coordinator) => {
            fleet.coordinators[coordinator].way.set(Weather::Fair)
        }
        Fault::StoreDown | Fault::StoreDeaf => fleet.to_store.set(Weather::Fair),
        Fault::StoreAnswers(_) => fleet.order.set(0),
        Fault::DiskFull if fleet.disk.is_small() => fleet.disk.free(),
        Fault::DiskFull => fleet.order.set(0),
    }
}

fn go_down(way: &Proxy) {
    way.set(Weather::Down);
    way.cut();
}

fn kill(service: &mut Option<super::super::process::Service>) {
    if let Some(mut service) = service.take() {
        service.kill();
    }
}

fn signal(service: &Option<super::super::process::Service>, name: &str) {
    if let Some(service) = service {
        service.signal(name);
    }
}
