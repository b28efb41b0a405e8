//! Numerics as bytes: in an array's cells, where the order of the bytes is the order of the values, and as PostgreSQL sends them.

use super::{Finite, Numeric, PLACES_MAX, ten_to};
use num_bigint::{BigInt, BigUint, Sign};
use num_integer::Integer;

/// First byte of a cell. Values of one class are ordered by what follows.
const NEGATIVE_INFINITY: u8 = 1;
const NEGATIVE: u8 = 2;
const ZERO: u8 = 3;
const POSITIVE: u8 = 4;
const INFINITY: u8 = 5;
const NAN: u8 = 6;

/// Bytes of the exponent, and what is added to it.
const EXPONENT_BYTES: usize = 3;
const EXPONENT_BIAS: i64 = 1 << 22;

/// Bytes behind the value: the places that it is shown with.
const PLACES_BYTES: usize = 2;

/// The part of a cell that is equal for equal values and ordered as they are: all but the places.
#[must_use]
pub fn ordered_key(cell: &[u8]) -> &[u8] {
    cell.split_last_chunk::<PLACES_BYTES>().map_or(cell, |(key, _)| key)
}

impl Numeric {
    /// Appends the value as a cell: class, exponent of 100, digits of base 100 from 1 on, a zero behind them, and the places. Of
    /// negative numbers exponent and digits are inverted.
    pub fn write_cell(&self, to: &mut Vec<u8>) {
        let places = match self {
            Self::Nan => {
                to.push(NAN);
                0
            }
            Self::Infinite { negative } => {
                to.push(if *negative { NEGATIVE_INFINITY } else { INFINITY });
                0
            }
            Self::Finite(finite) => {
                finite.write_key(to);
                finite.places
            }
        };
        to.extend(u16::try_from(places).unwrap_or(u16::MAX).to_be_bytes());
    }

    #[must_use]
    pub fn to_cell(&self) -> Vec<u8> {
        let mut cell = Vec::with_capacity(16);
        self.write_cell(&mut cell);
        cell
    }

    /// The value of a cell; `None` of bytes that are none.
    #[must_use]
    pub fn from_cell(cell: &[u8]) -> Option<Self> {
        let (key, places) = cell.split_last_chunk::<PLACES_BYTES>()?;
        let places = u32::from(u16::from_be_bytes(*places));
        let (class, rest) = key.split_first()?;
        Some(match *class {
            NEGATIVE_INFINITY => Self::NEGATIVE_INFINITY,
            INFINITY => Self::INFINITY,
            NAN => Self::Nan,
            ZERO => Self::Finite(Finite::zero(places)),
            POSITIVE => Self::Finite(Finite::read_key(rest, 0, places)?),
            NEGATIVE => Self::Finite(Finite::read_key(rest, 0xff, places)?),
            _ => return None,
        })
    }

    /// As PostgreSQL sends it: number of groups, weight of the first, sign, places, groups of four digits.
    #[must_use]
    pub fn to_wire(&self) -> Vec<u8> {
        let words = |count: u16, weight: i16, sign: u16, places: u16| {
            let mut bytes = Vec::with_capacity(8 + usize::from(count) * 2);
            bytes.extend(count.to_be_bytes());
            bytes.extend(weight.to_be_bytes());
            bytes.extend(sign.to_be_bytes());
            bytes.extend(places.to_be_bytes());
            bytes
        };
        let finite = match self {
            Self::Nan => return words(0, 0, 0xC000, 0),
            Self::Infinite { negative: false } => return words(0, 0, 0xD000, 0),
            Self::Infinite { negative: true } => return words(0, 0, 0xF000, 0),
            Self::Finite(finite) => finite,
        };
        let places = u16::try_from(finite.places).unwrap_or(u16::MAX);
        let filled = finite.places.next_multiple_of(4);
        let groups = finite.at(filled).magnitude().to_radix_be(10);
        let padding = (4 - groups.len() % 4) % 4;
        let digits: Vec<u8> = std::iter::repeat_n(0, padding).chain(groups).collect();
        let group = |four: &[u8]| four.iter().fold(0_u16, |value, digit| value * 10 + u16::from(*digit));
        let mut groups: Vec<u16> = digits.chunks(4).map(group).collect();
        let mut weight = i64::try_from(groups.len()).unwrap_or(0) - i64::from(filled / 4) - 1;
        let leading = groups.iter().take_while(|group| **group == 0).count();
        groups.drain(..leading);
        weight -= i64::try_from(leading).unwrap_or(0);
        while groups.last() == Some(&0) {
            groups.pop();
        }
        if groups.is_empty() {
            return words(0, 0, 0, places);
        }
        let sign = if finite.digits.sign() == Sign::Minus { 0x4000 } else { 0 };
        let mut bytes = words(
            u16::try_from(groups.len()).unwrap_or(u16::MAX),
            i16::try_from(weight).unwrap_or(i16::MAX),
            sign,
            places,
        );
        groups.iter().for_each(|group| bytes.extend(group.to_be_bytes()));
        bytes
    }

