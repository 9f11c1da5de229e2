//! Times, spans and numbers as people say them.

use chrono::DateTime;

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// A span in its two largest units: `12 s`, `3 min 5 s`, `4 h 10 min`, `2 d 3 h`.
pub(super) fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// A time of day, with the date where it is more than half a day away from `now_ms`.
pub(super) fn at(now_ms: u64, at_ms: u64) -> String {
    let format = if now_ms.abs_diff(at_ms) > DAY_MS / 2 { "%Y-%m-%d %H:%M:%S UTC" } else { "%H:%M:%S UTC" };
    let time = i64::try_from(at_ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    time.format(format).to_string()
}

/// `3 min 5 s ago (07:22:10 UTC)`.
pub(super) fn ago(now_ms: u64, at_ms: u64) -> String {
    format!("{} ago ({})", span(now_ms.saturating_sub(at_ms)), at(now_ms, at_ms))
}

/// `in 12 s (07:22:10 UTC)`.
pub(super) fn ahead(now_ms: u64, at_ms: u64) -> String {
    format!("in {} ({})", span(at_ms.saturating_sub(now_ms)), at(now_ms, at_ms))
}

/// `1 run`, `3 runs`.
pub(super) fn counted(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// `1 run waits`, `3 runs wait`.
pub(super) fn doing(number: u64, thing: &str, one: &str, many: &str) -> String {
    format!("{} {}", counted(number, thing), if number == 1 { one } else { many })
}

/// `once`, `twice`, `3 times`.
pub(super) fn times(number: u64) -> String {
    match number {
        1 => "once".to_string(),
        2 => "twice".to_string(),
        number => format!("{number} times"),
    }
}

/// `a`, `a and b`, `a, b and 3 more`: at most `shown` of them.
pub(super) fn list(items: &[String], shown: usize) -> String {
    let more = items.len().saturating_sub(shown);
    let shown = &items[..items.len() - more];
    match (shown, more) {
        (shown, 1..) => format!("{} and {more} more", shown.join(", ")),
        ([], _) => String::new(),
        ([only], _) => only.clone(),
        ([first @ .., last], _) => format!("{} and {last}", first.join(", ")),
    }
}

/// The first line of an error, without a full stop: sentences go on after it.
pub(super) fn error(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim_end_matches('.')
}

/// A reason in brackets, where there is one.
pub(super) fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" (“{}”)", error(reason)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_read_as_people_say_them() {
        let noon = 1_769_860_800_000;
        assert_eq!(ago(noon + 185_000, noon), "3 min 5 s ago (12:00:00 UTC)");
        assert_eq!(ahead(noon - 2 * DAY_MS, noon), "in 2 d 0 h (2026-01-31 12:00:00 UTC)");
        assert_eq!([1, 2, 3].map(times), ["once", "twice", "3 times"]);
        let items: Vec<String> = ["a", "b", "c"].map(str::to_string).to_vec();
        assert_eq!([1, 2, 3].map(|shown| list(&items, shown)), ["a and 2 more", "a, b and 1 more", "a, b and c"]);
        assert_eq!(error("it broke.\nstack"), "it broke");
    }
}
