//! Statistics over rows of metrics: comparisons of groups of runs, and the paper's table.
//!
//! Each file is one method with the source of its formula; none knows where the rows come from. What a method cannot answer it says as
//! an [`undefined::Undefined`], a sentence, and never as NaN.
//!
//! - [`anova`]: one-way, Welch's and Levene's tests of several groups; [`ranks`]: Kruskal-Wallis and Mann-Whitney; [`t_test`]: two means
//! - [`pairwise`]: all pairs, by Games-Howell and Tukey; [`multiplicity`]: p-values within their family
//! - [`permutation`]: tests by rearranging runs, exact where that is possible
//! - [`effect_size`]: how large a difference is, with an interval
//! - [`bootstrap`]: intervals by resampling runs within conditions; [`robust`]: interquartile mean and performance profiles
//! - [`ols`]: least squares; [`paper_table`]: the paper's table made of it
//! - [`groups`] and [`summary`]: checked groups and their moments; [`random`]: named random streams; [`tails`]: distributions

pub mod anova;
pub mod bootstrap;
pub mod effect_size;
pub mod groups;
pub mod multiplicity;
pub mod ols;
pub mod pairwise;
pub mod paper_table;
pub mod permutation;
pub mod random;
pub mod ranks;
pub mod robust;
pub mod summary;
pub mod t_test;
pub mod tails;
pub mod undefined;
