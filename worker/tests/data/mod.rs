//! One file per part of `curvefleet_worker::data`.

mod canonical;
mod folder;
mod generated;
mod keys;
mod numpy;
mod prepare;
mod real;
mod show;
mod text;
mod ts;
