//! Tails, least squares and the paper's table against R, SciPy and exact arithmetic.
#![allow(clippy::unwrap_used)]

use curvefleet_analysis::curve::metrics::{CurveMetrics, Metric};
use curvefleet_analysis::stats::ols::{LeastSquares, Untestable};
use curvefleet_analysis::stats::paper_table::{Line, Model, Observation, paper_table};
use curvefleet_analysis::stats::tails::{Tail, f_upper, t_upper};
use proptest::prelude::*;

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    let error = (found - expected).abs() / expected.abs().max(f64::MIN_POSITIVE);
    assert!(error <= tolerance, "{what}: {found} instead of {expected}, {error:e} off");
}

#[derive(serde::Deserialize)]
struct Tails {
    pf: Vec<FRow>,
    pt: Vec<TRow>,
}

#[derive(serde::Deserialize)]
struct FRow {
    #[serde(rename = "F")]
    f: f64,
    d1: f64,
    d2: f64,
    upper: f64,
    log_upper: f64,
}

#[derive(serde::Deserialize)]
struct TRow {
    t: f64,
    df: f64,
    upper: f64,
    log_upper: f64,
}

/// R's `pf` and `pt`, upper tails and their logarithms down to e^−35401. Three logarithms (F = 100 on 29 and 14985, 14 and
/// 29998, 29 and 29998), which R 4.2 gets wrong from the sixth digit on or as −∞, are mpmath's with 60 digits.
#[test]
fn tails_are_those_of_r() {
    let tails: Tails = serde_json::from_str(include_str!("data/tails.json")).unwrap();
    let check = |tail: Tail, upper: f64, log_upper: f64, what: String| {
        // R gives 0 or a subnormal number below 1e-308.
        if upper >= 1e-300 {
            close(tail.p(), upper, 1e-11, &what);
        }
        // Near p = 1 the logarithm is nearly 0 and only its absolute error means anything.
        if log_upper < -1e-3 {
            close(tail.ln(), log_upper, 1e-12, &format!("ln of {what}"));
        }
    };
    for row in tails.pf {
        check(
            f_upper(row.f, row.d1, row.d2),
            row.upper,
            row.log_upper,
            format!("pf({}, {}, {})", row.f, row.d1, row.d2),
        );
    }
    for row in tails.pt {
        check(t_upper(row.t, row.df), row.upper, row.log_upper, format!("pt({}, {})", row.t, row.df));
    }
}

#[derive(serde::Deserialize)]
struct MetricsRow {
    source: String,
    condition: String,
    shuffled: u8,
    epoch: u32,
    start: f64,
    end: f64,
    max: f64,
    tmax: f64,
}

fn small_metrics() -> Vec<MetricsRow> {
    csv::Reader::from_reader(&include_bytes!("data/small_metrics.csv")[..]).deserialize().map(Result::unwrap).collect()
}

fn observations(rows: &[MetricsRow]) -> Vec<Observation<'_>> {
    rows.iter()
        .map(|row| Observation {
            source: &row.source,
            condition: &row.condition,
            shuffled: row.shuffled == 1,
            epoch: row.epoch,
            metrics: CurveMetrics { start: row.start, end: row.end, max: row.max, tmax: row.tmax },
        })
        .collect()
}

#[derive(serde::Deserialize)]
struct TableRow {
    metric: String,
    source: String,
    model: String,
    n: usize,
    df1: usize,
    df2: usize,
    f: f64,
    p: f64,
    r_squared: f64,
    adjusted_r_squared: f64,
    r_squared_gain: Option<f64>,
    adjusted_r_squared_gain: Option<f64>,
}

/// A made-up data set of 96 rows, solved in exact rational arithmetic (p by SciPy).
#[test]
fn the_table_of_a_small_data_set_is_exact() {
    let rows = small_metrics();
    let table = paper_table(&observations(&rows));
    let expected: Vec<TableRow> = csv::Reader::from_reader(&include_bytes!("data/small_table.csv")[..])
        .deserialize()
        .map(Result::unwrap)
        .collect();
    assert_eq!(table.len(), expected.len());
    for (line, row) in table.iter().zip(&expected) {
        let what = format!("{} {} {}", row.metric, row.source, row.model);
        assert_eq!((line.metric.name(), line.model.name()), (row.metric.as_str(), row.model.as_str()));
        assert_eq!(line.source.as_deref().unwrap_or(""), row.source);
        let test = line.test.unwrap();
        assert_eq!((line.n, test.df1, test.df2), (row.n, row.df1, row.df2), "{what}");
        close(test.f, row.f, 1e-11, &what);
        close(test.p.p(), row.p, 1e-10, &what);
        close(line.r_squared.unwrap(), row.r_squared, 1e-12, &what);
        close(line.adjusted_r_squared.unwrap(), row.adjusted_r_squared, 1e-11, &what);
        assert_eq!(line.r_squared_gain.is_some(), row.r_squared_gain.is_some(), "{what}");
        if let (Some(found), Some(expected)) = (line.r_squared_gain, row.r_squared_gain) {
            close(found, expected, 1e-11, &what);
        }
        if let (Some(found), Some(expected)) = (line.adjusted_r_squared_gain, row.adjusted_r_squared_gain) {
            close(found, expected, 1e-11, &what);
        }
        assert_eq!(line.note, None);
    }
}

