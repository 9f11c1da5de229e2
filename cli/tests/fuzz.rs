//! A short fuzz: the corpus under `fuzz/corpus` is replayed, and so are files made from it by a few random changes, the same ones each
//! time. The long one is cargo-fuzz's, with the same targets (CONTRIBUTING.md).
#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use curvefleet_worker::rng::{self, Stream};

#[path = "../../fuzz/targets.rs"]
mod targets;

/// Changed files per target.
const CHANGED: usize = 3_000;
/// No changed file is longer.
const LONGEST: usize = 64 << 10;

fn fuzz(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "{} holds only {} files", folder.display(), files.len());
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    for (file, data) in files.iter().zip(&corpus) {
        assert!(catch_unwind(AssertUnwindSafe(|| target(data))).is_ok(), "{} ends the target", file.display());
    }
    let mut random = rng::stream(&[0; 32], &format!("fuzz {name}"));
    for number in 0..CHANGED {
        let data = changed(&corpus, &mut random);
        if catch_unwind(AssertUnwindSafe(|| target(&data))).is_err() {
            let file = std::env::temp_dir().join(format!("curvefleet-fuzz-{name}-{number}"));
            std::fs::write(&file, &data).unwrap();
            panic!("the changed file {number} ends the target {name}; it is kept as {}", file.display());
        }
    }
}

/// One file of the corpus with one to eight changes.
fn changed(corpus: &[Vec<u8>], random: &mut Stream) -> Vec<u8> {
    let pick = |random: &mut Stream, n: usize| random.below(n as u64) as usize;
    let mut data = corpus[pick(random, corpus.len())].clone();
    for _ in 0..=random.below(8) {
        let at = pick(random, data.len() + 1).min(data.len().saturating_sub(1));
        match random.below(7) {
            0 if !data.is_empty() => data[at] ^= 1 << random.below(8),
            1 if !data.is_empty() => data[at] = random.below(256) as u8,
            2 if !data.is_empty() => data[at] = [0, 0xff, 0x7f, 0x80, b'\n', b'"', b',', b'9'][pick(random, 8)],
            3 => data.insert(at, random.below(256) as u8),
            4 => data.truncate(at),
            5 if !data.is_empty() => {
                let end = at + pick(random, data.len() - at + 1);
                let piece = data[at..end].to_vec();
                let to = pick(random, data.len());
                data.splice(to..to, piece);
            }
            _ => {
                let other = &corpus[pick(random, corpus.len())];
                let from = pick(random, other.len() + 1);
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
        }
    }
    data.truncate(LONGEST);
    data
}

#[test]
fn study_files() {
    fuzz("study_file", targets::study_file);
}

#[test]
fn messages() {
    fuzz("messages", targets::messages);
}

#[test]
fn data_files() {
    fuzz("import", targets::import);
}

#[test]
fn data_sets_in_the_store() {
    fuzz("data_set", targets::data_set);
}

#[test]
fn curve_parts() {
    fuzz("part", targets::part);
}
