//! The page's tables. Long ones are cut with a sentence that says so; the files have every row.

use maud::{Markup, html};

use super::headline::ACCURACY;
use super::page::plural;
use super::page_numbers::{NONE, count, fixed, mean_sd, p_value, statistic};
use crate::aggregate::{Quantity, by_epoch, groups, test_score};
use crate::curve::metrics::Metric;
use crate::read::results::{Cell, Results};
use crate::stats::paper_table::Line;

/// Rows of a list on the page at most.
pub(super) const MOST_ROWS: usize = 200;
/// Places of the other scores among `SCORES`.
const LOSS: usize = 0;
const PRECISION: usize = 2;
const RECALL: usize = 3;
const F1: usize = 4;

/// Test scores and curve metrics after the last epoch, one row per condition and labels.
pub(super) fn performance(results: &Results) -> Markup {
    html! {
        p {

            "Scores on the test samples and metrics of the probe curve after the last epoch: mean ± standard deviation over runs. "
            "A score that some runs do not have (0/0) is averaged over the others; the file has every count."
        }
        @for group in groups(results) {
            div class="scroll" { table {
                caption { (group.data) ", " (group.model) }
                thead { tr {
                    th { "Condition" } th { "Labels" } th class="number" { "Runs" }
                    th class="number" { "Test accuracy" } th class="number" { "Test loss" } th class="number" { "Precision" }
                    th class="number" { "Recall" } th class="number" { "F1" }
                    th class="number" { "Probe max" } th class="number" { "Probe end − start" }
                } }
                tbody {
                    @for condition in &group.conditions {
                        @for cell in [condition.truth, condition.control].into_iter().flatten() { (performance_row(cell)) }
                    }
                }
            } }
        }
    }
}

fn performance_row(cell: &Cell) -> Markup {
    let last = |metric| by_epoch(&[cell], Quantity::Metric(metric)).last().copied().flatten();
    let key = &cell.planned.key;
    html! {
        tr class=[key.shuffled.then_some("control")] {
            td { (key.condition) } td { (key.labels()) }
            td class="number" { (cell.runs.len()) @if cell.runs.len() != cell.planned.runs { " of " (cell.planned.runs) } }
            @for score in [ACCURACY, LOSS, PRECISION, RECALL, F1] {
                td class="number" { (mean_sd(test_score(&[cell], score))) }
            }
            td class="number" { (mean_sd(last(Metric::Max))) }
            td class="number" { (mean_sd(last(Metric::EndMinusStart))) }
        }
    }
}

/// The paper's table of one network.
pub(super) fn significance(lines: &[Line]) -> Markup {
    html! {
        div class="scroll" { table {
            thead { tr {
                th { "Metric" } th { "Data" } th { "Explained by" } th class="number" { "n" }
                th class="number" { "F" } th class="number" { "df" } th class="number" { "p" }
                th class="number" { "R²" } th class="number" { "adj. R²" } th class="number" { "gain in R²" } th { "Note" }
            } }
            tbody {
                @for line in lines {
                    tr {
                        td { (line.metric.name()) }
                        td { (line.source.as_deref().unwrap_or("all")) }
                        td { (line.model.name()) }
                        td class="number" { (count(line.n)) }
                        td class="number" { (statistic(line.test.map(|test| test.f))) }
                        td class="number" {
                            @match &line.test { Some(test) => { (test.df1) ", " (count(test.df2)) } None => { (NONE) } }
                        }
                        td class="number" { (p_value(line.test.as_ref().map(|test| test.p))) }
                        td class="number" { (fixed(line.r_squared, 3)) }
                        td class="number" { (fixed(line.adjusted_r_squared, 3)) }
                        td class="number" { (fixed(line.r_squared_gain, 3)) }
                        td class="soft" { (line.note.as_deref().unwrap_or_default()) }
                    }
                }
            }
        } }
    }
}

/// What is not in the report: cells with fewer runs than planned, missing runs and excluded epochs, with reasons.
pub(super) fn missing(results: &Results) -> Markup {
    html! {
        (short_cells(results))
        (missing_runs(results))
        (excluded_epochs(results))
        p class="small soft" {
            "As a file: " a href="tables/missing.csv" { "CSV" } " · " a href="tables/missing.parquet" { "Parquet" }
        }
    }
}

fn short_cells(results: &Results) -> Markup {
    let short: Vec<&Cell> = results.cells.iter().filter(|cell| cell.runs.len() < cell.planned.runs).collect();
    let title =
        format!("Fewer runs than planned in {} of {} combinations", count(short.len()), count(results.cells.len()));
    html! {
        @if !short.is_empty() { details {
            summary { (title) }
            table {
                thead { tr {
                    th { "Data" } th { "Condition" } th { "Labels" } th { "Network" }
                    th class="number" { "In the report" } th class="number" { "Planned" }
                } }
                tbody { @for cell in short.iter().take(MOST_ROWS) { tr {
                    td { (cell.planned.key.data) } td { (cell.planned.key.condition) }
                    td { (cell.planned.key.labels()) } td { (cell.planned.key.model) }
                    td class="number" { (cell.runs.len()) } td class="number" { (cell.planned.runs) }
                } } }
            }
            (cut(short.len()))
        } }
    }
}

fn missing_runs(results: &Results) -> Markup {
    let missing = &results.missing;
    let title =
        format!("{} {} missing although tried", count(missing.len()), plural(missing.len(), "run is", "runs are"));
    html! {
        @if !missing.is_empty() { details open {
            summary { (title) }
            table {
                thead { tr {
                    th { "Run" } th { "Data" } th { "Condition" } th { "Labels" } th { "Network" }
                    th class="number" { "Seed" } th { "Why" }
                } }
                tbody { @for run in missing.iter().take(MOST_ROWS) { tr {
                    td { code { (short_id(&run.run)) } }
                    td { (run.key.data) } td { (run.key.condition) } td { (run.key.labels()) } td { (run.key.model) }
                    td class="number" { (run.seed) }
                    td { @if run.failed { "failed: " } (run.reason) }
                } } }
            }
            (cut(missing.len()))
        } }
    }
}

fn excluded_epochs(results: &Results) -> Markup {
    let excluded: Vec<_> = results.excluded().collect();
    let are = plural(excluded.len(), "epoch is", "epochs are");
    let title = format!("{} {are} excluded, for want of a curve with metrics", count(excluded.len()));
    html! {
        @if !excluded.is_empty() { details {
            summary { (title) }
            table {
                thead { tr {
                    th { "Run" } th { "Data" } th { "Condition" } th { "Labels" }
                    th class="number" { "Seed" } th class="number" { "Epoch" } th { "Why" }
                } }
                tbody { @for (cell, run, epoch, reason) in excluded.iter().take(MOST_ROWS) { tr {
                    td { code { (short_id(&run.run)) } }
                    td { (cell.planned.key.data) } td { (cell.planned.key.condition) } td { (cell.planned.key.labels()) }
                    td class="number" { (run.seed) } td class="number" { (epoch) } td { (reason) }
                } } }
            }
            (cut(excluded.len()))
        } }
    }
}

/// The sentence below a list that is cut.
pub(super) fn cut(rows: usize) -> Markup {
    html! {

        @if rows > MOST_ROWS { p class="small soft" { "The first " (MOST_ROWS) " of " (count(rows)) " are shown; the file has all." } }
    }
}

/// The first digits of a run's id, enough to tell runs apart by eye.
fn short_id(run: &str) -> &str {
    run.get(..12).unwrap_or(run)
}
