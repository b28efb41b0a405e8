//! Numbers and times as ObjectStack's JSON has them. The usual ones are written digit by digit: an answer is mostly these.

use chrono::{DateTime, Datelike, NaiveDate, Timelike};
use std::fmt::Write as _;

const MICROS_OF_DAY: i64 = 86_400_000_000;
/// Powers of ten up to which a fraction is tried: money, measures and shares have no more places.
const SCALES: [f64; 6] = [1e1, 1e2, 1e3, 1e4, 1e5, 1e6];
/// Decimal texts of at most 15 digits are those of different doubles.
const EXACT: f64 = 1e15;

pub(crate) fn signed(value: i64, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(value));
}

pub(crate) fn unsigned(value: u64, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(value));
}

/// As JavaScript prints it: whole numbers without a point, exponents for very large and very small ones. A zero keeps its sign. What is
/// no number of JSON is a string, as PostgreSQL prints it: a null that is written back would erase it.
pub(crate) fn float(value: f64, out: &mut String) {
    if !value.is_finite() {
        out.push('"');
        out.push_str(not_finite(value));
        out.push('"');
    } else if value == 0.0 && value.is_sign_negative() {
        out.push_str("-0");
    } else if short(value, out).is_none() {
        let size = value.abs();
        if size != 0.0 && !(1e-6..1e21).contains(&size) {
            write(out, format_args!("{value:e}"));
        } else {
            write(out, format_args!("{value}"));
        }
    }
}

fn not_finite(value: f64) -> &'static str {
    match (value.is_nan(), value > 0.0) {
        (true, _) => "NaN",
        (false, true) => "Infinity",
        (false, false) => "-Infinity",
    }
}

/// A number of few digits; `None`: nothing was written. A decimal text of few digits that is this double is its shortest one.
#[allow(clippy::cast_possible_truncation, reason = "whole, and within bounds")]
fn short(value: f64, out: &mut String) -> Option<()> {
    if value.abs() >= EXACT {
        return None;
    }
    if value.trunc() == value {
        signed(value as i64, out);
        return Some(());
    }
    for (places, scale) in (1..).zip(SCALES) {
        let scaled = (value * scale).round();
        if scaled.abs() < EXACT && scaled / scale == value {
            decimal(scaled as i64, places, out);
            return Some(());
        }
    }
    None
}

/// A number of tenths, hundredths, … by its `places`, without zeros after the last place that says something.
fn decimal(value: i64, places: u32, out: &mut String) {
    if value < 0 {
        out.push('-');
    }
    let one = 10_u64.pow(places);
    let size = value.unsigned_abs();
    unsigned(size / one, out);
    let mut rest = size % one;
    if rest == 0 {
        return;
    }
    out.push('.');
    let mut digits = places;
    while rest.is_multiple_of(10) {
        (rest, digits) = (rest / 10, digits - 1);
    }
    let zeros = digits.saturating_sub(rest.ilog10() + 1);
    (0..zeros).for_each(|_| out.push('0'));
    unsigned(rest, out);
}

/// A decimal of a scale. `None`: it has more digits than are written here.
pub(crate) fn scaled(value: i128, scale: i8, out: &mut String) -> Option<()> {
    // 10^18 is the largest power of ten that both halves of a number fit below.
    let places = u32::try_from(scale).ok().filter(|places| *places <= 18)?;
    decimal(i64::try_from(value).ok()?, places, out);
    Some(())
}

/// Without zeros after the last place that says something.
pub(crate) fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Year, month and day of days since 1970 in the proleptic Gregorian calendar; `None`: a year of other than four digits.
fn civil(days: i64) -> Option<(u64, u64, u64)> {
    // From the first of March of the year 0, in eras of 400 years whose leap day comes last.
    let days = u64::try_from(days + 719_468).ok()?;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    (year <= 9_999).then_some((year, month, day))
}

/// Digits of a text of fixed length.
struct Digits<const LENGTH: usize>([u8; LENGTH]);

impl<const LENGTH: usize> Digits<LENGTH> {
    /// Writes a number over the places from `from` to `to`.
    fn set(&mut self, from: usize, to: usize, mut number: u64) {
        for place in self.0.get_mut(from..to).into_iter().flatten().rev() {
            // One digit always fits.
            *place = b'0' + u8::try_from(number % 10).unwrap_or(0);
            number /= 10;
        }
    }

    fn push(&self, out: &mut String) {
        out.push_str(std::str::from_utf8(&self.0).unwrap_or_default());
    }
}

pub(crate) fn date(days: i32, out: &mut String) {
    if let Some((year, month, day)) = civil(i64::from(days)) {
        let mut text = Digits(*b"0000-00-00");
        text.set(0, 4, year);
        text.set(5, 7, month);
        text.set(8, 10, day);
        return text.push(out);
    }
    match NaiveDate::from_epoch_days(days) {
        Some(date) if (0..=9_999).contains(&date.year()) => {
            write(out, format_args!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day()));
        }
        Some(date) => write(out, format_args!("{date}")),
        None => write(out, format_args!("{days}")),
    }
}

