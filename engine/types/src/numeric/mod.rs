//! Numerics of any width, as PostgreSQL has them: exact digits with the number of places that they are shown with, NaN and infinities.
//! Results have the places that PostgreSQL gives them. Knows no array and no plan.

mod arithmetic;
mod bytes;
mod cell;
mod logarithms;
mod powers;
mod rounding;
mod text;

pub use bytes::ordered_key;
pub use cell::{Cell, Pairs};
pub use text::NotNumeric;

use crate::{Error, ErrorCode, Result};
use num_bigint::{BigInt, Sign};
use std::cmp::Ordering;

/// Digits before the point at most, PostgreSQL's limit.
pub const WHOLE_DIGITS_MAX: u32 = 131_072;

/// Digits after the point at most, PostgreSQL's limit.
pub const PLACES_MAX: u32 = 16_383;

/// Places of a quotient or a root at most.
const RESULT_PLACES_MAX: i64 = 1_000;

/// Digits that a quotient or a root has at least.
const SIGNIFICANT_MIN: i64 = 16;

/// A numeric. Compared by its value: NaN is equal to itself and greater than all others, as in PostgreSQL; 1.0 is 1.00.
#[derive(Debug, Clone)]
pub enum Numeric {
    /// Not a number.
    Nan,
    /// An infinity.
    Infinite {
        /// Whether it is below every number.
        negative: bool,
    },
    /// A number, with the places that it is shown with.
    Finite(Finite),
}

/// A double that is a whole number of no more than that many digits.
#[expect(clippy::cast_possible_truncation, reason = "of at most fifteen digits")]
fn small_whole(value: f64, significant: usize) -> Option<i64> {
    const DIGITS_MAX: usize = 15;
    let bound = 10_f64.powi(i32::try_from(significant.min(DIGITS_MAX)).ok()?);
    (value.abs() < bound && value.fract() == 0.0).then_some(value as i64)
}

/// `digits / 10^places`, shown with `places` places.
#[derive(Debug, Clone)]
pub struct Finite {
    digits: BigInt,
    places: u32,
}

impl Numeric {
    /// Greater than every number, less than NaN.
    pub const INFINITY: Self = Self::Infinite { negative: false };
    /// Less than every number.
    pub const NEGATIVE_INFINITY: Self = Self::Infinite { negative: true };

    /// A number with `scale` digits after the point; a negative scale means zeros before it.
    #[must_use]
    pub fn from_digits(digits: i128, scale: i8) -> Self {
        Self::Finite(Finite::of(BigInt::from(digits), i64::from(scale)))
    }

    /// A number with that many digits after the point.
    #[must_use]
    pub fn of_digits(digits: i128, places: u32) -> Self {
        Self::Finite(Finite { digits: BigInt::from(digits), places })
    }

    /// Digits and places, where they are no more than 38.
    #[must_use]
    pub fn to_digits(&self) -> Option<(i128, i8)> {
        let Self::Finite(finite) = self else { return None };
        let digits = i128::try_from(&finite.digits).ok().filter(|d| d.unsigned_abs() < 10_u128.pow(38))?;
        Some((digits, i8::try_from(finite.places).ok().filter(|places| *places <= 38)?))
    }

    /// The nearest double; NaN and infinities are its own.
    #[must_use]
    pub fn to_double(&self) -> f64 {
        match self {
            Self::Nan => f64::NAN,
            Self::Infinite { negative } => {
                if *negative {
                    f64::NEG_INFINITY
                } else {
                    f64::INFINITY
                }
            }
            Self::Finite(finite) => finite.to_scientific().parse().unwrap_or(f64::NAN),
        }
    }

