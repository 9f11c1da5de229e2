//! The network, its gradients and its updates against PyTorch's numbers (float64, PyTorch 1.13), here in f32 with tolerance 1e-4.
//! The vectors stand in `reference/lstm_bn_adam.json`: batch norm over time → LSTM → linear → cross-entropy → Adam.
#![allow(clippy::unwrap_used)]

use burn::module::{Module, Param};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use curvefleet_worker::model::{Lstm, LstmConfig, LstmWeights, NormalisedBatch, RunningStatistics, lstm::LayerWeights};
use curvefleet_worker::train::{backend, run::cross_entropy};
use serde_json::Value;

const TOLERANCE: f64 = 1e-4;

fn cases() -> Vec<Value> {
    let text = include_str!("reference/lstm_bn_adam.json");
    serde_json::from_str::<Value>(text).unwrap()["cases"].as_array().unwrap().clone()
}

fn numbers(value: &Value) -> Vec<f32> {
    let list = if value.is_array() { value } else { &value["data"] };
    list.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn assert_close(what: &str, found: &[f32], expected: &Value) {
    let expected = numbers(expected);
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let difference = f64::from((found - expected).abs());
        assert!(
            difference <= TOLERANCE * (1.0 + f64::from(expected.abs())),
            "{what}[{index}] is {found}, PyTorch has {expected}"
        );
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec::<f32>().unwrap()
}

/// Sizes of a case, in the order B, T, D, H, C.
fn sizes(case: &Value) -> [usize; 5] {
    ["B", "T", "D", "H", "C"].map(|key| case[key].as_u64().unwrap() as usize)
}

fn network(case: &Value, device: &Device) -> Lstm {
    let [_, time, features, hidden, classes] = sizes(case);
    let init = &case["init"];
    let normed = case["batchnorm_over_time"].as_bool().unwrap();
    let weights = LstmWeights {
        gamma: if normed { numbers(&init["bn.weight"]) } else { vec![1.0; time] },
        beta: if normed { numbers(&init["bn.bias"]) } else { vec![0.0; time] },
        layers: vec![LayerWeights {
            input: numbers(&init["lstm.weight_ih_l0"]),
            state: numbers(&init["lstm.weight_hh_l0"]),
            input_bias: numbers(&init["lstm.bias_ih_l0"]),
            state_bias: numbers(&init["lstm.bias_hh_l0"]),
        }],
        head_weight: numbers(&init["fc.weight"]),
        head_bias: numbers(&init["fc.bias"]),
    };
    Lstm::new(&LstmConfig { time, features, hidden, layers: 1, classes }, weights, device)
}

/// A case without batch norm passes its inputs on as they are.
fn raw_batch(x: &[f32], time: usize, features: usize, device: &Device) -> NormalisedBatch {
    let rows: Vec<&[f32]> = x.chunks(time * features).collect();
    let steps = (0..time).map(|t| {
        let step: Vec<f32> = rows.iter().flat_map(|row| row[t * features..(t + 1) * features].to_vec()).collect();
        Tensor::from_data(TensorData::new(step, [rows.len(), features]), device)
    });
    NormalisedBatch { steps: steps.collect() }
}

type Named<'a, const D: usize, const N: usize> = [(&'static str, &'a Param<Tensor<D>>); N];

fn named(model: &Lstm) -> (Named<'_, 2, 3>, Named<'_, 1, 5>) {
    let layer = &model.layers[0];
    (
        [("lstm.weight_ih_l0", &layer.input), ("lstm.weight_hh_l0", &layer.state), ("fc.weight", &model.head_weight)],
        [
            ("lstm.bias_ih_l0", &layer.input_bias),
            ("lstm.bias_hh_l0", &layer.state_bias),
            ("fc.bias", &model.head_bias),
            ("bn.weight", &model.norm.gamma),
            ("bn.bias", &model.norm.beta),
        ],
    )
}

#[test]
fn forward_gradients_updates_and_evaluation_equal_pytorchs() {
    let plain = backend::device();
    let device = plain.clone().autodiff();
    for case in cases() {
        let [_, time, features, hidden, _] = sizes(&case);
        let normed = case["batchnorm_over_time"].as_bool().unwrap();
        let mut model = network(&case, &device);
        let mut statistics = RunningStatistics::new(time);
        let mut adam = AdamConfig::new().with_beta_1(0.9).with_beta_2(0.999).with_epsilon(1e-8).init();
        for step in case["steps"].as_array().unwrap() {
            let x = numbers(&step["x"]);
            let rows: Vec<&[f32]> = x.chunks(time * features).collect();
            let labels: Vec<u32> = numbers(&step["y"]).iter().map(|label| *label as u32).collect();
            let batch = if normed {
                statistics.normalise_by_batch(&rows, features, &device)
            } else {
                raw_batch(&x, time, features, &device)
            };
            let output = model.forward(batch, &vec![time as u32 - 1; rows.len()]);

            let steps: Vec<Vec<f32>> = output.states.iter().map(|state| values(state.clone())).collect();
            let by_sample: Vec<f32> = (0..rows.len())
                .flat_map(|n| steps.iter().flat_map(move |state| state[n * hidden..(n + 1) * hidden].to_vec()))
                .collect();
            assert_close("hidden", &by_sample, &step["hidden_all"]);
            assert_close("logits", &values(output.logits.clone()), &step["logits"]);
            let loss = cross_entropy(output.logits, &labels, &device);
            assert_close("loss", &values(loss.clone()), &serde_json::json!([step["loss"]]));

            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            let known = |name: &str| normed || !name.starts_with("bn.");
            let (matrices, vectors) = named(&model);
            for (name, param) in matrices {
                assert_close(name, &values(gradients.get::<2>(param.id).unwrap()), &step["grads"][name]);
            }
            for (name, param) in vectors.into_iter().filter(|(name, _)| known(name)) {
                assert_close(name, &values(gradients.get::<1>(param.id).unwrap()), &step["grads"][name]);
            }
            if !normed {
                // Our γ and β would be trained from here on; PyTorch's network of this case has none.
                break;
            }
            model = adam.step(1e-3, model, gradients);
            assert_close("running mean", &statistics.mean, &step["params_after"]["bn.running_mean"]);
            assert_close("running variance", &statistics.variance, &step["params_after"]["bn.running_var"]);
            let (matrices, vectors) = named(&model);
            for (name, param) in matrices {
                assert_close(name, &values(param.val()), &step["params_after"][name]);
            }
            for (name, param) in vectors {
                assert_close(name, &values(param.val()), &step["params_after"][name]);
            }
        }
        if normed {
            let x = numbers(&case["eval"]["x"]);
            let rows: Vec<&[f32]> = x.chunks(time * features).collect();
            let output = model
                .valid()
                .forward(statistics.normalise_by_running(&rows, features, &plain), &vec![time as u32 - 1; rows.len()]);
            assert_close("logits in evaluation mode", &values(output.logits), &case["eval"]["logits"]);
        }
    }
}
