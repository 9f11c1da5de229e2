//! States that coincide to the bit (the first tokens of sentences, padded steps, oversampled copies) are found once per time step and
//! treated as one from there on.

use pulp::{Arch, Simd, WithSimd};

/// No state yet, in a row's or a table's place.
const NONE: u32 = u32::MAX;
/// Numbers of a row that are hashed side by side.
const LANES: usize = 8;

/// The distinct states among the rows that were added, numbered in the order of their first appearance.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    /// The row where each state first appeared.
    rows: Vec<u32>,
    hashes: Vec<u64>,
    /// The state of each row of the matrix, [`NONE`] for rows that were not added.
    of_row: Vec<u32>,
    /// States by hash, with open addressing; a power of two long, at most half full.
    table: Vec<u32>,
}

impl Distinct {
    /// Forgets all; makes room for rows below `rows`, which come from `points` places at most.
    pub fn clear(&mut self, rows: usize, points: usize) {
        self.rows.clear();
        self.hashes.clear();
        self.of_row.clear();
        self.of_row.resize(rows, NONE);
        self.table.clear();
        self.table.resize((2 * points.min(rows)).next_power_of_two(), NONE);
    }

    /// Adds rows of `states`, `[row, hidden]`; `state_of` becomes the state of each.
    pub fn add(&mut self, arch: Arch, states: &[f32], hidden: usize, rows: &[usize], state_of: &mut Vec<u32>) {
        state_of.clear();
        arch.dispatch(Add { distinct: self, states, hidden, rows, state_of });
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The state in a row, if it was added.
    #[inline(always)]
    pub fn state(&self, row: usize) -> Option<usize> {
        let state = self.of_row[row];
        (state != NONE).then_some(state as usize)
    }

    /// A row that holds the state.
    pub fn row(&self, state: usize) -> usize {
        self.rows[state] as usize
    }

    #[inline(always)]
    fn find_or_insert(&mut self, states: &[f32], hidden: usize, row: usize) -> u32 {
        let values = &states[row * hidden..][..hidden];
        let hash = hash(values);
        let mask = self.table.len() - 1;
        let mut place = hash as usize & mask;
        while self.table[place] != NONE {
            let state = self.table[place] as usize;
            if self.hashes[state] == hash && equal(values, &states[self.row(state) * hidden..][..hidden]) {
                return state as u32;
            }
            place = (place + 1) & mask;
        }
        let state = self.rows.len() as u32;
        self.table[place] = state;
        self.rows.push(row as u32);
        self.hashes.push(hash);
        state
    }
}

/// The vectorised part of [`Distinct::add`].
struct Add<'a> {
    distinct: &'a mut Distinct,
    states: &'a [f32],
    hidden: usize,
    rows: &'a [usize],
    state_of: &'a mut Vec<u32>,
}

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for &row in self.rows {
            if self.distinct.of_row[row] == NONE {
                self.distinct.of_row[row] = self.distinct.find_or_insert(self.states, self.hidden, row);
            }
            self.state_of.push(self.distinct.of_row[row]);
        }
    }
}

/// A hash of the bits: multiply and rotate in independent lanes, which vectorises, then the lanes one after the other.
#[inline(always)]
fn hash(values: &[f32]) -> u64 {
    const LANE_FACTOR: u32 = 0x9e37_79b1;
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0_u32; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = (lane.rotate_left(15) ^ value.to_bits()).wrapping_mul(LANE_FACTOR);
        }
    }
    let (pairs, _) = lanes.as_chunks::<2>();
    let wide = pairs.iter().map(|pair| (u64::from(pair[0]) << 32) | u64::from(pair[1]));
    let numbers = wide.chain(rest.iter().map(|value| u64::from(value.to_bits())));
    numbers.fold(0, |hash: u64, number| {
        let mixed = (hash ^ number).wrapping_mul(FACTOR);
        mixed ^ (mixed >> 32)
    })
}

/// Whether two rows agree in every bit; looks at all of them, so that the comparison vectorises.
#[inline(always)]
fn equal(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).fold(0, |differing, (a, b)| differing | (a.to_bits() ^ b.to_bits())) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_agree_to_the_bit_are_one_state_and_no_others() {
        let hidden = 11;
        // Row r holds pattern r % 7; pattern 5 is pattern 0 with the sign of its zeros changed.
        let value = |row: usize, unit: usize| match row % 7 {
            0 => 0.0,
            5 => -0.0,
            pattern => (pattern * (unit / 9)) as f32 * 0.5,
        };
        let states: Vec<f32> = (0..40 * hidden).map(|i| value(i / hidden, i % hidden)).collect();
        let (mut distinct, mut state_of) = (Distinct::default(), Vec::new());
        for _ in 0..2 {
            distinct.clear(40, 60);
            let rows: Vec<usize> = (0..60).map(|point| (point * 13) % 40).collect();
            distinct.add(Arch::new(), &states, hidden, &rows, &mut state_of);
            assert_eq!(distinct.len(), 7);
            for (row, state) in rows.iter().zip(&state_of) {
                assert_eq!(distinct.row(*state as usize) % 7, row % 7);
            }
        }
    }
}
