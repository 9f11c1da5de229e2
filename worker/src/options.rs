//! The flags of the worker program, and the program itself.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use curvefleet_proto::access::AccessOptions;
use curvefleet_proto::limits::MAX_NAME_BYTES;
use tokio::sync::watch;

use crate::agent::{self, Agent, Local, LocalLimits};
use crate::error::Error;
use crate::train::Device;

/// Largest number of runs that one worker trains at the same time: more than any machine has cores.
const SLOTS_MAX: usize = 4_096;

/// `curvefleet worker`: trains shards that a coordinator leases out.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The coordinator's URL; where several coordinators share a ledger, all of theirs with commas between
    #[arg(
        long,
        env = "CURVEFLEET_COORDINATOR",
        value_name = "URL",
        default_value = "http://127.0.0.1:7700",
        value_delimiter = ','
    )]
    pub coordinator: Vec<String>,
    /// Certificates and token.
    #[command(flatten)]
    pub access: AccessOptions,
    /// The object store, where this machine reaches it under another name than the coordinator says: a folder or s3://bucket/prefix
    #[arg(long, env = "CURVEFLEET_WORKER_STORE", value_name = "URL")]
    pub store: Option<String>,
    /// The worker's name, unique in the fleet [default: host name and process id]
    #[arg(long, env = "CURVEFLEET_WORKER_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// Runs trained at the same time [default: as many as there are cores for; 1 on a GPU, which trains a pack of runs at a time]
    #[arg(long, env = "CURVEFLEET_SLOTS", value_name = "N")]
    pub slots: Option<usize>,
    /// What trains, and how.
    #[command(flatten)]
    pub training: TrainingOptions,
    /// What studies may require of the worker: key=value, several with commas between
    #[arg(long, env = "CURVEFLEET_LABELS", value_name = "KEY=VALUE", value_delimiter = ',', value_parser = label)]
    pub label: Vec<(String, String)>,
    /// Told to stop, wait at most this long for results to be uploaded and committed before the leases are handed back
    #[arg(long, env = "CURVEFLEET_STOP_SECONDS", value_name = "S", default_value_t = 30)]
    pub stop_seconds: u64,
    /// End when the coordinator has had no work for this many seconds [default: wait for work for ever]
    #[arg(long, env = "CURVEFLEET_IDLE_SECONDS", value_name = "S")]
    pub idle_seconds: Option<u64>,
}

/// How a worker trains.
#[derive(Debug, Clone, Args)]
pub struct TrainingOptions {
    /// What trains: cpu; vulkan or cuda, where they were built in, with a card's number after a colon; flex, burn's tensors on the
    /// processor, for comparison
    #[arg(long, env = "CURVEFLEET_DEVICE", value_name = "DEVICE", default_value_t = Device::CORE)]
    pub device: Device,
    /// Cores for each run; more slots use cores better than more threads, unless one run's memory is what is short
    #[arg(long, env = "CURVEFLEET_THREADS_PER_SLOT", value_name = "N", default_value_t = 1)]
    pub threads_per_slot: usize,
    /// A run that is cut off loses at most this many seconds of training; 0 means a checkpoint after every epoch
    #[arg(long, env = "CURVEFLEET_CHECKPOINT_SECONDS", value_name = "S", default_value_t = 30)]
    pub checkpoint_seconds: u64,
    /// A run that is cut off loses at most this many epochs, if that is less [default: no matter how many]
    #[arg(long, env = "CURVEFLEET_CHECKPOINT_EPOCHS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub checkpoint_epochs: Option<u32>,
    /// What may be kept on this machine.
    #[command(flatten)]
    pub local: LocalOptions,
}

/// What a worker may keep on its machine's disk and in its memory.
#[derive(Debug, Clone, Args)]
pub struct LocalOptions {
    /// The folder for data sets from a remote store and for curve parts that wait for it; workers of one machine share it
    /// [default: curvefleet in $XDG_CACHE_HOME or ~/.cache]
    #[arg(long, env = "CURVEFLEET_CACHE", value_name = "FOLDER")]
    pub cache: Option<PathBuf>,
    /// Most data sets kept there; 0 keeps none
    #[arg(long, env = "CURVEFLEET_CACHE_MIB", value_name = "MIB", default_value_t = 10_240)]
    pub cache_mib: u64,
    /// Most curve parts that wait there, for each process; a worker that has more leases nothing
    #[arg(long, env = "CURVEFLEET_SPOOL_MIB", value_name = "MIB", default_value_t = 4_096)]
    pub spool_mib: u64,
    /// Most curve parts that wait in memory, for each process, before they go to disk
    #[arg(long, env = "CURVEFLEET_UPLOAD_MEMORY_MIB", value_name = "MIB", default_value_t = 64)]
    pub upload_memory_mib: u64,
}

