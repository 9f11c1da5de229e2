//! Products of numbers rounded to bfloat16, twice as fast as those of f32 where a processor has instructions for them (AVX-512 BF16):
//! enough to tell what may be near from what may not, where the bounds know how coarse they are.
//!
//! This is the only unsafe code here: pulp has no vectors of bfloat16. The test below compares what it computes with f64, and `tests/probe.rs`
//! the answers with those of the search without it.

use std::ops::Range;

use pulp::Arch;

/// Rows of a tile: its sums, this times [`VECTORS`], stay in registers.
const ROWS: usize = 8;
/// Registers that a panel is wide.
const VECTORS: usize = 3;
/// Numbers in a register.
const LANES: usize = 16;

/// Two numbers: the first in the lower half.
pub(super) type Pair = u32;

/// The processor has the instructions, and the instruction set in use does not exclude them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bf16(());

impl Bf16 {
    /// Whether they may be used.
    pub fn detect(arch: Arch) -> Option<Bf16> {
        #[cfg(target_arch = "x86_64")]
        if matches!(arch, Arch::V4(_)) && is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512f")
        {
            return Some(Bf16(()));
        }
        let _ = arch;
        None
    }
}

/// Rounds two finite numbers below 2¹²⁷ to the nearest, to even ones in the middle. The instructions take numbers too small to be normal for
/// zero, so that is what they become.
#[inline(always)]
pub(super) fn pair(first: f32, second: f32) -> Pair {
    (rounded(first) >> 16) | (rounded(second) & 0xffff_0000)
}

/// What a pair stands for.
#[inline(always)]
pub(super) fn unpair(pair: Pair) -> [f32; 2] {
    [f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000)]
}

#[inline(always)]
fn rounded(value: f32) -> u32 {
    let bits = if value.abs() < f32::MIN_POSITIVE { 0 } else { value.to_bits() };
    bits.wrapping_add(0x7fff + ((bits >> 16) & 1))
}

/// Columns of pairs, `[pairs, stride]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns<'a> {
    /// The pairs.
    pub values: &'a [Pair],
    /// How many pairs a column has.
    pub pairs: usize,
    /// From one line to the next.
    pub stride: usize,
}

/// Multiplies columns with columns, with the buffers that this takes.
#[derive(Debug, Default)]
pub(super) struct Products {
    /// Panels of the columns on the right, `[panel][pair]`; what fills up the last one is of no consequence.
    panels: Vec<[[Pair; LANES]; VECTORS]>,
    /// How many columns they hold.
    columns: usize,
    /// Tiles of the columns on the left, `[tile][pair]`.
    tiles: Vec<[Pair; ROWS]>,
}

impl Products {
    /// Takes some columns, a multiple of [`LANES`], for the right side.
    pub fn pack(&mut self, columns: Columns<'_>, chosen: Range<usize>) {
        self.columns = chosen.len();
        let panels = chosen.len().div_ceil(VECTORS * LANES);
        self.panels.resize((panels * columns.pairs).max(self.panels.len()), [[0; LANES]; VECTORS]);
        let vectors = chosen.step_by(LANES).enumerate();
        for (vector, first) in vectors {
            let panel = &mut self.panels[vector / VECTORS * columns.pairs..][..columns.pairs];
            for (line, to) in columns.values[first..].chunks(columns.stride).zip(panel) {
                to[vector % VECTORS].copy_from_slice(&line[..LANES]);
            }
        }
    }

