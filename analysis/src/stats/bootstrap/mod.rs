//! The bootstrap: how much a statistic would vary if the runs were drawn again.
//!
//! Runs are drawn with replacement within each condition (stratum), so that every resample has the study's design. Resamples are
//! computed in parallel, each from its own random stream, so that the result does not depend on the number of threads.
//!
//! - [`Resamples`]: a statistic and its resampled values
//! - [`Interval`]: percentile, basic and BCa intervals (Davison and Hinkley 1997, chapter 5)

mod interval;
mod resample;

pub use interval::Interval;
pub use resample::{Resamples, acceleration_without, resample_many};
