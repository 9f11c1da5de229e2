//! The networks, their gradients and their updates against PyTorch's numbers in double precision: the slices in f64 and f32, and
//! burn's tensors. `reference/lstm_bn_adam.json` is given; `reference/models.py` made `reference/models.json`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use curvefleet_proto::study::{ModelKind, Optimizer, Preset, Statistics, Training};
use curvefleet_worker::data::prepare::{Sample, Selection};
use curvefleet_worker::kernel::readout::Targets;
use curvefleet_worker::kernel::recurrent::{Layers, Recurrent};
use curvefleet_worker::kernel::update::Update;
use curvefleet_worker::kernel::{Network, Real, Sequences};
use curvefleet_worker::model::{self, Parameter, Shape, gru::Gru, lstm::Lstm, rnn::Rnn};
use curvefleet_worker::rng;
use curvefleet_worker::train::core::CoreLearner;
use curvefleet_worker::train::learner::{Batch, Learner};
use curvefleet_worker::train::setup::{RunSetup, Setup};
use curvefleet_worker::train::tensors::TensorLearner;
use curvefleet_worker::train::{Device, learner::NetworkState};
use pulp::Arch;
use serde_json::Value;

/// A network and some batches, as PyTorch trained it.
struct Case {
    kind: ModelKind,
    shape: Shape,
    normed: bool,
    json: Value,
    parameters: Vec<Parameter>,
    training: Training,
}

/// One batch of a case.
struct Step {
    x: Vec<f64>,
    labels: Vec<u32>,
    last_steps: Vec<u32>,
}

fn cases() -> Vec<Case> {
    let texts = [include_str!("reference/lstm_bn_adam.json"), include_str!("reference/models.json")];
    let all =
        texts.iter().flat_map(|text| serde_json::from_str::<Value>(text).unwrap()["cases"].as_array().unwrap().clone());
    all.map(Case::new).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = if value.is_array() { value } else { &value["data"] };
    list.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn integers(value: &Value) -> Vec<u32> {
    numbers(value).iter().map(|number| *number as u32).collect()
}

impl Case {
    fn new(json: Value) -> Case {
        let size = |key: &str, default: u64| json[key].as_u64().unwrap_or(default) as usize;
        let kind: ModelKind = serde_json::from_value(json.get("kind").cloned().unwrap_or("lstm".into())).unwrap();
        let shape = Shape {
            time: size("T", 0),
            features: size("D", 0),
            hidden: size("H", 0),
            layers: size("layers", 1),
            heads: size("heads", 1),
            classes: size("C", 0),
            dropout: 0.0,
        };
        let adam = |key: &str| {
            json["adam"][key].as_f64().unwrap_or_else(|| numbers(&json["adam"]["betas"])[usize::from(key == "beta2")])
        };
        let training = Training {
            optimizer: Optimizer::Adam,
            learning_rate: adam("lr"),
            beta1: adam("beta1"),
            beta2: adam("beta2"),
            epsilon: adam("eps"),
            ..Preset::Sound.training()
        };
        Case {
            parameters: model::parameters(model::of(kind), &shape),
            normed: json.get("batchnorm_over_time").is_none_or(|normed| normed.as_bool().unwrap()),
            kind,
            shape,
            json,
            training,
        }
    }

    /// The parameters of a state dict in our order; those of a batch norm that it lacks are 1 and 0.
    fn flat(&self, state: &Value) -> Vec<f64> {
        let of = |parameter: &Parameter| match state.get(&parameter.name) {
            Some(values) => numbers(values),
            None => vec![if parameter.name == "bn.weight" { 1.0 } else { 0.0 }; parameter.len()],
        };
        self.parameters.iter().flat_map(of).collect()
    }

    fn steps(&self) -> Vec<(Step, &Value)> {
        self.json["steps"].as_array().unwrap().iter().map(|step| (self.step(step), step)).collect()
    }

    fn step(&self, json: &Value) -> Step {
        let x = numbers(&json["x"]);
        let batch = x.len() / self.shape.time / self.shape.features;
        let labels = json.get("y").map_or_else(|| vec![0; batch], integers);
        let last = vec![self.shape.time as u32 - 1; batch];
        Step { x, labels, last_steps: json.get("last_steps").filter(|steps| !steps.is_null()).map_or(last, integers) }
    }

    /// Holds all parameters against a state dict, or all gradients, by name; `skipping` names what rounding noise decides.
    fn compare(&self, what: &str, found: &[f64], expected: &Value, tolerance: f64, skip_noise: bool) {
        let mut rest = found;
        for parameter in &self.parameters {
            let (own, others) = rest.split_at(parameter.len());
            rest = others;
            let Some(expected) = expected.get(&parameter.name) else { continue };
            let noise = &self.json["no_gradient"][&parameter.name];
            let noise = noise
                .as_array()
                .filter(|_| skip_noise)
                .map_or(0..0, |range| range[0].as_u64().unwrap() as usize..range[1].as_u64().unwrap() as usize);
            close(&format!("{:?}, {what}, {}", self.kind, parameter.name), own, &numbers(expected), tolerance, noise);
        }
    }
}

fn close(what: &str, found: &[f64], expected: &[f64], tolerance: f64, skipped: std::ops::Range<usize>) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            skipped.contains(&index) || (found - expected).abs() <= tolerance * (1.0 + expected.abs()),
            "{what}[{index}] is {found}, PyTorch has {expected}"
        );
    }
}

