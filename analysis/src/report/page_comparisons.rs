//! The page's part about conditions against one another: effect sizes first, then tests.

use curvefleet_proto::study::{Analysis, AnalysisKey, Comparisons as Asked, ComparisonsKeyword, Family, Study};
use maud::{Markup, html};

use super::comparison_tables::family_name;
use super::page::{files, plural};
use super::page_notes::Notes;
use super::page_numbers::{NONE, count, fixed, p_value, percent, statistic, with_interval};
use super::page_tables::{MOST_ROWS, cut};
use crate::compare::contrast::Contrast;
use crate::compare::family::adjustment;
use crate::compare::outcome::{Outcome, RunSummary};
use crate::compare::pairs::Pair;
use crate::compare::{Comparisons, Origin, OutcomeComparisons};
use crate::curve::metrics::Metric;
use crate::stats::planning::Goal;
use crate::stats::summary::Summary;
use crate::stats::tails::Tail;

/// Lists of so few rows are open from the start.
const OPEN_ROWS: usize = 6;

/// The section.
pub(super) fn comparisons(comparisons: &Comparisons, study: &Study) -> Markup {
    let analysis = &study.analysis;
    html! {
        section id="comparisons" {
            h2 { "Comparisons of conditions" }
            (unit(study))
            (asked(analysis))
            @for of_group in by_group(comparisons) {
                (group_heading(comparisons, &of_group[0].outcome))
                (omnibus_table(of_group, analysis))
                @for found in of_group { @if !found.pairs.is_empty() { (pairs(found, analysis)) } }
            }
            @if comparisons.outcomes.iter().all(|found| found.pairs.is_empty()) {
                p { "No pairs of conditions are compared." }
            }
            (files("tests"))
            (files("pairs"))
        }
    }
}

/// The outcomes of each data set and model.
pub(super) fn by_group(comparisons: &Comparisons) -> impl Iterator<Item = &[OutcomeComparisons]> {
    comparisons.outcomes.chunk_by(|a, b| a.outcome.data == b.outcome.data && a.outcome.model == b.outcome.model)
}

/// Data set and model as a heading, where there are several.
pub(super) fn group_heading(comparisons: &Comparisons, outcome: &Outcome) -> Markup {
    html! { @if by_group(comparisons).count() > 1 { h3 { (outcome.data) ", " (outcome.model) } } }
}

fn unit(study: &Study) -> Markup {
    let analysis = &study.analysis;
    html! {
        p {
            b { "The unit is the run." } " The epochs of a run are repeated measures of one network, so that each run counts once: by a metric's "
            "value after the last epoch, and by the area under its epoch curve (a mean height, in the metric's own unit). "
            "Runs differ by their seed; there are " (count(study.seeds.len())) " for each condition."
        }
        p {
            "Intervals are " (percent(analysis.interval_level)) " confidence intervals, each for one comparison by itself. Hedges' g is the "
            "difference of two means in standard deviations between runs. P(A > B) is how often a run of the first condition lies above one of the "
            "second, ties counting one half; 0.5 is no difference. η² is the share of the variance between runs that the conditions explain, and ω² the same without what chance would explain."
        }
        p {
            "p is that of Welch's test; beside it stands the same p corrected by " (adjustment(analysis).name()) " for the size of its family. "
            "The Games-Howell p already holds for all pairs of conditions together and is not corrected again."
        }
    }
}

/// What was asked, and whether it stood in the study file.
fn asked(analysis: &Analysis) -> Markup {
    let comparisons = match &analysis.comparisons {
        Asked::Keyword(ComparisonsKeyword::All) => "all pairs of conditions with true labels".to_string(),
        Asked::Keyword(ComparisonsKeyword::None) => "none".to_string(),
        Asked::Listed(listed) => {
            let pairs: Vec<String> = listed.iter().map(|[first, second]| format!("{first} – {second}")).collect();
            pairs.join(", ")
        }
    };
    let metrics: Vec<&str> = analysis.metrics.iter().map(|metric| Metric::from(*metric).name()).collect();
    let family = match analysis.family {
        Family::Metric => "the tests of one metric, one summary, one data set and one model",
        Family::Study => "all tests of the study",
    };
    let rows = [
        (AnalysisKey::Metrics, "Metrics", metrics.join(", ")),
        (AnalysisKey::Comparisons, "Pairs", comparisons),
        (AnalysisKey::Family, "Family", family.to_string()),
        (AnalysisKey::Correction, "Correction", adjustment(analysis).name().to_string()),
        (AnalysisKey::IntervalLevel, "Interval level", percent(analysis.interval_level)),
        (AnalysisKey::Resamples, "Resamples", count(analysis.resamples as usize)),
        (AnalysisKey::Seed, "Seed of the resamples", analysis.seed.to_string()),
    ];
    html! {
        details {
            summary { "What was asked, and what of it was declared beforehand" }
            p class="small soft" {
                "Declared: it stood in the study file before the first run. Added: a default that the author did not write down."
            }
            table {
                thead { tr { th { "What" } th { "Value" } th { "Origin" } } }
                tbody { @for (key, what, value) in rows {
                    tr { td { (what) } td { (value) } td { span class="chip" { (Origin::of(analysis, key).name()) } } }
                } }
            }
        }
    }
}

