//! Training, validation and test samples (method.md 2.1 and 2.2).

use curvefleet_proto::study::{Oversample, Split, Training};

use super::Selection;
use crate::data::DataError;
use crate::data::error::{counted, quoted};
use crate::rng::{self, Stream};

/// Which samples a run trains, validates and tests on: indices into [`Selection::samples`]. A sample drawn again by oversampling
/// stands there again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// Trained on; every class occurs.
    pub train: Vec<u32>,
    /// Scored after every epoch.
    pub validation: Vec<u32>,
    /// Scored at the end.
    pub test: Vec<u32>,
}

/// Splits the samples into pool and test, and the pool into training and validation; draws minority classes again where the
/// settings say so: [`Oversample::Pool`] before the second split (so that copies leak into validation), [`Oversample::Training`]
/// after it.
///
/// # Errors
/// [`DataError::Request`] where a class has too few samples: in a stratified split every class needs one in every part, in a
/// random one every part needs one sample and the training part one of every class.
pub fn split_samples(
    selection: &Selection,
    labels: &[u32],
    training: &Training,
    seed: &[u8; 32],
) -> Result<Parts, DataError> {
    let splitter = Splitter { labels, classes: selection.classes.len(), split: training.split };
    let all: Vec<u32> = (0..labels.len() as u32).collect();
    let mut draws = rng::stream(seed, "split");
    let mut copies = rng::stream(seed, "oversample");
    let refuse = |problem: String| DataError::request(&selection.dataset, problem);
    splitter.check_counts(&selection.classes, training).map_err(refuse)?;

    let reserve = 1 + usize::from(training.validation_fraction > 0.0);
    let (mut pool, test) = splitter.cut(all, training.test_fraction, reserve, &mut draws);
    if training.oversample == Oversample::Pool {
        splitter.oversample(&mut pool, &mut copies);
    }
    let (mut train, validation) = splitter.cut(pool, training.validation_fraction, 1, &mut draws);
    if training.oversample == Oversample::Training {
        splitter.oversample(&mut train, &mut copies);
    }
    let parts = Parts { train, validation, test };
    splitter.check_parts(&parts, &selection.classes, training).map_err(refuse)?;
    Ok(parts)
}

struct Splitter<'a> {
    labels: &'a [u32],
    classes: usize,
    split: Split,
}

impl Splitter<'_> {
    /// Cuts samples at random into a first part, which keeps `floor((1 − fraction) n)` of them, and the rest. A stratified cut does so
    /// within each class, and leaves each at least `reserve` samples in the first part and (for a fraction above 0) one in the rest.
    fn cut(&self, mut samples: Vec<u32>, fraction: f64, reserve: usize, draws: &mut Stream) -> (Vec<u32>, Vec<u32>) {
        draws.shuffle(&mut samples);
        if self.split == Split::Random {
            let rest = samples.split_off(share(samples.len(), fraction));
            return (samples, rest);
        }
        let counts = self.counts(&samples);
        let mut left: Vec<usize> = counts
            .iter()
            .map(|&n| share(n, fraction).min(n.saturating_sub(usize::from(fraction > 0.0))).max(reserve.min(n)))
            .collect();
        samples.into_iter().partition(|&sample| {
            let left = &mut left[self.labels[sample as usize] as usize];
            let is_first = *left > 0;
            *left -= usize::from(is_first);
            is_first
        })
    }

    /// Appends samples of the minority classes, drawn with replacement, until every class has as many as the largest.
    fn oversample(&self, samples: &mut Vec<u32>, draws: &mut Stream) {
        let counts = self.counts(samples);
        let majority = counts.iter().copied().max().unwrap_or(0);
        for (class, count) in (0u32..).zip(counts) {
            let originals: Vec<u32> =
                samples.iter().copied().filter(|&sample| self.labels[sample as usize] == class).collect();
            if !originals.is_empty() {
                samples.extend((count..majority).map(|_| originals[draws.below(originals.len() as u64) as usize]));
            }
        }
    }

    /// How many of the samples each class has.
    fn counts(&self, samples: &[u32]) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for &sample in samples {
            counts[self.labels[sample as usize] as usize] += 1;
        }
        counts
    }

    /// Refuses classes that are too small for a stratified split, before anything is drawn.
    fn check_counts(&self, names: &[String], training: &Training) -> Result<(), String> {
        let needed = 1 + usize::from(training.test_fraction > 0.0) + usize::from(training.validation_fraction > 0.0);
        let all: Vec<u32> = (0..self.labels.len() as u32).collect();
        let too_small = names.iter().zip(self.counts(&all)).find(|(_, count)| *count < needed);
        match too_small {
            Some((name, count)) if self.split == Split::Stratified => Err(format!(
                "the class {} has {}, but a stratified split into training, validation and test samples needs at least {needed}",
                quoted(name),
                counted(count as u64, "sequence")
            )),
            _ => Ok(()),
        }
    }

    /// Refuses a split that left a part empty or the training part without one of the classes.
    fn check_parts(&self, parts: &Parts, names: &[String], training: &Training) -> Result<(), String> {
        let total = counted(self.labels.len() as u64, "sequence");
        let wanted = [
            ("validation", training.validation_fraction, &parts.validation),
            ("test", training.test_fraction, &parts.test),
        ];
        if let Some((part, ..)) = wanted.iter().find(|(_, fraction, samples)| *fraction > 0.0 && samples.is_empty()) {
            return Err(format!("{total} are too few to set any aside for {part}"));
        }
        let missing = names.iter().zip(self.counts(&parts.train)).find(|(_, count)| *count == 0);
        match missing {
            Some((name, _)) => Err(format!(
                "the split left no training sample of the class {}; of {total} it has too few for a split at random; use split = \"stratified\"",
                quoted(name)
            )),
            None => Ok(()),
        }
    }
}

/// `floor((1 − fraction) n)`, where a product that is a whole number but for rounding counts as that number.
fn share(n: usize, fraction: f64) -> usize {
    const ROUNDING: f64 = 1e-9;
    ((1.0 - fraction) * n as f64 + ROUNDING).floor() as usize
}
