//! The analysis's random streams: every quantity draws from streams of its own name, and every resample from one of its own number.
//!
//! So a quantity that is added, or computed on more threads, or resampled more often, moves no number of another.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// How often something is resampled, and from which seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resampling {
    /// The analysis's seed.
    pub seed: u64,
    /// How many resamples.
    pub resamples: usize,
}

/// The streams of one quantity: ChaCha12 keyed by SHA-256(seed, little-endian ‖ name), with the resample's number as ChaCha's stream.
#[derive(Debug, Clone)]
pub struct Streams {
    key: [u8; 32],
}

impl Streams {
    /// The streams of the quantity called `name`.
    pub fn new(seed: u64, name: &str) -> Streams {
        let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name.as_bytes()).finalize();
        Streams { key: digest.into() }
    }

    /// The stream of a resample.
    pub fn of_resample(&self, number: usize) -> Stream {
        let mut bits = ChaCha12Rng::from_seed(self.key);
        bits.set_stream(number as u64);
        Stream { bits }
    }
}

/// A sequence of draws.
#[derive(Debug, Clone)]
pub struct Stream {
    bits: ChaCha12Rng,
}

impl Stream {
    /// A whole number drawn uniformly from `0..n`, without bias (Lemire 2019), for 0 < `n` < 2³².
    pub fn below(&mut self, n: usize) -> usize {
        let n = n as u32;
        let rejected_below = n.wrapping_neg() % n;
        loop {
            let product = u64::from(self.bits.next_u32()) * u64::from(n);
            if product as u32 >= rejected_below {
                return (product >> 32) as usize;
            }
        }
    }

    /// Puts the items into a random order, every order equally likely (Fisher-Yates, from the end).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        self.shuffle_beyond(items, 1);
    }

    /// Does so until all from place `first` on are settled: which items those before it are is then random, their order is not.
    pub fn shuffle_beyond<T>(&mut self, items: &mut [T], first: usize) {
        for last in (first.max(1)..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
