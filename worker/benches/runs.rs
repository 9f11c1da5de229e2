//! Whole runs on real data, end to end in one process: how long a run takes, what a second core adds, what a checkpoint costs, how
//! much memory it all needs.
//!
//! ```text
//! cargo bench --workspace --bench runs
//! ```
//! Data files are looked for in the folder that `CURVEFLEET_TEST_DATA` names. `benches/peer/` runs the same with PyTorch and
//! scikit-learn.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use curvefleet_proto::plan::RunSettings;
use curvefleet_proto::plan::run::{NUMBERS_VERSION, RunModel};
use curvefleet_proto::study::{Condition, DataFormat, DataSource, Labels, ModelKind, Preset};
use curvefleet_worker::data::Dataset;
use curvefleet_worker::data::import::import;
use curvefleet_worker::data::prepare::{Selection, select};
use curvefleet_worker::train::{Device, Pack, train};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs of each job; the median is told.
const REPEATS: usize = 5;

/// One pair of classes, ready to be trained on.
struct Job {
    name: &'static str,
    settings: RunSettings,
    selection: Arc<Selection>,
}

impl Job {
    fn new(name: &'static str, data: &Dataset, pair: [&str; 2], preset: Preset, batch_size: u32, epochs: u32) -> Job {
        let condition = Condition {
            classes: pair.map(str::to_string).to_vec(),
            labels: Labels::True,
            features: (0..data.features.len() as u32).collect(),
            pad_to: data.steps_range().1,
        };
        let mut training = preset.training();
        (training.batch_size, training.epochs) = (batch_size, epochs);
        let selection = select(data, &condition, training.shuffle).expect("the pair is in the data set");
        let hidden = data.features.len() as u32;
        let settings = RunSettings {
            numbers_version: NUMBERS_VERSION,
            data_sha256: String::new(),
            condition,
            model: RunModel { kind: ModelKind::Lstm, hidden, layers: 1, heads: 1, dropout: 0.0 },
            training,
            probe: preset.probe(),
        };
        Job { name, settings, selection: Arc::new(selection) }
    }

    /// Seconds of one run.
    fn run(&self, seed: u64) -> f64 {
        let pack = Pack { settings: &self.settings, seeds: &[seed], selection: &self.selection, device: Device::CORE };
        let began = Instant::now();
        train(&pack, None, &mut |_| ControlFlow::Continue(())).expect("a run");
        began.elapsed().as_secs_f64()
    }

    fn median(&self) -> f64 {
        let mut seconds: Vec<f64> = (0..REPEATS as u64).map(|seed| self.run(seed)).collect();
        seconds.sort_by(f64::total_cmp);
        seconds[REPEATS / 2]
    }

    /// Runs per second on two threads, over runs per second on one.
    fn two_cores(&self) -> f64 {
        let alone = self.median();
        let began = Instant::now();
        std::thread::scope(|scope| {
            for first in [0, 100] {
                scope.spawn(move || (0..REPEATS as u64).map(|seed| self.run(first + seed)).sum::<f64>());
            }
        });
        2.0 * REPEATS as f64 / began.elapsed().as_secs_f64() * alone
    }

    /// Milliseconds to make a checkpoint after the last epoch, and its bytes.
    fn checkpoint(&self) -> (f64, usize) {
        let pack = Pack { settings: &self.settings, seeds: &[0], selection: &self.selection, device: Device::CORE };
        let mut cost = (0.0, 0);
        let mut observe = |training: &curvefleet_worker::train::Training<'_>| {
            let began = Instant::now();
            let bytes = training.checkpoint().expect("a checkpoint").encode().expect("its bytes");
            cost = (began.elapsed().as_secs_f64() * 1e3, bytes.len());
            ControlFlow::Continue(())
        };
        train(&pack, None, &mut observe).expect("a run");
        cost
    }
}

/// The most memory this process has held, in MB.
fn peak_memory_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1e3)
}

fn load(format: DataFormat, files: &[&str], glove: Option<&str>) -> Option<Dataset> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("CURVEFLEET_TEST_DATA").map_or(default, PathBuf::from);
    if let Some(missing) = files.iter().chain(&glove).find(|file| !folder.join(file).exists()) {
        println!("skipped: there is no {missing} in the folder CURVEFLEET_TEST_DATA");
        return None;
    }
    let source = DataSource {
        format,
        files: files.iter().map(|file| (*file).to_string()).collect(),
        labels: None,
        glove: glove.map(str::to_string),
        class_order: Vec::new(),
        class_names: Default::default(),
        missing: Default::default(),
        text_column: None,
        label_column: None,
        generate: None,
    };
    Some(import(&source, &folder).expect("a data set"))
}

fn main() {
    let natops = load(DataFormat::Ts, &["gesture/NATOPS_TRAIN.ts", "gesture/NATOPS_TEST.ts"], None);
    if let Some(natops) = natops {
        for (name, preset, batch) in [
            ("NATOPS pair, 50 epochs, sound, batch 128", Preset::Sound, 128),
            ("NATOPS pair, 50 epochs, paper, batch 128", Preset::Paper, 128),
            ("NATOPS pair, 50 epochs, sound, batch 16", Preset::Sound, 16),
        ] {
            let job = Job::new(name, &natops, ["1.0", "2.0"], preset, batch, 50);
            println!("{}: {:.3} s per run", job.name, job.median());
        }
    }
    let glove = Some("glove/glove.6B.50d.subset.txt");
    let Some(emotion) = load(DataFormat::SentenceLabel, &["sentence/emotion_train.txt"], glove) else { return };
    for (name, preset) in [
        ("emotion anger/fear, sound, batch 256", Preset::Sound),
        ("emotion anger/fear, paper, batch 256", Preset::Paper),
    ] {
        let job = Job::new(name, &emotion, ["anger", "fear"], preset, 256, 2);
        println!("{}: {:.3} s per epoch", job.name, job.median() / 2.0);
    }
    println!("peak memory up to here, with both data sets: {:.0} MB", peak_memory_mb().unwrap_or(f64::NAN));
    let job = Job::new("emotion anger/fear", &emotion, ["anger", "fear"], Preset::Sound, 256, 2);
    println!("{}: two runs on two cores have {:.2} times the throughput of one", job.name, job.two_cores());
    let (milliseconds, bytes) = job.checkpoint();
    let share = milliseconds / 30e3 * 100.0;
    println!("{}: a checkpoint takes {milliseconds:.1} ms ({bytes} bytes): {share:.3}% of 30 s", job.name);
}
