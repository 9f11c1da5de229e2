//! `curvefleet-analysis`: writes the report of a study, with nothing but the store at hand.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use curvefleet_analysis::{Options, run};
use tracing_subscriber::EnvFilter;

/// Write the report of a study: figures, tables and one page, from the curves in its store.
#[derive(Debug, Parser)]
#[command(name = "curvefleet-analysis", version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_env("CURVEFLEET_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let json = arguments.options.json;
    // The clock names the report and decides nothing else.
    #[allow(clippy::disallowed_methods)]
    let now = SystemTime::now();
    match run(arguments.options, now, std::env::vars()).await {
        Ok(summary) => {
            println!("{}", if json { summary.to_json() } else { summary.to_text() });
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if error.is_user_error() { 2 } else { 1 })
        }
    }
}
