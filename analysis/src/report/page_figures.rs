//! The page's figures: pictures that stand by themselves, and beside each the values that the page's script finds under a pointer.

use maud::{Markup, PreEscaped, html};

use super::Contents;
use crate::aggregate::{Group, groups};
use crate::figure::Figure;
use crate::figure::badge::entries;
use crate::figure::hover::Plot;

/// The section.
pub(super) fn figures(contents: &Contents) -> Markup {
    let groups = groups(&contents.results);
    html! {
        section id="figures" {
            h2 { "Figures" }
            @if contents.figures.iter().all(Vec::is_empty) { p { "There is no curve to draw yet." } }
            @for (index, (group, drawn)) in groups.iter().zip(&contents.figures).enumerate() {
                @if !drawn.is_empty() {
                    div class="group" id=(format!("figures-{}", index + 1)) {
                        @if groups.len() > 1 { h3 { (group.data) ", " (group.model) } }
                        (chooser(group))
                        @for figure in drawn { (one_figure(figure)) }
                    }
                }
            }
        }
    }
}

/// Which conditions are shown. The script unhides it, so that it is not there where it would do nothing.
fn chooser(group: &Group<'_>) -> Markup {
    let (controls, conditions): (Vec<_>, Vec<_>) = entries(group).into_iter().partition(|entry| entry.control);
    html! {
        div class="chooser" hidden {
            span class="small soft" { "Show (with Shift, one alone):" }
            @for entry in conditions.iter().chain(&controls) {
                button type="button" data-c=(entry.mark) aria-pressed="true" {
                    span class="mark" style=(format!("background:{}", entry.color)) { (entry.mark) } (entry.name)
                }
            }
            button type="button" data-all { "all" }
            button type="button" data-none { "none" }
        }
    }
}

fn one_figure(figure: &Figure) -> Markup {
    html! {
        figure id=(figure.name) {
            (PreEscaped(&figure.svg))
            @if !figure.hover.is_empty() { (values(&figure.hover)) }
            figcaption { b { (figure.title) ". " } (figure.caption) " " (figure_files(figure)) }
        }
    }
}

/// The plots as JSON that no name in it can end.
fn values(plots: &[Plot]) -> Markup {
    // Numbers and text always become JSON.
    let json = serde_json::to_string(plots).unwrap_or_default().replace('<', "\\u003c");
    html! { script type="application/json" class="values" { (PreEscaped(json)) } }
}

/// Links to a figure's files.
pub(super) fn figure_files(figure: &Figure) -> Markup {
    html! {
        @for (place, (ending, name)) in [("svg", "SVG"), ("pdf", "PDF"), ("png", "PNG")].into_iter().enumerate() {
            @if place > 0 { " · " }
            a href=(format!("figures/{}.{ending}", figure.name)) { (name) }
        }
    }
}
