//! `curvefleet verify`: a study's artifacts against what was committed.

use std::process::ExitCode;

use clap::Args;
use curvefleet_analysis::read::manifest::ManifestRow;
use curvefleet_proto::store::Store;
use curvefleet_worker::options::default_slots;
use curvefleet_worker::train::Device;
use serde_json::{Value, json};

use super::print_json;
use crate::archive::rerun::{self, Rerun, Verdict};
use crate::archive::verify::{Damaged, Verified, verify};
use crate::failure::Failure;
use crate::listing::{counted, grouped, print_table};
use crate::output::say;
use crate::study_source::existing;

/// Read a study's curves again and compare them with what was committed.
#[derive(Debug, Args)]
pub struct Verify {
    /// The study's name
    study: String,
    /// Where studies lie: a folder, or s3://bucket/prefix
    #[arg(long, env = "CURVEFLEET_STORE", value_name = "URL", default_value = "./curvefleet-data")]
    store: String,
    /// Train so many of its done runs again on this machine, drawn at random, and compare bits
    #[arg(long, value_name = "N", default_value_t = 0)]
    rerun: usize,
    /// What --rerun draws by
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Train this run again, by its id or the first digits of it; may be given again
    #[arg(long = "run", value_name = "RUN")]
    runs: Vec<String>,
    /// What trains them: cpu; vulkan or cuda, where they were built in; flex
    #[arg(long, env = "CURVEFLEET_DEVICE", value_name = "DEVICE", default_value_t = Device::CORE)]
    device: Device,
    /// Print what was found for programs
    #[arg(long)]
    json: bool,
}

