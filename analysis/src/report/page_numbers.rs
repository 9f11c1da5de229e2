//! How numbers are written on the page: short enough to compare, with a typographic minus, and a dash where there is none.

use maud::{Markup, html};

use crate::stats::summary::Summary;
use crate::stats::tails::Tail;

/// What stands where a value is undefined.
pub const NONE: &str = "–";

/// A number with `decimals` decimals.
pub fn fixed(number: Option<f64>, decimals: usize) -> String {
    number.map_or(NONE.to_string(), |number| minus(format!("{number:.decimals$}")))
}

/// `mean ± sd`, or the mean alone for one value.
pub fn mean_sd(summary: Option<Summary>) -> String {
    match summary {
        None => NONE.to_string(),
        Some(Summary { mean, sd: Some(sd), .. }) => format!("{} ± {sd:.3}", minus(format!("{mean:.3}"))),
        Some(Summary { mean, sd: None, .. }) => minus(format!("{mean:.3}")),
    }
}

/// An estimate and its interval: `0.52 [0.31, 0.70]`.
pub fn with_interval(estimate: f64, interval: Option<(f64, f64)>, decimals: usize) -> String {
    let number = |number: f64| fixed(Some(number), decimals);
    match interval {
        Some((low, high)) => format!("{} [{}, {}]", number(estimate), number(low), number(high)),
        None => number(estimate),
    }
}

/// A share as a percentage, with no more digits than it has: `95%`, `99.9%`.
pub fn percent(share: f64) -> String {
    // Two decimals are more than any level has; rounding first keeps 0.95 × 100 from showing its binary tail.
    format!("{}%", (share * 1e4).round() / 100.0)
}

/// A whole number with thin spaces between groups of three digits.
pub fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{2009}');
        }
        grouped.push(digit);
    }
    grouped
}

/// A test statistic, with fewer decimals the larger it is.
pub fn statistic(number: Option<f64>) -> String {
    match number {
        None => NONE.to_string(),
        Some(number) if number.abs() >= 1e5 => minus(format!("{number:.3e}")),
        Some(number) if number.abs() >= 100.0 => minus(format!("{number:.0}")),
        Some(number) => minus(format!("{number:.2}")),
    }
}

/// A p-value: plain down to 0.001, then as a power of ten, which does not underflow.
pub fn p_value(tail: Option<Tail>) -> Markup {
    match tail {
        None => html! { (NONE) },
        Some(tail) if tail.p() >= 0.001 => html! { (format!("{:.3}", tail.p())) },
        Some(tail) => html! { "10" sup { (minus(format!("{:.1}", tail.log10()))) } },
    }
}

/// Puts a typographic minus for a hyphen, and none before a zero.
fn minus(text: String) -> String {
    let is_zero = text.starts_with('-') && !text.contains(['1', '2', '3', '4', '5', '6', '7', '8', '9']);
    if is_zero { text[1..].to_string() } else { text.replace('-', "−") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::tails::f_upper;

    #[test]
    fn tiny_p_values_are_powers_of_ten() {
        let p = |f| f_upper(f, 28.0, 14970.0);
        assert_eq!(p_value(Some(p(11136.725680970594))).into_string(), "10<sup>−9982.5</sup>");
        assert_eq!(p_value(Some(p(1.0))).into_string(), "0.465");
        assert_eq!(p_value(None).into_string(), "–");
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!(fixed(Some(-0.0001), 3), "0.000");
        assert_eq!(fixed(Some(-0.001), 3), "−0.001");
        assert_eq!(fixed(None, 3), "–");
        let around_zero = Summary::of(&[-0.1004, 0.1]);
        assert!(mean_sd(around_zero).starts_with("0.000 ± 0.14"));
    }

    #[test]
    fn intervals_stand_in_brackets() {
        assert_eq!(with_interval(-0.5, Some((-1.0, 0.25)), 2), "−0.50 [−1.00, 0.25]");
        assert_eq!(with_interval(0.5, None, 2), "0.50");
        assert_eq!((percent(0.95), percent(0.999)), ("95%".to_string(), "99.9%".to_string()));
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(1), "1");
        assert_eq!(count(37500), "37\u{2009}500");
    }
}
