//! Sentences with labels, in four formats, turned into sequences of word vectors.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::collect::{Collector, Item, Place};
use super::glove::{self, WordVectors};
use super::lines::Lines;
use super::tokenize::basic_english;
use super::{Job, format_name, table};
use crate::data::error::{counted, file_name, quoted};
use crate::data::{DataError, Dataset};
use curvefleet_proto::study::DataFormat;

/// One labelled sentence as its file has it.
pub(super) struct Sentence {
    pub(super) place: Place,
    pub(super) label: String,
    pub(super) text: String,
}

/// Reads the files of a job as one data set: each sentence is a sequence of its tokens' vectors, unknown words being zero.
pub(super) fn read(job: &Job) -> Result<Dataset, DataError> {
    let mut collector = Collector::new(job.source);
    let mut sentences = Vec::new();
    for path in &job.files {
        let before = sentences.len();
        read_file(job, path, &mut sentences, &mut collector)?;
        if sentences.len() == before {
            return Err(DataError::file(path, "there is not one sentence in the file"));
        }
    }
    let Some(glove) = &job.glove else {
        let format = format_name(job.source.format);
        return Err(DataError::Settings {
            format,
            problem: "needs `glove`, the name of a GloVe text file".to_string(),
        });
    };
    let tokens: Vec<Vec<String>> = sentences.iter().map(|sentence| basic_english(&sentence.text)).collect();
    let mut occurrences: HashMap<String, u64> = HashMap::new();
    for token in tokens.iter().flatten() {
        match occurrences.get_mut(token) {
            Some(count) => *count += 1,
            None => drop(occurrences.insert(token.clone(), 1)),
        }
    }
    let words = glove::read(glove, &occurrences)?;
    if words.vectors.is_empty() {
        return Err(DataError::file(
            glove,
            "it has a vector for none of the words in the sentences; expected lower-case words of the same language",
        ));
    }
    collector.notes.push(coverage(&occurrences, &words));
    for (sentence, tokens) in sentences.into_iter().zip(tokens) {
        collector.add(vectorise(sentence, &tokens, &words)?, words.dimension)?;
    }
    collector.options.insert("tokenizer".to_string(), "basic_english".to_string());
    let features = (1..=words.dimension).map(|feature| format!("glove_{feature}")).collect();
    collector.add_source(words.source);
    let name = job.files.first().map(|path| file_name(&path.with_extension(""))).unwrap_or_default();
    collector.finish(name, features, None)
}

fn vectorise(sentence: Sentence, tokens: &[String], words: &WordVectors) -> Result<Item, DataError> {
    if tokens.is_empty() {
        return Err(sentence.place.error(format!("the sentence {} has no words", quoted(&sentence.text))));
    }
    let steps =
        u32::try_from(tokens.len()).map_err(|_| sentence.place.error("the sentence has more than 2^32 words"))?;
    let mut values = vec![0.0; tokens.len() * words.dimension];
    for (step, token) in values.chunks_exact_mut(words.dimension).zip(tokens) {
        if let Some(vector) = words.vectors.get(token) {
            step.copy_from_slice(vector);
        }
    }
    Ok(Item { place: sentence.place, class: sentence.label, steps, values, text: Some(sentence.text) })
}

/// How much of the text has vectors.
fn coverage(occurrences: &HashMap<String, u64>, words: &WordVectors) -> String {
    let all: u64 = occurrences.values().sum();
    let known: u64 =
        occurrences.iter().filter(|(word, _)| words.vectors.contains_key(*word)).map(|(_, count)| count).sum();
    format!(
        "{} of {} different words have a vector, and {known} of {all} words in the text ({:.1}%); the others are zero",
        words.vectors.len(),
        occurrences.len(),
        100.0 * known as f64 / all as f64
    )
}

fn read_file(
    job: &Job,
    path: &Path,
    sentences: &mut Vec<Sentence>,
    collector: &mut Collector,
) -> Result<(), DataError> {
    let before = sentences.len();
    let (source, latin1) = match job.source.format {
        DataFormat::Csv => table::read_csv(path, &table::Columns::of(job.source), sentences)?,
        format => {
            let columns = table::Columns::of(job.source);
            let shared: Arc<Path> = path.into();
            let mut lines = Lines::open(path)?;
            while let Some(line) = lines.next_line()? {
                if line.trim().is_empty() {
                    continue;
                }
                let parsed = match format {
                    DataFormat::Trec => parse_trec(&line),
                    DataFormat::JsonLines => table::parse_json(&line, &columns),
                    _ => parse_sentence_label(&line),
                };
                let (label, text) = parsed.map_err(|problem| lines.error(problem))?;
                sentences.push(Sentence { place: Place::Line(shared.clone(), lines.number()), label, text });
            }
            let latin1 = lines.latin1_lines();
            (lines.into_source(0), latin1)
        }
    };
    if latin1 > 0 {
        collector.notes.push(format!("{}: {} not in UTF-8, read as Latin-1", file_name(path), counted(latin1, "line")));
    }
    collector.add_source(crate::data::SourceFile { sequences: (sentences.len() - before) as u64, ..source });
    Ok(())
}

/// `sentence;label`: the label stands after the last semicolon.
fn parse_sentence_label(line: &str) -> Result<(String, String), String> {
    let Some((text, label)) = line.rsplit_once(';') else {
        return Err(format!("expected `sentence;label`, found {} without a semicolon", quoted(line)));
    };
    Ok((label.trim().to_string(), text.trim().to_string()))
}

/// TREC's `LABEL:fine sentence`; the coarse label before the colon is the class.
fn parse_trec(line: &str) -> Result<(String, String), String> {
    let expected = || format!("expected `LABEL:fine sentence`, found {}", quoted(line));
    let (labels, text) = line.trim().split_once(' ').ok_or_else(expected)?;
    let (coarse, _fine) = labels.split_once(':').ok_or_else(expected)?;
    Ok((coarse.to_string(), text.trim().to_string()))
}
