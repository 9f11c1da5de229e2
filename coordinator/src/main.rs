//! The coordinator as a program of its own, for images that hold nothing else.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use curvefleet_coordinator::{Options, run};
use tracing_subscriber::EnvFilter;

/// Takes studies, leases their runs to workers and keeps what has become of them.
#[derive(Debug, Parser)]
#[command(name = "curvefleet-coordinator", version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

/// The exit code where the user can mend it by asking for something else.
const USER_ERROR: u8 = 2;
/// The exit code of every other failure.
const OTHER_ERROR: u8 = 1;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Of a store, what is tried again is said by whoever asked, once; `info` says each try.
    let filter = EnvFilter::try_from_env("CURVEFLEET_LOG").unwrap_or_else(|_| EnvFilter::new("info,object_store=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the system refuses the threads of a runtime: {error}");
            return ExitCode::from(OTHER_ERROR);
        }
    };
    match runtime.block_on(run(arguments.options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if error.is_user_error() { USER_ERROR } else { OTHER_ERROR })
        }
    }
}
