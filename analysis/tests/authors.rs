//! The paper's table on the authors' own 30,000 rows of metrics and the shuffled ones, against R's `lm` and `anova`.
//!
//! The data are not in the repository. `CURVEFLEET_TEST_REFERENCE` names the folder that has them; without it the test says
//! that it is skipped.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use curvefleet_analysis::curve::metrics::{CurveMetrics, Metric};
use curvefleet_analysis::stats::paper_table::{Line, Model, Observation, paper_table};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Relative error that is allowed beside R.
const TOLERANCE: f64 = 1e-10;
/// log10 p where R 4.2's `pf(log.p = TRUE)` is wrong in the fourth digit, since the probability is just below what a double holds;
/// instead mpmath's value with 60 digits from R's F.
const RIGHT_LOG10_P: [(&str, &str); 2] =
    [("NLP Epoch*Class", "-330.3794022485359"), ("NLP Epoch*Class - Epoch", "-330.8832980947706")];

struct Row {
    source: String,
    condition: String,
    shuffled: bool,
    epoch: u32,
    metrics: CurveMetrics,
}

fn reference() -> Option<PathBuf> {
    let folder = match std::env::var_os("CURVEFLEET_TEST_REFERENCE") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/reference"),
    };
    folder.join("metricsAll_50epoch.parquet").exists().then_some(folder)
}

/// Reads a file of the authors' metrics. Their shuffled series are called after the source, with `_null` at the end.
fn read(folder: &Path, name: &str) -> Vec<Row> {
    let file = File::open(folder.join(name)).unwrap();
    let mut rows = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let text = |name| batch.column_by_name(name).unwrap().as_string::<i64>();
        let float = |name| batch.column_by_name(name).unwrap().as_primitive::<Float64Type>();
        let epoch = batch.column_by_name("epoch").unwrap().as_primitive::<Int64Type>();
        for i in 0..batch.num_rows() {
            let training = text("training").value(i).to_lowercase();
            rows.push(Row {
                shuffled: training.ends_with("_null"),
                source: training.trim_end_matches("_null").to_string(),
                condition: text("class").value(i).to_string(),
                epoch: epoch.value(i) as u32,
                metrics: CurveMetrics {
                    start: float("v0").value(i),
                    end: float("vend").value(i),
                    max: float("vmax").value(i),
                    tmax: float("maxt").value(i),
                },
            });
        }
    }
    rows
}

fn table(rows: &[Row]) -> Vec<Line> {
    let observations: Vec<Observation> = rows
        .iter()
        .map(|row| Observation {
            source: &row.source,
            condition: &row.condition,
            shuffled: row.shuffled,
            epoch: row.epoch,
            metrics: row.metrics,
        })
        .collect();
    paper_table(&observations)
}

fn close(found: Option<f64>, expected: &str, what: &str) {
    let (found, expected): (f64, f64) = (found.unwrap(), expected.parse().unwrap());
    let error = (found - expected).abs() / expected.abs();
    assert!(error <= TOLERANCE, "{what}: {found} instead of {expected}, {error:e} off");
}

/// R's results, by metric and model.
fn expected(folder: &Path, name: &str) -> HashMap<(String, String), HashMap<String, String>> {
    let mut reader = csv::Reader::from_path(folder.join(name)).unwrap();
    let rows = reader.deserialize::<HashMap<String, String>>().map(Result::unwrap);
    rows.map(|row| ((row["metric"].clone(), row["model"].clone()), row)).collect()
}

/// R's log10 p of a row, or the right one where R's is wrong.
fn log10_p<'a>((metric, model): &(String, String), row: &'a HashMap<String, String>) -> &'a str {
    let right = RIGHT_LOG10_P.iter().find(|(wrong, _)| metric == "start" && wrong == model);
    right.map_or(&row["log10p"], |(_, value)| value)
}

/// Which of R's models a line is, if R's file has it: `set` is what R calls the data.
fn title(line: &Line, set: &str) -> Option<String> {
    let title = match line.model {
        Model::DataSource => "Data Source".to_string(),
        Model::TrueOrShuffled => format!("{set} Reshuffle"),
        Model::Condition => format!("{set} Class"),
        Model::Epoch => format!("{set} Epoch"),
        Model::EpochByCondition => format!("{set} Epoch*Class"),
        Model::EpochByConditionOverEpoch => format!("{set} Epoch*Class - Epoch"),
    };
    matches!(line.metric, Metric::Start | Metric::Max).then_some(title)
}

