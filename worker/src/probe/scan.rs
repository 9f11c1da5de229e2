//! Going through the products of asked and fitted states: what could still be near goes to the askers' shortlists.

use pulp::Arch;

use super::askers::{Asker, Place};
use super::centred::{Centred, LANES};
use super::fitted::Fitted;
use super::shortlists::{Entry, Shortlists};

/// What products are gone through for. *Rows* are places where askers ask, *columns* fitted states.
pub(super) struct Scan<'a> {
    /// The fitted points.
    pub fitted: Fitted<'a>,
    /// The fitted states, less the centre.
    pub columns: &'a Centred,
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
    /// Begins: every asker at a state that was fitted has that state on its list.
    pub fn begin(&mut self) {
        self.limits.clear();
        self.limits.resize(self.rows.width, f32::NAN);
        for row in 0..self.places.len() {
            let own = self.places[row].state as usize;
            if self.rows.spreads[row] == f32::INFINITY {
                (self.places[row].first..self.places[row].end).for_each(|asker| self.shortlists.give_up(asker as usize));
            } else if own < self.fitted.states {
                self.take(row, own, self.columns.bases[own] - self.rows.squares[row]);
            } else {
                self.limits[row] = f32::INFINITY;
            }
        }
    }

    /// Goes through products, each for its row's askers.
    pub fn one_way(&mut self, arch: Arch, tile: Tile<'_>) {
        arch.dispatch(
            #[inline(always)]
            || {
                for (row, line) in (tile.first_row..self.places.len()).zip(tile.products.chunks_exact(tile.columns)) {
                    let (chunks, _) = line.as_chunks::<LANES>();
                    for (chunk, products) in chunks.iter().enumerate() {
                        let column = tile.first_column + chunk * LANES;
                        let Some((bases, _)) = self.columns.bases[column..].split_first_chunk::<LANES>() else { return };
                        let limit = self.limits[row];
                        let mut near = false;
                        for lane in 0..LANES {
                            near |= bases[lane] - products[lane] <= limit;
                        }
                        if near {
                            self.take_near(row, column, products);
                        }
                    }
                }
            },
        );
    }

    /// Goes through products, each for its row's askers and for those of its column, which is a row too.
    pub fn both_ways(&mut self, arch: Arch, tile: Tile<'_>) {
        arch.dispatch(
            #[inline(always)]
            || {
                for (row, line) in (tile.first_row..self.places.len()).zip(tile.products.chunks_exact(tile.columns)) {
                    let base = self.columns.bases[row];
                    let (chunks, _) = line.as_chunks::<LANES>();
                    for (chunk, products) in chunks.iter().enumerate() {
                        let column = tile.first_column + chunk * LANES;
                        let Some((bases, _)) = self.columns.bases[column..].split_first_chunk::<LANES>() else { return };
                        let Some((limits, _)) = self.limits[column..].split_first_chunk::<LANES>() else { return };
                        let limit = self.limits[row];
                        let (mut near, mut near_columns) = (false, false);
                        for lane in 0..LANES {
                            near |= bases[lane] - products[lane] <= limit;
                            near_columns |= base - products[lane] <= limits[lane];
                        }
                        if near {
                            self.take_near(row, column, products);
                        }
                        if near_columns {
                            self.take_near_columns(row, column, products);
                        }
                    }
                }
            },
        );
    }

    #[inline(never)]
    fn take_near(&mut self, row: usize, column: usize, products: &[f32; LANES]) {
        for (lane, product) in products.iter().enumerate() {
            let low = self.columns.bases[column + lane] - product;
            if low <= self.limits[row] && self.places[row].state as usize != column + lane {
                self.take(row, column + lane, low);
            }
        }
    }

    #[inline(never)]
    fn take_near_columns(&mut self, row: usize, column: usize, products: &[f32; LANES]) {
        for (lane, product) in products.iter().enumerate() {
            let low = self.columns.bases[row] - product;
            if low <= self.limits[column + lane] {
                self.take(column + lane, row, low);
            }
        }
    }

    /// Offers a fitted state to the askers of a row.
    fn take(&mut self, row: usize, state: usize, low: f32) {
        let (entry, high) = (Entry { state: state as u32, low }, low + self.columns.spreads[state]);
        let spread = self.rows.spreads[row];
        let mut limit = f32::NAN;
        for asker in self.places[row].first as usize..self.places[row].end as usize {
            if low <= self.shortlists.limit(asker, spread) {
                let weight = self.fitted.weight(state, self.askers[asker].excluded);
                if weight > 0 {
                    self.shortlists.take(asker, entry, high, weight, spread);
                }
            }
            limit = limit.max(self.shortlists.limit(asker, spread));
        }
        self.limits[row] = limit;
    }
}
