//! `curvefleet`, the one command a person types: the whole system in one process (`run`), the parts of it on a cluster
//! (`coordinator`, `worker`), and everything to ask and tell them.
//!
//! - [`command`]: one file per subcommand
//! - [`study_source`]: from a study file to a resolved study with its data sets in the store
//! - [`archive`]: what lies in a store, looked after
//! - [`client`]: the connection to a coordinator
//! - [`progress`]: the progress bar
//! - [`listing`]: tables and numbers for a terminal
//! - [`output`]: printing lines
//! - [`failure`]: one sentence and an exit code

mod archive;
mod client;
mod command;
mod failure;
mod listing;
mod output;
mod progress;
mod remote_file;
mod study_source;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use command::Command;

/// glibc maps and unmaps the large buffers of training at each use; measured, mimalloc trains 1.4 to 3 times faster.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The commit that this was built from (`build.rs`).
const GIT_COMMIT: &str = env!("CURVEFLEET_GIT_COMMIT");

/// Map the learning curves of neural networks, on this machine or on a cluster
#[derive(Debug, Parser)]
#[command(
    name = "curvefleet",
    version,
    max_term_width = 100,
    after_help = "Begin with: curvefleet run studies/quickstart.toml\nCURVEFLEET_LOG=debug shows more of what goes on"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Of a store, what is tried again is said by whoever asked, once; `info` says each try.
    let default = if arguments.command.is_service() { "info,object_store=warn" } else { "warn" };
    let filter = EnvFilter::try_from_env("CURVEFLEET_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match arguments.command.execute().await {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit_code()
        }
    }
}
