//! The page's part about settings and versions: what somebody needs who wants to get the same numbers.

use curvefleet_proto::plan::run::NUMBERS_VERSION;
use curvefleet_proto::study::{Probe, ProbeKind, Study};
use maud::{Markup, html};

use super::page_numbers::count;
use crate::read::results::Results;

/// Settings, hashes, versions and the study file.
pub(super) fn settings(results: &Results) -> Markup {
    let stored = &results.stored;
    let study = &stored.study;
    html! {
        section id="settings" {
            h2 { "Settings and versions" }
            (data_sets(study))
            table {
                tbody {
                    (row("Probe", &probe_words(&study.probe)))
                    (row("Training", &format!(
                        "{} epochs, batch size {}, learning rate {}",
                        study.training.epochs, study.training.batch_size, study.training.learning_rate
                    )))
                    (row("Curve metrics", "R's smooth() (3RS3R, Tukey's end rule), then start, end, max, tmax"))
                    (row("Study file", &format!("SHA-256 {}", stored.sha256)))
                    (row("Analysis", &format!("curvefleet {}", env!("CARGO_PKG_VERSION"))))
                    (row("Version of the numbers", &NUMBERS_VERSION.to_string()))
                    @for part in &results.provenance {
                        @let trained = format!(
                            "worker {}, backend {}, on data {}",
                            part.version, part.backend, short(&part.data_sha256)
                        );
                        (row("Curves trained by", &trained))
                    }
                }
            }
            details {
                summary { "The study file with every default written out" }
                pre { (stored.text) }
            }
        }
    }
}

/// The probe in words.
pub(super) fn probe_words(probe: &Probe) -> String {
    let classifier = match probe.kind {
        ProbeKind::Knn => format!("k nearest neighbours, k = {}", probe.k),
        ProbeKind::NearestMean => "nearest class mean".to_string(),
        ProbeKind::Logistic => format!("logistic regression, L2 penalty {}", probe.l2),
    };
    format!("{classifier}, {}", probe.scoring.as_str())
}

fn data_sets(study: &Study) -> Markup {
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
                    td class="number" { (count(summary.sequences() as usize)) }
                    td class="number" { (summary.classes.len()) }
                    td class="number" { (summary.feature_names.len()) }
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
