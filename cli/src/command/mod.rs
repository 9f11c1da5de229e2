//! The subcommands, one file each.

mod analyze;
mod audit;
mod backup;
mod certs;
mod data;
mod drain;
mod explain;
mod export;
mod gc;
mod import_curves;
mod logs;
mod manage;
mod pause;
mod plan;
mod report;
mod run;
mod runs;
mod services;
mod status;
mod store;
mod submit;
mod token;
mod verify;
mod watch;
mod workers;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;
use crate::output::say;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a whole study on this machine and write its report
    Run(run::Run),
    /// Show what a study file would run, how much work that is, and what is done already
    Plan(plan::Plan),
    /// Import data sets and look at them
    #[command(subcommand)]
    Data(data::Data),
    /// Write the report of a study
    Report(report::Report),
    /// Analyse any table of metrics: the paper's table, or comparisons of runs
    Analyze(analyze::Analyze),
    /// Make a study of curves that other programs wrote
    ImportCurves(import_curves::ImportCurves),
    /// Start a coordinator, which hands out the runs of studies
    Coordinator(curvefleet_coordinator::Options),
    /// Start a worker, which trains runs for a coordinator
    Worker(curvefleet_worker::Options),
    /// Hand a study to a coordinator
    Submit(submit::Submit),
    /// Show where all studies stand, or one
    Status(status::Status),
    /// Follow a study until it ends
    Watch(watch::Watch),
    /// List a study's runs
    Runs(runs::Runs),
    /// Show the attempts at a run with their logs
    Logs(logs::Logs),
    /// Give up the runs of a study that are not done
    Cancel(manage::Cancel),
    /// Put failed and cancelled runs of a study, or damaged ones, back into the queue
    Retry(manage::Retry),
    /// Let a study rest: its runs are handed back and none is given out
    Pause(pause::Pause),
    /// Let a study that rests go on
    Resume(pause::Resume),
    /// Put a study before or behind others
    Priority(pause::Priority),
    /// Drain a worker: it hands back what it trains and is given nothing
    Drain(drain::Drain),
    /// Let a drained worker work again
    Undrain(drain::Undrain),
    /// Say why a run, shard, worker or study is where it is, and what to do
    Explain(explain::Explain),
    /// Show who changed what by hand
    Audit(audit::Audit),
    /// List the workers
    Workers(workers::Workers),
    /// Make, list and revoke the tokens that a coordinator takes
    #[command(subcommand)]
    Token(token::Token),
    /// Make certificates for TLS: a private authority, the coordinator's, and clients'
    Certs(certs::Certs),
    /// Copy a coordinator's ledger into a new file, also while it is at work
    Backup(backup::Backup),
    /// Check whether a store can be used
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Read a study's curves again and compare them with what was committed
    Verify(verify::Verify),
    /// List or delete what nothing in a store names any more
    Gc(gc::Gc),
    /// Copy a study with everything that belongs to it, to keep or to publish
    Export(export::Export),
}

impl Command {
    /// Whether the command is a program that runs on and logs what it does.
    pub fn is_service(&self) -> bool {
        matches!(self, Command::Coordinator(_) | Command::Worker(_))
    }

    /// Does it.
    ///
    /// # Errors
    /// With one sentence and an exit code.
    pub async fn execute(self) -> Result<ExitCode, Failure> {
        match self {
            Command::Run(command) => return command.execute().await,
            Command::Watch(command) => return command.execute().await,
            Command::Verify(command) => return command.execute().await,
            Command::Plan(command) => command.execute().await,
            Command::Data(command) => command.execute().await,
            Command::Report(command) => command.execute().await,
            Command::Analyze(command) => command.execute().await,
            Command::ImportCurves(command) => command.execute().await,
            Command::Coordinator(options) => services::coordinator(options).await,
            Command::Worker(options) => services::worker(options).await,
            Command::Submit(command) => command.execute().await,
            Command::Status(command) => command.execute().await,
            Command::Runs(command) => command.execute().await,
            Command::Logs(command) => command.execute().await,
            Command::Cancel(command) => command.execute().await,
            Command::Retry(command) => command.execute().await,
            Command::Pause(command) => command.execute().await,
            Command::Resume(command) => command.execute().await,
            Command::Priority(command) => command.execute().await,
            Command::Drain(command) => command.execute().await,
            Command::Undrain(command) => command.execute().await,
            Command::Explain(command) => command.execute().await,
            Command::Audit(command) => command.execute().await,
            Command::Workers(command) => command.execute().await,
            Command::Token(command) => command.execute().await,
            Command::Certs(command) => command.execute(),
            Command::Backup(command) => command.execute().await,
            Command::Store(command) => command.execute().await,
            Command::Gc(command) => command.execute().await,
            Command::Export(command) => command.execute().await,
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The time, in milliseconds since 1970.
#[allow(clippy::disallowed_methods)] // Commands read the clock, and hand it on to what decides.
fn now_ms() -> u64 {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

/// Prints something as JSON.
fn print_json(value: &serde_json::Value) {
    say!("{value:#}");
}
