//! The canonical file: what goes in comes out, the same bytes each time, and damage is refused without a panic.

use bytes::Bytes;
use curvefleet_worker::data::canonical::{METADATA_KEY, decode, decode_expecting, encode, read_metadata, sha256};
use curvefleet_worker::data::{Dataset, Provenance, Sequence, SourceFile};
use proptest::prelude::*;

use super::folder::assert_says;

/// Two classes, two features, three sequences of different length.
fn small() -> Dataset {
    let sequence = |label, values: &[f32], text: Option<&str>| Sequence {
        label,
        steps: values.len() as u32 / 2,
        values: values.to_vec(),
        text: text.map(str::to_string),
    };
    Dataset {
        name: "small".to_string(),
        classes: vec!["ja".to_string(), "nein".to_string()],
        features: vec!["x".to_string(), "y".to_string()],
        sequences: vec![
            sequence(0, &[1.0, 2.0], Some("eins zwei")),
            sequence(1, &[0.5, -0.0, f32::MIN_POSITIVE, f32::MAX], None),
            sequence(0, &[3.0, 4.0, 5.0, 6.0, 7.0, 8.0], Some("")),
        ],
        provenance: Provenance {
            format: "csv".to_string(),
            sources: vec![SourceFile { name: "a.csv".to_string(), sha256: "00".repeat(32), sequences: 3 }],
            missing_values: 7,
            missing_treatment: "zero".to_string(),
            notes: vec!["a note with \"quotes\"".to_string()],
            ..Provenance::default()
        },
    }
}

fn encoded(dataset: &Dataset) -> Bytes {
    Bytes::from(encode(dataset).unwrap())
}

#[test]
fn what_goes_in_comes_out_and_the_footer_says_what_planning_needs() {
    let dataset = small();
    let bytes = encoded(&dataset);
    assert_eq!(decode(&bytes).unwrap(), dataset);
    let hash = sha256(&bytes);
    assert_eq!(decode_expecting(&bytes, &hash).unwrap(), dataset);
    let metadata = read_metadata(&bytes).unwrap();
    assert_eq!((metadata.sequences, metadata.steps_min, metadata.steps_max), (3, 1, 3));
    assert_eq!(metadata.summary(&hash), dataset.summary(&hash));
    assert_eq!(metadata.provenance, dataset.provenance);
    let summary = dataset.summary(&hash);
    assert_eq!(summary.classes.iter().map(|class| class.count).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((summary.sha256, summary.feature_names), (hash, dataset.features));
}

#[test]
fn the_bytes_never_change() {
    let hash = sha256(&encoded(&small()));
    assert_eq!(hash, sha256(&encoded(&small())));
    // A change here is a new format: every stored data set gets a new name, so FORMAT_VERSION has to move with it.
    assert_eq!(hash, "2f6bdb6bb4361e143aeb5c78851167c61296148addc173dada01a7e4b93d68b0");
}

#[test]
fn the_wrong_copy_is_refused_by_its_hash() {
    let bytes = encoded(&small());
    let sentence = decode_expecting(&bytes, &"0".repeat(64)).unwrap_err().to_string();
    assert_says(&sentence, &[&sha256(&bytes), &"0".repeat(64)]);
}

#[test]
fn data_sets_that_break_a_rule_are_not_written() {
    let broken = |change: &dyn Fn(&mut Dataset)| {
        let mut dataset = small();
        change(&mut dataset);
        encode(&dataset).unwrap_err().to_string()
    };
    assert_says(&broken(&|d| d.classes.clear()), &["there is no class"]);
    assert_says(&broken(&|d| d.features.clear()), &["there is no feature"]);
    assert_says(&broken(&|d| d.sequences.clear()), &["no sequences"]);
    assert_says(&broken(&|d| d.classes.push("ja".to_string())), &["\"ja\"", "twice"]);
    assert_says(&broken(&|d| d.classes.push("leer".to_string())), &["\"leer\"", "no sequences"]);
    assert_says(&broken(&|d| d.sequences[1].label = 2), &["item 1", "label 2", "0 to 1"]);
    assert_says(&broken(&|d| d.sequences[1].values.truncate(3)), &["item 1", "3 values", "need 4"]);
    assert_says(&broken(&|d| d.sequences[2].values[3] = f32::NAN), &["item 2", "step 1", "finite"]);
    assert_says(
        &broken(&|d| (d.sequences[2].steps, d.sequences[2].values) = (0, vec![])),
        &["item 2", "no time steps"],
    );
}

/// The file with its metadata text changed and written anew.
fn with_metadata(change: impl Fn(&str) -> Option<String>) -> Bytes {
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
    use parquet::file::metadata::KeyValue;
    use parquet::file::properties::WriterProperties;
    let bytes = encoded(&small());
    let options = ArrowReaderOptions::new();
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).unwrap();
    let entries = builder.metadata().file_metadata().key_value_metadata().unwrap().clone();
    let json = entries.iter().find(|entry| entry.key == METADATA_KEY).unwrap().value.clone().unwrap();
    let entry = change(&json).map(|json| vec![KeyValue::new(METADATA_KEY.to_string(), json)]);
    let batch = builder.build().unwrap().next().unwrap().unwrap();
    let properties = WriterProperties::builder().set_key_value_metadata(entry).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    Bytes::from(writer.into_inner().unwrap())
}

