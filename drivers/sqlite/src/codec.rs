//! The text forms in which SQLite keeps dates, times and decimals: ObjectStack's, fixed in width, so that text order is time order. Knows no connection.
//!
//! A time stamp is `YYYY-MM-DDTHH:MM:SS.sss` with `Z` for an instant. A value with microseconds is written
//! `…sss~uuu`: `~` sorts above `Z` and above the end of the text, so that such a *parameter* falls between the two
//! milliseconds around it and every comparison stays exact.

pub(crate) const DAY_MICROS: i64 = 86_400_000_000;

/// A day as `YYYY-MM-DD`; none outside the years 0–9999.
pub(crate) fn date_text(days: i32) -> Option<String> {
    let (year, month, day) = civil(i64::from(days));
    (0..=9999).contains(&year).then(|| format!("{year:04}-{month:02}-{day:02}"))
}

/// A time stamp in the fixed form; none outside the years 0–9999.
pub(crate) fn timestamp_text(micros: i64, utc: bool) -> Option<String> {
    let date = date_text(i32::try_from(micros.div_euclid(DAY_MICROS)).ok()?)?;
    let zone = if utc { "Z" } else { "" };
    let (clock, millis, rest) = clock(micros.rem_euclid(DAY_MICROS));
    Some(if rest == 0 {
        format!("{date}T{clock}.{millis:03}{zone}")
    } else {
        format!("{date}T{clock}.{millis:03}~{rest:03}{zone}")
    })
}

/// A time of day as `HH:MM:SS[.sss]`, the fraction only if there is one; none outside the day.
pub(crate) fn time_text(micros: i64) -> Option<String> {
    if !(0..DAY_MICROS).contains(&micros) {
        return None;
    }
    Some(match clock(micros) {
        (clock, 0, 0) => clock,
        (clock, millis, 0) => format!("{clock}.{millis:03}"),
        (clock, millis, rest) => format!("{clock}.{millis:03}~{rest:03}"),
    })
}

/// `HH:MM:SS`, milliseconds, microseconds below them.
fn clock(micros: i64) -> (String, i64, i64) {
    let seconds = micros / 1_000_000;
    let text = format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    (text, micros / 1_000 % 1_000, micros % 1_000)
}

/// Reads `YYYY-MM-DD` and nothing else.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let (year, rest) = text.as_bytes().split_first_chunk::<4>()?;
    let [b'-', m0, m1, b'-', d0, d1] = rest else { return None };
    let (year, month, day) = (number(year)?, number(&[*m0, *m1])?, number(&[*d0, *d1])?);
    days_from_civil(year, month, day).and_then(|days| i32::try_from(days).ok())
}

/// Reads the fixed form only.
pub(crate) fn parse_timestamp(text: &str, utc: bool) -> Option<i64> {
    let body = if utc { text.strip_suffix('Z')? } else { text };
    let (date, time) = (body.get(..10)?, body.get(10..)?.strip_prefix('T')?);
    let micros = match time.len() {
        12 => parse_clock(time.get(..8)?)? + parse_fraction(time.get(8..)?)?,
        16 => parse_clock(time.get(..8)?)? + parse_fraction(time.get(8..)?)?,
        _ => return None,
    };
    i64::from(parse_date(date)?).checked_mul(DAY_MICROS)?.checked_add(micros)
}

/// Reads `HH:MM:SS[.sss]`.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let clock = parse_clock(text.get(..8)?)?;
    match text.get(8..)? {
        "" => Some(clock),
        fraction => Some(clock + parse_fraction(fraction)?),
    }
}

/// Reads ISO 8601 in its usual forms: date alone, blank or `T` between, up to nine digits of a second (those below
/// microseconds must be zero), a zone or none (then UTC).
pub(crate) fn parse_any_timestamp(text: &str) -> Option<i64> {
    let date = i64::from(parse_date(text.get(..10)?)?).checked_mul(DAY_MICROS)?;
    let rest = text.get(10..)?;
    if rest.is_empty() {
        return Some(date);
    }
    let rest = rest.strip_prefix(['T', ' '])?;
    let (time, zone) = match rest.find(['Z', '+', '-']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    date.checked_add(parse_any_time(time.trim_end())?)?.checked_sub(parse_zone(zone)?)
}

/// Reads `HH:MM[:SS[.fraction]]`.
pub(crate) fn parse_any_time(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let clock = if whole.len() == 5 { parse_clock(&format!("{whole}:00"))? } else { parse_clock(whole)? };
    let digits = fraction.as_bytes();
    if digits.len() > 9 || digits.iter().any(|digit| !digit.is_ascii_digit()) {
        return None;
    }
    let nanos = number(format!("{fraction:0<9}").as_bytes())?;
    (nanos % 1_000 == 0).then_some(clock + nanos / 1_000)
}

fn parse_zone(zone: &str) -> Option<i64> {
    if zone.is_empty() || zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits: String = zone.get(1..)?.chars().filter(|character| *character != ':').collect();
    let (hours, minutes) = match digits.len() {
        2 => (number(digits.as_bytes())?, 0),
        4 => (number(digits.get(..2)?.as_bytes())?, number(digits.get(2..)?.as_bytes())?),
        _ => return None,
    };
    (hours <= 15 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60) * 1_000_000)
}

