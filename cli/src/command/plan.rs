//! `curvefleet plan`: what a study file would run.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use clap::Args;
use curvefleet_analysis::read::manifest::{ManifestRow, Outcome, read_manifest};
use curvefleet_proto::access::AccessOptions;
use curvefleet_proto::limits::MAX_RUNS_PER_CHECK;
use curvefleet_proto::plan::{self, work};
use curvefleet_proto::requirement::{Capabilities, Requirement};
use curvefleet_proto::store::Store;
use curvefleet_proto::study::{Classes, Model, ProbeKind, Study};
use curvefleet_proto::v1::{CheckRunsRequest, ListWorkersRequest, WorkerStatus};
use object_store::ObjectStore;
use object_store::path::Path;

use super::print_json;
use crate::client::Way;
use crate::failure::Failure;
use crate::listing::{counted, duration, flop, grouped};
use crate::output::say;
use crate::study_source::{StudySource, open_existing};

/// Show what a study file would run, how much work that is, and what is done already.
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    source: StudySource,
    /// The store whose studies are searched for runs that are done already
    #[arg(long, env = "CURVEFLEET_STORE", value_name = "URL", default_value = "./curvefleet-data")]
    store: String,
    /// Ask this coordinator what is done already, instead of the store
    #[arg(long, env = "CURVEFLEET_COORDINATOR", value_name = "URL", value_delimiter = ',')]
    coordinator: Option<Vec<String>>,
    #[command(flatten)]
    access: AccessOptions,
    /// List every condition and model
    #[arg(long)]
    long: bool,
    /// Print the plan for programs
    #[arg(long)]
    json: bool,
}

/// One line of the plan: a condition and a model.
struct Line {
    title: String,
    parameters: u64,
    flop: f64,
    seconds: f64,
}

impl Plan {
    /// Plans.
    ///
    /// # Errors
    /// If the study or its data are wrong.
    pub async fn execute(self) -> Result<(), Failure> {
        let store = open_existing(&self.store)?;
        let study = self.source.load(store.as_ref()).await?.study;
        let wrong = |error: plan::Error| Failure::user(error);
        let lines: Vec<Line> = plan::cells(&study).map_err(wrong)?.iter().map(|cell| line(&study, cell)).collect();
        let shards: Vec<_> = plan::shards(&study).map_err(wrong)?.collect();
        let runs: Vec<String> =
            shards.iter().flat_map(|shard| shard.runs().map(|run| run.id.to_string()).collect::<Vec<_>>()).collect();
        let done = match (&self.coordinator, &store) {
            (Some(urls), _) => done_by_coordinator(Way::new(urls, &self.access)?, &runs).await?,
            (None, Some(store)) => done_in_store(store, &runs).await?,
            (None, None) => 0,
        };
        let flop_in_all: f64 = lines.iter().map(|line| line.flop).sum::<f64>() * study.seeds.len() as f64;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let left = 1.0 - done as f64 / runs.len().max(1) as f64;
        let seconds = lines.iter().map(|line| line.seconds).sum::<f64>() * study.seeds.len() as f64;
        let time = Duration::try_from_secs_f64(seconds * left / cores as f64).unwrap_or(Duration::MAX);
        if self.json {
            print_json(&json(&study, &lines, shards.len(), runs.len(), done, flop_in_all));
            return Ok(());
        }
        say!(
            "study {} (preset {}): {} in {}",
            study.name,
            study.preset.as_str(),
            counted(runs.len() as u64, "run"),
            counted(shards.len() as u64, "shard")
        );
        print_parts(&study, &lines);
        say!(
            "  work        {} in all; what is left takes roughly {} on {}",
            flop(flop_in_all),
            duration(time),
            counted(cores as u64, "core")
        );
        say!("  done        {} of {}", grouped(done), counted(runs.len() as u64, "run"));
        for (requirement, fitting) in self.requirements(&study).await? {
            say!("  requires    {}{fitting}", requirement.describe());
        }
        if self.long {
            say!("");
            let rows: Vec<Vec<String>> =
                lines.iter().map(|line| vec![line.title.clone(), grouped(line.parameters), flop(line.flop)]).collect();
            crate::listing::print_table(&["condition and model", "parameters", "work per run"], &rows);
        }
        Ok(())
    }
}

impl Plan {
    /// What the study's runs need of their workers, each with how many of the coordinator's workers have that.
    async fn requirements(&self, study: &Study) -> Result<Vec<(Requirement, String)>, Failure> {
        let needed: Vec<Requirement> =
            study.requirements().into_iter().filter(|requirement| !requirement.is_empty()).collect();
        let Some(urls) = self.coordinator.as_ref().filter(|_| !needed.is_empty()) else {
            return Ok(needed.into_iter().map(|requirement| (requirement, String::new())).collect());
        };
        let mut client = Way::new(urls, &self.access)?.connect().await?;
        let workers = client.list_workers(ListWorkersRequest {}).await?.into_inner().workers;
        let working: Vec<Capabilities> =
            workers.into_iter().filter(|worker| worker.alive && worker.drained_ms == 0).map(capabilities).collect();
        let told = needed.into_iter().map(|requirement| {
            let fitting = working.iter().filter(|has| requirement.lacking(has).is_none()).count();
            let told = match fitting {
                0 => format!(": none of {} has that", counted(working.len() as u64, "live worker")),
                fitting => format!(": {fitting} of {} fit", counted(working.len() as u64, "live worker")),
            };
            (requirement, told)
        });
        Ok(told.collect())
    }
}

