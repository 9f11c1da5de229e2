//! The device that trains, and its name. Curves are bit-identical on the same backend and instruction set, so both are recorded.

use burn::tensor::Device;

/// The pure-Rust CPU device, without a graph; [`Device::autodiff`] gives the one that trains.
pub fn device() -> Device {
    Device::flex()
}

/// Backend and instruction set, such as `flex/avx512`.
pub fn name() -> String {
    format!("flex/{}", instruction_set())
}

#[cfg(target_arch = "x86_64")]
fn instruction_set() -> &'static str {
    if std::arch::is_x86_feature_detected!("avx512f") {
        "avx512"
    } else if std::arch::is_x86_feature_detected!("avx2") {
        "avx2"
    } else {
        "sse2"
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn instruction_set() -> &'static str {
    std::env::consts::ARCH
}
