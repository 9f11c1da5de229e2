//! Report folders are named by time, so that they sort.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time as a folder's name, in UTC to the second: `2026-01-31T12-00-00Z`. Times before 1970 count as 1970.
pub fn folder_name(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_date(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}-{:02}-{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// Whether a name can be a report's folder: letters, digits, `-`, `_` and `.`, and no bare dots.
pub fn is_folder_name(name: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.chars().all(allowed)
}

/// Year, month and day of a number of days since 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn civil_date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + 400 * era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_utc_to_the_second() {
        let at = |seconds| folder_name(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00-00-00Z");
        assert_eq!(at(951_827_696), "2000-02-29T12-34-56Z");
        assert_eq!(at(1_769_860_800), "2026-01-31T12-00-00Z");
    }

    #[test]
    fn names_cannot_leave_the_folder() {
        assert!(is_folder_name("2026-01-31T12-00-00Z"));
        for bad in ["", "..", "a/b", "a b", ".hidden"] {
            assert!(!is_folder_name(bad), "{bad}");
        }
    }
}
