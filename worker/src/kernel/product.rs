//! Matrix products on slices, `out = left · right` or `out += left · right`.
//!
//! The right side is packed into panels as wide as a few vector registers, once for as many products as use it: a recurrent layer
//! multiplies by the same weights at every time step of a batch. A transposed left side is packed tile by tile on the way. Nothing is
//! allocated once the buffers have grown. Each number of the result is summed in the order of the inner index, in whole blocks, so
//! the same product has the same bits however many threads share its rows.

use std::ops::Range;

use pulp::{Arch, NullaryFnOnce, Simd, WithSimd, as_arrays, as_arrays_mut};
use rayon::prelude::*;

use super::real::Real;
use super::sized;

/// Registers that a panel is wide.
const PANEL_VECTORS: usize = 3;
/// Rows of the left side that are packed and multiplied at once, counted in numbers: what stays in a second-level cache with a panel.
const LEFT_BLOCK: usize = 1 << 16;
/// Inner length up to which rows of the left side are multiplied where they stand: as many as a tile takes of them, and a panel, stay in
/// a first-level cache. Longer ones are packed first, and transposed ones, whose numbers lie in as many cache lines.
const IN_PLACE: usize = 128;
/// Inner length of one block of [`Products::multiply_long`]: a panel and a tile of it stay in a first-level cache.
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

/// A right side in panels, `[panel][inner][columns of the panel]`: as wide as three registers, the last one as wide as it must be. What
/// stands in it beyond the last column is left over from before; no result is made of it.
#[derive(Debug, Clone, Default)]
pub struct Packed<R> {
    values: Vec<R>,
    inner: usize,
    columns: usize,
    /// Numbers in a register.
    lanes: usize,
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
        self.begin(arch, right.rows, right.columns);
        if right.column_stride == 1 {
            for panel in self.panels() {
                let (first, width) = (panel.first, panel.width.min(self.columns - panel.first));
                for (row, line) in self.values[panel.values].chunks_exact_mut(panel.width).enumerate() {
                    let start = row * right.row_stride + first;
                    line[..width].copy_from_slice(&right.values[start..start + width]);
                }
            }
        } else {
            for panel in self.panels() {
                let width = panel.width.min(self.columns - panel.first);
                let values = &mut self.values[panel.values];
                for column in 0..width {
                    for row in 0..right.rows {
                        values[row * panel.width + column] = right.at(row, panel.first + column);
                    }
                }
            }
        }
    }

    /// Makes room for a right side `[inner, columns]`, which is then [placed](Packed::place) piece by piece.
    pub fn begin(&mut self, arch: Arch, inner: usize, columns: usize) {
        (self.inner, self.columns, self.lanes) = (inner, columns, lanes::<R>(arch));
        sized(&mut self.values, inner * columns.next_multiple_of(self.lanes));
    }

    /// Places `scale` · rows + `shift`, rows being `[row, width]`, from the row and column given on.
    pub fn place(&mut self, arch: Arch, rows: &[R], width: usize, at: (usize, usize), (scale, shift): (R, R)) {
        let (first_row, first_column) = at;
        for panel in self.panels() {
            let columns = panel.first.max(first_column)..(panel.first + panel.width).min(first_column + width);
            if columns.is_empty() {
                continue;
            }
            let values = &mut self.values[panel.values][first_row * panel.width..];
            let piece = Piece {
                to: values,
                to_width: panel.width,
                to_first: columns.start - panel.first,
                from: rows,
                from_width: width,
                from_first: columns.start - first_column,
                columns: columns.len(),
                scale,
                shift,
            };
            arch.dispatch(piece);
        }
    }

    fn panels(&self) -> impl Iterator<Item = Panel> + use<R> {
        let (inner, lanes, columns) = (self.inner, self.lanes, self.columns);
        (0..columns).step_by(PANEL_VECTORS * lanes.max(1)).map(move |first| {
            let width = (columns - first).next_multiple_of(lanes).min(PANEL_VECTORS * lanes);
            Panel { first, width, values: inner * first..inner * (first + width) }
        })
    }
}

/// One panel of a packed right side.
#[derive(Debug)]
struct Panel {
    /// Its first column.
    first: usize,
    /// Its columns, a multiple of a register's numbers.
    width: usize,
    /// Where its values lie.
    values: Range<usize>,
}

/// What [`Packed::place`] does to one panel.
struct Piece<'a, R> {
    to: &'a mut [R],
    to_width: usize,
    to_first: usize,
    from: &'a [R],
    from_width: usize,
    from_first: usize,
    columns: usize,
    scale: R,
    shift: R,
}

