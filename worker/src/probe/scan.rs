//! Going through the products of asked and fitted states: what could still be near goes to the askers' shortlists.

use pulp::{Arch, Simd, WithSimd};

use super::askers::{Asker, Place};
use super::centred::{Centred, LANES};
use super::fitted::Fitted;
use super::shortlists::{Entry, Shortlists};

/// What products are gone through for. *Rows* are places where askers ask, *columns* fitted states.
pub(super) struct Scan<'a> {
    /// The fitted points.
    pub fitted: Fitted<'a>,
    /// Some fitted states, less the centre.
    pub columns: &'a Centred,
    /// Which of them each column is; `None` where all are, each the column of its number.
    pub column_states: Option<&'a [u32]>,
    /// The asked states, less the centre; the same as `columns` where each product serves both ways.
    pub rows: &'a Centred,
    /// All askers.
    pub askers: &'a [Asker],
    /// The askers of each row.
    pub places: &'a [Place],
    /// Per row (filled up with NaN to the width of `rows`) the largest of its askers' limits: a base less a product above it concerns none
    /// of them.
    pub limits: &'a mut Vec<f32>,
    /// One for each asker.
    pub shortlists: &'a mut Shortlists,
}

/// Products of rows from `first_row` on with columns from `first_column` on, `[row, columns]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile<'a> {
    /// The products.
    pub products: &'a [f32],
    /// The first row.
    pub first_row: usize,
    /// The first column.
    pub first_column: usize,
    /// How many columns, a multiple of [`LANES`].
    pub columns: usize,
}

impl Scan<'_> {
    /// Begins. Where all fitted states are columns, every asker at one of them has that one on its list at once.
    pub fn begin(&mut self) {
        self.limits.clear();
        self.limits.resize(self.rows.width, f32::NAN);
        for row in 0..self.places.len() {
            let own = self.places[row].state as usize;
            if self.rows.spreads[row] == f32::INFINITY {
                (self.places[row].first..self.places[row].end)
                    .for_each(|asker| self.shortlists.give_up(asker as usize));
            } else if self.column_states.is_none() && own < self.fitted.states {
                self.take(row, own, self.columns.bases[own] - self.rows.squares[row]);
            } else {
                self.limits[row] = f32::INFINITY;
            }
        }
    }

    /// Goes through products, each for its row's askers.
    pub fn one_way(&mut self, arch: Arch, tile: Tile<'_>) {
        arch.dispatch(OneWay { scan: self, tile });
    }

    /// Goes through products, each for its row's askers and for those of its column, which is a row too.
    pub fn both_ways(&mut self, arch: Arch, tile: Tile<'_>) {
        arch.dispatch(BothWays { scan: self, tile });
    }

    /// Offers the columns that may be near to the askers of a row.
    #[inline(never)]
    fn take_columns(&mut self, row: usize, column: usize, products: &[f32; LANES]) {
        let Some(bases) = self.columns.bases[column..].first_chunk::<LANES>() else { return };
        let limit = self.limits[row];
        let near = std::array::from_fn(|lane| u8::from(bases[lane] - products[lane] <= limit));
        for lane in marked(near) {
            let low = bases[lane] - products[lane];
            if low <= self.limits[row] && !self.has_begun_with(row, column + lane) {
                self.take(row, column + lane, low);
            }
        }
    }

    /// Offers a row to the askers of the columns that it may be near to.
    #[inline(never)]
    fn take_row(&mut self, row: usize, column: usize, products: &[f32; LANES]) {
        let Some(limits) = self.limits[column..].first_chunk::<LANES>() else { return };
        let base = self.columns.bases[row];
        let near = std::array::from_fn(|lane| u8::from(base - products[lane] <= limits[lane]));
        for lane in marked(near) {
            self.take(column + lane, row, base - products[lane]);
        }
    }

    /// Whether [`Scan::begin`] has offered a column to the askers of a row.
    fn has_begun_with(&self, row: usize, column: usize) -> bool {
        self.column_states.is_none() && self.places[row].state as usize == column
    }

    /// Offers a column to the askers of a row.
    #[inline(never)]
    fn take(&mut self, row: usize, column: usize, low: f32) {
        let state = self.column_states.map_or(column, |states| states[column] as usize);
        let entry = Entry { state: state as u32, low, high: low + self.columns.spreads[column] };
        let spread = self.rows.spreads[row];
        let mut limit = f32::NAN;
        for asker in self.places[row].first as usize..self.places[row].end as usize {
            if low <= self.shortlists.limit(asker, spread) {
                let weight = self.fitted.weight(state, self.askers[asker].excluded);
                if weight > 0 {
                    self.shortlists.take(asker, entry, weight, spread);
                }
            }
            limit = limit.max(self.shortlists.limit(asker, spread));
        }
        self.limits[row] = limit;
    }
}

/// The places of the ones among zeros and ones.
#[inline(always)]
fn marked(marks: [u8; LANES]) -> impl Iterator<Item = usize> {
    let mut marks = u128::from_le_bytes(marks);
    std::iter::from_fn(move || {
        let place = marks.trailing_zeros() as usize / 8;
        marks &= marks.wrapping_sub(1);
        (place < LANES).then_some(place)
    })
}

/// The vectorised part of [`Scan::one_way`].
struct OneWay<'s, 'a> {
    scan: &'s mut Scan<'a>,
    tile: Tile<'s>,
}

impl WithSimd for OneWay<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let OneWay { scan, tile } = self;
        let (bases, _) = scan.columns.bases[tile.first_column..][..tile.columns].as_chunks::<LANES>();
        for (row, line) in (tile.first_row..scan.places.len()).zip(tile.products.chunks_exact(tile.columns)) {
            let (line, _) = line.as_chunks::<LANES>();
            for (chunk, (products, bases)) in line.iter().zip(bases).enumerate() {
                let limit = scan.limits[row];
                let mut near = false;
                for lane in 0..LANES {
                    near |= bases[lane] - products[lane] <= limit;
                }
                if near {
                    scan.take_columns(row, tile.first_column + chunk * LANES, products);
                }
            }
        }
    }
}

/// The vectorised part of [`Scan::both_ways`].
struct BothWays<'s, 'a> {
    scan: &'s mut Scan<'a>,
    tile: Tile<'s>,
}

impl WithSimd for BothWays<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let BothWays { scan, tile } = self;
        let (bases, _) = scan.columns.bases[tile.first_column..][..tile.columns].as_chunks::<LANES>();
        for (row, line) in (tile.first_row..scan.places.len()).zip(tile.products.chunks_exact(tile.columns)) {
            let base = scan.columns.bases[row];
            let (line, _) = line.as_chunks::<LANES>();
            for (chunk, (products, bases)) in line.iter().zip(bases).enumerate() {
                let column = tile.first_column + chunk * LANES;
                let Some(limits) = scan.limits[column..].first_chunk::<LANES>() else { break };
                let limit = scan.limits[row];
                let (mut near, mut near_back) = (false, false);
                for lane in 0..LANES {
                    near |= bases[lane] - products[lane] <= limit;
                    near_back |= base - products[lane] <= limits[lane];
                }
                if near {
                    scan.take_columns(row, column, products);
                }
                if near_back {
                    scan.take_row(row, column, products);
                }
            }
        }
    }
}
