//! Builds one declared column from cells, by ObjectStack's coercions. Knows no row, no key and no source.

use crate::line::{self, Malformed};
use crate::parse;
use crate::rows::Cell;
use arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, FixedSizeListArray, Float64Builder,
    Int64Builder, ListArray, NullBufferBuilder, StringBuilder, StructArray, UInt64Builder,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use arrow::error::ArrowError;
use querygate_types::json::jsonb;
use std::borrow::Cow;
use std::sync::Arc;

/// What a column wanted and did not get; never the value itself.
pub(crate) type Wanted = &'static str;

impl From<Malformed> for WantedError {
    fn from(_: Malformed) -> Self {
        Self("valid JSON")
    }
}

/// Wrapper so that the JSON splitter's errors convert.
pub(crate) struct WantedError(pub(crate) Wanted);

/// A column under construction. Values gather in the widest type of their kind and are cast once per batch.
pub(crate) struct ColumnBuilder {
    target: DataType,
    kind: Kind,
}

enum Kind {
    Bool(BooleanBuilder),
    Int {
        builder: Int64Builder,
        min: i64,
        max: i64,
    },
    UInt64(UInt64Builder),
    Float(Float64Builder),
    Decimal {
        builder: Decimal128Builder,
        scale: i8,
        limit: i128,
    },
    Text(StringBuilder),
    /// JSON kept as the text it was written in.
    Json(StringBuilder),
    /// JSON as jsonb keeps it: what is compared and searched is this text.
    Jsonb(StringBuilder),
    Date(Date32Builder),
    Instant {
        builder: Int64Builder,
        unit: TimeUnit,
    },
    Time {
        builder: Int64Builder,
        unit: TimeUnit,
    },
    List {
        item: FieldRef,
        values: Box<ColumnBuilder>,
        lengths: Vec<usize>,
        nulls: NullBufferBuilder,
    },
    Fixed {
        item: FieldRef,
        size: i32,
        values: Box<ColumnBuilder>,
        nulls: NullBufferBuilder,
    },
    Struct {
        fields: Fields,
        children: Vec<ColumnBuilder>,
        nulls: NullBufferBuilder,
    },
}

/// Whether a metadata field declares the column as jsonb.
fn is_jsonb(field: &Field) -> bool {
    field.metadata().get("pg_type").is_some_and(|name| name == "jsonb")
}

/// A cell as jsonb. A text that is no JSON is a string of it; a string that holds an object or an array is what it holds, as ObjectStack
/// writes such fields.
fn as_jsonb(cell: Cell<'_>) -> Option<String> {
    let holds = |text: &str| text.trim_start().starts_with(['{', '[']);
    match cell {
        Cell::Null => None,
        Cell::Text(text) => jsonb(text).or_else(|| Some(serde_json::Value::from(text).to_string())),
        Cell::Json(raw) => match line::string(raw) {
            Some(text) if holds(&text) => jsonb(&text).or_else(|| Some(raw.to_owned())),
            _ => jsonb(raw).or_else(|| Some(raw.to_owned())),
        },
    }
}

/// Whether the field is marked as JSON (`arrow.json`).
fn is_json(field: &Field) -> bool {
    field.metadata().get("ARROW:extension:name").is_some_and(|name| name == "arrow.json")
}

