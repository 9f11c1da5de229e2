//! `curvefleet verify`, and the repair of what it finds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use serde_json::Value;

use super::folder::{Folder, curves, manifest, study};
use super::process::{Finished, Service, curvefleet, run};

/// A study of 4 runs in 2 parts, trained; and the folder of its store.
fn trained(name: &str) -> (Folder, PathBuf) {
    let folder = Folder::with_study(name, 2, 3);
    run(curvefleet(folder.path()).args(["run", "study.toml", "--workers", "1"])).succeeded();
    let store = folder.path().join("curvefleet-data");
    (folder, store)
}

fn verify(folder: &Folder, study: &str, more: &[&str]) -> Finished {
    run(curvefleet(folder.path()).args(["verify", study]).args(more))
}

fn json(finished: &Finished) -> Value {
    serde_json::from_str(&finished.out).unwrap()
}

fn parts(store: &Path, study: &str) -> Vec<String> {
    manifest(store, study).into_values().collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn a_whole_study_is_whole_and_trains_again_to_the_same_bits() {
    let (folder, _) = trained("sound");
    let found = verify(&folder, "sound", &["--rerun", "3"]).succeeded();
    assert!(found.out.contains("study sound: 4 of 4 done runs are whole, in 2 parts"), "{}", found.out);
    assert!(found.out.contains("3 of 3 runs with the same bits"), "{}", found.out);
    let found = json(&verify(&folder, "sound", &["--rerun", "9", "--json"]).succeeded());
    assert_eq!((&found["is_whole"], &found["whole"], &found["pending"]), (&true.into(), &4.into(), &0.into()));
    let reruns = found["reruns"].as_array().unwrap();
    assert!(reruns.len() == 4 && reruns.iter().all(|rerun| rerun["verdict"] == "same"), "{reruns:?}");
}

#[test]
fn what_is_not_there_to_be_verified_is_refused() {
    let (folder, _) = trained("known");
    verify(&folder, "unknown", &[]).refused(2, &["unknown", "it has known"]);
    verify(&folder, "known", &["--store", "nowhere"]).refused(2, &["nowhere", "--store"]);
    assert!(!folder.path().join("nowhere").exists());
    verify(&folder, "known", &["--run", "xyz"]).refused(2, &["`xyz`"]);
}

/// What befalls a part.
type Damage = fn(&Path);

#[test]
fn missing_truncated_and_altered_parts_are_reported_by_run_and_trained_again() {
    let (folder, store) = trained("hurt");
    let before = curves(&store, "hurt");
    let damages: [(&str, Damage); 3] = [
        ("is missing from the store", |part| std::fs::remove_file(part).unwrap()),
        ("bytes where the manifest says", |part| {
            let whole = std::fs::read(part).unwrap();
            std::fs::write(part, &whole[..whole.len() / 2]).unwrap();
        }),
        ("has a SHA-256 other than the manifest's", |part| {
            let mut bytes = std::fs::read(part).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(part, bytes).unwrap();
        }),
    ];
    for (words, damage) in damages {
        let part = parts(&store, "hurt")[0].clone();
        let damaged: BTreeSet<String> =
            manifest(&store, "hurt").into_iter().filter(|(_, of)| *of == part).map(|(run, _)| run).collect();
        damage(&store.join(&part));
        let found = verify(&folder, "hurt", &[]);
        assert_eq!(found.code, 1, "{}", found.err);
        assert!(found.out.contains(words) && found.out.contains("2 of 4 done runs"), "{words}: {}", found.out);
        assert!(found.out.contains("curvefleet retry hurt --damaged"), "{}", found.out);
        let found = json(&verify(&folder, "hurt", &["--json"]));
        let named = found["damaged"].as_array().unwrap().iter();
        assert_eq!(named.map(|run| run["run"].as_str().unwrap().to_string()).collect::<BTreeSet<_>>(), damaged);

        let repaired = run(curvefleet(folder.path()).args(["run", "study.toml", "--repair"])).succeeded();
        assert!(repaired.out.contains("2 runs of study hurt with damaged curves"), "{}", repaired.out);
        verify(&folder, "hurt", &[]).succeeded();
        assert!(curves(&store, "hurt") == before, "the same curves again");
        assert!(!parts(&store, "hurt").contains(&part), "under another key");
    }
    let whole = run(curvefleet(folder.path()).args(["run", "study.toml", "--repair"])).succeeded();
    assert!(whole.out.contains("the curves of all 4 done runs of study hurt are whole"), "{}", whole.out);
}

/// The part and the manifest agree, and the numbers are not those that training gives: only training again tells.
#[test]
fn a_forged_curve_is_told_by_training_again() {
    let (folder, store) = trained("forged");
    let part = parts(&store, "forged")[0].clone();
    let (run_id, _) = manifest(&store, "forged").into_iter().find(|(_, of)| *of == part).unwrap();
    forge(&store, "forged", &part, &run_id);
    verify(&folder, "forged", &[]).succeeded();
    let found = verify(&folder, "forged", &["--run", &run_id[..12]]);
    assert_eq!(found.code, 1, "{}", found.out);
    assert!(found.out.contains("epoch 1, train_loss: 0.125 is stored"), "{}", found.out);
    assert!(found.out.contains("differs although it was trained on cpu/"), "{}", found.out);
    let found = json(&verify(&folder, "forged", &["--run", &run_id, "--json"]));
    assert_eq!(found["reruns"][0]["verdict"], "differs");
}

/// Gives a run's first epoch another training loss, and the manifest the part's new size and hash.
fn forge(store: &Path, study: &str, part: &str, run_id: &str) {
    let forged = |batch: &RecordBatch| {
        let run = batch.column_by_name("run").unwrap().as_string::<i32>().clone();
        let row = (0..batch.num_rows()).find(|row| run.value(*row) == run_id).unwrap();
        let losses = batch.column_by_name("train_loss").unwrap().as_primitive::<Float64Type>().values().to_vec();
        let forged = losses.into_iter().enumerate().map(|(index, loss)| if index == row { 0.125 } else { loss });
        replaced(batch, "train_loss", Arc::new(Float64Array::from_iter_values(forged)))
    };
    rewrite(&store.join(part), forged);
    let bytes = std::fs::read(store.join(part)).unwrap();
    let (size, sha256) = (bytes.len() as u64, curvefleet_proto::artifact::sha256_hex(&bytes));
    let agreeing = |batch: &RecordBatch| {
        let parts = batch.column_by_name("part").unwrap().as_string::<i32>().clone();
        let sizes = batch.column_by_name("size_bytes").unwrap().as_primitive::<UInt64Type>().clone();
        let hashes = batch.column_by_name("sha256").unwrap().as_string::<i32>().clone();
        let is_forged = |row: &usize| parts.value(*row) == part;
        let rows = || 0..batch.num_rows();
        let sizes = rows().map(|row| if is_forged(&row) { size } else { sizes.value(row) });
        let hashes = rows().map(|row| if is_forged(&row) { sha256.as_str() } else { hashes.value(row) });
        let batch = replaced(batch, "size_bytes", Arc::new(UInt64Array::from_iter_values(sizes)));
        replaced(&batch, "sha256", Arc::new(StringArray::from_iter_values(hashes)))
    };
    rewrite(&store.join("studies").join(study).join("manifest.parquet"), agreeing);
}

fn replaced(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let mut columns = batch.columns().to_vec();
    columns[batch.schema().index_of(name).unwrap()] = column;
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

/// Writes a Parquet file of one batch anew, with its metadata.
fn rewrite(file: &Path, change: impl Fn(&RecordBatch) -> RecordBatch) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(file).unwrap()).unwrap();
    let metadata = builder.metadata().file_metadata().key_value_metadata().cloned();
    let metadata = metadata.map(|pairs| pairs.into_iter().filter(|pair| pair.key != "ARROW:schema").collect());
    let batches: Vec<RecordBatch> = builder.build().unwrap().map(|batch| change(&batch.unwrap())).collect();
    let properties = WriterProperties::builder().set_key_value_metadata(metadata).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batches[0].schema(), Some(properties)).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    std::fs::write(file, writer.into_inner().unwrap()).unwrap();
}