fn parse_clock(text: &str) -> Option<i64> {
    let [h0, h1, b':', m0, m1, b':', s0, s1] = text.as_bytes() else { return None };
    let (hours, minutes, seconds) = (number(&[*h0, *h1])?, number(&[*m0, *m1])?, number(&[*s0, *s1])?);
    (hours < 24 && minutes < 60 && seconds < 60).then_some((hours * 3_600 + minutes * 60 + seconds) * 1_000_000)
}

/// `.sss` or `.sss~uuu`.
fn parse_fraction(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    match bytes {
        [b'.', millis @ ..] if millis.len() == 3 => Some(number(millis)? * 1_000),
        [b'.', millis @ .., b'~', a, b, c] if millis.len() == 3 => {
            Some(number(millis)? * 1_000 + number(&[*a, *b, *c])?)
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
}

/// Year, month and day of a day number (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

/// Day number of a date that exists.
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    Some(era * 146_097 + doe - 719_468)
}

/// Digits of a decimal → its value at `scale`. With `round`, further digits are rounded half away from zero; without,
/// they must be zero. None also beyond `precision`.
pub(crate) fn parse_decimal(text: &str, precision: u8, scale: i8, round: bool) -> Option<i128> {
    let scale = usize::try_from(scale).ok()?;
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let (kept, dropped) = fraction.split_at(fraction.len().min(scale));
    let mut value: i128 = 0;
    let padding = std::iter::repeat_n(b'0', scale - kept.len());
    for digit in whole.bytes().chain(kept.bytes()).chain(padding) {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    if dropped.bytes().any(|digit| digit != b'0') {
        if !round {
            return None;
        }
        value += i128::from(dropped.as_bytes().first().is_some_and(|digit| *digit >= b'5'));
    }
    let bound = 10_i128.checked_pow(u32::from(precision))?;
    (value < bound).then_some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_forms_round_trip_and_sort_by_time() {
        let days = [-719_162_i64, -25_567, -1, 0, 1, 19_000, 2_932_896];
        let fractions = [0_i64, 1, 999, 1_000, 123_456, 86_399_999_999];
        let mut all: Vec<i64> =
            days.iter().flat_map(|day| fractions.map(|fraction| day * DAY_MICROS + fraction)).collect();
        all.sort_unstable();
        for utc in [true, false] {
            let texts: Vec<String> = all.iter().map(|micros| timestamp_text(*micros, utc).unwrap()).collect();
            assert!(texts.is_sorted(), "{texts:?}");
            for (micros, text) in all.iter().zip(&texts) {
                assert_eq!(parse_timestamp(text, utc), Some(*micros), "{text}");
            }
        }
        assert_eq!(timestamp_text(-62_135_596_800_000_000, true).as_deref(), Some("0001-01-01T00:00:00.000Z"));
        assert_eq!(date_text(2_932_896).as_deref(), Some("9999-12-31"));
        assert_eq!(date_text(2_932_897), None);
    }

    #[test]
    fn times_of_day_round_trip_and_sort() {
        let all = [0_i64, 1, 1_000, 999_999, 1_000_000, 36_000_000_000, 86_399_999_999];
        let texts: Vec<String> = all.iter().map(|micros| time_text(*micros).unwrap()).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        for (micros, text) in all.iter().zip(&texts) {
            assert_eq!(parse_time(text), Some(*micros), "{text}");
        }
    }

    #[test]
    fn free_forms_are_read_and_wrong_ones_are_not() {
        for (text, expected) in [
            ("2024-01-01", Some(1_704_067_200_000_000)),
            ("2024-01-01 00:00:00", Some(1_704_067_200_000_000)),
            ("2024-01-01T01:00:00+01:00", Some(1_704_067_200_000_000)),
            ("2024-01-01T00:00:00.000001Z", Some(1_704_067_200_000_001)),
            ("2024-01-01T00:00:00.0000001Z", None),
            ("2024-02-30", None),
            ("2024-01-01T25:00", None),
            ("", None),
        ] {
            assert_eq!(parse_any_timestamp(text), expected, "{text}");
        }
    }

    #[test]
    fn decimals_are_exact_or_rounded_half_away() {
        for (text, precision, scale, round, expected) in [
            ("12.34", 10, 2, false, Some(1_234)),
            ("-0.005", 10, 2, true, Some(-1)),
            ("-0.005", 10, 2, false, None),
            ("0.30000000000000004", 10, 2, true, Some(30)),
            ("99999999999999999999999999999999999999", 38, 0, false, Some(10_i128.pow(38) - 1)),
            ("100", 2, 0, true, None),
            ("1e5", 10, 0, true, None),
            ("", 10, 0, true, None),
        ] {
            assert_eq!(parse_decimal(text, precision, scale, round), expected, "{text}");
        }
    }
}
