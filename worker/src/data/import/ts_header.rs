//! The header of a `.ts` file: the tags before `@data`.

use super::lines::Lines;
use crate::data::DataError;
use crate::data::error::quoted;

/// What a header says. `None` stands for a tag that is not there.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Header {
    pub(super) problem_name: Option<String>,
    pub(super) missing: Option<bool>,
    pub(super) dimensions: Option<usize>,
    /// The length that every sequence has, where the header promises equal lengths and says which.
    pub(super) series_length: Option<usize>,
    /// Whether all sequences are promised to have one length.
    pub(super) equal_length: bool,
    /// The classes in the header's order.
    pub(super) classes: Vec<String>,
    /// The line that `@classLabel` stands on.
    pub(super) class_line: u64,
}

/// The tags read so far, each with its line and its words.
struct Tags(Vec<(String, u64, Vec<String>)>);

const KNOWN: &str =
    "@problemName, @timeStamps, @missing, @univariate, @dimensions, @equalLength, @seriesLength, @classLabel, @data";

/// Reads up to and including the line `@data`.
pub(super) fn read(lines: &mut Lines) -> Result<Header, DataError> {
    let mut header = Header::default();
    let mut seen = Tags(Vec::new());
    let mut univariate = false;
    loop {
        let Some(line) = lines.next_line()? else {
            return Err(lines.error(
                "the file ends before its line @data; expected a .ts header, then @data, then one sequence per line",
            ));
        };
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '%']) {
            continue;
        }
        let mut words = line.split_whitespace().map(str::to_string);
        let tag = words.next().unwrap_or_default().to_lowercase();
        let words: Vec<String> = words.collect();
        if !tag.starts_with('@') {
            return Err(
                lines.error(format!("expected a header line such as @problemName or @data, found {}", quoted(line)))
            );
        }
        match tag.as_str() {
            "@data" => break,
            "@problemname" => header.problem_name = words.first().cloned(),
            "@timestamps" => refuse_timestamps(lines, &words)?,
            "@missing" => header.missing = Some(flag(lines, "@missing", &words)?),
            "@univariate" => univariate = flag(lines, "@univariate", &words)?,
            "@dimension" | "@dimensions" => header.dimensions = Some(count(lines, "@dimensions", &words)?),
            "@equallength" => header.equal_length = flag(lines, "@equalLength", &words)?,
            "@serieslength" => header.series_length = Some(count(lines, "@seriesLength", &words)?),
            "@classlabel" => {
                header.classes = classes(lines, words.clone())?;
                header.class_line = lines.number();
            }
            "@targetlabel" => refuse_targets(lines, &words)?,
            _ => return Err(lines.error(format!("unknown header line {}; expected one of {KNOWN}", quoted(&tag)))),
        }
        seen.note(lines, tag, words)?;
    }
    if header.classes.is_empty() {
        return Err(
            lines.error("the header has no line @classLabel; expected one such as `@classLabel true walking running`")
        );
    }
    if univariate && header.dimensions.is_none_or(|dimensions| dimensions == 1) {
        header.dimensions = Some(1);
    } else if univariate {
        return Err(lines.error("the header says @univariate true, but @dimensions is not 1"));
    }
    if !header.equal_length {
        header.series_length = None;
    }
    Ok(header)
}

impl Tags {
    fn note(&mut self, lines: &Lines, tag: String, words: Vec<String>) -> Result<(), DataError> {
        match self.0.iter().find(|(seen, ..)| *seen == tag) {
            Some((_, first, before)) if *before != words => {
                Err(lines.error(format!("{tag} stands here a second time and differs from line {first}")))
            }
            Some((_, first, _)) => Err(lines.error(format!("{tag} stands here a second time, after line {first}"))),
            None => {
                self.0.push((tag, lines.number(), words));
                Ok(())
            }
        }
    }
}

fn flag(lines: &Lines, tag: &str, words: &[String]) -> Result<bool, DataError> {
    match words.iter().map(|word| word.to_lowercase()).collect::<Vec<_>>().as_slice() {
        [word] if word == "true" => Ok(true),
        [word] if word == "false" => Ok(false),
        _ => Err(lines.error(format!("{tag} is followed by {}; expected true or false", quoted(&words.join(" "))))),
    }
}

fn count(lines: &Lines, tag: &str, words: &[String]) -> Result<usize, DataError> {
    let number = match words {
        [word] => word.parse().ok().filter(|&number: &usize| number > 0),
        _ => None,
    };
    number.ok_or_else(|| {
        lines.error(format!("{tag} is followed by {}; expected one whole number above 0", quoted(&words.join(" "))))
    })
}

fn refuse_timestamps(lines: &Lines, words: &[String]) -> Result<(), DataError> {
    if flag(lines, "@timeStamps", words)? {
        return Err(lines.error(
            "the sequences have time stamps, which are not read; resample them to regular steps and write @timeStamps false",
        ));
    }
    Ok(())
}

fn refuse_targets(lines: &Lines, words: &[String]) -> Result<(), DataError> {
    if flag(lines, "@targetLabel", words)? {
        return Err(lines
            .error("the file holds a regression problem (@targetLabel true); expected classes (@classLabel true …)"));
    }
    Ok(())
}

fn classes(lines: &Lines, mut words: Vec<String>) -> Result<Vec<String>, DataError> {
    let has_classes = flag(lines, "@classLabel", words.get(..1).unwrap_or_default())?;
    words.remove(0);
    if !has_classes {
        return Err(lines.error("@classLabel is false, so the sequences have no classes to tell apart; expected `@classLabel true` and the classes"));
    }
    if words.is_empty() {
        return Err(lines.error("@classLabel true is followed by no class; expected the names of the classes"));
    }
    for (at, class) in words.iter().enumerate() {
        if words[..at].contains(class) {
            return Err(lines.error(format!("@classLabel names the class {} twice", quoted(class))));
        }
    }
    Ok(words)
}
