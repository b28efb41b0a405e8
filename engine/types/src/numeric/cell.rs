//! A cell as its parts, and what is written from them without computing the number: text and PostgreSQL's wire form take as long as
//! they are, where the number's digits would take the square of it.

use super::{Finite, Numeric, ten_to};
use num_bigint::{BigInt, BigUint, Sign};
use num_integer::Integer;
use std::fmt::{self, Display, Formatter, Write};

/// First byte of a cell. Values of one class are ordered by what follows.
pub(super) const NEGATIVE_INFINITY: u8 = 1;
pub(super) const NEGATIVE: u8 = 2;
pub(super) const ZERO: u8 = 3;
pub(super) const POSITIVE: u8 = 4;
pub(super) const INFINITY: u8 = 5;
pub(super) const NAN: u8 = 6;

/// Bytes of the exponent, and what is added to it.
pub(super) const EXPONENT_BYTES: usize = 3;
pub(super) const EXPONENT_BIAS: i64 = 1 << 22;

/// Bytes behind the value: the places that it is shown with.
pub(super) const PLACES_BYTES: usize = 2;

/// A numeric as its cell holds it.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    /// Not a number.
    Nan,
    /// An infinity.
    Infinite {
        /// Whether it is below every number.
        negative: bool,
    },
    /// A number, zero included.
    Finite(Pairs<'a>),
}

/// `0.p₁p₂… × 100^exponent` of digits to base 100, with the number of places it is shown with.
#[derive(Debug, Clone, Copy)]
pub struct Pairs<'a> {
    negative: bool,
    /// Pairs before the point; negative are zeros behind it.
    exponent: i64,
    /// Digits to base 100 as they stand in the cell. None of zero.
    stored: &'a [u8],
    places: u32,
}

impl<'a> Cell<'a> {
    /// `None` of bytes that are none.
    #[must_use]
    pub fn read(cell: &'a [u8]) -> Option<Self> {
        let (key, places) = cell.split_last_chunk::<PLACES_BYTES>()?;
        let places = u32::from(u16::from_be_bytes(*places));
        let (class, rest) = key.split_first()?;
        Some(match *class {
            NEGATIVE_INFINITY => Self::Infinite { negative: true },
            INFINITY => Self::Infinite { negative: false },
            NAN => Self::Nan,
            ZERO => Self::Finite(Pairs { negative: false, exponent: 0, stored: &[], places }),
            POSITIVE => Self::Finite(Pairs::read(rest, false, places)?),
            NEGATIVE => Self::Finite(Pairs::read(rest, true, places)?),
            _ => return None,
        })
    }

    /// The number.
    pub(super) fn value(&self) -> Option<Numeric> {
        Some(match self {
            Self::Nan => Numeric::Nan,
            Self::Infinite { negative } => Numeric::Infinite { negative: *negative },
            Self::Finite(pairs) => Numeric::Finite(pairs.value()?),
        })
    }

    /// Digits and places of a number whose digits, zeros behind the point included, take no more than 128 bits; `None` of others.
    #[must_use]
    pub fn small(&self) -> Option<(i128, u32)> {
        match self {
            Self::Nan | Self::Infinite { .. } => None,
            Self::Finite(pairs) => Some((pairs.small()?, pairs.places)),
        }
    }

    /// Whether it is neither NaN nor an infinity.
    #[must_use]
    pub const fn is_finite(&self) -> bool {
        matches!(self, Self::Finite(_))
    }

    /// Bytes of its text, at most.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::Nan | Self::Infinite { .. } => "-Infinity".len(),
            Self::Finite(pairs) => {
                let whole = usize::try_from(pairs.exponent.max(1)).unwrap_or(0).saturating_mul(2);
                // Sign and point.
                whole.saturating_add(pairs.places as usize).saturating_add(2)
            }
        }
    }

    /// As PostgreSQL sends it: number of groups, weight of the first, sign, places, groups of four digits.
    pub fn write_wire(&self, to: &mut Vec<u8>) {
        let mut words = |words: [u16; 4]| words.iter().for_each(|word| to.extend(word.to_be_bytes()));
        match self {
            Self::Nan => words([0, 0, 0xC000, 0]),
            // The server takes some bits of their marks for places, and sends them.
            Self::Infinite { negative: false } => words([0, 0, 0xD000, 32]),
            Self::Infinite { negative: true } => words([0, 0, 0xF000, 32]),
            Self::Finite(pairs) => pairs.write_wire(to),
        }
    }
}

