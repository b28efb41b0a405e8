//! `exp`, `ln` and `log`, computed with some digits more than are shown. Places as in PostgreSQL's numeric.c.

use super::{Finite, Numeric, SIGNIFICANT_MIN, overflows, result_places, ten_to};
use crate::{Error, ErrorCode, Result};
use num_bigint::{BigInt, Sign};
use num_integer::Integer;

/// Digits behind those that are asked for.
const GUARD: u32 = 12;

/// Beyond, `exp` has too many digits, or none.
const EXPONENT_MAX: f64 = 6_000.0;

/// log10(e).
#[expect(clippy::approx_constant, reason = "PostgreSQL's own digits, from which the places of its results follow")]
const PER_E: f64 = 0.434_294_481_903_252;

impl Numeric {
    /// # Errors
    /// 22003 when the power has too many digits.
    pub fn exp(&self) -> Result<Self> {
        match self {
            Self::Nan => Ok(Self::Nan),
            Self::Infinite { negative: true } => Ok(Self::from(0)),
            Self::Infinite { negative: false } => Ok(Self::INFINITY),
            Self::Finite(of) => {
                let weight = truncated(self.to_double() * PER_E).clamp(-2_000, 2_000);
                Self::checked(of.exp(result_places(SIGNIFICANT_MIN - weight, of.places))?)
            }
        }
    }

    /// # Errors
    /// 2201E for 0 and numbers below.
    pub fn ln(&self) -> Result<Self> {
        self.has_logarithm()?;
        let Self::Finite(of) = self else { return Ok(self.clone()) };
        Self::checked(of.ln(result_places(SIGNIFICANT_MIN - of.logarithm_weight(), of.places)))
    }

    /// The logarithm to a base.
    ///
    /// # Errors
    /// 2201E for 0 and numbers below, 22012 for the base 1.
    pub fn log(&self, base: &Self) -> Result<Self> {
        if self.is_nan() || base.is_nan() {
            return Ok(Self::Nan);
        }
        base.has_logarithm()?;
        self.has_logarithm()?;
        let (num, base) = match (self, base) {
            (Self::Finite(num), Self::Finite(base)) => (num, base),
            // Both infinite: their quotient has no value.
            (Self::Infinite { .. }, Self::Infinite { .. }) => return Ok(Self::Nan),
            (Self::Infinite { .. }, _) => return Ok(Self::INFINITY),
            (_, _) => return Ok(Self::from(0)),
        };
        let (of_base, of_num) = (base.logarithm_weight(), num.logarithm_weight());
        let weight = of_num - of_base;
        let places = result_places(SIGNIFICANT_MIN - weight, base.places.max(num.places));
        let exact = |own: i64| u32::try_from((i64::from(places) + weight - own + 8).max(0)).unwrap_or(0);
        let divisor = base.ln(exact(of_base));
        if divisor.is_zero() {
            return Err(super::division_by_zero());
        }
        Self::checked(num.ln(exact(of_num)).divided(&divisor, places))
    }

    fn has_logarithm(&self) -> Result<()> {
        let refused = |text: &'static str| Err(Error::new(ErrorCode::InvalidLogarithmArgument, text));
        match self {
            Self::Nan => Ok(()),
            _ if self.signum() < 0 => refused("cannot take logarithm of a negative number"),
            _ if self.signum() == 0 => refused("cannot take logarithm of zero"),
            _ => Ok(()),
        }
    }
}

/// Towards zero, as a cast of C does.
#[expect(clippy::cast_possible_truncation, reason = "saturates, and callers clamp")]
pub(super) fn truncated(value: f64) -> i64 {
    value as i64
}

impl Finite {
    /// Digits before the point of the logarithm, less one; negative near 1, where it is small.
    pub(super) fn logarithm_weight(&self) -> i64 {
        if self.signum() <= 0 {
            return 0;
        }
        let one = Self { digits: BigInt::from(1), places: 0 };
        let tenth = |digits: i32| Self { digits: BigInt::from(digits), places: 1 };
        if self.compared(&tenth(9)).is_ge() && self.compared(&tenth(11)).is_le() {
            let places = self.places;
            let distance = Self { digits: self.at(places) - one.at(places), places };
            return if distance.is_zero() { 0 } else { distance.magnitude() - 1 };
        }
        truncated(self.ln_double().abs().log10())
    }

