//! `curvefleet analyze`: the paper's table, or comparisons of runs, from any table of metrics.

use clap::Args;
use curvefleet_analysis::analyze::{AnalysisPreset, Analyzed};
use curvefleet_analysis::stats::paper_table::CAVEAT;
use curvefleet_analysis::table::{Files, Kind};
use curvefleet_analysis::{AnalyzeOptions, analyze};

use crate::failure::Failure;
use crate::listing::{counted, print_table};
use crate::output::say;

/// The columns that are shown of the paper's table, and those of the tests of runs.
const PAPER_COLUMNS: [&str; 13] = [
    "network",
    "metric",
    "data",
    "explained_by",
    "n",
    "f",
    "df1",
    "df2",
    "p",
    "log10_p",
    "r_squared",
    "adjusted_r_squared",
    "r_squared_gain",
];
const SOUND_COLUMNS: [&str; 14] = [
    "data",
    "model",
    "metric",
    "summary",
    "conditions",
    "runs",
    "eta_squared",
    "eta_squared_low",
    "eta_squared_high",
    "omega_squared",
    "welch_f",
    "welch_p",
    "welch_log10_p",
    "kruskal_p",
];

/// Analyse any table of metrics.
#[derive(Debug, Args)]
pub struct Analyze {
    #[command(flatten)]
    options: AnalyzeOptions,
}

impl Analyze {
    /// Analyses, writes and shows.
    ///
    /// # Errors
    /// If a table is none of metrics, or the output folder cannot be written.
    pub async fn execute(self) -> Result<(), Failure> {
        let options = self.options.clone();
        let work = tokio::task::spawn_blocking(move || analyze(&options));
        let found = match work.await {
            Ok(found) => found?,
            Err(stopped) => std::panic::resume_unwind(stopped.into_panic()),
        };
        if self.options.json {
            let tables = found.tables.iter().map(|(name, files)| ((*name).to_string(), files.to_json()));
            let tables: serde_json::Map<_, _> = tables.collect();
            let (rows, left_out) = (found.rows, found.left_out);
            super::print_json(&serde_json::json!({ "rows": rows, "left_out": left_out, "tables": tables }));
            return Ok(());
        }
        self.show(&found);
        Ok(())
    }

    fn show(&self, found: &Analyzed) {
        let columns = match self.options.preset {
            AnalysisPreset::Paper => &PAPER_COLUMNS[..],
            AnalysisPreset::Sound => &SOUND_COLUMNS[..],
        };
        if let Some((_, files)) = found.tables.first() {
            show_table(files, columns);
        }
        if self.options.preset == AnalysisPreset::Paper {
            say!("\n{CAVEAT}");
        }
        let mut rows = counted(found.rows as u64, "row");
        if found.left_out > 0 {
            rows += &format!(", {} without metrics left out", found.left_out);
        }
        say!("\n{rows}");
        let names: Vec<&str> = found.tables.iter().map(|(name, _)| *name).collect();
        match &self.options.out {
            Some(folder) => say!("tables: {} in {}", names.join(", "), folder.display()),
            None => say!("all tables ({}) with all columns: --out FOLDER, or --json", names.join(", ")),
        }
    }
}

/// Shows some columns of a table, numbers with four digits, and below it the reasons for what is missing.
fn show_table(files: &Files, columns: &[&str]) {
    let place = |name: &str| files.columns.iter().position(|(other, _)| other == name);
    let shown: Vec<usize> = columns.iter().filter_map(|name| place(name)).collect();
    let headings: Vec<&str> = shown.iter().map(|place| files.columns[*place].0.as_str()).collect();
    let rows = files.rows();
    let cell = |row: &Vec<String>, place: usize| match files.columns[place].1 {
        Kind::Number => row[place].parse().map_or(String::new(), four_digits),
        Kind::Text | Kind::Count => row[place].clone(),
    };
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| shown.iter().map(|place| cell(row, *place)).collect()).collect();
    print_table(&headings, &cells);
    let Some(reason) = place("note").or_else(|| place("reason")) else { return };
    let mut reasons: Vec<&str> = rows.iter().map(|row| row[reason].as_str()).filter(|text| !text.is_empty()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    for reason in reasons {
        say!("no value: {reason}");
    }
}

fn four_digits(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e7).contains(&size) {
        return format!("{number:.3e}");
    }
    let digits = if size == 0.0 { 0 } else { (3 - size.log10().floor() as i32).max(0) as usize };
    format!("{number:.digits$}")
}
