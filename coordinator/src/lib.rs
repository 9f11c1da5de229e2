//! Who runs what. The coordinator takes studies, cuts them into shards, leases the shards to workers, and makes runs done
//! when their curves are in the store. All of that is kept in the ledger, a database that is the queue: every change is
//! one transaction, and nothing is kept in memory that could not be lost. Two gRPC services stand before the ledger, one
//! for people and tools and one for workers; a task beside them keeps each study's manifest in the store up to date.
//!
//! - [`coordinator`]: starts all parts, and stops them politely
//! - [`options`]: what it can be told on the command line
//! - [`ledger`]: studies, shards, runs and leases; begin at its state machine
//! - [`writer`](ledger::writer): the one thread through which everything reaches the ledger
//! - [`access`]: who may ask what: tokens, roles, TLS, limits
//! - `service`: the gRPC services
//! - `server`: what they are served with: limits, keepalive, health, reflection
//! - `entering`: brings the rest of large studies into the ledger
//! - `manifest`: writes manifests into the store
//! - `compact`: moves the rows of many small parts into few large ones
//! - `encoding`: the thread on which both encode their files
//! - `rates`: how fast the fleet trains, from its heartbeats
//! - [`clock`]: the one clock
//! - [`error`]: why a coordinator does not start

pub mod access;
pub mod clock;
mod compact;
pub mod coordinator;
mod encoding;
mod entering;
pub mod error;
mod explain;
pub mod ledger;
mod manifest;
pub mod options;
mod rates;
mod server;
mod service;

pub use coordinator::{Coordinator, Embedded, Running, run};
pub use error::Error;
pub use options::Options;
pub use service::check_message;
