//! Dominance: how often a value of one group exceeds one of another, whatever the distributions.
//!
//! Small groups are resampled. Where that would be many draws, the interval is that of DeLong's variance, which large groups bear: the
//! variance of U over its pairs, estimated from each value's placement among the other group's values (DeLong, DeLong and Clarke-Pearson
//! 1988), on the logit scale, so that it stays between 0 and 1 (Newcombe 2006).

use rayon::prelude::*;

use crate::stats::bootstrap::{Interval, Resamples, acceleration_without};
use crate::stats::groups::check;
use crate::stats::random::{Resampling, Streams};
use crate::stats::summary::Summary;
use crate::stats::tails::normal_quantile;
use crate::stats::undefined::Undefined;

use super::Effect;

/// Draws of a bootstrap interval at most, values of both groups times resamples; more take longer than they are worth.
pub const MOST_DRAWS: usize = 5_000_000;
/// Resamples that one thread makes in a row at least; fewer would cost more to hand out than to make.
const MIN_RESAMPLES: usize = 256;

/// How one group dominates another.
#[derive(Debug, Clone, PartialEq)]
pub struct Dominance {
    /// The common-language effect size P(A > B) + P(A = B) / 2 (McGraw and Wong 1992; Vargha and Delaney 2000).
    pub probability: f64,
    /// Its interval, or why there is none.
    pub interval: Result<(f64, f64), Undefined>,
    /// Where the interval comes from.
    pub method: Method,
}

/// Where an interval of P(A > B) comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// BCa bootstrap, each group resampled by itself.
    Bootstrap,
    /// DeLong's variance on the logit scale: where a bootstrap would be more than [`MOST_DRAWS`] draws.
    DeLong,
}

impl Method {
    /// The method in tables.
    pub fn name(self) -> &'static str {
        match self {
            Method::Bootstrap => "BCa bootstrap",
            Method::DeLong => "DeLong",
        }
    }

    /// The method for groups of so many values in all.
    pub fn of(values: usize, resampling: &Resampling) -> Method {
        if values.saturating_mul(resampling.resamples) > MOST_DRAWS { Method::DeLong } else { Method::Bootstrap }
    }
}

impl Dominance {
    /// The rank-biserial correlation 2 P − 1, which is Cliff's δ.
    pub fn rank_biserial(&self) -> f64 {
        2.0 * self.probability - 1.0
    }

    /// [`Dominance::rank_biserial`] with its interval.
    ///
    /// # Errors
    /// Why there is no interval.
    pub fn rank_biserial_effect(&self) -> Result<Effect, Undefined> {
        let (low, high) = self.interval?;
        Ok(Effect { estimate: self.rank_biserial(), interval: (2.0 * low - 1.0, 2.0 * high - 1.0) })
    }
}

/// The dominance of `a` over `b`, with an interval at `level` from the random streams called `name`.
///
/// # Errors
/// If a group has fewer than two values or one that is not finite.
pub fn dominance(
    a: &[f64],
    b: &[f64],
    level: f64,
    resampling: &Resampling,
    name: &str,
) -> Result<Dominance, Undefined> {
    check(&[a, b], 2)?;
    let placed = Placed::new(a, b);
    let probability = placed.probability();
    let method = Method::of(a.len() + b.len(), resampling);
    let interval = match method {
        Method::Bootstrap => placed.resample(resampling, name)?.interval(Interval::Bca, level),
        Method::DeLong => placed.delong(level),
    };
    Ok(Dominance { probability, interval, method })
}

/// Two groups with each value replaced by its place from 0 among the distinct values of both.
struct Placed {
    a: Vec<usize>,
    b: Vec<usize>,
    /// How often each place occurs in each group.
    counts: Vec<[u32; 2]>,
}

