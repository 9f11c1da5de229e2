//! How long a shard waits before it is leased again after a failure.

/// The wait after the first setback, in milliseconds: long enough for a store or a node to recover from a hiccup.
pub const FIRST_MS: u64 = 1_000;
/// The longest wait, in milliseconds, so that work resumes soon after a long outage.
pub const LONGEST_MS: u64 = 60_000;

/// The wait after the `setbacks`-th setback in a row (from 1), in milliseconds: it doubles from [`FIRST_MS`] up to
/// [`LONGEST_MS`].
pub fn backoff_ms(setbacks: u32) -> u64 {
    let doublings = setbacks.saturating_sub(1).min(LONGEST_MS.ilog2());
    (FIRST_MS << doublings).min(LONGEST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits: Vec<u64> = (0..9).map(backoff_ms).collect();
        assert_eq!(waits, [1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(backoff_ms(u32::MAX), LONGEST_MS);
    }
}
