//! Studies that leave statistics undefined, through the whole report: each gives a defined answer or a sentence why there is none, and no
//! file holds a number that is none.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use bytes::Bytes;
use curvefleet_analysis::{ReportOptions, ReportSummary, write_report};
use curvefleet_proto::artifact::report_folder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use support::{Fixture, Shape};

const TIME: &str = "2026-01-31T12-00-00Z";
/// What programs print for numbers that are none.
const NO_NUMBERS: [&str; 8] = ["NaN", "nan", "inf", "Inf", "Infinity", "null", "Err", "undefined"];

/// A report's files.
struct Report {
    summary: ReportSummary,
    files: BTreeMap<String, Vec<u8>>,
}

impl Report {
    /// Writes a report of the study `synthetic` and looks through all its files.
    async fn of(fixture: &Fixture) -> Report {
        let options = ReportOptions { time: TIME.to_string() };
        let summary = write_report(&fixture.store, "synthetic", options).await.unwrap();
        let files = fixture.files(&report_folder("synthetic", TIME));
        let report = Report { summary, files };
        report.look_through();
        report
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(self.files[name].clone()).unwrap()
    }

    /// A table's rows by column names.
    fn table(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        let bytes = &self.files[&format!("tables/{name}.csv")];
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_string).collect();
        let row = |record: csv::StringRecord| names.iter().cloned().zip(record.iter().map(str::to_string)).collect();
        reader.records().map(|record| row(record.unwrap())).collect()
    }

    /// Every reason that a table gives, each once.
    fn reasons(&self, name: &str) -> String {
        let mut reasons: Vec<String> =
            self.table(name).into_iter().map(|mut row| row.remove("reason").unwrap()).collect();
        reasons.sort();
        reasons.dedup();
        reasons.join("\n")
    }

    fn look_through(&self) {
        for (name, bytes) in &self.files {
            match name.rsplit_once('.').unwrap().1 {
                "csv" => self.look_through_table(name.strip_suffix(".csv").unwrap()),
                "svg" => no_stray_words(name, std::str::from_utf8(bytes).unwrap()),
                "html" => {
                    let page = without(std::str::from_utf8(bytes).unwrap(), "<script", "</script>");
                    no_stray_words(name, &without(&page, "<style", "</style>"));
                }
                "parquet" | "png" | "pdf" | "bib" => {}
                other => panic!("a file of an unknown kind: {other}"),
            }
        }
    }

    /// CSV and Parquet hold the same cells, no cell is a number that is none, and where one is empty the row says why.
    fn look_through_table(&self, name: &str) {
        let batches = batches(&self.files[&format!("{name}.parquet")]);
        let rows = self.table(name.strip_prefix("tables/").unwrap());
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), rows.len(), "{name}");
        let places = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
        for ((batch, row), cells) in places.zip(&rows) {
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                let cell = &cells[field.name()];
                assert_eq!(column.is_null(row), cell.is_empty(), "{name}: {} of {cells:?}", field.name());
                if *field.data_type() == DataType::Float64 && !cell.is_empty() {
                    let value = column.as_primitive::<Float64Type>().value(row);
                    assert!(
                        value.is_finite() && cell.parse::<f64>() == Ok(value),
                        "{name}: {} of {cells:?}",
                        field.name()
                    );
                }
                if *field.data_type() == DataType::Utf8 {
                    assert!(!NO_NUMBERS.contains(&cell.as_str()), "{name}: {} of {cells:?}", field.name());
                }
            }
            let is_empty = |(field, cell): (&String, &String)| {
                cell.is_empty() && !["reason", "note"].contains(&field.as_str()) && !may_be_empty(name, field)
            };
            let empty: Vec<&String> = cells.iter().filter(|cell| is_empty(*cell)).map(|(field, _)| field).collect();
            let says_why =
                ["reason", "note"].iter().any(|field| cells.get(*field).is_some_and(|reason| !reason.is_empty()));
            assert!(empty.is_empty() || says_why, "{name}: {empty:?} of {cells:?}");
        }
    }
}

/// Columns that are empty in some rows by their meaning, as docs/artifacts.md says.
fn may_be_empty(table: &str, column: &str) -> bool {
    match table.strip_prefix("tables/").unwrap() {
        // Test scores stand in the last epoch's row; scores that are undefined are so in the part.
        "metrics" => column.starts_with("test_") || column.starts_with("validation_") || column == "train_loss",
        // A mean over no run or a spread of one: `n` says so.
        "condition_means" | "performance" => ["mean", "sd", "se", "ci95_low", "ci95_high"].contains(&column),
        // Differences between models have columns of their own, as has the comparison of data sets.
        "significance" => {
            column == "data" || column.contains("gain") || column.starts_with("smaller_") || column == "sum_of_squares"
        }
        "coefficients" | "cluster_robust" => column == "data",
        "missing" => column == "epoch",
        // The p of a whole test stands in the row of its largest cluster.
        "map_tests" => true,
        _ => false,
    }
}