impl<'a> Pairs<'a> {
    fn read(key: &'a [u8], negative: bool, places: u32) -> Option<Self> {
        let (exponent, rest) = key.split_first_chunk::<EXPONENT_BYTES>()?;
        let invert = inverted(negative);
        let exponent =
            exponent.iter().fold(0_i64, |value, byte| (value << 8) | i64::from(byte ^ invert)) - EXPONENT_BIAS;
        let (end, stored) = rest.split_last()?;
        let pairs = Self { negative, exponent, stored, places };
        (*end == invert && pairs.digits().all(|pair| pair < 100)).then_some(pairs)
    }

    /// The digits to base 100, from the first that is not zero.
    fn digits(self) -> impl Iterator<Item = u8> + 'a {
        let invert = inverted(self.negative);
        self.stored.iter().map(move |byte| (byte ^ invert).wrapping_sub(1))
    }

    fn small(self) -> Option<i128> {
        // 100^18 and less.
        if self.stored.len() > 18 {
            return None;
        }
        let value = self.digits().fold(0_i128, |value, pair| value * 100 + i128::from(pair));
        let behind = (i64::try_from(self.stored.len()).ok()? - self.exponent) * 2;
        let missing = i64::from(self.places) - behind;
        let value = match u32::try_from(missing) {
            Ok(missing) => value.checked_mul(10_i128.checked_pow(missing)?)?,
            Err(_) => value.checked_div(10_i128.checked_pow(u32::try_from(-missing).ok()?)?)?,
        };
        Some(if self.negative { -value } else { value })
    }

    fn value(self) -> Option<Finite> {
        let sign = if self.negative { Sign::Minus } else { Sign::Plus };
        // Digits behind the point that the pairs hold.
        let behind = (i64::try_from(self.stored.len()).ok()? - self.exponent) * 2;
        let value = if self.stored.len() <= 18 {
            self.digits().fold(0_u128, |value, pair| value * 100 + u128::from(pair)).into()
        } else {
            BigUint::from_radix_be(&self.digits().collect::<Vec<u8>>(), 100)?
        };
        let value = BigInt::from_biguint(sign, value);
        let missing = i64::from(self.places) - behind;
        let digits = match u32::try_from(missing) {
            Ok(0) => value,
            Ok(missing) => value * ten_to(missing),
            Err(_) => value.div_floor(&ten_to(u32::try_from(-missing).ok()?)),
        };
        Some(Finite { digits, places: self.places })
    }

    fn write_wire(self, to: &mut Vec<u8>) {
        let places = u16::try_from(self.places).unwrap_or(u16::MAX);
        let sign: u16 = if self.negative { 0x4000 } else { 0 };
        // Groups stand in fours from the point on, so an odd number of pairs before it has a zero before it.
        let padding = usize::from(self.exponent.rem_euclid(2) == 1);
        let count = (self.stored.len() + padding).div_ceil(2);
        let weight = if count == 0 { 0 } else { (self.exponent + 1).div_euclid(2) - 1 };
        to.extend(u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
        to.extend(i16::try_from(weight).unwrap_or(i16::MAX).to_be_bytes());
        to.extend(sign.to_be_bytes());
        to.extend(places.to_be_bytes());
        let mut pairs = std::iter::repeat_n(0, padding).chain(self.digits());
        while let Some(high) = pairs.next() {
            let group = u16::from(high) * 100 + u16::from(pairs.next().unwrap_or(0));
            to.extend(group.to_be_bytes());
        }
    }
}

const fn inverted(negative: bool) -> u8 {
    if negative { 0xff } else { 0 }
}

impl Display for Cell<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nan => f.write_str("NaN"),
            Self::Infinite { negative: false } => f.write_str("Infinity"),
            Self::Infinite { negative: true } => f.write_str("-Infinity"),
            Self::Finite(pairs) => pairs.fmt(f),
        }
    }
}

impl Display for Pairs<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_char('-')?;
        }
        let digit = |of: u8| char::from(b'0' + of);
        let mut pairs = self.digits();
        if self.exponent <= 0 {
            f.write_char('0')?;
        }
        for at in 0..self.exponent {
            let pair = pairs.next().unwrap_or(0);
            if at > 0 || pair > 9 {
                f.write_char(digit(pair / 10))?;
            }
            f.write_char(digit(pair % 10))?;
        }
        if self.places == 0 {
            return Ok(());
        }
        f.write_char('.')?;
        let zeros = usize::try_from(-self.exponent).unwrap_or(0);
        let mut behind = std::iter::repeat_n(0, zeros).chain(pairs).chain(std::iter::repeat(0));
        for _ in 0..self.places / 2 {
            let pair = behind.next().unwrap_or(0);
            f.write_char(digit(pair / 10))?;
            f.write_char(digit(pair % 10))?;
        }
        if self.places % 2 == 1 {
            f.write_char(digit(behind.next().unwrap_or(0) / 10))?;
        }
        Ok(())
    }
}
