//! The search for what may be near: products of asked and fitted states, block by block, each gone through while it is in cache.

use std::ops::Range;

use pulp::Arch;

use super::askers::{Askers, Place};
use super::bf16::{self, Bf16};
use super::centred::{Centred, Precision};
use super::hints::Hints;
use super::scan::{Scan, Tile};
use super::shortlists::Shortlists;
use super::vote::{Context, Shortlist};
use crate::kernel::product::{Packed, Products};
use crate::kernel::sized;

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
    /// What the next search multiplies.
    pub precision: Precision,
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
    half_products: bf16::Products,
    /// With what bfloat16 is multiplied, for columns that are to be.
    half: Option<Bf16>,
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
            precision: Precision::Single,
            limits: Vec::new(),
            blocks: Blocks {
                arch,
                products: Products::new(arch, 1),
                packed: Packed::default(),
                half_products: bf16::Products::default(),
                half: None,
                packed_columns: 0..0,
                out: Vec::new(),
            },
        }
    }

    /// What the last search found for an asker, unless it gave up; `row` is the asker's in that search.
    pub fn shortlist(&self, row: usize, asker: usize) -> Option<Shortlist<'_>> {
        let spread = self.last_rows().spreads[row];
        let limit = self.shortlists.limit(asker, spread);
        self.shortlists.entries(asker).map(|entries| Shortlist { entries, limit, spread })
    }

    /// How far from the centre the k nearest of an asker may lie at most, as far as the last search has seen; `row` is the asker's in
    /// that search. Not a number if its shortlist was given up.
    pub fn reach(&self, row: usize, asker: usize) -> f64 {
        /// What the roundings here and of the squares take, many times over.
        const MARGIN: f64 = 1.0 + 1e-5;
        let (square, spread) = (self.last_rows().squares[row], self.last_rows().spreads[row]);
        let furthest = 2.0 * f64::from(self.shortlists.limit(asker, spread)) + f64::from(square);
        (f64::from(square).sqrt() + furthest.max(0.0).sqrt()) * MARGIN
    }

    /// The asked states in the last search.
    fn last_rows(&self) -> &Centred {
        if self.symmetric { &self.columns } else { &self.rows }
    }

    /// Makes the shortlists of the askers at `places` from all fitted states.
    pub fn one_way(&mut self, context: Context<'_>, askers: &Askers, places: &[Place], hints: &Hints) {
        self.begin_blocks(context.arch);
        self.columns.load(context, 0..context.fitted.states, &self.centre, self.precision);
        self.search_columns(context, askers, places, hints, None);
    }

    /// Makes the shortlists of the askers at `places` from some fitted states.
    pub fn among(&mut self, context: Context<'_>, askers: &Askers, places: &[Place], hints: &Hints, among: &[u32]) {
        self.begin_blocks(context.arch);
        let chosen = among.iter().map(|state| *state as usize);
        self.columns.load(context, chosen, &self.centre, self.precision);
        self.search_columns(context, askers, places, hints, Some(among));
    }

    fn search_columns(
        &mut self,
        context: Context<'_>,
        askers: &Askers,
        places: &[Place],
        hints: &Hints,
        column_states: Option<&[u32]>,
    ) {
        let Context { arch, fitted, .. } = context;
        self.symmetric = false;
        let chosen = places.iter().map(|place| place.state as usize);
        self.rows.load(context, chosen, &self.centre, self.precision);
        let coarseness = self.columns.coarseness.max(self.rows.coarseness);
        self.columns.bound(coarseness);
        self.rows.bound(coarseness);
        self.begin_shortlists(context, askers, places, hints);
        let Search { columns, rows, limits, shortlists, blocks, .. } = self;
        let mut scan = Scan { fitted, columns, column_states, rows, askers: &askers.all, places, limits, shortlists };
        scan.begin();
        for first in (0..columns.width).step_by(BLOCK) {
            blocks.pack(columns, first, BLOCK);
            for first_row in (0..rows.width).step_by(SLAB) {
                scan.one_way(arch, blocks.multiply(rows, first_row));
            }
        }
    }

    /// Makes the shortlists of all askers, when every fitted state is asked about and no other is.
    pub fn both_ways(&mut self, context: Context<'_>, askers: &Askers, hints: &Hints) {
        let Context { arch, fitted, .. } = context;
        self.symmetric = true;
        self.begin_blocks(arch);
        self.columns.load(context, 0..fitted.states, &self.centre, self.precision);
        self.columns.bound(self.columns.coarseness);
        self.begin_shortlists(context, askers, &askers.places, hints);
        let Search { columns, limits, shortlists, blocks, .. } = self;
        let (rows, places) = (&*columns, &askers.places[..]);
        let mut scan =
            Scan { fitted, columns, column_states: None, rows, askers: &askers.all, places, limits, shortlists };
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

    /// Without the instructions for bfloat16, numbers stay in f32.
    fn begin_blocks(&mut self, arch: Arch) {
        self.blocks.half = if self.precision == Precision::Half { Bf16::detect(arch) } else { None };
        self.precision = if self.blocks.half.is_some() { Precision::Half } else { Precision::Single };
    }

    fn begin_shortlists(&mut self, context: Context<'_>, askers: &Askers, places: &[Place], hints: &Hints) {
        let rows = if self.symmetric { &self.columns } else { &self.rows };
        for (row, place) in places.iter().enumerate() {
            for asker in place.first as usize..place.end as usize {
                let reach = hints.reach(context, askers.all[asker]);
                self.shortlists.begin(asker, rows.offset_within(row, reach));
            }
        }
    }
}

impl Blocks {
    /// Makes `count` columns from `first` on the right side, fewer where there are fewer.
    fn pack(&mut self, columns: &Centred, first: usize, count: usize) {
        self.packed_columns = first..columns.width.min(first + count);
        match self.half {
            Some(_) => self.half_products.pack(columns.pairs(), self.packed_columns.clone()),
            None => self.packed.pack(self.arch, columns.columns(self.packed_columns.clone())),
        }
    }

    /// The products of a slab of rows from `first_row` on with the packed columns.
    fn multiply(&mut self, rows: &Centred, first_row: usize) -> Tile<'_> {
        let slab = first_row..rows.width.min(first_row + SLAB);
        let columns = self.packed_columns.len();
        let size = slab.len() * columns;
        let out = sized(&mut self.out, size);
        match self.half {
            Some(half) => self.half_products.multiply(half, out, rows.pairs(), slab),
            None => self.products.multiply(out, rows.columns(slab).transposed(), &self.packed),
        }
        Tile { products: out, first_row, first_column: self.packed_columns.start, columns }
    }
}