fn batches(parquet: &[u8]) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(parquet)).unwrap().build().unwrap();
    reader.map(|batch| batch.unwrap()).collect()
}

/// A text without what lies between two marks.
fn without(text: &str, from: &str, to: &str) -> String {
    let mut left = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(from) {
        left += before;
        rest = after.split_once(to).unwrap().1;
    }
    left + rest
}

fn no_stray_words(name: &str, text: &str) {
    let words = text.split(|c: char| !c.is_alphanumeric());
    for (place, word) in words.enumerate() {
        assert!(!NO_NUMBERS.contains(&word), "{name}: `{word}`, word {place}");
    }
}

/// A study with some of its rows changed before they are written.
fn changed(shape: &Shape, change: impl Fn(&mut support::Row)) -> Fixture {
    let mut fixture = Fixture::write(shape);
    for (_, rows) in &mut fixture.parts {
        rows.iter_mut().for_each(&change);
    }
    fixture.write_parts();
    fixture.write_manifest();
    fixture
}

#[tokio::test]
async fn a_sound_study_passes_the_look() {
    let report = Report::of(&Fixture::write(&Shape::default())).await;
    assert_eq!(report.summary.done, 18);
}

#[tokio::test]
async fn one_run_per_condition() {
    let report = Report::of(&Fixture::write(&Shape { seeds: 1, ..Shape::default() })).await;
    assert!(
        report.reasons("pairs").contains("has 1 run with a value where 2 are needed"),
        "{}",
        report.reasons("pairs")
    );
    assert!(report.reasons("tests").contains("fewer than two conditions have two runs with a value"));
    assert!(
        report.reasons("map_tests").contains("each condition needs at least two runs"),
        "{}",
        report.reasons("map_tests")
    );
    assert!(report.reasons("mixed_model").contains("too few runs"), "{}", report.reasons("mixed_model"));
    assert!(report.table("condition_means").iter().all(|row| row["n"] == "1" && row["sd"].is_empty()));
}

#[tokio::test]
async fn nothing_varies_at_all() {
    let fixture = changed(&Shape::default(), |row| {
        row.curve.fill(0.75);
        row.accuracy = 0.75;
    });
    let report = Report::of(&fixture).await;
    assert!(report.reasons("pairs").contains("no group varies within itself"), "{}", report.reasons("pairs"));
    assert!(report.reasons("mixed_model").contains("the metric does not vary"));
    assert!(
        report.table("map_tests").iter().all(|row| row["mass"].is_empty()),
        "no cell differs, so that there is no cluster"
    );
}

/// Runs of a condition are alike and conditions differ: every difference is infinitely many standard deviations.
#[tokio::test]
async fn conditions_differ_and_do_not_vary() {
    let fixture = changed(&Shape::default(), |row| {
        let height = 0.5 + 0.01 * row.names[1].len() as f64 + 0.1 * f64::from(u8::from(row.names[2] == "true"));
        row.curve.fill(height);
        row.accuracy = height;
    });
    let report = Report::of(&fixture).await;
    assert!(!report.reasons("controls").is_empty());
    let clusters = report.table("map_tests");
    let clusters: Vec<_> = clusters.iter().filter(|row| !row["mass"].is_empty()).collect();
    assert!(!clusters.is_empty() && clusters.iter().all(|row| row["mass"].parse::<f64>().unwrap().abs() < 1e6));
}

#[tokio::test]
async fn a_condition_without_runs() {
    let mut fixture = Fixture::write(&Shape::default());
    fixture.manifest.retain(|entry| entry.names[1] != "wave/clap");
    fixture.write_manifest();
    let report = Report::of(&fixture).await;
    assert_eq!((report.summary.done, report.summary.pending), (12, 6));
    assert!(report.reasons("pairs").contains("wave/clap has no run with a value"), "{}", report.reasons("pairs"));
}

#[tokio::test]
async fn all_runs_of_a_condition_failed() {
    let mut fixture = Fixture::write(&Shape::default());
    for entry in fixture.manifest.iter_mut().filter(|entry| entry.names[1] == "wave/clap" && entry.names[2] == "true") {
        entry.error = Some("the loss is not a number".to_string());
    }
    fixture.write_manifest();
    let report = Report::of(&fixture).await;
    assert_eq!((report.summary.done, report.summary.failed), (15, 3));
    assert!(report.reasons("controls").contains("no run with a value"), "{}", report.reasons("controls"));
}

