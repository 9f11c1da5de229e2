//! The page's parts about the mixed model over all epochs and about planning.

use maud::{Markup, html};

use super::comparison_tables::term_name;
use super::page::files;
use super::page_comparisons::{by_group, group_heading};
use super::page_maps;
use super::page_numbers::{NONE, count, fixed, p_value, percent, statistic};
use crate::compare::by_epoch::{EpochModel, Fit};
use crate::compare::plan::{Aim, DIFFERENCES};
use crate::compare::{Comparisons, OutcomeComparisons};
use crate::stats::mixed::TermTest;
use crate::stats::planning::Goal;

/// The section of the mixed model.
pub(super) fn mixed_models(comparisons: &Comparisons) -> Markup {
    html! {
        section id="mixed-model" {
            h2 { "Mixed model over all epochs" }
            p {
                "metric ~ epoch × condition + (1 | run), for the runs with true labels: a straight line over the epochs for each condition, with an "
                "intercept of its own for each run, fitted by restricted maximum likelihood. F tests are of type III with Satterthwaite's degrees "
                "of freedom; the conditions are compared where epoch is 0. Curves that bend over the epochs are described by their trend alone."
            }
            div class="scroll" { table class="wrapped" {
                thead { tr {
                    th { "Data" } th { "Network" } th { "Metric" } th class="number" { "Runs" } th class="number" { "Rows" }
                    th class="number" { "SD between runs" } th class="number" { "SD of residuals" } th class="number" { "Share between runs" }
                    th { "Term" } th class="number" { "F" } th class="number" { "df" } th class="number" { "p" } th { "Note" }
                } }
                tbody { @for model in &comparisons.models {
                    @match &model.fit {
                        Ok(fit) => { @for (place, term) in fit.terms.iter().enumerate() { (term_row(model, fit, place, term)) } }
                        Err(reason) => {
                            tr {
                                (model_cells(model))
                                @for _ in 0..3 { td class="number" { (NONE) } }
                                td { (NONE) }
                                @for _ in 0..3 { td class="number" { (NONE) } }
                                td class="soft" { (reason) }
                            }
                        }
                    }
                } }
            } }
            (files("mixed_model"))
            (page_maps::likelihood_ratios(comparisons))
        }
    }
}

fn model_cells(model: &EpochModel) -> Markup {
    html! {
        td { (model.data) } td { (model.model) } td { (model.metric.name()) }
        td class="number" { (count(model.runs)) } td class="number" { (count(model.rows)) }
    }
}

/// One term; what belongs to the whole model stands in its first row alone.
fn term_row(model: &EpochModel, fit: &Fit, place: usize, term: &TermTest) -> Markup {
    html! {
        tr {
            @if place == 0 {
                (model_cells(model))
                td class="number" { (fixed(Some(fit.run_variance.sqrt()), 3)) }
                td class="number" { (fixed(Some(fit.residual_variance.sqrt()), 3)) }
                td class="number" { (percent((fit.intraclass_correlation * 1e3).round() / 1e3)) }
            } @else {
                @for _ in 0..8 { td {} }
            }
            td { (term_name(term.term)) }
            td class="number" { (statistic(Some(term.test.f))) }
            td class="number" { (term.test.df1) ", " (fixed(Some(term.test.df2), 1)) }
            td class="number" { (p_value(Some(term.test.p))) }
            td {}
        }
    }
}

/// The section about planning.
pub(super) fn planning(comparisons: &Comparisons) -> Markup {
    let Goal { level, power } = Goal::USUAL;
    html! {
        section id="planning" {
            h2 { "Planning" }
            p {
                "By the standard deviation between the runs that there are: the smallest difference of two conditions' means that a t test with the "
                "study's seeds finds with " (percent(power)) " power at the " (percent(level)) " level, and the seeds for each condition that a "
                "difference needs. Where several pairs are compared, a second line plans for one of them after Bonferroni's correction, of which "
                "Holm's asks no more. Differences are in the metric's own unit: 0.01 is one point of accuracy, or one hundredth of the sequence."
            }
            @for of_group in by_group(comparisons) {
                (group_heading(comparisons, &of_group[0].outcome))
                div class="scroll" { table class="wrapped" {
                    thead {
                        tr {
                            th { "Metric" } th { "Summary" } th class="number" { "SD between runs" } th class="number" { "Seeds" }
                            th class="number" { "Tests" } th class="number" { "Detectable" }
                            @for difference in DIFFERENCES { th class="number" { "Seeds for " (fixed(Some(difference), 2)) } }
                            th { "Note" }
                        }
                    }
                    tbody { @for found in of_group { @for (place, aim) in found.plan.aims.iter().enumerate() { (aim_row(found, place, aim)) } } }
                } }
            }
            (files("planning"))
        }
    }
}

fn aim_row(found: &OutcomeComparisons, place: usize, aim: &Aim) -> Markup {
    let plan = &found.plan;
    let mut reasons: Vec<&str> = Vec::new();
    let failed = aim.needed.iter().filter_map(|(_, needed)| needed.as_ref().err());
    for reason in plan.sd.as_ref().err().into_iter().chain(aim.detectable.as_ref().err()).chain(failed) {
        if !reasons.contains(&reason.as_str()) {
            reasons.push(reason);
        }
    }
    html! {
        tr {
            @if place == 0 {
                td { (found.outcome.metric.name()) } td { (found.outcome.summary.name()) }
                td class="number" { (fixed(plan.sd.as_ref().ok().copied(), 4)) }
                td class="number" { (plan.seeds) }
            } @else {
                @for _ in 0..4 { td {} }
            }
            td class="number" { (count(aim.tests)) }
            td class="number" { (fixed(aim.detectable.as_ref().ok().copied(), 3)) }
            @for (_, needed) in &aim.needed {
                td class="number" { @match needed {
                    Ok(needed) => {
                        (count(*needed))
                        @if *needed > plan.seeds { span class="soft" { " (+" (count(needed - plan.seeds)) ")" } }
                    }
                    Err(_) => { (NONE) }
                } }
            }
            td class="soft" { (reasons.join("; ")) }
        }
    }
}
