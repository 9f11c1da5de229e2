//! `curvefleet analyze`: the authors' metrics give R's numbers, and rubbish one sentence.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::folder::Folder;
use super::process::{curvefleet, run};

/// Relative error that is allowed beside R.
const TOLERANCE: f64 = 1e-10;

fn reference() -> Option<PathBuf> {
    let folder = match std::env::var_os("CURVEFLEET_TEST_REFERENCE") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/reference"),
    };
    folder.join("metricsAll_50epoch.parquet").exists().then_some(folder)
}

fn analyze(files: &[PathBuf], preset: &str) -> Value {
    let folder = Folder::new();
    let mut command = curvefleet(folder.path());
    let found = run(command.arg("analyze").args(files).args(["--preset", preset, "--json"])).succeeded();
    serde_json::from_str(&found.out).unwrap()
}

/// All of the paper's table, all four metrics, as `analysis/tests/reference/paper_table.R` has it from R.
#[test]
fn the_whole_table_of_the_authors_metrics_is_that_of_r() {
    let Some(folder) = reference() else {
        println!(
            "skipped: the_whole_table_of_the_authors_metrics_is_that_of_r (CURVEFLEET_TEST_REFERENCE names no folder with metricsAll_50epoch.parquet)"
        );
        return;
    };
    let table = include_bytes!("../../../analysis/tests/data/authors_table.csv");
    let mut of_r: HashMap<[String; 4], HashMap<String, String>> = HashMap::new();
    for row in csv::Reader::from_reader(&table[..]).deserialize::<HashMap<String, String>>().map(Result::unwrap) {
        of_r.insert(["set", "metric", "source", "model"].map(|name| row[name].clone()), row);
    }
    let sets: [(&str, &[&str]); 3] = [
        ("both", &["metricsAll_50epoch.parquet", "metricsAll_null_50epoch.parquet"]),
        ("gesture100", &["metricsAll_gesture_epoch100.parquet"]),
        ("multiclass", &["metricsAll_multiclass.parquet"]),
    ];
    for (set, names) in sets {
        let files: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
        let found = analyze(&files, "paper");
        for line in found["tables"]["significance"].as_array().unwrap() {
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_string();
            let key = [set.to_string(), text("metric"), text("data"), text("explained_by")];
            let Some(row) = of_r.remove(&key) else {
                assert!(!text("note").is_empty(), "R has no line for {key:?}, and there is no reason");
                continue;
            };
            for name in ["n", "df1", "df2"] {
                assert_eq!(line[name].to_string(), row[name], "{name} of {key:?}");
            }
            for (name, expected) in &row {
                let Ok(expected) = expected.parse::<f64>() else { continue };
                let value = line[name].as_f64().unwrap_or(f64::NAN);
                let close = (value - expected).abs() <= TOLERANCE * expected.abs();
                assert!(close, "{name} of {key:?} is {value} where R has {expected}");
            }
        }
    }
    assert!(of_r.is_empty(), "missing: {:?}", of_r.keys());
}

const HEADER: &str = "data,condition,labels,seed,epoch,start,end,max,tmax\n";

#[test]
fn a_bad_table_is_one_sentence() {
    let row = "d,a,true,1,1,0.5,0.6,0.7,0.8\n";
    let cases: [(String, &[&str]); 9] = [
        (String::new(), &["no column condition"]),
        (HEADER.to_string(), &["table.csv has no rows"]),
        (HEADER.replace(",tmax", ",other"), &["no column tmax (or maxt)", "it has data, condition"]),
        (format!("{HEADER}{}", row.replace("0.6", "good")), &["`good`", "line 2", "the column end"]),
        (format!("{HEADER}{}", row.replace("true", "TRUE")), &["the labels `TRUE`", "row 1"]),
        (format!("{HEADER}{}", row.replace(",1,1,", ",1,1.5,")), &["the epoch 1.5", "whole numbers"]),
        (format!("{HEADER}{}", row.replace(",1,1,", ",1,,")), &["without an epoch"]),
        (format!("{HEADER}{row}{row}"), &["epoch 1 of the run 1 twice"]),
        ("PAR1 and then rubbish".to_string(), &["damaged"]),
    ];
    for (text, words) in cases {
        let folder = Folder::new().and("table.csv", &text);
        run(curvefleet(folder.path()).args(["analyze", "table.csv", "--out", "tables"])).refused(2, words);
        assert!(!folder.path().join("tables").exists(), "nothing is half-done");
    }
    let nowhere = Folder::new();
    run(curvefleet(nowhere.path()).args(["analyze", "nowhere.csv"])).refused(2, &["nowhere.csv cannot be read"]);
    let unnamed = HEADER.replace(",seed", "") + "d,a,true,1,0.5,0.6,0.7,0.8\n";
    let folder = Folder::new().and("table.csv", &unnamed);
    run(curvefleet(folder.path()).args(["analyze", "table.csv"])).refused(2, &["no column run, seed or sim"]);
    run(curvefleet(folder.path()).args(["analyze", "table.csv", "--preset", "paper"])).succeeded();
}

/// A study's own table of metrics gives the tables of its report.
#[test]
fn gaps_are_left_out_and_every_empty_cell_has_a_reason() {
    let mut text = HEADER.to_string();
    for (condition, base) in [("a", 0.5), ("b", 0.6), ("c", 0.7)] {
        for seed in 1..=3 {
            for epoch in 1..=4 {
                let noise = f64::from((seed * 7 + epoch * 5) % 11) / 100.0;
                let start = if condition == "a" && seed == 2 && epoch == 4 {
                    "NA".to_string()
                } else {
                    format!("{}", base + noise)
                };
                text +=
                    &format!("d,{condition},true,{seed},{epoch},{start},{},0.9,{}\n", base + 2.0 * noise, 0.5 + noise);
            }
        }
    }
    let folder = Folder::new().and("table.csv", &text);
    let shown = run(curvefleet(folder.path()).args(["analyze", "table.csv", "--out", "tables", "--resamples", "500"]))
        .succeeded();
    assert!(shown.out.contains("36 rows, 1 without metrics left out"), "{}", shown.out);
    let found = analyze(&[folder.path().join("table.csv")], "sound");
    let tests = found["tables"]["tests"].as_array().unwrap();
    assert_eq!(tests.len(), 8);
    for row in tests {
        let constant = row["metric"] == "max";
        assert_eq!(row["welch_f"].is_null(), constant, "{row}");
        assert!(!constant || !row["reason"].as_str().unwrap().is_empty(), "{row}");
        assert_eq!(row["runs"], 8, "the run without a last epoch is left out: {row}");
    }
    assert!(folder.path().join("tables/pairs.parquet").exists());
}
