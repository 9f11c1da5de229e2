//! Sixteen neighbouring numbers at a time. A cell's arithmetic is written for one lane of such blocks and loops over the lanes: all
//! that a block reads is read before anything of it is written, so the compiler need not fear that slices overlap, and a row's last,
//! shorter block costs as much as a whole one instead of sixteen times a number.

use super::Real;

/// Numbers in a block: as many `f32` as the widest registers hold.
pub const LANES: usize = 16;

/// Half a block: shorter ones are copied by it and number by number, without the call that a copy of any length is.
const HALF: usize = LANES / 2;

/// Neighbouring numbers.
pub type Block<R> = [R; LANES];

/// The block of `from` that begins at `at`; beyond the end of `from` it is zero.
#[inline(always)]
pub fn load<R: Real>(from: &[R], at: usize) -> Block<R> {
    match from[at..].first_chunk::<LANES>() {
        Some(block) => *block,
        None => {
            let mut block = [R::ZERO; LANES];
            match from[at..].split_first_chunk::<HALF>() {
                Some((half, rest)) => {
                    block[..HALF].copy_from_slice(half);
                    block[HALF..].iter_mut().zip(rest).for_each(|(to, value)| *to = *value);
                }
                None => block.iter_mut().zip(&from[at..]).for_each(|(to, value)| *to = *value),
            }
            block
        }
    }
}

/// Writes a block to where `to` has room for it.
#[inline(always)]
pub fn store<R: Real>(to: &mut [R], at: usize, block: Block<R>) {
    match to[at..].first_chunk_mut::<LANES>() {
        Some(place) => *place = block,
        None => {
            let place = &mut to[at..];
            match place.split_first_chunk_mut::<HALF>() {
                Some((half, rest)) => {
                    half.copy_from_slice(&block[..HALF]);
                    rest.iter_mut().zip(&block[HALF..]).for_each(|(to, value)| *to = *value);
                }
                None => place.iter_mut().zip(&block).for_each(|(to, value)| *to = *value),
            }
        }
    }
}
