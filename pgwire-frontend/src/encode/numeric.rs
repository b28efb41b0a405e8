//! Text and binary output of PostgreSQL `numeric`. Knows no array.

use crate::digits::{POW10, push_padded, push_padded_u128, push_u64, push_u128};
use crate::wire::Writer;
use arrow::datatypes::i256;

/// Appends a decimal of a given scale as PostgreSQL prints it: all digits of the scale, no exponent.
pub(super) fn text(out: &mut Vec<u8>, value: i128, scale: i8) {
    if value < 0 {
        out.push(b'-');
    }
    let magnitude = value.unsigned_abs();
    let Ok(scale) = usize::try_from(scale) else {
        push_u128(out, magnitude);
        if magnitude != 0 {
            out.resize(out.len() + usize::from(scale.unsigned_abs()), b'0');
        }
        return;
    };
    match (scale, u64::try_from(magnitude)) {
        (0, _) => push_u128(out, magnitude),
        // The usual case: 64-bit divisions only.
        (1..=18, Ok(small)) => {
            let divisor = POW10[scale] as u64;
            push_u64(out, small / divisor);
            out.push(b'.');
            push_padded(out, small % divisor, scale);
        }
        (1..=38, _) => {
            push_u128(out, magnitude / POW10[scale]);
            out.push(b'.');
            push_padded_u128(out, magnitude % POW10[scale], scale);
        }
        _ => text_of_digits(out, magnitude.to_string().as_bytes(), scale),
    }
}

/// The same for 256 bits.
pub(super) fn text_256(out: &mut Vec<u8>, value: i256, scale: i8) {
    match value.to_i128() {
        Some(small) => text(out, small, scale),
        None => {
            let digits = value.to_string();
            let magnitude = digits.strip_prefix('-').unwrap_or(&digits);
            if magnitude.len() < digits.len() {
                out.push(b'-');
            }
            match usize::try_from(scale) {
                Ok(scale) => text_of_digits(out, magnitude.as_bytes(), scale),
                Err(_) => {
                    out.extend_from_slice(magnitude.as_bytes());
                    out.resize(out.len() + usize::from(scale.unsigned_abs()), b'0');
                }
            }
        }
    }
}

fn text_of_digits(out: &mut Vec<u8>, digits: &[u8], scale: usize) {
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    if scale > 0 {
        out.push(b'.');
        out.resize(out.len() + (scale - fraction.len()), b'0');
        out.extend_from_slice(fraction);
    }
}

const POSITIVE: i16 = 0;
const NEGATIVE: i16 = 0x4000;

/// Appends the binary form: digit count, weight, sign, display scale, digits in base 10,000.
pub(super) fn binary(out: &mut Vec<u8>, value: i128, scale: i8) {
    match (u64::try_from(value.unsigned_abs()), usize::try_from(scale)) {
        (Ok(small), Ok(scale)) if scale <= 18 => binary_small(out, small, scale, value < 0),
        _ => {
            let mut digits = Vec::with_capacity(80);
            text(&mut digits, value.saturating_abs(), scale);
            // −2^127 is no value of 38 digits; it is printed through its own digits all the same.
            if value == i128::MIN {
                digits.clear();
                text(&mut digits, value, scale);
                digits.remove(0);
            }
            binary_of_text(out, &digits, value < 0);
        }
    }
}

/// The same for 256 bits.
pub(super) fn binary_256(out: &mut Vec<u8>, value: i256, scale: i8) {
    let mut digits = Vec::with_capacity(90);
    text_256(&mut digits, value, scale);
    let negative = digits.first() == Some(&b'-');
    binary_of_text(out, digits.get(usize::from(negative)..).unwrap_or_default(), negative);
}

fn binary_small(out: &mut Vec<u8>, magnitude: u64, scale: usize, negative: bool) {
    let divisor = POW10[scale] as u64;
    let (mut whole, fraction) = (magnitude / divisor, magnitude % divisor);
    // At most 5 groups before the point and 5 after.
    let mut groups = [0_i16; 10];
    let mut first = 5;
    while whole > 0 {
        first -= 1;
        groups[first] = (whole % 10_000) as i16;
        whole /= 10_000;
    }
    let fraction_groups = scale.div_ceil(4);
    let mut rest = u128::from(fraction) * POW10[fraction_groups * 4 - scale];
    for at in (5..5 + fraction_groups).rev() {
        groups[at] = (rest % 10_000) as i16;
        rest /= 10_000;
    }
    write_groups(out, &groups[first..5 + fraction_groups], 4 - small(first), negative, small(scale));
}

