//! Curves that other programs wrote, as a study: files of accuracies (rows are time steps, columns are epochs, one file per run) become
//! the study file, parts and manifest that a report reads.
//!
//! The layout is that of the paper's authors, whose scripts write `sim<seed>/processing curve sim_KNN_<pair>.csv`; other names are read
//! by a pattern. All files are read before anything is written, and the study file, without which there is no study, comes last.
//!
//! - [`pattern`]: which file holds which run
//! - [`curve_file`]: one file
//! - `plan`: the study that they make
//! - `encode`: parts and manifest

pub mod curve_file;
mod encode;
pub mod pattern;
mod plan;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use clap::Args;
use curvefleet_proto::artifact::{PartProvenance, manifest_key, part_key, sha256_hex, study_key};
use curvefleet_proto::plan::{RunSettings, cells};
use curvefleet_proto::store::Store;
use curvefleet_proto::study::Labels;
use object_store::ObjectStoreExt;
use object_store::path::Path as Key;
use rayon::prelude::*;
use serde::Serialize;

use crate::error::Error;
use curve_file::Curves;
use encode::{ImportedRun, Listed};
use pattern::{AUTHORS, Named, Pattern};

/// The backend that the parts of imported curves name.
pub const BACKEND: &str = "imported";
/// Runs of a part at most.
const RUNS_OF_A_PART: usize = 200;

/// The command line of `curvefleet import-curves`.
#[derive(Debug, Clone, Args)]
pub struct ImportOptions {
    /// The folder with the files: CSV, rows are time steps, columns are epochs, and the first column counts the rows
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// The name that the study is to have
    #[arg(long = "as", value_name = "NAME")]
    pub study: String,
    /// A folder like it, with runs on shuffled labels
    #[arg(long, value_name = "FOLDER")]
    pub shuffled: Option<PathBuf>,
    /// Which file holds which run: its path in the folder, with {seed}, {condition} and, where there are several, {model}; {any} stands
    /// for anything. Other files are not looked at
    #[arg(long, value_name = "PATTERN", default_value = AUTHORS)]
    pub pattern: String,
    /// What stands between the classes of a condition
    #[arg(long, value_name = "TEXT", default_value = "-")]
    pub separator: String,
    /// A better name for a class, such as --class-name Class0=sadness; may be given again
    #[arg(long = "class-name", value_name = "OLD=NEW", value_parser = renaming)]
    pub class_names: Vec<(String, String)>,
    /// The data set's name
    #[arg(long, value_name = "NAME", default_value = "imported")]
    pub data: String,
    /// The model's name, where the pattern has no {model}
    #[arg(long, value_name = "NAME", default_value = "lstm")]
    pub model: String,
    /// One line about the study
    #[arg(long, value_name = "TEXT", default_value = "Imported curves")]
    pub description: String,
    /// Where studies lie: a folder, or s3://bucket/prefix, gs://bucket/prefix, az://container/prefix
    #[arg(long, value_name = "URL", env = "CURVEFLEET_STORE", default_value = "./curvefleet-data")]
    pub store: String,
    /// Print a summary for programs
    #[arg(long)]
    pub json: bool,
}

fn renaming(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.to_string(), new.to_string())),
        _ => Err("write OLD=NEW, such as Class0=sadness".to_string()),
    }
}

/// What was imported.
#[derive(Debug, Clone, Serialize)]
pub struct ImportSummary {
    /// The study.
    pub study: String,
    /// Runs.
    pub runs: usize,
    /// Conditions.
    pub conditions: usize,
    /// Epochs of every run.
    pub epochs: usize,
    /// Fewest and most time steps.
    pub steps: (usize, usize),
    /// Files in the folders that are none of the pattern's.
    pub other_files: usize,
    /// Where the study lies, for a person.
    pub location: String,
}

/// One file that is to be read.
#[derive(Debug, Clone)]
pub(crate) struct CurveFile {
    path: PathBuf,
    named: Named,
    labels: Labels,
}

/// One file that was read.
pub(crate) struct ReadFile {
    file: CurveFile,
    sha256: String,
    curves: Curves,
}

