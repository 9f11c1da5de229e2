//! Tests on ranks: Kruskal-Wallis for several groups, Mann-Whitney for two.

use super::groups::check;
use super::tails::{Tail, chi_square_upper, normal_upper};
use super::undefined::Undefined;

/// Midranks of values, from 1, and what ties take from the ranks' variance.
struct Ranks {
    /// In the order of the values.
    ranks: Vec<f64>,
    /// Σ (t³ − t) over runs of t equal values.
    ties: f64,
}

impl Ranks {
    /// Ranks finite values.
    fn of(values: &[f64]) -> Ranks {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
        let mut ranks = vec![0.0; values.len()];
        let (mut first, mut ties) = (0, 0.0);
        for run in order.chunk_by(|&i, &j| values[i] == values[j]) {
            let length = run.len() as f64;
            let midrank = first as f64 + (length + 1.0) / 2.0;
            run.iter().for_each(|&i| ranks[i] = midrank);
            ties += length.powi(3) - length;
            first += run.len();
        }
        Ranks { ranks, ties }
    }
}

/// The Kruskal-Wallis test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KruskalWallis {
    /// H, corrected for ties.
    pub h: f64,
    /// Groups less one.
    pub df: f64,
    /// P(χ² > H), the approximation for groups that are not tiny.
    pub p: Tail,
    /// ε² = H / (n − 1), the share of the ranks' variance between groups (Tomczak and Tomczak 2014).
    pub epsilon_squared: f64,
    /// η²_H = (H − k + 1) / (n − k), the same without the share that chance would give.
    pub eta_squared: f64,
}

/// The Kruskal-Wallis test that all groups have the same distribution. Only equal values are ties; R's `kruskal.test` counts ties after
/// rounding to 15 digits, which may move H in its seventh digit.
///
/// # Errors
/// With fewer than two groups, an empty group, a value that is not finite, or if all values are equal.
pub fn kruskal_wallis(groups: &[&[f64]]) -> Result<KruskalWallis, Undefined> {
    check(groups, 1)?;
    let ranks = Ranks::of(&groups.concat());
    let (n, k) = (ranks.ranks.len() as f64, groups.len() as f64);
    let untied = 1.0 - ranks.ties / (n.powi(3) - n);
    if untied <= 0.0 {
        return Err(Undefined::AllEqual);
    }
    let middle = (n + 1.0) / 2.0;
    let mut rest = ranks.ranks.as_slice();
    let mut between = 0.0;
    for group in groups {
        let (own, others) = rest.split_at(group.len());
        let mean = own.iter().sum::<f64>() / own.len() as f64;
        between += own.len() as f64 * (mean - middle).powi(2);
        rest = others;
    }
    let h = 12.0 / (n * (n + 1.0)) * between / untied;
    let df = k - 1.0;
    let eta_squared = (h - df) / (n - k);
    Ok(KruskalWallis { h, df, p: chi_square_upper(h, df), epsilon_squared: h / (n - 1.0), eta_squared })
}

/// The Mann-Whitney test, with the effect that it tests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MannWhitney {
    /// Pairs in which the value of the first group is larger, ties counting one half.
    pub u: f64,
    /// Two-sided p by the normal approximation with ties and the continuity correction, as R's `wilcox.test(exact = FALSE)`.
    pub p: Tail,
    /// The same without the continuity correction.
    pub p_uncorrected: Tail,
}

/// The Mann-Whitney test of two groups.
///
/// # Errors
/// With an empty group, a value that is not finite, or if all values are equal.
pub fn mann_whitney(a: &[f64], b: &[f64]) -> Result<MannWhitney, Undefined> {
    check(&[a, b], 1)?;
    let ranks = Ranks::of(&[a, b].concat());
    let (n_a, n_b) = (a.len() as f64, b.len() as f64);
    let n = n_a + n_b;
    let u = ranks.ranks[..a.len()].iter().sum::<f64>() - n_a * (n_a + 1.0) / 2.0;
    let variance = n_a * n_b / 12.0 * (n + 1.0 - ranks.ties / (n * (n - 1.0)));
    if variance <= 0.0 {
        return Err(Undefined::AllEqual);
    }
    let distance = (u - n_a * n_b / 2.0).abs();
    let two_sided = |distance: f64| normal_upper(distance / variance.sqrt()).doubled();
    Ok(MannWhitney { u, p: two_sided((distance - 0.5).max(0.0)), p_uncorrected: two_sided(distance) })
}
