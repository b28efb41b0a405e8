//! Numerics read from text and printed, as PostgreSQL's input and output functions do.

use super::{Finite, Numeric, PLACES_MAX, WHOLE_DIGITS_MAX, overflows};
use crate::Error;
use num_bigint::{BigInt, Sign};
use std::fmt::{self, Display, Formatter};

/// Why a text is no numeric.
#[derive(Debug)]
pub enum NotNumeric {
    /// It is not spelled as one.
    Spelling,
    /// It has more digits than one has.
    Width(Error),
}

impl std::str::FromStr for Numeric {
    type Err = NotNumeric;

    fn from_str(text: &str) -> Result<Self, NotNumeric> {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
        let (negative, magnitude) = match text.as_bytes().first() {
            Some(b'-') => (true, text.get(1..).unwrap_or_default()),
            Some(b'+') => (false, text.get(1..).unwrap_or_default()),
            _ => (false, text),
        };
        let is = |name: &str| magnitude.eq_ignore_ascii_case(name);
        if is("inf") || is("infinity") {
            return Ok(Self::Infinite { negative });
        }
        // NaN has no sign.
        if text.eq_ignore_ascii_case("nan") {
            return Ok(Self::Nan);
        }
        Finite::read(magnitude, negative).map(Self::Finite)
    }
}

impl Numeric {
    /// One digit before the point, a given number behind it, and an exponent of at least two digits; `None` of NaN and infinities.
    #[must_use]
    pub fn to_exponent(&self, places: u32) -> Option<String> {
        let Self::Finite(finite) = self else { return None };
        let mut exponent = if finite.is_zero() { 0 } else { finite.magnitude() - 1 };
        let shown = |exponent: i64| {
            Finite::of(finite.digits.clone(), i64::from(finite.places) + exponent).rounded(i64::from(places))
        };
        let mut digits = shown(exponent);
        // Rounding may have made it ten.
        if digits.magnitude() > 1 {
            exponent += 1;
            digits = shown(exponent);
        }
        Some(format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs()))
    }
}

impl Finite {
    fn read(magnitude: &str, negative: bool) -> Result<Self, NotNumeric> {
        let (mantissa, exponent) = magnitude.split_once(['e', 'E']).map_or((magnitude, None), |(m, e)| (m, Some(e)));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
            return Err(NotNumeric::Spelling);
        }
        let exponent = match exponent {
            Some(text) => read_exponent(text)?,
            None => 0,
        };
        let places = i64::try_from(fraction.len()).unwrap_or(i64::MAX).saturating_sub(exponent);
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        let magnitude = i64::try_from(digits.len()).unwrap_or(i64::MAX).saturating_sub(places);
        let zero = digits.is_empty();
        let wide = !zero && magnitude > i64::from(WHOLE_DIGITS_MAX);
        if wide || places > i64::from(PLACES_MAX) || fraction.len() > PLACES_MAX as usize {
            return Err(NotNumeric::Width(overflows()));
        }
        if zero {
            return Ok(Self::zero(u32::try_from(places.max(0)).unwrap_or(0)));
        }
        let Some(value) = BigInt::parse_bytes(digits.as_bytes(), 10) else { return Err(NotNumeric::Spelling) };
        Ok(Self::of(if negative { -value } else { value }, places))
    }

    /// Significant digits enough for a double, and an exponent.
    pub(super) fn to_scientific(&self) -> String {
        let digits = self.digits.magnitude().to_string();
        let kept = digits.get(..digits.len().min(40)).unwrap_or(&digits);
        // What is cut off may decide which double is nearest; a digit more says that it was there.
        let rest = digits.get(kept.len()..).is_some_and(|rest| rest.bytes().any(|digit| digit != b'0'));
        let cut = i64::try_from(digits.len() - kept.len()).unwrap_or(0) - i64::from(rest);
        let sign = if self.digits.sign() == Sign::Minus { "-" } else { "" };
        format!("{sign}{kept}{}e{}", if rest { "1" } else { "" }, cut - i64::from(self.places))
    }
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn read_exponent(text: &str) -> Result<i64, NotNumeric> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !all_digits(digits) {
        return Err(NotNumeric::Spelling);
    }
    // Beyond, PostgreSQL says so of the text.
    match text.parse::<i64>() {
        Ok(value) if value.abs() < i64::from(i32::MAX) / 2 => Ok(value),
        _ => Err(NotNumeric::Spelling),
    }
}

impl Display for Numeric {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nan => f.write_str("NaN"),
            Self::Infinite { negative: false } => f.write_str("Infinity"),
            Self::Infinite { negative: true } => f.write_str("-Infinity"),
            Self::Finite(finite) => finite.fmt(f),
        }
    }
}

impl Display for Finite {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let places = self.places as usize;
        let digits = format!("{:0>width$}", self.digits.magnitude().to_string(), width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        if self.digits.sign() == Sign::Minus {
            f.write_str("-")?;
        }
        f.write_str(whole)?;
        if places > 0 {
            f.write_str(".")?;
            f.write_str(fraction)?;
        }
        Ok(())
    }
}