/// Reads the folders and writes the study into the store. `now_ms` stands in the manifest; `environment` gives the store's keys.
///
/// # Errors
/// If the pattern is none, a file is no table of accuracies, the files do not make a study, there is a study of this name already, or the
/// store cannot be written. Unless the store fails midway, nothing is written then.
pub async fn import_curves(
    options: &ImportOptions,
    now_ms: u64,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<ImportSummary, Error> {
    let store = Store::open(&options.store, environment)?;
    let pattern = Pattern::parse(&options.pattern)
        .map_err(|reason| Error::Import(format!("the pattern `{}` cannot be used: {reason}", options.pattern)))?;
    let (mut files, mut other_files) = (Vec::new(), 0);
    let folders = [(Some(&options.folder), Labels::True), (options.shuffled.as_ref(), Labels::Shuffled)];
    for (folder, labels) in folders.into_iter().filter_map(|(folder, labels)| Some((folder?, labels))) {
        other_files += find(folder, &pattern, labels, &mut files)?;
    }
    let owned = options.clone();
    let work = tokio::task::spawn_blocking(move || prepare(&owned, files, now_ms));
    let prepared = work.await.unwrap_or_else(|stopped| std::panic::resume_unwind(stopped.into_panic()))?;
    let place = study_key(&options.study);
    match store.objects().head(&Key::from(place.as_str())).await {
        Err(object_store::Error::NotFound { .. }) => {}
        Err(source) => return Err(Error::Objects { place: store.locate(&place), source }),
        Ok(_) => {
            return Err(Error::Import(format!(
                "the store {} has a study `{}` already; give another name with --as",
                store.url(),
                options.study
            )));
        }
    }
    for (key, bytes) in prepared.objects {
        let put = store.objects().put(&Key::from(key.as_str()), bytes.into()).await;
        put.map_err(|source| Error::Objects { place: store.locate(&key), source })?;
    }
    Ok(ImportSummary { other_files, location: store.locate(&place), ..prepared.summary })
}

/// Finds the pattern's files in a folder; gives how many others there are.
fn find(folder: &Path, pattern: &Pattern, labels: Labels, files: &mut Vec<CurveFile>) -> Result<usize, Error> {
    let unreadable = |path: &Path, error: &std::io::Error| {
        Error::Import(format!("the folder {} cannot be read: {error}", path.display()))
    };
    let (mut open, mut found, mut others) = (vec![folder.to_path_buf()], Vec::new(), 0);
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).map_err(|error| unreadable(&next, &error))? {
            let path = entry.map_err(|error| unreadable(&next, &error))?.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let parts = path.strip_prefix(folder).ok().map(|inside| inside.iter().map(|part| part.to_str()).collect());
            let inside: Option<Vec<&str>> = parts.flatten();
            match inside.and_then(|parts| pattern.read(&parts.join("/"))) {
                Some(named) => found.push(CurveFile { path, named, labels }),
                None => others += 1,
            }
        }
    }
    if found.is_empty() {
        return Err(Error::Import(format!(
            "none of the {others} files in {} has a path as the pattern says; give another one with --pattern",
            folder.display()
        )));
    }
    found.sort_by(|a, b| a.named.cmp(&b.named).then(a.path.cmp(&b.path)));
    if let Some(pair) = found.windows(2).find(|pair| pair[0].named == pair[1].named) {
        return Err(Error::Import(format!(
            "{} and {} are both the run with seed {} of {}",
            pair[0].path.display(),
            pair[1].path.display(),
            pair[0].named.seed,
            pair[0].named.condition
        )));
    }
    files.extend(found);
    Ok(others)
}

/// What is to be written, and what it is.
struct Prepared {
    /// Parts, then the manifest, then the study file.
    objects: Vec<(String, Vec<u8>)>,
    summary: ImportSummary,
}

