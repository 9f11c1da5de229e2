//! A coordinator under the load of a large fleet: a million runs planned, submitted, leased and committed by a thousand workers over
//! gRPC on loopback, without training. Then a fleet that trains, for how long a heartbeat takes where the coordinator is not the
//! bottleneck.
//!
//! ```text
//! cargo bench --workspace --bench load
//! cargo bench --workspace --bench load -- --runs 100000 --workers 100 --database postgres://…/empty
//! ```
//! The coordinator is a process of its own, whose memory and processor time are told; it shares the machine with the workers.

mod coordinator;
mod fleet;
mod latency;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use curvefleet_proto::artifact::{dataset_key, sha256_hex};

use coordinator::Process;
use fleet::{Fleet, Work};

/// What is asked for on the command line.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// Runs of the study that is worked off as fast as it goes; rounded up to whole conditions
    #[arg(long, default_value_t = 1_000_000)]
    runs: u64,
    /// Workers, each with a connection and a stream of heartbeats
    #[arg(long, default_value_t = 1_000)]
    workers: usize,
    /// Runs of a shard, which are committed together
    #[arg(long, default_value_t = 100)]
    shard_size: u32,
    /// How long the fleet that trains is listened to, in seconds
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Where the store and the ledger's file are made
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
    /// An empty PostgreSQL database for the ledger, in place of a file
    #[arg(long)]
    database: Option<String>,
    /// Be the coordinator, with this store
    #[arg(long, hide = true)]
    serve: Option<PathBuf>,
    /// What `cargo bench` says
    #[arg(long, hide = true)]
    bench: bool,
}

/// Pairs of classes with true and with shuffled labels.
const CONDITIONS: u64 = 30;
/// How long a worker of the second part trains a shard.
const SHARD_TAKES: Duration = Duration::from_secs(10);
/// The studies' names. Each has a data set of its own: runs that another study has done are reused, and nothing would be left to do.
const FLAT_OUT: &str = "flat-out";
const TRAINING: &str = "training";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.serve {
        Some(store) => coordinator::serve(store, arguments.database.as_deref()),
        None => {
            tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(load(&arguments)))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn load(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::tempdir_in(&arguments.folder)?;
    let store = folder.path().join("store");
    for name in [FLAT_OUT, TRAINING] {
        put_data(&store, name)?;
    }
    let coordinator = Process::start(&store, arguments.database.as_deref())?;
    println!("{} workers, shards of {} runs", arguments.workers, arguments.shard_size);
    flat_out(arguments, &coordinator).await?;
    if arguments.seconds > 0 {
        training(arguments, &coordinator).await?;
    }
    Ok(())
}

/// As fast as it goes.
async fn flat_out(arguments: &Arguments, coordinator: &Process) -> Result<()> {
    let seeds = arguments.runs.div_ceil(CONDITIONS);
    let runs = seeds * CONDITIONS;
    let fleet = Fleet::connect(coordinator.url(), arguments.workers).await?;
    let began = Instant::now();
    fleet.submit(&study(FLAT_OUT, seeds, arguments.shard_size)).await?;
    let submitted = began.elapsed();
    println!("\n{runs} runs, planned and submitted in {:.1} s", submitted.as_secs_f64());
    let (began, cpu) = (Instant::now(), coordinator.cpu()?);
    let latencies = fleet.work(Work { study: FLAT_OUT, runs, training: Duration::ZERO, until: None }).await?;
    let seconds = began.elapsed().as_secs_f64();
    let leases = runs.div_ceil(u64::from(arguments.shard_size));
    println!(
        "leased and committed in {seconds:.1} s: {:.0} runs done per second, {:.0} leases and commits per second",
        runs as f64 / seconds,
        2.0 * leases as f64 / seconds
    );
    println!(
        "the coordinator: {:.1} s of processor time for them ({:.1} µs a run), {} MB at the most",
        (coordinator.cpu()? - cpu).as_secs_f64(),
        (coordinator.cpu()? - cpu).as_secs_f64() * 1e6 / runs as f64,
        coordinator.memory_mb()?
    );
    println!("{latencies}");
    Ok(())
}

/// A fleet that trains.
async fn training(arguments: &Arguments, coordinator: &Process) -> Result<()> {
    let duration = Duration::from_secs(arguments.seconds);
    let shards = arguments.workers as u64 * (arguments.seconds / SHARD_TAKES.as_secs() + 2);
    let seeds = (shards * u64::from(arguments.shard_size)).div_ceil(CONDITIONS);
    let fleet = Fleet::connect(coordinator.url(), arguments.workers).await?;
    fleet.submit(&study(TRAINING, seeds, arguments.shard_size)).await?;
    let until = Some(tokio::time::Instant::now() + duration);
    let cpu = coordinator.cpu()?;
    let work = Work { study: TRAINING, runs: seeds * CONDITIONS, training: SHARD_TAKES, until };
    let latencies = fleet.work(work).await?;
    println!("\nthe same fleet, where a shard is {} s of training, for {} s", SHARD_TAKES.as_secs(), arguments.seconds);
    let share = (coordinator.cpu()? - cpu).as_secs_f64() / duration.as_secs_f64();
    println!("the coordinator: {:.0}% of a core", 100.0 * share);
    println!("{latencies}");
    Ok(())
}

/// A coordinator takes no study whose data set is missing. It does not read it.
fn put_data(store: &std::path::Path, study: &str) -> Result<()> {
    let file = store.join(dataset_key(&sha256_hex(study.as_bytes())));
    std::fs::create_dir_all(file.parent().ok_or("a key without a folder")?)?;
    Ok(std::fs::write(file, study)?)
}

fn study(name: &str, seeds: u64, shard_size: u32) -> String {
    let classes: Vec<String> = (1..=6).map(|class| format!("{{ name = \"{class}\", count = 40 }}")).collect();
    format!(
        "name = \"{name}\"\nseeds = {seeds}\nshard_size = {shard_size}\n[[data]]\nname = \"gestures\"\nformat = \"generated\"\n\
         sha256 = \"{}\"\nsteps_min = 20\nsteps_max = 30\nfeature_names = [\"x\", \"y\"]\nclasses = [{}]\n",
        sha256_hex(name.as_bytes()),
        classes.join(", ")
    )
}
