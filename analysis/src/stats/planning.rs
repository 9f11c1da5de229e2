//! How many seeds a study needs, and what it can find with those it has.
//!
//! Two conditions are compared by the two-sided t test of two means, whose power is a noncentral t; several by the one-way analysis of
//! variance, whose power is a noncentral F (Cohen 1988, chapters 2 and 8). The variance is that between runs of one condition, from
//! the runs that there are.

use super::tails::noncentral_f::noncentral_f_upper;
use super::tails::noncentral_t::{noncentral_t_lower, noncentral_t_upper};
use super::tails::{f_quantile, t_quantile};

/// Seeds beyond which nobody plans.
const MOST_SEEDS: usize = 1_000_000;

/// What a test is to achieve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// How often the test may find a difference where there is none.
    pub level: f64,
    /// How often it is to find one that there is.
    pub power: f64,
}

impl Goal {
    /// The common one: 80% power at the 5% level.
    pub const USUAL: Goal = Goal { level: 0.05, power: 0.8 };
}

/// Why there is no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unplannable {
    /// A goal that no test has or that none needs.
    #[error("the level must lie between 0 and 1, and the power between the level and 1")]
    BadGoal,
    /// No variance between seeds.
    #[error("each condition needs at least two seeds")]
    TooFewSeeds,
    /// Nothing to compare.
    #[error("there is one condition only, so that nothing can be compared")]
    OneCondition,
    /// A pilot without variance.
    #[error("the runs do not vary within conditions, so that any difference would be found")]
    NoVariance,
    /// No effect to find.
    #[error("the effect must be a finite number above 0")]
    NoEffect,
    /// A pilot with a NaN or an infinity.
    #[error("a run's value is not a finite number")]
    NotFinite,
    /// An effect that no study finds.
    #[error("the effect is so small that more than a million seeds would be needed")]
    OutOfReach,
}

/// The standard deviation between runs within conditions, pooled over the conditions; those with a single run add nothing.
///
/// # Errors
/// If no condition has two runs, a value is not finite, or nothing varies.
pub fn pooled_sd(conditions: &[&[f64]]) -> Result<f64, Unplannable> {
    if conditions.iter().any(|values| values.iter().any(|value| !value.is_finite())) {
        return Err(Unplannable::NotFinite);
    }
    let (mut squares, mut df) = (0.0, 0.0);
    for values in conditions.iter().filter(|values| values.len() > 1) {
        // Around the first value, so that equal values have exactly no variance.
        let mean = values[0] + values.iter().map(|value| value - values[0]).sum::<f64>() / values.len() as f64;
        squares += values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        df += values.len() as f64 - 1.0;
    }
    if df == 0.0 {
        return Err(Unplannable::TooFewSeeds);
    }
    positive(squares).map(|squares| (squares / df).sqrt()).ok_or(Unplannable::NoVariance)
}

/// The power of the two-sided t test for means `d` standard deviations apart, with `a` and `b` seeds.
///
/// # Errors
/// If a condition has fewer than two seeds, or the level or `d` is out of range.
pub fn two_sample_power(d: f64, a: usize, b: usize, level: f64) -> Result<f64, Unplannable> {
    check(Goal { level, power: 0.5 * (1.0 + level) }, a.min(b))?;
    positive(d).map(|d| t_power(d, a, b, level)).ok_or(Unplannable::NoEffect)
}

/// The smallest difference of two conditions' means that the goal is met for, in units of the metric, with `a` and `b` seeds and the
/// standard deviation `sd` between runs.
///
/// # Errors
/// If a condition has fewer than two seeds, there is no variance, or the goal is out of range.
pub fn detectable_difference(a: usize, b: usize, sd: f64, goal: Goal) -> Result<f64, Unplannable> {
    check(goal, a.min(b))?;
    let sd = positive(sd).ok_or(Unplannable::NoVariance)?;
    let spread = (1.0 / a as f64 + 1.0 / b as f64).sqrt();
    Ok(sd * least_effect(|d| t_power(d, a, b, goal.level), spread, goal))
}

/// The seeds for each of two conditions that the goal needs for a `difference` of their means.
///
/// # Errors
/// If there is no difference, no variance, or more than a million seeds are needed.
pub fn seeds_for_difference(difference: f64, sd: f64, goal: Goal) -> Result<usize, Unplannable> {
    check(goal, 2)?;
    let sd = positive(sd).ok_or(Unplannable::NoVariance)?;
    let d = positive(difference.abs() / sd).ok_or(Unplannable::NoEffect)?;
    fewest_seeds(|seeds| t_power(d, seeds, seeds, goal.level), goal)
}

