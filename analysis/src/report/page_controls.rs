//! The page's part about true labels against shuffled ones: chance level and selectivity.

use curvefleet_proto::study::{AnalysisKey, Study};
use maud::{Markup, html};

use super::page::{files, plural};
use super::page_comparisons::{by_group, contrast_cells, family_words, group_heading, in_short, title};
use super::page_notes::Notes;
use super::page_numbers::{count, fixed, p_value};
use super::page_tables::{MOST_ROWS, cut};
use crate::compare::controls::Control;
use crate::compare::{Comparisons, Origin, OutcomeComparisons};
use crate::stats::permutation::EXACT_ARRANGEMENTS;

/// Lists of so few rows are open from the start.
const OPEN_ROWS: usize = 3;

/// The section.
pub(super) fn controls(comparisons: &Comparisons, study: &Study) -> Markup {
    html! {
        section id="controls" {
            h2 { "True against shuffled labels" }
            p {
                "Runs that trained on shuffled labels show what the probe scores where there is nothing to learn: their mean is the "
                b { "chance level" } ". The difference is the " b { "selectivity" } ", what true labels add to it. The permutation test rearranges runs "
                "between the two kinds of labels: all arrangements where there are at most " (count(EXACT_ARRANGEMENTS as usize)) ", else "
                (count(study.analysis.resamples as usize)) " drawn ones."
            }
            @for of_group in by_group(comparisons) {
                (group_heading(comparisons, &of_group[0].outcome))
                @if of_group.iter().flat_map(|found| &found.controls).all(|control| control.contrast.second.is_none()) {
                    p { "There are no runs with shuffled labels, so that chance is not known." }
                } @else {
                    @for found in of_group { (conditions(found, study)) }
                }
            }
            (files("controls"))
        }
    }
}

fn conditions(found: &OutcomeComparisons, study: &Study) -> Markup {
    let (controls, analysis) = (&found.controls, &study.analysis);
    let origin = Origin::of(analysis, AnalysisKey::Metrics).name();
    let size = controls.iter().map(|control| control.contrast.family_size).max();
    let notes = Notes::of(controls.iter().take(MOST_ROWS).map(reasons));
    html! {
        details open[controls.len() <= OPEN_ROWS] {
            summary {
                (title(&found.outcome)) ": " (count(controls.len())) " " (plural(controls.len(), "condition", "conditions"))
                (in_short(controls.iter().map(|control| &control.contrast), analysis))
            }
            (family_words(analysis, found, "controls", size, origin))
            div class="scroll" { table class="wrapped" {
                thead { tr {
                    th { "Condition" } th class="number" { "True" } th class="number" { "Chance level" } th class="number" { "Runs" }
                    th class="number" { "Selectivity [interval]" } th class="number" { "Hedges' g [interval]" }
                    th class="number" { "P(true > shuffled) [interval]" }
                    th class="number" { "t" } th class="number" { "df" } th class="number" { "p" } th class="number" { "p corrected" }
                    th class="number" { "Permutation p" } th { "Note" }
                } }
                tbody { @for control in controls.iter().take(MOST_ROWS) { (row(control, study, &notes)) } }
            } }
            (notes.list())
            (cut(controls.len()))
        }
    }
}

fn reasons(control: &Control) -> Vec<&str> {
    let mut reasons = control.contrast.reasons();
    if let Err(reason) = &control.permutation
        && !reasons.contains(&reason.as_str())
    {
        reasons.push(reason);
    }
    reasons
}

fn row(control: &Control, study: &Study, notes: &Notes<'_>) -> Markup {
    let contrast = &control.contrast;
    html! {
        tr {
            td { (control.condition) }
            td class="number" { (fixed(contrast.first.map(|side| side.mean), 3)) }
            td class="number" { (fixed(contrast.second.map(|side| side.mean), 3)) }
            (contrast_cells(contrast, &study.analysis))
            td class="number" { (p_value(control.permutation.as_ref().ok().map(|test| test.p))) }
            td class="soft" { (notes.marks(&reasons(control))) }
        }
    }
}
