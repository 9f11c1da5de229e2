//! The report of a study of any size: how long it takes, and how much memory.
//!
//! ```text
//! cargo bench --workspace --bench scale                                  # 750 runs × 50 epochs × 150 steps: made, reported on, measured
//! cargo bench --workspace --bench scale -- FOLDER RUNS [EPOCHS [STEPS]]  # makes a study in a folder and ends
//! /usr/bin/time -v target/release/curvefleet report scale --store FOLDER
//! ```
//!
//! The study has 15 pairs of classes with true and shuffled labels. Its parts are as workers write them: accuracies are shares of 200
//! samples, 50 runs of a condition lie in one part.

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::time::Instant;

use curvefleet_analysis::{ReportOptions, write_report};
use curvefleet_proto::artifact::{manifest_key, part_key, sha256_hex, study_key};
use curvefleet_proto::plan::{Cell, RunSettings, cells};
use curvefleet_proto::store::Store;
use curvefleet_proto::study::{Labels, Study};
use support::{ManifestEntry, Noise, Row, Shape, encode_manifest, encode_part, resolve};

const RUNS: usize = 750;
const EPOCHS: u32 = 50;
const STEPS: usize = 150;
/// Conditions: 15 pairs with true and with shuffled labels.
const CELLS: usize = 30;
const RUNS_OF_A_PART: usize = 50;
/// Samples that an accuracy is a share of.
const SAMPLES: f64 = 200.0;

fn main() {
    // Cargo hands its own `--bench` on.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(folder) = arguments.next() else { return measure() };
    let mut number = |default: usize| arguments.next().map_or(default, |text| text.parse().expect("a whole number"));
    let (runs, epochs, steps) = (number(RUNS), number(EPOCHS as usize), number(STEPS));
    let runs = generate(&PathBuf::from(folder), runs, epochs as u32, steps);
    println!("{runs} runs of {epochs} epochs with {steps} steps: the study `scale`");
}

/// Makes a study of the paper's size and reports on it.
fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    let runs = generate(folder.path(), RUNS, EPOCHS, STEPS);
    let before = peak_memory();
    let store = Store::open(&folder.path().display().to_string(), []).expect("a store");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let began = Instant::now();
    let options = ReportOptions { time: "bench".to_string() };
    runtime.block_on(write_report(&store, "scale", options)).expect("a report");
    println!(
        "report of {runs} runs of {EPOCHS} epochs with {STEPS} steps, 10,000 resamples: {:.1} s, peak memory {} MB ({} MB before)",
        began.elapsed().as_secs_f64(),
        peak_memory(),
        before
    );
}

/// The most memory that this process held, in MB; 0 where the system does not say.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) / 1000
}

/// Writes the study; gives how many runs it has, as many in each condition.
fn generate(root: &Path, runs: usize, epochs: u32, steps: usize) -> usize {
    let seeds = runs.div_ceil(CELLS);
    let classes = vec!["anger", "fear", "joy", "love", "sadness", "surprise"];
    let shape = Shape { name: "scale", classes, seeds, epochs, steps, ..Shape::default() };
    let study = resolve(&shape);
    let put = |key: &str, bytes: &[u8]| {
        let path = root.join(key);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("room on the disk");
    };
    put(&study_key(&study.name), study.to_toml().expect("a study file").as_bytes());
    let mut manifest: Vec<ManifestEntry> = Vec::new();
    for (index, cell) in cells(&study).expect("conditions").iter().enumerate() {
        for (number, seeds) in study.seeds.chunks(RUNS_OF_A_PART).enumerate() {
            let rows = rows(&study, index, cell, seeds, epochs, steps);
            let bytes = encode_part(&rows);
            let key = part_key(&study.name, &format!("{index:08x}"), 1, number as u32);
            put(&key, &bytes);
            let part = Some((key, bytes.len() as u64, sha256_hex(&bytes)));
            let of_run = |rows: &[Row]| ManifestEntry {
                run: rows[0].run.clone(),
                names: rows[0].names.clone(),
                seed: rows[0].seed,
                part: part.clone(),
                error: None,
            };
            manifest.extend(rows.chunks(epochs as usize).map(of_run));
        }
    }
    put(&manifest_key(&study.name), &encode_manifest(&manifest));
    manifest.len()
}

/// The rows of some runs of a cell: curves that rise with epoch and time step, in each run a little more or less.
fn rows(study: &Study, index: usize, cell: &Cell<'_>, seeds: &[u64], epochs: u32, steps: usize) -> Vec<Row> {
    let settings = RunSettings::of(study, cell);
    let names = [&cell.data.name, &cell.condition_name, cell.condition.labels.as_str(), &cell.model.name];
    let names = names.map(|name| name.to_string());
    let pair = (index / 2) as f64;
    let strength = if cell.condition.labels == Labels::Shuffled { 0.0 } else { 0.2 + 0.01 * pair };
    let peak = 0.5 + 0.03 * pair;
    let rise: Vec<f64> = (1..=steps)
        .map(|step| step as f64 / steps as f64)
        .map(|place| if place < peak { (place / peak).sqrt() } else { 1.0 - 0.3 * (place - peak) })
        .collect();
    let mut all = Vec::with_capacity(seeds.len() * epochs as usize);
    for seed in seeds {
        let run = settings.run_id(*seed).to_string();
        let mut noise = Noise::new(index as u64 * 1_000_003 + seed);
        let own = 0.02 * noise.next();
        for epoch in 1..=epochs {
            let learned = 1.0 - (-f64::from(epoch) / (4.0 + pair)).exp();
            let height =
                |rise: &f64, noise: f64| (0.5 + own + strength * learned * rise + 0.03 * noise).clamp(0.0, 1.0);
            let share = |accuracy: f64| (accuracy * SAMPLES).round() / SAMPLES;
            let curve = rise.iter().map(|rise| share(height(rise, noise.next()))).collect();
            all.push(Row {
                run: run.clone(),
                names: names.clone(),
                seed: *seed,
                epoch,
                accuracy: share(height(&1.0, noise.next())),
                last: epoch == epochs,
                curve,
            });
        }
    }
    all
}
