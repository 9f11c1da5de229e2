//! The program itself: exit codes and one clear sentence.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::{Command, Output};

use support::{Fixture, Shape};

fn analysis(fixture: &Fixture, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_curvefleet-analysis"))
        .args(["--store", fixture.store.url()])
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn a_report_ends_with_where_it_is_and_exit_code_0() {
    let fixture = Fixture::write(&Shape::default());
    let output = analysis(&fixture, &["synthetic", "--name", "first"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("18 of 18 planned runs") && text.trim_end().ends_with("reports/first/index.html"), "{text}");
}

#[test]
fn json_is_one_object() {
    let fixture = Fixture::write(&Shape::default());
    let output = analysis(&fixture, &["synthetic", "--json"]);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["planned"], 18);
}

#[test]
fn an_unknown_study_is_a_user_error_in_one_sentence() {
    let fixture = Fixture::write(&Shape::default());
    for study in ["emotions", "a//b", ".."] {
        let output = analysis(&fixture, &[study]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.starts_with("error: there is no study") && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn a_damaged_manifest_is_exit_code_1() {
    let fixture = Fixture::write(&Shape::default());
    fixture.put("studies/synthetic/manifest.parquet", b"PAR1 rubbish PAR1");
    let output = analysis(&fixture, &["synthetic"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.starts_with("error: the manifest") && error.lines().count() == 1, "{error}");
}
