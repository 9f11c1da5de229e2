//! Matrix products on slices, `out = left · right` or `out += left · right`.
//!
//! The right side is packed into panels as wide as a few vector registers, once for as many products as use it: a recurrent layer
//! multiplies by the same weights at every time step of a batch. The left side is packed tile by tile on the way. Nothing is
//! allocated once the buffers have grown. Each number of the result is summed in the order of the inner index, in whole blocks, so
//! the same product has the same bits however many threads share its rows.

use pulp::{Arch, Simd, WithSimd, as_arrays, as_arrays_mut};
use rayon::prelude::*;

use super::real::Real;

/// Rows of the left side that are packed and multiplied at once, counted in numbers: what stays in a second-level cache with a panel.
const LEFT_BLOCK: usize = 1 << 16;
/// Inner length of one block of [`Products::accumulate_long`]: a panel and a tile of it stay in a first-level cache.
const INNER_BLOCK: usize = 256;
/// Multiplications below which more threads cost more than they give.
const THREADED_FROM: usize = 1 << 20;

/// A matrix in a slice: element (r, c) stands at `r * row_stride + c * column_stride`.
#[derive(Debug, Clone, Copy)]
pub struct View<'a, R> {
    values: &'a [R],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

/// A right side in panels: `[panel][inner][panel_columns]`, the last panel filled up with zeros.
#[derive(Debug, Clone, Default)]
pub struct Packed<R> {
    values: Vec<R>,
    inner: usize,
    columns: usize,
    panel_columns: usize,
}

/// Multiplies, with the buffers that it takes.
#[derive(Debug)]
pub struct Products<R> {
    arch: Arch,
    threads: usize,
    /// One buffer of packed left tiles for each thread.
    left: Vec<Vec<R>>,
    block: Packed<R>,
}

