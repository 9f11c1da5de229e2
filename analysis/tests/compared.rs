//! The comparisons in a report: the tables against R (`reference/comparisons.R`), what is declared, and what studies without enough runs say.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use curvefleet_analysis::{ReportOptions, write_report};
use curvefleet_proto::artifact::report_folder;
use serde_json::Value;
use support::{Fixture, Shape};

const TIME: &str = "2026-01-31T12-00-00Z";
const TABLES: [&str; 5] = ["tests", "pairs", "controls", "mixed_model", "planning"];

/// A table's rows, each by column.
type Rows = Vec<BTreeMap<String, String>>;

async fn report(fixture: &Fixture) -> BTreeMap<String, Vec<u8>> {
    write_report(&fixture.store, "synthetic", ReportOptions { time: TIME.to_string() }).await.unwrap();
    fixture.files(&report_folder("synthetic", TIME))
}

fn rows(files: &BTreeMap<String, Vec<u8>>, table: &str) -> Rows {
    let mut reader = csv::Reader::from_reader(&files[&format!("tables/{table}.csv")][..]);
    reader.deserialize().map(|row| row.unwrap()).collect()
}

fn page(files: &BTreeMap<String, Vec<u8>>) -> String {
    String::from_utf8(files["index.html"].clone()).unwrap()
}

/// A cell is a value or has a reason, and no cell holds what is no number.
fn every_empty_cell_has_a_reason(files: &BTreeMap<String, Vec<u8>>) {
    for table in TABLES {
        for row in rows(files, table) {
            let empty = row.iter().any(|(column, cell)| cell.is_empty() && column != "reason");
            assert!(!empty || row["reason"].len() > 20, "{table}: {row:?}");
            let no_number = |cell: &String| ["nan", "inf", "-inf"].contains(&cell.to_lowercase().as_str());
            assert!(!row.values().any(no_number), "{table}: {row:?}");
        }
    }
}

fn study_for_r() -> Shape {
    Shape {
        seeds: 5,
        analysis: "[analysis]\nmetrics = [\"max\", \"tmax\"]\n\
                   comparisons = [[\"wave/clap\", \"wave/point\"], [\"wave/point\", \"point/clap\"]]\n\
                   correction = \"benjamini-hochberg\"\ninterval_level = 0.9\nresamples = 2000\n",
        ..Shape::default()
    }
}

/// How far R's own number may be off: lmer stops its search early, `ptukey` has six decimals in its tail and `qtukey` stops at 1e-4.
fn tolerance(table: &str, column: &str) -> f64 {
    match column {
        _ if table == "mixed_model" => 1e-4,
        "games_howell_low" | "games_howell_high" => 1e-3,
        "games_howell_p" | "tukey_p" => 1e-3,
        _ => 1e-7,
    }
}

/// Every number that R computed from the report's own metrics stands in the tables.
#[tokio::test]
async fn tables_hold_what_r_computes_from_the_metrics() {
    let fixture = Fixture::write(&study_for_r());
    let files = report(&fixture).await;
    fixture.keep(&report_folder("synthetic", TIME));
    let expected: BTreeMap<String, Vec<BTreeMap<String, Value>>> =
        serde_json::from_slice(include_bytes!("data/comparisons.json")).unwrap();
    let sizes: Vec<usize> = TABLES.iter().map(|table| expected[*table].len()).collect();
    assert_eq!(sizes, [4, 8, 12, 6, 16]);
    for table in TABLES {
        let found = rows(&files, table);
        for expected in &expected[table] {
            let same = |row: &&BTreeMap<String, String>| {
                let texts = expected.iter().filter(|(_, value)| value.is_string());
                let mut numbers = ["tests", "difference"].iter().filter(|_| table == "planning");
                texts.into_iter().all(|(column, value)| Some(row[column].as_str()) == value.as_str())
                    && numbers.all(|column| row[*column].parse::<f64>().ok() == expected[*column].as_f64())
            };
            let row = found.iter().find(same).unwrap_or_else(|| panic!("{table} has no row {expected:?}"));
            for (column, value) in expected.iter().filter(|(_, value)| value.is_number()) {
                let (found, expected) = (row[column].parse::<f64>().unwrap(), value.as_f64().unwrap());
                let error = (found - expected).abs() / expected.abs().max(1e-3);
                assert!(
                    error <= tolerance(table, column),
                    "{table} {row:?}\n{column}: {found} instead of {expected}, {error:e} off"
                );
            }
        }
    }
    assert!(TABLES.iter().all(|table| files[&format!("tables/{table}.parquet")].starts_with(b"PAR1")));
    every_empty_cell_has_a_reason(&files);
    let pairs = rows(&files, "pairs");
    assert_eq!(pairs.len(), 8, "two metrics, two summaries, two declared pairs");
    assert!(pairs.iter().all(|row| row["correction"] == "Benjamini-Hochberg" && row["interval_level"] == "0.9"));
    for row in &pairs {
        let interval = row["reason"].is_empty().then_some(["probability_low", "probability", "probability_high"]);
        let ends: Vec<f64> = interval.iter().flatten().map(|column| row[*column].parse().unwrap()).collect();
        assert!(ends.is_sorted(), "{row:?}");
    }
}

