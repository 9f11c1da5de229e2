//! The report of a study: a folder in the store with one page, the figures and the tables.
//!
//! - [`tables`]: the tables as files, with [`comparison_tables`] and [`whole_tables`] for those of comparisons and [`paper_tables`] for
//!   the paper's
//! - [`headline`]: the study's result in a few lines
//! - [`page`]: the page, with [`page_numbers`] for how numbers are written, `style.css` for how it looks and `script.js` for what it
//!   answers to a pointer; [`page_figures`]: the figures in it
//! - [`page_tables`] and [`page_settings`]: what was run and with which settings; [`page_comparisons`], [`page_controls`],
//!   [`page_maps`] and [`page_models`]: the comparisons; [`page_methods`]: the paragraph for a paper; [`page_notes`]: why cells are empty
//! - [`citation`]: what to cite, as BibTeX
//! - `upload`: a table that is too large for memory, on its way into the store
//! - [`watch`]: a report that is renewed while runs arrive
//! - [`time`]: report names from points in time

pub mod citation;
pub mod comparison_tables;
pub mod headline;
pub mod page;
pub mod page_comparisons;
pub mod page_controls;
pub mod page_figures;
pub mod page_maps;
pub mod page_methods;
pub mod page_models;
pub mod page_notes;
pub mod page_numbers;
pub mod page_settings;
pub mod page_tables;
pub mod paper_tables;
pub mod tables;
pub mod time;
mod upload;
pub mod watch;
pub mod whole_tables;

use std::sync::Arc;

use curvefleet_proto::artifact::report_folder;
use curvefleet_proto::store::Store;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use rayon::prelude::*;
use serde::Serialize;

use crate::aggregate::groups;
use crate::compare::{Comparisons, compare};
use crate::error::Error;
use crate::figure::{self, Figure};
use crate::read::results::{Results, read_results};
use crate::read::together::together;
use crate::stats::paper_table::Line;
use upload::Upload;
use watch::Renewal;

/// How a report is written.
#[derive(Debug, Clone)]
pub struct ReportOptions {
    /// The report's folder name, such as `2026-01-31T12-00-00Z`; see [`time::folder_name`]. An existing report of this name is replaced.
    pub time: String,
}

/// What was written, and what it says.
#[derive(Debug, Clone, Serialize)]
pub struct ReportSummary {
    /// The study.
    pub study: String,
    /// The report's folder, relative to the store's root.
    pub folder: String,
    /// Where its page lies, for a person: a path or a URL.
    pub location: String,
    /// Runs planned.
    pub planned: usize,
    /// Runs in the report.
    pub done: usize,
    /// Runs that the coordinator gave up.
    pub failed: usize,
    /// Runs that are done but whose curves could not be read.
    pub unreadable: usize,
    /// Runs not trained yet.
    pub pending: usize,
    /// Epochs of runs in the report whose curve has no metrics.
    pub excluded_epochs: usize,
    /// The result in a few lines.
    pub headline: Vec<String>,
}

/// Everything computed from the results: what the page shows.
struct Contents {
    results: Arc<Results>,
    figures: Vec<Vec<Figure>>,
    /// The paper's table for each model.
    significance: Vec<(String, Vec<Line>)>,
    comparisons: Comparisons,
    headline: Vec<String>,
}

/// The page's file.
const PAGE: &str = "index.html";

/// A file of the report: its place in the folder, and its bytes.
type File = (String, Vec<u8>);

/// Reads the results of a study and writes its report into the store.
///
/// # Errors
/// If the study file or the manifest cannot be read, the store cannot be written, or the report's name is no folder name.
pub async fn write_report(store: &Store, study: &str, options: ReportOptions) -> Result<ReportSummary, Error> {
    write_joint_report(store, &[study.to_string()], options).await
}

/// Reads the results of one or more studies and writes one report about all of them, into the folder of the first.
///
/// # Errors
/// As [`write_report`], and if the studies cannot be compared.
pub async fn write_joint_report(
    store: &Store,
    studies: &[String],
    options: ReportOptions,
) -> Result<ReportSummary, Error> {
    Ok(write(store, studies, &options.time, None).await?.summary)
}

/// What was written.
struct Written {
    summary: ReportSummary,
    /// The page as it is when it is not renewed any more.
    settled: String,
}