#[test]
fn the_authors_table_is_that_of_r() {
    let Some(folder) = reference() else {
        println!(
            "skipped: the_authors_table_is_that_of_r (CURVEFLEET_TEST_REFERENCE names no folder with metricsAll_50epoch.parquet)"
        );
        return;
    };
    let models = expected(&folder, "process_data_models.csv");
    let differences = expected(&folder, "process_data_anova.csv");
    let mut both = read(&folder, "metricsAll_50epoch.parquet");
    both.extend(read(&folder, "metricsAll_null_50epoch.parquet"));
    let mut checked = 0;
    for (rows, names) in [
        (both, [("nlp", "NLP"), ("gesture", "Gesture")].as_slice()),
        (read(&folder, "metricsAll_gesture_epoch100.parquet"), &[("gesture", "Gesture100")]),
        (read(&folder, "metricsAll_multiclass.parquet"), &[("nlp", "Multiclass")]),
    ] {
        for line in table(&rows) {
            let set =
                line.source.as_deref().map_or("", |source| names.iter().find(|(name, _)| *name == source).unwrap().1);
            let Some(title) = title(&line, set) else { continue };
            let key = (line.metric.name().to_string(), title);
            let what = format!("{} of {}", key.0, key.1);
            if let Some(row) = models.get(&key).filter(|_| line.test.is_some()) {
                let test = line.test.unwrap();
                assert_eq!(
                    [line.n, test.df1, test.df2].map(|n| n.to_string()),
                    ["n", "df1", "df2"].map(|name| row[name].clone()),
                    "{what}"
                );
                close(Some(test.f), &row["F"], &what);
                close(Some(test.p.log10()), log10_p(&key, row), &what);
                close(line.r_squared, &row["r.squared"], &what);
                close(line.adjusted_r_squared, &row["adj.r.squared"], &what);
                let fit = line.fit.unwrap();
                close(fit.sigma(), &row["sigma"], &what);
                close(Some(fit.residual), &row["rss"], &what);
                close(Some(fit.total()), &row["tss"], &what);
                close(fit.log_likelihood(), &row["logLik"], &what);
                close(fit.aic(), &row["AIC"], &what);
                close(fit.bic(), &row["BIC"], &what);
                if row["p"] != "0" {
                    // R's own p is off by its logarithm's rounding where it is tiny.
                    close(Some(test.p.p()), &row["p"], &what);
                }
                checked += 1;
            }
            if let Some(row) = differences.get(&key) {
                let test = line.test.unwrap();
                assert_eq!(
                    [test.df1, test.df2].map(|n| n.to_string()),
                    [row["df"].clone(), row["res_df1"].clone()],
                    "{what}"
                );
                close(Some(test.f), &row["F"], &what);
                close(Some(test.p.log10()), log10_p(&key, row), &what);
                let (fit, smaller) = (line.fit.unwrap(), line.smaller.unwrap());
                assert_eq!(smaller.df_residual().to_string(), row["res_df0"], "{what}");
                close(Some(smaller.residual), &row["rss0"], &what);
                close(Some(fit.residual), &row["rss1"], &what);
                close(Some(smaller.residual - fit.residual), &row["sumsq"], &what);
                close(smaller.r_squared(), &row["rsq0"], &what);
                close(line.r_squared, &row["rsq1"], &what);
                close(line.r_squared_gain, &row["rsq_diff"], &what);
                close(line.adjusted_r_squared_gain, &row["adjrsq_diff"], &what);
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 2 * (3 + 4 + 4 + 4 + 4), "models and differences found in R's files");
}

/// R's name of a coefficient in ours.
fn term(of_r: &str) -> String {
    let (epoch, level) = match of_r.strip_prefix("epoch:") {
        Some(level) => ("epoch × ", level),
        None => ("", of_r),
    };
    let level = level.trim_start_matches("as.factor(cl)").trim_start_matches("as.factor(training)");
    match level {
        "(Intercept)" => "(intercept)".to_string(),
        "NLP_null" | "gesture_null" => "shuffled".to_string(),
        level => format!("{epoch}{level}"),
    }
}

/// A coefficient near 0 is the difference of larger numbers, so that it can only agree as far as its standard error is large.
#[test]
fn the_coefficients_are_those_of_r() {
    let Some(folder) = reference() else {
        println!(
            "skipped: the_coefficients_are_those_of_r (CURVEFLEET_TEST_REFERENCE names no folder with metricsAll_50epoch.parquet)"
        );
        return;
    };
    let mut expected: HashMap<(String, String, String), HashMap<String, String>> = HashMap::new();
    let mut reader = csv::Reader::from_path(folder.join("process_data_coefs.csv")).unwrap();
    for row in reader.deserialize::<HashMap<String, String>>().map(Result::unwrap) {
        expected.insert((row["metric"].clone(), row["model"].clone(), term(&row["term"])), row);
    }
    let rows_of_r = expected.len();
    let mut both = read(&folder, "metricsAll_50epoch.parquet");
    both.extend(read(&folder, "metricsAll_null_50epoch.parquet"));
    for (rows, names) in [
        (both, [("nlp", "NLP"), ("gesture", "Gesture")].as_slice()),
        (read(&folder, "metricsAll_gesture_epoch100.parquet"), &[("gesture", "Gesture100")]),
        (read(&folder, "metricsAll_multiclass.parquet"), &[("nlp", "Multiclass")]),
    ] {
        for line in table(&rows) {
            let set =
                line.source.as_deref().map_or("", |source| names.iter().find(|(name, _)| *name == source).unwrap().1);
            let Some(title) = title(&line, set) else { continue };
            for coefficient in &line.coefficients {
                let key = (line.metric.name().to_string(), title.clone(), coefficient.term.clone());
                let row = expected.remove(&key).unwrap_or_else(|| panic!("R has no {key:?}"));
                let (test, what) = (coefficient.test.unwrap(), format!("{key:?}"));
                let estimate: f64 = row["estimate"].parse().unwrap();
                let error = (test.estimate - estimate).abs();
                assert!(
                    error <= TOLERANCE * estimate.abs().max(test.se),
                    "{what}: {} is not {estimate}",
                    test.estimate
                );
                close(Some(test.se), &row["std.error"], &what);
                let t: f64 = row["statistic"].parse().unwrap();
                assert!((test.t - t).abs() <= TOLERANCE * t.abs().max(1.0), "{what}: t is {} and not {t}", test.t);
                if row["p.value"] != "0" {
                    let (p, of_r): (f64, f64) = (test.p.p(), row["p.value"].parse().unwrap());
                    // A relative error of t becomes t² times as large a one of p.
                    let tolerance = TOLERANCE * (1.0 + t * t) * of_r;
                    assert!((p - of_r).abs() <= tolerance, "{what}: p is {p} and not {of_r}");
                }
            }
        }
    }
    assert!(rows_of_r > 350 && expected.is_empty(), "of {rows_of_r} coefficients of R these are missing: {expected:?}");
}
