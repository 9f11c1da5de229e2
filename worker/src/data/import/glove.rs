//! Word vectors from a GloVe text file: one word per line, then its numbers, separated by single spaces.

use std::collections::HashMap;
use std::path::Path;

use super::lines::{Lines, decoded};
use crate::data::error::{counted, quoted};
use crate::data::{DataError, SourceFile};

/// The vectors of the words that were asked for.
pub(super) struct WordVectors {
    /// How many numbers a vector has, at least 1.
    pub(super) dimension: usize,
    /// Word to vector; words that the file does not have are missing here.
    pub(super) vectors: HashMap<String, Vec<f32>>,
    /// The file.
    pub(super) source: SourceFile,
}

/// Streams the file and keeps the vectors of the words in `wanted` alone, so that a file of gigabytes needs little memory. Every
/// line's count of numbers is checked, the numbers themselves only of words that are kept. Where a word stands twice the later
/// vector wins, as in torchtext.
pub(super) fn read(path: &Path, wanted: &HashMap<String, u64>) -> Result<WordVectors, DataError> {
    let mut lines = Lines::open(path)?;
    let mut dimension = None;
    let mut vectors = HashMap::new();
    while let Some(bytes) = lines.next_bytes()? {
        let bytes = bytes.trim_ascii_end();
        if bytes.is_empty() {
            return Err(lines.error("the line is empty; expected a word and its numbers"));
        }
        let spaces = bytes.iter().filter(|&&byte| byte == b' ').count();
        let Some(expected) = dimension else {
            // word2vec and fastText begin with a line of two numbers: how many words, and the dimension.
            if spaces != 1 || !bytes.iter().all(|byte| byte.is_ascii_digit() || *byte == b' ') {
                let line = decoded(bytes).0;
                let numbers = parse(line.split(' ').skip(1)).map_err(|problem| lines.error(problem))?;
                dimension = Some(numbers.len()).filter(|&numbers| numbers > 0);
                if dimension.is_none() {
                    return Err(lines.error(format!("expected a word and its numbers, found {}", quoted(&line))));
                }
                keep(&line, numbers.len(), wanted, &mut vectors).map_err(|problem| lines.error(problem))?;
            }
            continue;
        };
        let first = bytes.split(|&byte| byte == b' ').next().unwrap_or_default();
        let is_plain = spaces == expected;
        if is_plain && std::str::from_utf8(first).is_ok_and(|word| !wanted.contains_key(word)) {
            continue;
        }
        let line = decoded(bytes).0;
        keep(&line, expected, wanted, &mut vectors).map_err(|problem| lines.error(problem))?;
    }
    let Some(dimension) = dimension else {
        return Err(lines.error("there are no word vectors in the file; expected a word and its numbers on each line"));
    };
    Ok(WordVectors { dimension, vectors, source: lines.into_source(0) })
}

/// Checks one line and keeps its vector if its word is wanted.
fn keep(
    line: &str,
    dimension: usize,
    wanted: &HashMap<String, u64>,
    vectors: &mut HashMap<String, Vec<f32>>,
) -> Result<(), String> {
    let fields: Vec<&str> = line.split(' ').collect();
    let numbers = fields.len() - 1;
    // Some files have words with spaces in them (". . .", "at name@domain.com"): then the last `dimension` fields are the vector,
    // and something before them, after the first field, is no number.
    let has_spaced_word =
        numbers > dimension && fields[1..=numbers - dimension].iter().any(|field| field.parse::<f64>().is_err());
    if numbers != dimension && !has_spaced_word {
        return Err(format!(
            "{} after the word {}; the first line has {dimension}",
            counted(numbers as u64, "number"),
            quoted(fields[0])
        ));
    }
    let word = fields[..fields.len() - dimension].join(" ");
    if wanted.contains_key(&word) {
        vectors.insert(word, parse(fields[fields.len() - dimension..].iter().copied())?);
    }
    Ok(())
}

fn parse<'a>(fields: impl Iterator<Item = &'a str>) -> Result<Vec<f32>, String> {
    let number = |(at, field): (usize, &str)| match field.parse::<f64>() {
        Ok(number) if (number as f32).is_finite() => Ok(number as f32),
        _ => Err(format!("number {} of the vector is {}; expected a finite number", at + 1, quoted(field))),
    };
    fields.enumerate().map(number).collect()
}
