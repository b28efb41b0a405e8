//! PostgreSQL's binary `numeric`, exactly: groups of four digits to and from 128-bit integers at a scale. Nothing is rounded.

use bytes::{BufMut, BytesMut};

/// Why a number is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// NaN or an infinity.
    NotFinite,
    /// More digits than the declared type holds, before or after the point.
    TooWide,
    /// Not the binary form.
    Malformed,
}

const NEGATIVE: u16 = 0x4000;
const POSITIVE: u16 = 0;

/// The value times 10^`scale`.
pub(crate) fn decode(bytes: &[u8], scale: i8) -> Result<i128, Unreadable> {
    let word = |at: usize| bytes.get(at..at + 2).and_then(|two| two.try_into().ok()).map(u16::from_be_bytes);
    let (Some(count), Some(weight), Some(sign)) = (word(0), word(2), word(4)) else {
        return Err(Unreadable::Malformed);
    };
    let negative = match sign {
        POSITIVE => false,
        NEGATIVE => true,
        _ => return Err(Unreadable::NotFinite),
    };
    if bytes.len() != 8 + 2 * usize::from(count) {
        return Err(Unreadable::Malformed);
    }
    let weight = i64::from(i16::from_be_bytes(weight.to_be_bytes()));
    let mut value: i128 = 0;
    // Power of ten by which the value so far is still too small.
    let mut missing: u32 = 0;
    for index in 0..count {
        let digits = word(8 + 2 * usize::from(index)).ok_or(Unreadable::Malformed)?;
        let unit = 4 * (weight - i64::from(index)) + i64::from(scale);
        let (digits, width) = match unit {
            0.. => (digits, 4),
            // The scale ends inside this group: what lies beyond must be zeros.
            -3..=-1 => {
                let beyond = 10_u16.pow(u32::try_from(-unit).unwrap_or(0));
                if digits % beyond != 0 {
                    return Err(Unreadable::TooWide);
                }
                (digits / beyond, u32::try_from(4 + unit).unwrap_or(0))
            }
            _ if digits == 0 => (0, 0),
            _ => return Err(Unreadable::TooWide),
        };
        value = shifted(value, width)?.checked_add(i128::from(digits)).ok_or(Unreadable::TooWide)?;
        missing = u32::try_from(unit.max(0)).map_err(|_| Unreadable::Malformed)?;
    }
    let value = shifted(value, missing)?;
    Ok(if negative { -value } else { value })
}

fn shifted(value: i128, digits: u32) -> Result<i128, Unreadable> {
    if value == 0 {
        return Ok(0);
    }
    10_i128.checked_pow(digits).and_then(|power| value.checked_mul(power)).ok_or(Unreadable::TooWide)
}

/// Groups of four digits of a number at any scale, at most.
const GROUPS_MAX: usize = 44;

/// Writes `value` × 10^−`scale`.
pub(crate) fn encode(value: i128, scale: i8, out: &mut BytesMut) {
    let scale = u16::try_from(scale).unwrap_or(0);
    let fraction = scale.div_ceil(4);
    let mut rest = value.unsigned_abs();
    // From the last group to the first. The point lies between two of them.
    let mut groups = [0_u16; GROUPS_MAX];
    let mut count = 0_u16;
    let mut digits = match scale % 4 {
        0 => 4,
        some => u32::from(some),
    };
    for group in &mut groups {
        if rest == 0 && count >= fraction {
            break;
        }
        let (more, last) = divided(rest, 10_u16.pow(digits));
        *group = last * 10_u16.pow(4 - digits);
        (rest, digits, count) = (more, 4, count + 1);
    }
    let is_zero = |group: &&u16| **group == 0;
    let written = groups.get(..usize::from(count)).unwrap_or_default();
    let leading = written.iter().rev().take_while(is_zero).count();
    let written = written.get(..written.len() - leading).unwrap_or_default();
    let trailing = written.iter().take_while(is_zero).count();
    let weight =
        if written.is_empty() { 0 } else { i16::try_from(written.len()).unwrap_or(0) - fraction.cast_signed() - 1 };
    let written = written.get(trailing..).unwrap_or_default();
    out.put_u16(u16::try_from(written.len()).unwrap_or(0));
    out.put_i16(weight);
    out.put_u16(if value < 0 { NEGATIVE } else { POSITIVE });
    out.put_u16(scale);
    written.iter().rev().for_each(|group| out.put_u16(*group));
}

