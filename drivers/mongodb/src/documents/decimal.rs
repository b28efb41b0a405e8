//! BSON's Decimal128 (IEEE 754 decimal, binary integer coefficient) to and from scaled integers. Refuses what would be rounded.

use mongodb::bson::Decimal128;

const EXPONENT_BIAS: i32 = 6_176;
/// Coefficients have at most 34 digits.
const COEFFICIENT_MAX: u128 = 10_u128.pow(34) - 1;
/// Ten to the power of the index: all that fit.
#[expect(clippy::indexing_slicing, reason = "computed by the compiler, which would refuse a wrong index")]
const POWERS: [u128; 39] = {
    let mut powers = [1; 39];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// A finite decimal: `coefficient · 10^exponent`, and whether it is negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finite {
    pub(crate) negative: bool,
    pub(crate) coefficient: u128,
    pub(crate) exponent: i32,
}

/// What the bits mean; none for NaN and infinities.
pub(crate) fn finite(decimal: &Decimal128) -> Option<Finite> {
    let bits = u128::from_le_bytes(decimal.bytes());
    let negative = bits >> 127 == 1;
    let combination = (bits >> 122) & 0b1_1111;
    if combination >= 0b1_1110 {
        return None;
    }
    // The second form holds only coefficients that are too large, which count as zero.
    let large = combination >> 3 == 0b11;
    let exponent = if large { bits >> 111 } else { bits >> 113 } & 0x3FFF;
    let coefficient = if large { 0 } else { bits & ((1 << 113) - 1) };
    let coefficient = if coefficient > COEFFICIENT_MAX { 0 } else { coefficient };
    Some(Finite { negative, coefficient, exponent: i32::try_from(exponent).ok()? - EXPONENT_BIAS })
}

/// The value at a scale; none if digits would be lost or it has more than `precision` of them.
pub(crate) fn scaled(decimal: &Decimal128, precision: u8, scale: i8) -> Option<i128> {
    let Finite { negative, coefficient, exponent } = finite(decimal)?;
    if coefficient == 0 {
        return Some(0);
    }
    let shift = exponent + i32::from(scale);
    let power = |of: u32| POWERS.get(usize::try_from(of).ok()?).copied();
    let value = match (shift, power(shift.unsigned_abs())?) {
        (0, _) => coefficient,
        (1.., power) => coefficient.checked_mul(power)?,
        (_, power) if coefficient % power == 0 => coefficient / power,
        _ => return None,
    };
    let most = power(precision.min(38).into())?;
    let value = i128::try_from(value).ok().filter(|_| value < most)?;
    Some(if negative { -value } else { value })
}

/// A scaled integer as Decimal128; none beyond 34 digits.
pub(crate) fn of(value: i128, scale: i8) -> Option<Decimal128> {
    let (mut coefficient, mut scale) = (value.unsigned_abs(), i32::from(scale));
    while coefficient > COEFFICIENT_MAX && coefficient % 10 == 0 {
        coefficient /= 10;
        scale -= 1;
    }
    if coefficient > COEFFICIENT_MAX {
        return None;
    }
    let exponent = u128::try_from(EXPONENT_BIAS - scale).ok()?;
    let bits = (u128::from(value < 0) << 127) | (exponent << 113) | coefficient;
    Some(Decimal128::from_bytes(bits.to_le_bytes()))
}

/// Digits of a decimal as text (`-12.50`, `1E+30`); `NaN` and infinities by name.
pub(crate) fn text(decimal: &Decimal128) -> String {
    decimal.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_round_trip_and_nothing_is_rounded() {
        for (value, scale, text) in [(0, 2, "0.00"), (-1_250, 2, "-12.50"), (7, 0, "7"), (10_i128.pow(34) - 1, 4, "")] {
            let decimal = of(value, scale).unwrap();
            assert_eq!(scaled(&decimal, 38, scale), Some(value));
            if !text.is_empty() {
                assert_eq!(super::text(&decimal), text);
                assert_eq!(text.parse::<Decimal128>().unwrap(), decimal);
            }
        }
        assert_eq!(of(10_i128.pow(34), 0).map(|decimal| scaled(&decimal, 38, 0)), Some(Some(10_i128.pow(34))));
        assert_eq!(of(10_i128.pow(34) + 1, 0), None);
        for (text, precision, scale, expected) in [
            ("1.005", 18, 2, None),
            ("1.00500", 18, 3, Some(1_005)),
            ("1E+3", 18, 2, Some(100_000)),
            ("1000", 4, 2, None),
            ("9.99", 3, 2, Some(999)),
            ("NaN", 38, 2, None),
            ("-Infinity", 38, 2, None),
            ("1E+6000", 38, 0, None),
            ("-0", 38, 0, Some(0)),
        ] {
            assert_eq!(scaled(&text.parse().unwrap(), precision, scale), expected, "{text}");
        }
    }
}
