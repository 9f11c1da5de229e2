//! The search for what may be near: products of asked and fitted states, block by block, each gone through while it is in cache.

use std::ops::Range;

use pulp::Arch;

use super::askers::{Askers, Place};
use super::centred::Centred;
use super::scan::{Scan, Tile};
use super::shortlists::Shortlists;
use super::vote::Context;
use crate::kernel::product::{Packed, Products};

/// Columns whose products with all rows are made one after the other: packed, they stay in a second-level cache.
const BLOCK: usize = 192;
/// Rows that are multiplied with a block at once, and the side of the squares into which the diagonal is cut: their products stay in a
/// second-level cache too, and what is computed twice along the diagonal stays small.
const SLAB: usize = 48;

/// Searches, with the buffers that this takes.
#[derive(Debug)]
pub(super) struct Search {
    /// Taken off all states before they are multiplied, `[hidden]`; any is right, one near the states makes them easy to tell apart.
    pub centre: Vec<f32>,
    /// What the last search found, for each asker.
    pub shortlists: Shortlists,
    columns: Centred,
    rows: Centred,
    /// Whether the last search took the columns for rows too.
    symmetric: bool,
    limits: Vec<f32>,
    blocks: Blocks,
}

/// Multiplies blocks.
#[derive(Debug)]
struct Blocks {
    arch: Arch,
    products: Products<f32>,
    /// Some columns, ready to be multiplied.
    packed: Packed<f32>,
    packed_columns: Range<usize>,
    out: Vec<f32>,
}

impl Search {
    /// Searches by one instruction set, on one thread.
    pub fn new(arch: Arch) -> Search {
        Search {
            centre: Vec::new(),
            shortlists: Shortlists::default(),
            columns: Centred::default(),
            rows: Centred::default(),
            symmetric: false,
            limits: Vec::new(),
            blocks: Blocks {
                arch,
                products: Products::new(arch, 1),
                packed: Packed::default(),
                packed_columns: 0..0,
                out: Vec::new(),
            },
        }
    }

    /// The spread of each fitted state in the last search.
    pub fn column_spreads(&self) -> &[f32] {
        &self.columns.spreads
    }

    /// The spread of each asked state in the last search.
    pub fn row_spreads(&self) -> &[f32] {
        if self.symmetric { &self.columns.spreads } else { &self.rows.spreads }
    }

    /// Fills the empty shortlists of the askers at `places`.
    pub fn one_way(&mut self, context: Context<'_>, askers: &Askers, places: &[Place]) {
        let Context { arch, states, distinct, fitted, .. } = context;
        self.symmetric = false;
        self.columns.load(arch, states, distinct, 0..fitted.states, &self.centre);
        self.rows.load(arch, states, distinct, places.iter().map(|place| place.state as usize), &self.centre);
        let Search { columns, rows, limits, shortlists, blocks, .. } = self;
        let mut scan = Scan { fitted, columns, rows, askers: &askers.all, places, limits, shortlists };
        scan.begin();
        for first in (0..columns.width).step_by(BLOCK) {
            blocks.pack(columns, first, BLOCK);
            for first_row in (0..rows.width).step_by(SLAB) {
                scan.one_way(arch, blocks.multiply(rows, first_row));
            }
        }
    }

    /// Fills the empty shortlists of all askers, when every fitted state is asked about and no other is.
    pub fn both_ways(&mut self, context: Context<'_>, askers: &Askers) {
        let Context { arch, states, distinct, fitted, .. } = context;
        self.symmetric = true;
        self.columns.load(arch, states, distinct, 0..fitted.states, &self.centre);
        let Search { columns, limits, shortlists, blocks, .. } = self;
        let (rows, places) = (&*columns, &askers.places[..]);
        let mut scan = Scan { fitted, columns, rows, askers: &askers.all, places, limits, shortlists };
        scan.begin();
        for first in (0..columns.width).step_by(BLOCK) {
            if first > 0 {
                blocks.pack(columns, first, BLOCK);
            }
            for first_row in (0..first).step_by(SLAB) {
                scan.both_ways(arch, blocks.multiply(rows, first_row));
            }
            for first_column in (first..columns.width.min(first + BLOCK)).step_by(SLAB) {
                blocks.pack(columns, first_column, SLAB);
                for first_row in (first..first_column).step_by(SLAB) {
                    scan.both_ways(arch, blocks.multiply(rows, first_row));
                }
                scan.one_way(arch, blocks.multiply(rows, first_column));
            }
        }
    }
}

impl Blocks {
    /// Makes `count` columns from `first` on the right side, fewer where there are fewer.
    fn pack(&mut self, columns: &Centred, first: usize, count: usize) {
        self.packed_columns = first..columns.width.min(first + count);
        self.packed.pack(self.arch, columns.columns(self.packed_columns.clone()));
    }

    /// The products of a slab of rows from `first_row` on with the packed columns.
    fn multiply(&mut self, rows: &Centred, first_row: usize) -> Tile<'_> {
        let slab = first_row..rows.width.min(first_row + SLAB);
        let columns = self.packed_columns.len();
        let size = slab.len() * columns;
        self.out.resize(size.max(self.out.len()), 0.0);
        self.products.multiply(&mut self.out[..size], rows.columns(slab).transposed(), &self.packed);
        Tile { products: &self.out[..size], first_row, first_column: self.packed_columns.start, columns }
    }
}
