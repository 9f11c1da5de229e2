//! Why there is no value, with the names of the samples that are to blame.

use crate::stats::undefined::Undefined;

/// The reason in a sentence; `names` are those of the groups that were compared, in their order.
pub(super) fn reason(undefined: Undefined, names: &[&str]) -> String {
    let name = |group: usize| names.get(group).copied().unwrap_or("a condition");
    match undefined {
        Undefined::TooFewValues { group, values, needed } => {
            format!("{} has {} where {needed} are needed", name(group), runs_with_value(values))
        }
        Undefined::NotFinite { group } => format!("{} has a value that is not a finite number", name(group)),
        Undefined::ConstantGroup { group } => {
            format!("the runs of {} do not vary, so that its weight would be infinite", name(group))
        }
        other => other.to_string(),
    }
}

/// `1 run with a value`.
pub(super) fn runs_with_value(runs: usize) -> String {
    match runs {
        0 => "no run with a value".to_string(),
        1 => "1 run with a value".to_string(),
        _ => format!("{runs} runs with a value"),
    }
}

/// What to add about runs whose map is not whole.
pub(super) fn broken_maps(runs: usize) -> String {
    match runs {
        0 => String::new(),
        1 => "; 1 run has an epoch without a curve and is left out".to_string(),
        _ => format!("; {runs} runs have an epoch without a curve and are left out"),
    }
}
