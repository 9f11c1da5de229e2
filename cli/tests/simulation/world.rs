//! The fleet and its fate: time goes on in small steps, in each of which messages arrive, processes run, and the nemesis may strike.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use curvefleet_coordinator::Coordinator;
use curvefleet_proto::artifact::dataset_key;
use curvefleet_proto::store::Store;
use curvefleet_worker::agent::{Agent, Settings, Surroundings, Transport};
use curvefleet_worker::train::Device;
use futures::FutureExt as _;
use object_store::ObjectStoreExt as _;
use tokio::sync::watch;

use super::checker::{Counts, verdict};
use super::database::{Database, SETTINGS, Session, SkewedClock};
use super::network::{Road, Wire, answer};
use super::process::Process;
use super::scene::{Planted, Scene, lock};
use super::store::Objects;
use super::submitter::{DATA_SHA256, submit_all};
use super::training::Trains;

/// One step.
const STEP_MS: u64 = 10;
/// Faults end within this.
const STORM_MS: (u64, u64) = (20_000, 60_000);
/// Without faults, all studies end within this.
const CALM_MS: u64 = 600_000;
/// The nemesis strikes about so often.
const STRIKE_MS: u64 = 900;

/// How a simulation went.
pub struct Told {
    pub history: Vec<String>,
    pub violations: Vec<String>,
    pub counts: Counts,
}

/// What happens later.
#[derive(Debug, Clone, Copy)]
enum Later {
    StartCoordinator(usize),
    StartWorker(usize),
    Mend(Road),
    StoreIsBack,
    DatabaseIsBack,
}

struct World {
    scene: Arc<Scene>,
    database: Arc<Database>,
    clocks: Vec<Arc<SkewedClock>>,
    coordinators: Vec<Process>,
    workers: Vec<Process>,
    /// Each worker's switch.
    stops: Vec<Option<watch::Sender<bool>>>,
    submitter: Process,
    later: BTreeMap<(u64, u64), Later>,
    later_so_far: u64,
    storm_ms: u64,
}

/// Lets a seed's history happen.
pub fn simulate(seed: u64, planted: Option<Planted>) -> Told {
    let mut world = World::new(seed, planted);
    world.run();
    let (violations, counts) = verdict(&world.scene);
    Told { history: world.scene.history(), violations, counts }
}

impl World {
    fn new(seed: u64, planted: Option<Planted>) -> World {
        // Half the seeds have one coordinator with a file of its own, half have two that share a database. A coordinator takes back
        // expiries only where the database is its own.
        let is_shared = seed % 2 == 1 && planted != Some(Planted::ExpiryForgotten);
        let servers = if is_shared { 2 } else { 1 };
        let scene = Scene::new(seed, planted, servers);
        let clock = || Arc::new(SkewedClock { scene: scene.clone(), skew_ms: AtomicI64::new(0) });
        let clocks: Vec<_> = (0..servers).map(|_| clock()).collect();
        let database = Database::new(scene.clone(), is_shared, clocks[0].clone());
        let process = |_| Process::new(scene.between("clocks", 950, 1_050));
        let workers: Vec<_> = (0..scene.between("fleet", 3, 8)).map(process).collect();
        scene.objects.put(&dataset_key(DATA_SHA256).as_str().into(), "data".into()).now_or_never().unwrap().unwrap();
        World {
            stops: workers.iter().map(|_| None).collect(),
            database,
            clocks,
            coordinators: (0..servers).map(|_| Process::new(1_000)).collect(),
            workers,
            submitter: Process::new(1_000),
            later: BTreeMap::new(),
            later_so_far: 0,
            storm_ms: scene.between("nemesis", STORM_MS.0, STORM_MS.1),
            scene,
        }
    }

