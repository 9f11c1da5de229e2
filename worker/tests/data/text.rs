//! The formats of sentences, and word vectors.

use curvefleet_proto::study::{DataFormat, DataSource};

use super::folder::{Folder, assert_says, counts, source};

const GLOVE: &str = "the 0.5 -1\ngood 1 2\n! 3 4\ncafé 5 6\nbad 7 8\n";

fn with_glove(format: DataFormat, file: &str) -> DataSource {
    DataSource { glove: Some("glove.txt".to_string()), ..source(format, &[file]) }
}

fn folder(file: &str, content: impl AsRef<[u8]>) -> Folder {
    Folder::with(file, content).and("glove.txt", GLOVE)
}

#[test]
fn sentences_become_their_words_vectors_and_unknown_words_zeros() {
    let content = "The GOOD zebra!;joy\r\nbad; really bad;anger\n\n";
    let dataset = folder("a.txt", content).import(&with_glove(DataFormat::SentenceLabel, "a.txt")).unwrap();
    assert_eq!(counts(&dataset), [("anger".to_string(), 1), ("joy".to_string(), 1)]);
    assert_eq!(dataset.features, ["glove_1", "glove_2"]);
    assert_eq!(dataset.sequences[0].values, [0.5, -1.0, 1.0, 2.0, 0.0, 0.0, 3.0, 4.0]);
    assert_eq!(dataset.sequences[0].steps, 4);
    assert_eq!(dataset.sequences[0].text.as_deref(), Some("The GOOD zebra!"));
    assert_eq!(dataset.sequences[1].text.as_deref(), Some("bad; really bad"));
    assert_eq!(dataset.sequences[1].values, [7.0, 8.0, 0.0, 0.0, 7.0, 8.0]);
    assert_says(&dataset.provenance.notes[0], &["4 of 6 different words", "5 of 7 words", "71.4%"]);
    let files: Vec<_> =
        dataset.provenance.sources.iter().map(|source| (source.name.as_str(), source.sequences)).collect();
    assert_eq!(files, [("a.txt", 2), ("glove.txt", 0)]);
}

#[test]
fn trec_takes_the_coarse_label_and_latin1() {
    let content = b"NUM:dist How good is the caf\xe9 ?\nHUM:ind The bad\n";
    let dataset = folder("t.txt", content).import(&with_glove(DataFormat::Trec, "t.txt")).unwrap();
    assert_eq!(dataset.classes, ["HUM", "NUM"]);
    assert_eq!(dataset.sequences[0].text.as_deref(), Some("How good is the café ?"));
    assert_eq!(dataset.sequences[0].values[8..10], [5.0, 6.0]);
    assert_says(&dataset.provenance.notes[0], &["t.txt: 1 line not in UTF-8", "Latin-1"]);
    assert_says(
        &folder("t.txt", "NUM:x the\nno label here\n").refusal(&with_glove(DataFormat::Trec, "t.txt")),
        &["t.txt, line 2: ", "LABEL:fine"],
    );
    assert_says(
        &folder("t.txt", "NUM:x\n").refusal(&with_glove(DataFormat::Trec, "t.txt")),
        &["t.txt, line 1: ", "LABEL:fine"],
    );
}

#[test]
fn csv_finds_its_columns_and_counts_its_lines() {
    let content = "\u{feff}id,label,text\r\n1,b,\"good,\r\nthe \"\"bad\"\"\"\r\n2,a,the\r\n";
    let csv = with_glove(DataFormat::Csv, "a.csv");
    let dataset = folder("a.csv", content).import(&csv).unwrap();
    assert_eq!(dataset.classes, ["a", "b"]);
    assert_eq!(dataset.sequences[0].text.as_deref(), Some("good,\r\nthe \"bad\""));
    assert_eq!(dataset.sequences[0].values, [1.0, 2.0, 0.0, 0.0, 0.5, -1.0, 7.0, 8.0]);
    let mut named = csv.clone();
    named.text_column = Some("sentence".to_string());
    named.label_column = Some("class".to_string());
    let dataset = folder("a.csv", "class,sentence\nx,the\ny,good\n").import(&named).unwrap();
    assert_eq!(dataset.classes, ["x", "y"]);

    let cases: &[(&str, &[&str])] = &[
        ("id,sentence,label\n1,the,a\n", &["line 1", "no column \"text\"", "\"sentence\"", "text_column"]),
        ("text,text,label\n", &["line 1", "2 columns \"text\""]),
        ("text,label\nthe,a\n\"good\nbad\",b\nthe,good,b\n", &["line 5", "3 fields", "header has 2"]),
        ("text,label\nthe,\n", &["line 2", "label is empty"]),
        ("text,label\n", &["a.csv: ", "not one sentence"]),
        ("", &["a.csv: ", "not one sentence"]),
    ];
    for (content, parts) in cases {
        assert_says(&folder("a.csv", content).refusal(&csv), parts);
    }
}