fn capabilities(worker: WorkerStatus) -> Capabilities {
    let WorkerStatus { cores, memory_bytes, gpus, labels, .. } = worker;
    Capabilities { cores, memory_bytes, gpus, labels: labels.into_iter().collect() }
}

fn line(study: &Study, cell: &plan::Cell<'_>) -> Line {
    let work = work::of(study, cell);
    Line { title: cell.title(), parameters: work.parameters, flop: work.flop, seconds: work.core_seconds() }
}

fn print_parts(study: &Study, lines: &[Line]) {
    for data in &study.data {
        let summary = &data.summary;
        let steps = if summary.steps_min == summary.steps_max {
            format!("{}", summary.steps_max)
        } else {
            format!("{} to {}", summary.steps_min, summary.steps_max)
        };
        say!(
            "  data        {}: {} in {} classes, {} time steps of {}",
            data.name,
            counted(summary.sequences(), "sequence"),
            summary.classes.len(),
            steps,
            counted(summary.feature_names.len() as u64, "feature")
        );
    }
    for set in &study.conditions {
        let labels: Vec<&str> = set.labels.iter().map(|labels| labels.as_str()).collect();
        let name = if set.name.is_empty() { String::new() } else { format!("{}: ", set.name) };
        say!(
            "  conditions  {name}{} in {} with {} labels, {} time steps of {}",
            sets(&set.classes),
            set.data,
            labels.join(" and "),
            set.pad_to,
            counted(set.features.len() as u64, "feature")
        );
    }
    let parameters = |name: &str| {
        lines
            .iter()
            .filter(|line| line.title.ends_with(&format!(", {name})")))
            .map(|line| line.parameters)
            .max()
            .unwrap_or(0)
    };
    for model in &study.models {
        say!("  model       {}, up to {}", described(model), counted(parameters(&model.name), "parameter"));
    }
    say!(
        "  training    {} each, batches of {}, {}",
        counted(u64::from(study.training.epochs), "epoch"),
        study.training.batch_size,
        counted(study.seeds.len() as u64, "seed")
    );
    let classifier = match study.probe.kind {
        ProbeKind::Knn => format!("{} nearest neighbours", study.probe.k),
        ProbeKind::NearestMean => "nearest class mean".to_string(),
        ProbeKind::Logistic => format!("logistic regression (l2 = {})", study.probe.l2),
    };
    say!("  probe       {classifier}, {}", study.probe.scoring.as_str());
}

/// A model in one line: its name, its kind where that is another, and its sizes.
fn described(model: &Model) -> String {
    let kind = model.kind.as_str();
    let mut text = model.name.clone();
    if model.name != kind {
        text += &format!(" ({kind})");
    }
    if !model.kind.has_layers() {
        return text;
    }
    let hidden = match model.hidden {
        0 => "as many hidden units as features".to_string(),
        hidden => counted(u64::from(hidden), "hidden unit"),
    };
    text += &format!(": {}, {hidden}", counted(u64::from(model.layers), "layer"));
    if model.dropout > 0.0 {
        text += &format!(", dropout {}", model.dropout);
    }
    text
}

/// `15 pairs of classes`, `1 set of classes`.
fn sets(classes: &[Classes]) -> String {
    let noun = if classes.iter().all(|classes| classes.len() == 2) { "pair" } else { "set" };
    format!("{} of classes", counted(classes.len() as u64, noun))
}

fn json(study: &Study, lines: &[Line], shards: usize, runs: usize, done: u64, flop: f64) -> serde_json::Value {
    let cells: Vec<_> = lines
        .iter()
        .map(
            |line| serde_json::json!({ "title": line.title, "parameters": line.parameters, "flop_per_run": line.flop }),
        )
        .collect();
    let requires = study.models.iter().map(|model| (&model.name, study.requirement_of(&model.name)));
    let requires: BTreeMap<_, _> = requires.filter(|(_, requirement)| !requirement.is_empty()).collect();
    serde_json::json!({
        "requires": requires, "study": study.name, "preset": study.preset.as_str(), "runs": runs, "shards": shards, "done": done, "flop": flop, "cells": cells,
    })
}

async fn done_by_coordinator(way: Way, runs: &[String]) -> Result<u64, Failure> {
    let mut client = way.connect().await?;
    let mut done = 0;
    for runs in runs.chunks(MAX_RUNS_PER_CHECK) {
        done += client.check_runs(CheckRunsRequest { runs: runs.to_vec() }).await?.into_inner().done.len() as u64;
    }
    Ok(done)
}

/// Runs that the manifest of any study in the store lists as done.
async fn done_in_store(store: &Store, runs: &[String]) -> Result<u64, Failure> {
    let unreadable = |error: String| Failure::other(format!("the store {} cannot be read: {error}", store.url()));
    let listed = store
        .objects()
        .list_with_delimiter(Some(&Path::from("studies")))
        .await
        .map_err(|error| unreadable(error.to_string()))?;
    let wanted: HashSet<&String> = runs.iter().collect();
    let mut done = HashSet::new();
    for folder in listed.common_prefixes {
        let Some(name) = folder.filename() else { continue };
        let rows = match read_manifest(store, name).await {
            // A study that has a folder and no manifest has no run done.
            Err(curvefleet_analysis::Error::NothingDone(_)) => continue,
            rows => rows?,
        };
        let is_done = |row: &ManifestRow| matches!(row.outcome, Outcome::Done(_));
        done.extend(rows.into_iter().filter(is_done).map(|row| row.run).filter(|run| wanted.contains(run)));
    }
    Ok(done.len() as u64)
}
