//! How well predictions fit labels. Undefined ratios (0/0) are `None`, never NaN.

/// The figures of one evaluation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Scores {
    /// Mean cross-entropy.
    pub loss: Option<f64>,
    /// Share of right predictions.
    pub accuracy: Option<f64>,
    /// Right among those predicted as the class: of class 1 for two classes, else the mean over classes.
    pub precision: Option<f64>,
    /// Right among those of the class, averaged likewise.
    pub recall: Option<f64>,
    /// Harmonic mean of precision and recall, per class, averaged likewise.
    pub f1: Option<f64>,
}

impl Scores {
    /// Scores of logits `[sample, class]` against labels; all `None` where there is no sample.
    pub fn of(logits: &[f32], labels: impl IntoIterator<Item = u32>, classes: usize) -> Scores {
        let mut confusion = vec![0_u64; classes * classes];
        let (mut loss, mut samples) = (0.0, 0.0);
        for (logits, label) in logits.chunks_exact(classes).zip(labels) {
            loss += cross_entropy(logits, label);
            samples += 1.0;
            confusion[label as usize * classes + first_maximum(logits)] += 1;
        }
        if samples == 0.0 {
            return Scores::default();
        }
        let right: u64 = (0..classes).map(|class| confusion[class * classes + class]).sum();
        let per_class = |ratio: fn(&[u64], usize, usize) -> Option<f64>| {
            average(classes, |class| ratio(&confusion, classes, class))
        };
        Scores {
            loss: Some(loss / samples),
            accuracy: Some(right as f64 / samples),
            precision: per_class(precision),
            recall: per_class(recall),
            f1: per_class(f1),
        }
    }

    /// The scores with these figures, in the order of [`Scores::in_order`].
    pub fn from_order([loss, accuracy, precision, recall, f1]: [Option<f64>; 5]) -> Scores {
        Scores { loss, accuracy, precision, recall, f1 }
    }

    /// The figures in the order of [`curvefleet_proto::artifact::SCORES`].
    pub fn in_order(&self) -> [Option<f64>; 5] {
        [self.loss, self.accuracy, self.precision, self.recall, self.f1]
    }
}

/// −log softmax(logits)\[label\].
fn cross_entropy(logits: &[f32], label: u32) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| libm::exp(f64::from(logit - largest))).sum();
    libm::log(sum) - f64::from(logits[label as usize] - largest)
}

fn first_maximum(logits: &[f32]) -> usize {
    (1..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best })
}

/// The figure of class 1 for two classes; else the mean over classes, undefined where one class's is.
fn average(classes: usize, figure: impl Fn(usize) -> Option<f64>) -> Option<f64> {
    if classes == 2 {
        return figure(1);
    }
    let figures: Option<Vec<f64>> = (0..classes).map(figure).collect();
    figures.map(|figures| figures.iter().sum::<f64>() / classes as f64)
}

fn precision(confusion: &[u64], classes: usize, class: usize) -> Option<f64> {
    ratio(confusion[class * classes + class], (0..classes).map(|label| confusion[label * classes + class]).sum())
}

fn recall(confusion: &[u64], classes: usize, class: usize) -> Option<f64> {
    ratio(confusion[class * classes + class], confusion[class * classes..(class + 1) * classes].iter().sum())
}

/// 2 TP / (2 TP + FP + FN): defined wherever the class occurs among labels or predictions.
fn f1(confusion: &[u64], classes: usize, class: usize) -> Option<f64> {
    let predicted: u64 = (0..classes).map(|label| confusion[label * classes + class]).sum();
    let labelled: u64 = confusion[class * classes..(class + 1) * classes].iter().sum();
    ratio(2 * confusion[class * classes + class], predicted + labelled)
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Labels 0,0,1,1; predictions 0,1,1,1: by hand, precision 2/3, recall 1, F1 0.8.
    #[test]
    fn two_classes_are_scored_for_class_one() {
        let scores = Scores::of(&[2.0, 0.0, 0.0, 2.0, 0.0, 2.0, 0.0, 2.0], [0, 0, 1, 1], 2);
        assert_eq!(scores.accuracy, Some(0.75));
        assert!((scores.precision.unwrap() - 2.0 / 3.0).abs() < 1e-15);
        assert_eq!(scores.recall, Some(1.0));
        assert!((scores.f1.unwrap() - 0.8).abs() < 1e-15);
        let right = (1.0 + (-2.0_f64).exp()).ln();
        assert!((scores.loss.unwrap() - (3.0 * right + (right + 2.0)) / 4.0).abs() < 1e-12);
    }

    #[test]
    fn a_class_that_is_never_predicted_has_no_precision() {
        let scores = Scores::of(&[1.0, 0.0, 1.0, 0.0], [0, 1], 2);
        assert_eq!((scores.precision, scores.recall, scores.f1), (None, Some(0.0), Some(0.0)));
    }

    #[test]
    fn no_sample_gives_no_figure() {
        assert_eq!(Scores::of(&[], [], 2), Scores::default());
    }
}
