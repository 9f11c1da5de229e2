//! Power, detectable effects and seeds against R's `power.t.test` and `power.anova.test` (`reference/planning.R`).
#![allow(clippy::unwrap_used)]

use curvefleet_analysis::stats::planning::{
    Goal, Unplannable, detectable_difference, detectable_spread, one_way_power, pooled_sd, seeds_for_difference,
    seeds_for_spread, two_sample_power,
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    two: Vec<TwoSample>,
    two_seeds: Vec<TwoSample>,
    one: Vec<OneWay>,
    one_seeds: Vec<OneWay>,
}

#[derive(Deserialize)]
struct TwoSample {
    seeds: f64,
    level: f64,
    power: f64,
    d: f64,
}

#[derive(Deserialize)]
struct OneWay {
    conditions: usize,
    seeds: f64,
    f: f64,
    power: Option<f64>,
}

fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found / expected - 1.0).abs() <= tolerance, "{found} instead of {expected}");
}

#[test]
fn plans_are_those_of_r() {
    let reference: Reference = serde_json::from_str(include_str!("data/planning.json")).unwrap();
    assert_eq!(
        [reference.two.len(), reference.two_seeds.len(), reference.one.len(), reference.one_seeds.len()],
        [5, 5, 5, 4]
    );
    for row in reference.two {
        let (goal, seeds) = (Goal { level: row.level, power: row.power }, row.seeds as usize);
        close(detectable_difference(seeds, seeds, 0.07, goal).unwrap(), 0.07 * row.d, 1e-9);
        close(two_sample_power(row.d, seeds, seeds, row.level).unwrap(), row.power, 1e-9);
    }
    for row in reference.two_seeds {
        let goal = Goal { level: row.level, power: row.power };
        assert_eq!(seeds_for_difference(-3.0 * row.d, 3.0, goal).unwrap(), row.seeds.ceil() as usize);
    }
    for row in reference.one {
        let (seeds, power) = (row.seeds as usize, row.power.unwrap());
        // R's noncentral F is good to eight digits.
        close(one_way_power(row.f, row.conditions, seeds, 0.05).unwrap(), power, 1e-8);
        let goal = Goal { level: 0.05, power };
        close(detectable_spread(row.conditions, seeds, 0.07, goal).unwrap(), 0.07 * row.f, 1e-7);
    }
    for row in reference.one_seeds {
        let found = seeds_for_spread(row.conditions, 3.0 * row.f, 3.0, Goal::USUAL).unwrap();
        assert_eq!(found, row.seeds.ceil() as usize);
    }
}

#[test]
fn what_cannot_be_planned_says_why() {
    let goal = Goal::USUAL;
    assert_eq!(detectable_difference(1, 9, 0.1, goal), Err(Unplannable::TooFewSeeds));
    assert_eq!(detectable_difference(5, 5, 0.0, goal), Err(Unplannable::NoVariance));
    assert_eq!(detectable_difference(5, 5, f64::NAN, goal), Err(Unplannable::NoVariance));
    assert_eq!(detectable_difference(5, 5, 0.1, Goal { level: 0.9, power: 0.8 }), Err(Unplannable::BadGoal));
    assert_eq!(seeds_for_difference(0.0, 0.1, goal), Err(Unplannable::NoEffect));
    assert_eq!(seeds_for_difference(1e-6, 0.1, goal), Err(Unplannable::OutOfReach));
    assert_eq!(seeds_for_spread(1, 0.1, 0.1, goal), Err(Unplannable::OneCondition));
    assert_eq!(one_way_power(0.3, 3, 1, 0.05), Err(Unplannable::TooFewSeeds));
    assert_eq!(two_sample_power(f64::INFINITY, 3, 3, 0.05), Err(Unplannable::NoEffect));
    assert_eq!(pooled_sd(&[&[1.0], &[2.0]]), Err(Unplannable::TooFewSeeds));
    assert_eq!(pooled_sd(&[&[0.1, 0.1, 0.1], &[0.2, 0.2]]), Err(Unplannable::NoVariance));
    assert_eq!(pooled_sd(&[&[0.1, f64::NAN]]), Err(Unplannable::NotFinite));
    // Squares 2 and 8 around the means 2 and 4, on 2 + 1 degrees of freedom; the single run adds nothing.
    close(pooled_sd(&[&[1.0, 2.0, 3.0], &[2.0, 6.0], &[9.0]]).unwrap(), (10.0_f64 / 3.0).sqrt(), 1e-15);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    /// The seeds that a detectable difference needs are those it was detectable with, and fewer do not do.
    #[test]
    fn seeds_and_differences_agree(seeds in 2..200usize, sd in 0.001..10.0f64, power in 0.3..0.99f64) {
        let goal = Goal { level: 0.05, power };
        let difference = detectable_difference(seeds, seeds, sd, goal).unwrap();
        prop_assert_eq!(seeds_for_difference(difference * (1.0 + 1e-9), sd, goal).unwrap(), seeds);
        prop_assert!(seeds_for_difference(difference * (1.0 - 1e-6), sd, goal).unwrap() > seeds);
        // Two conditions' means ± difference / 2 have that standard deviation, and F is t².
        let spread = detectable_spread(2, seeds, sd, goal).unwrap();
        prop_assert!((spread / (difference / 2.0) - 1.0).abs() < 1e-8, "{} and {}", spread, difference / 2.0);
    }
}
