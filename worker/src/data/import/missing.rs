//! What becomes of missing values.

use curvefleet_proto::study::Missing;

/// Replaces the missing values (NaN) of one sequence, `[time, feature]` with `features` features, as `treatment` says, and
/// answers how many there were. Interpolation is linear between the neighbours in time; before the first and after the last
/// known value the nearest one is taken; a feature without any known value becomes zero. Under [`Missing::Refuse`] nothing
/// is replaced.
pub(super) fn fill(values: &mut [f32], features: usize, treatment: Missing) -> u64 {
    let count = values.iter().filter(|value| value.is_nan()).count() as u64;
    match treatment {
        _ if count == 0 => {}
        Missing::Refuse => {}
        Missing::Zero => values.iter_mut().filter(|value| value.is_nan()).for_each(|value| *value = 0.0),
        Missing::Interpolate => (0..features).for_each(|feature| interpolate(values, features, feature)),
    }
    count
}

fn interpolate(values: &mut [f32], features: usize, feature: usize) {
    let steps = values.len() / features;
    let at = |step: usize| step * features + feature;
    let mut before: Option<usize> = None;
    let mut step = 0;
    while step < steps {
        if !values[at(step)].is_nan() {
            before = Some(step);
            step += 1;
            continue;
        }
        let after = (step..steps).find(|&later| !values[at(later)].is_nan());
        let gap_end = after.unwrap_or(steps);
        for gap in step..gap_end {
            values[at(gap)] = match (before, after) {
                (Some(a), Some(b)) => between(values[at(a)], values[at(b)], (gap - a) as f64 / (b - a) as f64),
                (Some(nearest), None) | (None, Some(nearest)) => values[at(nearest)],
                (None, None) => 0.0,
            };
        }
        step = gap_end;
    }
}

/// The number that lies `share` of the way from `a` to `b`.
fn between(a: f32, b: f32, share: f64) -> f32 {
    (f64::from(a) + (f64::from(b) - f64::from(a)) * share) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: f32 = f32::NAN;

    fn filled(mut values: Vec<f32>, features: usize, treatment: Missing) -> (Vec<f32>, u64) {
        let count = fill(&mut values, features, treatment);
        (values, count)
    }

    #[test]
    fn gaps_inside_are_bridged_linearly_and_ends_take_the_nearest() {
        let (values, count) = filled(vec![GAP, 1.0, GAP, GAP, 4.0, GAP], 1, Missing::Interpolate);
        assert_eq!(values, [1.0, 1.0, 2.0, 3.0, 4.0, 4.0]);
        assert_eq!(count, 4);
    }

    #[test]
    fn features_do_not_touch_one_another_and_an_unknown_one_is_zero() {
        let (values, count) = filled(vec![1.0, GAP, GAP, GAP, 3.0, GAP], 2, Missing::Interpolate);
        assert_eq!(values, [1.0, 0.0, 2.0, 0.0, 3.0, 0.0]);
        assert_eq!(count, 4);
    }

    #[test]
    fn zero_puts_zeros_and_refuse_only_counts() {
        assert_eq!(filled(vec![GAP, 2.0], 1, Missing::Zero), (vec![0.0, 2.0], 1));
        assert_eq!(filled(vec![GAP, 2.0], 1, Missing::Refuse).1, 1);
    }
}
