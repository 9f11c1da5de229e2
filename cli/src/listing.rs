//! Tables and numbers for a terminal.

use std::time::Duration;

use crate::output::say;

use curvefleet_proto::v1::{RunState, StudyState};

/// Prints rows under headings, columns aligned.
pub fn print_table(headings: &[&str], rows: &[Vec<String>]) {
    let cell_width = |text: &str| text.chars().count();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| cell_width(&row[column]));
        cells.chain([cell_width(headings[column])]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    say!("{}", line(headings.to_vec()));
    for row in rows {
        say!("{}", line(row.iter().map(String::as_str).collect()));
    }
}

/// A whole number with thousands set apart: `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut text = digits[..first].to_string();
    for (index, digit) in digits[first..].chars().enumerate() {
        if index % 3 == 0 && !text.is_empty() {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 run`, `3 runs`.
pub fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A duration in the two largest units that matter: `3 s`, `2 min 5 s`, `4 h 10 min`, `2 d 3 h`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// A number of operations: `12.3 TFLOP`.
pub fn flop(operations: f64) -> String {
    let units = [(1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP")];
    let (scale, unit) = units.into_iter().find(|(scale, _)| operations >= *scale).unwrap_or((1e6, "MFLOP"));
    format!("{:.3} {unit}", operations / scale)
}

/// A time as `2026-01-31 12:00:00 UTC`; empty for 0.
pub fn time(milliseconds: u64) -> String {
    if milliseconds == 0 {
        return String::new();
    }
    let name =
        curvefleet_analysis::report::time::folder_name(std::time::UNIX_EPOCH + Duration::from_millis(milliseconds));
    // `2026-01-31T12-00-00Z`, made readable.
    let (date, clock) = name.split_at(name.len().min(10));
    format!("{date} {} UTC", clock.trim_start_matches('T').trim_end_matches('Z').replace('-', ":"))
}

/// A number of bytes: `512 B`, `12.3 MB`.
pub fn bytes(bytes: u64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match units.into_iter().find(|(scale, _)| bytes as f64 >= *scale) {
        Some((scale, unit)) => format!("{:.1} {unit}", bytes as f64 / scale),
        None => format!("{bytes} B"),
    }
}

/// A study's state in a word.
pub fn study_state(state: i32) -> &'static str {
    match StudyState::try_from(state) {
        Ok(StudyState::Active) => "active",
        Ok(StudyState::Finished) => "finished",
        Ok(StudyState::Cancelled) => "cancelled",
        Ok(StudyState::Stopped) => "stopped",
        Ok(StudyState::Unspecified) | Err(_) => "unknown",
    }
}

/// A run's state in a word.
pub fn run_state(state: i32) -> &'static str {
    match RunState::try_from(state) {
        Ok(RunState::Pending) => "pending",
        Ok(RunState::Done) => "done",
        Ok(RunState::Failed) => "failed",
        Ok(RunState::Cancelled) => "cancelled",
        Ok(RunState::Unspecified) | Err(_) => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(
            ["0", "999", "1,000", "12,345", "1,234,567"],
            [0, 999, 1_000, 12_345, 1_234_567].map(grouped).each_ref().map(String::as_str)
        );
        assert_eq!(counted(1, "run"), "1 run");
        assert_eq!(duration(Duration::from_secs(3_725)), "1 h 2 min");
        assert_eq!(flop(2.5e12), "2.500 TFLOP");
        assert_eq!([bytes(512), bytes(12_340_000)], ["512 B", "12.3 MB"]);
    }
}
