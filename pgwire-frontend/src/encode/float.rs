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
    let bits = value.to_bits();
    let (mantissa, exponent) = (bits & ((1 << 52) - 1), ((bits >> 52) & 0x7ff).cast_signed());
    let exact = Exact::new(mantissa, exponent, 52);
    let reads_back = |text: &str| text.parse() == Ok(value);
    // Thresholds of PostgreSQL's d2s.c: plain notation from 1e-4 to below 1e15.
    notation(out, &exact.shortest(format!("{value:e}"), reads_back, |digits| format!("{value:.digits$e}")), 15);
}

/// Appends a single-precision float.
pub(crate) fn float4(out: &mut Vec<u8>, value: f32, extra_digits: i32) {
    if special(out, f64::from(value)) {
        return;
    }
    if extra_digits < 1 {
        return significant(out, f64::from(value), 6 + extra_digits);
    }
    let bits = value.to_bits();
    let exact = Exact::new(u64::from(bits & ((1 << 23) - 1)), i64::from((bits >> 23) & 0xff), 23);
    let reads_back = |text: &str| text.parse() == Ok(value);
    notation(out, &exact.shortest(format!("{value:e}"), reads_back, |digits| format!("{value:.digits$e}")), 6);
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

/// A float as mantissa·2^exponent, to settle the two cases in which Rust's shortest digits are not PostgreSQL's.
struct Exact {
    mantissa: u64,
    exponent: i64,
    /// The neighbour below is nearer than the one above.
    is_power_of_two: bool,
}

impl Exact {
    fn new(fraction: u64, biased: i64, bits: u32) -> Self {
        let bias = i64::from(bits) + if bits == 52 { 1023 } else { 127 };
        if biased == 0 {
            Self { mantissa: fraction, exponent: 1 - bias, is_power_of_two: false }
        } else {
            Self {
                mantissa: fraction | (1 << bits),
                exponent: biased - bias,
                is_power_of_two: fraction == 0 && biased > 1,
            }
        }
    }

    /// PostgreSQL's digits lie strictly between the midpoints to the neighbours (Rust's may lie on one, which reads back
    /// when the mantissa is even), and of two equally near ones PostgreSQL takes the even (Rust the upper).
    fn shortest(
        &self,
        shortest: String,
        reads_back: impl Fn(&str) -> bool,
        rounded: impl Fn(usize) -> String,
    ) -> String {
        let is_inside = |text: &str| reads_back(text) && !self.is_boundary(text);
        if self.is_boundary(&shortest) {
            return (0..=17).map(rounded).find(|text| is_inside(text)).unwrap_or(shortest);
        }
        match self.lower_of_tie(&shortest) {
            Some(even) if is_inside(&even) => even,
            Some(_) | None => shortest,
        }
    }

    fn is_boundary(&self, text: &str) -> bool {
        let Some((digits, power)) = decimal(text) else { return false };
        let twice = u128::from(self.mantissa) * 2;
        let below =
            if self.is_power_of_two { (twice * 2 - 1, self.exponent - 2) } else { (twice - 1, self.exponent - 1) };
        self.mantissa.is_multiple_of(2)
            && [(twice + 1, self.exponent - 1), below]
                .into_iter()
                .any(|(odd, two)| equal_products(digits, power, odd, two))
    }

    /// The decimal one below `text` when its last digit is odd and the value lies exactly in between.
    fn lower_of_tie(&self, text: &str) -> Option<String> {
        let at = text.find('e')?.checked_sub(1)?;
        let last = *text.as_bytes().get(at)?;
        let (digits, power) = decimal(text)?;
        if last % 2 == 0 || !equal_products(digits * 10 - 5, power - 1, self.mantissa.into(), self.exponent) {
            return None;
        }
        // An odd last digit is not zero, so nothing is borrowed from the digit before.
        Some(format!("{}{}{}", &text[..at], char::from(last - 1), &text[at + 1..]))
    }
}

/// `d.ddde±x` as an integer and a power of ten, without its sign.
fn decimal(text: &str) -> Option<(u128, i64)> {
    let (digits, power) = text.split_once('e')?;
    let fraction = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let digits = digits.bytes().filter(u8::is_ascii_digit).fold(0, |d, byte| d * 10 + u128::from(byte - b'0'));
    Some((digits, power.parse::<i64>().ok()? - i64::try_from(fraction).ok()?))
}

/// digits·10^power = mantissa·2^two. A power of five beyond 24 divides no 55-bit number.
fn equal_products(digits: u128, power: i64, mantissa: u128, two: i64) -> bool {
    if digits == 0 || !(-24..=24).contains(&power) {
        return false;
    }
    let five = 5_u128.pow(u32::try_from(power.unsigned_abs()).unwrap_or_default());
    let (left, right) = if power >= 0 {
        (digits.checked_mul(five), Some(mantissa))
    } else {
        (Some(digits), mantissa.checked_mul(five))
    };
    let (Some(left), Some(right)) = (left, right) else { return false };
    // What is left of both sides are powers of two: compare odd parts and exponents.
    let (left_twos, right_twos) = (left.trailing_zeros(), right.trailing_zeros());
    left >> left_twos == right >> right_twos && i64::from(left_twos) + power == i64::from(right_twos) + two
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
        check(8344e19, "8.344e+22");
        check(1e23, "9.999999999999999e+22");
        check(899e19, "8.990000000000001e+21");
        check(0.5_f64.powi(24), "5.960464477539063e-08");
        check(-73_250_593_560_629_500.0, "-7.32505935606295e+16");
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
        check(4_032_481.25, "4.0324812e+06");
        check(-83_931_536.0, "-8.3931536e+07");
        check(-300_563.625, "-300563.62");
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
}
