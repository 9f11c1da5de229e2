//! What a curve part's provenance says of the machine and the time. No decision is made by any of it.

use std::time::SystemTime;

use crate::train::Device;

/// This machine's clock.
#[allow(clippy::disallowed_methods)] // The file that may: the times stand in provenance and on cached files alone.
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// Milliseconds since 1970 by this machine's clock.
pub fn now_ms() -> u64 {
    let since_1970 = now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

/// Tells this process from others that go by the same worker's name, before or after.
pub fn session() -> String {
    format!("{}-{}", std::process::id(), now_ms())
}

/// Cores that this process may use.
pub fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX))
}

/// The graphics cards that runs are trained on.
pub fn gpus(device: Device, backend: &str) -> Vec<String> {
    match device {
        Device::Vulkan { .. } | Device::Cuda { .. } => vec![device_name(device, backend)],
        Device::Cpu { .. } | Device::Flex => Vec::new(),
    }
}

/// What the device calls itself; of the device's `backend`, the part after the slash is a card's name.
pub fn device_name(device: Device, backend: &str) -> String {
    match (device, backend.split_once('/')) {
        (Device::Vulkan { .. } | Device::Cuda { .. }, Some((_, card))) => card.to_string(),
        _ => processor_name().unwrap_or_else(|| std::env::consts::ARCH.to_string()),
    }
}

/// The processor's name as Linux tells it; other systems have no file for it.
fn processor_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    let name = line.split_once(':')?.1.trim();
    (!name.is_empty()).then(|| name.to_string())
}

/// Lists those of the named features that this processor has.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! present {
    ($detect:ident: $($feature:tt),*) => {
        [$(($feature, std::arch::$detect!($feature))),*]
            .into_iter()
            .filter(|(_, is_present)| *is_present)
            .map(|(feature, _)| feature.to_string())
            .collect()
    };
}

/// The instruction sets that the kernels, burn and the compiler choose among.
#[cfg(target_arch = "x86_64")]
pub fn cpu_features() -> Vec<String> {
    present!(is_x86_feature_detected: "sse4.1", "sse4.2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni")
}

/// The instruction sets that the kernels, burn and the compiler choose among.
#[cfg(target_arch = "aarch64")]
pub fn cpu_features() -> Vec<String> {
    present!(is_aarch64_feature_detected: "neon", "fp16", "dotprod", "sve", "sve2")
}

/// The instruction sets that the kernels, burn and the compiler choose among: none that are looked for here.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn cpu_features() -> Vec<String> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_cores_and_maybe_cards() {
        assert!(cores() >= 1);
        assert_eq!(gpus(Device::Cuda { index: 0 }, "cuda/NVIDIA H100"), ["NVIDIA H100"]);
        assert!(gpus(Device::CORE, "cpu/avx2").is_empty());
    }

    #[test]
    fn a_card_is_named_as_its_backend_names_it_and_a_processor_by_the_system() {
        assert_eq!(device_name(Device::Cuda { index: 0 }, "cuda/NVIDIA H100"), "NVIDIA H100");
        let name = device_name(Device::CORE, "cpu/avx2");
        assert!(!name.is_empty() && name != "avx2", "{name}");
    }
}
