//! A table of metrics: one row per run and epoch, from a report of this program, from the authors of the paper, or from anyone else.
//!
//! Columns are known by name: this program's (`data`, `condition`, `labels`, `model`, `run` or `seed`, `epoch`, `start`, `end`, `max`,
//! `tmax`), or those of the authors' scripts (`training`, `class`, `sim`, `epoch`, `v0`, `vend`, `vmax`, `maxt`), whose shuffled series
//! are called after their data set with `_null` at the end. Other columns are not looked at.
//!
//! - [`columns`]: the columns of a CSV or Parquet file

pub mod columns;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::results::{Cell, EpochResult, RunResult};
use super::study::{CellKey, PlannedCell};
use crate::curve::metrics::{CurveMetrics, Undefined};
use crate::error::Error;
use crate::stats::paper_table::CellRows;
use columns::Columns;

/// The model's name where a table has no such column.
const UNNAMED_MODEL: &str = "network";
/// The data set's name where a table has no such column.
const UNNAMED_DATA: &str = "data";
/// The end of the names of the authors' shuffled series.
const NULL_SUFFIX: &str = "_null";
/// Largest epoch that is believed; a run needs memory for every epoch up to its last.
const MAX_EPOCH: u32 = 1_000_000;
/// How many columns an error names, and how much of each name.
const NAMED_COLUMNS: usize = 24;
const NAMED_CHARACTERS: usize = 40;

const TEXTS: [&str; 7] = ["data", "training", "condition", "class", "labels", "model", "run"];
const NUMBERS: [&str; 11] = ["seed", "sim", "epoch", "start", "end", "max", "tmax", "v0", "vend", "vmax", "maxt"];

/// The rows of one or several files.
#[derive(Debug, Default)]
pub struct MetricTable {
    files: Vec<(PathBuf, Columns)>,
}

/// The rows for the paper's table.
#[derive(Debug)]
pub struct PaperRows {
    /// By model.
    pub by_model: Vec<(String, Vec<CellRows>)>,
    /// How many rows were left out since they lack a metric.
    pub left_out: usize,
}

/// One row.
struct Row<'a> {
    key: CellKey,
    run: Option<&'a str>,
    seed: Option<f64>,
    epoch: u32,
    metrics: Option<CurveMetrics>,
}

impl MetricTable {
    /// Reads files, whose rows are taken together.
    ///
    /// # Errors
    /// If a file cannot be read, lacks a column, or has a value that cannot be.
    pub fn read(paths: &[PathBuf]) -> Result<MetricTable, Error> {
        let mut table = MetricTable::default();
        for path in paths {
            let columns = Columns::read(path, &TEXTS, &NUMBERS).map_err(|reason| broken(path, reason))?;
            check(&columns).map_err(|reason| broken(path, reason))?;
            table.files.push((path.clone(), columns));
        }
        Ok(table)
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.files.iter().map(|(_, columns)| columns.rows).sum()
    }

    /// The rows for the paper's table.
    ///
    /// # Errors
    /// If a row has labels or an epoch that cannot be.
    pub fn paper_rows(&self) -> Result<PaperRows, Error> {
        let mut cells: Vec<(CellKey, CellRows)> = Vec::new();
        let mut places: HashMap<CellKey, usize> = HashMap::new();
        let mut left_out = 0;
        self.for_each(|row| {
            let place = *places.entry(row.key).or_insert_with_key(|key| {
                cells.push((key.clone(), CellRows::new(&key.data, &key.condition, key.shuffled)));
                cells.len() - 1
            });
            match row.metrics {
                Some(metrics) => cells[place].1.add(row.epoch, &metrics),
                None => left_out += 1,
            }
            Ok(())
        })?;
        let mut by_model: BTreeMap<String, Vec<CellRows>> = BTreeMap::new();
        for (key, rows) in cells {
            by_model.entry(key.model).or_default().push(rows);
        }
        Ok(PaperRows { by_model: by_model.into_iter().collect(), left_out })
    }

    /// The rows as the results of runs, in the order in which the table first names their cells. Runs that lack an epoch which others of
    /// their data set and model have are given it without metrics.
    ///
    /// # Errors
    /// If no column tells runs apart, a run has an epoch twice, or a row has labels or an epoch that cannot be.
    pub fn cells(&self) -> Result<Vec<Cell>, Error> {
        let mut cells: Vec<Cell> = Vec::new();
        let mut places: HashMap<CellKey, usize> = HashMap::new();
        let mut runs: HashMap<(usize, String), usize> = HashMap::new();
        let mut last_epochs: HashMap<(String, String), usize> = HashMap::new();
        self.for_each(|row| {
            let name = match (row.run, row.seed) {
                (Some(run), _) => run.to_string(),
                (None, Some(seed)) => seed.to_string(),
                (None, None) => {
                    return Err("has no column run, seed or sim, and only these tell runs apart".to_string());
                }
            };
            let last = last_epochs.entry((row.key.data.clone(), row.key.model.clone())).or_default();
            *last = (*last).max(row.epoch as usize);
            let place = *places.entry(row.key).or_insert_with_key(|key| {
                let planned = PlannedCell { key: key.clone(), classes: 0, set: String::new(), runs: 0 };
                cells.push(Cell::new(planned));
                cells.len() - 1
            });
            let cell = &mut cells[place];
            let run = *runs.entry((place, name)).or_insert_with_key(|(_, name)| {
                let seed = row.seed.filter(|seed| *seed >= 0.0).unwrap_or_default() as u64;
                cell.runs.push(RunResult { run: name.clone(), seed, epochs: Vec::new(), test: Default::default() });
                cell.runs.len() - 1
            });
            let run = &mut cell.runs[run];
            fill(run, row.epoch as usize);
            let epoch = &mut run.epochs[row.epoch as usize - 1];
            if epoch.metrics != Err(Undefined::Absent) {
                return Err(format!("has epoch {} of the run {} twice", row.epoch, run.run));
            }
            epoch.metrics = row.metrics.ok_or(Undefined::NotFinite);
            Ok(())
        })?;
        for cell in &mut cells {
            let key = &cell.planned.key;
            let last = last_epochs.get(&(key.data.clone(), key.model.clone())).copied().unwrap_or_default();
            cell.runs.iter_mut().for_each(|run| fill(run, last));
            cell.runs.sort_by(|a, b| (a.seed, &a.run).cmp(&(b.seed, &b.run)));
            cell.planned.runs = cell.runs.len();
        }
        Ok(cells)
    }

