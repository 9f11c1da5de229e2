//! The report's tables: metrics per run and epoch, means per condition, final performance, the paper's significance table, and
//! what is missing. `docs/artifacts.md` describes their columns to users.

use std::io::Write;

use curvefleet_proto::artifact::SCORES;

use super::paper_tables;
use crate::aggregate::{Quantity, by_epoch, test_score};
use crate::curve::metrics::Metric;
use crate::error::Error;
use crate::read::results::{Cell, Results};
use crate::stats::paper_table::Line;
use crate::stats::summary::Summary;
use crate::table::{Files, Kind, Value, Writer};

/// All tables by file name, but for [`METRICS`], which [`write_metrics`] writes.
///
/// # Errors
/// If a table cannot be encoded.
pub fn all(results: &Results, significance: &[(String, Vec<Line>)]) -> Result<Vec<(&'static str, Files)>, Error> {
    Ok(vec![
        ("condition_means", condition_means(results)?),
        ("performance", performance(results)?),
        ("significance", paper_tables::significance(significance)?),
        ("coefficients", paper_tables::coefficients(significance)?),
        ("missing", missing(results)?),
    ])
}

const CELL_COLUMNS: [(&str, Kind); 4] =
    [("data", Kind::Text), ("condition", Kind::Text), ("labels", Kind::Text), ("model", Kind::Text)];

fn cell_values(cell: &Cell) -> [Value<'_>; 4] {
    let key = &cell.planned.key;
    [Value::Text(&key.data), Value::Text(&key.condition), Value::Text(key.labels()), Value::Text(&key.model)]
}

/// The name of the table of metrics.
pub const METRICS: &str = "metrics";

/// Writes the table of metrics, one row per run and epoch, to two files and gives them back. Of all tables it alone grows with the
/// runs, so that it never lies in memory.
///
/// # Errors
/// If a row cannot be encoded or written.
pub fn write_metrics<W: Write + Send>(results: &Results, csv: W, parquet: W) -> Result<(W, W), Error> {
    let validation: Vec<String> = SCORES.iter().map(|score| format!("validation_{score}")).collect();
    let test: Vec<String> = SCORES.iter().map(|score| format!("test_{score}")).collect();
    let mut columns = vec![("run", Kind::Text)];
    columns.extend(CELL_COLUMNS);
    columns.extend([("seed", Kind::Count), ("epoch", Kind::Count)]);
    columns.extend(Metric::ALL.map(|metric| (metric.name(), Kind::Number)));
    columns.push(("train_loss", Kind::Number));
    columns.extend(validation.iter().chain(&test).map(|name| (name.as_str(), Kind::Number)));
    columns.push(("note", Kind::Text));
    let mut table = Writer::to(METRICS, &columns, csv, parquet)?;
    for cell in &results.cells {
        for run in &cell.runs {
            for (index, epoch) in run.epochs.iter().enumerate() {
                let note = epoch.metrics.err().map(|reason| reason.to_string());
                let mut row = vec![Value::Text(&run.run)];
                row.extend(cell_values(cell));
                row.extend([Value::Count(run.seed), Value::from(index + 1)]);
                row.extend(
                    Metric::ALL.map(|metric| Value::from(epoch.metrics.ok().map(|metrics| metrics.get(metric)))),
                );
                row.push(Value::from(epoch.train_loss()));
                row.extend(epoch.validation().map(Value::from));
                let last = index + 1 == run.epochs.len();
                row.extend(run.test.map(|score| if last { Value::from(score) } else { Value::Missing }));
                row.push(Value::from(note.as_deref()));
                table.push(&row)?;
            }
        }
    }
    table.end()
}

const SUMMARY_COLUMNS: [(&str, Kind); 6] = [
    ("n", Kind::Count),
    ("mean", Kind::Number),
    ("sd", Kind::Number),
    ("se", Kind::Number),
    ("ci95_low", Kind::Number),
    ("ci95_high", Kind::Number),
];

