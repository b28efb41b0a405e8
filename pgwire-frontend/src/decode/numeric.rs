//! Numeric parameters, text and binary, to decimals of their own scale. Knows no array.

use super::value::{DIGITS_MAX, Decimal, too_many_digits};
use super::{out_of_range, syntax};
use crate::wire::{Reader, Short};
use querygate_types::{Error, ErrorCode, PgType, Result};

fn no_decimal(name: &str) -> Error {
    Error::new(ErrorCode::NumericOutOfRange, format!("numeric parameters cannot be {name}"))
}

/// `[+-]digits[.digits][e[+-]digits]`.
#[cfg_attr(
    not(test),
    expect(clippy::arithmetic_side_effects, reason = "a sign stands before 18 digits at most, and digits are ASCII")
)]
pub(super) fn parse(text: &str) -> Result<Decimal> {
    let trimmed = text.trim_ascii();
    let wrong = || syntax(PgType::Numeric, text);
    let (negative, magnitude) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, trimmed.get(1..).unwrap_or_default()),
        Some(b'+') => (false, trimmed.get(1..).unwrap_or_default()),
        _ => (false, trimmed),
    };
    if let Some((value, scale)) = short(magnitude.as_bytes()) {
        return Ok(Decimal { value: if negative { -value } else { value }, scale });
    }
    let is = |name: &str| magnitude.eq_ignore_ascii_case(name);
    if is("nan") {
        return Err(no_decimal("NaN"));
    }
    if is("inf") || is("infinity") {
        return Err(no_decimal("infinite"));
    }
    let (mantissa, exponent) = match magnitude.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| wrong())?),
        None => (magnitude, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if (whole.is_empty() && fraction.is_empty()) || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let mut value: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(i128::from(digit - b'0')))
            .filter(|value| value.unsigned_abs() < 10_u128.pow(DIGITS_MAX))
            .ok_or_else(too_many_digits)?;
    }
    let fraction = i32::try_from(fraction.len()).map_err(|_| too_many_digits())?;
    scaled(value, fraction.checked_sub(exponent).ok_or_else(|| out_of_range(PgType::Numeric, text))?, negative)
}

/// A few digits, with a point among them or not, and nothing else: their number, and how many are behind the point.
#[cfg_attr(not(test), expect(clippy::arithmetic_side_effects, reason = "18 digits fit"))]
fn short(text: &[u8]) -> Option<(i128, u8)> {
    if text.len() > 18 {
        return None;
    }
    let (mut value, mut behind, mut digits) = (0_u64, None, 0);
    for byte in text {
        match byte {
            b'0'..=b'9' => {
                (value, digits, behind) =
                    (value * 10 + u64::from(*byte - b'0'), digits + 1, behind.map(|some: u8| some + 1))
            }
            b'.' if behind.is_none() => behind = Some(0),
            _ => return None,
        }
    }
    (digits > 0).then(|| (i128::from(value), behind.unwrap_or(0)))
}

/// value · 10^−scale, a negative scale multiplied out.
#[cfg_attr(not(test), expect(clippy::arithmetic_side_effects, reason = "38 digits fit with either sign"))]
fn scaled(value: i128, scale: i32, negative: bool) -> Result<Decimal> {
    let value = if negative { -value } else { value };
    match u8::try_from(scale) {
        Ok(scale) if u32::from(scale) <= DIGITS_MAX => Ok(Decimal { value, scale }),
        Ok(_) => Err(too_many_digits()),
        Err(_) if scale > 0 => Err(too_many_digits()),
        Err(_) if value == 0 => Ok(Decimal { value, scale: 0 }),
        Err(_) => 10_i128
            .checked_pow(scale.unsigned_abs())
            .and_then(|factor| value.checked_mul(factor))
            .filter(|value| value.unsigned_abs() < 10_u128.pow(DIGITS_MAX))
            .map(|value| Decimal { value, scale: 0 })
            .ok_or_else(too_many_digits),
    }
}