#[tokio::test]
async fn numbers_that_are_none_in_a_part() {
    let fixture = changed(&Shape::default(), |row| {
        if row.names[1] == "wave/point" && row.seed == 0 && row.epoch == 2 {
            row.curve[3] = f64::NAN;
        }
        if row.names[1] == "wave/clap" && row.names[2] == "true" {
            row.curve[0] = f64::INFINITY;
        }
        if row.seed == 1 {
            row.accuracy = f64::NAN;
        }
    });
    let report = Report::of(&fixture).await;
    assert_eq!(report.summary.excluded_epochs, 2 + 12);
    assert!(report.table("metrics").iter().any(|row| row["note"].contains("not a finite number")));
    assert!(report.reasons("pairs").contains("no run with a value"), "{}", report.reasons("pairs"));
    assert!(report.text("index.html").contains("not a finite number"));
}

#[tokio::test]
async fn data_sets_of_several_lengths() {
    let shape = Shape { data: vec!["gestures", "sentences"], ..Shape::default() };
    let fixture = changed(&shape, |row| {
        if row.names[0] == "sentences" {
            row.curve.truncate(5);
        }
    });
    let report = Report::of(&fixture).await;
    assert_eq!(report.summary.done, 36);
    assert!(report.files.contains_key("figures/learning-curve-map-sentences-lstm.svg"));
}

#[tokio::test]
async fn runs_of_several_lengths_in_a_condition() {
    let fixture = changed(&Shape::default(), |row| {
        if row.seed == 0 {
            row.curve.truncate(7);
        }
    });
    let report = Report::of(&fixture).await;
    assert!(report.reasons("map_tests").contains("differ in their time steps"), "{}", report.reasons("map_tests"));
}

#[tokio::test]
async fn unbalanced_seeds() {
    let mut fixture = Fixture::write(&Shape { seeds: 6, ..Shape::default() });
    fixture.manifest.retain(|entry| {
        let left = if entry.names[1] == "wave/point" { 2 } else { 6 };
        entry.seed < left && !(entry.names[2] == "shuffled" && entry.seed > 3)
    });
    fixture.write_manifest();
    let report = Report::of(&fixture).await;
    assert_eq!(report.summary.done, 2 + 6 + 6 + 2 + 4 + 4);
    let pairs = report.table("pairs");
    assert!(
        pairs.iter().any(|row| row["runs_first"] == "2" && row["runs_second"] == "6" && !row["welch_p"].is_empty())
    );
    let mixed = report.table("mixed_model");
    assert!(mixed.iter().all(|row| !row["f"].is_empty() && row["runs"] == "14"), "{mixed:?}");
}

#[tokio::test]
async fn a_single_epoch() {
    let report = Report::of(&Fixture::write(&Shape { epochs: 1, ..Shape::default() })).await;
    assert!(report.reasons("mixed_model").contains("there is one epoch only"), "{}", report.reasons("mixed_model"));
    let notes: Vec<String> =
        report.table("significance").into_iter().map(|mut row| row.remove("note").unwrap()).collect();
    assert!(notes.iter().any(|note| note.contains("one epoch only")));
}

#[tokio::test]
async fn a_single_time_step() {
    let report = Report::of(&Fixture::write(&Shape { steps: 1, ..Shape::default() })).await;
    assert!(report.table("metrics").iter().all(|row| row["tmax"] == "1" && row["start"] == row["end"]));
}

#[tokio::test]
async fn no_shuffled_labels_and_nothing_else() {
    let report = Report::of(&Fixture::write(&Shape { labels: r#"["true"]"#, ..Shape::default() })).await;
    assert!(!report.table("controls").is_empty());
    assert!(
        report.reasons("controls").contains("shuffled labels has no run with a value"),
        "{}",
        report.reasons("controls")
    );
    let report = Report::of(&Fixture::write(&Shape { labels: r#"["shuffled"]"#, ..Shape::default() })).await;
    assert!(report.table("controls").is_empty());
}

#[tokio::test]
async fn one_condition_alone() {
    let report = Report::of(&Fixture::write(&Shape { conditions: r#"[["wave","clap"]]"#, ..Shape::default() })).await;
    assert!(report.table("pairs").is_empty());
    assert!(report.reasons("tests").contains("fewer than two conditions"));
}