/// As after an update that changes the numbers of training.
#[test]
fn runs_that_this_version_would_not_train_are_not_compared() {
    let (_folder, store) = trained("old");
    let other = Folder::new().and("study.toml", study("old", 2, 3).replace("5e-3", "6e-3"));
    run(curvefleet(other.path()).args(["run", "study.toml", "--workers", "1"])).succeeded();
    let file = "studies/old/study.toml";
    std::fs::copy(store.join(file), other.path().join("curvefleet-data").join(file)).unwrap();
    let found = verify(&other, "old", &["--rerun", "1"]).succeeded();
    assert!(found.out.contains("cannot be trained again"), "{}", found.out);
}

#[test]
fn a_damaged_data_set_is_named() {
    let (folder, store) = trained("fed");
    let dataset = std::fs::read_dir(store.join("datasets")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&dataset, "rubbish").unwrap();
    let found = verify(&folder, "fed", &[]);
    assert_eq!(found.code, 1);
    assert!(found.out.contains("the data set joints") && found.out.contains("import it again"), "{}", found.out);
    std::fs::remove_file(&dataset).unwrap();
    let found = verify(&folder, "fed", &[]).succeeded();
    assert!(found.out.contains("4 of 4 done runs are whole"), "curves need no data set: {}", found.out);
    assert!(found.out.contains("the data set joints is not in this store"), "{}", found.out);
    verify(&folder, "fed", &["--rerun", "1"]).refused(1, &["data set", "cannot be read from the store"]);
}

#[test]
fn a_coordinator_retries_what_it_finds_damaged_itself() {
    let (folder, store) = trained("fleet");
    let before = curves(&store, "fleet");
    let coordinator = Service::start(curvefleet(folder.path()).args(["coordinator", "--listen", "127.0.0.1:0"]));
    let url = coordinator.url();
    let retry = || run(curvefleet(folder.path()).args(["retry", "fleet", "--damaged", "--coordinator", &url]));
    assert!(retry().succeeded().out.contains("the curves of all 4 done runs of study fleet are whole"));
    let part = parts(&store, "fleet")[0].clone();
    std::fs::remove_file(store.join(&part)).unwrap();
    let retried = retry().succeeded();
    assert!(retried.out.contains("2 runs of study fleet"), "{}", retried.out);
    assert_eq!(manifest(&store, "fleet").len(), 2, "the manifest does not name the lost part any more");
    let logs =
        |run_id: &str| run(curvefleet(folder.path()).args(["logs", run_id, "--coordinator", &url])).succeeded().out;
    let lost = before.keys().find(|(run, _)| !manifest(&store, "fleet").contains_key(run)).unwrap();
    assert!(logs(&lost.0).contains("is missing from the store"), "{}", logs(&lost.0));

    let _worker = Service::start(curvefleet(folder.path()).args(["worker", "--coordinator", &url]));
    run(curvefleet(folder.path()).args(["watch", "fleet", "--coordinator", &url])).succeeded();
    verify(&folder, "fleet", &[]).succeeded();
    assert!(curves(&store, "fleet") == before);
}
