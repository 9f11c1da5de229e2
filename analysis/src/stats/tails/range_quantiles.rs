//! Quantiles of the studentized range for one probability and many degrees of freedom, as all pairs of many conditions need them. The
//! logarithm of the quantile is smooth in one over the degrees of freedom, so a polynomial through few of them gives all others.

use rayon::prelude::*;

use super::studentized_range::StudentizedRange;

/// Chebyshev nodes. The polynomial's relative error is below 1e-9 from one degree of freedom on; see the test.
const NODES: usize = 32;

/// Quantiles by degrees of freedom.
#[derive(Debug)]
pub struct RangeQuantiles<'a> {
    range: &'a StudentizedRange,
    upper: f64,
    polynomial: Option<Polynomial>,
}

/// A polynomial through the Chebyshev nodes of an interval, in barycentric form (Berrut and Trefethen 2004, equation 5.3).
#[derive(Debug)]
struct Polynomial {
    /// (place, weight, value).
    nodes: Vec<(f64, f64, f64)>,
}

impl<'a> RangeQuantiles<'a> {
    /// For P(Q > q) = `upper` and the degrees of freedom that will be asked for.
    pub fn new(range: &'a StudentizedRange, upper: f64, degrees: &[f64]) -> RangeQuantiles<'a> {
        let inverse = degrees.iter().map(|df| 1.0 / df);
        let (low, high) = inverse.fold((f64::INFINITY, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
        let is_worth_it = degrees.len() > NODES && low < high;
        let polynomial = is_worth_it.then(|| Polynomial::through(low, high, |x| range.quantile(upper, 1.0 / x).ln()));
        RangeQuantiles { range, upper, polynomial }
    }

    /// The quantile.
    pub fn at(&self, df: f64) -> f64 {
        match &self.polynomial {
            Some(polynomial) => polynomial.at(1.0 / df).exp(),
            None => self.range.quantile(self.upper, df),
        }
    }
}

impl Polynomial {
    fn through(low: f64, high: f64, value: impl Fn(f64) -> f64 + Sync) -> Polynomial {
        let node = |index: usize| {
            let angle = (2 * index + 1) as f64 * std::f64::consts::PI / (2 * NODES) as f64;
            let place = f64::midpoint(low, high) + 0.5 * (high - low) * angle.cos();
            let sign = if index.is_multiple_of(2) { 1.0 } else { -1.0 };
            (place, sign * angle.sin(), value(place))
        };
        Polynomial { nodes: (0..NODES).into_par_iter().map(node).collect() }
    }

    fn at(&self, x: f64) -> f64 {
        let (mut sum, mut weights) = (0.0, 0.0);
        for (place, weight, value) in &self.nodes {
            if x == *place {
                return *value;
            }
            let share = weight / (x - place);
            sum += share * value;
            weights += share;
        }
        sum / weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_polynomial_agrees_with_the_quantile_itself() {
        for means in [3, 15] {
            let range = StudentizedRange::new(means);
            for (first, last) in [(1.0, 2.0), (1.0, 400.0), (3.0, 6.0), (18.0, 38.0)] {
                let degrees: Vec<f64> = (0..=60).map(|i| first + (last - first) * f64::from(i) / 60.0).collect();
                let quantiles = RangeQuantiles::new(&range, 0.05, &degrees);
                assert!(quantiles.polynomial.is_some());
                for df in degrees.iter().step_by(7) {
                    let exact = range.quantile(0.05, *df);
                    let error = (quantiles.at(*df) / exact - 1.0).abs();
                    assert!(error < 1e-9, "{means} means, {df} of {first} to {last} degrees of freedom: {error:e}");
                }
            }
        }
    }
}