fn summary_values(summary: Option<Summary>) -> [Value<'static>; 6] {
    let Some(summary) = summary else {
        return [Value::Count(0), Value::Missing, Value::Missing, Value::Missing, Value::Missing, Value::Missing];
    };
    let half = summary.half_width();
    [
        Value::from(summary.n),
        Value::Number(summary.mean),
        Value::from(summary.sd),
        Value::from(summary.se()),
        Value::from(half.map(|half| summary.mean - half)),
        Value::from(half.map(|half| summary.mean + half)),
    ]
}

/// One row per condition, epoch and quantity: over the condition's runs.
fn condition_means(results: &Results) -> Result<Files, Error> {
    let mut quantities: Vec<(String, Quantity)> =
        Metric::ALL.iter().map(|metric| (metric.name().to_string(), Quantity::Metric(*metric))).collect();
    quantities.push(("train_loss".to_string(), Quantity::TrainLoss));
    quantities
        .extend(SCORES.iter().enumerate().map(|(i, score)| (format!("validation_{score}"), Quantity::Validation(i))));
    let mut columns = CELL_COLUMNS.to_vec();
    columns.extend([("epoch", Kind::Count), ("quantity", Kind::Text)]);
    columns.extend(SUMMARY_COLUMNS);
    let mut table = Writer::new("condition_means", &columns)?;
    for cell in &results.cells {
        let by_quantity: Vec<_> =
            quantities.iter().map(|(name, quantity)| (name, by_epoch(&[cell], *quantity))).collect();
        for epoch in 0..by_quantity.first().map_or(0, |(_, means)| means.len()) {
            for (name, means) in &by_quantity {
                let mut row = cell_values(cell).to_vec();
                row.extend([Value::from(epoch + 1), Value::Text(name)]);
                row.extend(summary_values(means[epoch]));
                table.push(&row)?;
            }
        }
    }
    table.finish()
}

/// One row per condition and test score, after the last epoch: over the condition's runs.
fn performance(results: &Results) -> Result<Files, Error> {
    let mut columns = CELL_COLUMNS.to_vec();
    columns.extend([("runs_planned", Kind::Count), ("runs_done", Kind::Count), ("score", Kind::Text)]);
    columns.extend(SUMMARY_COLUMNS);
    let mut table = Writer::new("performance", &columns)?;
    for cell in &results.cells {
        for (index, score) in SCORES.iter().enumerate() {
            let name = format!("test_{score}");
            let mut row = cell_values(cell).to_vec();
            row.extend([Value::from(cell.planned.runs), Value::from(cell.runs.len()), Value::Text(&name)]);
            row.extend(summary_values(test_score(&[cell], index)));
            table.push(&row)?;
        }
    }
    table.finish()
}

/// One row per run that is not in the results, and per epoch whose curve has no metrics.
fn missing(results: &Results) -> Result<Files, Error> {
    let mut columns = vec![("run", Kind::Text)];
    columns.extend(CELL_COLUMNS);
    columns.extend([("seed", Kind::Count), ("epoch", Kind::Count), ("what", Kind::Text), ("reason", Kind::Text)]);
    let mut table = Writer::new("missing", &columns)?;
    for run in &results.missing {
        let key = &run.key;
        table.push(&[
            Value::Text(&run.run),
            Value::Text(&key.data),
            Value::Text(&key.condition),
            Value::Text(key.labels()),
            Value::Text(&key.model),
            Value::Count(run.seed),
            Value::Missing,
            Value::Text(if run.failed { "run failed" } else { "run unreadable" }),
            Value::Text(&run.reason),
        ])?;
    }
    for (cell, run, epoch, reason) in results.excluded() {
        let reason = reason.to_string();
        let mut row = vec![Value::Text(&run.run)];
        row.extend(cell_values(cell));
        let what = [Value::Text("epoch excluded"), Value::Text(&reason)];
        row.extend([Value::Count(run.seed), Value::Count(u64::from(epoch))].into_iter().chain(what));
        table.push(&row)?;
    }
    table.finish()
}