/// With milliseconds; with microseconds where they say something.
pub(crate) fn instant(micros: i64, out: &mut String) {
    if micros.rem_euclid(1_000) != 0 {
        return match DateTime::from_timestamp_micros(micros) {
            Some(at) => write(out, format_args!("{}", at.format("%Y-%m-%dT%H:%M:%S%.6fZ"))),
            None => write(out, format_args!("{micros}")),
        };
    }
    let (days, of_day) = (micros.div_euclid(MICROS_OF_DAY), micros.rem_euclid(MICROS_OF_DAY).unsigned_abs());
    if let Some((year, month, day)) = civil(days) {
        let (seconds, millis) = (of_day / 1_000_000, of_day % 1_000_000 / 1_000);
        let mut text = Digits(*b"0000-00-00T00:00:00.000Z");
        let parts = [(0, 4, year), (5, 7, month), (8, 10, day), (11, 13, seconds / 3_600)];
        let rest = [(14, 16, seconds / 60 % 60), (17, 19, seconds % 60), (20, 23, millis)];
        parts.into_iter().chain(rest).for_each(|(from, to, number)| text.set(from, to, number));
        return text.push(out);
    }
    match DateTime::from_timestamp_micros(micros) {
        Some(at) => write(out, format_args!("{}", at.format("%Y-%m-%dT%H:%M:%S%.3fZ"))),
        None => write(out, format_args!("{micros}")),
    }
}

pub(crate) fn time(micros: i64, out: &mut String) {
    let seconds = u32::try_from(micros.div_euclid(1_000_000)).unwrap_or(0);
    let (millis, rest) = (micros.rem_euclid(1_000_000) / 1_000, micros.rem_euclid(1_000));
    match chrono::NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0) {
        Some(at) => write(out, format_args!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())),
        // PostgreSQL has 24:00:00.
        None => out.push_str("24:00:00"),
    }
    if rest > 0 {
        write(out, format_args!(".{millis:03}{rest:03}"));
    } else if millis > 0 {
        write(out, format_args!(".{millis:03}"));
    }
}

fn write(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(print: impl Fn(&mut String)) -> String {
        let mut out = String::new();
        print(&mut out);
        out
    }

    /// Numbers without a pattern.
    fn numbers() -> impl Iterator<Item = u64> {
        std::iter::successors(Some(0x9e37_79b9_7f4a_7c15_u64), |last| {
            Some(last.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
        })
    }

    #[test]
    fn doubles_are_the_shortest_texts_that_mean_them() {
        let plain = |value: f64| text(|out| write(out, format_args!("{value}")));
        let mut values =
            vec![0.0, -0.0, 0.1, 0.3, 1979.75, -0.05, 1e15, 999_999_999_999_999.9, 4_503_599_627_370_497.5];
        values.extend([123_456.000_001, 0.1 + 0.2, 1e-6, 9_007_199_254_740_993.0, 1e20, 0.000_001_5, 100.0, -2.5e-5]);
        for (number, wanted) in numbers().zip(0..100_000) {
            let places = 10_f64.powi(i32::try_from(number % 9).unwrap());
            #[allow(clippy::cast_precision_loss, reason = "any number will do")]
            let value = (number >> (8 + number % 50)) as f64 / places;
            values.push(if wanted % 2 == 0 { value } else { -value });
        }
        for value in values {
            let size = value.abs();
            let printed = text(|out| float(value, out));
            if size == 0.0 || (1e-6..1e21).contains(&size) {
                assert_eq!(printed, plain(value), "{value:e}");
            }
            assert_eq!(printed.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{printed}");
        }
        assert_eq!(text(|out| float(1e300, out)), "1e300");
        assert_eq!(text(|out| float(f64::NAN, out)), "\"NaN\"");
        assert_eq!(text(|out| float(f64::NEG_INFINITY, out)), "\"-Infinity\"");
    }

    /// What is printed is read as the same double, bit for bit.
    #[test]
    fn doubles_go_there_and_back() {
        let mut seen = 0;
        for bits in numbers() {
            let value = f64::from_bits(bits);
            if !value.is_finite() {
                continue;
            }
            let printed = text(|out| float(value, out));
            let read = querygate_types::json::value::value(&printed).unwrap().as_f64().unwrap();
            assert_eq!(read.to_bits(), value.to_bits(), "{printed}");
            seen += 1;
            if seen == 300_000 {
                return;
            }
        }
    }

    #[test]
    fn decimals_end_with_the_last_place_that_says_something() {
        for (value, scale, expected) in [
            (1_234_500, 4, Some("123.45")),
            (-100_000, 4, Some("-10")),
            (0, 4, Some("0")),
            (-5, 3, Some("-0.005")),
            (i128::from(i64::MIN), 18, Some("-9.223372036854775808")),
            (7, 0, Some("7")),
            (i128::from(i64::MAX) + 1, 2, None),
            (7, 19, None),
            (7, -1, None),
        ] {
            let mut out = String::new();
            let written = scaled(value, scale, &mut out);
            assert_eq!(written.map(|()| out.as_str()), expected);
        }
    }

    #[test]
    fn days_and_instants_are_those_of_the_calendar() {
        let days = (-719_600..-719_400).chain(-400..400).chain(10_900..11_100).chain(2_932_700..2_933_000);
        for day in days.chain([i32::MIN, -1_000_000, i32::MAX]) {
            let expected = match NaiveDate::from_epoch_days(day) {
                Some(date) if (0..=9_999).contains(&date.year()) => date.format("%Y-%m-%d").to_string(),
                Some(date) => date.to_string(),
                None => day.to_string(),
            };
            assert_eq!(text(|out| date(day, out)), expected, "{day}");
        }
        let near = numbers().take(20_000).map(|number| (number >> 8).cast_signed() - (1 << 55));
        for micros in near.chain([0, -1, 1_500, i64::MIN, i64::MAX, -62_167_219_200_000_000, 253_402_300_800_000_000]) {
            let expected = match DateTime::from_timestamp_micros(micros) {
                Some(at) if micros.rem_euclid(1_000) == 0 => at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
                Some(at) => at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
                None => micros.to_string(),
            };
            assert_eq!(text(|out| instant(micros, out)), expected, "{micros}");
        }
    }
}