impl Placed {
    fn new(a: &[f64], b: &[f64]) -> Placed {
        let mut distinct = [a, b].concat();
        distinct.sort_by(f64::total_cmp);
        distinct.dedup();
        let of = |group: &[f64]| {
            group.iter().map(|value| distinct.partition_point(|other| other < value)).collect::<Vec<usize>>()
        };
        let (a, b) = (of(a), of(b));
        let mut counts = vec![[0; 2]; distinct.len()];
        a.iter().for_each(|place| counts[*place][0] += 1);
        b.iter().for_each(|place| counts[*place][1] += 1);
        Placed { a, b, counts }
    }

    /// P(A > B) + P(A = B) / 2
    fn probability(&self) -> f64 {
        superiority(halves(&self.counts), self.a.len(), self.b.len())
    }

    /// The resamples of P(A > B), drawn as [`Resamples::stratified`] draws them (first all of A, then all of B), so that its numbers are
    /// the same.
    ///
    /// What counts is how often each value was drawn. With A's value i drawn cᵢ times, B's value j dⱼ times, and wᵢⱼ = 1 where the one
    /// exceeds the other (½ in a tie), Σᵢⱼ cᵢ dⱼ wᵢⱼ needs one pass over the places, and all of it is whole numbers of halves, which are
    /// exact.
    fn resample(&self, resampling: &Resampling, name: &str) -> Result<Resamples, Undefined> {
        let streams = Streams::new(resampling.seed, name);
        let mut values = vec![0.0; resampling.resamples];
        let room = || vec![[0_u32; 2]; self.counts.len()];
        values.par_iter_mut().with_min_len(MIN_RESAMPLES).enumerate().for_each_init(room, |counts, (number, value)| {
            counts.fill([0; 2]);
            let mut stream = streams.of_resample(number);
            for (side, places) in [&self.a, &self.b].into_iter().enumerate() {
                for _ in 0..places.len() {
                    counts[places[stream.below(places.len())]][side] += 1;
                }
            }
            *value = superiority(halves(counts), self.a.len(), self.b.len());
        });
        let (of_a, of_b) = self.placements();
        let (all, a, b) = (halves(&self.counts), self.a.len(), self.b.len());
        let without_a = self.a.iter().map(|place| superiority(all - of_a[*place], a - 1, b)).collect();
        let without_b = self.b.iter().map(|place| superiority(all - of_b[*place], a, b - 1)).collect();
        Resamples::from_values(self.probability(), values, acceleration_without(&[without_a, without_b]))
    }

    /// For a value at every place: twice how many of B's values it exceeds as one of A's, and of A's that exceed it as one of B's, ties
    /// counting one.
    fn placements(&self) -> (Vec<u64>, Vec<u64>) {
        let (mut below, mut above) = (0, self.a.len() as u64);
        let mut of_a = Vec::with_capacity(self.counts.len());
        let mut of_b = Vec::with_capacity(self.counts.len());
        for [in_a, in_b] in self.counts.iter().map(|counts| counts.map(u64::from)) {
            above -= in_a;
            of_a.push(2 * below + in_b);
            of_b.push(2 * above + in_a);
            below += in_b;
        }
        (of_a, of_b)
    }

    /// The interval by DeLong's variance on the logit scale.
    ///
    /// # Errors
    /// If every value of one group exceeds every value of the other.
    fn delong(&self, level: f64) -> Result<(f64, f64), Undefined> {
        let probability = self.probability();
        let (of_a, of_b) = self.placements();
        let squared_error = |places: &[usize], halves: &[u64], others: usize| {
            let values: Vec<f64> = places.iter().map(|place| halves[*place] as f64 / 2.0 / others as f64).collect();
            Summary::of(&values).and_then(|summary| summary.se()).map_or(0.0, |se| se * se)
        };
        let variance = squared_error(&self.a, &of_a, self.b.len()) + squared_error(&self.b, &of_b, self.a.len());
        if variance <= 0.0 {
            return Err(Undefined::Apart);
        }
        let odds = probability * (1.0 - probability);
        let half = normal_quantile((1.0 - level) / 2.0) * variance.sqrt() / odds;
        let logit = (probability / (1.0 - probability)).ln();
        let back = |logit: f64| 1.0 / (1.0 + (-logit).exp());
        Ok((back(logit - half), back(logit + half)))
    }
}

