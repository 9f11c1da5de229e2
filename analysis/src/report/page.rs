//! The report's page: one HTML file with its style and figures inside, so that it opens anywhere and offline.
//! A small script shows values under the pointer; where scripts are off, the page is a still one.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::page_numbers::count;
use super::watch::Renewal;
use super::{
    Contents, page_comparisons, page_controls, page_figures, page_maps, page_methods, page_models, page_settings,
    page_tables,
};
use crate::stats::paper_table::CAVEAT;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// A page is not loaded again faster than a person can read a line of it.
const LEAST_RELOAD_SECONDS: u64 = 5;
/// Nothing is fetched from anywhere: what the page shows is inside it.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// The page as HTML. `time` is the report's name; `renewal` says that the page is written again while runs arrive.
pub(super) fn page(contents: &Contents, time: &str, renewal: Option<&Renewal>) -> String {
    let study = &contents.results.stored.study;
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (study.name) " – curvefleet report" }
                style { (PreEscaped(STYLE)) }
                @if let Some(renewal) = renewal {
                    noscript { meta http-equiv="refresh" content=(renewal.every_seconds.max(LEAST_RELOAD_SECONDS)); }
                }
            }
            body {
                @if let Some(renewal) = renewal { (renewed(contents, renewal)) }
                (header(contents, time))
                main {
                    (what_was_run(contents))
                    (page_figures::figures(contents))
                    section id="performance" {
                        h2 { "Final performance" }
                        (page_tables::performance(&contents.results))
                        (files("performance"))
                    }
                    (page_comparisons::comparisons(&contents.comparisons, study))
                    (page_controls::controls(&contents.comparisons, study))
                    (page_maps::map_tests(&contents.comparisons, study))
                    (page_maps::all_runs(&contents.comparisons))
                    (page_models::mixed_models(&contents.comparisons))
                    (page_models::planning(&contents.comparisons))
                    (page_methods::methods(contents, time))
                    section id="significance" {
                        h2 { "The paper's significance table" }
                        p class="note" { (CAVEAT) }
                        @for (network, lines) in &contents.significance {
                            @if contents.significance.len() > 1 { h3 { (network) } }
                            (page_tables::significance(lines))
                            (page_maps::cluster_robust(&contents.comparisons, network))
                        }
                        (files("significance"))
                    }
                    (page_settings::settings(&contents.results))
                    (tables_and_figures(contents))
                    footer {
                        "Written by curvefleet " (env!("CARGO_PKG_VERSION")) ". Method: Jiang and Dale, "
                        "“Mapping the learning curves of deep learning networks”, PLoS Computational Biology 2025, "
                        a href="https://doi.org/10.1371/journal.pcbi.1012286" { "doi 10.1371/journal.pcbi.1012286" } "."
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    document.into_string()
}

/// What a page that is renewed says at its top; the script reloads it after so many seconds.
fn renewed(contents: &Contents, renewal: &Renewal) -> Markup {
    let seconds = renewal.every_seconds.max(LEAST_RELOAD_SECONDS);
    let results = &contents.results;
    html! {
        p class="renewed" data-renewed-seconds=(seconds) {
            "As of " (renewal.as_of) ": " (count(results.done())) " of " (count(results.planned())) " runs are in this report. It is renewed while runs arrive, "
            "and this page loads itself again every " (seconds) " seconds. If the watch was killed, it stays as it is; "
            code { "curvefleet report --watch" } " goes on."
        }
    }
}

fn header(contents: &Contents, time: &str) -> Markup {
    let study = &contents.results.stored.study;
    html! {
        header { div {
            h1 { (study.name) }
            @if !study.description.is_empty() { p { (study.description) } }
            p class="soft small" {
                "Report " (time) " · " span class="chip" { "preset " (study.preset.as_str()) }
            }
            ul class="headline" { @for line in &contents.headline { li { (line) } } }
            nav {
                a href="#run" { "What was run" }
                a href="#figures" { "Figures" }
                a href="#performance" { "Final performance" }
                a href="#comparisons" { "Comparisons" }
                a href="#controls" { "True against shuffled" }
                a href="#map-tests" { "Whole maps" }
                a href="#all-runs" { "All runs together" }
                a href="#mixed-model" { "Mixed model" }
                a href="#planning" { "Planning" }
                a href="#methods" { "Methods" }
                a href="#significance" { "The paper's table" }
                a href="#settings" { "Settings and versions" }
                a href="#files" { "Files" }
            }
        } }
    }
}

fn what_was_run(contents: &Contents) -> Markup {
    let results = &contents.results;
    let failed = results.missing.iter().filter(|missing| missing.failed).count();
    let unreadable = results.missing.len() - failed;
    let excluded = results.excluded().count();
    let counts = [
        ("runs planned", results.planned(), false),
        ("runs in this report", results.done(), false),
        ("not trained yet", results.pending, true),
        ("failed", failed, true),
        ("done, but unreadable", unreadable, true),
        (plural(excluded, "epoch excluded", "epochs excluded"), excluded, true),
    ];
    let study = &results.stored.study;
    html! {
        section id="run" {
            h2 { "What was run" }
            p {
                (count(study.data.len())) " " (plural(study.data.len(), "data set", "data sets")) ", "
                (count(results.cells.len())) " " (plural(results.cells.len(), "combination", "combinations"))
                " of data set, condition, labels and network, "
                (count(study.seeds.len())) " " (plural(study.seeds.len(), "seed", "seeds")) " each, "
                (count(study.training.epochs as usize)) " " (plural(study.training.epochs as usize, "epoch", "epochs")) "."
            }
            @if !results.others.is_empty() { (page_settings::studies(results)) }
            ul class="counts" {
                @for (what, number, is_loss) in counts {
                    li class=[(is_loss && number > 0).then_some("warn")] { b { (count(number)) } (what) }
                }
            }
            @if results.missing.len() + excluded + results.pending == 0 {
                p { "Nothing is missing: every planned run is in this report with every epoch." }
            } @else {
                (page_tables::missing(results))
            }
        }
    }
}

/// The word for `number` things.
pub(super) fn plural<'a>(number: usize, one: &'a str, many: &'a str) -> &'a str {
    if number == 1 { one } else { many }
}

/// Links to a table's files.
pub(super) fn files(table: &str) -> Markup {
    html! {
        p class="small soft" {
            code { (table) } " as a file: " a href=(format!("tables/{table}.csv")) { "CSV" } " · " a href=(format!("tables/{table}.parquet")) { "Parquet" }
        }
    }
}

fn tables_and_figures(contents: &Contents) -> Markup {
    let tables = [
        ("metrics", "curve metrics and training figures of every run and epoch"),
        (
            "condition_means",
            "their means over the runs of each condition, with standard deviation, standard error and 95% interval",
        ),
        ("performance", "test scores after the last epoch"),
        ("tests", "do the conditions differ: variance explained, Welch's analysis of variance, Kruskal-Wallis, Levene"),
        ("pairs", "conditions in pairs: effect sizes, Welch's test corrected within its family, Games-Howell, Tukey"),
        (
            "controls",
            "true against shuffled labels: chance level, selectivity, effect sizes, Welch's test, permutation test",
        ),
        ("mixed_model", "the mixed model over all epochs: tests of its terms, variance components"),
        ("map_tests", "the cluster-based permutation test of whole maps, a row for each cluster"),
        ("interquartile_means", "the interquartile mean of all runs, with true and with shuffled labels"),
        ("performance_profiles", "the share of runs above every threshold"),
        ("likelihood_ratio", "likelihood-ratio tests of nested mixed models"),
        ("cluster_robust", "the models of the paper's table with cluster-robust errors, by run"),
        ("planning", "what the study's seeds can find, and how many a difference needs"),
        ("significance", "the paper's significance table"),
        ("missing", "runs and epochs that are not in this report, and why"),
    ];
    html! {
        section id="files" {
            h2 { "Files" }
            table {
                thead { tr { th { "Table" } th { "What" } th { "Files" } } }
                tbody {
                    @for (name, what) in tables {
                        tr {
                            td { code { (name) } }
                            td { (what) }
                            td {
                                a href=(format!("tables/{name}.csv")) { "CSV" } " · "
                                a href=(format!("tables/{name}.parquet")) { "Parquet" }
                            }
                        }
                    }
                    @for figure in contents.figures.iter().flatten() {
                        tr {
                            td { "figure" }
                            td { (figure.title) }
                            td { (page_figures::figure_files(figure)) }
                        }
                    }
                }
            }
        }
    }
}
