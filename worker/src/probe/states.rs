//! Hidden states of many samples, laid out `[time, row, hidden]` so that one time step is one contiguous matrix.

/// Hidden states, one row per sample or per pass of a sample.
#[derive(Debug, Clone, Default)]
pub struct States {
    values: Vec<f32>,
    time: usize,
    rows: usize,
    hidden: usize,
}

impl States {
    /// Makes room for `time` steps, `rows` rows and `hidden` units; keeps the memory of `self` where it is large enough. What stands
    /// in the states then is left over from before, or zero.
    pub fn reset(&mut self, time: usize, rows: usize, hidden: usize) {
        self.values.resize(time * rows * hidden, 0.0);
        (self.time, self.rows, self.hidden) = (time, rows, hidden);
    }

    /// The states at time step `t`, `[row, hidden]`.
    pub fn at(&self, t: usize) -> &[f32] {
        let size = self.rows * self.hidden;
        &self.values[t * size..(t + 1) * size]
    }

    /// The states at time step `t`, `[row, hidden]`, to be written.
    pub fn at_mut(&mut self, t: usize) -> &mut [f32] {
        let size = self.rows * self.hidden;
        &mut self.values[t * size..(t + 1) * size]
    }

    /// Time steps.
    pub fn time(&self) -> usize {
        self.time
    }

    /// Rows per time step.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Hidden units per row.
    pub fn hidden(&self) -> usize {
        self.hidden
    }
}
