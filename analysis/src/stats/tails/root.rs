//! Where a monotone function of one variable is zero, by Chandrupatla's method (1997): inverse quadratic interpolation where that is
//! safe, halving where it is not.

/// Relative accuracy of a root. The functions here are known to about as many digits; closer in, their rounding would lead astray.
const ACCURACY: f64 = 1e-13;
/// Steps at most. Halving alone exhausts double precision in about 1,100 steps from the widest interval and in 60 from a common one.
const MAX_STEPS: usize = 1200;
/// Doublings of the step away from the start; more would leave the range of a double.
const MAX_DOUBLINGS: usize = 1000;

/// The root of a monotone function, sought on both sides of `start` in steps that begin with `step` and double. Where the function
/// never changes its sign the answer is the last place looked at.
pub fn root_from(f: impl Fn(f64) -> f64, start: f64, step: f64) -> f64 {
    let at_start = f(start);
    if at_start == 0.0 {
        return start;
    }
    let (mut below, mut above) = ((start, at_start), (start, at_start));
    let mut step = step;
    for _ in 0..MAX_DOUBLINGS {
        for near in [&mut above, &mut below] {
            let place = near.0 + step;
            let far = (place, f(place));
            if (far.1 < 0.0) != (at_start < 0.0) {
                return root_between(f, *near, far);
            }
            *near = far;
            step = -step;
        }
        step *= 2.0;
    }
    above.0
}

/// The root between two places, given with the function's values there, which differ in sign. NaN where the function is.
pub fn root_between(f: impl Fn(f64) -> f64, (mut a, mut at_a): (f64, f64), (mut b, mut at_b): (f64, f64)) -> f64 {
    let mut share = 0.5;
    for _ in 0..MAX_STEPS {
        let x = a + share * (b - a);
        let at_x = f(x);
        if at_x.is_nan() {
            return f64::NAN;
        }
        let (c, at_c);
        if (at_x < 0.0) == (at_a < 0.0) {
            (c, at_c) = (a, at_a);
        } else {
            (c, at_c) = (b, at_b);
            (b, at_b) = (a, at_a);
        }
        (a, at_a) = (x, at_x);
        let (best, at_best) = if at_a.abs() < at_b.abs() { (a, at_a) } else { (b, at_b) };
        let least_share = (ACCURACY * best.abs() + f64::MIN_POSITIVE) / (b - a).abs();
        if at_best == 0.0 || least_share >= 0.5 {
            return best;
        }
        let xi = (a - b) / (c - b);
        let phi = (at_a - at_b) / (at_c - at_b);
        let interpolates = phi * phi < xi && (1.0 - phi).powi(2) < 1.0 - xi;
        share = if interpolates {
            at_a / (at_b - at_a) * at_c / (at_b - at_c)
                + (c - a) / (b - a) * at_a / (at_c - at_a) * at_b / (at_c - at_b)
        } else {
            0.5
        };
        share = share.clamp(least_share, 1.0 - least_share);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_roots_on_either_side_of_the_start() {
        for target in [-1e6, -3.0, 0.0, 1e-9, 2.5, 1e9] {
            let root = root_from(|x| x.powi(3) - f64::powi(target, 3), 0.5, 1.0);
            assert!((root - target).abs() <= 1e-12 * target.abs().max(1e-6), "{root} for {target}");
            let falling = root_from(|x| (target - x).atan(), 0.5, 0.25);
            assert!((falling - target).abs() <= 1e-12 * target.abs().max(1.0), "{falling} for {target}");
        }
    }

    #[test]
    fn an_infinite_value_beside_the_root_does_no_harm() {
        let root = root_from(|x| if x > 4.0 { f64::NEG_INFINITY } else { 3.0 - x }, 0.0, 8.0);
        assert!((root - 3.0).abs() < 1e-12);
    }
}