impl<R: Real> WithSimd for Piece<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let to_rows = self.to.chunks_exact_mut(self.to_width);
        for (to, from) in to_rows.zip(self.from.chunks_exact(self.from_width)) {
            let to = &mut to[self.to_first..][..self.columns];
            let from = &from[self.from_first..][..self.columns];
            to.iter_mut().zip(from).for_each(|(to, from)| *to = from.mul_add(self.scale, self.shift));
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

/// Numbers in a register.
fn lanes<R: Real>(arch: Arch) -> usize {
    struct Lanes<R>(std::marker::PhantomData<R>);
    impl<R: Real> WithSimd for Lanes<R> {
        type Output = usize;
        fn with_simd<S: Simd>(self, _: S) -> usize {
            size_of::<R::Lanes<S>>() / size_of::<R>()
        }
    }
    arch.dispatch(Lanes::<R>(std::marker::PhantomData))
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
        if S::REGISTER_COUNT >= 32 { self.tiled::<S, 8>(simd) } else { self.tiled::<S, 4>(simd) }
    }
}

impl<R: Real> Rows<'_, R> {
    #[inline(always)]
    fn tiled<S: Simd, const ROWS: usize>(self, simd: S) {
        let (inner, columns) = (self.left.columns, self.right.columns);
        let block_rows = (LEFT_BLOCK / inner.max(1) / ROWS * ROWS).max(ROWS);
        for first in (0..self.left.rows).step_by(block_rows) {
            let left = self.left.rows_from(first, block_rows.min(self.left.rows - first));
            let is_in_place = left.column_stride == 1 && inner <= IN_PLACE;
            if !is_in_place {
                // A function of its own, which leaves the registers of the products alone.
                simd.vectorize(PackTiles::<R, ROWS> { tiles: self.tiles, left });
            }
            for panel in self.right.panels() {
                let out = &mut self.out[first * columns..(first + left.rows) * columns];
                let right = &self.right.values[panel.values];
                let vectors = panel.width / self.right.lanes;
                let product = PanelProduct { out, columns, first: panel.first, right, accumulate: self.accumulate };
                match (is_in_place, vectors) {
                    (true, 3) => product.of_rows::<S, ROWS, 3>(simd, left),
                    (true, 2) => product.of_rows::<S, ROWS, 2>(simd, left),
                    (true, _) => product.of_rows::<S, ROWS, 1>(simd, left),
                    (false, 3) => product.of_tiles::<S, ROWS, 3>(simd, self.tiles, inner),
                    (false, 2) => product.of_tiles::<S, ROWS, 2>(simd, self.tiles, inner),
                    (false, _) => product.of_tiles::<S, ROWS, 1>(simd, self.tiles, inner),
                }
            }
        }
    }
}

/// The product of some rows with one panel.
struct PanelProduct<'a, R> {
    /// `[row, columns]`.
    out: &'a mut [R],
    columns: usize,
    /// The panel's first column.
    first: usize,
    right: &'a [R],
    accumulate: bool,
}

impl<R: Real> PanelProduct<'_, R> {
    #[inline(always)]
    fn of_rows<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S, left: View<'_, R>) {
        let (right, _) = as_arrays::<VECTORS, _>(R::lanes::<S>(self.right).0);
        for (tile, out) in self.out.chunks_mut(ROWS * self.columns).enumerate() {
            // The last row fills up the last tile. Iterators, and not places, spare a check for each number.
            let row = |i: usize| {
                let start = (tile * ROWS + i).min(left.rows - 1) * left.row_stride;
                left.values[start..start + right.len()].iter()
            };
            let four = |i: usize| row(i).zip(row(i + 1)).zip(row(i + 2).zip(row(i + 3)));
            let mut sums = [[R::splat(simd, R::ZERO); VECTORS]; ROWS];
            if ROWS == 8 {
                for (right, (((a, b), (c, d)), ((e, f), (g, h)))) in right.iter().zip(four(0).zip(four(4))) {
                    add_products(simd, &mut sums, [*a, *b, *c, *d, *e, *f, *g, *h], right);
                }
            } else {
                for (right, ((a, b), (c, d))) in right.iter().zip(four(0)) {
                    add_products(simd, &mut sums, [*a, *b, *c, *d], right);
                }
            }
            store::<R, S, ROWS, VECTORS>(simd, out, self.columns, self.first, &sums, self.accumulate);
        }
    }

    #[inline(always)]
    fn of_tiles<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S, tiles: &[R], inner: usize) {
        let (right, _) = as_arrays::<VECTORS, _>(R::lanes::<S>(self.right).0);
        let tiles = tiles.chunks_exact((ROWS * inner).max(1));
        for (tile, out) in tiles.zip(self.out.chunks_mut(ROWS * self.columns)) {
            let (left, _) = as_arrays::<ROWS, _>(tile);
            let mut sums = [[R::splat(simd, R::ZERO); VECTORS]; ROWS];
            for (left, right) in left.iter().zip(right) {
                add_products(simd, &mut sums, *left, right);
            }
            store::<R, S, ROWS, VECTORS>(simd, out, self.columns, self.first, &sums, self.accumulate);
        }
    }
}