impl ColumnBuilder {
    /// A builder for the declared field, or the type it cannot build.
    pub(crate) fn new(field: &Field) -> Result<Self, String> {
        let target = field.data_type().clone();
        let int = |min, max| Kind::Int { builder: Int64Builder::new(), min, max };
        let kind = match &target {
            DataType::Boolean => Kind::Bool(BooleanBuilder::new()),
            DataType::Int8 => int(i8::MIN.into(), i8::MAX.into()),
            DataType::Int16 => int(i16::MIN.into(), i16::MAX.into()),
            DataType::Int32 => int(i32::MIN.into(), i32::MAX.into()),
            DataType::Int64 => int(i64::MIN, i64::MAX),
            DataType::UInt8 => int(0, u8::MAX.into()),
            DataType::UInt16 => int(0, u16::MAX.into()),
            DataType::UInt32 => int(0, u32::MAX.into()),
            DataType::UInt64 => Kind::UInt64(UInt64Builder::new()),
            DataType::Float32 | DataType::Float64 => Kind::Float(Float64Builder::new()),
            DataType::Decimal128(precision, scale) if *precision <= 38 => Kind::Decimal {
                builder: Decimal128Builder::new().with_data_type(target.clone()),
                scale: *scale,
                limit: 10_i128.pow(u32::from(*precision)),
            },
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if is_jsonb(field) => {
                Kind::Jsonb(StringBuilder::new())
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if is_json(field) => {
                Kind::Json(StringBuilder::new())
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kind::Text(StringBuilder::new()),
            DataType::Dictionary(_, value) if matches!(**value, DataType::Utf8) => Kind::Text(StringBuilder::new()),
            DataType::Date32 => Kind::Date(Date32Builder::new()),
            DataType::Timestamp(unit, _) => Kind::Instant { builder: Int64Builder::new(), unit: *unit },
            DataType::Time32(unit) | DataType::Time64(unit) => Kind::Time { builder: Int64Builder::new(), unit: *unit },
            DataType::List(item) => Kind::List {
                values: Box::new(Self::new(item)?),
                item: Arc::clone(item),
                lengths: Vec::new(),
                nulls: NullBufferBuilder::new(0),
            },
            DataType::FixedSizeList(item, size) if *size > 0 => Kind::Fixed {
                values: Box::new(Self::new(item)?),
                item: Arc::clone(item),
                size: *size,
                nulls: NullBufferBuilder::new(0),
            },
            DataType::Struct(fields) => Kind::Struct {
                children: fields.iter().map(|f| Self::new(f)).collect::<Result<_, _>>()?,
                fields: fields.clone(),
                nulls: NullBufferBuilder::new(0),
            },
            other => return Err(format!("a column of type {other} cannot be read from text")),
        };
        Ok(Self { target, kind })
    }

    /// Appends one cell.
    pub(crate) fn append(&mut self, cell: Cell<'_>) -> Result<(), Wanted> {
        let cell = match cell {
            Cell::Json("null") | Cell::Null => {
                self.append_null();
                return Ok(());
            }
            other => other,
        };
        match &mut self.kind {
            Kind::Bool(b) => b.append_value(scalar(cell).and_then(|t| parse::boolean(&t)).ok_or("a boolean")?),
            Kind::Int { builder, min, max } => {
                let value = number(cell).and_then(|t| parse::integer(&t)).ok_or("an integer")?;
                let value = i64::try_from(value).ok().filter(|v| (*min..=*max).contains(v));
                builder.append_value(value.ok_or("an integer in the range of its type")?);
            }
            Kind::UInt64(b) => {
                let value = number(cell).and_then(|t| parse::integer(&t)).ok_or("an integer")?;
                b.append_value(u64::try_from(value).map_err(|_| "an integer in the range of its type")?);
            }
            Kind::Float(b) => b.append_value(number(cell).and_then(|t| parse::float(&t)).ok_or("a number")?),
            Kind::Decimal { builder, scale, limit } => {
                let value = number(cell).and_then(|t| parse::decimal(&t, *scale)).filter(|v| v.abs() < *limit);
                builder.append_value(value.ok_or("a number that fits the declared precision and scale")?);
            }
            Kind::Text(b) => match cell {
                Cell::Text(text) => b.append_value(text),
                Cell::Json(raw) => b.append_value(line::string(raw).unwrap_or(Cow::Borrowed(raw))),
                Cell::Null => b.append_null(),
            },
            Kind::Json(b) => match cell {
                Cell::Text(raw) => {
                    serde_json::from_str::<serde::de::IgnoredAny>(raw).map_err(|_| "valid JSON")?;
                    b.append_value(raw);
                }
                Cell::Json(raw) => b.append_value(raw),
                Cell::Null => b.append_null(),
            },
            Kind::Jsonb(b) => b.append_option(as_jsonb(cell)),
            Kind::Date(b) => b.append_value(quoted(cell).and_then(|t| parse::date(&t)).ok_or("a date, YYYY-MM-DD")?),
            Kind::Instant { builder, unit } => {
                let value = quoted(cell).and_then(|t| parse::instant(&t, *unit));
                builder.append_value(value.ok_or("an ISO 8601 instant in the range of its type")?);
            }
            Kind::Time { builder, unit } => {
                let value = quoted(cell).and_then(|t| parse::time(&t, *unit));
                builder.append_value(value.ok_or("a time of day, HH:MM:SS")?);
            }
            Kind::List { .. } | Kind::Fixed { .. } | Kind::Struct { .. } => return self.append_nested(cell),
        }
        Ok(())
    }

    fn append_nested(&mut self, cell: Cell<'_>) -> Result<(), Wanted> {
        let raw = match cell {
            Cell::Json(raw) | Cell::Text(raw) => raw,
            Cell::Null => "null",
        };
        match &mut self.kind {
            Kind::List { values, lengths, nulls, .. } => {
                let count = if raw.starts_with('[') {
                    append_elements(values, raw)?
                } else {
                    // A scalar where a list belongs is a list of one, as ObjectStack wraps it.
                    values.append(cell)?;
                    1
                };
                lengths.push(count);
                nulls.append_non_null();
            }
            Kind::Fixed { size, values, nulls, .. } => {
                let count = append_elements(values, raw)?;
                if usize::try_from(*size).ok() != Some(count) {
                    return Err("a list of the declared length");
                }
                nulls.append_non_null();
            }
            Kind::Struct { fields, children, nulls } => {
                let mut slots: Vec<Option<&str>> = vec![None; fields.len()];
                line::members::<WantedError>(raw, |key, value| {
                    let (at, _) = fields.find(&key).ok_or(WantedError("an object with declared keys only"))?;
                    slots[at] = Some(value);
                    Ok(())
                })
                .map_err(|e| e.0)?;
                for (child, slot) in children.iter_mut().zip(slots) {
                    child.append(slot.map_or(Cell::Null, Cell::Json))?;
                }
                nulls.append_non_null();
            }
            _ => return Err("a nested value"),
        }
        Ok(())
    }

    fn append_null(&mut self) {
        match &mut self.kind {
            Kind::Bool(b) => b.append_null(),
            Kind::Int { builder, .. } | Kind::Instant { builder, .. } | Kind::Time { builder, .. } => {
                builder.append_null();
            }
            Kind::UInt64(b) => b.append_null(),
            Kind::Float(b) => b.append_null(),
            Kind::Decimal { builder, .. } => builder.append_null(),
            Kind::Text(b) | Kind::Json(b) | Kind::Jsonb(b) => b.append_null(),
            Kind::Date(b) => b.append_null(),
            Kind::List { lengths, nulls, .. } => {
                lengths.push(0);
                nulls.append_null();
            }
            Kind::Fixed { size, values, nulls, .. } => {
                (0..*size).for_each(|_| values.append_null());
                nulls.append_null();
            }
            Kind::Struct { children, nulls, .. } => {
                children.iter_mut().for_each(Self::append_null);
                nulls.append_null();
            }
        }
    }

    /// Hands over the column and starts anew.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let array: ArrayRef = match &mut self.kind {
            Kind::Bool(b) => ArrayBuilder::finish(b),
            Kind::Int { builder, .. } | Kind::Instant { builder, .. } => ArrayBuilder::finish(builder),
            Kind::Time { builder, unit } => {
                let wide = ArrayBuilder::finish(builder);
                match unit {
                    TimeUnit::Second | TimeUnit::Millisecond => cast(&wide, &DataType::Int32)?,
                    TimeUnit::Microsecond | TimeUnit::Nanosecond => wide,
                }
            }
            Kind::UInt64(b) => ArrayBuilder::finish(b),
            Kind::Float(b) => ArrayBuilder::finish(b),
            Kind::Decimal { builder, .. } => ArrayBuilder::finish(builder),
            Kind::Text(b) | Kind::Json(b) | Kind::Jsonb(b) => ArrayBuilder::finish(b),
            Kind::Date(b) => ArrayBuilder::finish(b),
            Kind::List { item, values, lengths, nulls } => Arc::new(ListArray::try_new(
                Arc::clone(item),
                OffsetBuffer::from_lengths(std::mem::take(lengths)),
                values.finish()?,
                nulls.finish(),
            )?),
            Kind::Fixed { item, size, values, nulls } => {
                Arc::new(FixedSizeListArray::try_new(Arc::clone(item), *size, values.finish()?, nulls.finish())?)
            }
            Kind::Struct { fields, children, nulls } => {
                let rows = nulls.len();
                let arrays = children.iter_mut().map(Self::finish).collect::<Result<Vec<_>, _>>()?;
                Arc::new(StructArray::try_new_with_length(fields.clone(), arrays, nulls.finish(), rows)?)
            }
        };
        if array.data_type() == &self.target { Ok(array) } else { cast(&array, &self.target) }
    }
}