/// Twice how many pairs of A's and B's values have A's above, ties counting one, from how often each place occurs in each group.
fn halves(counts: &[[u32; 2]]) -> u64 {
    let (mut below, mut halves) = (0_u64, 0_u64);
    for [of_a, of_b] in counts {
        halves += u64::from(*of_a) * (2 * below + u64::from(*of_b));
        below += u64::from(*of_b);
    }
    halves
}

fn superiority(halves: u64, size_a: usize, size_b: usize) -> f64 {
    halves as f64 / 2.0 / (size_a * size_b) as f64
}

/// P(A > B) + P(A = B) / 2 over all pairs of two groups that are not empty.
pub fn probability_of_superiority(a: &[f64], b: &[f64]) -> f64 {
    let wins: f64 = a
        .iter()
        .map(|x| b.iter().map(|y| f64::from(u8::from(x > y)) + 0.5 * f64::from(u8::from(x == y))).sum::<f64>())
        .sum();
    wins / (a.len() * b.len()) as f64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn resamples_of_counts_are_those_of_the_values() {
        for (a, b) in [
            (vec![0.5, 0.75, 0.75, 0.125, 0.0], vec![0.75, 0.25, -0.0, 0.5]),
            ((0..40).map(|i| f64::from(i * i % 23)).collect(), (0..30).map(|i| f64::from(i * 7 % 31) * 0.7).collect()),
        ] {
            let resampling = Resampling { seed: 3, resamples: 500 };
            let found = Placed::new(&a, &b).resample(&resampling, "test");
            let plain = Resamples::stratified(&[&a, &b], &resampling, "test", |groups| {
                probability_of_superiority(&groups[0], &groups[1])
            });
            assert_eq!(found, plain);
        }
    }

    #[test]
    fn delong_is_near_the_bootstrap_in_large_groups() {
        let a: Vec<f64> = (0..900).map(|i| f64::from(i * i % 1009) + 60.0).collect();
        let b: Vec<f64> = (0..800).map(|i| f64::from(i * 37 % 1013)).collect();
        let placed = Placed::new(&a, &b);
        let resampling = Resampling { seed: 3, resamples: 4000 };
        let bootstrap = placed.resample(&resampling, "test").unwrap().interval(Interval::Bca, 0.95).unwrap();
        let delong = placed.delong(0.95).unwrap();
        assert!(
            (delong.0 - bootstrap.0).abs() < 2e-3 && (delong.1 - bootstrap.1).abs() < 2e-3,
            "{delong:?} {bootstrap:?}"
        );
        assert!(delong.0 < placed.probability() && placed.probability() < delong.1);
    }

    /// Placements by hand: A = 1, 3, 5 exceeds 0, 1½ and 3 of B = 2, 3, 4; B is exceeded by 2, 1½ and 1 of A. Their variances are 2¼/9
    /// and ¼/9.
    #[test]
    fn delong_s_variance_is_that_of_placements() {
        let placed = Placed::new(&[1.0, 3.0, 5.0], &[2.0, 3.0, 4.0]);
        assert_eq!(placed.placements(), (vec![0, 1, 3, 5, 6], vec![5, 4, 3, 2, 1]));
        let se = (2.25_f64 / 9.0 / 3.0 + 0.25 / 9.0 / 3.0).sqrt();
        let (low, high) = placed.delong(0.95).unwrap();
        let half = 1.959_963_984_540_054 * se / 0.25;
        assert!((low - 1.0 / (1.0 + half.exp())).abs() < 1e-12 && (high - 1.0 / (1.0 + (-half).exp())).abs() < 1e-12);
        assert_eq!(Placed::new(&[1.0, 2.0], &[3.0, 4.0]).delong(0.95), Err(Undefined::Apart));
    }

    #[test]
    fn many_draws_take_another_interval() {
        let resampling = Resampling { seed: 3, resamples: 10_000 };
        assert_eq!(Method::of(500, &resampling), Method::Bootstrap);
        assert_eq!(Method::of(501, &resampling), Method::DeLong);
    }
}
