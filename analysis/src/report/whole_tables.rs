//! The tables of what looks at whole maps, at all epochs or at all runs at once. `docs/artifacts.md` describes their columns.

use curvefleet_proto::study::Analysis;

use super::comparison_tables::{Cells, OUTCOME_COLUMNS, columns, p_values};
use crate::compare::aggregates::{Aggregate, Side};
use crate::compare::over_map::{MapTest, MapTests};
use crate::compare::{Comparisons, Origin};
use crate::error::Error;
use crate::table::{Files, Kind, Value, Writer};

/// All tables by file name.
///
/// # Errors
/// If a table cannot be encoded.
pub fn all(comparisons: &Comparisons, analysis: &Analysis) -> Result<Vec<(&'static str, Files)>, Error> {
    Ok(vec![
        ("map_tests", map_tests(comparisons, analysis)?),
        ("likelihood_ratio", likelihood_ratio(comparisons)?),
        ("cluster_robust", cluster_robust(comparisons)?),
        ("interquartile_means", interquartile_means(comparisons, analysis)?),
        ("performance_profiles", performance_profiles(comparisons, analysis)?),
    ])
}

/// One row per test and cluster, and one for a test without clusters.
fn map_tests(comparisons: &Comparisons, analysis: &Analysis) -> Result<Files, Error> {
    let columns = columns(
        &[("data", Kind::Text), ("model", Kind::Text)],
        &[
            (Kind::Text, &["first", "second"]),
            (Kind::Count, &["runs_first", "runs_second", "cluster", "cells"]),
            (Kind::Number, &["share_of_map", "mean_difference"]),
            (Kind::Count, &["first_epoch", "last_epoch", "first_step", "last_step", "peak_epoch", "peak_step"]),
            (Kind::Number, &["peak_difference", "peak_t", "mass", "p", "corrected_p"]),
            (Kind::Count, &["family_size"]),
            (Kind::Number, &["threshold_t"]),
            (Kind::Count, &["assignments"]),
            (Kind::Text, &["assignment_kind", "origin", "reason"]),
        ],
    );
    let mut table = Writer::new("map_tests", &columns)?;
    for tests in &comparisons.maps {
        for (list, origin) in [(&tests.controls, Origin::Added), (&tests.pairs, MapTests::pairs_origin(analysis))] {
            for test in list {
                let clusters = test.found.as_ref().map_or(0, |found| found.test.clusters.len());
                for cluster in 0..clusters.max(1) {
                    map_test_row(tests, test, cluster, origin).write(&mut table)?;
                }
            }
        }
    }
    table.finish()
}

fn map_test_row<'a>(tests: &'a MapTests, test: &'a MapTest, cluster: usize, origin: Origin) -> Cells<'a> {
    let mut cells = Cells::new([&tests.data, &tests.model].map(|name| Value::Text(name)));
    let second = test.second.as_deref().unwrap_or("shuffled labels");
    cells.push([Value::Text(&test.first), Value::Text(second)]);
    cells.push([Value::from(test.runs.0), Value::from(test.runs.1)]);
    match &test.found {
        Err(reason) => {
            cells.push([Value::Missing; 15]);
            cells.add_reason(reason);
        }
        Ok(found) => match found.test.clusters.get(cluster) {
            None => {
                cells.push([Value::Missing; 13]);
                cells.push([Value::Number(found.p().p()), Value::from(test.corrected.map(|p| p.p()))]);
                cells.add_reason("no cell's t is beyond the threshold, so that there is no cluster");
            }
            Some(one) => {
                let place = found.place(one);
                cells.push([Value::from(cluster + 1), Value::from(one.cells.len())]);
                cells.push([place.share, place.mean_difference].map(Value::Number));
                let ((from, to), (first, last), peak) = (place.epochs, place.steps, place.peak);
                cells.push([from, to, first, last, peak.0, peak.1].map(Value::from));
                cells.push([place.peak_difference, found.test.t[one.peak], one.mass, one.p].map(Value::Number));
                // The correction is that of the whole test, whose p is its largest cluster's.
                cells.push([Value::from(test.corrected.filter(|_| cluster == 0).map(|p| p.p()))]);
            }
        },
    }
    let (threshold, kind) = match &test.found {
        Ok(found) => (
            [Value::Number(found.test.threshold), Value::from(found.test.null.len())],
            Value::Text(if found.test.exact { "exact" } else { "drawn" }),
        ),
        Err(_) => ([Value::Missing; 2], Value::Missing),
    };
    cells.push([Value::from(test.family_size)]);
    cells.push(threshold);
    cells.push([kind, Value::Text(origin.name())]);
    cells
}

