//! Text output of PostgreSQL `float4` and `float8`. Knows no array.

use crate::digits::push_padded;

/// Appends a double: shortest digits that read back the same for `extra_float_digits` ≥ 1, else that many significant ones.
pub(crate) fn float8(out: &mut Vec<u8>, value: f64, extra_digits: i32) {
    if special(out, value) {
        return;
    }
    if extra_digits < 1 {
        return significant(out, value, 15 + extra_digits);
    }
    let mut buffer = ryu::Buffer::new();
    let bits = value.to_bits();
    let exact = Exact::new(bits & ((1 << 52) - 1), ((bits >> 52) & 0x7ff).cast_signed(), 52);
    let shortest = Decimal::read(buffer.format_finite(value));
    let inside = exact.inside(shortest, |text| text.parse() == Ok(value), |digits| format!("{value:.digits$e}"));
    // Thresholds of PostgreSQL's d2s.c: plain notation from 1e-4 to below 1e15.
    inside.write(out, value.is_sign_negative(), 15);
}

/// Appends a single-precision float.
pub(crate) fn float4(out: &mut Vec<u8>, value: f32, extra_digits: i32) {
    if special(out, f64::from(value)) {
        return;
    }
    if extra_digits < 1 {
        return significant(out, f64::from(value), 6 + extra_digits);
    }
    let mut buffer = ryu::Buffer::new();
    let bits = value.to_bits();
    let exact = Exact::new(u64::from(bits & ((1 << 23) - 1)), i64::from((bits >> 23) & 0xff), 23);
    let shortest = Decimal::read(buffer.format_finite(value));
    let inside = exact.inside(shortest, |text| text.parse() == Ok(value), |digits| format!("{value:.digits$e}"));
    inside.write(out, value.is_sign_negative(), 6);
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

/// Significant digits and the power of ten of the first one.
#[derive(Clone, Copy)]
struct Decimal {
    digits: [u8; 20],
    len: usize,
    exponent: i64,
}

impl Decimal {
    /// Reads `123.45`, `0.001`, `1.5e-7`; signs and zeros at both ends are left out.
    fn read(text: &str) -> Self {
        let mut decimal = Self { digits: [0; 20], len: 0, exponent: 0 };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let mut after_point = false;
        let mut exponent: i64 = exponent.parse().unwrap_or_default();
        for byte in mantissa.bytes() {
            match byte {
                b'.' => after_point = true,
                b'0' if decimal.len == 0 => exponent -= i64::from(after_point),
                b'0'..=b'9' if decimal.len < decimal.digits.len() => {
                    decimal.digits[decimal.len] = byte;
                    // The first digit stands for itself, further whole ones raise its power.
                    exponent += if after_point { 0 } else { i64::from(decimal.len > 0) };
                    exponent -= i64::from(after_point && decimal.len == 0);
                    decimal.len += 1;
                }
                _ => {}
            }
        }
        while decimal.len > 1 && decimal.digits[decimal.len - 1] == b'0' {
            decimal.len -= 1;
        }
        decimal.exponent = exponent;
        decimal
    }

    fn digits(&self) -> &[u8] {
        self.digits.get(..self.len).unwrap_or_default()
    }

    /// The digits as an integer, and its power of ten.
    fn integer(&self) -> (u128, i64) {
        let digits = self
            .digits()
            .iter()
            .fold(0_u64, |value, digit| value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
        (digits.into(), self.exponent + 1 - i64::try_from(self.len).unwrap_or_default())
    }

    /// Writes PostgreSQL's choice of plain or exponent notation.
    fn write(&self, out: &mut Vec<u8>, negative: bool, plain_below: i64) {
        if negative {
            out.push(b'-');
        }
        let digits = self.digits();
        if !(-4..plain_below).contains(&self.exponent) {
            let (first, rest) = digits.split_at(1.min(digits.len()));
            out.extend_from_slice(first);
            if !rest.is_empty() {
                out.push(b'.');
                out.extend_from_slice(rest);
            }
            out.extend_from_slice(if self.exponent < 0 { b"e-" } else { b"e+" });
            push_padded(out, self.exponent.unsigned_abs(), if self.exponent.unsigned_abs() < 100 { 2 } else { 3 });
            return;
        }
        match usize::try_from(self.exponent) {
            Err(_) => {
                out.extend_from_slice(b"0.");
                out.extend((1..self.exponent.unsigned_abs()).map(|_| b'0'));
                out.extend_from_slice(digits);
            }
            Ok(whole) if digits.len() <= whole + 1 => {
                out.extend_from_slice(digits);
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
}

/// `%.*g`, which PostgreSQL uses for `extra_float_digits` below 1.
fn significant(out: &mut Vec<u8>, value: f64, digits: i32) {
    let digits = usize::try_from(digits).unwrap_or(1).max(1);
    let rounded = Decimal::read(&format!("{value:.*e}", digits - 1));
    rounded.write(out, value.is_sign_negative(), i64::try_from(digits).unwrap_or(i64::MAX));
}

/// A float as mantissa·2^exponent, to settle the one case in which the shortest digits are not PostgreSQL's.
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

    /// PostgreSQL's digits lie strictly between the midpoints to the neighbours; Ryū's may lie on one, which reads back
    /// when the mantissa is even.
    fn inside(
        &self,
        shortest: Decimal,
        reads_back: impl Fn(&str) -> bool,
        rounded: impl Fn(usize) -> String,
    ) -> Decimal {
        if !self.is_boundary(&shortest) {
            return shortest;
        }
        let mut candidates = (0..=17).map(rounded).filter(|text| reads_back(text)).map(|text| Decimal::read(&text));
        candidates.find(|candidate| !self.is_boundary(candidate)).unwrap_or(shortest)
    }

    fn is_boundary(&self, decimal: &Decimal) -> bool {
        if !self.mantissa.is_multiple_of(2) {
            return false;
        }
        let (digits, power) = decimal.integer();
        let twice = u128::from(self.mantissa) * 2;
        let below =
            if self.is_power_of_two { (twice * 2 - 1, self.exponent - 2) } else { (twice - 1, self.exponent - 1) };
        [(twice + 1, self.exponent - 1), below].into_iter().any(|(odd, two)| equal_products(digits, power, odd, two))
    }
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
        check(4_032_481.2, "4.0324812e+06");
        check(-83_931_536.0, "-8.3931536e+07");
        check(-300_563.62, "-300563.62");
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
