//! `+ - * / %`, `div`, `gcd`, `lcm` and factorials, with the places that PostgreSQL gives their results.

use super::{Finite, Numeric, PLACES_MAX, SIGNIFICANT_MIN, division_by_zero, overflows, result_places, ten_to};
use crate::{Error, ErrorCode, Result};
use num_bigint::BigInt;
use num_integer::Integer;

/// Of greater ones the factorial has too many digits.
const FACTORIAL_MAX: i64 = 32_177;

impl Numeric {
    /// `-self`; NaN stays NaN.
    #[must_use]
    pub fn negated(&self) -> Self {
        match self {
            Self::Nan => Self::Nan,
            Self::Infinite { negative } => Self::Infinite { negative: !negative },
            Self::Finite(finite) => Self::Finite(finite.negated()),
        }
    }

    /// Without its sign; NaN stays NaN.
    #[must_use]
    pub fn abs(&self) -> Self {
        if self.signum() < 0 { self.negated() } else { self.clone() }
    }

    /// # Errors
    /// 22003 when the sum has too many digits.
    pub fn plus(&self, other: &Self) -> Result<Self> {
        match (self, other) {
            (Self::Finite(a), Self::Finite(b)) => {
                let places = a.places.max(b.places);
                Self::checked(Finite { digits: a.at(places) + b.at(places), places })
            }
            (Self::Nan, _) | (_, Self::Nan) => Ok(Self::Nan),
            (Self::Infinite { negative: a }, Self::Infinite { negative: b }) if a != b => Ok(Self::Nan),
            (infinite @ Self::Infinite { .. }, _) | (_, infinite) => Ok(infinite.clone()),
        }
    }

    /// # Errors
    /// 22003 when the difference has too many digits.
    pub fn minus(&self, other: &Self) -> Result<Self> {
        self.plus(&other.negated())
    }

    /// # Errors
    /// 22003 when the product has too many digits.
    pub fn times(&self, other: &Self) -> Result<Self> {
        match (self, other) {
            (Self::Finite(a), Self::Finite(b)) => {
                let product = Finite { digits: &a.digits * &b.digits, places: a.places + b.places };
                Self::checked(product.rounded(i64::from((a.places + b.places).min(PLACES_MAX))))
            }
            (Self::Nan, _) | (_, Self::Nan) => Ok(Self::Nan),
            (a, b) => Ok(match a.signum() * b.signum() {
                0 => Self::Nan,
                sign => Self::Infinite { negative: sign < 0 },
            }),
        }
    }

    /// # Errors
    /// 22012 for a divisor of 0, 22003 when the quotient has too many digits.
    pub fn over(&self, other: &Self) -> Result<Self> {
        match (self, other) {
            (Self::Nan, _) | (_, Self::Nan) => Ok(Self::Nan),
            (_, Self::Finite(b)) if b.is_zero() => Err(division_by_zero()),
            (Self::Finite(a), Self::Finite(b)) => Self::checked(a.divided(b, quotient_places(a, b))),
            (Self::Infinite { .. }, Self::Infinite { .. }) => Ok(Self::Nan),
            (Self::Finite(_), Self::Infinite { .. }) => Ok(Self::from(0)),
            (Self::Infinite { negative }, Self::Finite(b)) => {
                Ok(Self::Infinite { negative: *negative != (b.signum() < 0) })
            }
        }
    }

    /// The quotient without its fraction.
    ///
    /// # Errors
    /// 22012 for a divisor of 0.
    pub fn div(&self, other: &Self) -> Result<Self> {
        match (self, other) {
            (Self::Finite(a), Self::Finite(b)) if !b.is_zero() => {
                let places = a.places.max(b.places);
                Self::checked(Finite { digits: a.at(places) / b.at(places), places: 0 })
            }
            _ => self.over(other),
        }
    }

    /// The remainder, with the sign of what is divided.
    ///
    /// # Errors
    /// 22012 for a divisor of 0.
    pub fn modulo(&self, other: &Self) -> Result<Self> {
        match (self, other) {
            (Self::Nan, _) | (_, Self::Nan) => Ok(Self::Nan),
            (_, Self::Finite(b)) if b.is_zero() => Err(division_by_zero()),
            (Self::Finite(a), Self::Finite(b)) => {
                let places = a.places.max(b.places);
                Ok(Self::Finite(Finite { digits: a.at(places) % b.at(places), places }))
            }
            (Self::Finite(_), Self::Infinite { .. }) => Ok(self.clone()),
            (Self::Infinite { .. }, _) => Ok(Self::Nan),
        }
    }

