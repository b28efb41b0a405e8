//! Text forms of dates, times and decimals, as the server reads and writes them. Knows no connection.

pub(crate) const DAY_MICROS: i64 = 86_400_000_000;

/// A day as `YYYY-MM-DD`; none outside the years 1–9999.
pub(crate) fn date_text(days: i32) -> Option<String> {
    let (year, month, day) = civil(i64::from(days));
    (1..=9999).contains(&year).then(|| format!("{year:04}-{month:02}-{day:02}"))
}

/// A time stamp as `YYYY-MM-DD HH:MM:SS.ffffff`; none outside the years 1–9999.
pub(crate) fn timestamp_text(micros: i64) -> Option<String> {
    let date = date_text(i32::try_from(micros.div_euclid(DAY_MICROS)).ok()?)?;
    Some(format!("{date} {}", time_text(micros.rem_euclid(DAY_MICROS))?))
}

/// A time of day as `HH:MM:SS.ffffff`; none outside the day.
pub(crate) fn time_text(micros: i64) -> Option<String> {
    if !(0..DAY_MICROS).contains(&micros) {
        return None;
    }
    let seconds = micros / 1_000_000;
    Some(format!("{:02}:{:02}:{:02}.{:06}", seconds / 3_600, seconds / 60 % 60, seconds % 60, micros % 1_000_000))
}

/// The digits of a decimal.
pub(crate) fn decimal_text(value: i128, scale: i8) -> Option<String> {
    let scale = usize::try_from(scale).ok()?;
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len().checked_sub(scale)?);
    Some(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// Digits of a decimal → its value at `scale`. With `round`, further digits are rounded half away from zero; without,
/// they must be zero. None also beyond `precision` digits.
pub(crate) fn parse_decimal(text: &str, precision: u8, scale: i8, round: bool) -> Option<i128> {
    let scale = usize::try_from(scale).ok()?;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let (kept, dropped) = fraction.split_at(fraction.len().min(scale));
    let mut value: i128 = 0;
    for digit in whole.bytes().chain(kept.bytes()).chain(std::iter::repeat_n(b'0', scale - kept.len())) {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    if dropped.bytes().any(|digit| digit != b'0') {
        if !round {
            return None;
        }
        value += i128::from(dropped.as_bytes().first().is_some_and(|digit| *digit >= b'5'));
    }
    (value < 10_i128.checked_pow(u32::from(precision))?).then_some(if negative { -value } else { value })
}

/// Year, month and day of a day number (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let (era, doe) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

/// Day number of a date, if it exists.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) || (year, month, day) < (1, 1, 1) {
        return None;
    }
    let y = if month <= 2 { year - 1 } else { year };
    let (era, yoe) = (y.div_euclid(400), y.rem_euclid(400));
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    Some(era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_round_trip_over_the_whole_range() {
        for days in [-719_162_i32, -25_567, -1, 0, 19_782, 2_932_896] {
            let text = date_text(days).unwrap();
            let parts: Vec<i64> = text.split('-').map(|part| part.parse().unwrap()).collect();
            assert_eq!(days_from_civil(parts[0], parts[1], parts[2]), Some(i64::from(days)), "{text}");
        }
        assert_eq!((date_text(-719_163), date_text(2_932_897)), (None, None));
        assert_eq!(timestamp_text(-1).as_deref(), Some("1969-12-31 23:59:59.999999"));
        assert_eq!(days_from_civil(2023, 2, 29), None);
        assert_eq!(days_from_civil(0, 0, 0), None);
    }

    #[test]
    fn decimals_round_trip_and_round_half_away() {
        for (value, scale, text) in [(0, 2, "0.00"), (-5, 2, "-0.05"), (123_456, 3, "123.456"), (7, 0, "7")] {
            assert_eq!(decimal_text(value, scale).as_deref(), Some(text));
            assert_eq!(parse_decimal(text, 38, scale, false), Some(value));
        }
        for (text, precision, round, expected) in [
            ("1.005", 10, true, Some(101)),
            ("-1.005", 10, true, Some(-101)),
            ("1.005", 10, false, None),
            ("100", 4, false, None),
            ("1e3", 10, true, None),
            ("", 10, true, None),
        ] {
            assert_eq!(parse_decimal(text, precision, 2, round), expected, "{text}");
        }
    }
}
