//! t in every cell for one assignment of the runs.

/// A sum of squares below this share of all runs' one is rounding.
const NO_SPREAD: f64 = 1e-13;

/// The t of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// Welch's: variances may differ between conditions.
    Welch,
    /// Student's: one variance for both.
    Pooled,
}

/// The runs of both conditions, each cell less its mean over all runs.
#[derive(Debug, Clone)]
pub struct Cells {
    /// `[run][cell]`, the first condition's runs first.
    runs: Vec<Vec<f64>>,
    /// Σ x² of every cell; exactly 0 where all runs have the same value.
    squares: Vec<f64>,
    first: usize,
}

impl Cells {
    /// Takes the maps of both conditions, all of one size.
    pub fn new(a: &[&[f64]], b: &[&[f64]]) -> Cells {
        let maps: Vec<&[f64]> = a.iter().chain(b).copied().collect();
        let count = maps.len() as f64;
        let means: Vec<f64> = (0..maps[0].len())
            .map(|cell| {
                let first = maps[0][cell];
                // Around the first value, so that equal values have exactly that mean.
                first + maps.iter().map(|map| map[cell] - first).sum::<f64>() / count
            })
            .collect();
        let runs: Vec<Vec<f64>> =
            maps.iter().map(|map| map.iter().zip(&means).map(|(value, mean)| value - mean).collect()).collect();
        let squares =
            (0..means.len()).map(|cell| runs.iter().map(|run: &Vec<f64>| run[cell] * run[cell]).sum()).collect();
        Cells { runs, squares, first: a.len() }
    }

    /// t of every cell if the runs `chosen` (ascending, as many as the first condition has) are the first condition.
    pub fn statistics(&self, statistic: Statistic, chosen: &[usize]) -> Vec<f64> {
        let second = self.runs.len() - self.first;
        // The smaller side is summed, and the other is what it leaves.
        let smaller: Vec<usize> = if self.first <= second {
            chosen.to_vec()
        } else {
            (0..self.runs.len()).filter(|run| chosen.binary_search(run).is_err()).collect()
        };
        let mut sums = vec![0.0; self.squares.len()];
        let mut squares = vec![0.0; self.squares.len()];
        for run in smaller {
            for ((sum, square), value) in sums.iter_mut().zip(&mut squares).zip(&self.runs[run]) {
                *sum += value;
                *square += value * value;
            }
        }
        let (n, m) = (self.first.min(second) as f64, self.first.max(second) as f64);
        let sign = if self.first <= second { 1.0 } else { -1.0 };
        let cell = |((sum, square), total): ((f64, f64), &f64)| {
            // The values of a cell sum up to 0, so that the other side's sum is −sum.
            let difference = sum / n + sum / m;
            let spread = |squares: f64, count: f64| {
                let spread = squares - sum * sum / count;
                if spread > NO_SPREAD * total { spread } else { 0.0 }
            };
            let (ours, theirs) = (spread(square, n), spread(total - square, m));
            let variance = match statistic {
                Statistic::Welch => ours / (n * (n - 1.0)) + theirs / (m * (m - 1.0)),
                Statistic::Pooled => (ours + theirs) / (n + m - 2.0) * (1.0 / n + 1.0 / m),
            };
            sign * ratio(difference, variance, *total)
        };
        sums.into_iter().zip(squares).zip(&self.squares).map(cell).collect()
    }
}

impl Cells {
    /// The t of a cell that does not vary within the conditions, were its variances those of one exchanged run on either side: more than it
    /// has in any other assignment of its runs.
    pub fn sharpest(&self, statistic: Statistic) -> f64 {
        let (n, m) = (self.first as f64, (self.runs.len() - self.first) as f64);
        let variance = match statistic {
            Statistic::Welch => 1.0 / (n * n) + 1.0 / (m * m),
            Statistic::Pooled => (2.0 - 1.0 / n - 1.0 / m) / (n + m - 2.0) * (1.0 / n + 1.0 / m),
        };
        1.0 / variance.sqrt()
    }
}

/// t; 0 where nothing varies, and infinite where the conditions differ without any variance.
fn ratio(difference: f64, variance: f64, total: f64) -> f64 {
    if variance > 0.0 {
        difference / variance.sqrt()
    } else if difference * difference <= NO_SPREAD * total {
        0.0
    } else {
        difference.signum() * f64::INFINITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // R: t.test(c(1, 2, 4), c(2, 6, 7, 9)) and the same with var.equal = TRUE.
    const WELCH: f64 = -2.136_828_897_185_981_5;
    const POOLED: f64 = -1.938_495_286_338_163_7;

    #[test]
    fn t_is_that_of_r() {
        let a: [&[f64]; 3] = [&[1.0], &[2.0], &[4.0]];
        let b: [&[f64]; 4] = [&[2.0], &[6.0], &[7.0], &[9.0]];
        let cells = Cells::new(&a, &b);
        let welch = cells.statistics(Statistic::Welch, &[0, 1, 2])[0];
        let pooled = cells.statistics(Statistic::Pooled, &[0, 1, 2])[0];
        assert!((welch - WELCH).abs() < 1e-12, "{welch}");
        assert!((pooled - POOLED).abs() < 1e-12, "{pooled}");
        let mirrored = Cells::new(&b, &a);
        assert!((mirrored.statistics(Statistic::Welch, &[0, 1, 2, 3])[0] + WELCH).abs() < 1e-12);
    }

    #[test]
    fn one_exchanged_run_has_a_smaller_t_than_none() {
        let (low, high): (&[f64], &[f64]) = (&[0.25], &[0.75]);
        for (n, m) in [(2, 2), (3, 9), (10, 10)] {
            let cells = Cells::new(&vec![low; n], &vec![high; m]);
            let exchanged: Vec<usize> = (1..=n).collect();
            for statistic in [Statistic::Welch, Statistic::Pooled] {
                let t = cells.statistics(statistic, &exchanged)[0].abs();
                assert!(t < cells.sharpest(statistic), "{n} and {m}: {t} and {}", cells.sharpest(statistic));
            }
        }
    }

    #[test]
    fn cells_without_variance_have_a_defined_t() {
        let a: [&[f64]; 2] = [&[0.1, 0.1], &[0.1, 0.1]];
        let b: [&[f64]; 2] = [&[0.1, 0.3], &[0.1, 0.3]];
        let cells = Cells::new(&a, &b);
        assert_eq!(cells.statistics(Statistic::Welch, &[0, 1]), [0.0, f64::NEG_INFINITY]);
        let mixed = cells.statistics(Statistic::Pooled, &[0, 2]);
        assert!(mixed[0] == 0.0 && mixed[1].abs() < 1e-12, "{mixed:?}");
    }
}
