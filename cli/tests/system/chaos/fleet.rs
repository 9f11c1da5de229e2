//! Coordinators, workers and a store, with a faulty network between them.

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::super::folder::Folder;
use super::super::process::{Service, curvefleet};
use super::super::s3_server::{SECRET, serve_those, variables};
use super::super::server::Database;
use super::ledger::Ledger;
use super::proxy::Proxy;
use super::store::{Disk, Order};

pub const STORE: &str = "s3://lab/fleet";
/// Short, so that what is killed or stopped is missed soon.
const LEASE_SECONDS: &str = "2";
/// What a log may show of its end.
const LOG_SHOWN: usize = 4_000;

pub struct Fleet {
    pub folder: Folder,
    pub disk: Disk,
    pub order: Order,
    /// The S3 server itself.
    endpoint: String,
    /// The way to it.
    pub to_store: Proxy,
    pub ledger: Ledger,
    pub coordinators: Vec<Coordinator>,
    pub workers: Vec<Worker>,
}

pub struct Coordinator {
    name: String,
    /// `None` while it is dead.
    pub service: Option<Service>,
    pub way: Proxy,
}

pub struct Worker {
    pub name: String,
    checkpoint_seconds: u32,
    pub service: Option<Service>,
}

fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().unwrap()
}

impl Fleet {
    /// A store and the coordinators of one ledger: on PostgreSQL two, on SQLite one.
    pub fn start(folder: Folder, database: Option<Database>) -> Fleet {
        let disk = Disk::new();
        std::fs::create_dir_all(disk.path().join("buckets/lab")).unwrap();
        let order = Order::default();
        let endpoint = serve_those(&disk.path().join("buckets"), order.clone());
        let to_store = Proxy::start(address(&endpoint));
        let names = if database.is_some() { &["coordinator-0", "coordinator-1"][..] } else { &["coordinator-0"] };
        // On the disk that can be full, too.
        let ledger = match database {
            Some(database) => Ledger::Postgres(database),
            None => Ledger::Sqlite(disk.path().join("ledger.sqlite")),
        };
        let (coordinators, workers) = (Vec::new(), Vec::new());
        let mut fleet = Fleet { folder, disk, order, endpoint, to_store, ledger, coordinators, workers };
        for name in names {
            let service = fleet.new_coordinator(name);
            let way = Proxy::start(address(&service.url()));
            fleet.coordinators.push(Coordinator { name: name.to_string(), service: Some(service), way });
        }
        fleet
    }

    /// Where the objects lie, as files.
    pub fn objects(&self) -> PathBuf {
        self.disk.path().join("buckets/lab/fleet")
    }

    /// Adds a worker that makes a checkpoint every so many seconds; 0: after each epoch.
    pub fn add_worker(&mut self, checkpoint_seconds: u32) {
        let name = format!("worker-{}", self.workers.len());
        self.workers.push(Worker { name, checkpoint_seconds, service: None });
        self.start_worker(self.workers.len() - 1);
    }

    pub fn start_worker(&mut self, worker: usize) {
        let Worker { name, checkpoint_seconds, .. } = &self.workers[worker];
        let mut command = self.through_the_network();
        command.args(["worker", "--slots", "1", "--name", name, "--coordinator", &self.urls()]);
        command.args(["--checkpoint-seconds", &checkpoint_seconds.to_string()]);
        self.workers[worker].service = Some(Service::start_logged(&mut command, self.log(name).into()));
    }

    pub fn start_coordinator(&mut self, coordinator: usize) {
        let service = self.new_coordinator(&self.coordinators[coordinator].name);
        let coordinator = &mut self.coordinators[coordinator];
        coordinator.way.lead_to(address(&service.url()));
        coordinator.service = Some(service);
    }

    fn new_coordinator(&self, name: &str) -> Service {
        let mut command = self.through_the_network();
        command.args(["coordinator", "--listen", "127.0.0.1:0", "--store", STORE, "--lease-seconds", LEASE_SECONDS]);
        match &self.ledger {
            Ledger::Postgres(database) => command.env("CURVEFLEET_DATABASE", database.url()),
            Ledger::Sqlite(file) => command.arg("--ledger").arg(file),
        };
        Service::start_logged(&mut command, self.log(name).into())
    }

    /// All coordinators, by the faulty ways to them.
    pub fn urls(&self) -> String {
        self.coordinators.iter().map(|coordinator| coordinator.way.url()).collect::<Vec<_>>().join(",")
    }

    /// The command, which finds the store behind the faulty way.
    pub fn through_the_network(&self) -> Command {
        let mut command = curvefleet(self.folder.path());
        command.envs(variables(&self.to_store.url(), SECRET));
        command
    }

    /// The command, which finds the store itself.
    pub fn at_the_store(&self) -> Command {
        let mut command = curvefleet(self.folder.path());
        command.envs(variables(&self.endpoint, SECRET));
        command
    }

    /// The names of those that have ended although nobody killed them.
    pub fn fallen(&mut self) -> Vec<String> {
        let coordinators = self.coordinators.iter_mut().map(|one| (&one.name, &mut one.service));
        let workers = self.workers.iter_mut().map(|one| (&one.name, &mut one.service));
        let fallen = |(name, service): (&String, &mut Option<Service>)| {
            service.as_mut().is_some_and(|service| !service.is_running()).then(|| name.clone())
        };
        coordinators.chain(workers).filter_map(fallen).collect()
    }

    fn log(&self, name: &str) -> File {
        File::options().create(true).append(true).open(self.folder.path().join(format!("{name}.log"))).unwrap()
    }

    /// The ends of all logs.
    pub fn logs(&self) -> String {
        let coordinators = self.coordinators.iter().map(|one| &one.name);
        let mut shown = String::new();
        for name in coordinators.chain(self.workers.iter().map(|one| &one.name)) {
            let mut log = String::new();
            let read = File::open(self.folder.path().join(format!("{name}.log")))
                .and_then(|mut file| file.read_to_string(&mut log));
            let from = log.char_indices().rev().nth(LOG_SHOWN).map_or(0, |(at, _)| at);
            shown += &format!("--- {name} ({read:?} bytes)\n{}\n", &log[from..]);
        }
        shown
    }
}