fn append_elements(values: &mut ColumnBuilder, raw: &str) -> Result<usize, Wanted> {
    let mut count = 0;
    line::elements::<WantedError>(raw, |element| {
        count += 1;
        values.append(Cell::Json(element)).map_err(WantedError)
    })
    .map_err(|e| e.0)?;
    Ok(count)
}

/// Text of a scalar, quoted or not.
fn scalar(cell: Cell<'_>) -> Option<Cow<'_, str>> {
    match cell {
        Cell::Text(text) => Some(Cow::Borrowed(text.trim())),
        Cell::Json(raw) => match raw.as_bytes().first()? {
            b'"' => line::string(raw),
            b'{' | b'[' => None,
            _ => Some(Cow::Borrowed(raw)),
        },
        Cell::Null => None,
    }
}

/// Text of a number: `true` and `false` are none.
fn number(cell: Cell<'_>) -> Option<Cow<'_, str>> {
    scalar(cell).filter(|text| !matches!(text.as_ref(), "true" | "false"))
}

/// Text of a quoted scalar: a bare JSON number is no date.
fn quoted(cell: Cell<'_>) -> Option<Cow<'_, str>> {
    match cell {
        Cell::Text(text) => Some(Cow::Borrowed(text.trim())),
        Cell::Json(raw) => line::string(raw),
        Cell::Null => None,
    }
}
