//! The coordinator as peers see it: over gRPC on loopback, with a store in a folder.
#![allow(clippy::unwrap_used)]

mod access;
mod damage;
mod explain;
mod fleet;
mod program;
mod refusals;
mod study_life;
mod surroundings;
