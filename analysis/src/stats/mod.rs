//! Statistics over rows of metrics: comparisons of groups of runs, models of repeated measures, and the paper's table.
//!
//! Each file is one method with the source of its formula; none knows where the rows come from. What a method cannot answer it says in a
//! sentence ([`undefined::Undefined`], or the method's own error), and never as NaN.
//!
//! - [`anova`]: one-way, Welch's and Levene's tests of several groups; [`ranks`]: Kruskal-Wallis and Mann-Whitney; [`t_test`]: two means
//! - [`pairwise`]: all pairs, by Games-Howell and Tukey; [`multiplicity`]: p-values within their family
//! - [`permutation`]: tests by rearranging runs, exact where that is possible; [`cluster_permutation`]: two conditions' learning-curve maps
//! - [`effect_size`]: how large a difference is, with an interval
//! - [`bootstrap`]: intervals by resampling runs within conditions; [`robust`]: interquartile mean and performance profiles
//! - [`mixed`]: the linear mixed model with a random intercept for each run; [`cluster_robust`]: least squares with CR2 errors by run;
//!   [`design`]: the rows and columns of both; [`wald`]: their tests
//! - [`selectivity`]: the probe's chance level, and what it finds beyond; [`planning`]: the seeds that a study needs
//! - [`ols`]: least squares; [`triangle`]: QR row by row; [`paper_table`]: the paper's table made of it
//! - [`groups`] and [`summary`]: checked groups and their moments; [`random`]: named random streams; [`tails`]: distributions

pub mod anova;
pub mod bootstrap;
pub mod cluster_permutation;
pub mod cluster_robust;
pub mod design;
pub mod effect_size;
pub mod groups;
pub mod mixed;
pub mod multiplicity;
pub mod ols;
pub mod pairwise;
pub mod paper_table;
pub mod permutation;
pub mod planning;
pub mod random;
pub mod ranks;
pub mod robust;
pub mod selectivity;
pub mod summary;
pub mod t_test;
pub mod tails;
pub mod triangle;
pub mod undefined;
pub mod wald;
