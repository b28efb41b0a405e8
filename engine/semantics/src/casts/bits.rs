//! Strings of bits: read, made of whole numbers, and their operators. In plans they are texts of `0` and `1`.

use super::conversions::{named, texts_of};
use crate::bounds::ResultBytes;
use crate::fault::{Fault, external};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray, StringViewArray};
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::{DataFusionError, Result};
use querygate_types::{Error, ErrorCode, bits};
use std::sync::Arc;

/// Whether values are strings of bits.
pub fn is_bits(field: &Field) -> bool {
    matches!(named(field), Some("bit" | "varbit"))
}

pub(crate) fn read(text: &str) -> Result<String> {
    bits::read(text).map_err(|message| external(Error::new(ErrorCode::InvalidTextRepresentation, message)))
}

/// The last bits of whole numbers of so many bits, `bit(1)` without a length; longer ones begin with the number's sign.
pub(crate) fn of_whole(values: &ArrayRef, width: usize, length: Option<&str>) -> Result<ArrayRef> {
    let length = length.and_then(|length| length.parse::<usize>().ok()).unwrap_or(1);
    let values = arrow::compute::cast(values, &DataType::Int64)?;
    let text = |value: i64| {
        let sign = if value < 0 { '1' } else { '0' };
        let all = format!("{value:064b}");
        let own = all.get(64 - width.min(length)..).unwrap_or_default();
        let extended = length.saturating_sub(width);
        std::iter::repeat_n(sign, extended).chain(own.chars()).collect::<String>()
    };
    let mut made = ResultBytes::default();
    let mut bounded = |value: i64| -> Result<String> {
        made.add(length)?;
        Ok(text(value))
    };
    let values = values.as_primitive::<Int64Type>().iter();
    Ok(Arc::new(values.map(|value| value.map(&mut bounded).transpose()).collect::<Result<StringArray>>()?))
}

/// Texts in the length of `bit(n)`.
pub(crate) fn in_length(texts: &StringViewArray, length: usize) -> Result<Vec<Option<String>>> {
    let mut made = ResultBytes::default();
    let mut all = Vec::with_capacity(texts.len());
    for text in texts {
        if text.is_some() {
            made.add(length)?;
        }
        all.push(text.map(|text| Ok::<_, DataFusionError>(bits::in_length(&read(text)?, length))).transpose()?);
    }
    Ok(all)
}

/// Whole numbers of the width of a type: the first of as many bits is the sign.
pub(crate) fn to_whole(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let (width, name) = if *to == DataType::Int64 { (64, "bigint") } else { (32, "integer") };
    let read = |text: &str| {
        if text.len() > width {
            return Err(Fault::OutOfRange(name).error());
        }
        let value = u64::from_str_radix(text, 2).or_else(|fault| if text.is_empty() { Ok(0) } else { Err(fault) });
        let value = value.map_err(|_| Fault::Syntax("bit").error())?;
        Ok(if width == 32 { i64::from((value as u32).cast_signed()) } else { value.cast_signed() })
    };
    let texts = texts_of(values)?;
    let whole: ArrayRef =
        Arc::new(texts.iter().map(|text| text.map(read).transpose()).collect::<Result<Int64Array>>()?);
    Ok(arrow::compute::cast(&whole, to)?)
}

/// Bits of two strings of one length, each pair as one bit.
///
/// # Errors
/// 22026 for strings of two lengths.
pub(crate) fn paired(word: &str, left: &str, right: &str, pair: fn(bool, bool) -> bool) -> Result<String> {
    if left.len() != right.len() {
        let message = format!("cannot {word} bit strings of different sizes");
        return Err(external(Error::new(ErrorCode::StringDataLengthMismatch, message)));
    }
    let digit = |(a, b): (char, char)| if pair(a == '1', b == '1') { '1' } else { '0' };
    Ok(left.chars().zip(right.chars()).map(digit).collect())
}

/// Bits moved to the left, or to the right for a negative number; zeros come in.
pub(crate) fn shifted(bits: &str, by: i64) -> String {
    let away = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX).min(bits.len());
    let (kept, zeros) = (bits.len() - away, "0".repeat(away));
    if by >= 0 {
        format!("{}{zeros}", bits.get(away..).unwrap_or_default())
    } else {
        format!("{zeros}{}", bits.get(..kept).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int32Array;

    #[test]
    fn whole_numbers_become_bits_and_back() {
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![44, -44]));
        for (length, expected) in [("10", ["0000101100", "1111010100"]), ("3", ["100", "100"])] {
            let bits = of_whole(&numbers, 32, Some(length)).unwrap();
            assert_eq!(bits.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), expected);
        }
        let long = of_whole(&numbers, 32, Some("34")).unwrap();
        assert!(long.as_string::<i32>().value(1).starts_with("111") && long.as_string::<i32>().value(0).len() == 34);
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["1110", "", &"1".repeat(32)]));
        let numbers = to_whole(&texts, &DataType::Int32).unwrap();
        assert_eq!(numbers.as_ref(), &Int32Array::from(vec![14, 0, -1]));
        let long: ArrayRef = Arc::new(StringArray::from(vec!["1".repeat(33)]));
        assert!(to_whole(&long, &DataType::Int32).is_err() && to_whole(&long, &DataType::Int64).is_ok());
    }

    #[test]
    fn bits_are_paired_and_moved() {
        assert_eq!(paired("AND", "1100", "1010", |a, b| a && b).unwrap(), "1000");
        assert!(paired("OR", "1", "10", |a, b| a || b).is_err());
        assert_eq!([shifted("10001", 3), shifted("10001", -2), shifted("101", 9)], ["01000", "00100", "000"]);
    }
}
