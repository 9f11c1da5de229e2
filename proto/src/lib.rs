//! The contract all curvefleet programs agree on, and nothing else: what a study file may say, which runs it means, how runs are
//! named and sharded, which messages pass between the programs, and where artifacts lie in the object store.
//! Nothing here reads a clock, a random source, a file or a socket; the same input gives the same answer on every machine.
//! (The generated gRPC clients and servers in [`v1`] are asynchronous, but nothing in this crate runs them; [`access`] reads
//! certificates and tokens; and
//! [`store::Store::open`] creates the folder of a folder store.)
//!
//! - [`study`]: the study file, from TOML text to a [`study::Study`] with every default written out
//! - [`plan`]: a study's runs and shards, their ids, and how much work they are
//! - [`requirement`]: what workers have, and what runs need of them
//! - [`access`]: how a program reaches a coordinator: certificates and token
//! - [`codec`]: the codec of messages, which bounds them
//! - [`artifact`]: keys and Parquet schemas of what lies in the store
//! - [`store`]: opening the object store that a URL names
//! - [`limits`]: bounds on messages, batches and names, each with its reason
//! - [`v1`]: the gRPC messages and services of `proto/curvefleet/v1`

pub mod access;
pub mod artifact;
pub mod codec;
pub mod limits;
pub mod plan;
pub mod requirement;
pub mod store;
pub mod study;

/// The gRPC package `curvefleet.v1`, generated from `proto/curvefleet/v1/*.proto`, where every message and field is described.
#[allow(missing_docs, clippy::all)]
pub mod v1 {
    tonic::include_proto!("curvefleet.v1");

    /// The compiled descriptors of the package, for the reflection service.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}