#[test]
fn metadata_that_is_missing_or_wrong_is_refused() {
    let refusal = |change: &dyn Fn(&str) -> Option<String>| decode(&with_metadata(change)).unwrap_err().to_string();
    assert!(decode(&with_metadata(|json| Some(json.to_string()))).is_ok());
    assert_says(&refusal(&|_| None), &["no curvefleet.dataset", "data import"]);
    assert_says(
        &refusal(&|json| Some(json.replace("\"version\":1", "\"version\":2"))),
        &["format version 2", "reads version 1"],
    );
    assert_says(&refusal(&|_| Some("{}".to_string())), &["missing field `version`"]);
    assert_says(&refusal(&|json| Some(json[..40].to_string())), &["not what it should be"]);
    assert_says(&refusal(&|json| Some(json.replace("\"nein\"", "\"ja\""))), &["\"ja\"", "twice"]);
    assert_says(&refusal(&|json| Some(json.replace("\"nein\"", "\"no\""))), &["item 1", "label 1", "\"nein\""]);
    assert_says(&refusal(&|json| Some(json.replace("\"count\":2", "\"count\":3"))), &["do not add up", "3 sequences"]);
    assert_says(
        &refusal(&|json| {
            Some(
                json.replace("\"sequences\":3,\"steps", "\"sequences\":4,\"steps")
                    .replace("\"count\":2", "\"count\":3"),
            )
        }),
        &["metadata counts"],
    );
    assert_says(&refusal(&|json| Some(json.replace("\"steps_max\":3", "\"steps_max\":9"))), &["1 to 3", "1 to 9"]);
    assert_says(&refusal(&|json| Some(json.replace("\"steps_min\":1", "\"steps_min\":0"))), &["from 0 to 3"]);
    assert_says(&refusal(&|json| Some(json.replace("[\"x\",\"y\"]", "[\"x\"]"))), &["item 0", "2 values", "need 1"]);
}

#[test]
fn other_files_are_refused() {
    use arrow_array::{ArrayRef, Int32Array, RecordBatch};
    for bytes in [&b""[..], b"PAR1", b"text", &[0; 100]] {
        assert_says(&decode(&Bytes::copy_from_slice(bytes)).unwrap_err().to_string(), &["not a whole Parquet file"]);
        assert_says(
            &read_metadata(&Bytes::copy_from_slice(bytes)).unwrap_err().to_string(),
            &["not a whole Parquet file"],
        );
    }
    let column: ArrayRef = std::sync::Arc::new(Int32Array::from(vec![1, 2]));
    let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let bytes = Bytes::from(writer.into_inner().unwrap());
    assert_says(&decode(&bytes).unwrap_err().to_string(), &["no curvefleet.dataset"]);
}

prop_compose! {
    fn datasets()(classes in 1u32..4, features in 1usize..4)(
        classes in Just(classes),
        features in Just(features),
        rows in prop::collection::vec((0..classes, 1usize..6, any::<u64>(), prop::option::of(".{0,12}")), 1..12),
        note in ".{0,20}",
    ) -> Dataset {
        let mut rows = rows;
        // Every class needs a sequence.
        rows.extend((0..classes).map(|label| (label, 1, 0, None)));
        Dataset {
            name: note.clone(),
            classes: (0..classes).map(|class| format!("class {class}")).collect(),
            features: (0..features).map(|feature| format!("f{feature}")).collect(),
            sequences: rows.into_iter().map(|(label, steps, seed, text)| Sequence {
                label,
                steps: steps as u32,
                values: (0..steps * features).map(|at| (seed.rotate_left(at as u32) % 2001) as f32 / 7.0 - 100.0).collect(),
                text,
            }).collect(),
            provenance: Provenance { notes: vec![note], ..Provenance::default() },
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_data_set_survives_the_round_trip(dataset in datasets()) {
        let bytes = encoded(&dataset);
        prop_assert_eq!(&bytes, &encoded(&dataset));
        prop_assert_eq!(decode(&bytes).unwrap(), dataset);
    }

    #[test]
    fn a_truncated_file_is_refused(dataset in datasets(), share in 0.0..1.0f64) {
        let bytes = encoded(&dataset);
        let cut = bytes.slice(..(bytes.len() as f64 * share) as usize);
        prop_assert!(decode(&cut).is_err());
        prop_assert!(read_metadata(&cut).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn flipped_bits_never_panic_nor_pass_the_hash(flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4)) {
        let whole = encoded(&small());
        let mut damaged = whole.to_vec();
        for (at, bit) in flips {
            let at = at.index(damaged.len());
            damaged[at] ^= 1 << bit;
        }
        let damaged = Bytes::from(damaged);
        if let Ok(dataset) = decode(&damaged) {
            prop_assert!(encode(&dataset).is_ok());
        }
        let _ = read_metadata(&damaged);
        if damaged != whole {
            prop_assert!(decode_expecting(&damaged, &sha256(&whole)).is_err());
        }
    }
}
