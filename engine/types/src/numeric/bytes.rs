//! Numerics as an array's cells, where the order of the bytes is the order of the values.

use super::cell::{
    Cell, EXPONENT_BIAS, EXPONENT_BYTES, INFINITY, NAN, NEGATIVE, NEGATIVE_INFINITY, PLACES_BYTES, POSITIVE, ZERO,
};
use super::{Finite, Numeric};
use num_bigint::Sign;

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

    /// As [`write_cell`](Self::write_cell), in bytes of its own.
    #[must_use]
    pub fn to_cell(&self) -> Vec<u8> {
        let mut cell = Vec::with_capacity(16);
        self.write_cell(&mut cell);
        cell
    }

    /// The value of a cell; `None` of bytes that are none.
    #[must_use]
    pub fn from_cell(cell: &[u8]) -> Option<Self> {
        Cell::read(cell)?.value()
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
        debug_assert!(pairs.first().is_some_and(|pair| *pair > 0), "the exponent counts no zeros before the digits");
        debug_assert!(pairs.iter().all(|pair| *pair < 100), "digits are of base 100, so that 0 ends them");
        let exponent = exponent.to_be_bytes();
        to.extend(exponent[exponent.len() - EXPONENT_BYTES..].iter().map(|byte| byte ^ invert));
        to.extend(pairs.iter().map(|pair| (pair + 1) ^ invert));
        to.push(invert);
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
