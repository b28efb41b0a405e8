//! Values → what is bound to `$n`, each with an explicit type and in binary form. Refuses a value that the server cannot hold.

use crate::wire::numeric;
use bytes::{BufMut, BytesMut};
use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::execution::{Binding, BindingForm, NativeStatement};
use querygate_driver_api::value::{ItemType, Value, ValueType};
use std::error::Error;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// 2000-01-01, from which PostgreSQL counts, in days since 1970-01-01.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub(crate) const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// First and last day, from 2000-01-01: 4714-11-24 BC and 5874897-12-31.
const DAYS: std::ops::RangeInclusive<i32> = -2_451_545..=2_145_031_948;
/// First and last microsecond, from 2000-01-01: 4714-11-24 BC, and before 294277-01-01.
const MICROS: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;
const DAY_MICROS: i64 = 86_400_000_000;

/// A value in the form in which it is sent.
#[derive(Clone, PartialEq)]
pub(crate) enum Bound {
    Null,
    Boolean(bool),
    Int2(i16),
    Int4(i32),
    Int8(i64),
    Float4(f32),
    Float8(f64),
    Numeric(i128, i8),
    Text(Arc<str>),
    Bytea(Arc<[u8]>),
    /// Days since 2000-01-01.
    Date(i32),
    /// Microseconds since midnight, or since 2000-01-01.
    Micros(i64),
    TextArray(Arc<[Option<Arc<str>>]>),
    /// Values of one type.
    List(Type, Arc<[Self]>),
}

impl fmt::Debug for Bound {
    /// Values stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// All native parameters of a statement, in order, with their types.
#[derive(Debug, Clone)]
pub(crate) struct Parameters(Vec<(Type, Bound)>);

impl Parameters {
    pub(crate) fn of(statement: &NativeStatement, values: &[Value]) -> Result<Self, Refusal> {
        let missing = || Refusal::new(RefusalReason::Invalid, "statement parameter without a value");
        let mut all = Vec::with_capacity(statement.bindings.len());
        for binding in &statement.bindings {
            let from = binding.parameter;
            all.push(if let BindingForm::List(count) = binding.form {
                let end = from.checked_add(count);
                listed(end.and_then(|end| values.get(from..end)).ok_or_else(missing)?)?
            } else {
                formed(*binding, values.get(from).ok_or_else(missing)?)?
            });
        }
        Ok(Self(all))
    }

    /// Of a statement that has none.
    pub(crate) const fn none() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn types(&self) -> impl Iterator<Item = &Type> + Clone {
        self.0.iter().map(|(sql_type, _)| sql_type)
    }

    pub(crate) fn values(&self) -> impl ExactSizeIterator<Item = &Bound> {
        self.0.iter().map(|(_, value)| value)
    }

