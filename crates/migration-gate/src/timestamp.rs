//! Versions that are points in time, as `sqlx migrate add` writes them: `YYYYMMDDhhmmss`.

/// No project has migrations from before SQL had a standard, and none plans this far ahead.
const YEARS: std::ops::RangeInclusive<i64> = 1986..=2199;

const DAY_S: i64 = 24 * 60 * 60;

/// Whether `version` is a moment of the calendar.
pub(crate) fn is_timestamp(version: i64) -> bool {
    let (year, month, day) = date(version);
    let (hour, minute, second) = time(version);
    YEARS.contains(&year)
        && (1..=12).contains(&month)
        && (1..=days(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60
}

/// The second after a time stamp.
pub(crate) fn after(version: i64) -> i64 {
    let (mut year, mut month, mut day) = date(version);
    let (hour, minute, second) = time(version);
    let mut second_of_day = (hour * 60 + minute) * 60 + second + 1;
    if second_of_day == DAY_S {
        (second_of_day, day) = (0, day + 1);
    }
    if day > days(year, month) {
        (day, month) = (1, month + 1);
    }
    if month > 12 {
        (month, year) = (1, year + 1);
    }
    let (minute_of_day, second) = (second_of_day / 60, second_of_day % 60);
    let digits = [month, day, minute_of_day / 60, minute_of_day % 60, second];
    digits.into_iter().fold(year, |stamp, part| stamp * 100 + part)
}

fn date(version: i64) -> (i64, i64, i64) {
    (version / 10_000_000_000, version / 100_000_000 % 100, version / 1_000_000 % 100)
}

fn time(version: i64) -> (i64, i64, i64) {
    (version / 10_000 % 100, version / 100 % 100, version % 100)
}

fn days(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_18_is_no_moment_and_neither_is_a_fifteenth_digit() {
        assert!(is_timestamp(20_240_229_235_959));
        for wrong in [20_241_801_000_000, 20_230_229_000_000, 20_240_101_520_000, 202_401_010_000_000, 7] {
            assert!(!is_timestamp(wrong), "{wrong}");
        }
    }

    #[test]
    fn the_second_after_the_last_of_a_year_is_in_the_next_one() {
        assert_eq!(after(20_240_101_000_000), 20_240_101_000_001);
        assert_eq!(after(20_240_101_000_059), 20_240_101_000_100);
        assert_eq!(after(20_241_231_235_959), 20_250_101_000_000);
    }
}
