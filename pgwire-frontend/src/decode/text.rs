//! Parameters in text format, as PostgreSQL's input functions read them. Knows no array layout.

use super::value::Value;
use super::{array, datetime, interval, numeric, out_of_range, syntax};
use querygate_query_api::values::zone::Zone;
use querygate_types::bytes::{self, NoBytes};
use querygate_types::network::{self, Inet};
use querygate_types::{Error, ErrorCode, PgType, Result, array_types, bits, reg_types, uuid};

pub(super) fn value(pg_type: PgType, text: &str, zone: Zone) -> Result<Value> {
    Ok(match pg_type {
        PgType::Bool => Value::Bool(boolean(text).ok_or_else(|| syntax(pg_type, text))?),
        PgType::Int2 => Value::Int(integer(pg_type, text, i16::MIN.into(), i16::MAX.into())?),
        PgType::Int4 => Value::Int(integer(pg_type, text, i32::MIN.into(), i32::MAX.into())?),
        PgType::Int8 => Value::Int(integer(pg_type, text, i64::MIN, i64::MAX)?),
        PgType::Oid | PgType::Xid => Value::Int(integer(pg_type, text, 0, u32::MAX.into())?),
        // Names are looked up by the engine; here only numbers are known.
        reg_types!() => Value::Int(integer(PgType::Oid, text, 0, u32::MAX.into())?),
        PgType::Float4 => Value::Float(float(pg_type, text)?),
        PgType::Float8 => Value::Float(float(pg_type, text)?),
        PgType::Numeric => Value::Decimal(numeric::parse(text)?),
        PgType::Char => Value::Text(text.chars().next().filter(char::is_ascii).map(String::from).unwrap_or_default()),
        PgType::Name
        | PgType::Text
        | PgType::Bpchar
        | PgType::Varchar
        | PgType::Unknown
        | PgType::Json
        | PgType::Jsonb
        | PgType::AclItem
        | PgType::PgNodeTree => Value::Text(text.to_owned()),
        PgType::Bytea => Value::Bytes(bytea(text)?),
        PgType::Uuid => Value::Text(uuid::canonical(text).ok_or_else(|| syntax(pg_type, text))?),
        PgType::Macaddr => Value::Text(network::macaddr(text).ok_or_else(|| syntax(pg_type, text))?),
        PgType::Macaddr8 => Value::Text(network::macaddr8(text).ok_or_else(|| syntax(pg_type, text))?),
        PgType::Bit | PgType::Varbit => Value::Text(bits::read(text).map_err(|_| syntax(pg_type, text))?),
        PgType::Inet => Value::Bytes(Inet::read(text).ok_or_else(|| syntax(pg_type, text))?.key().to_vec()),
        PgType::Cidr => Value::Bytes(Inet::read_network(text).map_err(|_| syntax(pg_type, text))?.key().to_vec()),
        PgType::Date => Value::Date(datetime::date(text)?),
        PgType::Time => Value::Micros(datetime::time(text)?),
        PgType::Timetz => Value::Bytes(datetime::timetz(text, zone)?.key().to_vec()),
        PgType::Timestamp => Value::Micros(datetime::timestamp(text)?),
        PgType::Timestamptz => Value::Micros(datetime::timestamptz(text, zone)?),
        PgType::Interval => Value::Interval(interval::interval(text)?),
        PgType::Int2Vector | PgType::OidVector => {
            let element = if pg_type == PgType::Int2Vector { PgType::Int2 } else { PgType::Oid };
            let items = text.split_ascii_whitespace().map(|item| value(element, item, zone).map(Some));
            Value::List(items.collect::<Result<_>>()?)
        }
        array_types!() => {
            let element = pg_type.element().ok_or_else(|| Error::internal("an array type without an element"))?;
            let items = array::items(text)?;
            let items = items.into_iter().map(|item| item.map(|item| value(element, &item, zone)).transpose());
            Value::List(items.collect::<Result<_>>()?)
        }
        PgType::Void | PgType::Record | PgType::RecordArray => {
            let message = format!("input of type {} is not supported", pg_type.sql_name());
            return Err(Error::new(ErrorCode::FeatureNotSupported, message));
        }
    })
}

/// `parse_bool`: unique prefixes of true, false, yes, no, on, off, and 1, 0.
fn boolean(text: &str) -> Option<bool> {
    let text = text.trim_ascii().to_ascii_lowercase();
    let prefix = |word: &str| !text.is_empty() && word.starts_with(&text);
    if prefix("true") || prefix("yes") || text == "on" || text == "1" {
        Some(true)
    } else if prefix("false") || prefix("no") || (text.len() >= 2 && prefix("off")) || text == "0" {
        Some(false)
    } else {
        None
    }
}

