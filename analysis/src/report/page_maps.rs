//! The page's parts about whole maps and about all runs together.

use curvefleet_proto::study::Study;
use maud::{Markup, html};

use super::page::{files, plural};
use super::page_notes::Notes;
use super::page_numbers::{NONE, count, fixed, p_value, percent, statistic, with_interval};
use crate::compare::aggregates::{Aggregate, Side};
use crate::compare::family::adjustment;
use crate::compare::over_map::{CELL_LEVEL, MOST_ASSIGNMENTS, MapTest, MapTests};
use crate::compare::{Comparisons, Origin};
use crate::figure::difference::LEVEL;
use crate::stats::tails::Tail;

/// The section about whole maps.
pub(super) fn map_tests(comparisons: &Comparisons, study: &Study) -> Markup {
    html! {
        section id="map-tests" {
            h2 { "Whole maps" }
            p {
                "The cluster-based permutation test (Maris and Oostenveld 2007) compares two learning-curve maps as wholes: every cell (time step × epoch) "
                "gets Welch's t over runs, neighbouring cells beyond the two-sided " (percent(CELL_LEVEL)) " threshold form clusters, and a cluster's p is how often the largest "
                "cluster is as heavy when runs are assigned to the two sides anew (all assignments where there are at most "
                (count(assignments(study) as usize)) ", else so many drawn ones). One test covers a whole map. It says that two maps differ and where most; it gives no "
                "error rate for a cluster's border. The mean difference in a cluster is that of cells which stood out, and so larger than it would be in new runs."
            }
            @for tests in &comparisons.maps {
                @if comparisons.maps.len() > 1 { h3 { (tests.data) ", " (tests.model) } }
                @if tests.controls.is_empty() { p { "There are no runs with shuffled labels to compare maps with." } }
                @else { (map_table(tests, &tests.controls, "True labels against the shuffled control: the probe's selectivity", Origin::Added, study)) }
                @if let Some(reason) = &tests.pairs_left_out { p class="soft" { (reason) "." } }
                @if !tests.pairs.is_empty() {
                    (map_table(tests, &tests.pairs, "Conditions in pairs", MapTests::pairs_origin(&study.analysis), study))
                }
            }
            (files("map_tests"))
        }
    }
}

/// Assignments of a test at most.
fn assignments(study: &Study) -> u64 {
    MOST_ASSIGNMENTS.min(study.analysis.resamples.into())
}

fn map_table(tests: &MapTests, list: &[MapTest], title: &str, origin: Origin, study: &Study) -> Markup {
    let notes = Notes::of(list.iter().map(reasons));
    let pairs = std::ptr::eq(list, &tests.pairs[..]);
    html! {
        div class="scroll" { table class="wrapped" {
            caption {
                (title) ". p of the largest cluster, beside it corrected by " (adjustment(&study.analysis).name()) " for "
                (count(list.first().map_or(0, |test| test.family_size))) " tests. Origin: " (origin.name()) "."
            }
            thead { tr {
                th { "Condition" } @if pairs { th { "Against" } } th class="number" { "Runs" }
                th class="number" { "Mean difference in the largest cluster" } th class="number" { "Share of the map" }
                th class="number" { "Epochs" } th class="number" { "Time steps" } th class="number" { "Largest |t| at epoch, step" }
                th class="number" { "Clusters with p < " (LEVEL) } th class="number" { "p" } th class="number" { "p corrected" } th { "Note" }
            } }
            tbody { @for test in list { (map_row(test, pairs, &notes)) } }
        } }
        (notes.list())
    }
}

fn reasons(test: &MapTest) -> Vec<&str> {
    match &test.found {
        Err(reason) => vec![reason],
        Ok(found) if found.test.clusters.is_empty() => vec!["no cell's t is beyond the threshold"],
        Ok(found) if found.test.exact && found.test.null.len() < FEW_ASSIGNMENTS => vec![TOO_FEW],
        Ok(_) => Vec::new(),
    }
}

