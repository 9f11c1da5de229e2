//! The coordinator, in a process of its own, so that its memory and processor time can be told from the workers'.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use curvefleet_coordinator::Options;

use crate::Result;

/// How often the system counts processor time, per second (`USER_HZ`, the same on all of Linux's usual machines).
const TICKS_PER_SECOND: u64 = 100;

/// A coordinator's process; ended when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    url: String,
}

/// Is the coordinator, until it is ended.
pub fn serve(store: &Path, database: Option<&str>) -> Result<()> {
    let options = Options {
        listen: "127.0.0.1:0".to_string(),
        store: store.display().to_string(),
        database: database.map(str::parse).transpose()?,
        // All simulated workers are one client.
        requests_per_second: u32::MAX,
        ..Options::default()
    };
    Ok(tokio::runtime::Runtime::new()?.block_on(curvefleet_coordinator::run(options))?)
}

impl Process {
    /// Starts this program again as a coordinator.
    pub fn start(store: &Path, database: Option<&str>) -> Result<Process> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--serve").arg(store).args(database.iter().flat_map(|url| ["--database", url]));
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let url =
            line.split([' ', ',']).find(|word| word.starts_with("http://")).ok_or("the coordinator does not start")?;
        Ok(Process { url: url.to_string(), child })
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The processor time it has used.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // proc(5): the fields after the name, which is in parentheses; utime and stime are the 14th and 15th of all.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        let ticks = fields.map(str::parse::<u64>).sum::<std::result::Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
    }

    /// The most memory it has had, in megabytes.
    pub fn memory_mb(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        let kibibytes: u64 = line.split_whitespace().next().unwrap_or_default().parse()?;
        Ok(kibibytes * 1024 / 1_000_000)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It loses nothing, and what it held is thrown away.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
