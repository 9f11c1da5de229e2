//! Means over runs: what figures, tables and the headline are made of.

use crate::curve::metrics::{CurveMetrics, Metric};
use crate::read::results::{Cell, EpochResult, Results, StepSum};
use crate::stats::summary::Summary;

/// The results of one data set and one model: what one set of figures shows.
#[derive(Debug)]
pub struct Group<'a> {
    /// The data set.
    pub data: &'a str,
    /// The model.
    pub model: &'a str,
    /// Its conditions in the plan's order.
    pub conditions: Vec<ConditionResults<'a>>,
}

/// One condition, with true labels and shuffled ones.
#[derive(Debug)]
pub struct ConditionResults<'a> {
    /// Its name.
    pub name: &'a str,
    /// Which conditions share a pooled control with it.
    pub family: Family<'a>,
    /// With true labels, if planned.
    pub truth: Option<&'a Cell>,
    /// With shuffled labels, if planned.
    pub control: Option<&'a Cell>,
}

/// Conditions with the same chance level and inputs: those of one condition set that tell as many classes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family<'a> {
    /// The condition set's name; mostly empty.
    pub set: &'a str,
    /// How many classes.
    pub classes: usize,
}

impl Family<'_> {
    /// The family in words, for a figure with several of them.
    pub fn title(&self) -> String {
        let classes = match self.classes {
            0 => String::new(),
            2 => "pairs".to_string(),
            n => format!("{n} classes"),
        };
        [self.set, &classes].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// Splits results into groups, in the plan's order.
pub fn groups(results: &Results) -> Vec<Group<'_>> {
    groups_of(&results.cells)
}

/// Splits cells into groups, in their order.
pub fn groups_of(cells: &[Cell]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group> = Vec::new();
    for cell in cells {
        let key = &cell.planned.key;
        let place = groups.iter().position(|group| group.data == key.data && group.model == key.model);
        let place = place.unwrap_or_else(|| {
            groups.push(Group { data: &key.data, model: &key.model, conditions: Vec::new() });
            groups.len() - 1
        });
        let conditions = &mut groups[place].conditions;
        let place = conditions.iter().position(|condition| condition.name == key.condition).unwrap_or_else(|| {
            let family = Family { set: &cell.planned.set, classes: cell.planned.classes };
            conditions.push(ConditionResults { name: &key.condition, family, truth: None, control: None });
            conditions.len() - 1
        });
        let side = if key.shuffled { &mut conditions[place].control } else { &mut conditions[place].truth };
        *side = Some(cell);
    }
    groups
}

impl<'a> Group<'a> {
    /// The families of its conditions, in order.
    pub fn families(&self) -> Vec<Family<'a>> {
        let mut families = Vec::new();
        for condition in &self.conditions {
            if !families.contains(&condition.family) {
                families.push(condition.family);
            }
        }
        families
    }

    /// The cells of a family with shuffled labels: its pooled control. Cells without runs are left out.
    pub fn controls(&self, family: Family<'_>) -> Vec<&'a Cell> {
        self.side(family, |condition| condition.control)
    }

    /// The cells of a family with true labels. Cells without runs are left out.
    pub fn truths(&self, family: Family<'_>) -> Vec<&'a Cell> {
        self.side(family, |condition| condition.truth)
    }

    fn side(&self, family: Family<'_>, side: impl Fn(&ConditionResults<'a>) -> Option<&'a Cell>) -> Vec<&'a Cell> {
        let conditions = self.conditions.iter().filter(|condition| condition.family == family);
        conditions.filter_map(side).filter(|cell| !cell.runs.is_empty()).collect()
    }
}

/// What is averaged over runs, epoch by epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// A metric of the probe curve.
    Metric(Metric),
    /// The network's training loss.
    TrainLoss,
    /// The network's score on the validation samples, by its place in `SCORES`.
    Validation(usize),
}

impl Quantity {
    /// The value in an epoch; `None` where it is undefined.
    pub fn of(self, epoch: &EpochResult) -> Option<f64> {
        match self {
            Quantity::Metric(metric) => epoch.metrics.ok().map(|metrics: CurveMetrics| metrics.get(metric)),
            Quantity::TrainLoss => epoch.train_loss(),
            Quantity::Validation(score) => epoch.validation()[score],
        }
    }
}

/// Epochs of the longest run of some cells.
pub fn epochs(cells: &[&Cell]) -> usize {
    cells.iter().flat_map(|cell| &cell.runs).map(|run| run.epochs.len()).max().unwrap_or(0)
}

/// A quantity over the runs of some cells, pooled, for every epoch from 1; `None` where no run has it.
pub fn by_epoch(cells: &[&Cell], quantity: Quantity) -> Vec<Option<Summary>> {
    let at = |epoch: usize| {
        let runs = cells.iter().flat_map(|cell| &cell.runs);
        let values: Vec<f64> = runs.filter_map(|run| quantity.of(run.epochs.get(epoch)?)).collect();
        Summary::of(&values)
    };
    (0..epochs(cells)).map(at).collect()
}

/// A test score (by its place in `SCORES`) over the runs of some cells, pooled.
pub fn test_score(cells: &[&Cell], score: usize) -> Option<Summary> {
    let values: Vec<f64> = cells.iter().flat_map(|cell| &cell.runs).filter_map(|run| run.test[score]).collect();
    Summary::of(&values)
}

/// Mean accuracy by epoch and time step, over the runs of some cells.
#[derive(Debug, Clone)]
pub struct MeanMap {
    /// Most time steps of an epoch.
    pub steps: usize,
    /// For every epoch from 1, for every time step from 1; `None` where no run has a curve.
    pub epochs: Vec<Vec<Option<f64>>>,
    /// Runs that the means are over.
    pub runs: usize,
}

/// The mean learning-curve map of some cells, pooled over runs; `None` where there is no curve.
pub fn mean_map(cells: &[&Cell]) -> Option<MeanMap> {
    let height = cells.iter().map(|cell| cell.map.epochs.len()).max().unwrap_or(0);
    let steps = cells.iter().flat_map(|cell| &cell.map.epochs).map(Vec::len).max().unwrap_or(0);
    if height == 0 || steps == 0 {
        return None;
    }
    let mean_at = |epoch: usize, step: usize| {
        let sums = cells.iter().filter_map(|cell| cell.map.epochs.get(epoch)?.get(step));
        sums.fold(StepSum::default(), StepSum::with).mean()
    };
    let epochs = (0..height).map(|epoch| (0..steps).map(|step| mean_at(epoch, step)).collect()).collect();
    Some(MeanMap { steps, epochs, runs: cells.iter().map(|cell| cell.runs.len()).sum() })
}

impl MeanMap {
    /// All its values.
    pub fn values(&self) -> impl Iterator<Item = f64> {
        self.epochs.iter().flatten().filter_map(|value| *value)
    }
}
