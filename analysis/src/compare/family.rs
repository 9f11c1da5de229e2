//! Families: the Welch tests whose p-values are corrected together.
//!
//! Pairs of conditions are one family and controls are another, for each outcome or for the whole study. Tests without a p-value are not
//! counted, as in R's `p.adjust`.

use curvefleet_proto::study::{Analysis, Correction, Family};

use super::OutcomeComparisons;
use super::contrast::Contrast;
use crate::stats::multiplicity::Adjustment;
use crate::stats::tails::Tail;

/// The correction that the study asks for.
pub fn adjustment(analysis: &Analysis) -> Adjustment {
    match analysis.correction {
        Correction::Holm => Adjustment::Holm,
        Correction::BenjaminiHochberg => Adjustment::BenjaminiHochberg,
    }
}

/// Corrects the p-values of all contrasts.
pub(super) fn correct(analysis: &Analysis, outcomes: &mut [OutcomeComparisons]) {
    let adjustment = adjustment(analysis);
    let families = match analysis.family {
        Family::Metric => outcomes.chunks_mut(1).collect::<Vec<_>>(),
        Family::Study => vec![outcomes],
    };
    for family in families {
        let pairs = family.iter_mut().flat_map(|outcome| &mut outcome.pairs).map(|pair| &mut pair.contrast);
        correct_family(adjustment, pairs.collect());
        let controls = family.iter_mut().flat_map(|outcome| &mut outcome.controls).map(|control| &mut control.contrast);
        correct_family(adjustment, controls.collect());
    }
}

fn correct_family(adjustment: Adjustment, contrasts: Vec<&mut Contrast>) {
    let tested: Vec<&mut Contrast> = contrasts.into_iter().filter(|contrast| contrast.welch.is_ok()).collect();
    let tails: Vec<Tail> = tested.iter().filter_map(|contrast| Some(contrast.welch.as_ref().ok()?.p)).collect();
    let size = tails.len();
    for (contrast, corrected) in tested.into_iter().zip(adjustment.adjust(&tails)) {
        contrast.corrected = Some(corrected);
        contrast.family_size = size;
    }
}
