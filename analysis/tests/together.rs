//! Several studies in one report.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use curvefleet_analysis::report::write_joint_report;
use curvefleet_analysis::{Error, ReportOptions, ReportSummary};
use curvefleet_proto::artifact::report_folder;
use support::{Fixture, Shape};

async fn report(fixture: &Fixture, studies: &[&str]) -> Result<ReportSummary, Error> {
    let studies: Vec<String> = studies.iter().map(|study| (*study).to_string()).collect();
    write_joint_report(&fixture.store, &studies, ReportOptions { time: "joint".to_string() }).await
}

fn files(fixture: &Fixture) -> BTreeMap<String, Vec<u8>> {
    fixture.files(&report_folder("synthetic", "joint"))
}

fn table(files: &BTreeMap<String, Vec<u8>>, name: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(&files[&format!("tables/{name}.csv")][..]);
    reader.deserialize().map(Result::unwrap).collect()
}

#[tokio::test]
async fn conditions_of_the_same_name_carry_their_study_s_and_are_compared() {
    let fixture = Fixture::write(&Shape::default());
    fixture.write_beside(&Shape { name: "longer", epochs: 6, ..Shape::default() });
    let summary = report(&fixture, &["synthetic", "longer"]).await.unwrap();
    assert_eq!((summary.study.as_str(), summary.planned, summary.done), ("synthetic and longer", 36, 36));
    let files = files(&fixture);
    let pairs: Vec<(String, String)> = table(&files, "pairs")
        .into_iter()
        .filter(|row| row["metric"] == "max" && row["summary"] == "final")
        .map(|row| (row["first"].clone(), row["second"].clone()))
        .collect();
    let expected = ["wave/point", "wave/clap", "point/clap"];
    assert_eq!(pairs, expected.map(|name| (format!("synthetic:{name}"), format!("longer:{name}"))));
    assert!(table(&files, "pairs").iter().all(|row| row["origin"] == "added"));
    // Each study has a control of its own.
    let page = String::from_utf8(files["index.html"].clone()).unwrap();
    assert!(page.contains("shuffled, synthetic pairs") && page.contains("shuffled, longer pairs"));
    assert!(page.contains("The studies differ in their epochs"));
    let references = String::from_utf8(files["references.bib"].clone()).unwrap();
    assert!(references.contains("@misc{study-synthetic,") && references.contains("@misc{study-longer,"));
}

#[tokio::test]
async fn studies_of_different_data_keep_their_names() {
    let fixture = Fixture::write(&Shape::default());
    fixture.write_beside(&Shape { name: "words", data: vec!["sentences"], ..Shape::default() });
    report(&fixture, &["synthetic", "words"]).await.unwrap();
    let files = files(&fixture);
    let performance = table(&files, "performance");
    assert!(performance.iter().all(|row| !row["condition"].contains(':')));
    // The paper's table compares the data sets.
    let significance = table(&files, "significance");
    let compared = significance.iter().find(|row| row["explained_by"] == "data source").unwrap();
    assert_ne!(compared["f"], "");
    // What each study asks for is compared within it.
    assert_eq!(table(&files, "pairs").iter().filter(|row| row["data"] == "sentences").count(), 3 * 4 * 2);
}

/// The same training in two studies is one run; it stands in both, and the report says so.
#[tokio::test]
async fn runs_of_both_studies_are_counted_in_each() {
    let fixture = Fixture::write(&Shape::default());
    fixture.write_beside(&Shape { name: "again", ..Shape::default() });
    let summary = report(&fixture, &["synthetic", "again"]).await.unwrap();
    assert_eq!(summary.done, 36);
    let page = String::from_utf8(files(&fixture)["index.html"].clone()).unwrap();
    assert!(page.contains("18 of the runs are the same training in several studies"));
}

#[tokio::test]
async fn the_same_studies_give_the_same_bytes() {
    let all = async || {
        let fixture = Fixture::write(&Shape::default());
        fixture.write_beside(&Shape { name: "longer", epochs: 6, ..Shape::default() });
        report(&fixture, &["synthetic", "longer"]).await.unwrap();
        files(&fixture)
    };
    assert!(all().await == all().await);
}

#[tokio::test]
async fn what_cannot_be_compared_is_refused_in_one_sentence() {
    let fixture = Fixture::write(&Shape::default());
    let probe = "[probe]\nscoring = \"leave-one-out\"";
    fixture.write_beside(&Shape { name: "other-probe", training: probe, ..Shape::default() });
    let metrics = "[analysis]\nmetrics = [\"max\"]";
    fixture.write_beside(&Shape { name: "other-metrics", analysis: metrics, ..Shape::default() });
    for (other, reason) in [
        ("other-probe", "their probes differ"),
        ("other-metrics", "name other metrics"),
        ("synthetic", "is named twice"),
        ("nowhere", "there is no study `nowhere`"),
    ] {
        let error = report(&fixture, &["synthetic", other]).await.unwrap_err();
        assert!(error.is_user_error() && error.to_string().contains(reason), "{error}");
    }
    assert!(!fixture.path(&report_folder("synthetic", "joint")).exists(), "nothing was written");
}
