//! A causal transformer encoder (Vaswani et al. 2017): linear embedding, learned positions, layers of self-attention and feed-forward
//! network, normalised before each (Xiong et al. 2020) and after the last. As PyTorch's `nn.TransformerEncoder` with
//! `norm_first=True`, `activation="gelu"`, `dim_feedforward = 4 hidden`, a causal mask and a final `LayerNorm`. A step attends to
//! itself and to the steps before it, so that its state depends on nothing later.

use burn::tensor::activation::{gelu, softmax};
use burn::tensor::{Device, Tensor, TensorData};

use super::{Dropout, Initial, Model, Parameter, Shape, States, Tensors};

/// Added to variances in layer norms, as in PyTorch.
const EPSILON: f64 = 1e-5;
/// Standard deviation of the initial positions, as in GPT-2 (Radford et al. 2019).
const POSITION_DEVIATION: f64 = 0.02;
/// Units of the feed-forward network, in hidden sizes.
const WIDENING: usize = 4;

/// The causal transformer encoder.
#[derive(Debug)]
pub struct Transformer;

impl Model for Transformer {
    /// PyTorch's defaults: linear layers uniform in ±1/√inputs, attention's input projections Glorot uniform, attention's biases 0.
    fn parameters(&self, shape: &Shape) -> Vec<Parameter> {
        let (hidden, wide) = (shape.hidden, WIDENING * shape.hidden);
        let uniform = |inputs: usize| Initial::Uniform(1.0 / (inputs as f64).sqrt());
        let glorot = Initial::Uniform((6.0 / (4 * hidden) as f64).sqrt());
        let (zero, one) = (Initial::Constant(0.0), Initial::Constant(1.0));
        let mut all = vec![
            Parameter::new("embed.weight", hidden, shape.features, uniform(shape.features)),
            Parameter::new("embed.bias", 1, hidden, uniform(shape.features)),
            Parameter::new("positions", shape.time, hidden, Initial::Normal(POSITION_DEVIATION)),
        ];
        for layer in 0..shape.layers {
            let parts = [
                ("self_attn.in_proj_weight", 3 * hidden, hidden, glorot),
                ("self_attn.in_proj_bias", 1, 3 * hidden, zero),
                ("self_attn.out_proj.weight", hidden, hidden, uniform(hidden)),
                ("self_attn.out_proj.bias", 1, hidden, zero),
                ("linear1.weight", wide, hidden, uniform(hidden)),
                ("linear1.bias", 1, wide, uniform(hidden)),
                ("linear2.weight", hidden, wide, uniform(wide)),
                ("linear2.bias", 1, hidden, uniform(wide)),
                ("norm1.weight", 1, hidden, one),
                ("norm1.bias", 1, hidden, zero),
                ("norm2.weight", 1, hidden, one),
                ("norm2.bias", 1, hidden, zero),
            ];
            all.extend(parts.map(|(part, rows, columns, initial)| {
                Parameter::new(format!("encoder.layers.{layer}.{part}"), rows, columns, initial)
            }));
        }
        all.push(Parameter::new("encoder.norm.weight", 1, hidden, one));
        all.push(Parameter::new("encoder.norm.bias", 1, hidden, zero));
        all
    }

    fn states(&self, shape: &Shape, parameters: &Tensors, inputs: Vec<Tensor<3>>, dropout: &mut Dropout<'_>) -> States {
        let [pack, batch, _] = inputs[0].dims();
        let flat = |x: Tensor<4>| -> Tensor<3> {
            let width = x.dims()[3];
            x.reshape([pack, batch * shape.time, width])
        };
        let whole = |x: Tensor<3>| -> Tensor<4> {
            let width = x.dims()[2];
            x.reshape([pack, batch, shape.time, width])
        };
        let x = flat(Tensor::stack(inputs, 2));
        let positions = parameters.get("positions").unsqueeze_dim::<4>(1);
        let mut x = dropout.apply(whole(linear(x, parameters, "embed")) + positions);
        let mask = causal_mask(shape.time, &x.device());
        for layer in 0..shape.layers {
            let name = |part: &str| format!("encoder.layers.{layer}.{part}");
            let attended = layer_norm(flat(x.clone()), parameters, &name("norm1"));
            let attended = attention(whole(attended), shape, parameters, &name("self_attn"), &mask);
            x = x + dropout.apply(attended);
            let wide = layer_norm(flat(x.clone()), parameters, &name("norm2"));
            let wide = gelu(linear(wide, parameters, &name("linear1")));
            x = x + dropout.apply(whole(linear(wide, parameters, &name("linear2"))));
        }
        States::Whole(Box::new(whole(layer_norm(flat(x), parameters, "encoder.norm"))))
    }
}

/// Multi-head self-attention on `[pack, batch, time, hidden]`.
fn attention(x: Tensor<4>, shape: &Shape, parameters: &Tensors, name: &str, mask: &Tensor<4>) -> Tensor<4> {
    let [pack, batch, time, hidden] = x.dims();
    let width = hidden / shape.heads;
    let x = x.reshape([pack, batch * time, hidden]);
    let weight = parameters.get(&format!("{name}.in_proj_weight")).swap_dims(1, 2);
    let projected = x.matmul(weight) + parameters.get(&format!("{name}.in_proj_bias"));
    let part = |index: usize| -> Tensor<4> {
        let part = projected.clone().narrow(2, index * hidden, hidden);
        part.reshape([pack * batch, time, shape.heads, width]).swap_dims(1, 2)
    };
    let (query, key, value) = (part(0), part(1), part(2));
    let scores = query.matmul(key.swap_dims(2, 3)) / (width as f32).sqrt() + mask.clone();
    let mixed = softmax(scores, 3).matmul(value).swap_dims(1, 2).reshape([pack, batch * time, hidden]);
    linear(mixed, parameters, &format!("{name}.out_proj")).reshape([pack, batch, time, hidden])
}

/// x Wᵀ + b on `[pack, row, input]`.
fn linear(x: Tensor<3>, parameters: &Tensors, name: &str) -> Tensor<3> {
    let weight = parameters.get(&format!("{name}.weight")).swap_dims(1, 2);
    x.matmul(weight) + parameters.get(&format!("{name}.bias"))
}

/// Layer norm over the last dimension of `[pack, row, hidden]`.
fn layer_norm(x: Tensor<3>, parameters: &Tensors, name: &str) -> Tensor<3> {
    let centred = x.clone() - x.mean_dim(2);
    let variance = centred.clone().powi_scalar(2).mean_dim(2);
    let normed = centred / (variance + EPSILON).sqrt();
    normed * parameters.get(&format!("{name}.weight")) + parameters.get(&format!("{name}.bias"))
}

/// 0 where a step may attend, a large negative number where it may not, `[1, 1, time, time]`.
fn causal_mask(time: usize, device: &Device) -> Tensor<4> {
    let values = (0..time).flat_map(|t| (0..time).map(move |s| if s <= t { 0.0_f32 } else { -1e30 })).collect();
    Tensor::from_data(TensorData::new::<f32, _>(values, [1, 1, time, time]), device)
}