    /// The logarithm, about; right for numbers that are no doubles, too.
    pub(super) fn ln_double(&self) -> f64 {
        let shown = self.to_scientific();
        let (mantissa, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
        let (mantissa, exponent) = (mantissa.parse().unwrap_or(1.0_f64), exponent.parse().unwrap_or(0.0_f64));
        mantissa.ln() + exponent * std::f64::consts::LN_10
    }

    /// # Errors
    /// 22003 for a power that has too many digits.
    pub(super) fn exp(&self, places: u32) -> Result<Self> {
        let about = Numeric::Finite(self.clone()).to_double();
        if about.abs() >= EXPONENT_MAX {
            return if about > 0.0 { Err(overflows()) } else { Ok(Self::zero(places)) };
        }
        // Digits before the point take as many more behind it, for each is wrong by as much as the factors before it.
        let before = u32::try_from(truncated(about.max(0.0) * PER_E)).unwrap_or(0) + 1;
        const HALVINGS: u32 = 32;
        let scale = places + before + GUARD + HALVINGS.div_ceil(3);
        let unit = ten_to(scale);
        // e^x is (e^(x / 2^n))^(2^n), and the series of a small power is short.
        let halvings = truncated(about.abs().max(1.0).log2()).unsigned_abs();
        let halvings = u32::try_from(halvings).unwrap_or(0) + HALVINGS / 2;
        let small = self.rounded(i64::from(scale)).digits >> halvings;
        let (mut sum, mut term) = (unit.clone(), unit.clone());
        for n in 1_u32.. {
            term = &term * &small / (&unit * n);
            if term.sign() == Sign::NoSign {
                break;
            }
            sum += &term;
        }
        for _ in 0..halvings {
            sum = &sum * &sum / &unit;
        }
        Ok(Self { digits: sum, places: scale }.rounded(i64::from(places)))
    }

    /// Of a number above 0.
    pub(super) fn ln(&self, places: u32) -> Self {
        let scale = places + GUARD + 8;
        // A number between 1 and 10, times a power of ten.
        let shift = self.magnitude() - 1;
        let mantissa = Self::of(self.digits.clone(), i64::from(self.places) + shift);
        let near_one = (-1..=0).contains(&shift);
        let digits = if near_one {
            logarithm(&self.scaled(scale), scale)
        } else {
            let ten = logarithm(&(ten_to(scale) * 10_u8), scale);
            logarithm(&mantissa.scaled(scale), scale) + ten * shift
        };
        Self { digits, places: scale }.rounded(i64::from(places))
    }

    /// The digits, cut to a number of places.
    fn scaled(&self, places: u32) -> BigInt {
        if places >= self.places { self.at(places) } else { self.cut(i64::from(places)).digits }
    }
}

/// The natural logarithm of a number between 0.1 and 10; both have the given number of places.
fn logarithm(of: &BigInt, scale: u32) -> BigInt {
    // Roots bring the number near 1; each costs a digit.
    const ROOTS: u32 = 16;
    let scale_within = scale + ROOTS;
    let unit = ten_to(scale_within);
    let mut near = of * ten_to(ROOTS);
    for _ in 0..ROOTS {
        near = (&near * &unit).sqrt();
    }
    // ln x = 2 artanh((x − 1) / (x + 1)).
    let ratio: BigInt = (&near - &unit) * &unit / (&near + &unit);
    let square = &ratio * &ratio / &unit;
    let (mut sum, mut power) = (ratio.clone(), ratio);
    for n in (3_u32..).step_by(2) {
        power = &power * &square / &unit;
        if power.sign() == Sign::NoSign {
            break;
        }
        sum += &power / n;
    }
    (sum << (ROOTS + 1)).div_floor(&ten_to(ROOTS))
}
