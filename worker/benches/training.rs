//! How long an epoch takes, and how near that is to what the processor can do: the networks on slices, one core.
//!
//! ```text
//! cargo bench --workspace --bench training
//! ```
//! `benches/peer/` measures the same with PyTorch.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use curvefleet_proto::study::{ModelKind, Preset};
use curvefleet_worker::kernel::readout::Targets;
use curvefleet_worker::kernel::update::Update;
use curvefleet_worker::kernel::{Network, Packed, Products, Sequences, View};
use curvefleet_worker::model::parameters::initial_values;
use curvefleet_worker::model::{self, Shape};
use curvefleet_worker::rng;
use pulp::Arch;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Training on random sequences: samples, batch and shape.
struct Job {
    samples: usize,
    batch: usize,
    shape: Shape,
}

impl Job {
    fn new(samples: usize, batch: usize, time: usize, size: usize) -> Job {
        let shape = Shape { time, features: size, hidden: size, layers: 1, heads: 1, classes: 2, dropout: 0.0 };
        Job { samples, batch, shape }
    }

    /// Floating-point operations of an LSTM's products in one epoch: each of the two sides' weights is used once forward, once for
    /// its own gradient, and the state's side once more on the way back.
    fn flop(&self) -> f64 {
        let Shape { time, features, hidden, .. } = self.shape;
        2.0 * (self.samples * time * 4 * hidden) as f64 * (2 * features + 3 * hidden) as f64
    }
}

/// A network and its data; an epoch is one pass over them in batches.
struct Trainer {
    network: Network<f32>,
    x: Vec<f32>,
    order: Vec<u32>,
    labels: Vec<u32>,
    last_steps: Vec<u32>,
    batch: usize,
}

impl Trainer {
    fn new(job: &Job, kind: ModelKind) -> Trainer {
        let model = model::of(kind);
        let mut draws = rng::stream(&[1; 32], "benchmark");
        let parameters = initial_values(&model::parameters(model, &job.shape), &mut draws);
        let update = Update::new(&Preset::Paper.training(), parameters.len());
        let layers = model.layers(&job.shape).expect("a model on slices");
        let numbers = job.samples * job.shape.time * job.shape.features;
        Trainer {
            network: Network::new(&job.shape, layers, parameters, update, Arch::new(), 1),
            x: (0..numbers).map(|_| draws.normal() as f32).collect(),
            order: (0..job.samples as u32).collect(),
            labels: (0..job.samples as u32).map(|sample| sample % 2).collect(),
            last_steps: vec![job.shape.time as u32 - 1; job.samples],
            batch: job.batch,
        }
    }

    fn epoch(&mut self) -> f64 {
        let mut loss = 0.0;
        for samples in self.order.chunks(self.batch) {
            let first = samples[0] as usize;
            let range = first..first + samples.len();
            let last_steps = &self.last_steps[range.clone()];
            self.network.forward(&Sequences { x: &self.x, samples, last_steps, all_steps: true }, None);
            let targets = Targets { labels: &self.labels[range], class_weights: &[1.0, 1.0] };
            loss += self.network.backward(&targets);
            self.network.step();
        }
        loss
    }
}

fn epochs(criterion: &mut Criterion) {
    let jobs = [
        ("N=1024 T=150 D=H=274 batch 128", Job::new(1024, 128, 150, 274)),
        ("NATOPS pair: N=77 T=51 D=H=24 batch 128", Job::new(77, 128, 51, 24)),
        ("NATOPS pair: N=77 T=51 D=H=24 batch 16", Job::new(77, 16, 51, 24)),
        ("emotion pair: N=2764 T=66 D=H=50 batch 256", Job::new(2764, 256, 66, 50)),
    ];
    let mut group = criterion.benchmark_group("epoch");
    group.sample_size(10);
    for (name, job) in &jobs {
        for kind in [ModelKind::Lstm, ModelKind::Gru, ModelKind::Rnn] {
            if kind == ModelKind::Lstm {
                group.throughput(Throughput::Elements(job.flop() as u64));
            }
            let mut trainer = Trainer::new(job, kind);
            group.bench_function(format!("{} {name}", kind.as_str()), |bencher| bencher.iter(|| trainer.epoch()));
        }
    }
    group.finish();
}

/// Products of the shapes that training has; a large one shows the ceiling.
fn products(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("product");
    let shapes = [
        ("ceiling", 1024, 1024, 1024),
        ("step", 128, 274, 1096),
        ("step back", 128, 1096, 274),
        ("small step", 77, 24, 96),
    ];
    for (name, rows, inner, columns) in shapes {
        let left: Vec<f32> = (0..rows * inner).map(|i| (i % 13) as f32 * 0.1 - 0.5).collect();
        let right: Vec<f32> = (0..inner * columns).map(|i| (i % 7) as f32 * 0.1 - 0.3).collect();
        let mut out = vec![0.0_f32; rows * columns];
        group.throughput(Throughput::Elements((2 * rows * inner * columns) as u64));
        let (left, right) = (View::new(&left, rows, inner), View::new(&right, inner, columns));
        let (mut products, mut packed) = (Products::new(Arch::new(), 1), Packed::default());
        packed.pack(Arch::new(), right);
        let size = format!("{rows}x{inner}x{columns}");
        group.bench_function(format!("{name} {size}"), |bencher| {
            bencher.iter(|| products.multiply(&mut out, left, &packed))
        });
    }
    group.finish();
}

criterion_group!(benches, products, epochs);
criterion_main!(benches);
