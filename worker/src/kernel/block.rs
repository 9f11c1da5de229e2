//! A few neighbouring numbers at a time. A cell's arithmetic is written for one lane of such blocks and loops over the lanes: all
//! that a block reads is read before anything of it is written, so the compiler need not fear that slices overlap, and vectorises.

use super::Real;

/// Numbers in a block: as many `f32` as the widest registers hold.
pub const LANES: usize = 16;
/// Numbers in a block at the end of a row, where fewer are left.
pub const HALF: usize = LANES / 2;

/// Neighbouring numbers.
pub type Block<R, const N: usize> = [R; N];

/// The block of `from` that begins at `at`; beyond the end of `from` it is zero.
#[inline(always)]
pub fn load<R: Real, const N: usize>(from: &[R], at: usize) -> Block<R, N> {
    match from[at..].first_chunk::<N>() {
        Some(block) => *block,
        None => {
            let mut block = [R::ZERO; N];
            block.iter_mut().zip(&from[at..]).for_each(|(to, value)| *to = *value);
            block
        }
    }
}

/// Writes a block to where `to` has room for it.
#[inline(always)]
pub fn store<R: Real, const N: usize>(to: &mut [R], at: usize, block: Block<R, N>) {
    match to[at..].first_chunk_mut::<N>() {
        Some(place) => *place = block,
        None => to[at..].iter_mut().zip(&block).for_each(|(to, value)| *to = *value),
    }
}
