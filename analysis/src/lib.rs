//! From curves to conclusions: this crate reads the results of a study from its folder in the object store and writes its report.
//! The folder is all it needs (study file, manifest, curve parts); no coordinator has to be alive. Parts are checked against the
//! manifest, every probe curve is smoothed and reduced to the paper's metrics, the metrics are aggregated and tested, and the
//! figures, tables and one HTML page go back into the study's folder. The same input gives the same bytes.
//!
//! - [`options`]: the command line of `curvefleet report` and of this crate's own program, and [`run`]
//! - [`read`]: from the store to [`read::results::Results`], with what is missing and why
//! - [`curve`]: one curve: R's `smooth()` and the metrics
//! - [`stats`]: comparisons of groups of runs, effect sizes, resampling, the paper's significance table
//! - [`aggregate`]: means over runs, for tables and figures
//! - [`compare`]: what the study's `[analysis]` part asks, answered run by run
//! - [`figure`]: learning-curve maps, trajectories and ribbons as SVG and PNG
//! - [`table`]: one table as CSV, Parquet and HTML
//! - [`report`]: the report folder, and [`write_report`]
//! - [`import`]: curves that other programs wrote, as a study
//! - [`analyze`](mod@analyze): the same comparisons and the paper's table from any table of metrics
//! - [`error`]: why there is no report

pub mod aggregate;
pub mod analyze;
pub mod compare;
pub mod curve;
pub mod error;
pub mod figure;
pub mod import;
pub mod options;
pub mod read;
pub mod report;
pub mod stats;
pub mod table;

pub use analyze::{AnalyzeOptions, analyze};
pub use error::Error;
pub use import::{ImportOptions, import_curves};
pub use options::{Options, run};
pub use report::{ReportOptions, ReportSummary, write_report};