    /// # Errors
    /// None: it is no greater than what it divides.
    pub fn gcd(&self, other: &Self) -> Result<Self> {
        let (Self::Finite(a), Self::Finite(b)) = (self, other) else { return Ok(Self::Nan) };
        let places = a.places.max(b.places);
        Self::checked(Finite { digits: a.at(places).gcd(&b.at(places)), places })
    }

    /// # Errors
    /// 22003 when it has too many digits.
    pub fn lcm(&self, other: &Self) -> Result<Self> {
        let (Self::Finite(a), Self::Finite(b)) = (self, other) else { return Ok(Self::Nan) };
        let places = a.places.max(b.places);
        Self::checked(Finite { digits: a.at(places).lcm(&b.at(places)), places })
    }

    /// # Errors
    /// 22003 for numbers below 0, and when the product has too many digits.
    pub fn factorial(of: i64) -> Result<Self> {
        if of < 0 {
            return Err(Error::new(ErrorCode::NumericOutOfRange, "factorial of a negative number is undefined"));
        }
        if of > FACTORIAL_MAX {
            return Err(overflows());
        }
        let digits = (2..=of).fold(BigInt::from(1), |product, factor| product * factor);
        Self::checked(Finite { digits, places: 0 })
    }

    /// The number, from 1, of a bucket among equal ones between two bounds; 0 below and one more above.
    ///
    /// # Errors
    /// 2201G for bounds that are equal or no numbers, and for no bucket; 22003 for too many.
    pub fn bucket(&self, low: &Self, high: &Self, count: i32) -> Result<i32> {
        let refused = |text: &'static str| Err(Error::new(ErrorCode::InvalidWidthBucketArgument, text));
        if count <= 0 {
            return refused("count must be greater than zero");
        }
        if self.is_nan() || low.is_nan() || high.is_nan() {
            return refused("operand, lower bound, and upper bound cannot be NaN");
        }
        let (Self::Finite(_), Self::Finite(_)) = (low, high) else {
            return refused("lower and upper bounds must be finite");
        };
        let upward = match low.cmp(high) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Greater => false,
            std::cmp::Ordering::Equal => return refused("lower bound cannot equal upper bound"),
        };
        let (below, beyond) = if upward { (self < low, self >= high) } else { (self > low, self <= high) };
        if below {
            return Ok(0);
        }
        if beyond {
            return count
                .checked_add(1)
                .ok_or_else(|| Error::new(ErrorCode::NumericOutOfRange, "integer out of range"));
        }
        let place = self.minus(low)?.times(&Self::from(i64::from(count)))?.div(&high.minus(low)?)?;
        let place = place.to_whole("integer")?.and_then(|place| i32::try_from(place).ok()).unwrap_or(0);
        Ok(place + 1)
    }
}

/// Places of a quotient: at least 16 significant digits, counted in groups of four, and as many as the operands have.
fn quotient_places(a: &Finite, b: &Finite) -> u32 {
    let ((weight_a, first_a), (weight_b, first_b)) = (a.leading_group(), b.leading_group());
    let weight = weight_a - weight_b - i64::from(first_a <= first_b);
    result_places(SIGNIFICANT_MIN - weight * 4, a.places.max(b.places))
}

impl Finite {
    pub(super) fn negated(&self) -> Self {
        Self { digits: -&self.digits, places: self.places }
    }

    /// The quotient with `places` digits after the point, halves away from zero; the divisor is not 0.
    pub(super) fn divided(&self, by: &Self, places: u32) -> Self {
        let shift = i64::from(places) + i64::from(by.places) - i64::from(self.places);
        if let Some(small) = self.small_quotient(by, shift) {
            return Self { digits: small, places };
        }
        let unit = ten_to(u32::try_from(shift.unsigned_abs()).unwrap_or(u32::MAX));
        let (numerator, denominator) = if shift >= 0 {
            (&self.digits * unit, by.digits.clone())
        } else {
            (self.digits.clone(), &by.digits * unit)
        };
        let (quotient, rest) = numerator.div_rem(&denominator);
        let away = (&rest * 2_u8).magnitude() >= denominator.magnitude();
        let step = if self.signum() == by.signum() { 1 } else { -1 };
        Self { digits: if away { quotient + step } else { quotient }, places }
    }

    /// The digits of a quotient that 128 bits are enough for, which most are.
    fn small_quotient(&self, by: &Self, shift: i64) -> Option<BigInt> {
        let ((_, a), (_, b)) = (self.small()?, by.small()?);
        let numerator = a.checked_mul(10_u128.checked_pow(u32::try_from(shift).ok()?)?)?;
        let (quotient, rest) = (numerator / b, numerator % b);
        let digits = BigInt::from(if rest >= b - rest { quotient + 1 } else { quotient });
        Some(if self.signum() == by.signum() { digits } else { -digits })
    }
}
