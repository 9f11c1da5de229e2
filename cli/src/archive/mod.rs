//! What lies in a store, looked after. Nothing here trains or schedules.
//!
//! - [`check`]: whether a store can be used

pub mod check;
