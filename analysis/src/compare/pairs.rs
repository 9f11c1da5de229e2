//! Conditions with true labels against one another.

use curvefleet_proto::study::{Comparisons, ComparisonsKeyword};
use rayon::prelude::*;

use super::contrast::Contrast;
use super::outcome::{ConditionSamples, Outcome, comparable, truths};
use super::reason::{reason, runs_with_value};
use crate::stats::pairwise::{self, games_howell, tukey};
use crate::stats::random::Resampling;

/// Two conditions compared.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The first condition's name.
    pub first: String,
    /// The second's.
    pub second: String,
    /// Effect sizes and Welch's test.
    pub contrast: Contrast,
    /// The Games-Howell test, whose p and interval hold for all pairs of conditions together.
    pub games_howell: Result<pairwise::Pair, String>,
    /// Tukey's, which also takes the variances to be equal.
    pub tukey: Result<pairwise::Pair, String>,
}

/// Compares the pairs that the study names, in its order.
pub(super) fn compare(
    samples: &[ConditionSamples],
    asked: &Comparisons,
    outcome: &Outcome,
    level: f64,
    resampling: &Resampling,
) -> Vec<Pair> {
    let named = pairs_of(samples, asked);
    if named.is_empty() {
        return Vec::new();
    }
    let together = Together::new(samples, level);
    let compare = |(first, second): &(&str, &str)| {
        let values = |name: &str| {
            truths(samples).find(|(other, _)| *other == name).map_or(&[][..], |(_, sample)| &sample.values[..])
        };
        let stream = outcome.stream(&["pair", first, second]);
        let values = (values(first), values(second));
        let (games_howell, tukey) = together.pair(first, second);
        Pair {
            first: first.to_string(),
            second: second.to_string(),
            contrast: Contrast::new(values, [first, second], level, resampling, &stream),
            games_howell,
            tukey,
        }
    };
    named.par_iter().map(compare).collect()
}

/// The pairs of this data set and model.
fn pairs_of<'a>(samples: &'a [ConditionSamples], asked: &'a Comparisons) -> Vec<(&'a str, &'a str)> {
    let names: Vec<&str> = truths(samples).map(|(name, _)| name).collect();
    pairs_of_names(&names, asked)
}

/// The pairs that a study asks for among these conditions.
pub(super) fn pairs_of_names<'a>(names: &[&'a str], asked: &'a Comparisons) -> Vec<(&'a str, &'a str)> {
    match asked {
        Comparisons::Keyword(ComparisonsKeyword::None) => Vec::new(),
        Comparisons::Keyword(ComparisonsKeyword::All) => {
            pairwise::pairs(names.len()).into_iter().map(|(a, b)| (names[a], names[b])).collect()
        }
        Comparisons::Listed(listed) => listed
            .iter()
            .map(|[first, second]| (first.as_str(), second.as_str()))
            .filter(|(first, second)| names.contains(first) && names.contains(second))
            .collect(),
    }
}

/// The tests that look at all pairs at once.
struct Together<'a> {
    names: Vec<&'a str>,
    /// The conditions with too few runs, with how many they have.
    too_few: Vec<(&'a str, usize)>,
    games_howell: Result<Vec<Result<pairwise::Pair, String>>, String>,
    tukey: Result<Vec<pairwise::Pair>, String>,
}

impl<'a> Together<'a> {
    fn new(samples: &'a [ConditionSamples], level: f64) -> Together<'a> {
        let compared = comparable(samples);
        let names: Vec<&str> = compared.iter().map(|(name, _)| *name).collect();
        let values: Vec<&[f64]> = compared.iter().map(|(_, values)| *values).collect();
        let why = |undefined| reason(undefined, &names);
        let games_howell = games_howell(&values, level)
            .map(|pairs| pairs.into_iter().map(|pair| pair.map_err(why)).collect())
            .map_err(why);
        let tukey = tukey(&values, level).map_err(why);
        let too_few = truths(samples)
            .filter(|(_, sample)| sample.values.len() < 2)
            .map(|(name, sample)| (name, sample.values.len()))
            .collect();
        Together { names, too_few, games_howell, tukey }
    }

    /// One pair's Games-Howell and Tukey tests, the difference being that of the first from the second.
    fn pair(&self, first: &str, second: &str) -> (Result<pairwise::Pair, String>, Result<pairwise::Pair, String>) {
        if let Some((name, runs)) = self.too_few.iter().find(|(name, _)| *name == first || *name == second) {
            let reason = format!("{name} has {} where 2 are needed", runs_with_value(*runs));
            return (Err(reason.clone()), Err(reason));
        }
        let place = |name: &str| self.names.iter().position(|other| *other == name).unwrap_or(0);
        let (a, b) = (place(first), place(second));
        let (low, high) = (a.min(b), a.max(b));
        // Pairs come in the order (0, 1), (0, 2), …, (1, 2), …
        let index = low * self.names.len() - low * (low + 1) / 2 + high - low - 1;
        let oriented = |pair: &pairwise::Pair| if a < b { *pair } else { mirrored(pair) };
        let games_howell = match &self.games_howell {
            Ok(pairs) => pairs[index].as_ref().map(oriented).map_err(String::clone),
            Err(reason) => Err(reason.clone()),
        };
        let tukey = self.tukey.as_ref().map(|pairs| oriented(&pairs[index])).map_err(String::clone);
        (games_howell, tukey)
    }
}

/// The same comparison seen from the other side.
fn mirrored(pair: &pairwise::Pair) -> pairwise::Pair {
    let (low, high) = pair.interval;
    pairwise::Pair {
        groups: (pair.groups.1, pair.groups.0),
        difference: -pair.difference,
        interval: (-high, -low),
        ..*pair
    }
}