/// With fewer assignments than these no p can be below 0.01: every one has the same largest mass once more, turned around.
const FEW_ASSIGNMENTS: usize = 200;
/// What a reader must know then.
const TOO_FEW: &str = "so few runs can be assigned in fewer than 200 ways, so that no p can be below 0.01, and corrected ones are far above; more seeds would help";

fn map_row(test: &MapTest, pairs: bool, notes: &Notes<'_>) -> Markup {
    let found = test.found.as_ref().ok();
    let place = found.and_then(|found| Some(found.place(found.test.clusters.first()?)));
    let range =
        |(first, last): (usize, usize)| if first == last { first.to_string() } else { format!("{first}–{last}") };
    let cell = |text: Option<String>| text.unwrap_or(NONE.to_string());
    let clear = found.map(|found| found.test.clusters.iter().filter(|cluster| cluster.p < LEVEL).count());
    html! {
        tr {
            td { (test.first) } @if pairs { td { (test.second.as_deref().unwrap_or_default()) } }
            td class="number" { (test.runs.0) " + " (test.runs.1) }
            td class="number" { (fixed(place.map(|place| place.mean_difference), 3)) }
            td class="number" { (cell(place.map(|place| percent((place.share * 1e3).round() / 1e3)))) }
            td class="number" { (cell(place.map(|place| range(place.epochs)))) }
            td class="number" { (cell(place.map(|place| range(place.steps)))) }
            td class="number" { (cell(place.map(|place| format!("{}, {}", place.peak.0, place.peak.1)))) }
            td class="number" { (cell(clear.map(|clear| clear.to_string()))) }
            td class="number" { (p_value(found.map(|found| found.p()))) }
            td class="number" { (p_value(test.corrected)) }
            td class="soft" { (notes.marks(&reasons(test))) }
        }
    }
}

/// The section about all runs together.
pub(super) fn all_runs(comparisons: &Comparisons) -> Markup {
    let notes = Notes::of(comparisons.aggregates.iter().map(side_reasons));
    html! {
        section id="all-runs" {
            h2 { "All runs together" }
            p {
                "The interquartile mean (the mean of the middle half of all runs, which a few odd runs cannot move; Agarwal et al. 2021) of each metric after the last "
                "epoch, with a " (comparisons.level) " bootstrap interval (BCa, runs resampled within conditions; percentiles where BCa has none). The performance profiles among the figures show all quantiles."
            }
            div class="scroll" { table {
                thead { tr {
                    th { "Data" } th { "Network" } th { "Metric" }
                    th class="number" { "Runs, true labels" } th class="number" { "Interquartile mean [interval]" }
                    th class="number" { "Runs, shuffled labels" } th class="number" { "Interquartile mean [interval]" } th { "Note" }
                } }
                tbody { @for aggregate in &comparisons.aggregates {
                    tr {
                        td { (aggregate.outcome.data) } td { (aggregate.outcome.model) } td { (aggregate.outcome.metric.name()) }
                        @for side in [&aggregate.truth, &aggregate.shuffled] { (side_cells(side)) }
                        td class="soft" { (notes.marks(&side_reasons(aggregate))) }
                    }
                } }
            } }
            (notes.list())
            (files("interquartile_means"))
            (files("performance_profiles"))
        }
    }
}

fn side_reasons(aggregate: &Aggregate) -> Vec<&str> {
    let sides = [&aggregate.truth, &aggregate.shuffled];
    sides.into_iter().filter_map(|side| side.interquartile_mean.as_ref().err().map(String::as_str)).collect()
}

fn side_cells(side: &Side) -> Markup {
    let mean = side.interquartile_mean.as_ref().ok();
    html! {
        td class="number" { (count(side.runs)) }
        td class="number" { (mean.map_or(NONE.to_string(), |(mean, interval)| with_interval(*mean, Some(*interval), 3))) }
    }
}