impl Verify {
    /// Verifies; the exit code is 0 if everything is whole.
    ///
    /// # Errors
    /// If there is no such study or run, the store fails, or a run cannot be trained.
    pub async fn execute(self) -> Result<ExitCode, Failure> {
        self.device.check().map_err(|error| Failure::user(format!("--device: {error}")))?;
        let store = existing(&self.store)?;
        let verified = verify(&store, &self.study).await?;
        let reruns = self.rerun(&store, &verified).await?;
        match self.json {
            true => print_json(&to_json(&verified, &reruns)),
            false => self.print(&verified, &reruns),
        }
        let differs = reruns.iter().any(|rerun| matches!(rerun.verdict, Verdict::Differs(_)));
        Ok(if verified.is_whole() && !differs { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn rerun(&self, store: &Store, verified: &Verified) -> Result<Vec<Rerun>, Failure> {
        let mut chosen = rerun::choose(&verified.whole, self.rerun, self.seed);
        for run in &self.runs {
            let row = named(&verified.whole, run)?;
            if chosen.iter().all(|known| known.run != row.run) {
                chosen.push(row.clone());
            }
        }
        rerun::rerun(store, &verified.study.study, chosen, self.device, default_slots(self.device)).await
    }

    fn print(&self, verified: &Verified, reruns: &[Rerun]) {
        let name = &verified.study.study.name;
        let done = verified.whole.len() + verified.damaged.len();
        let mut line = format!(
            "study {name}: {} of {} are whole, in {}",
            grouped(verified.whole.len() as u64),
            counted(done as u64, "done run"),
            counted(verified.parts as u64, "part")
        );
        for (number, what) in [(verified.failed, "failed"), (verified.pending(), "not trained yet")] {
            if number > 0 {
                line += &format!("; {} {what}", grouped(number as u64));
            }
        }
        say!("{line}");
        for data in &verified.damaged_data {
            say!("the data set {} has other bytes than its SHA-256 {} says; import it again", data.name, data.sha256);
        }
        for name in &verified.absent_data {
            say!(
                "the data set {name} is not in this store: its runs' curves can be read, and not be trained again here"
            );
        }
        if !verified.damaged.is_empty() {
            print_table(&["run", "data", "condition", "labels", "model", "seed", "damage"], &damage(&verified.damaged));
            say!("train them again with: curvefleet retry {name} --damaged");
            say!("or, without a coordinator: curvefleet run STUDY_FILE --repair");
        }
        self.print_reruns(reruns);
    }

    fn print_reruns(&self, reruns: &[Rerun]) {
        if reruns.is_empty() {
            return;
        }
        let same = reruns.iter().filter(|rerun| rerun.verdict == Verdict::Same).count();
        let trained = counted(reruns.len() as u64, "run");
        say!("trained again on {}: {} of {trained} with the same bits", self.device.name(), grouped(same as u64));
        for rerun in reruns {
            let trained_on = rerun.trained_on.as_deref().unwrap_or("an unknown device");
            let run = &rerun.row.run;
            match &rerun.verdict {
                Verdict::Same => {}
                Verdict::OtherDevice(place) => {
                    say!("  run {run} differs, as it may: it was trained on {trained_on} ({place})");
                }
                Verdict::Differs(place) => {
                    say!("  run {run} differs although it was trained on {trained_on}, too: {place}");
                    say!("    its part, or the machine that trained it, or this one is wrong");
                }
                Verdict::OtherVersion => {
                    say!("  run {run} cannot be trained again: its numbers are of another version")
                }
            }
        }
    }
}

/// The run of this id, or whose id begins so.
fn named<'a>(rows: &'a [ManifestRow], run: &str) -> Result<&'a ManifestRow, Failure> {
    let run = run.to_ascii_lowercase();
    let mut found = rows.iter().filter(|row| !run.is_empty() && row.run.starts_with(&run));
    match (found.next(), found.next()) {
        (Some(row), None) => Ok(row),
        (None, _) => Err(Failure::user(format!("no done run of the study that is whole begins with `{run}`"))),
        (Some(_), Some(_)) => Err(Failure::user(format!("several runs begin with `{run}`; give more digits"))),
    }
}

fn damage(damaged: &[Damaged]) -> Vec<Vec<String>> {
    let row = |damaged: &Damaged| {
        let row = &damaged.row;
        let mut cells = vec![row.run.clone(), row.data.clone(), row.condition.clone(), labels(row).to_string()];
        cells.extend([row.model.clone(), row.seed.to_string(), format!("{} {}", damaged.part, damaged.problem)]);
        cells
    };
    damaged.iter().map(row).collect()
}

fn labels(row: &ManifestRow) -> &'static str {
    if row.shuffled { "shuffled" } else { "true" }
}

fn to_json(verified: &Verified, reruns: &[Rerun]) -> Value {
    let damaged = |damaged: &Damaged| {
        let row = &damaged.row;
        json!({
            "run": row.run, "data": row.data, "condition": row.condition, "labels": labels(row), "model": row.model,
            "seed": row.seed, "part": damaged.part, "problem": damaged.problem,
        })
    };
    let rerun = |rerun: &Rerun| {
        let (verdict, place) = match &rerun.verdict {
            Verdict::Same => ("same", None),
            Verdict::OtherDevice(place) => ("other device", Some(place)),
            Verdict::Differs(place) => ("differs", Some(place)),
            Verdict::OtherVersion => ("other version", None),
        };
        json!({ "run": rerun.row.run, "trained_on": rerun.trained_on, "verdict": verdict, "first_difference": place })
    };
    json!({
        "study": verified.study.study.name, "is_whole": verified.is_whole(), "planned": verified.planned,
        "whole": verified.whole.len(), "failed": verified.failed, "pending": verified.pending(), "parts": verified.parts,
        "damaged": verified.damaged.iter().map(damaged).collect::<Vec<_>>(),
        "damaged_data": verified.damaged_data.iter()
            .map(|data| json!({ "name": data.name, "sha256": data.sha256 })).collect::<Vec<_>>(),
        "absent_data": verified.absent_data,
        "reruns": reruns.iter().map(rerun).collect::<Vec<_>>(),
    })
}
