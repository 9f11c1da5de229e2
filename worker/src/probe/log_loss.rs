//! The sum of the log losses of labelled states under linear outputs, and its gradient, in f64.

use pulp::{Simd, WithSimd};

/// Numbers that are summed side by side, a divisor of the stride; fixed, so that the loss has the same bits on every machine.
const LANES: usize = 8;
/// Points whose outputs are computed side by side.
const POINTS: usize = 4;

/// The buffers that the loss takes.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// Some points' states, then 1 for the intercept, then zeros, `[POINTS, stride]`.
    states: Vec<f64>,
    /// Their outputs, then what the loss changes by with them, `[output, POINTS]`.
    outputs: Vec<[f64; POINTS]>,
}

/// The outputs' parameters as [`Bound`](super::bound::Bound) lays them out, and the states that they are for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Model<'a> {
    /// `[output, stride]`.
    pub parameters: &'a [f64],
    /// What one output takes.
    pub stride: usize,
    /// `[row, hidden]`.
    pub states: &'a [f32],
    /// Hidden units.
    pub hidden: usize,
}

/// Evaluates to the sum of the losses; adds the gradient to `gradient`.
pub(super) struct LogLoss<'a> {
    /// The model.
    pub model: Model<'a>,
    /// Row of each point.
    pub rows: &'a [usize],
    /// Class of each point among those that have outputs; with one output, 0 or 1, which the output argues for.
    pub classes: &'a [u32],
    /// `[output, stride]`.
    pub gradient: &'a mut [f64],
    /// Buffers.
    pub buffers: &'a mut Buffers,
}

impl WithSimd for LogLoss<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let mut loss = 0.0;
        for (rows, classes) in self.rows.chunks(POINTS).zip(self.classes.chunks(POINTS)) {
            self.buffers.load(self.model, rows);
            self.buffers.compute(self.model);
            for (point, class) in classes.iter().enumerate() {
                loss += residuals(&mut self.buffers.outputs, point, *class as usize);
            }
            // Places that no point fills have states of zeros.
            self.buffers.add_gradient(self.model.stride, self.gradient);
        }
        loss
    }
}

/// Writes the class with the largest output of each row, of equal ones the smallest; with one output, 1 where it is positive, else 0.
pub(super) struct Argmax<'a> {
    /// The model.
    pub model: Model<'a>,
    /// The rows asked about.
    pub rows: &'a [usize],
    /// Buffers.
    pub buffers: &'a mut Buffers,
    /// The answers are added here.
    pub classes: &'a mut Vec<u32>,
}

impl WithSimd for Argmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for rows in self.rows.chunks(POINTS) {
            self.buffers.load(self.model, rows);
            self.buffers.compute(self.model);
            let outputs = &self.buffers.outputs;
            for point in 0..rows.len() {
                let mut best = 0;
                for output in 1..outputs.len() {
                    if outputs[output][point] > outputs[best][point] {
                        best = output;
                    }
                }
                self.classes.push(if outputs.len() == 1 { u32::from(outputs[0][point] > 0.0) } else { best as u32 });
            }
        }
    }
}

impl Buffers {
    #[inline(always)]
    fn load(&mut self, model: Model<'_>, rows: &[usize]) {
        self.states.resize(POINTS * model.stride, 0.0);
        for (point, out) in self.states.chunks_exact_mut(model.stride).enumerate() {
            let Some(row) = rows.get(point) else {
                out.fill(0.0);
                continue;
            };
            let state = &model.states[row * model.hidden..][..model.hidden];
            let (values, rest) = out.split_at_mut(model.hidden);
            values.iter_mut().zip(state).for_each(|(out, value)| *out = f64::from(*value));
            rest.fill(0.0);
            rest[0] = 1.0;
        }
    }

    #[inline(always)]
    fn compute(&mut self, model: Model<'_>) {
        self.outputs.clear();
        let [of_a, of_b, of_c, of_d] = points(&self.states, model.stride);
        for parameters in model.parameters.chunks_exact(model.stride) {
            let (parameters, _) = parameters.as_chunks::<LANES>();
            let (mut a, mut b, mut c, mut d) = ([0.0; LANES], [0.0; LANES], [0.0; LANES], [0.0; LANES]);
            for ((((parameters, of_a), of_b), of_c), of_d) in parameters.iter().zip(of_a).zip(of_b).zip(of_c).zip(of_d)
            {
                for lane in 0..LANES {
                    a[lane] = parameters[lane].mul_add(of_a[lane], a[lane]);
                    b[lane] = parameters[lane].mul_add(of_b[lane], b[lane]);
                    c[lane] = parameters[lane].mul_add(of_c[lane], c[lane]);
                    d[lane] = parameters[lane].mul_add(of_d[lane], d[lane]);
                }
            }
            self.outputs.push([a, b, c, d].map(|sums| sums.iter().sum()));
        }
    }

    #[inline(always)]
    fn add_gradient(&self, stride: usize, gradient: &mut [f64]) {
        let [of_a, of_b, of_c, of_d] = points(&self.states, stride);
        for (gradient, residuals) in gradient.chunks_exact_mut(stride).zip(&self.outputs) {
            let (gradient, _) = gradient.as_chunks_mut::<LANES>();
            let [a, b, c, d] = *residuals;
            for ((((gradient, of_a), of_b), of_c), of_d) in gradient.iter_mut().zip(of_a).zip(of_b).zip(of_c).zip(of_d)
            {
                for lane in 0..LANES {
                    let sum = b.mul_add(of_b[lane], a.mul_add(of_a[lane], gradient[lane]));
                    gradient[lane] = d.mul_add(of_d[lane], c.mul_add(of_c[lane], sum));
                }
            }
        }
    }
}

/// The states of each point, lane by lane.
#[inline(always)]
fn points(states: &[f64], stride: usize) -> [&[[f64; LANES]]; POINTS] {
    std::array::from_fn(|point| states[point * stride..][..stride].as_chunks::<LANES>().0)
}

/// Puts what the loss of one point changes by with its outputs in their place; returns the loss.
#[inline(always)]
fn residuals(outputs: &mut [[f64; POINTS]], point: usize, class: usize) -> f64 {
    if let [output] = outputs {
        // ln(1 + eᶻ) − z where the class is 1, without overflow.
        let z = output[point];
        let small = libm::exp(-z.abs());
        let probability = if z >= 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) };
        let label = if class == 1 { 1.0 } else { 0.0 };
        output[point] = probability - label;
        return z.max(0.0) - z * label + libm::log1p(small);
    }
    let largest = outputs.iter().map(|output| output[point]).fold(f64::NEG_INFINITY, f64::max);
    let own = outputs[class][point] - largest;
    let mut sum = 0.0;
    for output in &mut *outputs {
        output[point] = libm::exp(output[point] - largest);
        sum += output[point];
    }
    outputs.iter_mut().for_each(|output| output[point] /= sum);
    outputs[class][point] -= 1.0;
    libm::log(sum) - own
}
