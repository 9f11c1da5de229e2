//! Hidden states of many samples, laid out `[time, row, hidden]` so that one time step is one contiguous matrix.

use burn::tensor::Tensor;

/// Hidden states, one row per sample or per pass of a sample.
#[derive(Debug, Clone, Default)]
pub struct States {
    values: Vec<f32>,
    rows: usize,
    hidden: usize,
}

impl States {
    /// Zeros for `time` steps, `rows` rows and `hidden` units; keeps the memory of `self` where it is large enough.
    pub fn reset(&mut self, time: usize, rows: usize, hidden: usize) {
        self.values.clear();
        self.values.resize(time * rows * hidden, 0.0);
        (self.rows, self.hidden) = (rows, hidden);
    }

    /// Stores a batch's states: `steps[t]` is `[batch, hidden]`, sample b of the batch goes to row `rows[b]`.
    ///
    /// # Errors
    /// If the device cannot give the values back.
    pub fn store(&mut self, steps: &[Tensor<2>], rows: &[usize]) -> Result<(), String> {
        for (t, step) in steps.iter().enumerate() {
            let data = step.clone().inner().into_data();
            let values = data.as_slice::<f32>().map_err(|error| format!("hidden states cannot be read: {error:?}"))?;
            for (row, state) in rows.iter().zip(values.chunks_exact(self.hidden)) {
                let start = (t * self.rows + row) * self.hidden;
                self.values[start..start + self.hidden].copy_from_slice(state);
            }
        }
        Ok(())
    }

    /// The states at time step `t`, `[row, hidden]`.
    pub fn at(&self, t: usize) -> &[f32] {
        let size = self.rows * self.hidden;
        &self.values[t * size..(t + 1) * size]
    }

    /// Hidden units per row.
    pub fn hidden(&self) -> usize {
        self.hidden
    }
}
