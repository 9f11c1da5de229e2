//! The linear read-out of each sample's state at the step where it is read, and its cross-entropy.

use super::{Packed, Products, Real, View, sized};

/// Read-out and loss, with their buffers.
#[derive(Debug, Default)]
pub struct Readout<R> {
    /// The states that are read, `[batch, hidden]`.
    read: Vec<R>,
    /// `[batch, class]`.
    logits: Vec<R>,
    /// Loss gradient with respect to the logits, `[batch, class]`.
    logit_gradients: Vec<R>,
    /// Loss gradient with respect to the states that were read, `[batch, hidden]`.
    state_gradients: Vec<R>,
    packed: Packed<R>,
}

/// The read-out's parameters or their gradients: `weight` is `[class, hidden]`, `bias` `[class]`.
#[derive(Debug)]
pub struct Linear<W> {
    /// `[class, hidden]`.
    pub weight: W,
    /// `[class]`.
    pub bias: W,
}

impl<R: Real> Readout<R> {
    /// Logits `[batch, class]` of the states `[row, hidden]`; `rows` is the row that is read for each sample.
    pub fn forward(&mut self, products: &mut Products<R>, linear: &Linear<&[R]>, states: &[R], rows: &[usize]) -> &[R] {
        let (batch, classes) = (rows.len(), linear.bias.len());
        let hidden = linear.weight.len() / classes;
        let read = sized(&mut self.read, batch * hidden);
        for (row, read) in rows.iter().zip(read.chunks_exact_mut(hidden)) {
            read.copy_from_slice(&states[row * hidden..][..hidden]);
        }
        self.packed.pack(products.arch(), View::new(linear.weight, classes, hidden).transposed());
        let logits = sized(&mut self.logits, batch * classes);
        products.multiply(logits, View::new(read, batch, hidden), &self.packed);
        for row in logits.chunks_exact_mut(classes) {
            row.iter_mut().zip(linear.bias).for_each(|(logit, bias)| *logit += *bias);
        }
        logits
    }

    /// The loss of the last [`Readout::forward`]: cross-entropy, the mean over the batch weighted by each sample's class. Leaves
    /// behind the gradients with respect to the read-out's parameters, and gives those with respect to the states that were read,
    /// `[batch, hidden]`.
    pub fn loss(
        &mut self,
        products: &mut Products<R>,
        linear: &Linear<&[R]>,
        targets: &Targets<'_>,
        gradients: Linear<&mut [R]>,
    ) -> (f64, &[R]) {
        let (batch, classes) = (targets.labels.len(), linear.bias.len());
        let hidden = linear.weight.len() / classes;
        let logits = &self.logits[..batch * classes];
        let logit_gradients = sized(&mut self.logit_gradients, batch * classes);
        let loss = cross_entropy(logits, targets.labels, targets.class_weights, logit_gradients);

        let by_class = View::new(logit_gradients, batch, classes);
        products.multiply_long(
            gradients.weight,
            by_class.transposed(),
            View::new(&self.read[..batch * hidden], batch, hidden),
        );
        gradients.bias.fill(R::ZERO);
        for row in logit_gradients.chunks_exact(classes) {
            gradients.bias.iter_mut().zip(row).for_each(|(sum, gradient)| *sum += *gradient);
        }
        let read_gradients = sized(&mut self.state_gradients, batch * hidden);
        products.multiply_long(
            read_gradients,
            View::new(logit_gradients, batch, classes),
            View::new(linear.weight, classes, hidden),
        );
        (loss, read_gradients)
    }
}

/// What a batch is trained towards.
#[derive(Debug, Clone, Copy)]
pub struct Targets<'a> {
    /// `[batch]`.
    pub labels: &'a [u32],
    /// What a sample counts, by its class.
    pub class_weights: &'a [f64],
}

/// Weighted mean of −log softmax(logits)\[label\] over `[batch, class]`, and its gradient. In double precision: there are few logits,
/// and the loss is what everything else follows from.
fn cross_entropy<R: Real>(logits: &[R], labels: &[u32], class_weights: &[f64], gradients: &mut [R]) -> f64 {
    let classes = class_weights.len();
    let total: f64 = labels.iter().map(|label| class_weights[*label as usize]).sum();
    let mut loss = 0.0;
    for ((logits, gradients), label) in
        logits.chunks_exact(classes).zip(gradients.chunks_exact_mut(classes)).zip(labels)
    {
        let label = *label as usize;
        let weight = class_weights[label] / total;
        let largest = logits.iter().map(|logit| logit.double()).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|logit| libm::exp(logit.double() - largest)).sum();
        loss += weight * (libm::log(sum) - (logits[label].double() - largest));
        for (class, (gradient, logit)) in gradients.iter_mut().zip(logits).enumerate() {
            let share = libm::exp(logit.double() - largest) / sum;
            *gradient = R::of(weight * (share - f64::from(u8::from(class == label))));
        }
    }
    loss
}
