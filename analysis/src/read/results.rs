//! All that a study's runs say: metrics per run and epoch, the sums behind the mean maps, and what is missing and why.

use std::collections::{BTreeMap, HashMap};

use curvefleet_proto::artifact::{PartProvenance, SCORES};
use curvefleet_proto::store::Store;
use futures::StreamExt;

use super::kept::{KeptCurves, MOST_MAP_VALUES, Room, RunMaps};
use super::manifest::{ManifestRow, Outcome, PartRef, read_manifest};
use super::part::{CurveRow, MeasuredPart, MeasuredRow, Scores, read_measured};
use super::study::{CellKey, PlannedCell, StoredStudy, read_study};
use crate::curve::metrics::{CurveMetrics, Undefined};
use crate::error::Error;
use crate::import::BACKEND;

/// Parts that are fetched, decoded and measured at a time, while the results of the one before are taken.
pub const PARTS_IN_FLIGHT: usize = 4;

/// The results of a study.
#[derive(Debug)]
pub struct Results {
    /// What was planned, and with which settings.
    pub stored: StoredStudy,
    /// The cells in the plan's order; cells that only the manifest knows come last.
    pub cells: Vec<Cell>,
    /// Runs that are not in the results, in the manifest's order.
    pub missing: Vec<Missing>,
    /// Planned runs that the manifest does not name: not trained yet.
    pub pending: usize,
    /// The programs, backends and data sets that the parts name, in alphabetical order.
    pub provenance: Vec<PartProvenance>,
    /// Whether the maps of single runs are kept.
    pub run_maps: RunMaps,
    /// With several studies put together, the first one as it was submitted; `stored` is then all of them.
    pub own: Option<StoredStudy>,
    /// The studies after the first.
    pub others: Vec<StoredStudy>,
    /// Runs that several of the studies have.
    pub doubled_runs: usize,
}

/// The results of one data set × condition × labels × model.
#[derive(Debug)]
pub struct Cell {
    /// Which cell, and what was planned for it.
    pub planned: PlannedCell,
    /// Its runs, by seed.
    pub runs: Vec<RunResult>,
    /// Sums over its runs.
    pub map: MapSums,
    /// Curves of single runs.
    pub kept: KeptCurves,
}

/// One run.
#[derive(Debug, Clone)]
pub struct RunResult {
    /// Its id.
    pub run: String,
    /// Its seed.
    pub seed: u64,
    /// Its epochs, from 1.
    pub epochs: Vec<EpochResult>,
    /// Scores on the test samples after the last epoch.
    pub test: Scores,
}

/// One epoch of a run. A large study has millions of them in memory, so that an undefined loss or score is kept as NaN here, and given
/// as `None`.
#[derive(Debug, Clone, Copy)]
pub struct EpochResult {
    train_loss: f64,
    validation: [f64; SCORES.len()],
    /// The curve's metrics, or why there are none.
    pub metrics: Result<CurveMetrics, Undefined>,
}

impl EpochResult {
    /// An epoch of which this much is known.
    pub fn new(train_loss: Option<f64>, validation: Scores, metrics: Result<CurveMetrics, Undefined>) -> EpochResult {
        let or_nan = |value: Option<f64>| value.unwrap_or(f64::NAN);
        EpochResult { train_loss: or_nan(train_loss), validation: validation.map(or_nan), metrics }
    }

    /// Mean training loss.
    pub fn train_loss(&self) -> Option<f64> {
        Some(self.train_loss).filter(|loss| !loss.is_nan())
    }

    /// Scores on the validation samples.
    pub fn validation(&self) -> Scores {
        self.validation.map(|score| Some(score).filter(|score| !score.is_nan()))
    }
}

/// A run that is not in the results.
#[derive(Debug, Clone)]
pub struct Missing {
    /// Its id.
    pub run: String,
    /// Its cell.
    pub key: CellKey,
    /// Its seed.
    pub seed: u64,
    /// Whether the coordinator gave it up, rather than its curve being unreadable.
    pub failed: bool,
    /// Why it is missing.
    pub reason: String,
}

/// Sums of the curves of a cell's runs, by epoch and time step; only curves whose metrics are defined count.
#[derive(Debug, Clone, Default)]
pub struct MapSums {
    /// For every epoch, for every time step.
    pub epochs: Vec<Vec<StepSum>>,
}

/// The accuracies of some runs at one time step. They are added exactly, so that the order in which parts are read decides nothing, and
/// a study has the same map before and after its parts are moved into large ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct StepSum {
    /// In units of 2⁻⁸⁰, of which every accuracy above 2⁻²⁸ is a whole number.
    sum: i128,
    runs: u32,
}

impl Cell {
    /// A cell without runs.
    pub fn new(planned: PlannedCell) -> Cell {
        Cell { planned, runs: Vec::new(), map: MapSums::default(), kept: KeptCurves::default() }
    }
}

