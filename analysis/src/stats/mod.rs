//! Statistics over rows of metrics: least squares, tail probabilities, and the paper's table made of them.
//!
//! Each file is one method with the source of its formula; none knows where the rows come from.

pub mod cluster;
pub mod design;
pub mod mixed;
pub mod ols;
pub mod paper_table;
pub mod robust;
pub mod selectivity;
pub mod summary;
pub mod tails;
pub mod triangle;
pub mod wald;
