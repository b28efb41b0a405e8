//! Text output of PostgreSQL `float4` and `float8`. Knows no array.

use std::io::Write as _;

/// Appends a double: shortest digits that read back the same for `extra_float_digits` ≥ 1, else that many significant ones.
pub(crate) fn float8(out: &mut Vec<u8>, value: f64, extra_digits: i32) {
    if special(out, value) {
        return;
    }
    if extra_digits < 1 {
        return significant(out, value, 15 + extra_digits);
    }
    // Thresholds of PostgreSQL's d2s.c: plain notation from 1e-4 to below 1e15.
    let shortest = format!("{value:e}");
    let shortest = if on_boundary_64(&shortest, value) {
        strictly_inside(value, |text| on_boundary_64(text, value))
    } else {
        shortest
    };
    notation(out, &shortest, 15);
}

/// Appends a single-precision float.
pub(crate) fn float4(out: &mut Vec<u8>, value: f32, extra_digits: i32) {
    if special(out, f64::from(value)) {
        return;
    }
    if extra_digits < 1 {
        return significant(out, f64::from(value), 6 + extra_digits);
    }
    let shortest = format!("{value:e}");
    let shortest = if on_boundary_32(&shortest, value) {
        (0..=9)
            .map(|digits| format!("{value:.digits$e}"))
            .find(|text| text.parse() == Ok(value) && !on_boundary_32(text, value))
            .unwrap_or(shortest)
    } else {
        shortest
    };
    notation(out, &shortest, 6);
}

fn special(out: &mut Vec<u8>, value: f64) -> bool {
    let text: &[u8] = if value.is_nan() {
        b"NaN"
    } else if value == f64::INFINITY {
        b"Infinity"
    } else if value == f64::NEG_INFINITY {
        b"-Infinity"
    } else if value == 0.0 {
        if value.is_sign_negative() { b"-0" } else { b"0" }
    } else {
        return false;
    };
    out.extend_from_slice(text);
    true
}

/// Rewrites `d.ddde±x` to PostgreSQL's choice of plain or exponent notation.
fn notation(out: &mut Vec<u8>, scientific: &str, plain_below: i32) {
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return out.extend_from_slice(scientific.as_bytes());
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let magnitude = mantissa.strip_prefix('-').unwrap_or(mantissa);
    if magnitude.len() < mantissa.len() {
        out.push(b'-');
    }
    if !(-4..plain_below).contains(&exponent) {
        out.extend_from_slice(magnitude.as_bytes());
        let sign = if exponent < 0 { '-' } else { '+' };
        // Writing to a Vec cannot fail.
        let _infallible = write!(out, "e{sign}{:02}", exponent.unsigned_abs());
        return;
    }
    let digits: Vec<u8> = magnitude.bytes().filter(|byte| *byte != b'.').collect();
    match usize::try_from(exponent) {
        Err(_) => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + (exponent.unsigned_abs() as usize - 1), b'0');
            out.extend_from_slice(&digits);
        }
        Ok(whole) if digits.len() <= whole + 1 => {
            out.extend_from_slice(&digits);
            out.resize(out.len() + (whole + 1 - digits.len()), b'0');
        }
        Ok(whole) => {
            let (before, after) = digits.split_at(whole + 1);
            out.extend_from_slice(before);
            out.push(b'.');
            out.extend_from_slice(after);
        }
    }
}

/// `%.*g`, which PostgreSQL uses for `extra_float_digits` below 1.
fn significant(out: &mut Vec<u8>, value: f64, digits: i32) {
    let digits = usize::try_from(digits).unwrap_or(1).max(1);
    let rounded = format!("{value:.*e}", digits - 1);
    let Some((mantissa, exponent)) = rounded.split_once('e') else { return };
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    notation(out, &format!("{mantissa}e{exponent}"), i32::try_from(digits).unwrap_or(i32::MAX));
}

/// PostgreSQL's shortest digits lie strictly between the neighbours' midpoints; Rust's may lie on one when that reads
/// back to an even mantissa.
fn strictly_inside(value: f64, on_boundary: impl Fn(&str) -> bool) -> String {
    (0..=17)
        .map(|digits| format!("{value:.digits$e}"))
        .find(|text| text.parse() == Ok(value) && !on_boundary(text))
        .unwrap_or_else(|| format!("{value:e}"))
}

fn on_boundary_64(text: &str, value: f64) -> bool {
    let bits = value.to_bits();
    let (mantissa, exponent) = (bits & ((1 << 52) - 1), ((bits >> 52) & 0x7ff) as i32);
    let (mantissa, exponent) = if exponent == 0 { (mantissa, -1074) } else { (mantissa | (1 << 52), exponent - 1075) };
    // Only even mantissas take their boundaries in.
    mantissa & 1 == 0 && is_midpoint(text, mantissa, exponent)
}