fn integer(pg_type: PgType, text: &str, min: i64, max: i64) -> Result<i64> {
    let trimmed = text.trim_ascii();
    let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(syntax(pg_type, text));
    }
    match trimmed.parse::<i64>() {
        Ok(value) if (min..=max).contains(&value) => Ok(value),
        _ => Err(out_of_range(pg_type, trimmed)),
    }
}

fn float(pg_type: PgType, text: &str) -> Result<f64> {
    let trimmed = text.trim_ascii();
    // Rust also takes "infinity", "inf" and "nan" in any case, as PostgreSQL does.
    let is_word = trimmed.bytes().any(|byte| byte.is_ascii_alphabetic() && !matches!(byte, b'e' | b'E'));
    let value: f64 = trimmed.parse().map_err(|_| syntax(pg_type, text))?;
    let single = pg_type == PgType::Float4;
    let narrow = if single { f64::from(trimmed.parse::<f32>().map_err(|_| syntax(pg_type, text))?) } else { value };
    let has_digits =
        trimmed.split(['e', 'E']).next().is_some_and(|mantissa| mantissa.bytes().any(|b| (b'1'..=b'9').contains(&b)));
    if !is_word && (narrow.is_infinite() || (narrow == 0.0 && has_digits)) {
        let message = format!("\"{trimmed}\" is out of range for type {}", pg_type.sql_name());
        return Err(Error::new(ErrorCode::NumericOutOfRange, message));
    }
    Ok(narrow)
}

/// Hex (`\x…`) or escape format.
fn bytea(text: &str) -> Result<Vec<u8>> {
    bytes::read(text).map_err(|why| match why {
        NoBytes::Digits => Error::new(ErrorCode::InvalidParameterValue, "invalid hexadecimal data"),
        NoBytes::Escape => Error::new(ErrorCode::InvalidTextRepresentation, "invalid input syntax for type bytea"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pg_type: PgType, text: &str, expected: Value) {
        assert_eq!(value(pg_type, text, Zone::UTC).unwrap(), expected, "{pg_type:?} {text}");
    }

    fn refused(pg_type: PgType, text: &str, sqlstate: &str) {
        assert_eq!(value(pg_type, text, Zone::UTC).unwrap_err().code().sqlstate(), sqlstate, "{pg_type:?} {text}");
    }

    #[test]
    fn booleans_take_unique_prefixes() {
        for text in ["t", "TRUE", "y", "on", "1", " yes "] {
            check(PgType::Bool, text, Value::Bool(true));
        }
        for text in ["f", "n", "of", "off", "0", "false"] {
            check(PgType::Bool, text, Value::Bool(false));
        }
        for text in ["", "o", "2", "truee"] {
            refused(PgType::Bool, text, "22P02");
        }
    }

    #[test]
    fn integers_are_bounded_by_their_type() {
        check(PgType::Int2, " -32768 ", Value::Int(-32_768));
        check(PgType::Oid, "4294967295", Value::Int(4_294_967_295));
        refused(PgType::Int2, "32768", "22003");
        refused(PgType::Int8, "9223372036854775808", "22003");
        refused(PgType::Int4, "1.5", "22P02");
        refused(PgType::Int4, "", "22P02");
        refused(PgType::Oid, "-1", "22003");
    }

    #[test]
    fn floats_refuse_overflow_and_underflow() {
        check(PgType::Float8, "1e308", Value::Float(1e308));
        check(PgType::Float8, "-Infinity", Value::Float(f64::NEG_INFINITY));
        check(PgType::Float8, "0e999", Value::Float(0.0));
        refused(PgType::Float8, "1e400", "22003");
        refused(PgType::Float8, "1e-400", "22003");
        refused(PgType::Float4, "1e39", "22003");
        refused(PgType::Float8, "abc", "22P02");
    }

    #[test]
    fn bytea_uuid_and_vectors_are_read() {
        check(PgType::Bytea, "\\x0aFF", Value::Bytes(vec![10, 255]));
        check(PgType::Bytea, "a\\\\b\\001", Value::Bytes(b"a\\b\x01".to_vec()));
        refused(PgType::Bytea, "\\xabc", "22023");
        refused(PgType::Bytea, "\\9", "22P02");
        let canonical = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        for text in [canonical, "A0EEBC999C0B4EF8BB6D6BB9BD380A11", "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}"] {
            check(PgType::Uuid, text, Value::Text(canonical.to_owned()));
        }
        refused(PgType::Uuid, "a0eebc99", "22P02");
        check(PgType::Int2Vector, "2 5", Value::List(vec![Some(Value::Int(2)), Some(Value::Int(5))]));
    }
}
