//! Why there is no report.

/// Why a report was not written. Problems of single parts or runs are no errors: they stand in the report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store has no study of this name.
    #[error("there is no study `{study}` in the store {store}; {known}")]
    UnknownStudy {
        /// What was asked for.
        study: String,
        /// The store's URL.
        store: String,
        /// Which studies it has, in words.
        known: String,
    },
    /// Studies that say nothing about one another.
    #[error("{0}")]
    Incomparable(String),
    /// The report's name is no folder name.
    #[error("the report's name `{0}` may hold letters, digits, `-`, `_` and `.` alone, such as 2026-01-31T12-00-00Z")]
    Time(String),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] curvefleet_proto::store::Error),
    /// Nothing has been committed yet.
    #[error("the study `{0}` has no manifest yet, so nothing of it is done; start a worker, or wait for the first run")]
    NothingDone(String),
    /// The stored study file is damaged.
    #[error("the stored study file {place} cannot be read: {reason}")]
    StudyFile {
        /// Where it lies.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The manifest is damaged.
    #[error(
        "the manifest {place} cannot be read: {reason}; it is written anew when the coordinator commits the next run"
    )]
    Manifest {
        /// Where it lies.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A table of metrics cannot be analysed.
    #[error("the table {place} {reason}")]
    MetricTable {
        /// The file.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Files of curves do not make a study.
    #[error("{0}")]
    Import(String),
    /// A file of curves cannot be read.
    #[error("{place} {reason}")]
    CurveFile {
        /// The file.
        place: String,
        /// What is wrong with it, with the line and column.
        reason: String,
    },
    /// A file could not be written.
    #[error("{place} cannot be written: {source}")]
    Output {
        /// The file.
        place: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The store failed.
    #[error("the store failed at {place}: {source}")]
    Objects {
        /// Which object.
        place: String,
        /// What the store says.
        source: object_store::Error,
    },
    /// A figure could not be drawn: a mistake in this program.
    #[error("the figure {figure} could not be drawn: {reason}")]
    Figure {
        /// Which figure.
        figure: String,
        /// What the renderer says.
        reason: String,
    },
    /// A table could not be written: a mistake in this program.
    #[error("the table {table} could not be written: {reason}")]
    Table {
        /// Which table.
        table: String,
        /// What the writer says.
        reason: String,
    },
}

impl Error {
    /// Whether the one who asked can put it right by asking otherwise (exit code 2).
    pub fn is_user_error(&self) -> bool {
        matches!(
            self,
            Error::UnknownStudy { .. }
                | Error::Incomparable(_)
                | Error::Time(_)
                | Error::Store(_)
                | Error::MetricTable { .. }
                | Error::Import(_)
                | Error::CurveFile { .. }
        )
    }
}
