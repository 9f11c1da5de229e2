//! The paper's table as files: one line per model, and the models' coefficients.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::error::Error;
use crate::read::results::{Cell, Results};
use crate::stats::paper_table::{CellRows, Line, paper_table_of_cells};
use crate::table::{Files, Kind, Value, Writer};

/// The paper's table for every model of the study.
pub fn of_results(results: &Results) -> Vec<(String, Vec<Line>)> {
    let rows: Vec<CellRows> = results.cells.par_iter().map(rows_of).collect();
    let mut by_model: BTreeMap<&str, Vec<CellRows>> = BTreeMap::new();
    for (cell, rows) in results.cells.iter().zip(rows) {
        by_model.entry(&cell.planned.key.model).or_default().push(rows);
    }
    by_model.into_iter().map(|(model, rows)| (model.to_string(), paper_table_of_cells(&rows))).collect()
}

fn rows_of(cell: &Cell) -> CellRows {
    let key = &cell.planned.key;
    let mut rows = CellRows::new(&key.data, &key.condition, key.shuffled);
    for run in &cell.runs {
        for (epoch, number) in run.epochs.iter().zip(1..) {
            if let Ok(metrics) = &epoch.metrics {
                rows.add(number, metrics);
            }
        }
    }
    rows
}

/// The numbers of [`significance`] after the F test, in its order; those in the second list belong to differences alone.
const MODEL_NUMBERS: [&str; 8] =
    ["r_squared", "adjusted_r_squared", "sigma", "rss", "tss", "log_likelihood", "aic", "bic"];
const DIFFERENCE_NUMBERS: [&str; 5] =
    ["r_squared_gain", "adjusted_r_squared_gain", "smaller_r_squared", "smaller_rss", "sum_of_squares"];

/// One row per network, metric, data set and model.
///
/// # Errors
/// If the table cannot be encoded.
pub fn significance(by_model: &[(String, Vec<Line>)]) -> Result<Files, Error> {
    let mut columns = ["network", "metric", "data", "explained_by"].map(|name| (name, Kind::Text)).to_vec();
    columns.extend(["n", "df1", "df2"].map(|name| (name, Kind::Count)));
    let numbers = ["f", "p", "log10_p"].into_iter().chain(MODEL_NUMBERS).chain(DIFFERENCE_NUMBERS);
    columns.extend(numbers.map(|name| (name, Kind::Number)));
    columns.push(("smaller_df2", Kind::Count));
    columns.push(("note", Kind::Text));
    let mut table = Writer::new("significance", &columns)?;
    for (network, line) in by_model.iter().flat_map(|(network, lines)| lines.iter().map(move |line| (network, line))) {
        let test = line.test.as_ref();
        let count = |count: Option<usize>| count.map_or(Value::Missing, Value::from);
        let fit = line.fit.as_ref();
        let mut row = vec![Value::Text(network), Value::Text(line.metric.name())];
        row.extend([Value::from(line.source.as_deref()), Value::Text(line.model.name()), Value::from(line.n)]);
        row.extend([count(test.map(|test| test.df1)), count(test.map(|test| test.df2))]);
        row.extend([
            Value::from(test.map(|test| test.f)),
            Value::from(test.map(|test| test.p.p())),
            Value::from(test.map(|test| test.p.log10())),
            Value::from(line.r_squared),
            Value::from(line.adjusted_r_squared),
            Value::from(fit.and_then(|fit| fit.sigma())),
            Value::from(fit.map(|fit| fit.residual)),
            Value::from(fit.map(|fit| fit.total())),
            Value::from(fit.and_then(|fit| fit.log_likelihood())),
            Value::from(fit.and_then(|fit| fit.aic())),
            Value::from(fit.and_then(|fit| fit.bic())),
        ]);
        let smaller = line.smaller.as_ref();
        row.extend([
            Value::from(line.r_squared_gain),
            Value::from(line.adjusted_r_squared_gain),
            Value::from(smaller.and_then(|fit| fit.r_squared())),
            Value::from(smaller.map(|fit| fit.residual)),
            Value::from(smaller.zip(fit).map(|(smaller, fit)| smaller.residual - fit.residual)),
            count(smaller.map(|fit| fit.df_residual())),
            Value::from(line.note.as_deref()),
        ]);
        table.push(&row)?;
    }
    table.finish()
}

/// One row per coefficient of each model of [`significance`] that is no difference.
///
/// # Errors
/// If the table cannot be encoded.
pub fn coefficients(by_model: &[(String, Vec<Line>)]) -> Result<Files, Error> {
    let mut columns = ["network", "metric", "data", "explained_by", "term"].map(|name| (name, Kind::Text)).to_vec();
    columns.extend(["estimate", "standard_error", "t", "df", "p", "log10_p"].map(|name| (name, Kind::Number)));
    columns.push(("note", Kind::Text));
    let mut table = Writer::new("coefficients", &columns)?;
    for (network, line) in by_model.iter().flat_map(|(network, lines)| lines.iter().map(move |line| (network, line))) {
        for coefficient in &line.coefficients {
            let test = coefficient.test.as_ref();
            let note = match (coefficient.estimate, test) {
                (None, _) => Some("a combination of the terms before it"),
                (Some(_), None) => Some("the residuals leave no standard error"),
                (Some(_), Some(_)) => None,
            };
            table.push(&[
                Value::Text(network),
                Value::Text(line.metric.name()),
                Value::from(line.source.as_deref()),
                Value::Text(line.model.name()),
                Value::Text(&coefficient.term),
                Value::from(coefficient.estimate),
                Value::from(test.map(|test| test.se)),
                Value::from(test.map(|test| test.t)),
                Value::from(test.map(|test| test.df)),
                Value::from(test.map(|test| test.p.p())),
                Value::from(test.map(|test| test.p.log10())),
                Value::from(note),
            ])?;
        }
    }
    table.finish()
}
