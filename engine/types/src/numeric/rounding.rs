//! Fewer places, and more.

use super::{Finite, Numeric, PLACES_MAX, WHOLE_DIGITS_MAX, ten_to};
use crate::{Error, ErrorCode, Result};
use num_bigint::{BigInt, Sign};
use num_integer::Integer;

impl Numeric {
    /// Rounded to a number of places, halves away from zero; a negative number means zeros before the point.
    ///
    /// # Errors
    /// 22003 when the rounded number has too many digits.
    pub fn round(&self, places: i64) -> Result<Self> {
        self.finite(|finite| finite.rounded(bounded(places)))
    }

    /// Cut to a number of places.
    ///
    /// # Errors
    /// None: fewer digits always fit.
    pub fn trunc(&self, places: i64) -> Result<Self> {
        self.finite(|finite| finite.cut(bounded(places)))
    }

    /// # Errors
    /// 22003 when the whole number above has too many digits.
    pub fn ceil(&self) -> Result<Self> {
        self.finite(|finite| {
            let digits = finite.digits.div_ceil(&ten_to(finite.places));
            Finite { digits, places: 0 }
        })
    }

    /// # Errors
    /// 22003 when the whole number below has too many digits.
    pub fn floor(&self) -> Result<Self> {
        self.finite(|finite| {
            let digits = finite.digits.div_floor(&ten_to(finite.places));
            Finite { digits, places: 0 }
        })
    }

    /// Without the zeros at its end.
    #[must_use]
    pub fn trim_scale(&self) -> Self {
        match self {
            Self::Finite(finite) => Self::Finite(finite.trimmed()),
            Self::Nan | Self::Infinite { .. } => self.clone(),
        }
    }

    /// In `numeric(precision, scale)`.
    ///
    /// # Errors
    /// 22003 when it has more digits before the point, or is infinite.
    pub fn in_type(&self, precision: u32, scale: i64) -> Result<Self> {
        let overflow = |detail: String| {
            Err(Error::new(ErrorCode::NumericOutOfRange, "numeric field overflow").with_detail(detail))
        };
        match self {
            Self::Nan => Ok(Self::Nan),
            Self::Infinite { .. } => {
                overflow(format!("A field with precision {precision}, scale {scale} cannot hold an infinite value."))
            }
            Self::Finite(finite) => {
                let rounded = finite.rounded(scale);
                let whole = i64::from(precision) - scale;
                if rounded.is_zero() || rounded.magnitude() <= whole {
                    return Ok(Self::Finite(rounded));
                }
                overflow(format!(
                    "A field with precision {precision}, scale {scale} must round to an absolute value less than {}.",
                    if whole == 0 { "1".to_owned() } else { format!("10^{whole}") }
                ))
            }
        }
    }

    pub(super) fn finite(&self, change: impl FnOnce(&Finite) -> Finite) -> Result<Self> {
        match self {
            Self::Finite(finite) => Self::checked(change(finite)),
            Self::Nan | Self::Infinite { .. } => Ok(self.clone()),
        }
    }
}

/// More digits than a numeric has are none.
fn bounded(places: i64) -> i64 {
    places.clamp(-i64::from(WHOLE_DIGITS_MAX) - 1, i64::from(PLACES_MAX))
}

impl Finite {
    pub(super) fn rounded(&self, places: i64) -> Self {
        self.with_places(places, |digits, unit| {
            let half: BigInt = unit / 2;
            if digits.sign() == Sign::Minus { (digits - half) / unit } else { (digits + half) / unit }
        })
    }

    pub(super) fn cut(&self, places: i64) -> Self {
        self.with_places(places, |digits, unit| digits / unit)
    }

    fn with_places(&self, places: i64, divided: impl FnOnce(&BigInt, &BigInt) -> BigInt) -> Self {
        let shown = u32::try_from(places).unwrap_or(0);
        let fewer = i64::from(self.places) - places;
        let Ok(fewer) = u32::try_from(fewer) else { return Self { digits: self.at(shown), places: shown } };
        // A number far below the unit is none of it, whatever the unit is.
        if self.is_zero() || self.magnitude() < -places {
            return Self::zero(shown);
        }
        let digits = divided(&self.digits, &ten_to(fewer));
        Self::of(digits, places)
    }

    pub(super) fn trimmed(&self) -> Self {
        let mut trimmed = self.clone();
        let ten = BigInt::from(10);
        while trimmed.places > 0 {
            let (quotient, rest) = trimmed.digits.div_rem(&ten);
            if rest.sign() != Sign::NoSign {
                break;
            }
            trimmed = Self { digits: quotient, places: trimmed.places - 1 };
        }
        trimmed
    }
}
