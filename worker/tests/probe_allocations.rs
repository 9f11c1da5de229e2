//! Probing allocates nothing once its buffers have grown. This test counts allocations of the whole process, so it stands alone.
#![allow(clippy::unwrap_used)]

mod counting;

use counting::{Counting, allocations};
use curvefleet_worker::probe::{Classifier, Exclude, Points, Prober, States};
use curvefleet_worker::rng;
use pulp::Arch;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TIME: usize = 5;
const HIDDEN: usize = 20;
const FITTED: usize = 300;
const ROWS: usize = 400;

/// From nothing in common up to states too near each other to be told apart by rounded products, as padded steps are.
fn draw_states() -> States {
    let mut draws = rng::stream(&[5; 32], "states");
    let mut states = States::default();
    states.reset(TIME, ROWS, HIDDEN);
    for t in 0..TIME {
        let scale = [1.0, 0.5, 0.0, 1e-7, 1e-3][t];
        let at = states.at_mut(t);
        at.iter_mut().for_each(|value| *value = 0.5 + (scale * draws.normal()) as f32);
        at[..ROWS / 3 * HIDDEN].fill(0.25);
    }
    states
}

#[test]
fn probing_allocates_nothing_from_its_second_use_on() {
    let states = draw_states();
    let rows: Vec<usize> = (0..ROWS).collect();
    let labels: Vec<u32> = (0..ROWS as u32).map(|row| row * 7 % 11 % 3).collect();
    let origins: Vec<usize> = rows.iter().map(|row| row / 2).collect();
    let part = |from: usize, to: usize| Points {
        rows: &rows[from..to],
        labels: &labels[from..to],
        origins: &origins[from..to],
    };
    let (fit, others) = (part(0, FITTED), part(FITTED, ROWS));
    for (classifier, exclude, queries) in [
        (Classifier::Knn { k: 3 }, Exclude::Nothing, fit),
        (Classifier::Knn { k: 3 }, Exclude::SameOrigin, fit),
        (Classifier::Knn { k: 3 }, Exclude::Nothing, others),
        (Classifier::NearestMean, Exclude::Nothing, others),
        (Classifier::NearestMean, Exclude::SameOrigin, fit),
        (Classifier::Logistic { l2: 1.0 }, Exclude::Nothing, others),
    ] {
        let mut prober = Prober::new(classifier, 3, exclude, Arch::new(), 1);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        prober.curve(&states, fit, queries, &mut first);
        second.reserve(TIME);
        let before = allocations();
        prober.curve(&states, fit, queries, &mut second);
        let allocations = allocations() - before;
        assert_eq!(allocations, 0, "{classifier:?}, {exclude:?}");
        assert_eq!(first, second);
    }
}
