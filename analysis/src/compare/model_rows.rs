//! The epochs of runs as the rows of a model: gone through where they lie, since a large study has millions.

use crate::curve::metrics::Metric;
use crate::read::results::{Cell, RunResult};
use crate::stats::design::Row;

/// The rows of some cells, one for each epoch with metrics.
pub(super) struct ModelRows<'a> {
    /// The cells, and what each is compared as.
    cells: &'a [(&'a Cell, &'a str)],
    metric: Metric,
}

impl<'a> ModelRows<'a> {
    /// The rows of cells that are compared by `metric`.
    pub(super) fn new(cells: &'a [(&'a Cell, &'a str)], metric: Metric) -> ModelRows<'a> {
        ModelRows { cells, metric }
    }

    /// The rows, cell by cell and run by run.
    pub(super) fn iter(&self) -> impl Iterator<Item = Row<'a>> + Clone {
        let metric = self.metric;
        let runs = self.cells.iter().flat_map(|(cell, level)| cell.runs.iter().map(move |run| (run, *level)));
        runs.flat_map(move |(run, level)| {
            run.epochs.iter().zip(1_u32..).filter_map(move |(epoch, number)| {
                Some(Row { run: &run.run, level, epoch: f64::from(number), value: epoch.metrics.ok()?.get(metric) })
            })
        })
    }

    /// How many rows there are.
    pub(super) fn count(&self) -> usize {
        let with_metrics = |run: &RunResult| run.epochs.iter().filter(|epoch| epoch.metrics.is_ok()).count();
        self.cells.iter().flat_map(|(cell, _)| &cell.runs).map(with_metrics).sum()
    }

    /// How many runs have one.
    pub(super) fn runs(&self) -> usize {
        let runs = self.cells.iter().flat_map(|(cell, _)| &cell.runs);
        runs.filter(|run| run.epochs.iter().any(|epoch| epoch.metrics.is_ok())).count()
    }
}
