//! The machine's memory: how much of it this process may use, and how runs that are trained at the same time share it.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory that runs take and give back, in MiB.
#[derive(Debug)]
pub struct Memory {
    mib: u32,
    free: Arc<Semaphore>,
}

/// Runs mostly take some two times what they take at the least (1.6 to 3.7 times with networks of one layer in the test `training_memory`).
/// Those that are trained at the same time are taken to do so; one that is trained alone may fit all the same.
const USUAL: u32 = 2;

/// A run that takes more than this part of the memory may be what exhausts it.
const MUCH: u32 = 8;

/// A run needs more than there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "out of memory: the run needs at least {needed_mib} MiB, and this worker has {mib}; train it on a machine with more (`requires` in the \
     study file), or make `hidden` or `batch_size` smaller"
)]
pub struct OutOfMemory {
    needed_mib: u64,
    mib: u32,
}

impl Memory {
    /// So many bytes; 0 where it is not known how many there are, and nothing is refused.
    pub fn new(bytes: u64) -> Memory {
        let mib = if bytes == 0 { u32::MAX } else { u32::try_from(bytes >> 20).unwrap_or(u32::MAX) };
        Memory { mib, free: Arc::new(Semaphore::new(mib as usize)) }
    }

    /// Whether so many bytes are a good part of what there is.
    pub fn is_much(&self, bytes: u64) -> bool {
        bytes >> 20 > u64::from(self.mib / MUCH)
    }

    /// Takes room for a run that needs at least so many bytes, until what is given is dropped; waits until others have given back
    /// enough.
    ///
    /// # Errors
    /// If there is not so much at all.
    pub async fn take(&self, bytes: u64) -> Result<OwnedSemaphorePermit, OutOfMemory> {
        let needed_mib = bytes.div_ceil(1 << 20);
        let refused = OutOfMemory { needed_mib, mib: self.mib };
        let least = u32::try_from(needed_mib).ok().filter(|mib| *mib <= self.mib).ok_or(refused)?;
        let permits = least.saturating_mul(USUAL).min(self.mib);
        // The semaphore is never closed.
        self.free.clone().acquire_many_owned(permits).await.map_err(|_| refused)
    }
}

/// Memory that this process may use, in bytes: the machine's, or less where one of its control groups or `ulimit -v` allows less; 0
/// where the system does not tell.
pub fn limit_bytes() -> u64 {
    let read = |file: &str| std::fs::read_to_string(file).ok();
    let machine = read("/proc/meminfo").and_then(|text| total_bytes(&text));
    let process = read("/proc/self/limits").and_then(|text| address_space_bytes(&text));
    let groups = read("/proc/self/cgroup").map(|text| group_files(&text)).unwrap_or_default();
    let groups = groups.iter().filter_map(|file| read(file)?.trim().parse().ok());
    machine.into_iter().chain(process).chain(groups).min().unwrap_or(0)
}

/// `MemTotal` of `/proc/meminfo`, which is in KiB.
fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

/// The soft limit of `/proc/self/limits` on the address space; `None` if it is unlimited.
fn address_space_bytes(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The files that may hold a limit: those of the process's control group and of all above it, as `/proc/self/cgroup` names the group
/// (proc(5), cgroups(7); version 2, and version 1 where Slurm or a container still has it).
fn group_files(cgroup: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in cgroup.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let groups = Path::new(path).ancestors().map(|group| group.to_string_lossy().trim_end_matches('/').to_string());
        files.extend(groups.map(|group| format!("{root}{group}/{file}")));
    }
    files
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn limits_are_read_as_linux_tells_them() {
        assert_eq!(total_bytes("MemTotal:       16384 kB\nMemFree:  1 kB\n"), Some(16 << 20));
        assert_eq!(total_bytes("MemFree:  1 kB\n"), None);
        let limits =
            |soft: &str| format!("Limit  Soft Limit  Hard Limit  Units\nMax address space  {soft}  unlimited  bytes\n");
        assert_eq!(address_space_bytes(&limits("1073741824")), Some(1 << 30));
        assert_eq!(address_space_bytes(&limits("unlimited")), None);
        let slurm = "11:memory:/slurm/uid_1/job_2\n4:cpu,cpuacct:/x\n0::/init.scope\n";
        assert_eq!(
            group_files(slurm),
            [
                "/sys/fs/cgroup/memory/slurm/uid_1/job_2/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/slurm/uid_1/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/slurm/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/init.scope/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
        assert!(limit_bytes() > 1 << 20, "this machine has some");
    }

    #[tokio::test]
    async fn runs_wait_for_memory_and_are_refused_where_waiting_would_not_help() {
        let memory = Memory::new(10 << 20);
        let (small, large) = (memory.take(2 << 20).await.unwrap(), memory.take(3 << 20).await.unwrap());
        assert!(memory.take(1).now_or_never().is_none(), "all is taken");
        drop(large);
        assert!(memory.take(3 << 20).now_or_never().is_some());
        assert!(memory.take(9 << 20).now_or_never().is_none(), "it may fit, but not beside the other");
        let refused = memory.take((10 << 20) + 1).await.unwrap_err();
        assert!(refused.to_string().contains("at least 11 MiB, and this worker has 10"), "{refused}");
        drop(small);
        assert!(Memory::new(0).take(1 << 50).await.is_ok(), "nothing is known of the machine");
    }
}
