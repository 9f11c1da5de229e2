//! How long the probe of one epoch takes: all time steps of a run's hidden states, one core.
//!
//! ```text
//! cargo bench --workspace --bench probe
//! ```

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use curvefleet_proto::study::{ModelKind, Preset, Statistics};
use curvefleet_worker::kernel::update::Update;
use curvefleet_worker::kernel::{Network, Sequences};
use curvefleet_worker::model::parameters::initial_values;
use curvefleet_worker::model::{self, Shape};
use curvefleet_worker::probe::{Classifier, Exclude, Points, Prober, States};
use curvefleet_worker::rng::{self, Stream};
use pulp::Arch;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Dimensions of the signal that states carry, as far as they have them.
const SIGNALS: usize = 12;

/// Sizes of one epoch's states. Two classes; one sample is one row.
struct Job {
    fitted: usize,
    /// 0 where the fitted points are themselves asked about.
    held_out: usize,
    time: usize,
    hidden: usize,
    origin: Origin,
}

/// Where states come from.
enum Origin {
    /// An LSTM as it is initialised, on the random sequences of the benchmark of training.
    Lstm,
    /// A signal of few dimensions and noise, drawn afresh at every step; one in so many rows stands at one of seven states.
    Signals { coinciding_every: usize },
}

const GESTURES: Job = Job { fitted: 1024, held_out: 0, time: 150, hidden: 274, origin: Origin::Lstm };
const NATOPS: Job = Job { fitted: 77, held_out: 20, time: 51, hidden: 24, origin: Origin::Lstm };
const SENTENCES: Job =
    Job { fitted: 2700, held_out: 700, time: 66, hidden: 50, origin: Origin::Signals { coinciding_every: 3 } };

/// What a job probes.
struct Material {
    states: States,
    rows: Vec<usize>,
    labels: Vec<u32>,
    fitted: usize,
}

impl Material {
    fn new(job: &Job) -> Material {
        let rows = job.fitted + job.held_out;
        let mut draws = rng::stream(&[1; 32], "benchmark");
        let labels: Vec<u32> = (0..rows).map(|_| draws.below(2) as u32).collect();
        let mut states = States::default();
        states.reset(job.time, rows, job.hidden);
        match job.origin {
            Origin::Lstm => run_lstm(job, &mut draws, &mut states),
            Origin::Signals { coinciding_every } => {
                draw_signals(job, coinciding_every, &labels, &mut draws, &mut states);
            }
        }
        Material { states, rows: (0..rows).collect(), labels, fitted: job.fitted }
    }

    fn points(&self, from: usize, to: usize) -> Points<'_> {
        Points { rows: &self.rows[from..to], labels: &self.labels[from..to], origins: &self.rows[from..to] }
    }

    fn fit(&self) -> Points<'_> {
        self.points(0, self.fitted)
    }

    fn queries(&self) -> Points<'_> {
        if self.rows.len() > self.fitted { self.points(self.fitted, self.rows.len()) } else { self.fit() }
    }
}

fn run_lstm(job: &Job, draws: &mut Stream, states: &mut States) {
    let (model, rows) = (model::of(ModelKind::Lstm), states.rows());
    let Job { time, hidden, .. } = *job;
    let shape = Shape { time, features: hidden, hidden, layers: 1, heads: 1, classes: 2, dropout: 0.0 };
    let parameters = initial_values(&model::parameters(model, &shape), draws);
    let update = Update::new(&Preset::Paper.training(), parameters.len());
    let layers = model.layers(&shape).expect("a model on slices");
    let mut network: Network<f32> = Network::new(&shape, layers, parameters, update, Arch::new(), 1);
    let x: Vec<f32> = (0..rows * time * hidden).map(|_| draws.normal() as f32).collect();
    let (samples, last_steps) = ((0..rows as u32).collect::<Vec<_>>(), vec![time as u32 - 1; rows]);
    network.evaluate(
        &Sequences { x: &x, samples: &samples, last_steps: &last_steps, all_steps: true },
        Statistics::Running,
    );
    for (t, step) in network.states().chunks_exact(rows * hidden).enumerate() {
        states.at_mut(t).copy_from_slice(step);
    }
}

/// One dimension of the signal tells the class a little.
fn draw_signals(job: &Job, coinciding_every: usize, labels: &[u32], draws: &mut Stream, states: &mut States) {
    let signals = SIGNALS.min(job.hidden);
    let scale = 0.5 / (signals as f64).sqrt();
    let mix: Vec<f32> = (0..signals * job.hidden).map(|_| (scale * draws.normal()) as f32).collect();
    let mut signal = vec![0.0_f32; signals];
    for t in 0..job.time {
        for (row, state) in states.at_mut(t).chunks_exact_mut(job.hidden).enumerate() {
            if row % coinciding_every == 0 {
                let place = (row / coinciding_every % 7) as f32;
                state.iter_mut().zip(0_u8..).for_each(|(value, unit)| *value = (place + f32::from(unit)).sin());
                continue;
            }
            signal.iter_mut().for_each(|value| *value = draws.normal() as f32);
            signal[0] += labels[row] as f32;
            state.iter_mut().for_each(|value| *value = 0.3 * (draws.uniform() as f32 - 0.5));
            for (factor, line) in signal.iter().zip(mix.chunks_exact(job.hidden)) {
                state.iter_mut().zip(line).for_each(|(value, mixed)| *value += factor * mixed);
            }
            state.iter_mut().for_each(|value| *value = value.tanh());
        }
    }
}

/// Probes whole epochs.
fn measure(criterion: &mut Criterion, name: &str, job: &Job, classifier: Classifier, exclude: Exclude) {
    let mut group = criterion.benchmark_group("probe");
    group.sample_size(10).measurement_time(Duration::from_secs(10)).sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(job.time as u64));
    // Made only when the benchmark is among those that were asked for.
    let mut material = None;
    group.bench_function(name, |bencher| {
        let material = material.get_or_insert_with(|| Material::new(job));
        let mut prober = Prober::new(classifier, 2, exclude, Arch::new(), 1);
        let mut curve = Vec::new();
        bencher.iter(|| {
            prober.curve(black_box(&material.states), material.fit(), material.queries(), &mut curve);
            curve[0]
        });
    });
    group.finish();
}

fn neighbours(criterion: &mut Criterion) {
    let knn = Classifier::Knn { k: 3 };
    measure(criterion, "knn self-inclusive N=1024 T=150 D=274", &GESTURES, knn, Exclude::Nothing);
    measure(criterion, "knn leave-one-out N=1024 T=150 D=274", &GESTURES, knn, Exclude::SameOrigin);
    measure(criterion, "knn NATOPS held-out", &NATOPS, knn, Exclude::Nothing);
    measure(criterion, "knn sentences held-out with coinciding states", &SENTENCES, knn, Exclude::Nothing);
}

fn others(criterion: &mut Criterion) {
    measure(criterion, "nearest mean NATOPS held-out", &NATOPS, Classifier::NearestMean, Exclude::Nothing);
    measure(criterion, "logistic NATOPS held-out", &NATOPS, Classifier::Logistic { l2: 1.0 }, Exclude::Nothing);
}

criterion_group!(benches, neighbours, others);
criterion_main!(benches);
