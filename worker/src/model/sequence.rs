//! Hidden states of a pack of runs on a device, and dropout on the way to them.

use burn::tensor::{Device, Tensor, TensorData};

use crate::rng::Stream;

/// Hidden states of every time step.
#[derive(Debug, Clone)]
pub enum States {
    /// One tensor `[pack, batch, hidden]` per time step, as recurrent models give them. (burn gives a slice of one large tensor a
    /// gradient of the full size, which would make a pass quadratic in time.)
    Steps(Vec<Tensor<3>>),
    /// All at once, `[pack, batch, time, hidden]`.
    Whole(Box<Tensor<4>>),
}

impl States {
    /// The states at each sample's last step, `[pack, batch, hidden]`; `last_steps` is `[pack][batch]`, one after another.
    pub fn read_at(&self, last_steps: &[u32], pack: usize) -> Tensor<3> {
        let batch = last_steps.len() / pack;
        let chosen = |t: usize| last_steps.iter().map(move |step| f32::from(u8::from(*step as usize == t)));
        match self {
            States::Steps(steps) => {
                let first = last_steps[0] as usize;
                if last_steps.iter().all(|step| *step as usize == first) {
                    return steps[first].clone();
                }
                let parts = steps.iter().enumerate().filter_map(|(t, state)| {
                    let chosen: Vec<f32> = chosen(t).collect();
                    let is_read = chosen.iter().any(|one| *one > 0.0);
                    is_read.then(|| {
                        state.clone() * Tensor::from_data(TensorData::new(chosen, [pack, batch, 1]), &state.device())
                    })
                });
                parts.reduce(|sum, part| sum + part).unwrap_or_else(|| steps[first].clone())
            }
            States::Whole(states) => {
                let [_, _, time, hidden] = states.dims();
                let chosen: Vec<f32> = last_steps
                    .iter()
                    .flat_map(|step| (0..time).map(|t| f32::from(u8::from(t == *step as usize))))
                    .collect();
                let chosen = Tensor::from_data(TensorData::new(chosen, [pack, batch, time, 1]), &states.device());
                (states.as_ref().clone() * chosen).sum_dim(2).reshape([pack, batch, hidden])
            }
        }
    }

    /// The same without what burn remembers for gradients.
    pub fn without_graph(self) -> States {
        match self {
            States::Steps(steps) => States::Steps(steps.into_iter().map(Tensor::inner).collect()),
            States::Whole(states) => States::Whole(Box::new(states.inner())),
        }
    }

    /// `[pack, batch, hidden]` per time step.
    pub fn steps(self) -> Vec<Tensor<3>> {
        match self {
            States::Steps(steps) => steps,
            States::Whole(states) => {
                let [pack, batch, time, hidden] = states.dims();
                (0..time).map(|t| states.clone().narrow(2, t, 1).reshape([pack, batch, hidden])).collect()
            }
        }
    }
}

/// Sets numbers to zero at random in training, each run of a pack by its own stream. Does nothing outside training.
#[derive(Debug)]
pub struct Dropout<'a> {
    /// One stream per run; empty outside training.
    pub streams: &'a mut [Stream],
    /// Share of the numbers that is set to zero.
    pub rate: f64,
}

impl Dropout<'_> {
    /// Sets each number of `x`, `[pack, …]`, to zero with the probability `rate` and divides the others by `1 - rate`.
    pub fn apply<const D: usize>(&mut self, x: Tensor<D>) -> Tensor<D> {
        if self.rate == 0.0 || self.streams.is_empty() {
            return x;
        }
        let shape = x.dims();
        let per_run: usize = shape[1..].iter().product();
        let kept = (1.0 / (1.0 - self.rate)) as f32;
        let mut mask = Vec::with_capacity(per_run * self.streams.len());
        for stream in self.streams.iter_mut() {
            mask.extend((0..per_run).map(|_| if stream.uniform() < self.rate { 0.0 } else { kept }));
        }
        let device: Device = x.device();
        x * Tensor::from_data(TensorData::new(mask, shape), &device)
    }
}