/// The paper's models with errors that allow for dependence within runs, of one network.
pub(super) fn cluster_robust(comparisons: &Comparisons, network: &str) -> Markup {
    let tests: Vec<_> = comparisons.robust.iter().filter(|test| test.network == network).collect();
    let notes = Notes::of(tests.iter().map(|test| test.test.as_ref().err().map(String::as_str).into_iter().collect()));
    html! {
        p {
            "The same models with the run as the unit: least squares with cluster-robust errors (CR2, clusters are runs), which allow for any dependence between the epochs of a "
            "run; joint F tests with the approximate Hotelling T² degrees of freedom of Pustejovsky and Tipton (2018)."
        }
        div class="scroll" { table {
            thead { tr {
                th { "Metric" } th { "Data" } th { "Explained by" } th class="number" { "Runs" } th class="number" { "Rows" }
                th class="number" { "F" } th class="number" { "df" } th class="number" { "p" } th { "Note" }
            } }
            tbody { @for test in &tests {
                @let found = test.test.as_ref().ok();
                tr {
                    td { (test.metric.name()) } td { (test.data.as_deref().unwrap_or("all")) } td { (test.explained_by.name()) }
                    td class="number" { (count(test.runs)) } td class="number" { (count(test.rows)) }
                    td class="number" { (statistic(found.map(|found| found.f))) }
                    td class="number" { @match found { Some(found) => { (found.df1) ", " (fixed(Some(found.df2), 1)) } None => { (NONE) } } }
                    td class="number" { (p_value(found.map(|found| found.p))) }
                    td class="soft" { (notes.marks(&test.test.as_ref().err().map(String::as_str).into_iter().collect::<Vec<_>>())) }
                }
            } }
        } }
        (notes.list())
        (files("cluster_robust"))
    }
}

/// Likelihood-ratio tests of the mixed models.
pub(super) fn likelihood_ratios(comparisons: &Comparisons) -> Markup {
    let rows: Vec<_> = comparisons
        .models
        .iter()
        .flat_map(|model| {
            model.fit.iter().flat_map(move |fit| fit.likelihood_ratios.iter().map(move |row| (model, row)))
        })
        .collect();
    let several = rows.iter().any(|(model, _)| model.data != rows[0].0.data || model.model != rows[0].0.model);
    html! {
        @if !rows.is_empty() {
            div class="scroll" { table class="wrapped" {
                caption { "Likelihood-ratio tests of nested models, both fitted by maximum likelihood. With few runs they find differences more often than the F tests above." }
                thead { tr {
                    @if several { th { "Data" } th { "Network" } }
                    th { "Metric" } th { "Larger model over smaller one" } th class="number" { "χ²" } th class="number" { "df" } th class="number" { "p" } th { "Note" }
                } }
                tbody { @for (model, (nested, found)) in &rows {
                    @let test = found.as_ref().ok();
                    tr {
                        @if several { td { (model.data) } td { (model.model) } }
                        td { (model.metric.name()) } td { (nested.words()) }
                        td class="number" { (statistic(test.map(|test| test.chi_square))) }
                        td class="number" { @match test { Some(test) => { (test.df) } None => { (NONE) } } }
                        td class="number" { (p_value(test.map(|test| -> Tail { test.p }))) }
                        td class="soft" { (found.as_ref().err().map(String::as_str).unwrap_or_default()) }
                    }
                } }
            } }
            (files("likelihood_ratio"))
        }
    }
}

/// How many map tests were made, in words for the methods.
pub(super) fn map_tests_in_words(comparisons: &Comparisons) -> String {
    let made = |list: fn(&MapTests) -> &Vec<MapTest>| {
        comparisons.maps.iter().flat_map(list).filter(|test| test.found.is_ok()).count()
    };
    let (controls, pairs) = (made(|tests| &tests.controls), made(|tests| &tests.pairs));
    format!(
        "{} {} of true against shuffled labels and {} of pairs",
        count(controls),
        plural(controls, "test", "tests"),
        count(pairs)
    )
}
