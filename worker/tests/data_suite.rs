//! How the worker reads, stores and prepares data, on small files written here and on the real ones where they are at hand.
#![allow(clippy::unwrap_used, missing_docs)]

mod data;