#[test]
fn json_lines_take_strings_and_whole_numbers_as_labels() {
    let json = with_glove(DataFormat::JsonLines, "a.jsonl");
    let content =
        "{\"text\": \"the caf\\u00e9\", \"label\": 10}\n\n{\"label\": 9, \"text\": \"good\", \"more\": [1]}\n";
    let dataset = folder("a.jsonl", content).import(&json).unwrap();
    assert_eq!(dataset.classes, ["9", "10"], "numbers sort as numbers");
    assert_eq!(dataset.sequences[0].values, [0.5, -1.0, 5.0, 6.0]);
    let cases: &[(&str, &[&str])] = &[
        ("{\"text\": \"the\", \"label\": 1}\n{\"text\": \"the\"\n", &["line 2", "JSON object"]),
        ("[1]\n", &["line 1", "JSON object", "\"[1]\""]),
        ("{\"sentence\": \"the\", \"label\": 1}\n", &["line 1", "no key \"text\"", "\"sentence\"", "text_column"]),
        ("{\"text\": 5, \"label\": 1}\n", &["line 1", "expected a string"]),
        ("{\"text\": \"the\", \"label\": 1.5}\n", &["line 1", "1.5", "whole number"]),
        ("{\"text\": \"the\", \"label\": null}\n", &["line 1", "null"]),
    ];
    for (content, parts) in cases {
        assert_says(&folder("a.jsonl", content).refusal(&json), parts);
    }
}

#[test]
fn a_line_without_label_or_words_is_refused() {
    let format = with_glove(DataFormat::SentenceLabel, "a.txt");
    let cases: &[(&str, &[&str])] = &[
        ("the;a\nno label\n", &["a.txt, line 2: ", "sentence;label"]),
        ("the;a\ngood;\n", &["a.txt, line 2: ", "label is empty"]),
        ("the;a\n\" \";b\n", &["a.txt, line 2: ", "no words"]),
        ("\n\n", &["a.txt: ", "not one sentence"]),
        ("the;a\ngood;a\n", &["only the class \"a\""]),
    ];
    for (content, parts) in cases {
        assert_says(&folder("a.txt", content).refusal(&format), parts);
    }
    let long = format!("the;{}\n", "x".repeat(121));
    assert_says(&folder("a.txt", long).refusal(&format), &["a.txt, line 1: ", "longer than 120 bytes"]);
}

#[test]
fn word_vectors_are_checked_line_by_line() {
    let format = with_glove(DataFormat::SentenceLabel, "a.txt");
    let refusal = |glove: &str| Folder::with("a.txt", "the;a\ngood;b\n").and("glove.txt", glove).refusal(&format);
    assert_says(
        &refusal("the 1 2\nother 1 2 3\n"),
        &["glove.txt, line 2: ", "3 numbers", "\"other\"", "first line has 2"],
    );
    assert_says(&refusal("the 1 2\nother 1\n"), &["glove.txt, line 2: ", "1 number", "first line has 2"]);
    assert_says(&refusal("other 1 2\nthe 1 x\n"), &["glove.txt, line 2: ", "number 2", "\"x\""]);
    assert_says(&refusal("the 1 2\n\ngood 1 2\n"), &["glove.txt, line 2: ", "empty"]);
    assert_says(&refusal("the\n"), &["glove.txt, line 1: ", "a word and its numbers"]);
    assert_says(&refusal(""), &["glove.txt", "no word vectors"]);
    assert_says(&refusal("le 1 2\nbon 1 2\n"), &["glove.txt: ", "none of the words"]);
    assert_says(&Folder::with("a.txt", "the;a\ngood;b\n").refusal(&format), &["cannot read", "glove.txt"]);
}

#[test]
fn headers_of_word2vec_words_with_spaces_and_trailing_spaces_are_understood() {
    let format = with_glove(DataFormat::SentenceLabel, "a.txt");
    let glove = "4 2\nthe 1 2 \nat name@domain.com 1 2\n. . . 9 9\ngood 3 4\n";
    let dataset = Folder::with("a.txt", "the;a\ngood;b\n").and("glove.txt", glove).import(&format).unwrap();
    assert_eq!(dataset.sequences[0].values, [1.0, 2.0]);
    assert_eq!(dataset.sequences[1].values, [3.0, 4.0]);
}

#[test]
fn a_star_in_the_glove_files_name_finds_the_one_that_is_there() {
    let starred = DataSource { glove: Some("gl*e.txt".to_string()), ..with_glove(DataFormat::SentenceLabel, "a.txt") };
    let one = folder("a.txt", "good;joy\nbad;anger\n");
    assert_eq!(one.import(&starred).unwrap().features, ["glove_1", "glove_2"]);
    assert_says(&one.and("glue.txt", GLOVE).refusal(&starred), &["gl*e.txt", "glove.txt, glue.txt"]);
    assert_says(&Folder::with("a.txt", "good;joy\n").refusal(&starred), &["gl*e.txt", "none is in"]);
}
