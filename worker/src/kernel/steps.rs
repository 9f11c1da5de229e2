//! Which rows of a batch take part in which time step. A sample that is read out before the last step needs none of the later ones:
//! no loss depends on them. With the samples that go furthest first, each step is a number of leading rows, and the rows of all steps
//! lie one after another without gaps.

use std::ops::Range;

/// Rows by time step.
#[derive(Debug, Default)]
pub struct Steps {
    /// Where each step's rows begin, and the last one's end, `[time + 1]`.
    starts: Vec<usize>,
}

impl Steps {
    /// As `other` has it, in the memory that is there.
    pub fn copy(&mut self, other: &Steps) {
        self.starts.clone_from(&other.starts);
    }

    /// All `batch` samples take part in all `time` steps.
    pub fn whole(&mut self, time: usize, batch: usize) {
        self.starts.clear();
        self.starts.extend((0..=time).map(|t| t * batch));
    }

    /// Each sample takes part up to its last step; `last_steps` descend.
    pub fn until(&mut self, time: usize, last_steps: impl DoubleEndedIterator<Item = u32> + ExactSizeIterator) {
        let mut active = last_steps.len();
        let mut shortest = last_steps.rev().peekable();
        self.starts.clear();
        self.starts.push(0);
        let mut rows = 0;
        for t in 0..time {
            while shortest.next_if(|last| (*last as usize) < t).is_some() {
                active -= 1;
            }
            rows += active;
            self.starts.push(rows);
        }
    }

    /// Time steps.
    pub fn time(&self) -> usize {
        self.starts.len() - 1
    }

    /// Samples.
    pub fn batch(&self) -> usize {
        self.active(0)
    }

    /// Rows of all steps together.
    pub fn rows(&self) -> usize {
        self.starts[self.time()]
    }

    /// How many samples take part in step `t`; none in those past the end.
    pub fn active(&self, t: usize) -> usize {
        if t < self.time() { self.starts[t + 1] - self.starts[t] } else { 0 }
    }

    /// The rows of step `t`.
    pub fn range(&self, t: usize) -> Range<usize> {
        self.starts[t]..self.starts[t + 1]
    }

    /// The rows of the steps from `first` up to, but without, `end`.
    pub fn between(&self, first: usize, end: usize) -> Range<usize> {
        self.starts[first]..self.starts[end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_batches_have_as_many_rows_at_every_step() {
        let mut steps = Steps::default();
        steps.whole(3, 5);
        assert_eq!((steps.time(), steps.batch(), steps.rows()), (3, 5, 15));
        assert_eq!((steps.range(1), steps.active(2), steps.active(3)), (5..10, 5, 0));
    }

    #[test]
    fn samples_leave_after_their_last_step() {
        let mut steps = Steps::default();
        steps.until(6, [4, 2, 2, 0].into_iter());
        let active: Vec<usize> = (0..6).map(|t| steps.active(t)).collect();
        assert_eq!(active, [4, 3, 3, 1, 1, 0]);
        assert_eq!((steps.rows(), steps.batch(), steps.between(1, 4)), (12, 4, 4..11));
    }
}