    fn for_each<'a>(&'a self, mut visit: impl FnMut(Row<'a>) -> Result<(), String>) -> Result<(), Error> {
        for (path, columns) in &self.files {
            for row in 0..columns.rows {
                // Lines count from 1, and the header is the first.
                let in_row = |reason: String| broken(path, format!("{reason} (row {})", row + 1));
                visit(read_row(columns, row).map_err(in_row)?).map_err(|reason| broken(path, reason))?;
            }
        }
        Ok(())
    }
}

/// Lets a run have at least so many epochs.
fn fill(run: &mut RunResult, epochs: usize) {
    if run.epochs.len() < epochs {
        let absent = EpochResult::new(None, Default::default(), Err(Undefined::Absent));
        run.epochs.resize(epochs, absent);
    }
}

fn broken(path: &Path, reason: String) -> Error {
    Error::MetricTable { place: path.display().to_string(), reason }
}

/// Checks that the columns are there that nothing can be said without.
fn check(columns: &Columns) -> Result<(), String> {
    let words = |name: &str| columns.text(name).is_some();
    let numbers = |name: &str| columns.numbers(name).is_some();
    let needed = [
        ("condition", "class", words("condition") || words("class")),
        ("epoch", "epoch", numbers("epoch")),
        ("start", "v0", numbers("start") || numbers("v0")),
        ("end", "vend", numbers("end") || numbers("vend")),
        ("max", "vmax", numbers("max") || numbers("vmax")),
        ("tmax", "maxt", numbers("tmax") || numbers("maxt")),
    ];
    let missing = needed.into_iter().find(|(_, _, found)| !found);
    if let Some((ours, theirs, _)) = missing {
        let either = if ours == theirs { ours.to_string() } else { format!("{ours} (or {theirs})") };
        return Err(format!("has no column {either}; it has {}", named(&columns.header)));
    }
    if columns.rows == 0 {
        return Err("has no rows".to_string());
    }
    Ok(())
}

/// The first columns' names; a file that is no table can have names without end.
fn named(header: &[String]) -> String {
    let names = header.iter().take(NAMED_COLUMNS).map(|name| name.chars().take(NAMED_CHARACTERS).collect::<String>());
    let names = names.collect::<Vec<_>>().join(", ");
    if header.len() > NAMED_COLUMNS { format!("{names} and others") } else { names }
}

fn read_row(columns: &Columns, row: usize) -> Result<Row<'_>, String> {
    let text = |name: &str| columns.text(name).map(|texts| texts.get(row));
    let number = |names: [&str; 2]| {
        names
            .iter()
            .find_map(|name| columns.numbers(name))
            .map(|numbers| numbers[row])
            .filter(|value| value.is_finite())
    };
    let (data, null_series) = match (text("data"), text("training")) {
        (Some(data), _) => (data.to_string(), false),
        (None, Some(training)) => {
            // The authors spell one data set `nlp` and `NLP_null`.
            let name = training.to_lowercase();
            let data = name.strip_suffix(NULL_SUFFIX).unwrap_or(&name);
            (data.to_string(), data.len() < name.len())
        }
        (None, None) => (UNNAMED_DATA.to_string(), false),
    };
    let shuffled = match text("labels") {
        None => null_series,
        Some("true") => false,
        Some("shuffled") => true,
        Some(other) => return Err(format!("has the labels `{other}` where they are true or shuffled")),
    };
    let epoch = number(["epoch", "epoch"]).ok_or("has a row without an epoch")?;
    if epoch.fract() != 0.0 || !(1.0..=f64::from(MAX_EPOCH)).contains(&epoch) {
        return Err(format!("has the epoch {epoch} where epochs are whole numbers from 1 to {MAX_EPOCH}"));
    }
    let metrics = || {
        Some(CurveMetrics {
            start: number(["start", "v0"])?,
            end: number(["end", "vend"])?,
            max: number(["max", "vmax"])?,
            tmax: number(["tmax", "maxt"])?,
        })
    };
    Ok(Row {
        key: CellKey {
            data,
            model: text("model").unwrap_or(UNNAMED_MODEL).to_string(),
            condition: text("condition").or_else(|| text("class")).unwrap_or_default().to_string(),
            shuffled,
        },
        run: text("run"),
        seed: number(["seed", "sim"]),
        epoch: epoch as u32,
        metrics: metrics(),
    })
}
