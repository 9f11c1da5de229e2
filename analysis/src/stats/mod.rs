//! Statistics over rows of metrics: least squares, tail probabilities, and the paper's table made of them.
//!
//! Each file is one method with the source of its formula; none knows where the rows come from.
//!
//! - [`mixed`]: the linear mixed model with a random intercept for each run; [`cluster_robust`]: least squares with CR2 errors by run;
//!   [`design`]: the rows and columns of both; [`wald`]: their tests
//! - [`cluster_permutation`]: two conditions' learning-curve maps
//! - [`selectivity`]: the probe's chance level, and what it finds beyond
//! - [`planning`]: the seeds that a study needs
//! - [`triangle`]: QR row by row

pub mod cluster_permutation;
pub mod cluster_robust;
pub mod design;
pub mod mixed;
pub mod ols;
pub mod paper_table;
pub mod planning;
pub mod selectivity;
pub mod summary;
pub mod tails;
pub mod triangle;
pub mod wald;