    /// A double as numeric: of as many significant digits as PostgreSQL keeps, 15, or 6 of a `real`.
    #[must_use]
    pub fn from_double(value: f64, significant: usize) -> Self {
        if value.is_nan() {
            return Self::Nan;
        }
        if value.is_infinite() {
            return Self::Infinite { negative: value < 0.0 };
        }
        if let Some(whole) = small_whole(value, significant) {
            return Self::Finite(Finite::of(BigInt::from(whole), 0));
        }
        // The shortest text that is this double alone: where it has no more digits, rounding to that many gives the same, and takes longer.
        // The least doubles have fewer digits of their own than they are rounded to.
        let shortest = format!("{value:e}");
        let digits = shortest.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
        let shown = if digits <= significant && value.is_normal() {
            shortest
        } else {
            format!("{value:.*e}", significant.saturating_sub(1))
        };
        let (mantissa, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}").parse().unwrap_or_default();
        let places = i64::try_from(fraction.len()).unwrap_or(0) - exponent.parse::<i64>().unwrap_or(0);
        Self::Finite(Finite::of(digits, places))
    }

    /// A whole number, halves away from zero.
    ///
    /// # Errors
    /// 0A000 for NaN and infinities, which `target` does not have; `None` beyond 128 bits.
    pub fn to_whole(&self, target: &str) -> Result<Option<i128>> {
        match self {
            Self::Nan => Err(Error::new(ErrorCode::FeatureNotSupported, format!("cannot convert NaN to {target}"))),
            Self::Infinite { .. } => {
                Err(Error::new(ErrorCode::FeatureNotSupported, format!("cannot convert infinity to {target}")))
            }
            Self::Finite(finite) => Ok(i128::try_from(&finite.rounded(0).digits).ok()),
        }
    }

    /// Places that it is shown with; `None` of NaN and infinities.
    #[must_use]
    pub const fn places(&self) -> Option<u32> {
        match self {
            Self::Finite(finite) => Some(finite.places),
            Self::Nan | Self::Infinite { .. } => None,
        }
    }

    /// Whether it is NaN.
    #[must_use]
    pub const fn is_nan(&self) -> bool {
        matches!(self, Self::Nan)
    }

    /// −1, 0 or 1; 0 of NaN.
    #[must_use]
    pub fn signum(&self) -> i8 {
        match self {
            Self::Nan => 0,
            Self::Infinite { negative } => {
                if *negative {
                    -1
                } else {
                    1
                }
            }
            Self::Finite(finite) => finite.signum(),
        }
    }

    /// Bytes that it takes, about.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Nan | Self::Infinite { .. } => size_of::<Self>(),
            Self::Finite(finite) => {
                size_of::<Self>() + usize::try_from(finite.digits.bits().div_ceil(8)).unwrap_or(usize::MAX / 2)
            }
        }
    }

    /// # Errors
    /// 22003 for more digits than PostgreSQL has.
    fn checked(finite: Finite) -> Result<Self> {
        finite.within().map(Self::Finite)
    }
}

impl From<i64> for Numeric {
    fn from(value: i64) -> Self {
        Self::Finite(Finite { digits: BigInt::from(value), places: 0 })
    }
}

impl PartialEq for Numeric {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Numeric {}

impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Numeric {
    fn cmp(&self, other: &Self) -> Ordering {
        let class = |of: &Self| match of {
            Self::Infinite { negative: true } => 0,
            Self::Finite(_) => 1,
            Self::Infinite { negative: false } => 2,
            Self::Nan => 3,
        };
        match (self, other) {
            (Self::Finite(a), Self::Finite(b)) => a.compared(b),
            _ => class(self).cmp(&class(other)),
        }
    }
}

impl Finite {
    /// Negative places are zeros before the point.
    fn of(digits: BigInt, places: i64) -> Self {
        match u32::try_from(places) {
            Ok(places) => Self { digits, places },
            Err(_) if digits.sign() == Sign::NoSign => Self { digits, places: 0 },
            Err(_) => {
                let zeros = u32::try_from(places.unsigned_abs()).unwrap_or(u32::MAX);
                Self { digits: digits * ten_to(zeros), places: 0 }
            }
        }
    }