fn omnibus_table(found: &[OutcomeComparisons], analysis: &Analysis) -> Markup {
    let origin = Origin::of(analysis, AnalysisKey::Metrics).name();
    let notes = Notes::of(found.iter().map(|found| found.omnibus.reasons()));
    html! {
        div class="scroll" { table class="wrapped" {
            caption { "Do the conditions differ at all? “final” is the value after the last epoch, “area” the area under the epoch curve. Origin: " (origin) "." }
            thead { tr {
                th { "Metric" } th { "Summary" } th class="number" { "Conditions" } th class="number" { "Runs" }
                th class="number" { "η² [interval]" } th class="number" { "ω²" } th class="number" { "Welch F" } th class="number" { "df" } th class="number" { "p" }
                th class="number" { "ranks: ε²" } th class="number" { "Kruskal-Wallis H" } th class="number" { "p" }
                th class="number" { "Levene F" } th class="number" { "p" } th { "Note" }
            } }
            tbody { @for found in found {
                @let omnibus = &found.omnibus;
                @let (welch, levene) = (omnibus.welch.as_ref().ok(), omnibus.levene.as_ref().ok());
                @let explained = omnibus.explained.as_ref().ok();
                @let ranks = omnibus.kruskal_wallis.as_ref().ok();
                tr {
                    td { (found.outcome.metric.name()) } td { (found.outcome.summary.name()) }
                    td class="number" { (omnibus.conditions) } td class="number" { (count(omnibus.runs)) }
                    td class="number" { (explained.map_or(NONE.to_string(), |found| with_interval(found.eta_squared.estimate, Some(found.eta_squared.interval), 2))) }
                    td class="number" { (fixed(explained.map(|found| found.omega_squared.estimate), 2)) }
                    td class="number" { (statistic(welch.map(|test| test.f))) }
                    td class="number" { @match welch { Some(test) => { (test.df1) ", " (fixed(Some(test.df2), 1)) } None => { (NONE) } } }
                    td class="number" { (p_value(welch.map(|test| test.p))) }
                    td class="number" { (fixed(ranks.map(|test| test.epsilon_squared), 2)) }
                    td class="number" { (statistic(ranks.map(|test| test.h))) }
                    td class="number" { (p_value(ranks.map(|test| test.p))) }
                    td class="number" { (statistic(levene.map(|test| test.f))) }
                    td class="number" { (p_value(levene.map(|test| test.p))) }
                    td class="soft" { (notes.marks(&omnibus.reasons())) }
                }
            } }
        } }
        (notes.list())
    }
}

fn pairs(found: &OutcomeComparisons, analysis: &Analysis) -> Markup {
    let pairs = &found.pairs;
    let origin = Origin::of(analysis, AnalysisKey::Comparisons).name();
    let notes = Notes::of(pairs.iter().take(MOST_ROWS).map(reasons));
    html! {
        details open[pairs.len() <= OPEN_ROWS] {
            summary {
                (title(&found.outcome)) ": " (count(pairs.len())) " " (plural(pairs.len(), "pair", "pairs"))
                (in_short(pairs.iter().map(|pair| &pair.contrast), analysis))
            }
            (family_words(analysis, found, "pairs", pairs.iter().map(|pair| pair.contrast.family_size).max(), origin))
            div class="scroll" { table class="wrapped" {
                thead { tr {
                    th { "A" } th { "B" } th class="number" { "Runs" } th class="number" { "Difference [interval]" }
                    th class="number" { "Hedges' g [interval]" } th class="number" { "P(A > B) [interval]" }
                    th class="number" { "t" } th class="number" { "df" } th class="number" { "p" } th class="number" { "p corrected" }
                    th class="number" { "Games-Howell p" } th { "Note" }
                } }
                tbody { @for pair in pairs.iter().take(MOST_ROWS) { (pair_row(pair, analysis, &notes)) } }
            } }
            (notes.list())
            (cut(pairs.len()))
        }
    }
}