/// A number divided, and what is left. Most numbers fit a register.
fn divided(value: u128, by: u16) -> (u128, u16) {
    match u64::try_from(value) {
        Ok(value) => (u128::from(value / u64::from(by)), u16::try_from(value % u64::from(by)).unwrap_or(0)),
        Err(_) => (value / u128::from(by), u16::try_from(value % u128::from(by)).unwrap_or(0)),
    }
}

/// A double's shortest digits at `scale`, rounded half away from zero; none if it is not finite or too large.
pub(crate) fn rounded(value: f64, scale: i8) -> Option<i128> {
    if !value.is_finite() {
        return None;
    }
    let scale = usize::try_from(scale).ok()?;
    let digits = format!("{}", value.abs());
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let (kept, dropped) = fraction.split_at(fraction.len().min(scale));
    let mut number: i128 = 0;
    for digit in whole.bytes().chain(kept.bytes()).chain(std::iter::repeat_n(b'0', scale - kept.len())) {
        number = number.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    number = number.checked_add(i128::from(dropped.as_bytes().first().is_some_and(|digit| *digit >= b'5')))?;
    Some(if value < 0.0 { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(weight: i16, sign: u16, groups: &[u16]) -> Vec<u8> {
        let mut out = BytesMut::new();
        out.put_u16(u16::try_from(groups.len()).unwrap());
        out.put_i16(weight);
        out.put_u16(sign);
        out.put_u16(0);
        groups.iter().for_each(|group| out.put_u16(*group));
        out.to_vec()
    }

    #[test]
    fn numbers_round_trip_at_every_scale() {
        let greatest = 10_i128.pow(38) - 1;
        for scale in 0..=38_i8 {
            for value in [0, 1, -1, 9, 10, 9_999, 10_000, -12_345, 120_000_000, greatest, -greatest, 10_i128.pow(37)] {
                let mut out = BytesMut::new();
                encode(value, scale, &mut out);
                assert_eq!(decode(&out, scale), Ok(value), "{value} at {scale}");
            }
        }
    }

    /// No group of zeros stands at either end, and zero has none.
    #[test]
    fn numbers_are_written_as_the_server_writes_them() {
        for (value, scale, expected) in [
            (0, 4, bytes(0, POSITIVE, &[])),
            (5, 1, bytes(-1, POSITIVE, &[5_000])),
            (-1, 8, bytes(-2, NEGATIVE, &[1])),
            (123_450_000, 2, bytes(1, POSITIVE, &[123, 4_500])),
            (120_000_000, 2, bytes(1, POSITIVE, &[120])),
            (12_345, 2, bytes(0, POSITIVE, &[123, 4_500])),
        ] {
            let mut out = BytesMut::new();
            encode(value, scale, &mut out);
            let mut expected = expected;
            expected[7] = scale.unsigned_abs();
            assert_eq!(out, expected[..], "{value} at {scale}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_never_rounded() {
        for (form, scale, expected) in [
            (bytes(0, POSITIVE, &[1, 2_300]), 2, Ok(123)),
            (bytes(0, POSITIVE, &[1, 2_345]), 2, Err(Unreadable::TooWide)),
            (bytes(0, POSITIVE, &[1, 2_345]), 4, Ok(12_345)),
            (bytes(-1, NEGATIVE, &[5_000]), 1, Ok(-5)),
            (bytes(-2, POSITIVE, &[1]), 4, Err(Unreadable::TooWide)),
            (bytes(-2, POSITIVE, &[1]), 8, Ok(1)),
            (bytes(1, POSITIVE, &[3]), 0, Ok(30_000)),
            (bytes(30, POSITIVE, &[3]), 0, Err(Unreadable::TooWide)),
            (bytes(0, 0xC000, &[]), 0, Err(Unreadable::NotFinite)),
            (bytes(0, 0xD000, &[]), 0, Err(Unreadable::NotFinite)),
            (vec![0, 1], 0, Err(Unreadable::Malformed)),
            (vec![0, 1, 0, 0, 0, 0, 0, 0], 0, Err(Unreadable::Malformed)),
        ] {
            assert_eq!(decode(&form, scale), expected, "{form:?} at {scale}");
        }
    }

    #[test]
    fn doubles_round_half_away_from_zero_by_their_shortest_digits() {
        for (value, scale, expected) in
            [(1.005, 2, Some(101)), (-2.5, 0, Some(-3)), (0.1, 4, Some(1_000)), (1e300, 0, None), (f64::NAN, 0, None)]
        {
            assert_eq!(rounded(value, scale), expected, "{value}");
        }
    }
}
