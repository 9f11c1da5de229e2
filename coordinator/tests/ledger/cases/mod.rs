//! The conformance cases, by subject.

pub mod commits;
pub mod control;
pub mod durability;
pub mod failures;
pub mod leases;
pub mod losses;
pub mod queue;
pub mod studies;
pub mod tokens;