    /// Tells runs of one statement apart by their values, without keeping one.
    pub(crate) fn fingerprint(&self) -> u64 {
        let (mut hasher, mut bytes) = (DefaultHasher::new(), BytesMut::new());
        for (sql_type, value) in self.iter() {
            bytes.clear();
            let is_null = matches!(value.to_sql(sql_type, &mut bytes), Ok(IsNull::Yes));
            (sql_type.oid(), is_null, bytes.as_ref()).hash(&mut hasher);
        }
        hasher.finish()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Type, Bound)> {
        self.0.iter()
    }
}

fn refuse(text: &str) -> Refusal {
    Refusal::new(RefusalReason::Value, text)
}

fn formed(binding: Binding, value: &Value) -> Result<(Type, Bound), Refusal> {
    match binding.form {
        BindingForm::Value => Ok((sql_type(value), bound(value)?)),
        BindingForm::Pattern => match value {
            Value::Null(_) => Ok((Type::TEXT, Bound::Null)),
            Value::Text(pattern) => Ok((Type::TEXT, Bound::Text(text(&like(pattern))?))),
            _ => Err(Refusal::new(RefusalReason::Invalid, "pattern is not text")),
        },
        // Positions and counts are 32-bit integers in the server's functions.
        BindingForm::AtLeastZero => count(value, 0),
        BindingForm::AtLeastOne => count(value, 1),
        BindingForm::PatternPrefix | BindingForm::PatternPrefixEnd | BindingForm::NonEmpty | BindingForm::List(_) => {
            Err(Refusal::new(RefusalReason::Invalid, "statement asks for a form that is not printed for this source"))
        }
    }
}

/// The type of a list's values, and that of the list. `None`: they are bound one by one.
pub(crate) const fn list_type(of: ValueType) -> Option<(Type, Type)> {
    match of {
        ValueType::Int16 => Some((Type::INT2, Type::INT2_ARRAY)),
        ValueType::Int32 => Some((Type::INT4, Type::INT4_ARRAY)),
        ValueType::Int64 => Some((Type::INT8, Type::INT8_ARRAY)),
        ValueType::Text => Some((Type::TEXT, Type::TEXT_ARRAY)),
        ValueType::Date => Some((Type::DATE, Type::DATE_ARRAY)),
        ValueType::Timestamp { utc: false } => Some((Type::TIMESTAMP, Type::TIMESTAMP_ARRAY)),
        ValueType::Timestamp { utc: true } => Some((Type::TIMESTAMPTZ, Type::TIMESTAMPTZ_ARRAY)),
        // The type of a decimal depends on its value; of the others nobody makes long lists.
        ValueType::Boolean
        | ValueType::Float32
        | ValueType::Float64
        | ValueType::Decimal128 { .. }
        | ValueType::Binary
        | ValueType::Time
        | ValueType::TextList
        | ValueType::List(_) => None,
    }
}

fn listed(values: &[Value]) -> Result<(Type, Bound), Refusal> {
    let invalid = || Refusal::new(RefusalReason::Invalid, "a list of values that are bound one by one");
    let value_type = values.first().map(Value::value_type).ok_or_else(invalid)?;
    let (of, list) = list_type(value_type).ok_or_else(invalid)?;
    if values.iter().any(|value| value.value_type() != value_type) {
        return Err(invalid());
    }
    let mut items = values.iter().map(bound).collect::<Result<Vec<_>, _>>()?;
    // Lists are filled up to certain lengths with their last value.
    while let [.., before, last] = items.as_slice()
        && before == last
    {
        items.pop();
    }
    Ok((list, Bound::List(of, items.into())))
}

fn count(value: &Value, least: i32) -> Result<(Type, Bound), Refusal> {
    let number = match value {
        Value::Null(_) => return Ok((Type::INT4, Bound::Null)),
        Value::Int16(number) => i32::from(*number),
        Value::Int32(number) => *number,
        Value::Int64(number) => i32::try_from(*number).map_err(|_| refuse("the source counts only to 2147483647"))?,
        _ => return Err(Refusal::new(RefusalReason::Invalid, "count is not an integer")),
    };
    if number < least {
        return Err(refuse("the source's function is not exact for this position"));
    }
    Ok((Type::INT4, Bound::Int4(number)))
}

/// The explicit type of a parameter. Whole decimals go as integers where they fit, so that they meet an index on an
/// integer column; beside a numeric column the server widens them itself.
fn sql_type(value: &Value) -> Type {
    match value.value_type() {
        ValueType::Boolean => Type::BOOL,
        ValueType::Int16 => Type::INT2,
        ValueType::Int32 => Type::INT4,
        ValueType::Int64 => Type::INT8,
        ValueType::Float32 => Type::FLOAT4,
        ValueType::Float64 => Type::FLOAT8,
        ValueType::Decimal128 { scale, .. } => match value {
            Value::Decimal128 { value, .. } if scale == 0 && i64::try_from(*value).is_ok() => Type::INT8,
            _ => Type::NUMERIC,
        },
        ValueType::Text => Type::TEXT,
        ValueType::Binary => Type::BYTEA,
        ValueType::Date => Type::DATE,
        ValueType::Time => Type::TIME,
        ValueType::Timestamp { utc: false } => Type::TIMESTAMP,
        ValueType::Timestamp { utc: true } => Type::TIMESTAMPTZ,
        ValueType::TextList => Type::TEXT_ARRAY,
        ValueType::List(item) => array_of(item),
    }
}

const fn array_of(item: ItemType) -> Type {
    match item {
        ItemType::Boolean => Type::BOOL_ARRAY,
        ItemType::Int16 => Type::INT2_ARRAY,
        ItemType::Int32 => Type::INT4_ARRAY,
        ItemType::Int64 => Type::INT8_ARRAY,
        ItemType::Float32 => Type::FLOAT4_ARRAY,
        ItemType::Float64 => Type::FLOAT8_ARRAY,
        ItemType::Decimal128 { .. } => Type::NUMERIC_ARRAY,
        ItemType::Binary => Type::BYTEA_ARRAY,
        ItemType::Date => Type::DATE_ARRAY,
        ItemType::Time => Type::TIME_ARRAY,
        ItemType::Timestamp { utc: false } => Type::TIMESTAMP_ARRAY,
        ItemType::Timestamp { utc: true } => Type::TIMESTAMPTZ_ARRAY,
    }
}

fn bound(value: &Value) -> Result<Bound, Refusal> {
    Ok(match value {
        Value::Null(_) => Bound::Null,
        Value::Boolean(value) => Bound::Boolean(*value),
        Value::Int16(value) => Bound::Int2(*value),
        Value::Int32(value) => Bound::Int4(*value),
        Value::Int64(value) => Bound::Int8(*value),
        Value::Float32(value) => Bound::Float4(*value),
        Value::Float64(value) => Bound::Float8(*value),
        Value::Decimal128 { value, scale, .. } => match i64::try_from(*value) {
            Ok(value) if *scale == 0 => Bound::Int8(value),
            _ => Bound::Numeric(*value, *scale),
        },
        Value::Text(value) => Bound::Text(text(value)?),
        Value::Binary(value) => Bound::Bytea(Arc::clone(value)),
        Value::Date(days) => {
            let days = days.checked_sub(EPOCH_DAYS).filter(|days| DAYS.contains(days));
            Bound::Date(days.ok_or_else(|| refuse("date is outside the source's calendar"))?)
        }
        Value::Time(micros) if (0..=DAY_MICROS).contains(micros) => Bound::Micros(*micros),
        Value::Time(_) => return Err(refuse("time is outside the day")),
        Value::Timestamp { micros, .. } => {
            let micros = micros.checked_sub(EPOCH_MICROS).filter(|micros| MICROS.contains(micros));
            Bound::Micros(micros.ok_or_else(|| refuse("timestamp is outside the source's calendar"))?)
        }
        Value::TextList(items) => {
            items.iter().flatten().try_for_each(|item| text(item).map(drop))?;
            Bound::TextArray(Arc::clone(items))
        }
    })
}

/// The server has no NUL in texts.
fn text(text: &Arc<str>) -> Result<Arc<str>, Refusal> {
    if text.contains('\0') { Err(refuse("text with a NUL character")) } else { Ok(Arc::clone(text)) }
}

/// Our patterns are the server's own, but that a lone escape at the end is itself.
fn like(pattern: &Arc<str>) -> Arc<str> {
    let escapes = pattern.bytes().rev().take_while(|byte| *byte == b'\\').count();
    if escapes % 2 == 1 { format!("{pattern}\\").into() } else { Arc::clone(pattern) }
}

impl ToSql for Bound {
    fn to_sql(&self, _ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Boolean(value) => out.put_u8(u8::from(*value)),
            Self::Int2(value) => out.put_i16(*value),
            Self::Int4(value) | Self::Date(value) => out.put_i32(*value),
            Self::Int8(value) | Self::Micros(value) => out.put_i64(*value),
            Self::Float4(value) => out.put_f32(*value),
            Self::Float8(value) => out.put_f64(*value),
            Self::Numeric(value, scale) => numeric::encode(*value, *scale, out),
            Self::Text(value) => out.put_slice(value.as_bytes()),
            Self::Bytea(value) => out.put_slice(value),
            Self::TextArray(items) => return text_array(items, out),
            Self::List(of, items) => return list(of, items, out),
        }
        Ok(IsNull::No)
    }