fn layers<R: Real>(kind: ModelKind, shape: &Shape) -> Option<Box<dyn Layers<R>>> {
    match kind {
        ModelKind::Lstm => Some(Box::new(Recurrent::<R, Lstm>::new(shape))),
        ModelKind::Gru => Some(Box::new(Recurrent::<R, Gru>::new(shape))),
        ModelKind::Rnn => Some(Box::new(Recurrent::<R, Rnn>::new(shape))),
        ModelKind::Transformer | ModelKind::MeanPool => None,
    }
}

fn cast<R: Real>(values: &[f64]) -> Vec<R> {
    values.iter().map(|value| R::of(*value)).collect()
}

fn doubles<R: Real>(values: &[R]) -> Vec<f64> {
    values.iter().map(|value| value.double()).collect()
}

/// `[time, batch, hidden]` as PyTorch lists it, `[batch, time, hidden]`.
fn by_sample(states: &[f64], shape: &Shape) -> Vec<f64> {
    let batch = states.len() / shape.time / shape.hidden;
    let state = |n: usize, t: usize| states[(t * batch + n) * shape.hidden..][..shape.hidden].to_vec();
    (0..batch).flat_map(|n| (0..shape.time).flat_map(move |t| state(n, t))).collect()
}

/// With all steps and with those alone that a sample's read-out depends on: the reference computes all.
fn slices_agree<R: Real>(arch: Arch, tolerance: f64) {
    slices_agree_on::<R>(arch, tolerance, true);
    slices_agree_on::<R>(arch, tolerance, false);
}

fn slices_agree_on<R: Real>(arch: Arch, tolerance: f64, all_steps: bool) {
    let mut seen = BTreeMap::new();
    for case in cases() {
        let Some(layers) = layers::<R>(case.kind, &case.shape) else { continue };
        *seen.entry(case.kind.as_str()).or_insert(0) += 1;
        let parameters = cast::<R>(&case.flat(&case.json["init"]));
        let update = Update::new(&case.training, parameters.len());
        let mut network = Network::new(&case.shape, layers, parameters, update, arch, 1);
        let weights = vec![1.0; case.shape.classes];
        for (number, (step, expected)) in case.steps().into_iter().enumerate() {
            let what = |part: &str| format!("{:?}, step {number}, {part}", case.kind);
            let samples: Vec<u32> = (0..step.labels.len() as u32).collect();
            // A case without batch norm: running statistics at their start divide by √(1 + ε).
            let scale = if case.normed { 1.0 } else { (1.0_f64 + 1e-5).sqrt() };
            let x = cast::<R>(&step.x.iter().map(|x| x * scale).collect::<Vec<_>>());
            let sequences = Sequences { x: &x, samples: &samples, last_steps: &step.last_steps, all_steps };
            let logits = match case.normed {
                true => doubles(network.forward(&sequences, None)),
                false => doubles(network.evaluate(&sequences, Statistics::Running)),
            };
            close(&what("logits"), &logits, &numbers(&expected["logits"]), tolerance, 0..0);
            if all_steps {
                let states = by_sample(&doubles(network.states()), &case.shape);
                close(&what("states"), &states, &numbers(&expected["hidden_all"]), tolerance, 0..0);
            }
            let loss = network.backward(&Targets { labels: &step.labels, class_weights: &weights });
            close(&what("loss"), &[loss], &[expected["loss"].as_f64().unwrap()], tolerance, 0..0);
            case.compare("gradients", &doubles(&network.gradients), &expected["grads"], tolerance, false);
            if !case.normed {
                // Our γ and β would be trained from here on; PyTorch's network of this case has none.
                break;
            }
            network.step();
            let after = &expected["params_after"];
            case.compare("parameters", &doubles(&network.parameters), after, tolerance, true);
            let statistics = &network.statistics;
            close(&what("mean"), &doubles(&statistics.mean), &numbers(&after["bn.running_mean"]), tolerance, 0..0);
            close(
                &what("variance"),
                &doubles(&statistics.variance),
                &numbers(&after["bn.running_var"]),
                tolerance,
                0..0,
            );
        }
        if case.normed {
            let step = case.step(&case.json["eval"]);
            let samples: Vec<u32> = (0..step.labels.len() as u32).collect();
            let x = cast::<R>(&step.x);
            let sequences = Sequences { x: &x, samples: &samples, last_steps: &step.last_steps, all_steps };
            let logits = doubles(network.evaluate(&sequences, Statistics::Running));
            close("logits in evaluation mode", &logits, &numbers(&case.json["eval"]["logits"]), tolerance, 0..0);
        }
    }
    assert_eq!(seen, BTreeMap::from([("lstm", 4), ("gru", 2), ("rnn", 2)]));
}

