//! The search for what may be near: products of asked and fitted states, block by block, each gone through while it is in cache.

use pulp::Arch;

use super::askers::{Askers, Place};
use super::centred::Centred;
use super::scan::{Scan, Tile};
use super::shortlists::Shortlists;
use super::vote::Context;
use crate::kernel::product::{Packed, Products, View};

/// Columns whose products with all rows are made at once: a packed block of them stays in a second-level cache.
const BLOCK: usize = 192;
/// Rows that are multiplied with a block at once, and the side of the squares into which the diagonal is cut: their products stay in a
/// second-level cache, and what is computed twice along the diagonal stays small.
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
    /// The columns of a block, ready to be multiplied.
    packed: Packed<f32>,
    /// The first of them, and how many.
    packed_columns: (usize, usize),
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
                packed_columns: (0, 0),
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
        let Context { arch, states, hidden, distinct, fitted } = context;
        self.symmetric = false;
        self.columns.load(arch, states, distinct, 0..fitted.states, &self.centre);
        self.rows.load(arch, states, distinct, places.iter().map(|place| place.state as usize), &self.centre);
        let Search { columns, rows, limits, shortlists, blocks, .. } = self;
        let mut scan = Scan { fitted, columns, rows, askers: &askers.all, places, limits, shortlists };
        scan.begin();
        for first in (0..columns.width).step_by(BLOCK) {
            let end = columns.width.min(first + BLOCK);
            blocks.pack(columns, hidden, first, end);
            for first_row in (0..rows.width).step_by(SLAB) {
                let end_row = rows.width.min(first_row + SLAB);
                scan.one_way(arch, blocks.multiply(rows, hidden, first_row, end_row));
            }
        }
    }

    /// Fills the empty shortlists of all askers, when every fitted state is asked about and no other is.
    pub fn both_ways(&mut self, context: Context<'_>, askers: &Askers) {
        let Context { arch, states, hidden, distinct, fitted } = context;
        self.symmetric = true;
        self.columns.load(arch, states, distinct, 0..fitted.states, &self.centre);
        let Search { columns, limits, shortlists, blocks, .. } = self;
        let (rows, places) = (&*columns, &askers.places[..]);
        let mut scan = Scan { fitted, columns, rows, askers: &askers.all, places, limits, shortlists };
        scan.begin();
        for first in (0..columns.width).step_by(BLOCK) {
            let end = columns.width.min(first + BLOCK);
            blocks.pack(columns, hidden, first, end);
            for first_row in (0..first).step_by(SLAB) {
                scan.both_ways(arch, blocks.multiply(rows, hidden, first_row, first_row + SLAB));
            }
            for first_column in (first..end).step_by(SLAB) {
                let end_column = end.min(first_column + SLAB);
                blocks.pack(columns, hidden, first_column, end_column);
                for first_row in (first..first_column).step_by(SLAB) {
                    scan.both_ways(arch, blocks.multiply(rows, hidden, first_row, first_row + SLAB));
                }
                scan.one_way(arch, blocks.multiply(rows, hidden, first_column, end_column));
            }
        }
    }
}

impl Blocks {
    /// Makes columns `first..end` the right side.
    fn pack(&mut self, columns: &Centred, hidden: usize, first: usize, end: usize) {
        let all = View::new(&columns.values, hidden, columns.width);
        self.packed.pack(self.arch, all.columns_from(first, end - first));
        self.packed_columns = (first, end - first);
    }

    /// The products of rows `first_row..end_row` with the packed columns.
    fn multiply(&mut self, rows: &Centred, hidden: usize, first_row: usize, end_row: usize) -> Tile<'_> {
        let (first_column, columns) = self.packed_columns;
        let size = (end_row - first_row) * columns;
        self.out.resize(size.max(self.out.len()), 0.0);
        let left = View::new(&rows.values, hidden, rows.width).columns_from(first_row, end_row - first_row);
        self.products.multiply(&mut self.out[..size], left.transposed(), &self.packed);
        Tile { products: &self.out[..size], first_row, first_column, columns }
    }
}
