//! The page's part about settings and versions: what somebody needs who wants to get the same numbers.

use std::collections::BTreeSet;

use curvefleet_proto::plan::run::NUMBERS_VERSION;
use curvefleet_proto::study::{Probe, ProbeKind, Study};
use maud::{Markup, html};

use super::page_numbers::count;
use crate::import::BACKEND;
use crate::read::results::Results;
use crate::read::study::StoredStudy;
use crate::read::together::same_settings;

/// Settings, hashes, versions and the study file.
pub(super) fn settings(results: &Results) -> Markup {
    let study = &results.stored.study;
    let several = !results.others.is_empty();
    let of = |what: &str, stored: &StoredStudy| {
        if several { format!("{what} of {}", stored.study.name) } else { what.to_string() }
    };
    html! {
        section id="settings" {
            h2 { "Settings and versions" }
            (data_sets(study, results.is_imported()))
            table {
                tbody {
                    (row("Probe", &probe_words(&study.probe)))
                    @for stored in results.studies() {
                        @let training = &stored.study.training;
                        (row(&of("Training", stored), &format!(
                            "{} epochs, batch size {}, learning rate {}",
                            training.epochs, training.batch_size, training.learning_rate
                        )))
                    }
                    (row("Curve metrics", "R's smooth() (3RS3R, Tukey's end rule), then start, end, max, tmax"))
                    @for stored in results.studies() {
                        (row(&of("Study file", stored), &format!("SHA-256 {}", stored.sha256)))
                    }
                    (row("Analysis", &format!("curvefleet {}", env!("CARGO_PKG_VERSION"))))
                    (row("Version of the numbers", &NUMBERS_VERSION.to_string()))
                    @for part in &results.provenance {
                        @let imported = part.backend == BACKEND;
                        @let trained = if imported { format!("curves of other programs, imported by curvefleet {}; training and probe are the study file's, which files of curves do not say", part.version) } else { format!(
                            "worker {}, backend {}, on data {}",
                            part.version, part.backend, short(&part.data_sha256)
                        ) };
                        (row(if imported { "Curves" } else { "Curves trained by" }, &trained))
                    }
                }
            }
            @for stored in results.studies() {
                details {
                    summary { (of("The study file", stored)) " with every default written out" }
                    pre { (stored.text) }
                }
            }
        }
    }
}

/// The studies that a report puts together, and what must be known about comparing them.
pub(super) fn studies(results: &Results) -> Markup {
    let planned = |stored: &StoredStudy| stored.planned.iter().map(|cell| cell.runs).sum::<usize>();
    let epochs: BTreeSet<u32> = results.studies().map(|stored| stored.study.training.epochs).collect();
    let mut studies = results.studies();
    let first = studies.next().map(|stored| &stored.study);
    let alike = first.is_none_or(|first| studies.all(|other| same_settings(&first.analysis, &other.study.analysis)));
    html! {
        table {
            thead { tr {
                th { "Study" } th { "What it is" } th { "Preset" } th class="number" { "Runs planned" } th class="number" { "Seeds" } th class="number" { "Epochs" }
            } }
            tbody { @for stored in results.studies() { tr {
                td { (stored.study.name) } td { (stored.study.description) } td { (stored.study.preset.as_str()) }
                td class="number" { (count(planned(stored))) } td class="number" { (stored.study.seeds.len()) } td class="number" { (stored.study.training.epochs) }
            } } }
        }
        p {
            "Where several studies have runs of one data set and network, their conditions carry the study's name, and the conditions that "
            "they share are compared across studies; what was tested within a study is in its own report."
            @if epochs.len() > 1 { " The studies differ in their epochs; runs are compared after the last epoch of each." }
            @if !alike { " The studies' [analysis] parts differ; this report follows that of the first." }
            @if results.doubled_runs > 0 {
                " " (count(results.doubled_runs)) " of the runs are the same training in several studies and stand in each, so that those conditions are not independent."
            }
        }
    }
}

/// The probe in words.
pub fn probe_words(probe: &Probe) -> String {
    let classifier = match probe.kind {
        ProbeKind::Knn => format!("k nearest neighbours, k = {}", probe.k),
        ProbeKind::NearestMean => "nearest class mean".to_string(),
        ProbeKind::Logistic => format!("logistic regression, L2 penalty {}", probe.l2),
    };
    format!("{classifier}, {}", probe.scoring.as_str())
}

fn data_sets(study: &Study, imported: bool) -> Markup {
    // Files of curves do not say what they were made of.
    let known = |number: usize| if imported { "unknown".to_string() } else { count(number) };
    html! {
        div class="scroll" { table {
            thead { tr {
                th { "Data set" } th class="number" { "Sequences" } th class="number" { "Classes" } th class="number" { "Features" }
                th class="number" { "Time steps" } th { "SHA-256" }
            } }
            tbody { @for data in &study.data {
                @let summary = &data.summary;
                tr {
                    td { (data.name) }
                    td class="number" { (known(summary.sequences() as usize)) }
                    td class="number" { (summary.classes.len()) }
                    td class="number" { (known(summary.feature_names.len())) }
                    td class="number" {
                        @if summary.steps_min == summary.steps_max { (summary.steps_max) }
                        @else { (summary.steps_min) " to " (summary.steps_max) }
                    }
                    td { code { (summary.sha256) } }
                }
            } }
        } }
    }
}

fn row(what: &str, value: &str) -> Markup {
    html! { tr { th { (what) } td { (value) } } }
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
