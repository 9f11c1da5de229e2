//! An S3 server that can be out of order, and the disk under it that can be full.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::super::s3_server::signed;

/// What the server answers, and how often it was asked.
#[derive(Clone, Default)]
pub struct Order(Arc<(AtomicU16, AtomicU64)>);

impl Order {
    /// From now on requests are answered with this status: 500 and 503 all, 507 those that write. 0: as they deserve.
    pub fn set(&self, status: u16) {
        self.0.0.store(status, Ordering::SeqCst);
    }

    /// How many requests came so far.
    pub fn asked(&self) -> u64 {
        self.0.1.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl S3Access for Order {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        signed(context)?;
        self.0.1.fetch_add(1, Ordering::SeqCst);
        let writes = context.method().as_str() != "GET" && context.method().as_str() != "HEAD";
        let status = self.0.0.load(Ordering::SeqCst);
        let code = match status {
            500 => S3ErrorCode::InternalError,
            503 => S3ErrorCode::SlowDown,
            507 if writes => S3ErrorCode::Custom("QuotaExceeded".into()),
            _ => return Ok(()),
        };
        let mut error = S3Error::with_message(code, "out of order");
        error.set_status_code(status.try_into().unwrap());
        Err(error)
    }
}

/// A folder on a small disk of its own where the system lets us mount one, else a plain folder that cannot be filled.
pub struct Disk {
    folder: tempfile::TempDir,
    is_small: bool,
}

impl Disk {
    /// What it holds, far more than a study and its ledger need.
    const MEBIBYTES: u32 = 64;

    pub fn new() -> Disk {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={}m", Disk::MEBIBYTES), "curvefleet-chaos"]).arg(folder.path());
        let is_small = mount.output().is_ok_and(|mounted| mounted.status.success());
        if !is_small {
            eprintln!("no small disk may be mounted here: a full store is one whose server answers 507");
        }
        Disk { folder, is_small }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whether it can be filled.
    pub fn is_small(&self) -> bool {
        self.is_small
    }

    /// Takes all the room there is left.
    pub fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.ballast()).unwrap();
        let mut piece = vec![0; 1 << 20];
        while !piece.is_empty() {
            if file.write_all(&piece).is_err() {
                piece.truncate(piece.len() / 2);
            }
        }
    }

    /// Gives it back.
    pub fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_small {
            // Lazily: threads of the server may have files open. There is nothing to do about a refusal.
            drop(Command::new("umount").arg("-l").arg(self.folder.path()).output());
        }
    }
}