impl MapSums {
    fn add(&mut self, epoch_index: usize, curve: &[f64]) {
        if self.epochs.len() <= epoch_index {
            self.epochs.resize(epoch_index + 1, Vec::new());
        }
        let sums = &mut self.epochs[epoch_index];
        if sums.len() < curve.len() {
            sums.resize(curve.len(), StepSum::default());
        }
        for (sum, value) in sums.iter_mut().zip(curve) {
            sum.sum = sum.sum.saturating_add((value * StepSum::UNITS) as i128);
            sum.runs += 1;
        }
    }
}

impl StepSum {
    /// 2⁸⁰.
    const UNITS: f64 = 1_208_925_819_614_629_174_706_176.0;

    /// The accuracies of both.
    pub fn with(self, other: &StepSum) -> StepSum {
        StepSum { sum: self.sum.saturating_add(other.sum), runs: self.runs + other.runs }
    }

    /// Their mean; `None` if there are none.
    pub fn mean(self) -> Option<f64> {
        (self.runs > 0).then(|| self.sum as f64 / StepSum::UNITS / f64::from(self.runs))
    }
}

/// Reads all results of a study, part by part.
///
/// # Errors
/// If the study file or the manifest cannot be read. Unreadable parts are no errors; their runs are [`Missing`].
pub async fn read_results(store: &Store, study: &str) -> Result<Results, Error> {
    let stored = read_study(store, study).await?;
    let manifest = read_manifest(store, study).await?;
    let mut gathering = Gathering::new(stored, &manifest);
    let parts = runs_by_part(&manifest);
    let objects = store.objects();
    let mut fetched = futures::stream::iter(parts)
        .map(|(part, rows)| {
            let objects = objects.clone();
            async move { (read_measured(objects, &part).await, part, rows) }
        })
        .buffered(PARTS_IN_FLIGHT);
    while let Some((result, part, rows)) = fetched.next().await {
        match result {
            Ok(found) => gathering.add_part(&part, found, &rows),
            Err(problem) => {
                let reason = format!("the part {} {problem}", part.key);
                tracing::warn!(part = part.key, %problem, "a curve part was left out");
                rows.iter().for_each(|row| gathering.miss(row, false, reason.clone()));
            }
        }
    }
    Ok(gathering.finish(&manifest))
}

/// The parts in the order in which the manifest first names them, each with its runs. Rows that name one key with different
/// hashes are different parts here, and at most one of them will pass the check.
pub fn runs_by_part(manifest: &[ManifestRow]) -> Vec<(PartRef, Vec<&ManifestRow>)> {
    let mut order: Vec<(PartRef, Vec<&ManifestRow>)> = Vec::new();
    let mut places: HashMap<(&str, &str, u64), usize> = HashMap::new();
    for row in manifest {
        if let Outcome::Done(part) = &row.outcome {
            let place = *places.entry((&part.key, &part.sha256, part.size_bytes)).or_insert_with(|| {
                order.push((part.clone(), Vec::new()));
                order.len() - 1
            });
            order[place].1.push(row);
        }
    }
    order
}

impl ManifestRow {
    fn key(&self) -> CellKey {
        CellKey {
            data: self.data.clone(),
            model: self.model.clone(),
            condition: self.condition.clone(),
            shuffled: self.shuffled,
        }
    }
}

/// Results while the parts come in.
struct Gathering {
    results: Results,
    cell_of: HashMap<CellKey, usize>,
    provenance: BTreeMap<String, PartProvenance>,
    room: Room,
}

impl Gathering {
    fn new(stored: StoredStudy, manifest: &[ManifestRow]) -> Gathering {
        let mut planned = stored.planned.clone();
        let mut cell_of: HashMap<CellKey, usize> =
            planned.iter().enumerate().map(|(index, cell)| (cell.key.clone(), index)).collect();
        for row in manifest {
            cell_of.entry(row.key()).or_insert_with(|| {
                planned.push(PlannedCell { key: row.key(), classes: 0, set: String::new(), runs: 0 });
                planned.len() - 1
            });
        }
        let total: usize = planned.iter().map(|cell| cell.runs).sum();
        let cells = planned.into_iter().map(Cell::new).collect();
        let results = Results {
            stored,
            cells,
            missing: Vec::new(),
            pending: total.saturating_sub(manifest.len()),
            provenance: Vec::new(),
            run_maps: RunMaps::Kept,
            own: None,
            others: Vec::new(),
            doubled_runs: 0,
        };
        Gathering { results, cell_of, provenance: BTreeMap::new(), room: Room::new(MOST_MAP_VALUES) }
    }

    fn miss(&mut self, row: &ManifestRow, failed: bool, reason: String) {
        self.results.missing.push(Missing { run: row.run.clone(), key: row.key(), seed: row.seed, failed, reason });
    }