    /// The types sent with the statement are those of its values.
    fn accepts(_ty: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn text_array(items: &[Option<Arc<str>>], out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
    out.put_i32(i32::from(!items.is_empty()));
    out.put_i32(i32::from(items.iter().any(Option::is_none)));
    out.put_u32(Type::TEXT.oid());
    if !items.is_empty() {
        out.put_i32(i32::try_from(items.len())?);
        out.put_i32(1);
    }
    for item in items {
        match item {
            None => out.put_i32(-1),
            Some(item) => {
                out.put_i32(i32::try_from(item.len())?);
                out.put_slice(item.as_bytes());
            }
        }
    }
    Ok(IsNull::No)
}

fn list(of: &Type, items: &[Bound], out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
    out.put_i32(1);
    out.put_i32(i32::from(items.contains(&Bound::Null)));
    out.put_u32(of.oid());
    out.put_i32(i32::try_from(items.len())?);
    out.put_i32(1);
    for item in items {
        let place = out.len();
        out.put_i32(-1);
        if matches!(item.to_sql(of, out)?, IsNull::No) {
            let length = i32::try_from(out.len() - place - size_of::<i32>())?;
            let head = out.get_mut(place..place + size_of::<i32>()).ok_or("an item lost its length")?;
            head.copy_from_slice(&length.to_be_bytes());
        }
    }
    Ok(IsNull::No)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_escape_at_the_end_of_a_pattern_is_itself() {
        for (pattern, expected) in
            [("a\\", "a\\\\"), ("a\\\\", "a\\\\"), ("\\\\\\", "\\\\\\\\"), ("", ""), ("a%", "a%")]
        {
            assert_eq!(like(&pattern.into()).as_ref(), expected);
        }
    }

    #[test]
    fn whole_decimals_go_as_integers_where_they_fit() {
        let decimal = |value, scale| Value::Decimal128 { value, precision: 38, scale };
        for (value, expected) in [
            (decimal(5, 0), Type::INT8),
            (decimal(i128::from(i64::MAX) + 1, 0), Type::NUMERIC),
            (decimal(5, 1), Type::NUMERIC),
        ] {
            assert_eq!(sql_type(&value), expected, "{value:?}");
            assert_eq!(matches!(bound(&value).unwrap(), Bound::Int8(_)), expected == Type::INT8);
        }
    }

    #[test]
    fn a_list_is_an_array_without_what_fills_it_up() {
        let sent = |values: &[Value]| {
            let (of, list) = listed(values).unwrap();
            let mut out = BytesMut::new();
            list.to_sql(&of, &mut out).unwrap();
            (of, out.to_vec())
        };
        let (of, bytes) = sent(&[Value::Int32(7), Value::Int32(8), Value::Int32(8), Value::Int32(8)]);
        assert_eq!(of, Type::INT4_ARRAY);
        assert_eq!(bytes, b"\0\0\0\x01\0\0\0\0\0\0\0\x17\0\0\0\x02\0\0\0\x01\0\0\0\x04\0\0\0\x07\0\0\0\x04\0\0\0\x08");
        let (of, bytes) = sent(&[Value::text("é"), Value::Null(ValueType::Text)]);
        assert_eq!(of, Type::TEXT_ARRAY);
        assert_eq!(bytes, b"\0\0\0\x01\0\0\0\x01\0\0\0\x19\0\0\0\x02\0\0\0\x01\0\0\0\x02\xc3\xa9\xff\xff\xff\xff");
        assert!(listed(&[Value::Int32(1), Value::Int64(1)]).is_err() && listed(&[]).is_err());
        assert!(listed(&[Value::Float64(1.0)]).is_err() && listed(&[Value::text("a\0b")]).is_err());
    }

    #[test]
    fn what_the_server_cannot_hold_is_refused() {
        for value in [
            Value::text("a\0b"),
            Value::Date(i32::MAX),
            Value::Date(i32::MIN),
            Value::Timestamp { micros: i64::MIN, utc: true },
            Value::Time(-1),
            Value::TextList([Some("\0".into())].into()),
        ] {
            assert_eq!(bound(&value).unwrap_err().reason, RefusalReason::Value, "{value:?}");
        }
    }
}
