//! See `targets::messages`.
#![no_main]

#[path = "../targets.rs"]
mod targets;

// A reader that takes a panic of the Parquet library for damage must be let do so; a panic that nothing takes still ends the process.
libfuzzer_sys::fuzz_target!(init: std::panic::set_hook(Box::new(|_| {})), |data: &[u8]| targets::messages(data));
