//! Roots and powers. Places as in PostgreSQL 15's numeric.c.

use super::logarithms::truncated;
use super::{Finite, Numeric, SIGNIFICANT_MIN, WHOLE_DIGITS_MAX, division_by_zero, overflows, result_places, ten_to};
use crate::{Error, ErrorCode, Result};
use num_bigint::BigInt;
use num_integer::Integer;

/// Beyond, a power has too many digits, or none.
const EXPONENT_MAX: f64 = 6_020.0;

impl Numeric {
    /// # Errors
    /// 2201F for numbers below 0.
    pub fn sqrt(&self) -> Result<Self> {
        if self.signum() < 0 {
            return Err(refused("cannot take square root of a negative number"));
        }
        let Self::Finite(of) = self else { return Ok(self.clone()) };
        let (weight, _) = of.leading_group();
        self.root(result_places(SIGNIFICANT_MIN - (weight * 2 + 1), of.places))
    }

    /// The square root with the given number of places.
    ///
    /// # Errors
    /// 2201F for numbers below 0.
    pub fn root(&self, places: u32) -> Result<Self> {
        if self.signum() < 0 {
            return Err(refused("cannot take square root of a negative number"));
        }
        let Self::Finite(of) = self else { return Ok(self.clone()) };
        // One digit more decides how the last is rounded: no root ends with a half that is not written there.
        let squared = of.rounded(i64::from(places) * 2 + 2);
        let root = Finite { digits: squared.digits.sqrt(), places: places + 1 };
        Self::checked(root.rounded(i64::from(places)))
    }

    /// # Errors
    /// 2201F for a number below 0 with an exponent that is not whole, and for 0 with one below 0; 22003 for too many digits.
    pub fn power(&self, exponent: &Self) -> Result<Self> {
        match (self, exponent) {
            (Self::Finite(base), Self::Finite(exponent)) => {
                if base.is_zero() && exponent.signum() < 0 {
                    return Err(refused("zero raised to a negative power is undefined"));
                }
                if base.signum() < 0 && !exponent.is_whole() {
                    return Err(refused("a negative number raised to a non-integer power yields a complex result"));
                }
                base.power(exponent).and_then(Self::checked)
            }
            _ => self.special_power(exponent),
        }
    }

    /// Powers with NaN and infinities, as POSIX has them.
    fn special_power(&self, exponent: &Self) -> Result<Self> {
        let is_one = |of: &Self| *of == Self::from(1);
        match (self, exponent) {
            (Self::Nan, e) => return Ok(if e.signum() == 0 && !e.is_nan() { Self::from(1) } else { Self::Nan }),
            (b, Self::Nan) => return Ok(if is_one(b) { Self::from(1) } else { Self::Nan }),
            (Self::Infinite { .. } | Self::Finite(_), _) => {}
        }
        if is_one(self) || exponent.signum() == 0 {
            return Ok(Self::from(1));
        }
        if self.signum() == 0 {
            return if exponent.signum() < 0 {
                Err(refused("zero raised to a negative power is undefined"))
            } else {
                Ok(Self::from(0))
            };
        }
        if let Self::Infinite { negative } = exponent {
            let magnitude = self.abs().cmp(&Self::from(1));
            return Ok(match magnitude {
                std::cmp::Ordering::Equal => Self::from(1),
                std::cmp::Ordering::Greater if *negative => Self::from(0),
                std::cmp::Ordering::Less if !*negative => Self::from(0),
                std::cmp::Ordering::Greater | std::cmp::Ordering::Less => Self::INFINITY,
            });
        }
        // An infinite base, and an exponent that is a number.
        let Self::Finite(exponent) = exponent else { return Ok(Self::Nan) };
        let negative = self.signum() < 0;
        if negative && !exponent.is_whole() {
            return Err(refused("a negative number raised to a non-integer power yields a complex result"));
        }
        if exponent.signum() < 0 {
            return Ok(Self::from(0));
        }
        Ok(Self::Infinite { negative: negative && exponent.is_odd() })
    }
}

fn refused(text: &'static str) -> Error {
    Error::new(ErrorCode::InvalidPowerArgument, text)
}

impl Finite {
    fn is_whole(&self) -> bool {
        (&self.digits % ten_to(self.places)).sign() == num_bigint::Sign::NoSign
    }