#[test]
fn networks_on_slices_equal_pytorchs_in_double_precision() {
    slices_agree::<f64>(Arch::new(), 1e-9);
}

#[test]
fn networks_on_slices_equal_pytorchs_in_single_precision() {
    slices_agree::<f32>(Arch::new(), 1e-4);
}

#[test]
fn networks_on_slices_equal_pytorchs_without_vector_instructions() {
    slices_agree::<f32>(Arch::Scalar, 1e-4);
}

/// A pack of `pack` runs that all are the case's, so that packing shows if it mixes runs.
fn learner(
    case: &Case,
    training: &Training,
    parameters: &[f64],
    x: &[f64],
    pack: usize,
    on_tensors: bool,
) -> Box<dyn Learner> {
    let steps = case.shape.time;
    let samples = x.len() / steps / case.shape.features;
    let selection = Arc::new(Selection {
        dataset: "reference".to_string(),
        classes: (0..case.shape.classes).map(|class| class.to_string()).collect(),
        features: case.shape.features,
        steps,
        samples: vec![Sample { origin: 0, label: 0, last_step: 0 }; samples],
        x: cast(x),
    });
    let run = RunSetup {
        initial_values: cast(parameters),
        class_weights: vec![1.0; case.shape.classes],
        dropout: rng::stream(&[0; 32], "dropout"),
    };
    let setup = Setup {
        model: model::of(case.kind),
        shape: case.shape,
        parameters: case.parameters.clone(),
        training: training.clone(),
        probe: Preset::Sound.probe(),
        threads: 1,
        runs: vec![run; pack],
    };
    match setup.model.layers(&case.shape).filter(|_| !on_tensors) {
        Some(layers) => Box::new(CoreLearner::new(&setup, selection, layers, 1)),
        None => Box::new(TensorLearner::new(setup, &selection, Device::CORE)),
    }
}

/// All steps' inputs one after another, and each step as a batch of them.
fn batches(case: &Case) -> (Vec<f64>, Vec<Batch>) {
    let (mut x, mut batches, mut first) = (Vec::new(), Vec::new(), 0);
    let eval = case.step(&case.json["eval"]);
    for step in case.steps().into_iter().map(|(step, _)| step).chain([eval]) {
        let end = first + step.labels.len() as u32;
        batches.push(Batch {
            samples: (first..end).collect(),
            labels: step.labels,
            last_steps: step.last_steps,
            rows: Vec::new(),
        });
        first = end;
        x.extend(step.x);
    }
    (x, batches)
}

fn learners_agree(on_tensors: bool, pack: usize) {
    const TOLERANCE: f64 = 1e-4;
    for case in cases().into_iter().filter(|case| case.normed) {
        let (x, batches) = batches(&case);
        let initial = case.flat(&case.json["init"]);
        // Gradient descent with rate 1 shows the gradient as the difference that one update makes.
        let descent = Training { optimizer: Optimizer::Sgd, learning_rate: 1.0, ..case.training.clone() };
        let mut descending = learner(&case, &descent, &initial, &x, pack, on_tensors);
        let mut training = learner(&case, &case.training, &initial, &x, pack, on_tensors);
        let mut losses = vec![None; pack];
        descending.train(&vec![batches[0].clone(); pack], &mut losses).unwrap();
        for run in 0..pack {
            let after = descending.state(run).unwrap().parameters;
            let gradients: Vec<f64> =
                initial.iter().zip(&after).map(|(before, after)| before - f64::from(*after)).collect();
            case.compare("gradients", &gradients, &case.json["steps"][0]["grads"], TOLERANCE, false);
        }
        for (batch, (_, expected)) in batches.iter().zip(case.steps()) {
            training.train(&vec![batch.clone(); pack], &mut losses).unwrap();
            for (run, loss) in losses.iter().enumerate() {
                close("loss", &[loss.unwrap()], &[expected["loss"].as_f64().unwrap()], TOLERANCE, 0..0);
                let NetworkState { parameters, running_mean, running_variance, .. } = training.state(run).unwrap();
                let after = &expected["params_after"];
                case.compare("parameters", &doubles(&parameters), after, TOLERANCE, true);
                close("running mean", &doubles(&running_mean), &numbers(&after["bn.running_mean"]), TOLERANCE, 0..0);
                close(
                    "running variance",
                    &doubles(&running_variance),
                    &numbers(&after["bn.running_var"]),
                    TOLERANCE,
                    0..0,
                );
            }
        }
        let mut logits = vec![Vec::new(); pack];
        let last = batches.last().unwrap().clone();
        training.evaluate(&vec![last; pack], Statistics::Running, &mut logits).unwrap();
        for logits in logits {
            close("logits", &doubles(&logits), &numbers(&case.json["eval"]["logits"]), TOLERANCE, 0..0);
        }
    }
}

#[test]
fn learners_on_a_core_equal_pytorch() {
    learners_agree(false, 1);
}

#[test]
fn packs_on_tensors_equal_pytorch() {
    learners_agree(true, 1);
    learners_agree(true, 3);
}