    /// Takes the rows of the part's runs; rows of runs that the manifest does not place in it are ignored.
    fn add_part(&mut self, part: &PartRef, found: MeasuredPart, rows: &[&ManifestRow]) {
        for provenance in found.provenance {
            let name = format!("{} {} {}", provenance.version, provenance.backend, provenance.data_sha256);
            self.provenance.insert(name, provenance);
        }
        let mut curves: HashMap<String, Vec<MeasuredRow>> = HashMap::new();
        for mut row in found.rows {
            curves.entry(std::mem::take(&mut row.row.run)).or_default().push(row);
        }
        for row in rows {
            let mut epochs = curves.remove(&row.run).unwrap_or_default();
            epochs.sort_by_key(|row| row.row.epoch);
            match whole(&epochs, self.results.stored.study.training.epochs) {
                Ok(()) => self.add_run(row, &epochs),
                Err(reason) => self.miss(row, false, format!("the part {} {reason}", part.key)),
            }
        }
    }

    fn add_run(&mut self, row: &ManifestRow, rows: &[MeasuredRow]) {
        // `new` has made a cell for every row of the manifest.
        let Some(&cell) = self.cell_of.get(&row.key()) else { return };
        let cell = &mut self.results.cells[cell];
        let mut epochs = Vec::with_capacity(rows.len());
        for (index, MeasuredRow { row, metrics }) in rows.iter().enumerate() {
            if metrics.is_ok() {
                cell.map.add(index, &row.curve);
            }
            epochs.push(EpochResult::new(row.train_loss, row.validation, *metrics));
        }
        let whole = epochs.iter().all(|epoch| epoch.metrics.is_ok());
        let curves: Vec<&CurveRow> = rows.iter().map(|measured| &measured.row).collect();
        let had_room = self.room.sufficed();
        cell.kept.add((row.seed, row.run.clone()), &curves, whole, &mut self.room);
        let test = rows.last().map(|measured| measured.row.test).unwrap_or_default();
        cell.runs.push(RunResult { run: row.run.clone(), seed: row.seed, epochs, test });
        if had_room && !self.room.sufficed() {
            self.results.cells.iter_mut().for_each(|cell| cell.kept.maps = Vec::new());
        }
    }

    fn finish(mut self, manifest: &[ManifestRow]) -> Results {
        for row in manifest {
            if let Outcome::Failed(error) = &row.outcome {
                self.miss(row, true, error.clone());
            }
        }
        let place: HashMap<&str, usize> =
            manifest.iter().enumerate().map(|(index, row)| (row.run.as_str(), index)).collect();
        self.results.missing.sort_by_key(|missing| place.get(missing.run.as_str()).copied());
        for cell in &mut self.results.cells {
            cell.runs.sort_by(|a, b| (a.seed, &a.run).cmp(&(b.seed, &b.run)));
            cell.kept.finish();
        }
        if !self.room.sufficed() {
            self.results.run_maps = RunMaps::TooMany;
        }
        self.results.provenance = self.provenance.into_values().collect();
        self.results
    }
}

/// Whether a run's rows, sorted, are its epochs from 1 to the last one, each once.
fn whole(rows: &[MeasuredRow], epochs: u32) -> Result<(), String> {
    if rows.is_empty() {
        return Err("holds no rows of this run".to_string());
    }
    if rows.len() == epochs as usize && rows.iter().zip(1..).all(|(row, epoch): (_, u32)| row.row.epoch == epoch) {
        return Ok(());
    }
    Err(format!("holds {} rows of this run where the epochs 1 to {epochs} are expected", rows.len()))
}

impl Results {
    /// Whether all curves were imported from files of other programs.
    pub fn is_imported(&self) -> bool {
        !self.provenance.is_empty() && self.provenance.iter().all(|part| part.backend == BACKEND)
    }

    /// Runs in the results.
    pub fn done(&self) -> usize {
        self.cells.iter().map(|cell| cell.runs.len()).sum()
    }

    /// Runs that were planned.
    pub fn planned(&self) -> usize {
        self.cells.iter().map(|cell| cell.planned.runs).sum()
    }

    /// Epochs of runs in the results whose curve has no metrics, with the reason.
    pub fn excluded(&self) -> impl Iterator<Item = (&Cell, &RunResult, u32, Undefined)> {
        self.cells.iter().flat_map(|cell| {
            cell.runs.iter().flat_map(move |run| {
                run.epochs
                    .iter()
                    .zip(1..)
                    .filter_map(move |(epoch, number)| epoch.metrics.err().map(|reason| (cell, run, number, reason)))
            })
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_a_step_is_the_same_in_any_order() {
        let curves: Vec<[f64; 1]> = (1..200_u32).map(|run| [f64::from(run * 37 % 101) / 101.0]).collect();
        let mean = |curves: &mut dyn Iterator<Item = &[f64; 1]>| {
            let mut map = MapSums::default();
            curves.for_each(|curve| map.add(0, curve));
            map.epochs[0][0].mean().unwrap()
        };
        let forwards = mean(&mut curves.iter());
        assert_eq!(forwards.to_bits(), mean(&mut curves.iter().rev()).to_bits());
        let numerators: u32 = (1..200).map(|run| run * 37 % 101).sum();
        assert!((forwards - f64::from(numerators) / (101.0 * 199.0)).abs() < 1e-15);
        assert_eq!(StepSum::default().mean(), None);
    }
}
