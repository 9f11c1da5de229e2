//! The triangle of a QR factorisation, fed row by row.
//!
//! The rows of a block are stacked under the triangle `R` of the blocks before and factored again by Householder reflections
//! (TSQR, Demmel et al. 2012), so that any number of rows needs the memory of one block, and no cross product is ever formed.

use faer::Mat;

/// Rows factored at once. Larger blocks save little, smaller ones repeat the triangle too often.
const BLOCK_ROWS: usize = 4096;
/// A column whose part outside the earlier columns' span is shorter than this share of it counts as a combination of them (`lm`).
const ALIAS_TOLERANCE: f64 = 1e-7;

/// A QR factorisation while rows are added.
#[derive(Debug, Clone)]
pub struct Triangulation {
    width: usize,
    /// The rows not yet factored, after the triangle so far.
    pending: Vec<f64>,
}

impl Triangulation {
    /// A factorisation of rows that are `width` values long.
    pub fn new(width: usize) -> Triangulation {
        Triangulation { width, pending: Vec::new() }
    }

    /// Adds one row of `width` values.
    pub fn add(&mut self, row: impl IntoIterator<Item = f64>) {
        self.pending.extend(row);
        if self.pending.len() >= (BLOCK_ROWS + self.width) * self.width {
            self.pending = triangle(&self.pending, self.width);
        }
    }

    /// `R` of all rows so far, as row-major rows (at most `width` of them).
    pub fn triangle(&self) -> Vec<f64> {
        triangle(&self.pending, self.width)
    }
}

/// The triangle of a QR factorisation of row-major rows, as row-major rows (at most `width` of them).
pub fn triangle(rows: &[f64], width: usize) -> Vec<f64> {
    let height = rows.len() / width;
    let matrix = Mat::from_fn(height, width, |i, j| rows[i * width + j]);
    let qr = matrix.qr();
    let r = qr.thin_R();
    (0..r.nrows()).flat_map(|i| (0..width).map(move |j| if j < i { 0.0 } else { r[(i, j)] })).collect()
}

/// The lengths of the first `columns` columns of a triangle, which are those of the rows it was made of.
pub fn column_lengths(r: &[f64], width: usize, columns: usize) -> Vec<f64> {
    (0..columns).map(|column| r.chunks_exact(width).map(|row| row[column].powi(2)).sum::<f64>().sqrt()).collect()
}

/// The first of the leading columns of a triangle that adds to those before it no more than rounding, measured by `lengths`.
pub fn first_aliased(r: &[f64], width: usize, lengths: &[f64]) -> Option<usize> {
    let remainder = |column: usize| r.get(column * width + column).map_or(0.0, |entry| entry.abs());
    lengths.iter().enumerate().position(|(column, length)| remainder(column) <= ALIAS_TOLERANCE * length)
}

/// Row-major rows without one of their columns.
pub fn without_column(rows: &[f64], width: usize, column: usize) -> Vec<f64> {
    rows.chunks_exact(width)
        .flat_map(|row| row.iter().enumerate().filter(move |(j, _)| *j != column).map(|(_, value)| *value))
        .collect()
}

/// How many of the leading columns of a triangle are independent of one another, as [`first_aliased`] measures it.
pub fn rank(r: &[f64], width: usize, lengths: &[f64]) -> usize {
    let (mut r, mut width, mut lengths) = (r.to_vec(), width, lengths.to_vec());
    while let Some(column) = first_aliased(&r, width, &lengths) {
        r = triangle(&without_column(&r, width, column), width - 1);
        lengths.remove(column);
        width -= 1;
    }
    lengths.len()
}

/// x with `R` x = `right`, for the leading `right.len()` rows and columns of a triangle whose rows are `width` long.
pub fn solve_upper(r: &[f64], width: usize, right: &[f64]) -> Vec<f64> {
    let mut x = right.to_vec();
    for i in (0..x.len()).rev() {
        let known: f64 = (i + 1..x.len()).map(|j| r[i * width + j] * x[j]).sum();
        x[i] = (x[i] - known) / r[i * width + i];
    }
    x
}

/// x with `R`ᵀ x = `right`, as [`solve_upper`].
pub fn solve_transposed(r: &[f64], width: usize, right: &[f64]) -> Vec<f64> {
    let mut x = right.to_vec();
    for i in 0..x.len() {
        let known: f64 = (0..i).map(|j| r[j * width + i] * x[j]).sum();
        x[i] = (x[i] - known) / r[i * width + i];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_solutions_undo_the_triangle() {
        // The third column plays the response and takes no part.
        let r = [2.0, 1.0, 9.0, 0.0, 4.0, 9.0, 0.0, 0.0, 9.0];
        assert_eq!(solve_upper(&r, 3, &[5.0, 8.0]), [1.5, 2.0]);
        assert_eq!(solve_transposed(&r, 3, &[4.0, 10.0]), [2.0, 2.0]);
    }

    #[test]
    fn a_repeated_column_is_found() {
        let rows = [1.0, 2.0, 3.0, 1.0, 2.0, 5.0, 1.0, 2.0, 7.0];
        let r = triangle(&rows, 3);
        let lengths = column_lengths(&r, 3, 3);
        assert_eq!((first_aliased(&r, 3, &lengths), rank(&r, 3, &lengths)), (Some(1), 2));
        let one_row = triangle(&[1.0, 2.0], 2);
        assert_eq!(first_aliased(&one_row, 2, &column_lengths(&one_row, 2, 2)), Some(1));
    }
}
