//! `curvefleet run`: the whole system in one process. A coordinator on a loopback port, a worker per core, the same gRPC service and
//! the same store code as on a cluster; then the report.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use curvefleet_analysis::report::time::folder_name;
use curvefleet_analysis::{ReportOptions, ReportSummary, write_report};
use curvefleet_coordinator::{Coordinator, Running};
use curvefleet_proto::artifact::study_folder;
use curvefleet_proto::store::Store;
use curvefleet_proto::v1::{GetStudyRequest, RetryStudyRequest, StudyStatus};
use curvefleet_worker::agent::{Agent, Local, LocalLimits};
use curvefleet_worker::options::{TrainingOptions, default_slots};
use curvefleet_worker::train::Device;
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::manage;
use super::submit::{submit, warn_of_damage};
use super::watch::{exit_code, follow, outcome, show_failures};
use crate::archive::repair::repair;
use crate::client::{Client, Way};
use crate::failure::Failure;
use crate::listing::{counted, duration, grouped};
use crate::output::say;
use crate::study_source::StudySource;

/// How long results may be on their way after Ctrl-C; a second one ends the wait.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// Exit code after Ctrl-C, as shells count it: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// Run a whole study on this machine and write its report.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    source: StudySource,
    /// Where everything is kept: a folder, or s3://bucket/prefix
    #[arg(long, env = "CURVEFLEET_STORE", value_name = "URL", default_value = "./curvefleet-data")]
    store: String,
    /// The ledger's file [default: ledger.sqlite in the store's folder]
    #[arg(long, env = "CURVEFLEET_LEDGER", value_name = "FILE")]
    ledger: Option<std::path::PathBuf>,
    /// Workers, each training a run at a time [default: as many as there are cores for; 1 on a GPU]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    #[command(flatten)]
    training: TrainingOptions,
    /// Try runs again that have failed or were cancelled
    #[arg(long)]
    retry: bool,
    /// Verify the curves of runs that are done already, and train those again that are damaged or missing
    #[arg(long)]
    repair: bool,
}

/// A coordinator and its workers in this process.
struct Fleet {
    coordinator: Running,
    workers: JoinSet<Result<(), curvefleet_worker::Error>>,
    stop: watch::Sender<bool>,
    device: Device,
    checkpoint_every: Duration,
    checkpoint_epochs: Option<u32>,
    local: LocalLimits,
}

impl Run {
    /// Runs the study; the exit code is 0 if every run is done.
    ///
    /// # Errors
    /// If the study, its data, the store or the ledger cannot be used.
    pub async fn execute(self) -> Result<ExitCode, Failure> {
        let device = self.training.device()?;
        let workers = self.workers.unwrap_or_else(|| default_slots(device));
        if workers == 0 {
            return Err(Failure::user("--workers is 0; at least one is needed"));
        }
        let store = Store::open(&self.store, std::env::vars())?;
        let loaded = self.source.load(Some(&store)).await?;
        let mut fleet = Fleet::start(&self, device).await?;
        let result = fleet.train(&store, loaded, workers, &self).await;
        fleet.end().await;
        result
    }
}

impl Fleet {
    async fn start(run: &Run, device: Device) -> Result<Fleet, Failure> {
        let options = curvefleet_coordinator::Options {
            listen: "127.0.0.1:0".to_string(),
            store: run.store.clone(),
            ledger: run.ledger.clone(),
            expire_leases_at_start: true,
            private: true,
            ..curvefleet_coordinator::Options::default()
        };
        Ok(Fleet {
            coordinator: Coordinator::start(options).await?,
            workers: JoinSet::new(),
            stop: watch::channel(false).0,
            device,
            checkpoint_every: run.training.checkpoint_every(),
            checkpoint_epochs: run.training.checkpoint_epochs,
            local: run.training.local.limits(|name| std::env::var(name).ok()),
        })
    }

    async fn train(
        &mut self,
        store: &Store,
        loaded: crate::study_source::Loaded,
        workers: usize,
        run: &Run,
    ) -> Result<ExitCode, Failure> {
        let way = Way::to(&self.coordinator);
        let mut client = way.connect().await?;
        let study = loaded.study.name.clone();
        let (mut status, reply) = submit(&mut client, store, loaded).await?;
        if !run.repair {
            warn_of_damage(&reply, &study, "the same command and --repair");
        }
        if run.retry {
            let retried = client.retry_study(RetryStudyRequest { name: study.clone() }).await?.into_inner();
            status = retried.status.unwrap_or(status);
        }
        if run.repair {
            let repaired = repair(&mut client, store, &study).await?;
            manage::show(&study, &repaired)?;
            let found = client.get_study(GetStudyRequest { name: study.clone() }).await?.into_inner();
            status = found.status.unwrap_or(status);
        }
        let open = status.runs.unwrap_or_default();
        let open = open.pending + open.leased;
        if open == 0 {
            return self.nothing_to_do(&mut client, store, &status).await;
        }
        announce(&status, reply.reused, workers, store);
        self.hire(workers)?;
        let began = Instant::now();
        let status = tokio::select! {
            followed = follow(&way, &study) => followed?,
            ended = self.workers.join_next() => return Err(why(ended)),
            stopped = told_to_stop() => {
                stopped?;
                return self.interrupted(&mut client, &study).await;
            }
        };
        say!("{} in {}", outcome(&status), duration(began.elapsed()));
        show_failures(&mut client, &status).await?;
        if exit_code(&status) != ExitCode::SUCCESS {
            say!("  try them again with --retry");
        }
        show(&report(store, &study).await?);
        Ok(exit_code(&status))
    }

