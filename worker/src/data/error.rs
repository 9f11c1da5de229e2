//! What can be wrong with data: a few kinds, told apart by what the user can do about them.

use std::path::{Path, PathBuf};

/// Why data could not be imported, stored, read back or prepared. Every message is one sentence that names the
/// place and says what was expected there.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file could not be opened or read at all.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file as it was asked for.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// One line of an input file is not what its format asks for.
    #[error("{file}, line {line}: {problem}")]
    Line {
        /// The file's name.
        file: String,
        /// The line's number, counted from 1.
        line: u64,
        /// What stands there and what was expected.
        problem: String,
    },
    /// An input file as a whole is not what its format asks for.
    #[error("{file}: {problem}")]
    File {
        /// The file's name.
        file: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// The keys of a study file's `[[data]]` do not go together, or not with what its files hold.
    #[error("the data format `{format}` {problem}")]
    Settings {
        /// The format, as study files spell it.
        format: &'static str,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// The study asks for something that this data cannot give; the study file has to change.
    #[error("data set \"{dataset}\": {problem}")]
    Request {
        /// The data set's name in the study.
        dataset: String,
        /// What was asked for and what there is.
        problem: String,
    },
    /// The bytes are not a canonical data set, or not an undamaged one.
    #[error("this is not a readable curvefleet data set: {0}")]
    Canonical(String),
}

impl DataError {
    /// An error at `line` (from 1) of the file at `path`.
    pub(crate) fn line(path: &Path, line: u64, problem: impl Into<String>) -> Self {
        Self::Line { file: file_name(path), line, problem: problem.into() }
    }

    /// An error about the file at `path` as a whole.
    pub(crate) fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { file: file_name(path), problem: problem.into() }
    }

    /// An error about what the study asks of the data set `dataset`.
    pub(crate) fn request(dataset: &str, problem: impl Into<String>) -> Self {
        Self::Request { dataset: dataset.to_string(), problem: problem.into() }
    }
}

/// The last part of a path: what stands in messages and metadata, so that neither depends on where a user
/// keeps the files.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// A piece of input as it can stand in a message: in double quotes, escaped, and cut after 40 characters.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if text.chars().count() > SHOWN { "…" } else { "" };
    format!("\"{}{more}\"", shown.escape_debug())
}

/// `1 value`, `2 values`, `2 classes`: a count with its noun.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        _ if noun.ends_with('s') => format!("{n} {noun}es"),
        _ => format!("{n} {noun}s"),
    }
}
