//! A fleet under faults, in simulated time: the real worker agents, the real services and the real ledger on its real database, in one
//! thread, with a network, a store, clocks and processes that fail as a seed says. The same seed gives the same history.
#![allow(clippy::unwrap_used)]

mod simulation {
    mod checker;
    mod database;
    mod network;
    mod process;
    mod scene;
    mod seeds;
    mod store;
    mod submitter;
    mod training;
    mod world;
}
