//! The rows of one combination of data set, condition and labels, as the few numbers that every model of the table needs.
//!
//! Within such a cell the predictors of all models are the constant and the epoch, times numbers that the cell fixes. So the rows
//! `[1 | epoch | metrics]` are reduced once to their triangle ([`Triangulation`]), and each model is solved from the triangles of its
//! cells: reflections within a cell's rows change no least-squares problem that these rows are part of. A table of millions of rows is
//! read once, and needs the memory of its cells.

use crate::curve::metrics::{CurveMetrics, Metric};
use crate::stats::triangle::Triangulation;

/// Columns before the metrics: the constant and the epoch.
const PREDICTORS: usize = 2;
const WIDTH: usize = PREDICTORS + Metric::TESTED.len();

/// The rows (run × epoch) of one data set, condition and kind of labels.
#[derive(Debug, Clone)]
pub struct CellRows {
    /// The data set.
    pub source: String,
    /// The condition (class pair).
    pub condition: String,
    /// Whether the labels were shuffled.
    pub shuffled: bool,
    rows: usize,
    /// The first and the last epoch.
    epochs: (u32, u32),
    /// Subtracted from each metric, so that rounding is that of the metric's spread and not of its size: those of the first row.
    shift: [f64; Metric::TESTED.len()],
    sums: [f64; Metric::TESTED.len()],
    ranges: [(f64, f64); Metric::TESTED.len()],
    reduced: Triangulation,
}

impl CellRows {
    /// A cell without rows.
    pub fn new(source: &str, condition: &str, shuffled: bool) -> CellRows {
        CellRows {
            source: source.to_string(),
            condition: condition.to_string(),
            shuffled,
            rows: 0,
            epochs: (u32::MAX, 0),
            shift: [0.0; Metric::TESTED.len()],
            sums: [0.0; Metric::TESTED.len()],
            ranges: [(f64::INFINITY, f64::NEG_INFINITY); Metric::TESTED.len()],
            reduced: Triangulation::new(WIDTH),
        }
    }

    /// Adds one epoch, counted from 1, of one run.
    pub fn add(&mut self, epoch: u32, metrics: &CurveMetrics) {
        let values = Metric::TESTED.map(|metric| metrics.get(metric));
        if self.rows == 0 {
            self.shift = values;
        }
        self.rows += 1;
        self.epochs = (self.epochs.0.min(epoch), self.epochs.1.max(epoch));
        let mut row = [1.0; WIDTH];
        row[1] = f64::from(epoch);
        for (index, value) in values.into_iter().enumerate() {
            let deviation = value - self.shift[index];
            self.sums[index] += deviation;
            self.ranges[index] = (self.ranges[index].0.min(value), self.ranges[index].1.max(value));
            row[PREDICTORS + index] = deviation;
        }
        self.reduced.add(row);
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The first and the last epoch of its rows.
    pub(super) fn epochs(&self) -> (u32, u32) {
        self.epochs
    }

    /// The sum of a metric, by its place in [`Metric::TESTED`].
    pub(super) fn sum(&self, metric: usize) -> f64 {
        self.shift[metric] * self.rows as f64 + self.sums[metric]
    }

    /// The least and the largest value of a metric.
    pub(super) fn range(&self, metric: usize) -> (f64, f64) {
        self.ranges[metric]
    }

    /// The rows `(constant, epoch, metric − shift)` that stand for all of the cell's.
    pub(super) fn reduced(&self, metric: usize, shift: f64) -> Vec<(f64, f64, f64)> {
        let moved = self.shift[metric] - shift;
        let triangle = self.reduced.triangle();
        let rows = triangle.chunks_exact(WIDTH);
        rows.map(|row| (row[0], row[1], row[PREDICTORS + metric] + moved * row[0])).collect()
    }
}