/// The power of the one-way analysis of variance over `conditions` with `seeds` each, for Cohen's `f`: the standard deviation of the
/// conditions' means (denominator: conditions) in standard deviations between runs.
///
/// # Errors
/// If there are fewer than two conditions or seeds, or the level or `f` is out of range.
pub fn one_way_power(f: f64, conditions: usize, seeds: usize, level: f64) -> Result<f64, Unplannable> {
    check(Goal { level, power: 0.5 * (1.0 + level) }, seeds)?;
    several(conditions)?;
    positive(f).map(|f| f_power(f, conditions, seeds, level)).ok_or(Unplannable::NoEffect)
}

/// The smallest standard deviation of `conditions` means that the goal is met for, in units of the metric, with `seeds` each and the
/// standard deviation `sd` between runs.
///
/// # Errors
/// As [`detectable_difference`], or if there is one condition only.
pub fn detectable_spread(conditions: usize, seeds: usize, sd: f64, goal: Goal) -> Result<f64, Unplannable> {
    check(goal, seeds)?;
    several(conditions)?;
    let sd = positive(sd).ok_or(Unplannable::NoVariance)?;
    let start = 1.0 / (seeds as f64).sqrt();
    Ok(sd * least_effect(|f| f_power(f, conditions, seeds, goal.level), start, goal))
}

/// The seeds for each of `conditions` that the goal needs for a `spread`, the standard deviation of their means.
///
/// # Errors
/// As [`seeds_for_difference`], or if there is one condition only.
pub fn seeds_for_spread(conditions: usize, spread: f64, sd: f64, goal: Goal) -> Result<usize, Unplannable> {
    check(goal, 2)?;
    several(conditions)?;
    let sd = positive(sd).ok_or(Unplannable::NoVariance)?;
    let f = positive(spread / sd).ok_or(Unplannable::NoEffect)?;
    fewest_seeds(|seeds| f_power(f, conditions, seeds, goal.level), goal)
}

fn t_power(d: f64, a: usize, b: usize, level: f64) -> f64 {
    let (a, b) = (a as f64, b as f64);
    let df = a + b - 2.0;
    let critical = t_quantile(level / 2.0, df);
    let delta = d * (a * b / (a + b)).sqrt();
    noncentral_t_upper(critical, df, delta).p() + noncentral_t_lower(-critical, df, delta).p()
}

fn f_power(f: f64, conditions: usize, seeds: usize, level: f64) -> f64 {
    let (conditions, seeds) = (conditions as f64, seeds as f64);
    let (df1, df2) = (conditions - 1.0, conditions * (seeds - 1.0));
    noncentral_f_upper(f_quantile(level, df1, df2), df1, df2, conditions * seeds * f * f).p()
}

/// The effect with the goal's power, which grows with the effect: bracketed by doubling from `scale`, about one standard error, and
/// then halved to the last digit.
fn least_effect(power: impl Fn(f64) -> f64, scale: f64, goal: Goal) -> f64 {
    let (mut low, mut high) = (0.0, scale);
    while power(high) < goal.power {
        (low, high) = (high, 2.0 * high);
    }
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return high;
        }
        if power(middle) < goal.power {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// The fewest seeds, at least two, with the goal's power, which grows with the seeds.
fn fewest_seeds(power: impl Fn(usize) -> f64, goal: Goal) -> Result<usize, Unplannable> {
    let enough = |seeds: usize| power(seeds) >= goal.power;
    let (mut too_few, mut high) = (1, 2);
    while !enough(high) {
        if high > MOST_SEEDS {
            return Err(Unplannable::OutOfReach);
        }
        (too_few, high) = (high, 2 * high);
    }
    while high - too_few > 1 {
        let middle = too_few + (high - too_few) / 2;
        if enough(middle) {
            high = middle;
        } else {
            too_few = middle;
        }
    }
    if high > MOST_SEEDS { Err(Unplannable::OutOfReach) } else { Ok(high) }
}

fn check(goal: Goal, seeds: usize) -> Result<(), Unplannable> {
    if !(goal.level > 0.0 && goal.level < goal.power && goal.power < 1.0) {
        Err(Unplannable::BadGoal)
    } else if seeds < 2 {
        Err(Unplannable::TooFewSeeds)
    } else {
        Ok(())
    }
}

fn several(conditions: usize) -> Result<(), Unplannable> {
    if conditions < 2 { Err(Unplannable::OneCondition) } else { Ok(()) }
}

fn positive(value: f64) -> Option<f64> {
    (value > 0.0 && value.is_finite()).then_some(value)
}
