//! `curvefleet-worker`: the worker alone, for images that hold no more than it needs.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The commit that this was built from, where whoever built it said so.
const GIT_COMMIT: &str = match option_env!("CURVEFLEET_GIT_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// Trains shards of curvefleet studies that a coordinator leases out
#[derive(Parser)]
#[command(version)]
struct Command {
    #[command(flatten)]
    options: curvefleet_worker::Options,
}

#[tokio::main]
async fn main() -> ExitCode {
    let command = Command::parse();
    // Of a store, what is tried again is said by whoever asked, once; `info` says each try.
    let filter = tracing_subscriber::EnvFilter::try_from_env("CURVEFLEET_LOG")
        .unwrap_or_else(|_| "info,object_store=warn".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match curvefleet_worker::run(command.options, GIT_COMMIT).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if error.is_user_error() { 2 } else { 1 })
        }
    }
}