fn find(table: &[Line], metric: Metric, source: Option<&str>, model: Model) -> Line {
    table
        .iter()
        .find(|line| line.metric == metric && line.source.as_deref() == source && line.model == model)
        .unwrap()
        .clone()
}

/// Whatever a study lacks, the table keeps its rows and says in words why they are empty.
#[test]
fn what_cannot_be_tested_says_why() {
    let rows = small_metrics();
    let all = observations(&rows);
    let reason = |rows: &[Observation<'_>], source: Option<&str>, model: Model| {
        let line = find(&paper_table(rows), Metric::Start, source, model);
        assert!(line.test.is_none());
        line.note.unwrap()
    };
    let source_a: Vec<_> = all.iter().copied().filter(|row| row.source == "a").collect();
    assert_eq!(reason(&source_a, None, Model::DataSource), "the study has one data source only");
    let truths: Vec<_> = source_a.iter().copied().filter(|row| !row.shuffled).collect();
    assert_eq!(reason(&truths, Some("a"), Model::TrueOrShuffled), "there are no runs with shuffled labels");
    let controls: Vec<_> = source_a.iter().copied().filter(|row| row.shuffled).collect();
    assert_eq!(reason(&controls, Some("a"), Model::TrueOrShuffled), "there are no runs with true labels");
    assert_eq!(reason(&controls, Some("a"), Model::Condition), "there are no rows with true labels");
    let one_condition: Vec<_> = truths.iter().copied().filter(|row| row.condition == "p").collect();
    assert_eq!(reason(&one_condition, Some("a"), Model::EpochByCondition), "there is one condition only");
    let one_epoch: Vec<_> = truths.iter().copied().filter(|row| row.epoch == 1).collect();
    assert_eq!(reason(&one_epoch, Some("a"), Model::EpochByConditionOverEpoch), "there is one epoch only");
    let constant: Vec<_> = truths
        .iter()
        .copied()
        .map(|row| Observation { metrics: CurveMetrics { start: 0.1, ..row.metrics }, ..row })
        .collect();
    assert_eq!(reason(&constant, Some("a"), Model::Condition), "the metric does not vary");
    assert!(paper_table(&[]).iter().all(|line| line.note.is_some()));
}

/// A column that repeats another is left out, as R's `lm` does.
#[test]
fn repeated_columns_do_not_count() {
    let mut plain = LeastSquares::new(2, 0.0);
    let mut repeated = LeastSquares::new(4, 0.0);
    for i in 0..20 {
        let x = f64::from(i);
        let y = 0.3 * x + (x * 1.7).sin();
        plain.add(&[1.0, x], y);
        repeated.add(&[1.0, 2.0 * x, x, 3.0 * x - 1.0], y);
    }
    let (plain, repeated) = (plain.fit().unwrap(), repeated.fit().unwrap());
    assert_eq!(repeated.rank, 2);
    close(repeated.r_squared().unwrap(), plain.r_squared().unwrap(), 1e-13, "R²");
    assert_eq!(repeated.f_test_against(&plain), Err(Untestable::NoPredictor));
}

/// More rows than one block holds give the same fit as the blocks' order reversed.
#[test]
fn blocks_do_not_matter() {
    let rows: Vec<(f64, f64)> =
        (0..20_000).map(|i| (f64::from(i % 50), f64::from(i % 50) * 0.01 + f64::from(i % 7))).collect();
    let fit = |rows: &mut dyn Iterator<Item = &(f64, f64)>| {
        let mut problem = LeastSquares::new(2, 3.0);
        rows.for_each(|(x, y)| problem.add(&[1.0, *x], *y));
        problem.fit().unwrap()
    };
    let (forward, backward) = (fit(&mut rows.iter()), fit(&mut rows.iter().rev()));
    close(forward.explained, backward.explained, 1e-11, "explained");
    close(forward.residual, backward.residual, 1e-13, "residual");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn r_squared_does_not_depend_on_units(
        rows in prop::collection::vec((-10.0..10.0f64, -10.0..10.0f64), 5..60),
        shift in -100.0..100.0f64,
        scale in 0.01..100.0f64,
    ) {
        let fit = |a: f64, b: f64| {
            let mut problem = LeastSquares::new(2, 0.0);
            rows.iter().for_each(|(x, y)| problem.add(&[1.0, b * x - a], a + b * y));
            problem.fit().unwrap()
        };
        let (plain, other) = (fit(0.0, 1.0), fit(shift, scale));
        let (r, s) = (plain.r_squared().unwrap(), other.r_squared().unwrap());
        prop_assert!((0.0..=1.0).contains(&r));
        prop_assert!((r - s).abs() < 1e-6, "{r} and {s}");
    }

    #[test]
    fn more_predictors_never_explain_less(rows in prop::collection::vec((-1.0..1.0f64, -1.0..1.0f64, -1.0..1.0f64), 6..40)) {
        let mut small = LeastSquares::new(2, 0.0);
        let mut large = LeastSquares::new(3, 0.0);
        for (x, z, y) in &rows {
            small.add(&[1.0, *x], *y);
            large.add(&[1.0, *x, *z], *y);
        }
        prop_assert!(large.fit().unwrap().residual <= small.fit().unwrap().residual * (1.0 + 1e-12));
    }
}
