//! Parameters of the few types in which rows are looked up, without arrays around them.

use super::value::{Decimal, Value};
use super::{binary, text, utf8};
use crate::wire::Format;
use querygate_query_api::values::zone::Zone;
use querygate_types::PgType;
use querygate_types::wire_rows::Given;

/// One parameter. `None`: of another type, or no value of its type, which is said where arrays are made.
pub(crate) fn given(pg_type: PgType, format: Format, bytes: &[u8]) -> Option<Given<'_>> {
    match pg_type {
        PgType::Text | PgType::Varchar => return utf8(bytes).ok().map(Given::Text),
        PgType::Bool | PgType::Int2 | PgType::Int4 | PgType::Int8 | PgType::Numeric => {}
        _ => return None,
    }
    let value = match format {
        // No zone changes a number.
        Format::Text => text::value(pg_type, utf8(bytes).ok()?, Zone::UTC),
        Format::Binary => binary::value(pg_type, bytes, 1),
    };
    match (pg_type, value.ok()?) {
        (PgType::Bool, Value::Bool(value)) => Some(Given::Boolean(value)),
        (PgType::Int2, Value::Int(value)) => i16::try_from(value).ok().map(Given::Int16),
        (PgType::Int4, Value::Int(value)) => i32::try_from(value).ok().map(Given::Int32),
        (PgType::Int8, Value::Int(value)) => Some(Given::Int64(value)),
        (PgType::Numeric, Value::Decimal(Decimal { value, scale })) => Some(Given::Decimal { value, scale }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode_parameter;
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Decimal128Type, Int16Type, Int32Type, Int64Type};

    const TYPES: [PgType; 9] = [
        PgType::Bool,
        PgType::Int2,
        PgType::Int4,
        PgType::Int8,
        PgType::Numeric,
        PgType::Text,
        PgType::Varchar,
        PgType::Date,
        PgType::Float8,
    ];

    /// What is given is what the array of one would hold; what the array cannot hold is not given.
    #[test]
    fn values_are_those_of_arrays_and_nothing_else_is_one() {
        let values: [&[u8]; 16] = [
            b"1",
            b"-7",
            b"t",
            b"off",
            b"12.50",
            b"1e3",
            b"NaN",
            b"",
            b" 5 ",
            b"32768",
            b"99999999999999999999",
            b"\0\x01",
            b"\0\0\0\x05",
            b"\0\0\0\0\0\0\0\x09",
            b"\0\x01\0\0\0\0\0\0\0\x05",
            b"\xff",
        ];
        for pg_type in TYPES {
            for (format, bytes) in values.iter().flat_map(|bytes| [(Format::Text, *bytes), (Format::Binary, *bytes)]) {
                let array = decode_parameter(pg_type, format, Some(bytes), 1, &Zone::UTC).ok();
                let expected = array.as_ref().and_then(|array| match pg_type {
                    PgType::Bool => Some(Given::Boolean(array.as_boolean().value(0))),
                    PgType::Int2 => Some(Given::Int16(array.as_primitive::<Int16Type>().value(0))),
                    PgType::Int4 => Some(Given::Int32(array.as_primitive::<Int32Type>().value(0))),
                    PgType::Int8 => Some(Given::Int64(array.as_primitive::<Int64Type>().value(0))),
                    PgType::Numeric => {
                        let array = array.as_primitive::<Decimal128Type>();
                        let scale = u8::try_from(array.scale()).unwrap();
                        Some(Given::Decimal { value: array.value(0), scale })
                    }
                    PgType::Text | PgType::Varchar => Some(Given::Text(array.as_string::<i32>().value(0))),
                    _ => None,
                });
                assert!(given(pg_type, format, bytes) == expected, "{pg_type:?} {format:?} {bytes:?}");
                assert!(array.is_none_or(|array| array.len() == 1));
            }
        }
    }
}