fn prepare(options: &ImportOptions, files: Vec<CurveFile>, now_ms: u64) -> Result<Prepared, Error> {
    let read: Vec<ReadFile> = files.into_par_iter().map(read).collect::<Result<_, Error>>()?;
    let first = &read[0];
    let epochs = first.curves.epochs.len();
    if let Some(other) = read.iter().find(|file| file.curves.epochs.len() != epochs) {
        return Err(Error::Import(format!(
            "{} has {} epochs where {} has {epochs}; the runs of a study have as many",
            other.file.path.display(),
            other.curves.epochs.len(),
            first.file.path.display()
        )));
    }
    let steps = read.iter().map(|file| file.curves.steps());
    let steps = steps.fold((usize::MAX, 0), |(low, high), steps| (low.min(steps), high.max(steps)));
    let study = plan::study(options, &read, epochs, steps)?;
    let toml = study.to_toml().map_err(|error| Error::Import(error.to_string()))?;
    let mut of_cell: HashMap<(Vec<String>, Labels, String), BTreeMap<u64, Curves>> = HashMap::new();
    for ReadFile { file, curves, .. } in read {
        let model = file.named.model.clone().unwrap_or_else(|| options.model.clone());
        let key = (plan::classes(options, &file.named.condition), file.labels, model);
        of_cell.entry(key).or_default().insert(file.named.seed, curves);
    }
    let (mut objects, mut listed) = (Vec::new(), Vec::new());
    let planned = cells(&study).map_err(|error| Error::Import(error.to_string()))?;
    for cell in &planned {
        let key = (cell.condition.classes.clone(), cell.condition.labels, cell.model.name.clone());
        let Some(found) = of_cell.remove(&key) else { continue };
        let names = [&cell.data.name, &cell.condition_name, cell.condition.labels.as_str(), &cell.model.name];
        let names = names.map(|name| name.to_string());
        let settings = RunSettings::of(&study, cell);
        let runs: Vec<ImportedRun> = found
            .into_iter()
            .map(|(seed, curves)| ImportedRun {
                run: settings.run_id(seed).to_string(),
                names: names.clone(),
                seed,
                curves,
            })
            .collect();
        let shard = sha256_hex(names.join("\n").as_bytes())[..16].to_string();
        let provenance = PartProvenance {
            study: study.name.clone(),
            study_sha256: sha256_hex(toml.as_bytes()),
            shard: shard.clone(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            backend: BACKEND.to_string(),
            data_sha256: cell.data.summary.sha256.clone(),
            ..PartProvenance::default()
        };
        for (number, runs) in runs.chunks(RUNS_OF_A_PART).enumerate() {
            let bytes = encode::part(runs, &provenance)?;
            let key = part_key(&study.name, &shard, 1, number as u32);
            let part = (key.clone(), bytes.len() as u64, sha256_hex(&bytes));
            objects.push((key, bytes));
            listed.extend(runs.iter().map(|run| Listed {
                run: run.run.clone(),
                names: run.names.clone(),
                seed: run.seed,
                shard: shard.clone(),
                part: part.clone(),
            }));
        }
    }
    objects.push((manifest_key(&study.name), encode::manifest(&study.name, &listed, now_ms)?));
    objects.push((study_key(&study.name), toml.into_bytes()));
    let conditions = study.conditions.iter().map(|set| set.classes.len()).sum();
    let summary = ImportSummary {
        study: study.name.clone(),
        runs: listed.len(),
        conditions,
        epochs,
        steps,
        other_files: 0,
        location: String::new(),
    };
    Ok(Prepared { objects, summary })
}

fn read(file: CurveFile) -> Result<ReadFile, Error> {
    let curves = Curves::read(&file.path)?;
    let unreadable =
        |error| Error::CurveFile { place: file.path.display().to_string(), reason: format!("cannot be read: {error}") };
    let sha256 = sha256_hex(&std::fs::read(&file.path).map_err(unreadable)?);
    Ok(ReadFile { file, sha256, curves })
}

impl ImportSummary {
    /// The summary for a person.
    pub fn to_text(&self) -> String {
        let steps = match self.steps {
            (low, high) if low == high => low.to_string(),
            (low, high) => format!("{low} to {high}"),
        };
        let others = match self.other_files {
            0 => String::new(),
            1 => "; 1 other file in the folder was not looked at".to_string(),
            n => format!("; {n} other files in the folder were not looked at"),
        };
        format!(
            "{} runs of {} conditions, {} epochs with {steps} time steps{others}\nthe study {}: {}\ncurvefleet report {} gives its report",
            self.runs, self.conditions, self.epochs, self.study, self.location, self.study
        )
    }

    /// The summary as one line of JSON.
    pub fn to_json(&self) -> String {
        // Strings and counts always become JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}