#[tokio::test]
async fn the_same_study_gives_the_same_bytes() {
    let fixture = Fixture::write(&study_for_r());
    assert_eq!(report(&fixture).await, report(&fixture).await);
}

/// What rests on a key that the author wrote down is declared; what rests on a default is added.
#[tokio::test]
async fn what_was_declared_is_marked() {
    let origins = async |analysis: &'static str| {
        let files = report(&Fixture::write(&Shape { analysis, ..Shape::default() })).await;
        let of = |table: &str| {
            let rows = rows(&files, table);
            assert!(rows.iter().all(|row| row["origin"] == rows[0]["origin"]));
            rows[0]["origin"].clone()
        };
        let all = [of("tests"), of("pairs"), of("controls"), of("mixed_model")];
        (all, page(&files))
    };
    let (none, page) = origins("").await;
    assert_eq!(none, ["added"; 4]);
    assert!(page.contains("None of these tests was declared"));
    let (metrics, page) = origins("[analysis]\nmetrics = [\"max\"]\n").await;
    assert_eq!(metrics, ["declared", "added", "declared", "declared"]);
    assert!(page.contains("Declared in the study file before the first run: the metrics;"));
    let (pairs, _) = origins("[analysis]\ncomparisons = \"all\"\n").await;
    assert_eq!(pairs, ["added", "declared", "added", "added"]);
}

/// The family is what one metric's summary has, or the whole study.
#[tokio::test]
async fn a_family_has_the_size_that_is_declared() {
    let sizes = async |analysis: &'static str| {
        let files = report(&Fixture::write(&Shape { analysis, ..Shape::default() })).await;
        let (pairs, controls) = (rows(&files, "pairs"), rows(&files, "controls"));
        (pairs[0]["family_size"].clone(), controls[0]["family_size"].clone(), pairs.len())
    };
    assert_eq!(sizes("[analysis]\nmetrics = [\"max\", \"end\"]\n").await, ("3".to_string(), "3".to_string(), 12));
    let whole = "[analysis]\nmetrics = [\"max\", \"end\"]\nfamily = \"study\"\n";
    assert_eq!(sizes(whole).await, ("12".to_string(), "12".to_string(), 12));
    let none =
        report(&Fixture::write(&Shape { analysis: "[analysis]\ncomparisons = \"none\"\n", ..Shape::default() })).await;
    assert!(rows(&none, "pairs").is_empty() && page(&none).contains("No pairs of conditions are compared."));
}

#[tokio::test]
async fn one_run_per_condition_has_reasons_in_place_of_tests() {
    let files = report(&Fixture::write(&Shape { seeds: 1, ..Shape::default() })).await;
    every_empty_cell_has_a_reason(&files);
    let tests = rows(&files, "tests");
    assert!(tests.iter().all(|row| row["welch_p"].is_empty() && row["reason"].contains("fewer than two conditions")));
    let pairs = rows(&files, "pairs");
    assert!(pairs.iter().all(|row| row["reason"].contains("1 run with a value where 2 are needed")), "{pairs:?}");
    assert!(pairs.iter().all(|row| !row["difference"].is_empty()), "means of single runs still differ");
    assert!(rows(&files, "controls").iter().all(|row| row["permutation_p"].is_empty()));
    assert!(rows(&files, "planning").iter().all(|row| row["reason"].contains("no condition has two runs")));
    assert!(page(&files).contains("no effect sizes; the notes say why"));
}

