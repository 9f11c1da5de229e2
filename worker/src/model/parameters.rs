//! Parameters by name: their sizes, their initial values, and a pack of runs' values on a device.

use std::collections::HashMap;

use burn::tensor::Tensor;

use crate::rng::Stream;

/// One parameter of a network: a matrix, or a vector as a matrix of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// PyTorch's name for it.
    pub name: String,
    /// Rows; 1 for vectors.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Where training begins.
    pub initial: Initial,
}

/// Initial values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initial {
    /// All the same.
    Constant(f64),
    /// Uniform between minus and plus this bound.
    Uniform(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
}

impl Parameter {
    /// A parameter.
    pub fn new(name: impl Into<String>, rows: usize, columns: usize, initial: Initial) -> Parameter {
        Parameter { name: name.into(), rows, columns, initial }
    }

    /// How many numbers it has.
    pub fn len(&self) -> usize {
        self.rows * self.columns
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Initial values of all parameters, one after another, each row-major; drawn in that order.
pub fn initial_values(parameters: &[Parameter], stream: &mut Stream) -> Vec<f32> {
    let mut values = Vec::with_capacity(parameters.iter().map(Parameter::len).sum());
    for parameter in parameters {
        values.extend((0..parameter.len()).map(|_| match parameter.initial {
            Initial::Constant(value) => value as f32,
            Initial::Uniform(bound) => ((2.0 * stream.uniform() - 1.0) * bound) as f32,
            Initial::Normal(deviation) => (stream.normal() * deviation) as f32,
        }));
    }
    values
}

/// A pack's parameters on a device, each `[pack, rows, columns]`.
#[derive(Debug, Clone)]
pub struct Tensors {
    index: HashMap<String, usize>,
    values: Vec<Tensor<3>>,
}

impl Tensors {
    /// Values in the order of the parameters.
    pub fn new(parameters: &[Parameter], values: Vec<Tensor<3>>) -> Tensors {
        let index = parameters.iter().enumerate().map(|(index, parameter)| (parameter.name.clone(), index));
        Tensors { index: index.collect(), values }
    }

    /// The parameter called `name`, `[pack, rows, columns]`.
    ///
    /// # Panics
    /// Where a model asks for a parameter that it has not listed.
    pub fn get(&self, name: &str) -> Tensor<3> {
        let index = self.index.get(name).unwrap_or_else(|| panic!("the model lists no parameter `{name}`"));
        self.values[*index].clone()
    }

    /// The same without what burn remembers for gradients.
    pub fn without_graph(&self) -> Tensors {
        Tensors { index: self.index.clone(), values: self.values.iter().map(|value| value.clone().inner()).collect() }
    }

    /// Puts other values in place of all.
    pub fn replace(&mut self, values: Vec<Tensor<3>>) {
        self.values = values;
    }

    /// All of them, in the order of the parameters.
    pub fn all(&self) -> &[Tensor<3>] {
        &self.values
    }
}