fn reasons(pair: &Pair) -> Vec<&str> {
    let mut reasons = pair.contrast.reasons();
    if let Err(reason) = &pair.games_howell
        && !reasons.contains(&reason.as_str())
    {
        reasons.push(reason);
    }
    reasons
}

fn pair_row(pair: &Pair, analysis: &Analysis, notes: &Notes<'_>) -> Markup {
    html! {
        tr {
            td { (pair.first) } td { (pair.second) }
            (contrast_cells(&pair.contrast, analysis))
            td class="number" { (p_value(pair.games_howell.as_ref().ok().map(|pair| pair.p))) }
            td class="soft" { (notes.marks(&reasons(pair))) }
        }
    }
}

/// Metric and summary as a title.
pub(super) fn title(outcome: &Outcome) -> String {
    match outcome.summary {
        RunSummary::Final => format!("{} {}", outcome.metric.name(), outcome.summary.words()),
        RunSummary::Area => format!("{}, {}", outcome.metric.name(), outcome.summary.words()),
    }
}

/// How large the effects of a list are and how many tests are below the usual level, so that a closed list says something.
pub(super) fn in_short<'a>(contrasts: impl Iterator<Item = &'a Contrast>, analysis: &Analysis) -> Markup {
    let contrasts: Vec<&Contrast> = contrasts.collect();
    let effects = contrasts.iter().filter_map(|contrast| contrast.hedges_g.as_ref().ok());
    let largest = effects.map(|g| g.estimate.abs()).reduce(f64::max);
    let usual = Goal::USUAL.level;
    let below = contrasts.iter().filter_map(|contrast| contrast.corrected).filter(|p: &Tail| p.p() < usual).count();
    html! {
        @match largest {
            Some(largest) => span class="soft" {
                " – largest |g| " (fixed(Some(largest), 2)) "; p below " (usual) " after " (adjustment(analysis).name()) " in " (count(below))
            }
            None => span class="soft" { " – no effect sizes; the notes say why" }
        }
    }
}

/// Which family the tests of a list belong to.
pub(super) fn family_words(
    analysis: &Analysis,
    found: &OutcomeComparisons,
    tests: &str,
    size: Option<usize>,
    origin: &str,
) -> Markup {
    let size = size.unwrap_or(0);
    html! {
        p class="small soft" {
            "Family: " (family_name(analysis, &found.outcome, tests)) "; " (count(size)) " " (plural(size, "test", "tests"))
            " with a p-value, corrected by " (adjustment(analysis).name()) ". Origin: " (origin) "."
        }
    }
}

/// Runs, effect sizes and Welch's test.
pub(super) fn contrast_cells(contrast: &Contrast, analysis: &Analysis) -> Markup {
    let runs = |side: Option<Summary>| side.map_or(0, |side| side.n);
    let welch = contrast.welch.as_ref().ok();
    let difference = contrast
        .difference()
        .map(|difference| with_interval(difference, welch.map(|test| test.interval(analysis.interval_level)), 3));
    let hedges_g = contrast.hedges_g.as_ref().ok().map(|g| with_interval(g.estimate, Some(g.interval), 2));
    let interval = contrast.probability_interval.as_ref().ok().copied();
    let probability = contrast.probability.as_ref().ok().map(|estimate| with_interval(*estimate, interval, 2));
    html! {
        td class="number" { (runs(contrast.first)) " + " (runs(contrast.second)) }
        @for effect in [difference, hedges_g, probability] { td class="number" { (effect.as_deref().unwrap_or(NONE)) } }
        td class="number" { (statistic(welch.map(|test| test.t))) }
        td class="number" { (fixed(welch.map(|test| test.df), 1)) }
        td class="number" { (p_value(welch.map(|test| test.p))) }
        td class="number" { (p_value(contrast.corrected)) }
    }
}
