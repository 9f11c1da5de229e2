//! The study files that come with curvefleet: each can be planned as it stands, where its data files are at hand.

use std::path::PathBuf;

use super::folder::Folder;
use super::process::{curvefleet, run};

#[test]
fn every_study_file_can_be_planned() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let data = std::env::var_os("CURVEFLEET_TEST_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    let folder = Folder::new();
    let mut planned = Vec::new();
    for study in std::fs::read_dir(root.join("studies")).unwrap().map(|entry| entry.unwrap().path()) {
        let plan = run(curvefleet(folder.path()).arg("plan").arg(&study).arg("--data").arg(&data));
        let name = study.file_name().unwrap().to_str().unwrap().to_string();
        let absent = ["its files are named relative to", "needs a GloVe file"];
        if plan.code == 2 && absent.iter().any(|words| plan.err.contains(words)) {
            println!("skipped: {name}, because its data files are not in {}", data.display());
            continue;
        }
        // As many runs as pairs of six classes, labels and seeds make.
        let plan = plan.succeeded();
        assert!(plan.out.contains("15 pairs of classes"), "{name}: {}", plan.out);
        planned.push(name);
    }
    assert!(planned.contains(&"quickstart.toml".to_string()), "{planned:?}");
}

#[test]
fn a_plan_counts_runs_shards_and_parameters() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../studies/quickstart.toml");
    let folder = Folder::new();
    let plan = run(curvefleet(folder.path()).arg("plan").arg(root).arg("--json")).succeeded();
    let plan: serde_json::Value = serde_json::from_str(&plan.out).unwrap();
    // 15 pairs, true and shuffled, 4 seeds. By hand: gates 4 · 16 · (16 + 16) + 2 · 64, read-out 2 · 17, batch norm 2 · 30.
    assert_eq!((plan["runs"].as_u64(), plan["shards"].as_u64(), plan["done"].as_u64()), (Some(120), Some(30), Some(0)));
    assert_eq!(plan["cells"][0]["parameters"].as_u64(), Some(2048 + 128 + 34 + 60));
    assert!(!folder.path().join("curvefleet-data").exists(), "planning writes nothing");
}
