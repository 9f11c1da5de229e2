//! How much work one coordinator keeps up with: a study of many runs that take no time is planned, submitted, leased and committed by
//! many workers, each with a connection of its own, over gRPC on loopback. The coordinator is the program that users run.
//!
//! ```text
//! cargo build --release --workspace --example load
//! target/release/examples/load --runs 1000000 --workers 1000
//! target/release/examples/load --runs 1000000 --workers 1000 --database postgres://user@host/database
//! ```
//! The database has to be empty. What a worker does besides, training and uploads, is left out: a part is named and not written.

mod fleet;
mod measure;
mod server;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Parser;
use curvefleet_proto::plan;
use curvefleet_proto::study::Study;
use curvefleet_proto::study::file::parse;
use curvefleet_proto::v1::SubmitStudyRequest;
use curvefleet_proto::v1::study_service_client::StudyServiceClient;

use fleet::{Fleet, connect};
use measure::{Kind, Phase, Table};
use server::Server;

/// Anything that ends the measurement.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// SHA-256 of the data set that the study names.
pub const DATA_SHA256: &str = "abababababababababababababababababababababababababababababababab";

/// Measures one coordinator under load
#[derive(Debug, Parser)]
struct Options {
    /// Runs of the study, rounded up to whole shards
    #[arg(long, default_value_t = 1_000_000)]
    runs: u64,
    /// Runs of a shard, which are committed together
    #[arg(long, default_value_t = 100)]
    shard_size: u64,
    /// Workers
    #[arg(long, default_value_t = 1_000)]
    workers: usize,
    /// Shards that a worker asks for at a time
    #[arg(long, default_value_t = 1)]
    shards: u32,
    /// How long the fleet waits, with heartbeats alone, before the study is submitted, in seconds
    #[arg(long, default_value_t = 10)]
    quiet_seconds: u64,
    /// The ledger's PostgreSQL database, empty; an SQLite file if there is none
    #[arg(long)]
    database: Option<String>,
    /// Where the ledger's file and the manifest go; a temporary folder unless told otherwise
    #[arg(long)]
    folder: Option<PathBuf>,
    /// The program to measure; `curvefleet` beside this one unless told otherwise
    #[arg(long)]
    program: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let temporary = tempfile::tempdir()?;
    let folder = options.folder.clone().unwrap_or_else(|| temporary.path().to_path_buf());

    let study = study(&options)?;
    let began = Instant::now();
    let shards = plan::shards(&study)?.map(|shard| shard.runs().count() as u64).collect::<Vec<_>>();
    let (runs, planned) = (shards.iter().sum::<u64>(), began.elapsed());
    println!("{runs} runs in {} shards, planned in {:.1} s", shards.len(), planned.as_secs_f64());

    let server = Server::start(&options.program, &folder, options.database.as_deref())?;
    println!("{}", server.first_line.trim_end());
    let fleet = Arc::new(Fleet::new(server.url.clone(), runs, options.shards));
    let workers: Vec<_> = (0..options.workers).map(|number| tokio::spawn(fleet.clone().work(number))).collect();
    while fleet.registered.load(Ordering::Relaxed) < options.workers {
        if let Some(ended) = workers.iter().find(|worker| worker.is_finished()) {
            return Err(format!("a worker ended before it had begun: {ended:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut usage = vec![(Phase::Quiet, server.usage()?, Instant::now())];
    fleet.enter(Phase::Quiet);
    tokio::time::sleep(Duration::from_secs(options.quiet_seconds)).await;

    usage.push((Phase::Submission, server.usage()?, Instant::now()));
    fleet.enter(Phase::Submission);
    let began = Instant::now();
    let mut client = StudyServiceClient::new(connect(&server.url).await?);
    client.submit_study(SubmitStudyRequest { study_toml: study.to_toml()? }).await?;
    let submitted = began.elapsed();

    usage.push((Phase::Work, server.usage()?, Instant::now()));
    fleet.enter(Phase::Work);
    let began = Instant::now();
    let mut measured = Vec::new();
    for worker in workers {
        measured.push(worker.await??);
    }
    let worked = began.elapsed();
    usage.push((Phase::Work, server.usage()?, Instant::now()));

    let table = Table::new(measured);
    println!("submitted in {:.1} s", submitted.as_secs_f64());
    println!(
        "{runs} runs leased and committed in {:.1} s: {:.0} runs per second, {:.1} us per run",
        worked.as_secs_f64(),
        runs as f64 / worked.as_secs_f64(),
        worked.as_secs_f64() * 1e6 / runs as f64
    );
    let requests = table.count(Phase::Work, Kind::Lease)
        + table.count(Phase::Work, Kind::Commit)
        + table.count(Phase::Work, Kind::Heartbeat);
    println!("{:.0} requests per second answered meanwhile, each durable", requests as f64 / worked.as_secs_f64());
    table.print();
    for pair in usage.windows(2) {
        let ((phase, before, from), (_, after, to)) = (&pair[0], &pair[1]);
        let cores = (after.cpu_seconds - before.cpu_seconds) / to.duration_since(*from).as_secs_f64();
        println!(
            "coordinator, {phase:?}: {cores:.2} cores, {:.1} s of them; resident {} MB at the end, {} MB at the most so far",
            after.cpu_seconds - before.cpu_seconds,
            after.resident_mb,
            after.peak_mb
        );
    }
    server.stop()?;
    Ok(())
}

/// Three pairs of classes, and as many seeds as it takes.
fn study(options: &Options) -> Result<Study, Failure> {
    let seeds = options.runs.div_ceil(3);
    let text = format!(
        "name = \"load\"\nseeds = {seeds}\nshard_size = {}\n[[data]]\nname = \"joints\"\nformat = \"generated\"\n\
         sha256 = \"{DATA_SHA256}\"\nsteps_min = 20\nsteps_max = 30\nfeature_names = [\"x\", \"y\"]\n\
         classes = [{{ name = \"up\", count = 40 }}, {{ name = \"down\", count = 40 }}, {{ name = \"wave\", count = 40 }}]\n\
         [[conditions]]\nlabels = [\"true\"]\n",
        options.shard_size
    );
    Ok(parse(&text).and_then(|parsed| parsed.resolve_stored())?)
}