fn binary_of_text(out: &mut Vec<u8>, text: &[u8], negative: bool) {
    let point = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let (whole, fraction) = (&text[..point], text.get(point + 1..).unwrap_or_default());
    let mut groups = Vec::with_capacity(text.len() / 4 + 2);
    let head = whole.len() % 4;
    if head > 0 {
        groups.push(group(&whole[..head], head));
    }
    groups.extend(whole[head..].chunks(4).map(|digits| group(digits, 4)));
    let whole_groups = small(groups.len());
    groups.extend(fraction.chunks(4).map(|digits| group(digits, 4)));
    write_groups(out, &groups, whole_groups - 1, negative, small(fraction.len()));
}

/// Counts here are below a hundred.
fn small(count: usize) -> i16 {
    i16::try_from(count).unwrap_or(i16::MAX)
}

fn group(digits: &[u8], width: usize) -> i16 {
    let value = digits.iter().fold(0_i16, |value, digit| value * 10 + i16::from(digit - b'0'));
    (digits.len()..width).fold(value, |value, _| value * 10)
}

/// Leading and trailing zero groups are left out, as `numeric_send` does.
fn write_groups(out: &mut Vec<u8>, groups: &[i16], weight: i16, negative: bool, scale: i16) {
    let first = groups.iter().position(|group| *group != 0).unwrap_or(groups.len());
    let last = groups.iter().rposition(|group| *group != 0).map_or(first, |at| at + 1);
    let digits = &groups[first..last];
    out.count(digits.len());
    out.i16(if digits.is_empty() { 0 } else { weight - small(first) });
    out.i16(if negative && !digits.is_empty() { NEGATIVE } else { POSITIVE });
    out.i16(scale);
    for digit in digits {
        out.i16(*digit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(value: i128, scale: i8) -> String {
        let mut out = Vec::new();
        text(&mut out, value, scale);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_keeps_every_digit_of_the_scale() {
        let check = |value, scale, expected: &str| assert_eq!(printed(value, scale), expected);
        check(0, 0, "0");
        check(0, 2, "0.00");
        check(1700, 2, "17.00");
        check(-5, 3, "-0.005");
        check(12, -3, "12000");
        check(0, -3, "0");
        check(-1, 38, &format!("-0.{}1", "0".repeat(37)));
        check(10_i128.pow(37), 0, &format!("1{}", "0".repeat(37)));
        check(123_456_789_012_345_678_901_234_567_890, 10, "12345678901234567890.1234567890");
    }

    #[test]
    fn binary_is_numeric_sends() {
        let check = |value, scale, expected: &[i16]| {
            let mut out = Vec::new();
            binary(&mut out, value, scale);
            let found: Vec<i16> = out.chunks(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect();
            assert_eq!(found, expected, "{value} scale {scale}");
        };
        check(0, 2, &[0, 0, 0, 2]);
        check(1700, 2, &[1, 0, 0, 2, 17]);
        check(1234, 2, &[2, 0, 0, 2, 12, 3400]);
        check(-5, 3, &[1, -1, 0x4000, 3, 50]);
        check(100_000_000, 0, &[1, 2, 0, 0, 1]);
        check(12, -3, &[2, 1, 0, 0, 1, 2000]);
        check(1, 9, &[1, -3, 0, 9, 1000]);
        check(10_i128.pow(30), 20, &[1, 2, 0, 20, 100]);
    }

    #[test]
    fn both_ways_to_binary_agree() {
        for value in [0_i128, 1, 9_999, 10_000, 123_456_789, 999_999_999_999_999_999] {
            for scale in 0..=18_i8 {
                let (mut fast, mut slow, mut digits) = (Vec::new(), Vec::new(), Vec::new());
                binary(&mut fast, value, scale);
                text(&mut digits, value, scale);
                binary_of_text(&mut slow, &digits, false);
                assert_eq!(fast, slow, "{value} scale {scale}");
            }
        }
    }

    #[test]
    fn decimals_of_256_bits_print_all_digits() {
        let value = i256::from_string("-123456789012345678901234567890123456789012345678901234567890").unwrap();
        let mut out = Vec::new();
        text_256(&mut out, value, 5);
        assert_eq!(String::from_utf8(out).unwrap(), "-1234567890123456789012345678901234567890123456789012345.67890");
    }
}
