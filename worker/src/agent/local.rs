//! What the workers of one process share of their machine: its memory, data sets, parts that wait for the store, and what is known of
//! the store.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::cache::DataCache;
use super::memory::{self, Memory};
use super::outage::Outage;
use super::spool::Spool;

/// Parts on their way to the store at the same time: enough for a distant store, few enough for a slow line.
const UPLOADS_AT_ONCE: usize = 4;

/// Where on this machine things may be kept, and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalLimits {
    /// For data sets and for parts that wait, in folders of their own. Processes may share it.
    pub folder: PathBuf,
    /// Data sets on disk, in bytes.
    pub cache_bytes: u64,
    /// Parts that wait in memory, in bytes.
    pub memory_bytes: u64,
    /// Parts that wait on disk, in bytes.
    pub spool_bytes: u64,
}

/// What the workers of one process share.
#[derive(Debug)]
pub struct Local {
    /// Data sets.
    pub(super) cache: DataCache,
    /// Parts that wait.
    pub(super) spool: Arc<Spool>,
    /// Who may upload now.
    pub(super) uploads: Semaphore,
    /// How the store answers.
    pub(super) outage: Outage,
    /// For runs in training.
    pub(super) memory: Memory,
}

impl Local {
    /// Within these limits. Nothing is made before it is needed.
    pub fn new(limits: LocalLimits) -> Arc<Local> {
        let LocalLimits { folder, cache_bytes, memory_bytes, spool_bytes } = limits;
        let cache = match cache_bytes {
            0 => DataCache::default(),
            bytes => DataCache::on_disk(folder.join("datasets"), bytes),
        };
        Local::with(cache, Spool::new(folder.join("spool"), memory_bytes, spool_bytes))
    }

    /// With memory alone, as much as it takes.
    pub fn in_memory() -> Arc<Local> {
        Local::with(DataCache::default(), Spool::new(PathBuf::new(), u64::MAX, 0))
    }

    fn with(cache: DataCache, spool: Arc<Spool>) -> Arc<Local> {
        let (uploads, outage) = (Semaphore::new(UPLOADS_AT_ONCE), Outage::default());
        Arc::new(Local { cache, spool, uploads, outage, memory: Memory::new(memory::limit_bytes()) })
    }
}
