//! What is fuzzed: everything that reads what comes from outside. Each takes any bytes, and must neither panic, nor take memory or time
//! out of proportion to them; where it says yes, what it read must be what it would read again. The targets of cargo-fuzz call these
//! functions, and so does an ordinary test (`cli/tests/fuzz.rs`), which replays the corpus and changes it a little.
#![allow(dead_code, clippy::unwrap_used)] // Each target includes this file and calls one of them; what must not happen ends the run.

use std::path::Path;

use curvefleet_proto::plan;
use curvefleet_proto::study::file;

/// The routes whose messages are read, by the first byte of the input.
pub const ROUTES: [&str; 8] = ["Register", "Lease", "Commit", "Fail", "Release", "ListRuns", "SubmitStudy", "Split"];
/// The studies that name the data files which are read, by the first byte of the input.
const FORMATS: [(&str, &str); 7] = [
    ("toy.ts", "format = \"ts\""),
    ("toy.npy", "format = \"numpy\"\nlabels = \"labels.txt\""),
    ("toy.npz", "format = \"numpy\""),
    ("toy.csv", "format = \"csv\"\nglove = \"glove.txt\""),
    ("toy.jsonl", "format = \"json-lines\"\nglove = \"glove.txt\""),
    ("toy.txt", "format = \"sentence-label\"\nglove = \"glove.txt\""),
    ("toy.label", "format = \"trec\"\nglove = \"glove.txt\""),
];

/// Study files, as typed and as stored.
pub fn study_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(parsed) = file::parse(text) else { return };
    drop(parsed.clone().check());
    let Ok(study) = parsed.resolve_stored() else { return };
    let stored = study.to_toml().unwrap();
    let again = file::parse(&stored).and_then(|parsed| parsed.resolve_stored()).unwrap();
    assert_eq!(again.to_toml().unwrap(), stored, "a study that is stored is another one when it is read again");
    drop(plan::cells(&study));
}

/// Messages to the coordinator: the first byte is the route, the rest the message.
pub fn messages(data: &[u8]) {
    let Some((route, message)) = data.split_first() else { return };
    let route = ROUTES[usize::from(*route) % ROUTES.len()];
    drop(curvefleet_coordinator::check_message(route, message));
}

/// Data files of all formats: the first byte is the format, the rest the file.
pub fn import(data: &[u8]) {
    let Some((format, content)) = data.split_first() else { return };
    let (name, keys) = FORMATS[usize::from(*format) % FORMATS.len()];
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
    write(name, content);
    write("labels.txt", b"a\nb\na\nb\n");
    write("glove.txt", b"the 0.1 -0.2\nmovie 1 2\nwas 0 0.5\ngood 3 -1\nbad -3 1\nwhat 1 1\n");
    let study = format!("name = \"fuzz\"\n[[data]]\nname = \"toy\"\nfiles = [\"{name}\"]\n{keys}\n");
    let source = file::parse(&study).unwrap().file.data[0].source();
    read(&source, folder.path());
}

fn read(source: &curvefleet_proto::study::DataSource, folder: &Path) {
    let Ok(dataset) = curvefleet_worker::data::import::import(source, folder) else { return };
    let bytes = curvefleet_worker::data::canonical::encode(&dataset).unwrap();
    let again = curvefleet_worker::data::canonical::decode(&bytes.into()).unwrap();
    assert_eq!(
        again.sequences.len(),
        dataset.sequences.len(),
        "a data set that was imported is another one in the store"
    );
}

/// Data sets in the store.
pub fn data_set(data: &[u8]) {
    drop(curvefleet_worker::data::canonical::decode(&bytes::Bytes::copy_from_slice(data)));
}

/// Curve parts.
pub fn part(data: &[u8]) {
    drop(curvefleet_analysis::read::part::decode(bytes::Bytes::copy_from_slice(data)));
}
