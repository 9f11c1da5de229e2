//! The assignments of runs to two conditions of given sizes.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Assignments by number. The same number is the same assignment, whichever thread asks and in whatever order.
#[derive(Debug, Clone)]
pub struct Arrangements {
    first: usize,
    runs: usize,
    count: u64,
    exact: bool,
    seed: [u8; 32],
}

impl Arrangements {
    /// `resamples` random assignments of `first + second` runs, or all that there are if they are no more.
    pub fn new(first: usize, second: usize, resamples: u64, seed: u64) -> Arrangements {
        let runs = first + second;
        let all = combinations(runs, first);
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let exact = all <= u128::from(resamples);
        Arrangements { first, runs, count: if exact { all as u64 } else { resamples }, exact, seed: key }
    }

    /// Whether these are all assignments.
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The runs of the first condition, ascending, in assignment `index`.
    pub fn nth(&self, index: u64) -> Vec<usize> {
        if self.exact { self.ranked(index) } else { self.drawn(index) }
    }

    /// The assignment with this number in lexicographic order.
    fn ranked(&self, index: u64) -> Vec<usize> {
        let mut left = u128::from(index);
        let mut chosen = Vec::with_capacity(self.first);
        for run in 0..self.runs {
            if chosen.len() == self.first {
                break;
            }
            let with_this = combinations(self.runs - run - 1, self.first - chosen.len() - 1);
            if left < with_this {
                chosen.push(run);
            } else {
                left -= with_this;
            }
        }
        chosen
    }

    /// A random assignment from a ChaCha12 stream of its own: the head of a Fisher-Yates shuffle.
    fn drawn(&self, index: u64) -> Vec<usize> {
        let mut random = ChaCha12Rng::from_seed(self.seed);
        random.set_stream(index);
        let mut runs: Vec<usize> = (0..self.runs).collect();
        for place in 0..self.first {
            let other = place + below(&mut random, (self.runs - place) as u64) as usize;
            runs.swap(place, other);
        }
        runs.truncate(self.first);
        runs.sort_unstable();
        runs
    }
}

/// A whole number drawn uniformly from `0..n` without bias, by Lemire's method: the high half of a product, few low halves rejected.
fn below(random: &mut ChaCha12Rng, n: u64) -> u64 {
    let rejected_below = n.wrapping_neg() % n;
    loop {
        let product = u128::from(random.next_u64()) * u128::from(n);
        if product as u64 >= rejected_below {
            return (product >> 64) as u64;
        }
    }
}

/// How many ways there are to choose `k` of `n`; the largest number that fits where there are more.
fn combinations(n: usize, k: usize) -> u128 {
    let k = k.min(n - k) as u128;
    let mut count: u128 = 1;
    for i in 0..k {
        match count.checked_mul(n as u128 - i) {
            Some(product) => count = product / (i + 1),
            None => return u128::MAX,
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn few_assignments_are_all_made_once() {
        let all = Arrangements::new(3, 4, 35, 1);
        assert!(all.is_exact());
        let distinct: BTreeSet<Vec<usize>> = (0..all.count()).map(|index| all.nth(index)).collect();
        assert_eq!(distinct.len(), 35);
        assert_eq!(distinct.first(), Some(&vec![0, 1, 2]));
        assert_eq!(all.nth(34), [4, 5, 6]);
    }

    #[test]
    fn many_are_drawn_evenly() {
        let drawn = Arrangements::new(3, 4, 34, 1);
        assert!(!drawn.is_exact());
        let many = Arrangements { count: 35_000, ..drawn };
        let mut times = std::collections::BTreeMap::new();
        (0..many.count()).for_each(|index| *times.entry(many.nth(index)).or_insert(0u32) += 1);
        assert_eq!(times.len(), 35);
        // Each is drawn 1000 times, give or take five standard deviations.
        assert!(times.values().all(|times| times.abs_diff(1000) < 160), "{times:?}");
        assert_ne!(many.nth(0), Arrangements::new(3, 4, 34, 2).nth(0));
    }

    #[test]
    fn more_ways_than_numbers_do_not_overflow() {
        assert_eq!(combinations(40, 20), 137_846_528_820);
        assert_eq!(combinations(2000, 1000), u128::MAX);
    }
}
