//! `curvefleet-analysis`: writes the report of a study, with nothing but the store at hand.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use curvefleet_analysis::report::watch::News;
use curvefleet_analysis::{Error, Options, ReportSummary, run};
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
    let reported = if arguments.options.watch {
        watch(&arguments.options).await
    } else {
        run(arguments.options, now(), std::env::vars()).await.map(Some)
    };
    match reported {
        Ok(summary) => {
            if let Some(summary) = summary {
                println!("{}", if json { summary.to_json() } else { summary.to_text() });
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if error.is_user_error() { 2 } else { 1 })
        }
    }
}

// The clock names the report and its renewals, and decides nothing else.
#[allow(clippy::disallowed_methods)]
fn now() -> SystemTime {
    SystemTime::now()
}

async fn watch(options: &Options) -> Result<Option<ReportSummary>, Error> {
    let stop = async {
        // Where signals cannot be heard, the watch ends with the study.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let tell = |news: News<'_>| match news {
        News::Written(summary) => eprintln!("{}: {}", summary.runs_in_words(), summary.location),
        News::Waiting => eprintln!("nothing is done yet; waiting for the first runs"),
        News::Trouble(error) => eprintln!("trouble: {error}; looking again later"),
    };
    options.watch(now(), std::env::vars())?.follow(now, async || false, tell, stop).await
}
