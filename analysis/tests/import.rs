//! Curves of other programs as a study: there and back again, and what is refused.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use clap::Parser;
use curvefleet_analysis::{Error, ImportOptions, ReportOptions, import_curves, write_report};
use curvefleet_proto::artifact::{report_folder, study_folder};
use curvefleet_proto::store::Store;
use support::{Fixture, Row, Shape};

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(flatten)]
    options: ImportOptions,
}

fn options(arguments: &[&str]) -> ImportOptions {
    CommandLine::parse_from([&["import-curves"], arguments].concat()).options
}

/// Writes the runs of a study as the paper's authors' scripts write theirs: pandas' `to_csv` of time steps × epochs.
fn export(fixture: &Fixture, folder: &Path, labels: &str) {
    let rows = fixture.parts.iter().flat_map(|(_, rows)| rows).filter(|row| row.names[2] == labels);
    let mut runs: BTreeMap<(String, u64), Vec<&Row>> = BTreeMap::new();
    rows.for_each(|row| runs.entry((row.names[1].replace('/', "-"), row.seed)).or_default().push(row));
    for ((condition, seed), epochs) in runs {
        let mut text = String::new();
        (0..epochs.len()).for_each(|epoch| write!(text, ",{epoch}").unwrap());
        for step in 0..epochs[0].curve.len() {
            write!(text, "\n{step}").unwrap();
            epochs.iter().for_each(|epoch| write!(text, ",{}", epoch.curve[step]).unwrap());
        }
        let place = folder.join(format!("sim{seed}"));
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join(format!("processing curve sim_KNN_{condition}.csv")), text + "\n").unwrap();
        std::fs::write(place.join(format!("processing curve sim_SVC_{condition}.csv")), "another probe").unwrap();
    }
}