impl<'a, R: Real> View<'a, R> {
    /// A row-major matrix `[rows, columns]`.
    pub fn new(values: &'a [R], rows: usize, columns: usize) -> View<'a, R> {
        assert!(values.len() >= rows * columns, "a view of {rows} × {columns} on {} numbers", values.len());
        View { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The transposed matrix, without moving anything.
    pub fn transposed(self) -> View<'a, R> {
        View {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Some rows of it.
    pub fn rows_from(self, first: usize, count: usize) -> View<'a, R> {
        View { values: &self.values[first * self.row_stride..], rows: count, ..self }
    }

    /// Some columns of it.
    pub fn columns_from(self, first: usize, count: usize) -> View<'a, R> {
        View { values: &self.values[first * self.column_stride..], columns: count, ..self }
    }

    #[inline(always)]
    fn at(&self, row: usize, column: usize) -> R {
        self.values[row * self.row_stride + column * self.column_stride]
    }
}

impl<R: Real> Packed<R> {
    /// Packs a right side `[inner, columns]` for products on `arch`, into the memory that is there.
    pub fn pack(&mut self, arch: Arch, right: View<'_, R>) {
        self.panel_columns = panel_columns::<R>(arch, right.columns);
        (self.inner, self.columns) = (right.rows, right.columns);
        let panels = right.columns.div_ceil(self.panel_columns);
        self.values.clear();
        self.values.resize(panels * right.rows * self.panel_columns, R::ZERO);
        let panel_size = right.rows * self.panel_columns;
        for (panel, values) in self.values.chunks_exact_mut(panel_size.max(1)).enumerate() {
            let first = panel * self.panel_columns;
            let width = self.panel_columns.min(right.columns - first);
            if right.column_stride == 1 {
                for (row, line) in values.chunks_exact_mut(self.panel_columns).enumerate() {
                    let start = row * right.row_stride + first;
                    line[..width].copy_from_slice(&right.values[start..start + width]);
                }
            } else {
                for column in 0..width {
                    for row in 0..right.rows {
                        values[row * self.panel_columns + column] = right.at(row, first + column);
                    }
                }
            }
        }
    }
}

impl<R: Real> Products<R> {
    /// A multiplier for one instruction set. More than one thread are those of the rayon pool it is called in.
    pub fn new(arch: Arch, threads: usize) -> Products<R> {
        Products { arch, threads, left: vec![Vec::new(); threads], block: Packed::default() }
    }

    /// The instruction set.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// `out = left · right` for a row-major `out`, `[left rows, right columns]`.
    pub fn multiply(&mut self, out: &mut [R], left: View<'_, R>, right: &Packed<R>) {
        run(self.arch, self.threads, &mut self.left, out, left, right, false);
    }

    /// `out += left · right`.
    pub fn accumulate(&mut self, out: &mut [R], left: View<'_, R>, right: &Packed<R>) {
        run(self.arch, self.threads, &mut self.left, out, left, right, true);
    }

    /// `out = left · right` for a long inner dimension and a right side that is used once: packed block by block on the way.
    pub fn multiply_long(&mut self, out: &mut [R], left: View<'_, R>, right: View<'_, R>) {
        assert_eq!(left.columns, right.rows, "inner dimensions");
        if right.rows == 0 {
            out.fill(R::ZERO);
        }
        for first in (0..right.rows).step_by(INNER_BLOCK) {
            let inner = INNER_BLOCK.min(right.rows - first);
            self.block.pack(self.arch, right.rows_from(first, inner));
            let left = left.columns_from(first, inner);
            run(self.arch, self.threads, &mut self.left, out, left, &self.block, first > 0);
        }
    }
}

/// How wide panels are for results of so many columns: three registers, or fewer where that leaves fewer columns empty.
fn panel_columns<R: Real>(arch: Arch, columns: usize) -> usize {
    struct Lanes<R>(std::marker::PhantomData<R>);
    impl<R: Real> WithSimd for Lanes<R> {
        type Output = usize;
        fn with_simd<S: Simd>(self, _: S) -> usize {
            size_of::<R::Lanes<S>>() / size_of::<R>()
        }
    }
    let lanes = arch.dispatch(Lanes::<R>(std::marker::PhantomData));
    let filled_up = |vectors: &usize| columns.next_multiple_of(vectors * lanes);
    lanes * [3, 2, 1].into_iter().min_by_key(filled_up).unwrap_or(1)
}

fn run<R: Real>(
    arch: Arch,
    threads: usize,
    buffers: &mut [Vec<R>],
    out: &mut [R],
    left: View<'_, R>,
    right: &Packed<R>,
    accumulate: bool,
) {
    assert_eq!(left.columns, right.inner, "inner dimensions");
    assert_eq!(out.len(), left.rows * right.columns, "the result is [{}, {}]", left.rows, right.columns);
    if out.is_empty() {
        return;
    }
    if threads == 1 || left.rows * left.columns * right.columns < THREADED_FROM {
        return arch.dispatch(Rows { out, left, right, accumulate, tiles: &mut buffers[0] });
    }
    let rows = left.rows.div_ceil(threads);
    let shares = out.par_chunks_mut(rows * right.columns).zip(buffers.par_iter_mut()).enumerate();
    shares.for_each(|(share, (out, tiles))| {
        let left = left.rows_from(share * rows, out.len() / right.columns);
        arch.dispatch(Rows { out, left, right, accumulate, tiles });
    });
}

/// One thread's share of a product: some rows.
struct Rows<'a, R> {
    out: &'a mut [R],
    left: View<'a, R>,
    right: &'a Packed<R>,
    accumulate: bool,
    tiles: &'a mut Vec<R>,
}

impl<R: Real> WithSimd for Rows<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // The sums of a tile stay in registers: 8 × 3 of 32, or 4 × 3 of 16.
        let vectors = self.right.panel_columns / (size_of::<R::Lanes<S>>() / size_of::<R>());
        match (S::REGISTER_COUNT >= 32, vectors) {
            (true, 3) => self.tiled::<S, 8, 3>(simd),
            (true, 2) => self.tiled::<S, 8, 2>(simd),
            (true, _) => self.tiled::<S, 8, 1>(simd),
            (false, 3) => self.tiled::<S, 4, 3>(simd),
            (false, 2) => self.tiled::<S, 4, 2>(simd),
            (false, _) => self.tiled::<S, 4, 1>(simd),
        }
    }
}