#[tokio::test]
async fn a_single_epoch_has_no_area_and_no_slope() {
    let files = report(&Fixture::write(&Shape { epochs: 1, ..Shape::default() })).await;
    every_empty_cell_has_a_reason(&files);
    let (last, area): (Rows, Rows) = rows(&files, "tests").into_iter().partition(|row| row["summary"] == "final");
    assert!(area.iter().all(|row| row["eta_squared"].is_empty() && row["reason"].contains("no run with a value")));
    assert!(last.iter().filter(|row| row["metric"] != "tmax").all(|row| !row["eta_squared"].is_empty()), "{last:?}");
    assert!(rows(&files, "mixed_model").iter().all(|row| row["reason"].contains("one epoch only")));
}

/// Runs that are all alike: differences have a size in the metric's unit, and nothing to measure it by.
#[tokio::test]
async fn runs_without_variance_have_a_sentence() {
    let mut fixture = Fixture::write(&Shape { classes: vec!["wave", "point"], ..Shape::default() });
    for (_, rows) in &mut fixture.parts {
        for row in rows {
            row.curve.fill(if row.names[2] == "true" { 0.75 } else { 0.5 });
        }
    }
    fixture.write_parts();
    fixture.write_manifest();
    let files = report(&fixture).await;
    every_empty_cell_has_a_reason(&files);
    let controls = rows(&files, "controls");
    let max = controls.iter().find(|row| row["metric"] == "max").unwrap();
    assert_eq!((max["selectivity"].as_str(), max["probability"].as_str(), max["hedges_g"].as_str()), ("0.25", "1", ""));
    assert!(max["reason"].contains("no group varies within itself"), "{max:?}");
    assert!(rows(&files, "planning").iter().all(|row| row["reason"].contains("do not vary within conditions")));
    assert!(rows(&files, "mixed_model").iter().all(|row| row["reason"].contains("one level only")));
}

/// A condition that lost runs is compared with those it has; one that lost all but one is left out, and named.
#[tokio::test]
async fn missing_runs_are_left_out_by_name() {
    let mut fixture = Fixture::write(&Shape::default());
    let lost = |entry: &support::ManifestEntry| {
        entry.names[2] == "true"
            && ((entry.names[1] == "wave/clap" && entry.seed > 0)
                || (entry.names[1] == "wave/point" && entry.seed == 0))
    };
    fixture.manifest.iter_mut().filter(|entry| lost(entry)).for_each(|entry| entry.error = Some("lost".to_string()));
    fixture.write_manifest();
    let files = report(&fixture).await;
    every_empty_cell_has_a_reason(&files);
    let tests = rows(&files, "tests");
    assert!(tests.iter().all(|row| row["conditions"] == "2" && row["runs"] == "5"), "{tests:?}");
    assert!(tests.iter().all(|row| row["reason"].contains("left out: wave/clap (1 run with a value)")), "{tests:?}");
    let pairs = rows(&files, "pairs");
    let tested: Vec<bool> =
        pairs.iter().filter(|row| row["metric"] == "max").map(|row| !row["welch_p"].is_empty()).collect();
    assert_eq!(tested, [false, true, false, false, true, false]);
    assert!(
        pairs
            .iter()
            .filter(|row| row["metric"] == "max" && !row["welch_p"].is_empty())
            .all(|row| row["family_size"] == "1")
    );
}

#[tokio::test]
async fn without_shuffled_runs_chance_is_said_to_be_unknown() {
    let files = report(&Fixture::write(&Shape { labels: r#"["true"]"#, ..Shape::default() })).await;
    every_empty_cell_has_a_reason(&files);
    assert!(page(&files).contains("There are no runs with shuffled labels, so that chance is not known."));
    assert!(
        rows(&files, "controls")
            .iter()
            .all(|row| row["chance"].is_empty() && row["reason"].contains("shuffled labels has no run"))
    );
}
