//! Digits with a scale: rescaling, division, reading. Knows no array.

use arrow::datatypes::i256;

fn power(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

/// Digits at another scale, halves away from zero. `None`: too many digits.
pub(crate) fn rescaled(digits: i128, from: i8, to: i8) -> Option<i128> {
    let steps = u32::from((i16::from(to) - i16::from(from)).unsigned_abs());
    if to >= from {
        return if digits == 0 { Some(0) } else { digits.checked_mul(power(steps)?) };
    }
    let Some(unit) = power(steps) else { return Some(0) };
    let (quotient, rest) = (digits / unit, digits % unit);
    Some(if rest.unsigned_abs() >= unit.unsigned_abs() - rest.unsigned_abs() {
        quotient + digits.signum()
    } else {
        quotient
    })
}

/// Digits at a smaller scale, cut.
pub(crate) fn truncated(digits: i128, from: i8, to: i8) -> Option<i128> {
    if to >= from {
        return rescaled(digits, from, to);
    }
    let steps = u32::from((i16::from(from) - i16::from(to)).unsigned_abs());
    Some(power(steps).map_or(0, |unit| digits / unit))
}

/// A quotient at a scale, halves away from zero; the divisor is not 0.
pub(crate) fn divided(a: (i128, i8), b: (i128, i8), scale: i8) -> Option<i128> {
    let shift = i16::from(scale) + i16::from(b.1) - i16::from(a.1);
    let ten = i256::from_i128(10);
    let (mut numerator, mut denominator) = (i256::from_i128(a.0), i256::from_i128(b.0));
    for _ in 0..shift.unsigned_abs() {
        if shift > 0 {
            numerator = numerator.checked_mul(ten)?;
        } else {
            denominator = denominator.checked_mul(ten)?;
        }
    }
    let quotient = numerator.checked_div(denominator)?;
    let rest = numerator.checked_rem(denominator)?;
    let twice = rest.checked_mul(i256::from_i128(2))?;
    let rounds = twice.wrapping_abs() >= denominator.wrapping_abs();
    let negative = (a.0 < 0) != (b.0 < 0);
    let step = i256::from_i128(if negative { -1 } else { 1 });
    let result = if rounds { quotient.checked_add(step)? } else { quotient };
    result.to_i128().filter(|d| d.unsigned_abs() < 10_u128.pow(38))
}

/// A numeric of `scale` digits after the point, rounded to a whole number. `None`: it has too many digits.
pub fn whole(digits: i128, scale: i8) -> Option<i128> {
    rescaled(digits, scale, 0)
}

/// A number's digits and scale as written, with exponent; `None`: not a number, or more than 38 digits.
pub fn parse(text: &str) -> Option<(i128, i8)> {
    let text = text.trim();
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (body, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let trimmed = all.trim_start_matches('0');
    let digits: i128 = if trimmed.is_empty() { 0 } else { trimmed.parse().ok()? };
    let scale = i32::try_from(fraction.len()).ok()? - exponent;
    let (digits, scale) =
        if scale < 0 { (digits.checked_mul(power(scale.unsigned_abs())?)?, 0) } else { (digits, scale) };
    if digits.unsigned_abs() >= 10_u128.pow(38) || scale > 38 {
        return None;
    }
    Some((if negative { -digits } else { digits }, i8::try_from(scale).ok()?))
}

/// Digits that a value needs, at least its scale.
pub(crate) fn precision(digits: i128, scale: i8) -> u8 {
    let length = digits.unsigned_abs().to_string().len();
    u8::try_from(length).unwrap_or(38).max(scale.unsigned_abs()).clamp(1, 38)
}
