//! `curvefleet analyze`: the paper's table, or the comparisons of runs, from any table of metrics.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use curvefleet_proto::study::Analysis;

use crate::compare::compare_cells;
use crate::error::Error;
use crate::read::kept::RunMaps;
use crate::read::metric_table::MetricTable;
use crate::report::{comparison_tables, paper_tables, whole_tables};
use crate::stats::paper_table::paper_table_of_cells;
use crate::table::Files;

/// The command line of `curvefleet analyze`.
#[derive(Debug, Clone, Args)]
pub struct AnalyzeOptions {
    /// Tables of metrics, Parquet or CSV, whose rows are taken together: a row per run and epoch, with this program's columns
    /// (a report's tables/metrics) or those of the paper's authors
    #[arg(required = true, value_name = "FILE")]
    pub tables: Vec<PathBuf>,
    /// Which analysis
    #[arg(long, value_enum, default_value = "sound")]
    pub preset: AnalysisPreset,
    /// Where the tables are written, as CSV and Parquet; a table of the same name there is replaced
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// sound: bootstrap resamples and random permutations
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub resamples: u32,
    /// sound: what they are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Print all tables as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Which analysis of a table of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AnalysisPreset {
    /// The paper's: least squares over rows, every row taken as independent
    Paper,
    /// That of a reviewer: runs are compared, with effect sizes, intervals and corrected tests
    Sound,
}

/// What was found.
#[derive(Debug)]
pub struct Analyzed {
    /// Rows of the tables.
    pub rows: usize,
    /// Rows that were left out since they lack a metric.
    pub left_out: usize,
    /// The tables by name, the most telling first.
    pub tables: Vec<(&'static str, Files)>,
}

/// Analyses tables of metrics, and writes what it finds into the folder of the options.
///
/// # Errors
/// If a table is none of metrics, or the folder cannot be written.
pub fn analyze(options: &AnalyzeOptions) -> Result<Analyzed, Error> {
    let table = MetricTable::read(&options.tables)?;
    let (tables, left_out) = match options.preset {
        AnalysisPreset::Paper => paper(&table)?,
        AnalysisPreset::Sound => sound(&table, options)?,
    };
    if let Some(folder) = &options.out {
        write(folder, &tables)?;
    }
    Ok(Analyzed { rows: table.rows(), left_out, tables })
}

type Tables = Vec<(&'static str, Files)>;

fn paper(table: &MetricTable) -> Result<(Tables, usize), Error> {
    let rows = table.paper_rows()?;
    let lines: Vec<_> = rows.by_model.into_iter().map(|(model, rows)| (model, paper_table_of_cells(&rows))).collect();
    let tables = vec![
        ("significance", paper_tables::significance(&lines)?),
        ("coefficients", paper_tables::coefficients(&lines)?),
    ];
    Ok((tables, rows.left_out))
}

fn sound(table: &MetricTable, options: &AnalyzeOptions) -> Result<(Tables, usize), Error> {
    let cells = table.cells()?;
    let analysis = Analysis { resamples: options.resamples, seed: options.seed, ..Analysis::default() };
    let seeds = cells.iter().map(|cell| cell.runs.len()).max().unwrap_or_default();
    let comparisons = compare_cells(&cells, &analysis, seeds, RunMaps::NoCurves);
    let epochs = cells.iter().flat_map(|cell| &cell.runs).flat_map(|run| &run.epochs);
    let left_out = epochs.filter(|epoch| epoch.metrics.is_err()).count();
    let mut tables = comparison_tables::all(&comparisons, &analysis)?;
    // Metrics are no maps.
    tables.extend(whole_tables::all(&comparisons, &analysis)?.into_iter().filter(|(name, _)| *name != "map_tests"));
    Ok((tables, left_out))
}

fn write(folder: &Path, tables: &[(&'static str, Files)]) -> Result<(), Error> {
    let failed = |path: &Path, source| Error::Output { place: path.display().to_string(), source };
    fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
    for (name, files) in tables {
        for (ending, bytes) in [("csv", &files.csv), ("parquet", &files.parquet)] {
            let path = folder.join(format!("{name}.{ending}"));
            fs::write(&path, bytes).map_err(|source| failed(&path, source))?;
        }
    }
    Ok(())
}
