//! p-values adjusted for the size of their family, as R's `p.adjust`, on the log scale.
//!
//! A family is the set of tests of which one would be reported if it came out: what it holds is declared, never chosen from the results.

use super::tails::Tail;

/// How p-values are adjusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adjustment {
    /// Holm (1979): the chance of any false finding, under any dependence. The default.
    Holm,
    /// Bonferroni: the same, never smaller.
    Bonferroni,
    /// Hochberg (1988): the same where the tests are independent or positively dependent.
    Hochberg,
    /// Benjamini and Hochberg (1995): the share of false findings, where the tests are independent or positively dependent.
    BenjaminiHochberg,
    /// Benjamini and Yekutieli (2001): the share of false findings, under any dependence.
    BenjaminiYekutieli,
}

impl Adjustment {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Adjustment::Holm => "Holm",
            Adjustment::Bonferroni => "Bonferroni",
            Adjustment::Hochberg => "Hochberg",
            Adjustment::BenjaminiHochberg => "Benjamini-Hochberg",
            Adjustment::BenjaminiYekutieli => "Benjamini-Yekutieli",
        }
    }

    /// The adjusted p-values of a family, in its order. The family is the whole slice.
    pub fn adjust(self, family: &[Tail]) -> Vec<Tail> {
        let size = family.len();
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by(|&i, &j| family[i].ln().total_cmp(&family[j].ln()));
        let steps_up =
            matches!(self, Adjustment::Hochberg | Adjustment::BenjaminiHochberg | Adjustment::BenjaminiYekutieli);
        let mut adjusted = family.to_vec();
        let mut bound = if steps_up { 0.0 } else { f64::NEG_INFINITY };
        for step in 0..size {
            // Step-down methods carry the largest value on from the smallest p; step-up ones the smallest from the largest p.
            let rank = if steps_up { size - 1 - step } else { step };
            let ln = family[order[rank]].ln() + self.factor(rank, size).ln();
            let carried = if steps_up { ln.min(bound) } else { ln.max(bound) };
            if self != Adjustment::Bonferroni {
                bound = carried;
            }
            adjusted[order[rank]] = Tail::from_ln(carried);
        }
        adjusted
    }

    /// What the p-value of a rank, from 0, is multiplied by.
    fn factor(self, rank: usize, size: usize) -> f64 {
        let (from_one, size_f) = (rank as f64 + 1.0, size as f64);
        match self {
            Adjustment::Holm | Adjustment::Hochberg => size_f - rank as f64,
            Adjustment::Bonferroni => size_f,
            Adjustment::BenjaminiHochberg => size_f / from_one,
            Adjustment::BenjaminiYekutieli => size_f / from_one * (1..=size).map(|i| 1.0 / i as f64).sum::<f64>(),
        }
    }
}