/// Writes a report. `renewal` says on the page that it is renewed.
async fn write(store: &Store, studies: &[String], name: &str, renewal: Option<Renewal>) -> Result<Written, Error> {
    if !time::is_folder_name(name) {
        return Err(Error::Time(name.to_string()));
    }
    let mut all = Vec::with_capacity(studies.len());
    for study in studies {
        all.push(read_results(store, study).await?);
    }
    let results = Arc::new(together(all)?);
    let folder = report_folder(&studies[0], name);
    let location = store.locate(&format!("{folder}/{PAGE}"));
    let name = name.to_string();
    let metrics = write_metrics(store, folder.clone(), results.clone());
    // Drawing and compressing take seconds; the caller's other tasks go on meanwhile.
    let work = tokio::task::spawn_blocking(move || -> Result<(Vec<File>, Written), Error> {
        let contents = compute(results);
        let mut files = files(&contents, &name)?;
        let settled = page::page(&contents, &name, None);
        let page = match &renewal {
            Some(renewal) => page::page(&contents, &name, Some(renewal)),
            None => settled.clone(),
        };
        // Last, so that a page never points to files that are not there yet.
        files.push((PAGE.to_string(), page.into_bytes()));
        Ok((files, Written { summary: summary(&contents, folder, location), settled }))
    });
    let (work, metrics) = futures::join!(work, metrics);
    let (files, written) = work.unwrap_or_else(|stopped| std::panic::resume_unwind(stopped.into_panic()))?;
    metrics?;
    for (name, bytes) in files {
        put(store, &format!("{}/{name}", written.summary.folder), bytes).await?;
    }
    Ok(written)
}

/// Writes the table of metrics into the report's folder.
async fn write_metrics(store: &Store, folder: String, results: Arc<Results>) -> Result<(), Error> {
    let key = |ending: &str| format!("{folder}/tables/{}.{ending}", tables::METRICS);
    let (csv_key, parquet_key) = (key("csv"), key("parquet"));
    let (csv, parquet) = (Upload::begin(store, &csv_key).await?, Upload::begin(store, &parquet_key).await?);
    let work = tokio::task::spawn_blocking(move || tables::write_metrics(&results, csv, parquet));
    let (csv, parquet) = work.await.unwrap_or_else(|stopped| std::panic::resume_unwind(stopped.into_panic()))?;
    for (upload, key) in [(csv, csv_key), (parquet, parquet_key)] {
        upload.complete().await.map_err(|source| Error::Objects { place: store.locate(&key), source })?;
    }
    Ok(())
}

/// Puts an object in one piece, in the place of what may be there.
async fn put(store: &Store, key: &str, bytes: Vec<u8>) -> Result<(), Error> {
    let put = store.objects().put(&Path::from(key), bytes.into()).await;
    put.map_err(|source| Error::Objects { place: store.locate(key), source })?;
    Ok(())
}

fn compute(results: Arc<Results>) -> Contents {
    let groups = groups(&results);
    let headline = headline::headline(&results, &groups);
    let significance = paper_tables::of_results(&results);
    let comparisons = compare(&results);
    let figures = groups.par_iter().map(|group| figure::draw(group, Some(&comparisons))).collect();
    Contents { figures, headline, significance, comparisons, results }
}

/// The report's files beside the page.
fn files(contents: &Contents, time: &str) -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    let mut tables = tables::all(&contents.results, &contents.significance)?;
    tables.extend(comparison_tables::all(&contents.comparisons, &contents.results.stored.study.analysis)?);
    tables.extend(whole_tables::all(&contents.comparisons, &contents.results.stored.study.analysis)?);
    for (name, table) in tables {
        files.push((format!("tables/{name}.csv"), table.csv));
        files.push((format!("tables/{name}.parquet"), table.parquet));
    }
    let figures: Vec<&Figure> = contents.figures.iter().flatten().collect();
    let rendered: Vec<Rendered> = figures.par_iter().map(|figure| render(figure)).collect::<Result<_, Error>>()?;
    for (figure, Rendered { png, pdf }) in figures.into_iter().zip(rendered) {
        files.push((format!("figures/{}.svg", figure.name), figure.svg.clone().into_bytes()));
        files.push((format!("figures/{}.pdf", figure.name), pdf));
        files.push((format!("figures/{}.png", figure.name), png));
    }
    files.push((citation::FILE.to_string(), citation::bibtex(contents, time).into_bytes()));
    Ok(files)
}

/// A figure in the forms that are not SVG.
struct Rendered {
    png: Vec<u8>,
    pdf: Vec<u8>,
}

fn render(figure: &Figure) -> Result<Rendered, Error> {
    let failed = |reason| Error::Figure { figure: figure.name.clone(), reason };
    let tree = figure::parsed::parse(&figure.svg).map_err(failed)?;
    let png = figure::png::render(&tree).map_err(failed)?;
    let pdf = figure::pdf::render(&tree, &figure.title).map_err(failed)?;
    Ok(Rendered { png, pdf })
}

fn summary(contents: &Contents, folder: String, location: String) -> ReportSummary {
    let results = &contents.results;
    let failed = results.missing.iter().filter(|missing| missing.failed).count();
    ReportSummary {
        study: results.stored.study.name.clone(),
        folder,
        location,
        planned: results.planned(),
        done: results.done(),
        failed,
        unreadable: results.missing.len() - failed,
        pending: results.pending,
        excluded_epochs: results.excluded().count(),
        headline: contents.headline.clone(),
    }
}
