//! The `.ts` format, good and bad.

use curvefleet_proto::study::DataFormat;
use curvefleet_proto::study::Missing;

use super::folder::{Folder, assert_says, counts, source};

const HEADER: &str = "# a comment\n@problemName Toy\n@timeStamps false\n@missing false\n@univariate false\n@dimensions 2\n\
                      @equalLength true\n@seriesLength 3\n@classLabel true walk run\n@data\n";

fn ts() -> curvefleet_proto::study::DataSource {
    source(DataFormat::Ts, &["toy.ts"])
}

fn toy(content: &str) -> Folder {
    Folder::with("toy.ts", content)
}

#[test]
fn values_become_time_by_feature_and_classes_keep_the_headers_order() {
    let dataset = toy(&format!("{HEADER}1,2,3:4,5,6:run\n-1.5,0,1e-3:7,8,9:walk\n")).import(&ts()).unwrap();
    assert_eq!(dataset.name, "Toy");
    assert_eq!(dataset.classes, ["walk", "run"]);
    assert_eq!(dataset.features, ["dim_1", "dim_2"]);
    assert_eq!(dataset.sequences[0].values, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert_eq!(dataset.sequences[0].label, 1);
    assert_eq!(dataset.sequences[1].values, [-1.5, 7.0, 0.0, 8.0, 1e-3, 9.0]);
    assert_eq!((dataset.sequences[1].label, dataset.sequences[1].steps), (0, 3));
    let provenance = &dataset.provenance;
    assert_eq!((provenance.format.as_str(), provenance.missing_values), ("ts", 0));
    assert_eq!((provenance.sources[0].name.as_str(), provenance.sources[0].sequences), ("toy.ts", 2));
    assert_eq!(provenance.sources[0].sha256.len(), 64);
}

#[test]
fn crlf_a_byte_order_mark_odd_case_blank_lines_and_spaces_change_nothing() {
    let plain = format!("{HEADER}1,2,3:4,5,6:run\n1,2,3:4,5,6:walk\n");
    let odd = plain
        .replace("@problemName", "@PROBLEMNAME")
        .replace("@classLabel", "@ClassLabel")
        .replace("@data", "@DATA\n\n")
        .replace("1,2", " 1 , 2");
    let odd = format!("\u{feff}{}\n", odd.replace('\n', "\r\n"));
    let (plain, odd) = (toy(&plain).import(&ts()).unwrap(), toy(&odd).import(&ts()).unwrap());
    assert_eq!(plain.sequences, odd.sequences);
    assert_eq!((plain.classes, plain.name), (odd.classes, odd.name));
}

#[test]
fn unequal_lengths_are_kept() {
    let content = "@equalLength false\n@classLabel true a b\n@data\n1,2,3:a\n4,5:b\n6:b\n";
    let dataset = toy(content).import(&ts()).unwrap();
    assert_eq!(dataset.sequences.iter().map(|sequence| sequence.steps).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(dataset.steps_range(), (1, 3));
    assert_eq!(dataset.name, "toy");
}

#[test]
fn missing_values_are_filled_and_counted() {
    let content = "@missing true\n@classLabel true a b\n@data\n1,?,3:?,5,NaN:a\n1,2,3:?:b\n1,2,3:4,5,6:b\n";
    let dataset = toy(content).import(&ts()).unwrap();
    assert_eq!(dataset.sequences[0].values, [1.0, 5.0, 2.0, 5.0, 3.0, 5.0]);
    assert_eq!(dataset.sequences[1].values, [1.0, 0.0, 2.0, 0.0, 3.0, 0.0]);
    assert_eq!(dataset.provenance.missing_values, 6);
    assert_eq!(dataset.provenance.missing_treatment, "interpolate");
    let mut zero = ts();
    zero.missing = Missing::Zero;
    let dataset = toy(content).import(&zero).unwrap();
    assert_eq!(dataset.sequences[0].values, [1.0, 0.0, 0.0, 5.0, 3.0, 0.0]);
    let mut refuse = ts();
    refuse.missing = Missing::Refuse;
    assert_says(&toy(content).refusal(&refuse), &["toy.ts, line 4: ", "3 missing values", "interpolate"]);
}

#[test]
fn missing_values_that_the_header_denies_are_noted() {
    let dataset = toy(&format!("{HEADER}1,?,3:4,5,6:run\n1,2,3:4,5,6:walk\n")).import(&ts()).unwrap();
    assert_says(&dataset.provenance.notes[0], &["toy.ts", "1 sequence", "@missing false"]);
}

#[test]
fn several_files_follow_one_another() {
    let folder = toy(&format!("{HEADER}1,2,3:4,5,6:run\n")).and("more.ts", format!("{HEADER}9,8,7:6,5,4:walk\n"));
    let dataset = folder.import(&source(DataFormat::Ts, &["toy.ts", "more.ts"])).unwrap();
    assert_eq!(counts(&dataset), [("walk".to_string(), 1), ("run".to_string(), 1)]);
    assert_eq!(dataset.sequences[1].values[0], 9.0);
    assert_eq!(dataset.provenance.sources.len(), 2);
}

#[test]
fn a_declared_class_without_sequences_is_left_out_with_a_note() {
    let content = "@classLabel true a never b\n@data\n1:a\n2:b\n";
    let dataset = toy(content).import(&ts()).unwrap();
    assert_eq!(dataset.classes, ["a", "b"]);
    assert_says(&dataset.provenance.notes[0], &["\"never\"", "left out"]);
}

#[test]
fn a_class_order_is_followed_or_refused() {
    let folder = toy("@classLabel true a b\n@data\n1:a\n2:b\n");
    let mut ordered = ts();
    ordered.class_order = vec!["b".to_string(), "a".to_string()];
    let dataset = folder.import(&ordered).unwrap();
    assert_eq!(
        (dataset.classes.as_slice(), dataset.sequences[0].label),
        (["b".to_string(), "a".to_string()].as_slice(), 1)
    );
    ordered.class_order = vec!["b".to_string(), "a".to_string(), "c".to_string()];
    assert_says(&folder.refusal(&ordered), &["\"c\"", "class_order", "no sequence has it"]);
    ordered.class_order = vec!["b".to_string()];
    assert_says(&folder.refusal(&ordered), &["toy.ts, line 3: ", "\"a\"", "class_order"]);
    ordered.class_order = vec!["b".to_string(), "b".to_string()];
    assert_says(&folder.refusal(&ordered), &["\"b\"", "twice"]);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let header_lines = HEADER.lines().count();
    let at = |line: usize| format!("toy.ts, line {}: ", header_lines + line);
    let cases: &[(&str, usize, &[&str])] = &[
        ("1,2,3:4,5,6:run\n1,2,3:run\n", 2, &["1 dimension", "2 were expected"]),
        ("1,2,3:4,x,6:run\n", 1, &["dimension 2", "value 2", "expected a number or ?", "\"x\""]),
        ("1,2,3:4,,6:run\n", 1, &["dimension 2", "value 2", "\"\""]),
        ("1,2,inf:4,5,6:run\n", 1, &["\"inf\"", "finite"]),
        ("1,2,1e99:4,5,6:run\n", 1, &["\"1e99\"", "finite"]),
        ("1,2:4,5:run\n", 1, &["2 time steps", "3 were expected"]),
        ("1,2,3:4,5:run\n", 1, &["dimension 2 has 2 values", "3"]),
        ("1,2,3:4,5,6:fly\n", 1, &["\"fly\"", "walk run"]),
        ("1 2 3 run\n", 1, &["without a colon"]),
        ("", 0, &["no sequence follows @data"]),
    ];
    for (content, line, parts) in cases {
        let sentence = toy(&format!("{HEADER}{content}")).refusal(&ts());
        assert_says(&sentence, &[&at(*line)]);
        assert_says(&sentence, parts);
    }
}

#[test]
fn a_wrong_header_is_said_with_its_line() {
    let cases: &[(&str, &[&str])] = &[
        ("", &["line 1", "@data"]),
        ("@problemName x\n@classLabel true a b\n", &["line 2", "before its line @data"]),
        ("1,2,3:a\n", &["line 1", "header line", "\"1,2,3:a\""]),
        ("@data\n1:a\n", &["line 1", "no line @classLabel"]),
        ("@classLabel false\n@data\n1\n", &["line 1", "@classLabel is false"]),
        ("@classLabel true\n@data\n", &["line 1", "followed by no class"]),
        ("@classLabel\n@data\n", &["line 1", "expected true or false"]),
        ("@classLabel true a a\n@data\n", &["line 1", "\"a\" twice"]),
        ("@timeStamps true\n@data\n", &["line 1", "time stamps", "not read"]),
        ("@targetLabel true\n@data\n", &["line 1", "regression"]),
        ("@dimensions zero\n", &["line 1", "@dimensions", "\"zero\"", "whole number"]),
        ("@dimensions 0\n", &["line 1", "above 0"]),
        ("@missing perhaps\n", &["line 1", "@missing", "\"perhaps\""]),
        ("@colour red\n", &["line 1", "\"@colour\"", "@problemName"]),
        ("@missing true\n@missing true\n", &["line 2", "second time", "line 1"]),
        ("@missing true\n@missing false\n", &["line 2", "differs from line 1"]),
        ("@univariate true\n@dimensions 2\n@classLabel true a b\n@data\n", &["@univariate true", "@dimensions"]),
        ("@classLabel true a b\n@data\n1:a\n2:a\n", &["only the class \"a\"", "at least two"]),
    ];
    for (content, parts) in cases {
        assert_says(&toy(content).refusal(&ts()), parts);
    }
    let folder = toy("@classLabel true a b\n@data\n1:a\n").and("more.ts", "\n@classLabel true a c\n@data\n1:a\n");
    let sentence = folder.refusal(&source(DataFormat::Ts, &["toy.ts", "more.ts"]));
    assert_says(&sentence, &["more.ts, line 2: ", "a c", "a b"]);
}

#[test]
fn a_file_that_is_not_there_or_not_text_is_refused() {
    assert_says(&Folder::new().refusal(&ts()), &["cannot read", "toy.ts"]);
    assert_says(
        &Folder::with("toy.ts", [0x93u8, 0x4e, 0, 0, 255, 254]).refusal(&ts()),
        &["toy.ts, line 1: ", "header line"],
    );
}

#[test]
fn classes_are_renamed_or_the_name_is_refused() {
    let folder = toy("@classLabel true a b\n@data\n1:a\n2:b\n");
    let mut renamed = ts();
    renamed.class_names.insert("a".to_string(), "wave".to_string());
    assert_eq!(folder.import(&renamed).unwrap().classes, ["wave", "b"]);
    renamed.class_names.insert("b".to_string(), "wave".to_string());
    assert_says(&folder.refusal(&renamed), &["\"wave\"", "twice"]);
    renamed.class_names.insert("z".to_string(), "clap".to_string());
    assert_says(&folder.refusal(&renamed), &["\"z\"", "class_names", "a, b"]);
}
