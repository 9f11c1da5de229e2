//! The study's result in a few lines: what true labels gave, beside the shuffled control and chance.

use curvefleet_proto::study::{Scoring, Study};

use crate::aggregate::{Family, Group, Quantity, by_epoch, epochs, test_score};
use crate::curve::metrics::Metric;
use crate::figure::runs;
use crate::read::results::{Cell, Results};

/// The place of accuracy among `SCORES`.
pub const ACCURACY: usize = 1;

/// One line for every data set, model and family of conditions.
pub fn headline(results: &Results, groups: &[Group<'_>]) -> Vec<String> {
    let study = &results.stored.study;
    let several_models =
        groups.iter().any(|group| groups.iter().any(|other| other.data == group.data && other.model != group.model));
    let mut lines = Vec::new();
    for group in groups {
        let families = group.families();
        for family in &families {
            let mut name = group.data.to_string();
            if several_models {
                name += &format!(", {}", group.model);
            }
            if families.len() > 1 && !family.title().is_empty() {
                name += &format!(", {}", family.title());
            }
            lines.push(format!("{name}: {}", result(study, group, *family)));
        }
    }
    lines
}

fn result(study: &Study, group: &Group<'_>, family: Family<'_>) -> String {
    let (truths, controls) = (group.truths(family), group.controls(family));
    let chance = chance_words(study, family);
    let count = |cells: &[&Cell]| cells.iter().map(|cell| cell.runs.len()).sum();
    let (n_true, n_shuffled): (usize, usize) = (count(&truths), count(&controls));
    let probe = match (last_peak(&truths), last_peak(&controls)) {
        (None, None) if n_true + n_shuffled > 0 => "no curve of the last epoch has metrics".to_string(),
        (None, None) => return "no finished runs yet".to_string(),
        (Some(peak), None) => format!("{peak:.2} with true labels{chance}, over {}", runs(n_true)),
        (None, Some(peak)) => format!("{peak:.2} with shuffled labels{chance}, over {}", runs(n_shuffled)),
        (Some(peak), Some(control)) => {
            format!(
                "{peak:.2} with true labels against {control:.2} with shuffled ones{chance}, over {n_true} + {n_shuffled} runs"
            )
        }
    };
    let test = match (test_score(&truths, ACCURACY), test_score(&controls, ACCURACY)) {
        (Some(truth), Some(control)) => format!("; test accuracy {:.2} against {:.2}", truth.mean, control.mean),
        (Some(truth), None) => format!("; test accuracy {:.2}", truth.mean),
        (None, Some(control)) => format!("; test accuracy {:.2}", control.mean),
        (None, None) => String::new(),
    };
    format!("peak probe accuracy after the last epoch ({}): {probe}{test}", epochs(&truths).max(epochs(&controls)))
}

/// The mean of `max` after the last epoch.
fn last_peak(cells: &[&Cell]) -> Option<f64> {
    by_epoch(cells, Quantity::Metric(Metric::Max)).last()?.map(|summary| summary.mean)
}

fn chance_words(study: &Study, family: Family<'_>) -> String {
    match chance(study, family) {
        Some(chance) => format!(" (chance at a single step: {chance:.2})"),
        None => String::new(),
    }
}

/// The accuracy that a probe has by chance at one time step, for classes of even size; `None` where no simple value holds.
///
/// A probe scored on its own points has its own label among the k votes, so for two classes and k = 3 it is right unless both
/// other votes are wrong: 1 − 1/4. The highest of many noisy steps lies above chance; the shuffled control says by how much.
pub fn chance(study: &Study, family: Family<'_>) -> Option<f64> {
    let classes = family.classes;
    match study.probe.scoring {
        _ if classes < 2 => None,
        Scoring::HeldOut | Scoring::LeaveOneOut => Some(1.0 / classes as f64),
        Scoring::Resubstitution => (classes == 2 && study.probe.k == 3).then_some(0.75),
    }
}