impl<R: Real> Rows<'_, R> {
    #[inline(always)]
    fn tiled<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S) {
        let inner = self.left.columns;
        let columns = self.right.columns;
        let panel_columns = self.right.panel_columns;
        let block_rows = (LEFT_BLOCK / inner.max(1) / ROWS * ROWS).max(ROWS);
        for first in (0..self.left.rows).step_by(block_rows) {
            let rows = block_rows.min(self.left.rows - first);
            pack_tiles::<R, ROWS>(self.tiles, self.left.rows_from(first, rows));
            let out = &mut self.out[first * columns..(first + rows) * columns];
            for panel in 0..columns.div_ceil(panel_columns) {
                let start = panel * panel_columns;
                let width = panel_columns.min(columns - start);
                let right = &self.right.values[panel * inner * panel_columns..(panel + 1) * inner * panel_columns];
                let (right, _) = as_arrays::<VECTORS, _>(R::lanes::<S>(right).0);
                for row in (0..rows).step_by(ROWS) {
                    let (left, _) = as_arrays::<ROWS, _>(&self.tiles[row * inner..(row + ROWS) * inner]);
                    let mut sums = [[R::splat(simd, R::ZERO); VECTORS]; ROWS];
                    for (left, right) in left.iter().zip(right) {
                        for i in 0..ROWS {
                            let factor = R::splat(simd, left[i]);
                            for j in 0..VECTORS {
                                sums[i][j] = R::fma(simd, factor, right[j], sums[i][j]);
                            }
                        }
                    }
                    for (i, sums) in sums.iter().enumerate().take(rows - row) {
                        let line = &mut out[(row + i) * columns + start..][..width];
                        store::<R, S, VECTORS>(simd, line, sums, self.accumulate);
                    }
                }
            }
        }
    }
}

/// Packs rows into tiles `[tile][inner][ROWS]`, the last one filled up with zeros.
#[inline(always)]
fn pack_tiles<R: Real, const ROWS: usize>(tiles: &mut Vec<R>, left: View<'_, R>) {
    let inner = left.columns;
    let size = left.rows.div_ceil(ROWS) * ROWS * inner;
    if tiles.len() < size {
        tiles.resize(size, R::ZERO);
    }
    for (tile, values) in tiles[..size].chunks_exact_mut((ROWS * inner).max(1)).enumerate() {
        let rows = ROWS.min(left.rows - tile * ROWS);
        if left.row_stride == 1 && rows == ROWS {
            // Copies of a length that the compiler knows are a move, others a call.
            for (k, line) in as_arrays_mut::<ROWS, _>(values).0.iter_mut().enumerate() {
                line.copy_from_slice(&left.values[tile * ROWS + k * left.column_stride..][..ROWS]);
            }
        } else if left.row_stride == 1 {
            for (k, line) in values.chunks_exact_mut(ROWS).enumerate() {
                let start = tile * ROWS + k * left.column_stride;
                line[..rows].copy_from_slice(&left.values[start..start + rows]);
                line[rows..].fill(R::ZERO);
            }
        } else {
            transpose::<R, ROWS>(as_arrays_mut::<ROWS, _>(values).0, left, tile * ROWS, rows);
        }
    }
}

/// Writes `rows` rows of the left side, from `first` on, as the first columns of a tile's lines; the other columns become zero.
#[inline(always)]
fn transpose<R: Real, const ROWS: usize>(lines: &mut [[R; ROWS]], left: View<'_, R>, first: usize, rows: usize) {
    let inner = lines.len();
    let mut sources = [&left.values[..0]; ROWS];
    for (i, source) in sources.iter_mut().enumerate().take(rows) {
        *source = &left.values[(first + i) * left.row_stride..][..inner];
    }
    let (squares, rest) = lines.as_chunks_mut::<ROWS>();
    for (square, lines) in squares.iter_mut().enumerate() {
        let mut block = [[R::ZERO; ROWS]; ROWS];
        for (block, source) in block.iter_mut().zip(&sources) {
            *block = source.as_chunks::<ROWS>().0.get(square).copied().unwrap_or(*block);
        }
        for k in 0..ROWS {
            for i in 0..ROWS {
                lines[k][i] = block[i][k];
            }
        }
    }
    for (k, line) in rest.iter_mut().enumerate() {
        for (place, source) in line.iter_mut().zip(&sources) {
            *place = source.as_chunks::<ROWS>().1.get(k).copied().unwrap_or(R::ZERO);
        }
    }
}

/// Writes or adds a row of sums to the first `line.len()` columns of a panel.
#[inline(always)]
fn store<R: Real, S: Simd, const VECTORS: usize>(
    simd: S,
    line: &mut [R],
    sums: &[R::Lanes<S>; VECTORS],
    accumulate: bool,
) {
    let (whole, rest) = R::lanes_mut::<S>(line);
    for (out, sum) in whole.iter_mut().zip(sums) {
        *out = if accumulate { R::sum(simd, *out, *sum) } else { *sum };
    }
    if !rest.is_empty() {
        let last = R::unpack::<S>(&sums[whole.len()]);
        for (out, sum) in rest.iter_mut().zip(last) {
            *out = if accumulate { *out + *sum } else { *sum };
        }
    }
}