/// The metrics of a report's runs by condition, labels, seed and epoch, as text with all digits.
fn metrics(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<Vec<String>, Vec<String>> {
    let mut reader = csv::Reader::from_reader(files["tables/metrics.csv"].as_slice());
    let names = reader.headers().unwrap().clone();
    let pick = |record: &csv::StringRecord, columns: &[&str]| {
        columns.iter().map(|name| record[names.iter().position(|other| other == *name).unwrap()].to_string()).collect()
    };
    let rows = reader.records().map(|record| record.unwrap());
    rows.map(|row| {
        (pick(&row, &["condition", "labels", "seed", "epoch"]), pick(&row, &["start", "end", "max", "tmax"]))
    })
    .collect()
}

async fn report(store: &Store, study: &str) {
    write_report(store, study, ReportOptions { time: "one".to_string() }).await.unwrap();
}

#[tokio::test]
async fn curves_come_back_with_the_same_metrics() {
    let fixture = Fixture::write(&Shape::default());
    report(&fixture.store, "synthetic").await;
    let (truth, shuffled) = (fixture.path("truth"), fixture.path("shuffled"));
    export(&fixture, &truth, "true");
    export(&fixture, &shuffled, "shuffled");
    let store = fixture.path("");
    let chosen = options(&[
        truth.to_str().unwrap(),
        "--as",
        "back",
        "--shuffled",
        shuffled.to_str().unwrap(),
        "--data",
        "gestures",
        "--store",
        store.to_str().unwrap(),
    ]);
    let summary = import_curves(&chosen, 1_700_000_000_000, []).await.unwrap();
    assert_eq!((summary.runs, summary.conditions, summary.epochs, summary.steps), (18, 3, 4, (12, 12)));
    assert_eq!(summary.other_files, 18);
    report(&fixture.store, "back").await;
    let (ours, theirs) =
        (fixture.files(&report_folder("synthetic", "one")), fixture.files(&report_folder("back", "one")));
    assert_eq!(metrics(&ours), metrics(&theirs));
    // Conditions come in the order of their names now, and each against its control is as it was.
    let lines = |files: &BTreeMap<String, Vec<u8>>| {
        let text = String::from_utf8(files["tables/controls.csv"].clone()).unwrap();
        text.lines().map(str::to_string).collect::<BTreeSet<String>>()
    };
    assert_eq!(lines(&ours), lines(&theirs));
    let page = String::from_utf8(theirs["index.html"].clone()).unwrap();
    assert!(page.contains("curves of other programs") && page.contains("unknown"));
}

#[tokio::test]
async fn names_come_from_a_pattern() {
    let folder = tempfile::tempdir().unwrap();
    for (name, height) in [("gru_7 up+down", 0.5), ("lstm_7 up+down", 0.6), ("lstm_8 up+left", 0.7)] {
        std::fs::write(folder.path().join(format!("{name}.csv")), format!("t,1,2\n1,{height},0.5\n2,1,1\n")).unwrap();
    }
    let store = folder.path().join("store");
    let options = options(&[
        folder.path().to_str().unwrap(),
        "--as",
        "mine",
        "--pattern",
        "{model}_{seed} {condition}.csv",
        "--separator",
        "+",
        "--class-name",
        "up=raise",
        "--store",
        store.to_str().unwrap(),
    ]);
    let summary = import_curves(&options, 0, []).await.unwrap();
    assert_eq!((summary.runs, summary.conditions, summary.epochs), (3, 2, 2));
    let store = Store::open(store.to_str().unwrap(), []).unwrap();
    let report = write_report(&store, "mine", ReportOptions { time: "one".to_string() }).await.unwrap();
    // Two conditions, two models and two seeds were possible.
    assert_eq!((report.planned, report.done, report.pending), (8, 3, 5));
    let table =
        std::fs::read_to_string(folder.path().join("store/studies/mine/reports/one/tables/metrics.csv")).unwrap();
    assert!(table.contains("raise/down") && table.contains("raise/left") && table.contains("gru"));
}

/// Whatever is wrong, there is one sentence, it is the user's to mend, and nothing is written.
#[tokio::test]
async fn nothing_is_half_done() {
    let good = ",0,1\n0,0.5,0.5\n1,0.75,1\n";
    let name = |seed: u32, condition: &str| format!("sim{seed}/processing curve sim_KNN_{condition}.csv");
    /// Files, more of the command line, and what is said.
    type Case<'a> = (&'a [(String, &'a str)], &'a [&'a str], &'a str);
    let cases: [Case<'_>; 9] = [
        (&[], &[], "none of the 0 files"),
        (&[(name(1, "a-b"), good), (name(2, "a-b"), ",0,1\n0,0.5,2\n")], &[], "line 2, column 3: `2` is no accuracy"),
        (&[(name(1, "a-b"), good), (name(2, "a-b"), ",0\n0,0.5\n")], &[], "has 1 epochs where"),
        (&[(name(1, "ab"), good)], &[], "does not name two classes"),
        (&[(name(1, "a-a"), good)], &[], "twice"),
        (&[(name(1, "a-b"), good), (name(1, "b-a"), good)], &["--as", "no name"], "no name"),
        (&[(name(1, "a-b"), good)], &["--pattern", "{seed}"], "{condition} is missing"),
        (&[(name(1, "a-b"), good)], &["--shuffled", "/no/such/folder"], "cannot be read"),
        (&[(name(1, "a-b"), good), (name(9, "a-b"), "\u{0}\u{1}")], &[], "has no epochs"),
    ];
    for (files, more, reason) in cases {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join("in").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        std::fs::create_dir_all(folder.path().join("in")).unwrap();
        let (source, store) = (folder.path().join("in"), folder.path().join("store"));
        let named = if more.contains(&"--as") { vec![] } else { vec!["--as", "new"] };
        let arguments = [&[source.to_str().unwrap(), "--store", store.to_str().unwrap()], &named[..], more].concat();
        let error = import_curves(&options(&arguments), 0, []).await.unwrap_err();
        assert!(error.is_user_error() && error.to_string().contains(reason), "{error} instead of {reason}");
        assert!(!store.join("studies").exists(), "{error}");
    }
}

#[tokio::test]
async fn a_study_that_is_there_stays() {
    let fixture = Fixture::write(&Shape::default());
    let truth = fixture.path("truth");
    export(&fixture, &truth, "true");
    let store = fixture.path("");
    let before = fixture.files(&study_folder("synthetic"));
    let options = options(&[truth.to_str().unwrap(), "--as", "synthetic", "--store", store.to_str().unwrap()]);
    let error = import_curves(&options, 0, []).await.unwrap_err();
    assert!(matches!(&error, Error::Import(reason) if reason.contains("has a study `synthetic` already")), "{error}");
    assert_eq!(before, fixture.files(&study_folder("synthetic")));
}