    /// What PostgreSQL sends; digits behind the places are cut, as it does. `None` of bytes that are no numeric.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes.chunks_exact(2).map(|word| match word {
            [high, low] => u16::from_be_bytes([*high, *low]),
            _ => 0,
        });
        if bytes.len() % 2 != 0 {
            return None;
        }
        let (count, weight, sign, places) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let weight = i64::from(i16::from_be_bytes(weight.to_be_bytes()));
        let negative = match sign {
            0 => false,
            0x4000 => true,
            0xC000 => return Some(Self::Nan),
            0xD000 => return Some(Self::INFINITY),
            0xF000 => return Some(Self::NEGATIVE_INFINITY),
            _ => return None,
        };
        if words.len() != usize::from(count) || u32::from(places) > PLACES_MAX {
            return None;
        }
        let mut digits = Vec::with_capacity(usize::from(count) * 4);
        for group in words {
            if group >= 10_000 {
                return None;
            }
            digits.extend([group / 1_000, group / 100 % 10, group / 10 % 10, group % 10].map(|d| d.to_le_bytes()[0]));
        }
        let value = BigUint::from_radix_be(&digits, 10).unwrap_or_default();
        let value = BigInt::from_biguint(if negative { Sign::Minus } else { Sign::Plus }, value);
        // The groups end so many digits behind the point.
        let behind = (i64::from(count) - 1 - weight) * 4;
        let finite = Finite::of(value, behind);
        Some(Self::Finite(if finite.places == u32::from(places) { finite } else { finite.cut(i64::from(places)) }))
    }
}

impl Finite {
    fn write_key(&self, to: &mut Vec<u8>) {
        let (class, invert) = match self.digits.sign() {
            Sign::NoSign => {
                to.push(ZERO);
                return;
            }
            Sign::Plus => (POSITIVE, 0),
            Sign::Minus => (NEGATIVE, 0xff),
        };
        to.push(class);
        // Digits of base 100 stand in pairs from the point on.
        let even = self.places.next_multiple_of(2);
        let mut pairs = match u128::try_from(self.digits.magnitude()) {
            Ok(small) if even == self.places => pairs_of(small),
            Ok(small) if small < u128::MAX / 10 => pairs_of(small * 10),
            _ => self.at(even).magnitude().to_radix_be(100),
        };
        let exponent = i64::try_from(pairs.len()).unwrap_or(i64::MAX) - i64::from(even / 2) + EXPONENT_BIAS;
        while pairs.last() == Some(&0) {
            pairs.pop();
        }
        let exponent = exponent.to_be_bytes();
        to.extend(exponent[exponent.len() - EXPONENT_BYTES..].iter().map(|byte| byte ^ invert));
        to.extend(pairs.iter().map(|pair| (pair + 1) ^ invert));
        to.push(invert);
    }

    fn read_key(key: &[u8], invert: u8, places: u32) -> Option<Self> {
        let (exponent, rest) = key.split_first_chunk::<EXPONENT_BYTES>()?;
        let exponent =
            exponent.iter().fold(0_i64, |value, byte| (value << 8) | i64::from(byte ^ invert)) - EXPONENT_BIAS;
        let (end, pairs) = rest.split_last()?;
        if *end != invert {
            return None;
        }
        let digits = pairs.iter().map(|byte| (byte ^ invert).checked_sub(1).filter(|pair| *pair < 100));
        let sign = if invert == 0 { Sign::Plus } else { Sign::Minus };
        // Digits behind the point that the pairs hold.
        let behind = (i64::try_from(pairs.len()).ok()? - exponent) * 2;
        let value = if pairs.len() <= 18 {
            digits.into_iter().try_fold(0_u128, |value, pair| Some(value * 100 + u128::from(pair?)))?.into()
        } else {
            BigUint::from_radix_be(&digits.collect::<Option<Vec<u8>>>()?, 100)?
        };
        let value = BigInt::from_biguint(sign, value);
        let missing = i64::from(places) - behind;
        let digits = match u32::try_from(missing) {
            Ok(0) => value,
            Ok(missing) => value * ten_to(missing),
            Err(_) => value.div_floor(&ten_to(u32::try_from(-missing).ok()?)),
        };
        Some(Self { digits, places })
    }
}

fn pairs_of(mut value: u128) -> Vec<u8> {
    let mut pairs = Vec::with_capacity(20);
    while value > 0 {
        pairs.push((value % 100).to_le_bytes()[0]);
        value /= 100;
    }
    pairs.reverse();
    pairs
}