    /// Of a whole number.
    fn is_odd(&self) -> bool {
        self.rounded(0).digits.is_odd()
    }

    fn power(&self, exponent: &Self) -> Result<Self> {
        if exponent.is_whole()
            && let Ok(whole) = i32::try_from(&exponent.rounded(0).digits)
        {
            return self.whole_power(whole);
        }
        if self.is_zero() {
            return Ok(Self::zero(u32::try_from(SIGNIFICANT_MIN).unwrap_or(0)));
        }
        let negative = self.signum() < 0 && exponent.is_odd();
        let base = if self.signum() < 0 { self.negated() } else { self.clone() };
        let weight = base.logarithm_weight();
        // A first estimate says how many digits the result has.
        let coarse = u32::try_from((8 - weight).max(0)).unwrap_or(0);
        let about = base.ln(coarse).multiplied(exponent, coarse);
        let about = Numeric::Finite(about).to_double();
        if about.abs() > EXPONENT_MAX {
            return if about > 0.0 { Err(overflows()) } else { Ok(Self::zero(1_000)) };
        }
        let digits = truncated(about * std::f64::consts::LOG10_E);
        let places = result_places(SIGNIFICANT_MIN - digits, self.places.max(exponent.places));
        let fine = u32::try_from((i64::from(places) + digits - weight + 8).max(0)).unwrap_or(0);
        // The exponent's own digits make each of the logarithm's count for more.
        let fine = fine + u32::try_from(exponent.magnitude().max(0)).unwrap_or(0);
        let result = base.ln(fine).multiplied(exponent, fine).exp(places)?;
        Ok(if negative { result.negated() } else { result })
    }

    fn multiplied(&self, by: &Self, places: u32) -> Self {
        Self { digits: &self.digits * &by.digits, places: self.places + by.places }.rounded(i64::from(places))
    }

    fn whole_power(&self, exponent: i32) -> Result<Self> {
        let places = result_places(SIGNIFICANT_MIN, self.places);
        let one = Self { digits: BigInt::from(1), places: 0 };
        match exponent {
            0 => return Ok(one.rounded(i64::from(places))),
            1 => return Ok(self.rounded(i64::from(places))),
            -1 if self.is_zero() => return Err(division_by_zero()),
            -1 => return Ok(one.divided(self, places)),
            2 => return Ok(self.multiplied(self, places)),
            _ => {}
        }
        if self.is_zero() {
            return if exponent < 0 { Err(division_by_zero()) } else { Ok(Self::zero(places)) };
        }
        let base = if self.signum() < 0 { self.negated() } else { self.clone() };
        // Digits before the point of the result.
        let digits = f64::from(exponent) * base.ln_double() * std::f64::consts::LOG10_E;
        if digits > 3.0 * f64::from(WHOLE_DIGITS_MAX) {
            return Err(overflows());
        }
        if digits + 1.0 < -f64::from(places) {
            return Ok(Self::zero(places));
        }
        if digits > f64::from(WHOLE_DIGITS_MAX) + 1.0 {
            return Err(overflows());
        }
        let significant = 1 + i64::from(places) + truncated(digits) + truncated(f64::from(exponent).abs().ln()) + 16;
        let power = base.repeated(exponent.unsigned_abs(), significant.max(0));
        let power = if exponent < 0 { one.divided(&power, places) } else { power.rounded(i64::from(places)) };
        Ok(if self.signum() < 0 && exponent % 2 != 0 { power.negated() } else { power })
    }

    /// A product of equal factors, computed to a number of correct leading digits.
    fn repeated(&self, mut factors: u32, significant: i64) -> Self {
        let shortened = |of: Self| {
            let extra = of.magnitude() + i64::from(of.places) - significant - 20;
            if extra <= 0 {
                return of;
            }
            // A negative number of places keeps the zeros out of the digits.
            let kept = i64::from(of.places) - extra;
            if kept >= 0 { of.rounded(kept) } else { of.rounded(0) }
        };
        let mut result = Self { digits: BigInt::from(1), places: 0 };
        let mut square = self.clone();
        loop {
            if factors % 2 == 1 {
                result =
                    shortened(Self { digits: &result.digits * &square.digits, places: result.places + square.places });
            }
            factors /= 2;
            if factors == 0 {
                return result;
            }
            square = shortened(Self { digits: &square.digits * &square.digits, places: square.places * 2 });
        }
    }
}