/// One row per mixed model and pair of nested models.
fn likelihood_ratio(comparisons: &Comparisons) -> Result<Files, Error> {
    let columns = columns(
        &OUTCOME_COLUMNS[..3],
        &[
            (Kind::Text, &["test"]),
            (Kind::Count, &["rows", "runs"]),
            (Kind::Number, &["chi_square"]),
            (Kind::Count, &["df"]),
            (Kind::Number, &["p", "log10_p"]),
            (Kind::Text, &["reason"]),
        ],
    );
    let mut table = Writer::new("likelihood_ratio", &columns)?;
    for model in &comparisons.models {
        for (nested, found) in model.fit.iter().flat_map(|fit| &fit.likelihood_ratios) {
            let names = [&model.data, &model.model, model.metric.name(), nested.words()].map(Value::Text);
            let mut cells = Cells::new(names);
            cells.push([Value::from(model.rows), Value::from(model.runs)]);
            cells.push_result(found, |found| {
                let [p, log10_p] = p_values(found.p);
                [Value::Number(found.chi_square), Value::from(found.df), p, log10_p]
            });
            cells.write(&mut table)?;
        }
    }
    table.finish()
}

/// One row per line of the paper's table, tested by run.
fn cluster_robust(comparisons: &Comparisons) -> Result<Files, Error> {
    let columns = columns(
        &[("network", Kind::Text), ("metric", Kind::Text), ("data", Kind::Text), ("explained_by", Kind::Text)],
        &[
            (Kind::Count, &["rows", "runs"]),
            (Kind::Number, &["f"]),
            (Kind::Count, &["df1"]),
            (Kind::Number, &["df2", "p", "log10_p"]),
            (Kind::Text, &["reason"]),
        ],
    );
    let mut table = Writer::new("cluster_robust", &columns)?;
    for test in &comparisons.robust {
        let mut cells = Cells::new([Value::Text(&test.network), Value::Text(test.metric.name())]);
        cells.push([Value::from(test.data.as_deref()), Value::Text(test.explained_by.name())]);
        cells.push([Value::from(test.rows), Value::from(test.runs)]);
        cells.push_result(&test.test, |found| {
            let [p, log10_p] = p_values(found.p);
            [Value::Number(found.f), Value::from(found.df1), Value::Number(found.df2), p, log10_p]
        });
        cells.write(&mut table)?;
    }
    table.finish()
}

fn sides(aggregate: &Aggregate) -> [(&'static str, &Side); 2] {
    [("true", &aggregate.truth), ("shuffled", &aggregate.shuffled)]
}

/// One row per metric and kind of labels.
fn interquartile_means(comparisons: &Comparisons, analysis: &Analysis) -> Result<Files, Error> {
    let columns = columns(
        &OUTCOME_COLUMNS,
        &[
            (Kind::Text, &["labels"]),
            (Kind::Count, &["conditions", "runs"]),
            (Kind::Number, &["interquartile_mean", "low", "high", "interval_level"]),
            (Kind::Count, &["resamples"]),
            (Kind::Text, &["reason"]),
        ],
    );
    let mut table = Writer::new("interquartile_means", &columns)?;
    for aggregate in &comparisons.aggregates {
        for (labels, side) in sides(aggregate) {
            let mut cells = Cells::of(&aggregate.outcome);
            cells.push([Value::Text(labels), Value::from(side.conditions), Value::from(side.runs)]);
            cells.push_result(&side.interquartile_mean, |(mean, (low, high))| [*mean, *low, *high].map(Value::Number));
            cells.push([Value::Number(analysis.interval_level), Value::from(side.resamples)]);
            cells.write(&mut table)?;
        }
    }
    table.finish()
}

/// One row per metric, kind of labels and threshold.
fn performance_profiles(comparisons: &Comparisons, analysis: &Analysis) -> Result<Files, Error> {
    let columns = columns(
        &OUTCOME_COLUMNS,
        &[
            (Kind::Text, &["labels"]),
            (Kind::Number, &["threshold", "share_above", "low", "high", "interval_level"]),
            (Kind::Text, &["reason"]),
        ],
    );
    let mut table = Writer::new("performance_profiles", &columns)?;
    for aggregate in &comparisons.aggregates {
        for (labels, side) in sides(aggregate) {
            let points = side.profile.as_ref().map_or(&[][..], Vec::as_slice);
            for point in points {
                let mut cells = Cells::of(&aggregate.outcome);
                cells.push([Value::Text(labels)]);
                let (low, high) = point.interval;
                cells.push([point.threshold, point.share, low, high, analysis.interval_level].map(Value::Number));
                cells.write(&mut table)?;
            }
            if let Err(reason) = &side.profile {
                let mut cells = Cells::of(&aggregate.outcome);
                cells.push([Value::Text(labels)]);
                cells.push([Value::Missing; 4]);
                cells.push([Value::Number(analysis.interval_level)]);
                cells.add_reason(reason);
                cells.write(&mut table)?;
            }
        }
    }
    table.finish()
}