    fn zero(places: u32) -> Self {
        Self { digits: BigInt::ZERO, places }
    }

    fn signum(&self) -> i8 {
        match self.digits.sign() {
            Sign::Minus => -1,
            Sign::NoSign => 0,
            Sign::Plus => 1,
        }
    }

    fn is_zero(&self) -> bool {
        self.digits.sign() == Sign::NoSign
    }

    /// The digits with at least the given number of places.
    fn at(&self, places: u32) -> BigInt {
        let more = places.saturating_sub(self.places);
        if more == 0 { self.digits.clone() } else { &self.digits * ten_to(more) }
    }

    fn compared(&self, other: &Self) -> Ordering {
        if self.places == other.places {
            return self.digits.cmp(&other.digits);
        }
        let places = self.places.max(other.places);
        self.at(places).cmp(&other.at(places))
    }

    /// Number of digits before the point, at least: of 0.001 it is −2, of 0 it is 0.
    fn magnitude(&self) -> i64 {
        if self.is_zero() {
            return 0;
        }
        let digits = match self.small() {
            Some((length, _)) => i64::from(length),
            None => i64::try_from(self.digits.magnitude().to_string().len()).unwrap_or(i64::MAX),
        };
        digits - i64::from(self.places)
    }

    /// The digits without their sign and how many they are, where 128 bits hold them; `None` of 0, too.
    fn small(&self) -> Option<(u32, u128)> {
        let digits = u128::try_from(self.digits.magnitude()).ok()?;
        Some((digits.checked_ilog10()? + 1, digits))
    }

    /// PostgreSQL's groups of four digits: the place of the first that is not zero, counted from the point, and its value.
    fn leading_group(&self) -> (i64, u32) {
        if self.is_zero() {
            return (0, 0);
        }
        if let Some((length, digits)) = self.small() {
            let magnitude = i64::from(length) - i64::from(self.places);
            let group = (magnitude - 1).div_euclid(4);
            let width = u32::try_from(magnitude - group * 4).unwrap_or(1);
            let first = match length.checked_sub(width) {
                Some(behind) => digits / 10_u128.pow(behind),
                None => digits * 10_u128.pow(width - length),
            };
            return (group, u32::try_from(first).unwrap_or(0));
        }
        let text = self.digits.magnitude().to_string();
        let magnitude = i64::try_from(text.len()).unwrap_or(i64::MAX) - i64::from(self.places);
        let group = (magnitude - 1).div_euclid(4);
        let width = usize::try_from(magnitude - group * 4).unwrap_or(1);
        let first = format!("{text:0<width$}");
        (group, first.get(..width).and_then(|digits| digits.parse().ok()).unwrap_or(0))
    }

    fn within(self) -> Result<Self> {
        // Most are far below: 38 digits are 127 bits.
        if self.digits.bits() < 435_000 && self.places <= PLACES_MAX {
            return Ok(self);
        }
        let finite = if self.places > PLACES_MAX { self.rounded(i64::from(PLACES_MAX)) } else { self };
        if finite.magnitude() > i64::from(WHOLE_DIGITS_MAX) { Err(overflows()) } else { Ok(finite) }
    }
}

fn ten_to(exponent: u32) -> BigInt {
    BigInt::from(10).pow(exponent)
}

fn overflows() -> Error {
    Error::new(ErrorCode::NumericOutOfRange, "value overflows numeric format")
}

fn division_by_zero() -> Error {
    Error::new(ErrorCode::DivisionByZero, "division by zero")
}

/// Places of a result, between 0 and what a result may have.
fn result_places(wanted: i64, at_least: u32) -> u32 {
    let wanted = wanted.max(i64::from(at_least)).clamp(0, RESULT_PLACES_MAX);
    u32::try_from(wanted).unwrap_or(0)
}

#[cfg(test)]
mod tests;
