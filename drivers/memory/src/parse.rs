//! Reads one scalar from text, exactly or not at all. Knows no builder and no JSON.

use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::{Date32Type, Time64NanosecondType, TimeUnit};
use chrono::{DateTime, Utc};

/// Integer whose fraction, if any, is zero (`12`, `12.0`, `1e3`).
pub fn integer(text: &str) -> Option<i128> {
    match text.parse::<i64>() {
        Ok(value) => Some(i128::from(value)),
        Err(_) => decimal(text, 0),
    }
}

/// The unscaled value at `scale`; `None` where digits would be lost.
pub fn decimal(text: &str, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.as_bytes().first()? {
        b'-' => (true, mantissa.get(1..)?),
        b'+' => (false, mantissa.get(1..)?),
        _ => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut unscaled: i128 = 0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        let digit = byte.is_ascii_digit().then(|| i128::from(byte - b'0'))?;
        unscaled = unscaled.checked_mul(10)?.checked_add(digit)?;
    }
    let mut shift = i32::from(scale).checked_add(exponent)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    while shift > 0 && unscaled != 0 {
        unscaled = unscaled.checked_mul(10)?;
        shift -= 1;
    }
    while shift < 0 && unscaled != 0 {
        if unscaled % 10 != 0 {
            return None;
        }
        unscaled /= 10;
        shift += 1;
    }
    Some(if negative { -unscaled } else { unscaled })
}

/// A float; the three values that are no numbers only in PostgreSQL's spelling.
pub fn float(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => {
            let digits = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
            text.parse::<f64>().ok().filter(|value| digits && value.is_finite())
        }
    }
}

/// ObjectStack's booleans.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "1" | "True" | "TRUE" => Some(true),
        "false" | "0" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// Days since 1970 of `YYYY-MM-DD`; a longer ISO text is cut to its date, as ObjectStack does.
pub fn date(text: &str) -> Option<i32> {
    let head = text.get(..10).filter(|_| text.len() == 10 || matches!(text.as_bytes()[10], b'T' | b' '))?;
    if !shaped(head, b"dddd-dd-dd") {
        return None;
    }
    Date32Type::parse(head)
}

/// Units since 1970 UTC of an ISO instant; without an offset it is UTC, a bare date is its midnight.
/// Digits finer than the unit are cut.
pub fn instant(text: &str, unit: TimeUnit) -> Option<i64> {
    shaped(text.get(..10)?, b"dddd-dd-dd").then_some(())?;
    let at: DateTime<Utc> = string_to_datetime(&Utc, text).ok()?;
    match unit {
        TimeUnit::Second => Some(at.timestamp()),
        TimeUnit::Millisecond => Some(at.timestamp_millis()),
        TimeUnit::Microsecond => Some(at.timestamp_micros()),
        TimeUnit::Nanosecond => at.timestamp_nanos_opt(),
    }
}

/// Units since midnight of `HH:MM[:SS[.fff]]`.
pub fn time(text: &str, unit: TimeUnit) -> Option<i64> {
    shaped(text.get(..5)?, b"dd:dd").then_some(())?;
    let nanos = Time64NanosecondType::parse(text)?;
    Some(match unit {
        TimeUnit::Second => nanos / 1_000_000_000,
        TimeUnit::Millisecond => nanos / 1_000_000,
        TimeUnit::Microsecond => nanos / 1_000,
        TimeUnit::Nanosecond => nanos,
    })
}

fn shaped(text: &str, pattern: &[u8]) -> bool {
    text.len() == pattern.len()
        && text.bytes().zip(pattern).all(|(b, p)| if *p == b'd' { b.is_ascii_digit() } else { b == *p })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_refused() {
        let cases: &[(&str, i8, Option<i128>)] = &[
            ("12.34", 2, Some(1234)),
            ("-0.5", 1, Some(-5)),
            ("1e3", 0, Some(1000)),
            ("1.20", 1, Some(12)),
            ("1.25", 1, None),
            ("0.000", 0, Some(0)),
            ("0e999999999", 3, Some(0)),
            ("1e999999999", 3, None),
            (".5", 1, Some(5)),
            ("", 0, None),
            ("-", 0, None),
            (".", 0, None),
            ("1_0", 0, None),
            ("99999999999999999999999999999999999999", 0, Some(99_999_999_999_999_999_999_999_999_999_999_999_999)),
            ("999999999999999999999999999999999999999999", 0, None),
        ];
        for (text, scale, want) in cases {
            assert_eq!(decimal(text, *scale), *want, "{text}");
        }
    }

    #[test]
    fn dates_and_instants_read_objectstack_spellings() {
        assert_eq!(date("1970-01-02"), Some(1));
        assert_eq!(date("1970-01-02T23:59:59Z"), Some(1));
        assert_eq!(date("0001-01-01"), Some(-719_162));
        assert_eq!(date("9999-12-31"), Some(2_932_896));
        for bad in ["1970-1-2", "1970-13-01", "1970-02-30", "x970-01-01", "1970-01-02Zzz", "", "1970-01-0é"] {
            assert_eq!(date(bad), None, "{bad}");
        }
        let ms = TimeUnit::Millisecond;
        assert_eq!(instant("1970-01-01T00:00:01.5Z", ms), Some(1500));
        assert_eq!(instant("1970-01-01T01:00:00+01:00", ms), Some(0));
        assert_eq!(instant("1970-01-02", ms), Some(86_400_000));
        assert_eq!(instant("1969-12-31T23:59:59.9999Z", ms), Some(-1));
        assert_eq!(instant("9999-12-31T23:59:59.999Z", ms), Some(253_402_300_799_999));
        assert_eq!(instant("9999-12-31T00:00:00Z", TimeUnit::Nanosecond), None);
        assert_eq!(instant("now", ms), None);
        assert_eq!(time("14:30", ms), Some(52_200_000));
        assert_eq!(time("14:30:00.250", ms), Some(52_200_250));
        assert_eq!(time("24:30", ms), None);
    }

    #[test]
    fn floats_and_booleans_refuse_what_is_no_number() {
        assert_eq!(float("1e400"), None);
        assert_eq!(float("inf"), None);
        assert_eq!(float("-1.5e3"), Some(-1500.0));
        assert!(float("NaN").is_some_and(f64::is_nan));
        assert_eq!(boolean("1"), Some(true));
        assert_eq!(boolean("yes"), None);
        assert_eq!(integer("12.0"), Some(12));
        assert_eq!(integer("12.5"), None);
    }
}