    /// The products of some columns with those on the right, `[rows, columns]`; `rows` are a multiple of [`LANES`].
    pub fn multiply(&mut self, with: Bf16, out: &mut [f32], left: Columns<'_>, rows: Range<usize>) {
        let tiles = rows.len() / ROWS;
        self.tiles.resize((tiles * left.pairs).max(self.tiles.len()), [0; ROWS]);
        for (tile, first) in rows.step_by(ROWS).enumerate() {
            let tile = &mut self.tiles[tile * left.pairs..][..left.pairs];
            for (line, to) in left.values[first..].chunks(left.stride).zip(tile) {
                to.copy_from_slice(&line[..ROWS]);
            }
        }
        let (panels, tiles) = (&self.panels[..], &self.tiles[..tiles * left.pairs]);
        for first in (0..self.columns).step_by(VECTORS * LANES) {
            let panel = &panels[first / (VECTORS * LANES) * left.pairs..][..left.pairs];
            multiply_panel(with, out, self.columns, first, tiles, panel);
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn multiply_panel(
    _: Bf16,
    out: &mut [f32],
    columns: usize,
    first: usize,
    tiles: &[[Pair; ROWS]],
    panel: &[[[Pair; LANES]; VECTORS]],
) {
    use std::arch::x86_64::{__m512, __m512bh, _mm512_dpbf16_ps, _mm512_setzero_ps};
    use std::mem::transmute;

    /// The sums of one tile with a panel.
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn sums(tile: &[[Pair; ROWS]], panel: &[[[Pair; LANES]; VECTORS]]) -> [[__m512; VECTORS]; ROWS] {
        let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
        for (left, right) in tile.iter().zip(panel) {
            for i in 0..ROWS {
                // SAFETY: both types are 64 bytes, of which any bits are valid.
                let left = unsafe { transmute::<[Pair; LANES], __m512bh>([left[i]; LANES]) };
                for j in 0..VECTORS {
                    // SAFETY: both types are 64 bytes, of which any bits are valid.
                    let right = unsafe { transmute::<[Pair; LANES], __m512bh>(right[j]) };
                    sums[i][j] = _mm512_dpbf16_ps(sums[i][j], left, right);
                }
            }
        }
        sums
    }

    let width = (columns - first).min(VECTORS * LANES);
    for (tile, out) in tiles.chunks_exact(panel.len()).zip(out.chunks_mut(ROWS * columns)) {
        // SAFETY: there is a `Bf16` only where the processor was found to have these instructions.
        let sums = unsafe { sums(tile, panel) };
        for (sums, line) in sums.iter().zip(out.chunks_exact_mut(columns)) {
            for (sum, to) in sums.iter().zip(line[first..first + width].as_chunks_mut::<LANES>().0) {
                // SAFETY: both types are 64 bytes, of which any bits are valid.
                *to = unsafe { transmute::<__m512, [f32; LANES]>(*sum) };
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn multiply_panel(_: Bf16, _: &mut [f32], _: usize, _: usize, _: &[[Pair; ROWS]], _: &[[[Pair; LANES]; VECTORS]]) {
    unreachable!("there is no `Bf16` on this processor");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_the_nearest() {
        assert_eq!(unpair(pair(1.0, -2.5)), [1.0, -2.5]);
        // 1 + 2⁻⁸ lies in the middle between 1 and 1 + 2⁻⁷, and 1 is even; a little more goes up.
        assert_eq!(unpair(pair(1.003_906_3, 1.003_907)), [1.0, 1.007_812_5]);
        assert_eq!(unpair(pair(f32::MIN_POSITIVE, -f32::MIN_POSITIVE / 2.0)), [f32::MIN_POSITIVE, 0.0]);
        for i in 1..1000_u16 {
            let value = (f32::from(i) * 0.37).sin() * 3.0;
            let [rounded, _] = unpair(pair(value, 0.0));
            // Eight significant bits.
            assert!((rounded - value).abs() <= value.abs() / 256.0);
        }
    }

    #[test]
    fn products_are_those_of_the_rounded_numbers() {
        let Some(with) = Bf16::detect(Arch::new()) else {
            println!("skipped: this processor has no AVX-512 BF16");
            return;
        };
        let (pairs, columns, rows, stride) = (37, 80, 16, 112);
        let values: Vec<Pair> =
            (0..pairs * stride).map(|i| pair((i as f32 * 0.7).sin(), (i as f32 * 0.3).cos())).collect();
        let columns_of = Columns { values: &values, pairs, stride };
        let (mut products, mut out) = (Products::default(), vec![0.0; rows * columns]);
        products.pack(columns_of, 16..16 + columns);
        products.multiply(with, &mut out, columns_of, 96..96 + rows);
        for row in 0..rows {
            for column in 0..columns {
                let exact: f64 = (0..pairs)
                    .flat_map(|k| {
                        let (a, b) = (unpair(values[k * stride + 96 + row]), unpair(values[k * stride + 16 + column]));
                        [f64::from(a[0]) * f64::from(b[0]), f64::from(a[1]) * f64::from(b[1])]
                    })
                    .sum();
                assert!((f64::from(out[row * columns + column]) - exact).abs() < 1e-4);
            }
        }
    }
}
