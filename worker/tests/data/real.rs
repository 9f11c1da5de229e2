//! The real data sets, where they are at hand: in the folder that `CURVEFLEET_TEST_DATA` names.

use std::path::PathBuf;

use bytes::Bytes;
use curvefleet_proto::study::{DataFormat, DataSource};
use curvefleet_worker::data::Dataset;
use curvefleet_worker::data::canonical::{decode, encode};
use curvefleet_worker::data::import::import;

use super::folder::{counts, source};

/// Imports real files, or says that they are not there.
fn real(test: &str, source: DataSource) -> Option<Dataset> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let base = std::env::var_os("CURVEFLEET_TEST_DATA").map_or(default, PathBuf::from);
    if let Some(file) = source.files.iter().chain(&source.glove).find(|file| !base.join(file).exists()) {
        println!("skipped: {test}, for there is no {file} in the folder CURVEFLEET_TEST_DATA");
        return None;
    }
    let dataset = import(&source, &base).unwrap();
    let bytes = Bytes::from(encode(&dataset).unwrap());
    println!("{test}: {} bytes as a canonical file", bytes.len());
    assert_eq!(decode(&bytes).unwrap(), dataset);
    Some(dataset)
}

fn sentences(format: DataFormat, files: &[&str]) -> DataSource {
    DataSource { glove: Some("glove/glove.6B.50d.subset.txt".to_string()), ..source(format, files) }
}

fn named(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(name, count)| (name.to_string(), *count)).collect()
}

#[test]
fn natops() {
    let files = ["gesture/NATOPS_TRAIN.ts", "gesture/NATOPS_TEST.ts"];
    let Some(dataset) = real("natops", source(DataFormat::Ts, &files)) else { return };
    assert_eq!((dataset.name.as_str(), dataset.sequences.len(), dataset.features.len()), ("NATOPS", 360, 24));
    assert_eq!(dataset.steps_range(), (51, 51));
    assert_eq!(counts(&dataset), named(&["1.0", "2.0", "3.0", "4.0", "5.0", "6.0"].map(|class| (class, 60))));
    assert_eq!(dataset.provenance.sources.iter().map(|source| source.sequences).collect::<Vec<_>>(), [180, 180]);
    assert_eq!(dataset.provenance.missing_values, 0);
    // The first sequence's first dimension begins -0.372758, -0.367844.
    assert_eq!((dataset.sequences[0].values[0], dataset.sequences[0].values[24]), (-0.372758, -0.367844));
    assert_eq!(dataset.classes[dataset.sequences[179].label as usize], "4.0");
    let Some(train) = real("natops", source(DataFormat::Ts, &files[..1])) else { return };
    assert!(train.class_counts().iter().all(|class| class.count == 30));
}

#[test]
fn basic_motions() {
    let files = ["gesture/BasicMotions_TRAIN.ts", "gesture/BasicMotions_TEST.ts"];
    let Some(dataset) = real("basic motions", source(DataFormat::Ts, &files)) else { return };
    assert_eq!((dataset.sequences.len(), dataset.features.len(), dataset.steps_range()), (80, 6, (100, 100)));
    assert_eq!(counts(&dataset), named(&["Standing", "Running", "Walking", "Badminton"].map(|class| (class, 20))));
}

#[test]
fn emotion() {
    let mut from = sentences(DataFormat::SentenceLabel, &["sentence/emotion_train.txt"]);
    from.class_order = ["sadness", "joy", "love", "anger", "fear", "surprise"].map(str::to_string).to_vec();
    let Some(dataset) = real("emotion", from) else { return };
    let expected =
        [("sadness", 4666), ("joy", 5362), ("love", 1304), ("anger", 2159), ("fear", 1937), ("surprise", 572)];
    assert_eq!(counts(&dataset), named(&expected));
    assert_eq!((dataset.sequences.len(), dataset.features.len(), dataset.steps_range().1), (16_000, 50, 66));
    assert_eq!(dataset.sequences[0].text.as_deref(), Some("i didnt feel humiliated"));
    println!("{:?}", dataset.provenance.notes);
    let all = ["sentence/emotion_train.txt", "sentence/emotion_val.txt", "sentence/emotion_test.txt"];
    let Some(dataset) = real("emotion", sentences(DataFormat::SentenceLabel, &all)) else { return };
    assert_eq!(dataset.sequences.len(), 20_000);
    assert_eq!(dataset.classes[0], "anger");
}

#[test]
fn trec() {
    let Some(dataset) = real("trec", sentences(DataFormat::Trec, &["sentence/TREC_train.txt"])) else { return };
    let expected = [("ABBR", 86), ("DESC", 1162), ("ENTY", 1250), ("HUM", 1223), ("LOC", 835), ("NUM", 896)];
    assert_eq!(counts(&dataset), named(&expected));
    assert_eq!((dataset.sequences.len(), dataset.features.len()), (5_452, 50));
    println!("{:?}", dataset.provenance.notes);
    let Some(test) = real("trec", sentences(DataFormat::Trec, &["sentence/TREC_test.txt"])) else { return };
    assert_eq!(test.sequences.len(), 500);
}