    fn run(&mut self) {
        for coordinator in 0..self.coordinators.len() {
            self.start_coordinator(coordinator, false);
        }
        for worker in 0..self.workers.len() {
            self.start_worker(worker);
        }
        self.start_submitter();
        self.scene.change_weather(|weather| weather.stormy = true);
        let mut now_ms = 0;
        loop {
            now_ms += STEP_MS;
            self.scene.set_now_ms(now_ms);
            if now_ms == self.storm_ms / STEP_MS * STEP_MS {
                self.end_storm();
            } else if now_ms < self.storm_ms && self.scene.below("nemesis", STRIKE_MS / STEP_MS) == 0 {
                self.strike();
            }
            while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now_ms) {
                let happens = entry.remove();
                self.happen(happens);
            }
            lock(&self.scene.network).deliver(&self.scene);
            self.run_processes(now_ms);
            let is_checked = now_ms > self.storm_ms && now_ms % 500 == 0;
            if is_checked && self.is_over() {
                break;
            }
            if now_ms > self.storm_ms + CALM_MS {
                self.scene.note("VIOLATION: a study does not end");
                lock(&self.scene.checker).violations.push("a study does not end".to_string());
                break;
            }
        }
        self.scene.note("the end");
        lock(&self.scene.checker).check_end(&self.scene, &self.database);
    }

    fn run_processes(&mut self, now_ms: u64) {
        for coordinator in 0..self.coordinators.len() {
            if !self.coordinators[coordinator].run_until(now_ms) {
                self.kill_coordinator(coordinator);
                self.after(1_000, Later::StartCoordinator(coordinator));
            }
        }
        for worker in 0..self.workers.len() {
            if !self.workers[worker].run_until(now_ms) {
                // Whatever looks after the process starts it again.
                self.kill_worker(worker);
                let pause = self.scene.between("nemesis", 1_000, 5_000);
                self.after(pause, Later::StartWorker(worker));
            }
        }
        self.submitter.run_until(now_ms);
    }

    fn is_over(&self) -> bool {
        let query = "SELECT COUNT(*) FROM studies WHERE state = 'finished' AND manifest_changes = changes";
        let ended: i64 = self.database.look(|connection| connection.query_row(query, [], |row| row.get(0)).unwrap());
        self.scene.all_submitted.load(Ordering::Relaxed) && ended == 2
    }

    fn after(&mut self, ms: u64, later: Later) {
        self.later_so_far += 1;
        self.later.insert((self.scene.now_ms() + ms, self.later_so_far), later);
    }

    fn happen(&mut self, later: Later) {
        match later {
            Later::StartCoordinator(number) if !self.coordinators[number].is_alive() => {
                self.start_coordinator(number, true)
            }
            Later::StartWorker(number) if !self.workers[number].is_alive() => self.start_worker(number),
            Later::StartCoordinator(_) | Later::StartWorker(_) => {}
            Later::Mend(road) => lock(&self.scene.network).mend(road, self.scene.now_ms()),
            Later::StoreIsBack => self.scene.change_weather(|weather| weather.store_away = false),
            Later::DatabaseIsBack => self.scene.change_weather(|weather| weather.database_away = false),
        }
    }

    fn store(&self, owner: &str, of_worker: bool) -> Store {
        let objects = Objects { scene: self.scene.clone(), owner: owner.to_string(), of_worker };
        Store::of(Arc::new(objects), "simulation://store")
    }

    fn start_coordinator(&mut self, number: usize, again: bool) {
        let life = self.coordinators[number].lives + 1;
        self.scene.note(format!("coordinator {number} begins life {life}"));
        if again {
            self.database.coordinator_started();
        }
        let session = Session { database: self.database.clone(), coordinator: number };
        let (store, clock) = (self.store(&format!("coordinator {number}"), false), self.clocks[number].clone());
        let mut incoming = lock(&self.scene.network).listen(number, life);
        let scene = self.scene.clone();
        self.coordinators[number].start(self.scene.now_ms(), async move {
            let Ok(embedded) = Coordinator::embed(Box::new(session), store, SETTINGS, clock).await else { return };
            while let Some(call) = incoming.recv().await {
                let (answered, scene) = (embedded.answer(call.request), scene.clone());
                tokio::spawn(async move { answer(scene, call.call, answered.await).await });
            }
        });
    }

    fn wires(&self, client: usize) -> Vec<Wire> {
        let wire = |server| Wire { scene: self.scene.clone(), road: Road { client, server } };
        (0..self.coordinators.len()).map(wire).collect()
    }

    fn start_worker(&mut self, number: usize) {
        let life = self.workers[number].lives + 1;
        let name = format!("w{number}");
        self.scene.note(format!("{name} begins life {life}"));
        let settings = Settings {
            coordinators: Vec::new(),
            access: curvefleet_proto::access::Access::default(),
            store: None,
            name: name.clone(),
            slots: 1 + number % 3,
            device: Device::CORE,
            checkpoint_every: std::time::Duration::MAX,
            checkpoint_epochs: None,
            stop_within: std::time::Duration::from_secs(30),
            labels: BTreeMap::new(),
            idle: None,
            environment: Vec::new(),
            git_commit: String::new(),
        };
        let surroundings = Surroundings {
            coordinators: self.wires(number).into_iter().map(Transport::new).collect(),
            store: self.store(&name, true),
            trainer: Arc::new(Trains(self.scene.clone())),
            session: format!("life-{life}"),
        };
        let (stop, stopping) = watch::channel(false);
        self.stops[number] = Some(stop);
        let scene = self.scene.clone();
        self.workers[number].start(self.scene.now_ms(), async move {
            let ended = Agent::within(settings, surroundings).unwrap().work(stopping).await;
            scene.note(format!("{name} ends: {ended:?}"));
        });
    }

    fn start_submitter(&mut self) {
        let (scene, wires) = (self.scene.clone(), self.wires(self.workers.len()));
        self.submitter.start(0, submit_all(scene, wires));
    }

    fn kill_worker(&mut self, number: usize) {
        self.workers[number].kill();
        let silently = self.scene.chance("nemesis", 500);
        lock(&self.scene.network).client_gone(number, silently, self.scene.now_ms());
    }

    fn kill_coordinator(&mut self, number: usize) {
        self.coordinators[number].kill();
        let silently = self.scene.chance("nemesis", 500);
        lock(&self.scene.network).server_gone(number, silently);
        self.database.coordinator_gone();
    }

    /// The nemesis.
    fn strike(&mut self) {
        let worker = self.scene.below("nemesis", self.workers.len() as u64) as usize;
        let coordinator = self.scene.below("nemesis", self.coordinators.len() as u64) as usize;
        let a_while = self.scene.between("nemesis", 200, 10_000);
        let now_ms = self.scene.now_ms();
        match self.scene.below("nemesis", 12) {
            0..=2 if self.workers[worker].is_alive() => {
                self.scene.note(format!("NEMESIS kills w{worker}"));
                self.kill_worker(worker);
                self.after(a_while, Later::StartWorker(worker));
            }
            3 if self.coordinators[coordinator].is_alive() => {
                self.scene.note(format!("NEMESIS kills coordinator {coordinator}"));
                self.kill_coordinator(coordinator);
                self.after(a_while / 2, Later::StartCoordinator(coordinator));
            }
            4 => {
                self.scene.note(format!("NEMESIS stops w{worker} for {a_while} ms"));
                self.workers[worker].stopped_until_ms = now_ms + a_while;
            }
            5 => {
                self.scene.note(format!("NEMESIS stops coordinator {coordinator} for {} ms", a_while / 2));
                self.coordinators[coordinator].stopped_until_ms = now_ms + a_while / 2;
            }
            6 => self.cut(Road { client: worker, server: coordinator }, a_while),
            7 => {
                for server in 0..self.coordinators.len() {
                    self.cut(Road { client: worker, server }, a_while);
                }
            }
            8 => {
                for client in 0..=self.workers.len() {
                    self.cut(Road { client, server: coordinator }, a_while);
                }
            }
            9 => {
                self.scene.note(format!("NEMESIS takes the store away for {a_while} ms"));
                self.scene.change_weather(|weather| weather.store_away = true);
                self.after(a_while, Later::StoreIsBack);
            }
            10 => {
                self.scene.note(format!("NEMESIS takes the database away for {} ms", a_while / 4));
                self.scene.change_weather(|weather| weather.database_away = true);
                self.after(a_while / 4, Later::DatabaseIsBack);
            }
            11 => {
                let skew_ms = self.scene.between("nemesis", 0, 10_000) as i64 - 5_000;
                self.scene.note(format!("NEMESIS turns the clock of coordinator {coordinator} to {skew_ms} ms off"));
                self.clocks[coordinator].skew_ms.store(skew_ms, Ordering::Relaxed);
            }
            _ => {
                if let Some(stop) = &self.stops[worker] {
                    self.scene.note(format!("NEMESIS tells w{worker} to end"));
                    stop.send_replace(true);
                }
            }
        }
    }

    fn cut(&mut self, road: Road, for_ms: u64) {
        self.scene.note(format!("NEMESIS cuts {road:?} for {for_ms} ms"));
        lock(&self.scene.network).cut(road);
        self.after(for_ms, Later::Mend(road));
    }

    /// From now on nothing fails; what was broken is mended.
    fn end_storm(&mut self) {
        self.scene.note("the storm is over");
        self.scene.change_weather(|weather| *weather = Default::default());
        for later in std::mem::take(&mut self.later).into_values() {
            self.happen(later);
        }
        for process in self.coordinators.iter_mut().chain(&mut self.workers) {
            process.stopped_until_ms = 0;
        }
    }
}
