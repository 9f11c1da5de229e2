//! The progress of a study: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use curvefleet_proto::v1::StudyStatus;
use indicatif::{ProgressBar, ProgressStyle};

use crate::listing;

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// Shows how a study gets on.
pub struct Progress {
    bar: Option<ProgressBar>,
    printed: Option<Instant>,
}

impl Progress {
    /// On a terminal, a bar; else lines.
    pub fn new(runs: u64) -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress { bar: None, printed: None };
        }
        let bar = ProgressBar::new(runs);
        let style = ProgressStyle::with_template("{spinner} [{bar:32}] {pos}/{len} runs  {elapsed}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─"));
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress { bar: Some(bar), printed: None }
    }

    /// Shows a status.
    pub fn show(&mut self, status: &StudyStatus) {
        let Some(runs) = &status.runs else { return };
        let details = details(status);
        if let Some(bar) = &self.bar {
            bar.set_length(runs.planned);
            bar.set_position(runs.done);
            bar.set_message(details);
        } else if self.printed.is_none_or(|printed| printed.elapsed() >= LINE_EVERY) {
            eprintln!("{}/{} runs  {details}", runs.done, runs.planned);
            self.printed = Some(Instant::now());
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Rate, time left and failures.
fn details(status: &StudyStatus) -> String {
    let mut parts = Vec::new();
    if status.epochs_per_second > 0.0 {
        parts.push(format!("{:.1} epochs/s", status.epochs_per_second));
        let left = status.epochs_left as f64 / status.epochs_per_second;
        if let Ok(left) = Duration::try_from_secs_f64(left) {
            parts.push(format!("{} left", listing::duration(left)));
        }
    }
    match status.runs.as_ref().map_or(0, |runs| runs.failed) {
        0 => {}
        failed => parts.push(format!("{failed} failed")),
    }
    parts.join("  ")
}
