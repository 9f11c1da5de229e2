//! Named random streams: every random choice of a run draws from a stream of its own, derived from the
//! run's seed and the stream's name.
//!
//! Streams are independent of one another, so a change in how often one step draws (a larger data set, another
//! split) never moves the numbers of another. The mapping from 64 random bits to integers, uniforms and
//! normals is written out here instead of taken from a library, and uses only operations that IEEE 754 fixes to
//! the bit: the same seed gives the same numbers on every machine and with every version of our dependencies.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// The random stream called `name` of the given seed: ChaCha12 keyed by `SHA-256(seed ‖ 0x00 ‖ name)`.
pub fn stream(seed: &[u8; 32], name: &str) -> Stream {
    let mut hasher = Sha256::new();
    hasher.update(seed);
    hasher.update([0]);
    hasher.update(name.as_bytes());
    Stream { bits: ChaCha12Rng::from_seed(hasher.finalize().into()) }
}

/// A sequence of random draws, fixed for ever by the seed and the name it was made from.
#[derive(Debug, Clone)]
pub struct Stream {
    bits: ChaCha12Rng,
}

impl Stream {
    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.bits.next_u64()
    }

    /// How far the stream has been drawn from, for a checkpoint: the same stream put [at](Stream::seek) this position goes on with
    /// the same numbers.
    pub fn position(&self) -> u128 {
        self.bits.get_word_pos()
    }

    /// Goes to a position that [`Stream::position`] gave.
    pub fn seek(&mut self, position: u128) {
        self.bits.set_word_pos(position);
    }

    /// A whole number drawn uniformly from `0..n`, without bias. `n = 0` is read as 1, so the answer is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        let n = n.max(1);
        // Lemire's method: the high half of a 128-bit product is uniform once the few low halves that
        // would over-represent some answers are rejected.
        let rejected_below = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= rejected_below {
                return (product >> 64) as u64;
            }
        }
    }

    /// A number drawn uniformly from `[0, 1)`, a multiple of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1u64 << 53) as f64;
        (self.next_u64() >> 11) as f64 * STEP
    }

    /// A standard normal number, by Marsaglia's polar method. The method's second number is thrown away, so
    /// that a stream's state is its position and nothing else.
    pub fn normal(&mut self) -> f64 {
        loop {
            let u = 2.0 * self.uniform() - 1.0;
            let v = 2.0 * self.uniform() - 1.0;
            let s = u * u + v * v;
            if s > 0.0 && s < 1.0 {
                return u * (-2.0 * natural_log(s) / s).sqrt();
            }
        }
    }

    /// Puts the items into a random order, every order equally likely (Fisher-Yates, from the end).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let chosen = self.below(last as u64 + 1) as usize;
            items.swap(last, chosen);
        }
    }
}

/// ln(x) for normal positive x, to about one unit in the last place, from additions, multiplications and
/// divisions alone: the `ln` of the platform's C library may differ between machines in the last bit.
fn natural_log(x: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    const ONE: u64 = 1023 << 52;
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & MANTISSA) | ONE);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh z with z = (m − 1)/(m + 1); |z| ≤ 0.172, so eleven terms reach 2⁻⁵³.
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let square = z * z;
    let series = (0..11).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    2.0 * z * series + exponent as f64 * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: [u8; 32] = [7; 32];

    #[test]
    fn a_stream_is_chacha12_keyed_by_the_hash_of_seed_and_name() {
        let mut drawn = stream(&SEED, "split");
        let key: [u8; 32] = Sha256::digest([&SEED[..], &[0], "split".as_bytes()].concat()).into();
        let mut direct = ChaCha12Rng::from_seed(key);
        for _ in 0..100 {
            assert_eq!(drawn.next_u64(), direct.next_u64());
        }
    }

    #[test]
    fn the_first_draws_are_known() {
        let mut s = stream(&[0; 32], "known answers");
        let integers = [s.next_u64(), s.next_u64()];
        let below = [s.below(10), s.below(10), s.below(1000)];
        let uniform = s.uniform();
        let normal = s.normal();
        let mut order = [0, 1, 2, 3, 4, 5, 6, 7];
        s.shuffle(&mut order);
        // A ChaCha12 written out in Python gives the same, but for the normal's last bit, which the C library's ln decides there.
        assert_eq!(integers, [0x52fa_e895_68b4_8b19, 0xd5dc_2333_09bd_2921]);
        assert_eq!(below, [5, 9, 699]);
        assert_eq!((uniform, normal), (0.4570311254144588, 0.15909304936793517));
        assert_eq!(order, [2, 0, 4, 1, 3, 5, 7, 6]);
    }

    #[test]
    fn a_stream_goes_on_from_its_position() {
        let mut s = stream(&SEED, "batches");
        for drawn in 0..100 {
            let mut other = stream(&SEED, "batches");
            other.seek(s.position());
            assert_eq!(other.next_u64(), s.next_u64(), "after {drawn} draws");
        }
    }

    #[test]
    fn names_and_seeds_give_different_streams() {
        let a = stream(&SEED, "split").next_u64();
        let b = stream(&SEED, "labels").next_u64();
        let c = stream(&[8; 32], "split").next_u64();
        assert!(a != b && a != c && b != c);
    }

    #[test]
    fn below_is_uniform_and_stays_below() {
        let mut s = stream(&SEED, "below");
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[s.below(7) as usize] += 1;
        }
        // Five standard deviations of a binomial count of mean 10,000.
        assert!(counts.iter().all(|&n| n.abs_diff(10_000) < 470), "{counts:?}");
        assert_eq!(s.below(1), 0);
        assert_eq!(s.below(0), 0);
    }

    #[test]
    fn normal_has_mean_zero_variance_one_and_light_tails() {
        let mut s = stream(&SEED, "normal");
        let draws: Vec<f64> = (0..100_000).map(|_| s.normal()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / draws.len() as f64;
        let within_one = draws.iter().filter(|x| x.abs() < 1.0).count() as f64 / draws.len() as f64;
        assert!(mean.abs() < 0.016, "{mean}");
        assert!((variance - 1.0).abs() < 0.025, "{variance}");
        assert!((within_one - 0.682_689).abs() < 0.008, "{within_one}");
    }

    #[test]
    fn natural_log_agrees_with_the_library() {
        let mut s = stream(&SEED, "log");
        for _ in 0..10_000 {
            let x = s.uniform().max(1e-300);
            let error = (natural_log(x) - x.ln()).abs();
            assert!(error <= 4.0 * f64::EPSILON * x.ln().abs().max(f64::EPSILON), "ln {x}: {error}");
        }
    }

    #[test]
    fn shuffle_reaches_every_order_equally() {
        let mut s = stream(&SEED, "shuffle");
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..12_000 {
            let mut items = [0, 1, 2];
            s.shuffle(&mut items);
            *counts.entry(items).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|&n| n.abs_diff(2_000) < 210), "{counts:?}");
    }
}
