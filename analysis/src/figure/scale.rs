//! From values to pixels, and where ticks stand.

/// A straight map from values to pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// The value at the first pixel.
    pub low: f64,
    /// The value at the last pixel.
    pub high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// Maps `low..high` to the pixels `from..to`. `low` must be below `high`.
    pub fn new((low, high): (f64, f64), (from, to): (f64, f64)) -> Scale {
        Scale { low, high, from, to }
    }

    /// The pixel of a value.
    pub fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }
}

/// The smallest and largest of some finite values; `None` where there are none.
pub fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

/// A range widened by a share on both sides, or by `least` in all where that is more.
pub fn padded((low, high): (f64, f64), share: f64, least: f64) -> (f64, f64) {
    let wanted = ((high - low) * (1.0 + 2.0 * share)).max(least);
    let more = (wanted - (high - low)) / 2.0;
    (low - more, high + more)
}

/// Steps between ticks: 1, 2 or 5 times a power of ten, so that there are at most about `most` of them.
fn tick_step(span: f64, most: usize) -> f64 {
    let rough = span / most.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough * (1.0 - 1e-9)).unwrap_or(10.0);
    factor * power
}

/// Round values within a range, at most about `most` of them, with their labels.
pub fn ticks((low, high): (f64, f64), most: usize) -> Vec<(f64, String)> {
    let step = tick_step(high - low, most);
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let slack = 1e-9 * step;
    let first = ((low - slack) / step).ceil() as i64;
    let last = ((high + slack) / step).floor() as i64;
    // A typographic minus, as wide as a plus.
    let label = |value: f64| format!("{value:.decimals$}").replace('-', "−");
    (first..=last).map(|i| i as f64 * step).map(|value| (value, label(value + 0.0))).collect()
}

/// Whole numbers from 1 to `last`, at most about `most` of them: 1 and then round ones.
pub fn counting_ticks(last: usize, most: usize) -> Vec<usize> {
    let step = (tick_step(last as f64, most).ceil() as usize).max(1);
    if step <= 2 {
        return (1..=last).step_by(step).collect();
    }
    std::iter::once(1).chain((1..=last / step).map(|i| i * step)).collect()
}

/// A range widened to multiples of `step`; never empty.
pub fn rounded((low, high): (f64, f64), step: f64) -> (f64, f64) {
    let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
    if last > first { (first * step, last * step) } else { ((first - 1.0) * step, (first + 1.0) * step) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        let labels: Vec<String> = ticks((-0.12, 0.31), 5).into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["−0.1", "0.0", "0.1", "0.2", "0.3"]);
    }

    #[test]
    fn counting_starts_at_one() {
        assert_eq!(counting_ticks(1, 5), [1]);
        assert_eq!(counting_ticks(4, 5), [1, 2, 3, 4]);
        assert_eq!(counting_ticks(150, 4), [1, 50, 100, 150]);
    }

    #[test]
    fn a_range_of_one_value_can_be_drawn() {
        let (low, high) = rounded((0.5, 0.5), 0.05);
        assert!(low < 0.5 && 0.5 < high);
        assert_eq!(padded((0.5, 0.5), 0.05, 0.1), (0.45, 0.55));
    }
}