/// Adds to each row of sums its factor times the right side's vectors.
#[inline(always)]
fn add_products<R: Real, S: Simd, const ROWS: usize, const VECTORS: usize, const FACTORS: usize>(
    simd: S,
    sums: &mut [[R::Lanes<S>; VECTORS]; ROWS],
    factors: [R; FACTORS],
    right: &[R::Lanes<S>; VECTORS],
) {
    for i in 0..FACTORS {
        let factor = R::splat(simd, factors[i]);
        for j in 0..VECTORS {
            sums[i][j] = R::fma(simd, factor, right[j], sums[i][j]);
        }
    }
}

/// Packs rows into tiles `[tile][inner][ROWS]`; what fills up the last one is of no consequence.
struct PackTiles<'a, R, const ROWS: usize> {
    tiles: &'a mut Vec<R>,
    left: View<'a, R>,
}

impl<R: Real, const ROWS: usize> NullaryFnOnce for PackTiles<'_, R, ROWS> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let PackTiles { tiles, left } = self;
        let inner = left.columns;
        let tiles = sized(tiles, left.rows.next_multiple_of(ROWS) * inner);
        for (tile, values) in tiles.chunks_exact_mut((ROWS * inner).max(1)).enumerate() {
            let (first, rows) = (tile * ROWS, ROWS.min(left.rows - tile * ROWS));
            let lines = as_arrays_mut::<ROWS, _>(values).0;
            if left.column_stride == 1 {
                transpose(lines, left, first, rows);
            } else if left.row_stride == 1 && rows == ROWS {
                // Copies of a length that the compiler knows are a move, others a call.
                for (k, line) in lines.iter_mut().enumerate() {
                    line.copy_from_slice(&left.values[first + k * left.column_stride..][..ROWS]);
                }
            } else {
                for (k, line) in lines.iter_mut().enumerate() {
                    line.iter_mut().enumerate().take(rows).for_each(|(i, value)| *value = left.at(first + i, k));
                }
            }
        }
    }
}

/// Writes rows of a row-major left side as the columns of a tile's lines; the last of the `rows` rows fills them up.
#[inline(always)]
fn transpose<R: Real, const ROWS: usize>(lines: &mut [[R; ROWS]], left: View<'_, R>, first: usize, rows: usize) {
    let inner = lines.len();
    let sources: [_; ROWS] = std::array::from_fn(|i| {
        let start = (first + i.min(rows - 1)) * left.row_stride;
        left.values[start..start + inner].as_chunks::<ROWS>()
    });
    let (squares, rest) = lines.as_chunks_mut::<ROWS>();
    for (square, lines) in squares.iter_mut().enumerate() {
        let mut block = [[R::ZERO; ROWS]; ROWS];
        for i in 0..ROWS {
            block[i] = sources[i].0[square];
        }
        for k in 0..ROWS {
            for i in 0..ROWS {
                lines[k][i] = block[i][k];
            }
        }
    }
    for (k, line) in rest.iter_mut().enumerate() {
        *line = std::array::from_fn(|i| sources[i].1[k]);
    }
}

/// Writes or adds a tile of sums to the columns of `out` from `first` on, `[row, columns]`, as far as both go.
#[inline(always)]
fn store<R: Real, S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    out: &mut [R],
    columns: usize,
    first: usize,
    sums: &[[R::Lanes<S>; VECTORS]; ROWS],
    accumulate: bool,
) {
    let width = (columns - first).min(VECTORS * (size_of::<R::Lanes<S>>() / size_of::<R>()));
    for (sums, line) in sums.iter().zip(out.chunks_exact_mut(columns)) {
        let (whole, rest) = R::lanes_mut::<S>(&mut line[first..first + width]);
        for (out, sum) in whole.iter_mut().zip(sums) {
            *out = if accumulate { R::sum(simd, *out, *sum) } else { *sum };
        }
        if !rest.is_empty() {
            let sum = sums[whole.len()];
            let sum = if accumulate { R::sum(simd, R::load_short(simd, rest), sum) } else { sum };
            R::store_short(simd, rest, sum);
        }
    }
}
