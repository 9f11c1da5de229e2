//! The one sentence that a wrong study file gets, with the line where it can be told.

use toml::de::{DeTable, DeValue};

/// Why a study file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct Error {
    /// The line, from 1, where one is to blame.
    pub line: Option<usize>,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// One step down into a TOML document.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    /// The value of a key.
    Key(&'a str),
    /// An element of an array.
    Index(usize),
}

impl Error {
    pub(super) fn new(line: Option<usize>, message: impl Into<String>) -> Error {
        Error { line, message: message.into() }
    }

    pub(super) fn from_toml(text: &str, error: &toml::de::Error) -> Error {
        let line = error.span().map(|span| line_of(text, span.start));
        Error { line, message: error.message().trim().replace('\n', "; ") }
    }

    /// An error about the value at `path`; names the line of the deepest part of the path that the text has.
    pub(super) fn at(text: &str, path: &[Step<'_>], message: impl Into<String>) -> Error {
        Error { line: find(text, path).map(|offset| line_of(text, offset)), message: message.into() }
    }
}

/// The byte offset of the deepest part of `path` that the document has; `None` where it has not even the first.
fn find(text: &str, path: &[Step<'_>]) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let (first, rest) = path.split_first()?;
    let Step::Key(key) = *first else { return None };
    let (found_key, mut value) = root.get_ref().get_key_value(key)?;
    let mut offset = found_key.span().start;
    for step in rest {
        let next = match (*step, value.get_ref()) {
            (Step::Key(key), DeValue::Table(table)) => {
                table.get_key_value(key).map(|(key, value)| (key.span().start, value))
            }
            (Step::Index(index), DeValue::Array(array)) => array.get(index).map(|value| (value.span().start, value)),
            _ => None,
        };
        let Some((next_offset, next_value)) = next else { break };
        (offset, value) = (next_offset, next_value);
    }
    Some(offset)
}

/// The line, from 1, of a byte offset.
fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}
