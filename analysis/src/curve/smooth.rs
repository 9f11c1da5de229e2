//! Tukey's running-median smoother "3RS3R" with his end rule, as R's `stats::smooth` computes it with its defaults.
//!
//! The paper's curve metrics are read from curves smoothed by R, so this follows R's C code (`src/library/stats/src/smooth.c`)
//! operation by operation, quirks included, and agrees with it bit for bit. The quirks that a reader would take for mistakes are
//! named where they occur.

/// Smooths a curve `[time]` by "3RS3R": running medians of three repeated to convergence, peaks and valleys that are two
/// points wide split, and the medians again if the splitting changed anything.
///
/// Values must be finite; the result has the input's length. Curves of one or two points come back as they are.
pub fn smooth_3rs3r(x: &[f64]) -> Vec<f64> {
    let medians = repeated_medians(x);
    let (split, changed) = split_flats(&medians);
    // R gives the medians back, not the split series, where its flag says that nothing changed, although the flag only
    // remembers the last place that was looked at.
    if changed { repeated_medians(&split) } else { medians }
}

/// Which of three values their median is, as R finds it (comparisons are inclusive).
#[derive(Clone, Copy, PartialEq)]
enum Middle {
    First,
    Second,
    Third,
}

/// R's `imed3`: 0 for the second value, 1 for the third, −1 for the first.
fn middle(u: f64, v: f64, w: f64) -> Middle {
    if (u <= v && v <= w) || (u >= v && v >= w) {
        Middle::Second
    } else if (v <= w && w <= u) || (v >= w && w >= u) {
        Middle::Third
    } else {
        Middle::First
    }
}

/// R's `med3`, without a branch. Of equal values it is the one that R takes, so that even zeros keep their sign.
fn median(u: f64, v: f64, w: f64) -> f64 {
    let low = if u < w { u } else { w };
    let high = if u > w { u } else { w };
    let bounded = if v < low { low } else { v };
    if bounded > high { high } else { bounded }
}

/// "3R": medians of three until nothing changes, then Tukey's end rule once, which uses the ends of this pass's input.
fn repeated_medians(x: &[f64]) -> Vec<f64> {
    let n = x.len();
    if n <= 2 {
        return x.to_vec();
    }
    let mut y = x.to_vec();
    let mut previous = x.to_vec();
    loop {
        let mut changed = false;
        for (value, three) in y[1..n - 1].iter_mut().zip(previous.windows(3)) {
            *value = median(three[0], three[1], three[2]);
            changed |= *value != three[1];
        }
        if !changed {
            break;
        }
        std::mem::swap(&mut y, &mut previous);
    }
    y[0] = median(3.0 * y[1] - 2.0 * y[2], x[0], y[1]);
    y[n - 1] = median(y[n - 2], x[n - 1], 3.0 * y[n - 2] - 2.0 * y[n - 3]);
    y
}

/// "S": splits flats that are two points wide and lie above or below both neighbours, the flats at the ends too (R's default,
/// whatever its argument is called). Gives the series and R's flag for "changed".
fn split_flats(x: &[f64]) -> (Vec<f64>, bool) {
    let n = x.len();
    let mut y = x.to_vec();
    let mut changed = false;
    if n <= 4 {
        return (y, changed);
    }
    if is_two_flat(x, 1) {
        changed = true;
        y[1] = x[0];
        y[2] = median(x[2], x[3], 3.0 * x[3] - 2.0 * x[4]);
    }
    for i in 2..=n - 4 {
        if !is_two_flat(x, i) {
            continue;
        }
        // The flag is overwritten at every place, as in R, not gathered over them.
        if let Some(value) = pull(x[i], x[i - 1], 3.0 * x[i - 1] - 2.0 * x[i - 2]) {
            y[i] = value;
            changed = y[i] != x[i];
        }
        if let Some(value) = pull(x[i + 1], x[i + 2], 3.0 * x[i + 2] - 2.0 * x[i + 3]) {
            y[i + 1] = value;
            changed = y[i + 1] != x[i + 1];
        }
    }
    if is_two_flat(x, n - 3) {
        changed = true;
        y[n - 2] = x[n - 1];
        y[n - 3] = median(x[n - 3], x[n - 4], 3.0 * x[n - 4] - 2.0 * x[n - 5]);
    }
    (y, changed)
}

/// Whether points `i` and `i + 1` are equal and form a peak or a valley.
fn is_two_flat(x: &[f64], i: usize) -> bool {
    let rises = || x[i - 1] <= x[i] && x[i + 1] <= x[i + 2];
    let falls = || x[i - 1] >= x[i] && x[i + 1] >= x[i + 2];
    x[i] == x[i + 1] && !rises() && !falls()
}

/// Where a point of a flat is pulled to, by its neighbour and the line extrapolated through it: nowhere if the point itself is
/// the middle one.
fn pull(point: f64, neighbour: f64, extrapolated: f64) -> Option<f64> {
    match middle(point, neighbour, extrapolated) {
        Middle::First => None,
        Middle::Second => Some(neighbour),
        Middle::Third => Some(extrapolated),
    }
}