fn on_boundary_32(text: &str, value: f32) -> bool {
    let bits = value.to_bits();
    let (mantissa, exponent) = (bits & ((1 << 23) - 1), ((bits >> 23) & 0xff).cast_signed());
    let (mantissa, exponent) = if exponent == 0 { (mantissa, -149) } else { (mantissa | (1 << 23), exponent - 150) };
    mantissa & 1 == 0 && is_midpoint(text, u64::from(mantissa), exponent)
}

/// Whether the decimal `text` equals (2·mantissa ± 1)·2^(exponent−1) exactly (or the closer lower midpoint of a power of two).
fn is_midpoint(text: &str, mantissa: u64, exponent: i32) -> bool {
    let Some((digits, power)) = text.split_once('e') else { return false };
    let fraction = digits.split_once('.').map_or(0, |(_, fraction)| i32::try_from(fraction.len()).unwrap_or(i32::MAX));
    let digits: u128 = digits.bytes().filter(u8::is_ascii_digit).fold(0, |d, byte| d * 10 + u128::from(byte - b'0'));
    let power: i32 = power.parse::<i32>().unwrap_or_default() - fraction;
    let twice = u128::from(mantissa) * 2;
    let midpoints = [(twice + 1, exponent - 1), (twice.wrapping_sub(1), exponent - 1), (twice * 2 - 1, exponent - 2)];
    midpoints.into_iter().any(|(odd, two)| equal_products(digits, power, odd, two))
}

/// digits·10^power = odd·2^two, in exact arithmetic. Powers of five beyond 24 cannot divide a 55-bit number.
fn equal_products(digits: u128, power: i32, odd: u128, two: i32) -> bool {
    if digits == 0 || power.unsigned_abs() > 24 {
        return false;
    }
    let five = 5_u128.pow(power.unsigned_abs());
    let (left, right) =
        if power >= 0 { (digits.checked_mul(five), Some(odd)) } else { (Some(digits), odd.checked_mul(five)) };
    let (Some(left), Some(right)) = (left, right) else { return false };
    // Both sides times 2^power and 2^two: compare odd parts and exponents.
    let (left_twos, right_twos) = (left.trailing_zeros().cast_signed(), right.trailing_zeros().cast_signed());
    left >> left_twos == right >> right_twos && left_twos + power == right_twos + two
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_print_as_postgres_prints_them() {
        let check = |value: f64, expected: &str| {
            let mut out = Vec::new();
            float8(&mut out, value, 1);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(0.0, "0");
        check(-0.0, "-0");
        check(1.0, "1");
        check(100_000.0, "100000");
        check(123_456_789_012_345.0, "123456789012345");
        check(1e15, "1e+15");
        check(1e21, "1e+21");
        check(0.0001, "0.0001");
        check(0.00001, "1e-05");
        check(-1234.5, "-1234.5");
        check(0.1, "0.1");
        check(1.0 / 3.0, "0.3333333333333333");
        check(f64::MAX, "1.7976931348623157e+308");
        check(5e-324, "5e-324");
        check(f64::NAN, "NaN");
        check(f64::NEG_INFINITY, "-Infinity");
    }

    #[test]
    fn singles_print_as_postgres_prints_them() {
        let check = |value: f32, expected: &str| {
            let mut out = Vec::new();
            float4(&mut out, value, 1);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(16_777_216.0, "1.6777216e+07");
        check(1_000_000.0, "1e+06");
        check(999_999.0, "999999");
        check(3.25, "3.25");
        check(1e-5, "1e-05");
    }

    #[test]
    fn fewer_digits_follow_percent_g() {
        let check = |value: f64, extra: i32, expected: &str| {
            let mut out = Vec::new();
            float8(&mut out, value, extra);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(0.1, 0, "0.1");
        check(1.0 / 3.0, 0, "0.333333333333333");
        check(1.0 / 3.0, -12, "0.333");
        check(123_456.0, -12, "1.23e+05");
        check(1e15, 0, "1e+15");
    }

    #[test]
    fn midpoints_are_found_exactly() {
        // 2^54 + 2 is the midpoint between 2^54 and 2^54 + 4.
        assert!(on_boundary_64("1.8014398509481986e16", 18_014_398_509_481_984.0));
        assert!(!on_boundary_64("1.8014398509481984e16", 18_014_398_509_481_984.0));
        assert!(!on_boundary_64("9.5e0", 9.5));
    }
}