impl LocalOptions {
    /// The limits; the folder by `environment` where no flag names it.
    pub fn limits(&self, environment: impl Fn(&str) -> Option<String>) -> LocalLimits {
        let known = |name: &str| environment(name).filter(|value| !value.is_empty());
        let cache = known("XDG_CACHE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
        let cache = cache.or_else(|| known("HOME").map(|home| PathBuf::from(home).join(".cache")));
        let folder = self.cache.clone().unwrap_or_else(|| cache.unwrap_or_else(std::env::temp_dir).join("curvefleet"));
        LocalLimits {
            folder,
            cache_bytes: bytes(self.cache_mib),
            memory_bytes: bytes(self.upload_memory_mib),
            spool_bytes: bytes(self.spool_mib),
        }
    }
}

fn bytes(mib: u64) -> u64 {
    mib.saturating_mul(1 << 20)
}

impl TrainingOptions {
    /// The device with its threads.
    ///
    /// # Errors
    /// On an impossible number of threads.
    pub fn device(&self) -> Result<Device, Error> {
        let threads = self.threads_per_slot;
        if !(1..=SLOTS_MAX).contains(&threads) {
            return Err(Error::Flag(format!("--threads-per-slot is {threads}; it must lie between 1 and {SLOTS_MAX}")));
        }
        self.device.check().map_err(|error| Error::Flag(format!("--device: {error}")))?;
        match self.device {
            Device::Cpu { .. } => Ok(Device::Cpu { threads }),
            device if threads == 1 => Ok(device),
            device => Err(Error::Flag(format!("--threads-per-slot goes with --device cpu, and it is {device}"))),
        }
    }

    /// How much training a checkpoint saves at the most.
    pub fn checkpoint_every(&self) -> Duration {
        Duration::from_secs(self.checkpoint_seconds)
    }
}

/// How many runs this machine trains at the same time unless it is told.
pub fn default_slots(device: Device) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if device.takes_packs() { 1 } else { (cores / device.threads()).max(1) }
}

impl Options {
    /// The agent's settings, checked; `git_commit` is what the program was built from.
    ///
    /// # Errors
    /// On a URL that is none, a name that is too long, or an impossible number of slots.
    pub fn settings(&self, git_commit: &str) -> Result<agent::Settings, Error> {
        let device = self.training.device()?;
        let slots = match self.slots {
            Some(slots) if (1..=SLOTS_MAX).contains(&slots) => slots,
            Some(slots) => {
                return Err(Error::Flag(format!("--slots is {slots}; it must lie between 1 and {SLOTS_MAX}")));
            }
            None => default_slots(device),
        };
        let name = self.name.clone().unwrap_or_else(default_name);
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(Error::Flag(format!(
                "--name must have 1 to {MAX_NAME_BYTES} characters; `{name}` has {}",
                name.len()
            )));
        }
        Ok(agent::Settings {
            coordinators: self.coordinator.clone(),
            access: self.access.from_environment().map_err(|error| Error::Flag(error.to_string()))?,
            store: self.store.clone(),
            name,
            slots,
            device,
            checkpoint_every: self.training.checkpoint_every(),
            checkpoint_epochs: self.training.checkpoint_epochs,
            stop_within: Duration::from_secs(self.stop_seconds),
            labels: self.label.iter().cloned().collect(),
            idle: self.idle_seconds.map(Duration::from_secs),
            environment: std::env::vars().collect(),
            git_commit: git_commit.to_string(),
        })
    }
}

/// A label as it is typed.
fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() && text.len() <= MAX_NAME_BYTES => {
            Ok((key.to_string(), value.to_string()))
        }
        _ => Err(format!("a label looks like site=basel and has at most {MAX_NAME_BYTES} characters")),
    }
}

fn default_name() -> String {
    let host =
        std::fs::read_to_string(PathBuf::from("/proc/sys/kernel/hostname")).or_else(|_| std::env::var("HOSTNAME"));
    let host = host
        .ok()
        .map(|name| name.trim().to_string())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "worker".to_string());
    format!("{host}-{}", std::process::id())
}

/// Runs a worker until SIGTERM or Ctrl-C, which it obeys politely: it finishes the epochs at hand, commits the runs that are done
/// and hands its leases back. `git_commit` is what the program was built from, for the provenance of its curves.
///
/// # Errors
/// On flags that cannot be used, a store that cannot be opened, or a coordinator that refuses the worker.
pub async fn run(options: Options, git_commit: &str) -> Result<(), Error> {
    let settings = options.settings(git_commit)?;
    let limits = options.training.local.limits(|name| std::env::var(name).ok());
    let (stop, stopping) = watch::channel(false);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|source| Error::System { what: "cannot listen for SIGTERM", source })?;
    let name = settings.name.clone();
    let announcement = format!(
        "curvefleet worker {} ({} at a time, {}) works for {}",
        name,
        settings.slots,
        settings.device.name(),
        settings.coordinators.join(", ")
    );
    // It checks the URLs before anything shows them.
    let agent = Agent::new(settings, Local::new(limits))?;
    println!("{announcement}");
    let working = tokio::spawn(agent.work(stopping));
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        println!("curvefleet worker {name} stops: it finishes the epochs at hand and hands its leases back");
        stop.send_replace(true);
    });
    working.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
