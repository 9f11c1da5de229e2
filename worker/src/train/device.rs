//! What trains: the processor or a graphics card. Curves are bit-identical on the same backend, so its name is recorded with every part.

use std::fmt;
use std::str::FromStr;

/// What a worker trains on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The processor, with so many threads for each run.
    Cpu {
        /// At least 1; how many has no influence on the numbers.
        threads: usize,
    },
    /// The processor by burn's tensors, in packs as on a GPU: slower, for comparison and for tests of what GPUs do.
    Flex,
    /// A graphics card through Vulkan.
    Vulkan {
        /// Which of the machine's discrete cards; the one that the driver puts first if `None`.
        index: Option<usize>,
    },
    /// An NVIDIA card through CUDA.
    Cuda {
        /// Which.
        index: usize,
    },
}

impl Device {
    /// The processor, one thread for each run.
    pub const CORE: Device = Device::Cpu { threads: 1 };

    /// Whether runs are trained in packs, in lockstep.
    pub fn takes_packs(self) -> bool {
        !matches!(self, Device::Cpu { .. })
    }

    /// Threads per run.
    pub fn threads(self) -> usize {
        match self {
            Device::Cpu { threads } => threads,
            Device::Flex | Device::Vulkan { .. } | Device::Cuda { .. } => 1,
        }
    }

    /// Backend and instruction set or card, such as `cpu/avx512` or `vulkan/NVIDIA H100`.
    pub fn name(self) -> String {
        match self {
            Device::Cpu { .. } => format!("cpu/{}", instruction_set()),
            Device::Flex => format!("flex/{}", instruction_set()),
            Device::Vulkan { .. } => format!("vulkan/{}", self.part()),
            Device::Cuda { .. } => format!("cuda/{}", self.part()),
        }
    }

    /// Looks whether the device is there.
    ///
    /// # Errors
    /// If the machine has no such card, or no driver for it.
    pub fn check(self) -> Result<(), BadDevice> {
        if matches!(self, Device::Cpu { .. } | Device::Flex) {
            return Ok(());
        }
        // burn opens a card when it is first used, and panics where that fails; its message belongs in ours.
        let said = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let opened = std::panic::catch_unwind(|| self.burn().sync());
        std::panic::set_hook(said);
        let problem = match opened {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => format!("{error:?}"),
            Err(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "no driver answers".to_string()),
        };
        let first = problem.lines().next().unwrap_or_default().to_string();
        Err(BadDevice { text: self.to_string(), problem: format!("cannot be used on this machine: {first}") })
    }

    /// burn's device.
    ///
    /// # Panics
    /// For a GPU backend that the program was built without, which [`Device::from_str`] refuses.
    pub fn burn(self) -> burn::tensor::Device {
        match self {
            Device::Cpu { .. } | Device::Flex => burn::tensor::Device::flex(),
            #[cfg(feature = "vulkan")]
            Device::Vulkan { index } => burn::tensor::Device::wgpu(match index {
                Some(index) => burn::tensor::DeviceKind::DiscreteGpu(index),
                None => burn::tensor::DeviceKind::DefaultDevice,
            }),
            #[cfg(feature = "cuda")]
            Device::Cuda { index } => burn::tensor::Device::cuda(index),
            #[allow(unreachable_patterns)]
            device => panic!("this program was built without {device}"),
        }
    }

    /// The card's name, without what a name in metadata cannot have.
    fn part(self) -> String {
        let name = identity(self).unwrap_or_else(|| "unknown".to_string());
        name.chars().filter(|c| !c.is_control()).collect()
    }
}

/// What a card calls itself; opens it.
#[cfg(any(feature = "vulkan", feature = "cuda"))]
fn identity(device: Device) -> Option<String> {
    device.burn().identity().map(|identity| identity.name)
}

/// Without a GPU backend there is no card to ask.
#[cfg(not(any(feature = "vulkan", feature = "cuda")))]
fn identity(_: Device) -> Option<String> {
    None
}

/// As `--device` takes it.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu { .. } => f.write_str("cpu"),
            Device::Flex => f.write_str("flex"),
            Device::Vulkan { index: None } => f.write_str("vulkan"),
            Device::Vulkan { index: Some(index) } => write!(f, "vulkan:{index}"),
            Device::Cuda { index } => write!(f, "cuda:{index}"),
        }
    }
}

/// Why a text names no device of this program's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {problem}")]
pub struct BadDevice {
    text: String,
    problem: String,
}

/// `cpu`, `flex`, `vulkan`, `vulkan:1`, `cuda`, `cuda:1`.
impl FromStr for Device {
    type Err = BadDevice;

    fn from_str(text: &str) -> Result<Device, BadDevice> {
        let bad = |problem: &str| BadDevice { text: text.to_string(), problem: problem.to_string() };
        let (kind, index) = text.split_once(':').map_or((text, None), |(kind, index)| (kind, Some(index)));
        let index = match index.map(str::parse::<usize>) {
            None => None,
            Some(Ok(index)) => Some(index),
            Some(Err(_)) => return Err(bad("is no device: the card's number after the colon is none")),
        };
        let built = |has: bool, device: Device| {
            let advice = format!("needs a program built with it: `cargo install --path cli --features {kind}`");
            if has { Ok(device) } else { Err(bad(&advice)) }
        };
        match (kind, index) {
            ("cpu", None) => Ok(Device::CORE),
            ("flex", None) => Ok(Device::Flex),
            ("vulkan", index) => built(cfg!(feature = "vulkan"), Device::Vulkan { index }),
            ("cuda", index) => built(cfg!(feature = "cuda"), Device::Cuda { index: index.unwrap_or(0) }),
            _ => Err(bad(
                "is no device; there are `cpu`, `flex`, `vulkan` and `cuda`, the last two with the card's number after a colon",
            )),
        }
    }
}

/// What the kernels of [`crate::kernel`] run on here.
#[cfg(target_arch = "x86_64")]
fn instruction_set() -> &'static str {
    match pulp::Arch::new() {
        pulp::Arch::V4(_) => "avx512",
        pulp::Arch::V3(_) => "avx2",
        _ => "sse2",
    }
}

#[cfg(target_arch = "aarch64")]
fn instruction_set() -> &'static str {
    match pulp::Arch::new() {
        pulp::Arch::Neon(_) => "neon",
        _ => "aarch64",
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn instruction_set() -> &'static str {
    std::env::consts::ARCH
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_as_it_is_typed_and_what_is_none_is_refused() {
        assert_eq!("cpu".parse::<Device>().unwrap(), Device::CORE);
        assert_eq!(Device::CORE.to_string(), "cpu");
        for (text, words) in [("gpu", "`vulkan` and `cuda`"), ("cuda:x", "number"), ("cpu:1", "is no device")] {
            let error = text.parse::<Device>().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        for kind in ["vulkan", "cuda"] {
            match kind.parse::<Device>() {
                Ok(device) => assert_eq!(device.to_string().split(':').next(), Some(kind)),
                Err(error) => assert!(error.to_string().contains(&format!("--features {kind}")), "{error}"),
            }
        }
    }
}