    /// The workers, which share what is kept on this machine.
    fn hire(&mut self, workers: usize) -> Result<(), Failure> {
        let local = Local::new(self.local.clone());
        for index in 0..workers {
            let settings = curvefleet_worker::agent::Settings {
                coordinators: vec![self.coordinator.url()],
                access: self.coordinator.access(),
                store: None,
                name: format!("here-{}", index + 1),
                slots: 1,
                device: self.device,
                checkpoint_every: self.checkpoint_every,
                checkpoint_epochs: self.checkpoint_epochs,
                stop_within: STOP_WITHIN,
                labels: BTreeMap::new(),
                idle: None,
                environment: std::env::vars().collect(),
                git_commit: crate::GIT_COMMIT.to_string(),
            };
            let agent = Agent::new(settings, local.clone())?;
            self.workers.spawn(agent.work(self.stop.subscribe()));
        }
        Ok(())
    }

    async fn nothing_to_do(
        &mut self,
        client: &mut Client,
        store: &Store,
        status: &StudyStatus,
    ) -> Result<ExitCode, Failure> {
        let runs = status.runs.unwrap_or_default();
        if runs.done == runs.planned {
            say!("all {} of study {} are done already", counted(runs.planned, "run"), status.name);
        } else {
            say!("{}; nothing is left to do", outcome(status));
            show_failures(client, status).await?;
            say!("  try them again with --retry");
        }
        match latest_report(store, &status.name).await? {
            Some(location) => say!("report: {location}"),
            None => {
                client
                    .write_manifest(curvefleet_proto::v1::WriteManifestRequest { study: status.name.clone() })
                    .await?;
                show(&report(store, &status.name).await?);
            }
        }
        Ok(exit_code(status))
    }

    /// The first Ctrl-C stops politely, the second at once.
    async fn interrupted(&mut self, client: &mut Client, study: &str) -> Result<ExitCode, Failure> {
        eprintln!("stopping after the epochs at hand (Ctrl-C again to stop at once)");
        tokio::spawn(async {
            if told_to_stop().await.is_ok() {
                std::process::exit(i32::from(INTERRUPTED));
            }
        });
        self.dismiss().await;
        let request = GetStudyRequest { name: study.to_string() };
        let runs =
            client.get_study(request).await?.into_inner().status.and_then(|status| status.runs).unwrap_or_default();
        say!(
            "stopped: {} of {} done; the same command goes on from here",
            grouped(runs.done),
            counted(runs.planned, "run")
        );
        Ok(ExitCode::from(INTERRUPTED))
    }

    /// Tells the workers to stop and waits for them.
    async fn dismiss(&mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.workers.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a worker ended with an error"),
                Err(error) => tracing::error!(%error, "a worker panicked"),
            }
        }
    }

    async fn end(mut self) {
        self.dismiss().await;
        self.coordinator.shutdown().await;
    }
}

/// Waits for Ctrl-C or SIGTERM.
pub(super) async fn told_to_stop() -> Result<(), Failure> {
    let deaf = |error: std::io::Error| Failure::other(format!("cannot listen for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(deaf)?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(deaf),
    }
}

/// Why a worker ended although nobody told it to.
fn why(ended: Option<Result<Result<(), curvefleet_worker::Error>, tokio::task::JoinError>>) -> Failure {
    match ended {
        Some(Ok(Err(error))) => error.into(),
        Some(Err(error)) => Failure::other(format!("a worker ended: {error}")),
        Some(Ok(Ok(()))) | None => Failure::other("a worker ended without a reason"),
    }
}

fn announce(status: &StudyStatus, reused: u64, workers: usize, store: &Store) {
    let runs = status.runs.unwrap_or_default();
    let done = if runs.done > 0 { format!(", {} done already", grouped(runs.done)) } else { String::new() };
    let elsewhere = if reused > 0 { format!(" ({} of them in other studies)", grouped(reused)) } else { String::new() };
    say!(
        "study {}: {}{done}{elsewhere}, {} on this machine",
        status.name,
        counted(runs.planned, "run"),
        counted(workers as u64, "worker")
    );
    say!("folder: {}", store.locate(&study_folder(&status.name)));
}

async fn report(store: &Store, study: &str) -> Result<ReportSummary, Failure> {
    // The clock names the report and decides nothing else.
    #[allow(clippy::disallowed_methods)]
    let time = folder_name(SystemTime::now());
    Ok(write_report(store, study, ReportOptions { time }).await?)
}

fn show(summary: &ReportSummary) {
    say!("\n{}", summary.to_text());
}

/// Where the newest report of a study lies.
async fn latest_report(store: &Store, study: &str) -> Result<Option<String>, Failure> {
    let folder = Path::from(format!("{}/reports", study_folder(study)));
    let found: Result<Vec<_>, _> =
        store.objects().list(Some(&folder)).map_ok(|object| object.location.to_string()).try_collect().await;
    let found =
        found.map_err(|error| Failure::other(format!("the store {} cannot be listed: {error}", store.url())))?;
    Ok(found.into_iter().filter(|key| key.ends_with("/index.html")).max().map(|key| store.locate(&key)))
}
