//! The coordinator as a process of its own, and what it uses.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use curvefleet_proto::artifact::dataset_key;

use crate::{DATA_SHA256, Failure};

/// Linux counts processor time in hundredths of a second for programs that read `/proc`.
const TICKS_PER_SECOND: f64 = 100.0;

/// A coordinator; killed when it is dropped.
pub struct Server {
    child: Child,
    pub url: String,
    /// What it said of itself.
    pub first_line: String,
}

/// What a process has used so far.
pub struct Usage {
    pub cpu_seconds: f64,
    pub resident_mb: u64,
    pub peak_mb: u64,
}

impl Server {
    /// Starts a coordinator on a free port, with its store in this folder and the study's data set in it.
    pub fn start(program: &Option<PathBuf>, folder: &Path, database: Option<&str>) -> Result<Server, Failure> {
        let program = match program {
            Some(program) => program.clone(),
            None => beside()?,
        };
        let store = folder.join("store");
        let data = store.join(dataset_key(DATA_SHA256));
        std::fs::create_dir_all(data.parent().unwrap_or(&store))?;
        std::fs::write(&data, "what is in it does not matter")?;
        let mut command = Command::new(&program);
        command.args(["coordinator", "--listen", "127.0.0.1:0", "--store"]).arg(&store).env("RUST_LOG", "warn");
        if let Some(database) = database {
            command.env("CURVEFLEET_DATABASE", database);
        }
        let child = command.stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| format!("{} does not start: {error}", program.display()))?;
        let mut out = BufReader::new(child.stdout.take().ok_or("the coordinator has no standard output")?);
        let mut first_line = String::new();
        out.read_line(&mut first_line)?;
        let url = first_line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.ok_or("the coordinator does not say where it listens")?.trim_end_matches(',').to_string();
        std::thread::spawn(move || out.read_to_end(&mut Vec::new()));
        Ok(Server { child, url, first_line })
    }

    /// What it has used so far.
    pub fn usage(&self) -> Result<Usage, Failure> {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id()));
        let status = read("status")?;
        let megabytes = |key: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1_024)
        };
        let stat = read("stat")?;
        // The second field, in parentheses, is the program's name and may hold spaces.
        let after_name = stat.rsplit(')').next().unwrap_or("");
        let ticks: f64 =
            after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        Ok(Usage {
            cpu_seconds: ticks / TICKS_PER_SECOND,
            resident_mb: megabytes("VmRSS:").unwrap_or(0),
            peak_mb: megabytes("VmHWM:").unwrap_or(0),
        })
    }

    /// Ends it.
    pub fn stop(mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `curvefleet` in the folder above the examples'.
fn beside() -> Result<PathBuf, Failure> {
    let this = std::env::current_exe()?;
    let folder = this.parent().and_then(Path::parent).ok_or("this program lies in no folder")?;
    Ok(folder.join("curvefleet"))
}