/// `numeric_recv`: digit count, weight, sign, display scale, digits in base 10,000.
pub(super) fn read(reader: &mut Reader<'_>) -> std::result::Result<Result<Decimal>, Short> {
    let count = usize::from(reader.u16()?);
    let weight = i32::from(reader.i16()?);
    let sign = reader.u16()?;
    let scale = reader.u16()?;
    if count * 2 > reader.remaining() {
        return Err(Short);
    }
    let mut groups = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        groups.push(reader.i16()?);
    }
    let negative = match sign {
        0 => false,
        0x4000 => true,
        0xC000 => return Ok(Err(no_decimal("NaN"))),
        0xD000 | 0xF000 => return Ok(Err(no_decimal("infinite"))),
        _ => {
            return Ok(Err(Error::new(
                ErrorCode::InvalidBinaryRepresentation,
                "invalid sign in external \"numeric\" value",
            )));
        }
    };
    if groups.iter().any(|group| !(0..10_000).contains(group)) {
        return Ok(Err(Error::new(
            ErrorCode::InvalidBinaryRepresentation,
            "invalid digit in external \"numeric\" value",
        )));
    }
    Ok(of_groups(&groups, weight, negative, scale))
}

#[cfg_attr(
    not(test),
    expect(
        clippy::arithmetic_side_effects,
        reason = "weights and positions have 16 bits, and no power of ten is zero"
    )
)]
fn of_groups(groups: &[i16], weight: i32, negative: bool, scale: u16) -> Result<Decimal> {
    let Some(scale) = u8::try_from(scale).ok().filter(|scale| u32::from(*scale) <= DIGITS_MAX) else {
        return Err(too_many_digits());
    };
    let mut value: i128 = 0;
    for (position, group) in groups.iter().enumerate() {
        // Power of ten of this group's last digit, counted from the last digit of the scale.
        let power = 4 * (weight - i32::try_from(position).map_err(|_| too_many_digits())?) + i32::from(scale);
        let group = i128::from(*group);
        let part = if power >= 0 {
            if group == 0 {
                Some(0)
            } else {
                10_i128.checked_pow(power.unsigned_abs()).and_then(|f| group.checked_mul(f))
            }
        } else {
            // Digits beyond the display scale are cut off, as numeric_recv does.
            Some(10_i128.checked_pow(power.unsigned_abs()).map_or(0, |divisor| group / divisor))
        };
        value = part.and_then(|part| value.checked_add(part)).ok_or_else(too_many_digits)?;
    }
    if value.unsigned_abs() >= 10_u128.pow(DIGITS_MAX) {
        return Err(too_many_digits());
    }
    Ok(Decimal { value: if negative { -value } else { value }, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keeps_its_own_scale() {
        let check =
            |text: &str, value: i128, scale: u8| assert_eq!(parse(text).unwrap(), Decimal { value, scale }, "{text}");
        check("0", 0, 0);
        check(" -12.50 ", -1250, 2);
        check(".5", 5, 1);
        check("5.", 5, 0);
        check("1e3", 1000, 0);
        check("1.25e-3", 125, 5);
        check("99999999999999999999999999999999999999", 10_i128.pow(38) - 1, 0);
        for (text, code) in [
            ("", ErrorCode::InvalidTextRepresentation),
            ("1x", ErrorCode::InvalidTextRepresentation),
            ("1e", ErrorCode::InvalidTextRepresentation),
            ("NaN", ErrorCode::NumericOutOfRange),
            ("-Infinity", ErrorCode::NumericOutOfRange),
            ("100000000000000000000000000000000000000", ErrorCode::NumericOutOfRange),
            ("1e-39", ErrorCode::NumericOutOfRange),
            ("1e2147483648", ErrorCode::InvalidTextRepresentation),
        ] {
            assert_eq!(parse(text).unwrap_err().code(), code, "{text}");
        }
    }

    #[test]
    fn binary_reads_what_postgres_sends() {
        let check = |words: &[i16], expected: Decimal| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            assert_eq!(read(&mut Reader::new(&bytes)).unwrap().unwrap(), expected);
        };
        check(&[0, 0, 0, 2], Decimal { value: 0, scale: 2 });
        check(&[2, 0, 0, 2, 12, 3400], Decimal { value: 1234, scale: 2 });
        check(&[1, -1, 0x4000, 3, 50], Decimal { value: -5, scale: 3 });
        check(&[1, 2, 0, 0, 1], Decimal { value: 100_000_000, scale: 0 });
        assert!(read(&mut Reader::new(&[0, 9, 0, 0, 0, 0, 0, 0])).is_err());
    }
}
