//! Values that a source gives as texts and SQL has a type of its own for: numerics without a precision, intervals, times with a zone.
//! Read inside the leaf, behind the policy. Reads what PostgreSQL prints, from any source.

use crate::arrow_types::with_pg_type;
use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, IntervalMonthDayNanoArray, LargeBinaryBuilder, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, IntervalMonthDayNano, IntervalUnit, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_plan::PhysicalExpr;
use querygate_metadata::model::ValueType;
use querygate_query_api::values::interval::{IntervalFault, read_interval};
use querygate_query_api::values::network::NETWORK;
use querygate_query_api::values::timetz::TimeTz;
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;
use querygate_types::network::Inet;
use querygate_types::numeric::Numeric;
use querygate_types::{Error, ErrorCode, PgType};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Bytes of an address in its cell.
const NETWORK_BYTES: i32 = Inet::KEY_BYTES as i32;

/// How a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextReading {
    Numeric,
    Interval,
    TimeTz,
    Inet,
    Cidr,
}

impl TextReading {
    /// How texts of a column of this type are read; `None` where the column is as its source gives it.
    #[must_use]
    pub fn of(declared: ValueType, raw: &DataType) -> Option<Self> {
        let is_text = matches!(raw, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        if !is_text {
            return None;
        }
        match declared {
            ValueType::Numeric { .. } => Some(Self::Numeric),
            ValueType::Interval => Some(Self::Interval),
            ValueType::TimeTz => Some(Self::TimeTz),
            ValueType::Network { is_cidr: false } => Some(Self::Inet),
            ValueType::Network { is_cidr: true } => Some(Self::Cidr),
            ValueType::Text
            | ValueType::Uuid
            | ValueType::Coded(_)
            | ValueType::TextList
            | ValueType::List(_)
            | ValueType::Float64
            | ValueType::Float32
            | ValueType::Int16
            | ValueType::Int32
            | ValueType::Int64
            | ValueType::Decimal { .. }
            | ValueType::Boolean
            | ValueType::Date
            | ValueType::TimestampMillisUtc
            | ValueType::Timestamp { .. }
            | ValueType::Time
            | ValueType::Binary
            | ValueType::JsonText
            | ValueType::Json
            | ValueType::Float32Vector(_) => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Numeric => "numeric",
            Self::Interval => "interval",
            Self::TimeTz => "time with time zone",
            Self::Inet => "inet",
            Self::Cidr => "cidr",
        }
    }

    /// The Arrow type of what is read.
    pub(super) const fn arrow(self) -> DataType {
        match self {
            Self::Numeric => WIDE_NUMERIC,
            Self::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Self::TimeTz => TimeTz::ARROW,
            Self::Inet | Self::Cidr => NETWORK,
        }
    }

    fn read(self, texts: &StringArray) -> Result<ArrayRef> {
        let refused = || {
            let message = format!("source holds a text that is no {}", self.name());
            DataFusionError::External(Box::new(Error::new(ErrorCode::DataException, message)))
        };
        Ok(match self {
            Self::Numeric => {
                let mut cells = LargeBinaryBuilder::with_capacity(texts.len(), texts.len() * 16);
                let mut cell = Vec::with_capacity(32);
                for text in texts {
                    let Some(text) = text else {
                        cells.append_null();
                        continue;
                    };
                    cell.clear();
                    text.parse::<Numeric>().map_err(|_| refused())?.write_cell(&mut cell);
                    cells.append_value(&cell);
                }
                Arc::new(cells.finish())
            }
            Self::Interval => {
                let beyond = || {
                    let message = "source holds an interval that is out of range";
                    DataFusionError::External(Box::new(Error::new(ErrorCode::DatetimeOverflow, message)))
                };
                let value = |text: &str| {
                    let read = read_interval(text).map_err(|fault| match fault {
                        IntervalFault::Syntax => refused(),
                        IntervalFault::Field | IntervalFault::Range => beyond(),
                    })?;
                    let nanos = read.micros.checked_mul(1_000).ok_or_else(beyond)?;
                    Ok(IntervalMonthDayNano::new(read.months, read.days, nanos))
                };
                let values = texts.iter().map(|text| text.map(value).transpose());
                Arc::new(values.collect::<Result<IntervalMonthDayNanoArray>>()?)
            }
            Self::TimeTz => {
                let key = |text: &str| timetz(text).map(TimeTz::key).ok_or_else(refused);
                let keys = texts.iter().map(|text| text.map(key).transpose()).collect::<Result<Vec<_>>>()?;
                Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(keys.into_iter(), TimeTz::BYTES)?)
            }
            Self::Inet | Self::Cidr => {
                let key = |text: &str| {
                    let read = if self == Self::Inet { Inet::read(text) } else { Inet::read_network(text).ok() };
                    read.map(Inet::key).ok_or_else(refused)
                };
                let keys = texts.iter().map(|text| text.map(key).transpose()).collect::<Result<Vec<_>>>()?;
                Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(keys.into_iter(), NETWORK_BYTES)?)
            }
        })
    }
}

/// Microseconds of `[+-]hours:minutes:seconds[.fraction]`.
fn clock(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut parts = whole.split(':');
    let (hours, minutes, seconds) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    if parts.next().is_some() || minutes > 59 || seconds > 59 || fraction.len() > 6 {
        return None;
    }
    let micros = if fraction.is_empty() { 0 } else { number(&format!("{fraction:0<6}"))? };
    let seconds = hours.checked_mul(3_600)?.checked_add(minutes * 60 + seconds)?;
    // The least of all has no counterpart above zero.
    seconds.checked_mul(sign * 1_000_000)?.checked_add(sign * micros)
}

/// A number without a sign.
fn number(digits: &str) -> Option<i64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// A time as PostgreSQL prints it: `10:30:00.5+05:30`.
fn timetz(text: &str) -> Option<TimeTz> {
    let at = text.find(['+', '-'])?;
    let (time, zone) = text.split_at(at);
    let micros = clock(time)?;
    let mut parts = zone.get(1..)?.split(':').map(number);
    let (hours, minutes, seconds) =
        (parts.next()??, parts.next().unwrap_or(Some(0))?, parts.next().unwrap_or(Some(0))?);
    if hours > 15 || minutes > 59 || seconds > 59 {
        return None;
    }
    let east = i32::try_from(hours * 3_600 + minutes * 60 + seconds).ok()?;
    let time = TimeTz { micros, east: if zone.starts_with('-') { -east } else { east } };
    // What no key holds is no time.
    (parts.next().is_none() && TimeTz::of_key(&time.key()) == Some(time)).then_some(time)
}

/// A column's texts, read.
#[derive(Debug, Clone, Eq)]
pub(in crate::leaf) struct ReadingExpr {
    input: Arc<dyn PhysicalExpr>,
    reading: TextReading,
}

impl ReadingExpr {
    pub(in crate::leaf) fn new(input: Arc<dyn PhysicalExpr>, reading: TextReading) -> Self {
        Self { input, reading }
    }
}

impl PartialEq for ReadingExpr {
    fn eq(&self, other: &Self) -> bool {
        self.input.eq(&other.input) && self.reading == other.reading
    }
}

impl Hash for ReadingExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.input.hash(state);
        self.reading.hash(state);
    }
}

impl fmt::Display for ReadingExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.reading.name(), self.input)
    }
}

impl PhysicalExpr for ReadingExpr {
    fn data_type(&self, _input_schema: &Schema) -> Result<DataType> {
        Ok(self.reading.arrow())
    }

    fn nullable(&self, input_schema: &Schema) -> Result<bool> {
        self.input.nullable(input_schema)
    }

    fn return_field(&self, input_schema: &Schema) -> Result<FieldRef> {
        let field = Field::new(self.to_string(), self.reading.arrow(), self.nullable(input_schema)?);
        Ok(Arc::new(match self.reading {
            TextReading::Cidr => with_pg_type(field, PgType::Cidr),
            TextReading::Numeric | TextReading::Interval | TextReading::TimeTz | TextReading::Inet => field,
        }))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let values = self.input.evaluate(batch)?.into_array(batch.num_rows())?;
        let texts = cast(&values, &DataType::Utf8)?;
        Ok(ColumnarValue::Array(self.reading.read(texts.as_string::<i32>())?))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.input]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let Some(input) = children.pop() else {
            return internal_err!("a text that is read has one input");
        };
        Ok(Arc::new(Self { input, reading: self.reading }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reading: TextReading, text: &str) -> Option<String> {
        let column = reading.read(&StringArray::from(vec![None, Some(text)])).ok()?;
        assert!(column.is_null(0) && column.data_type() == &reading.arrow());
        Some(match reading {
            TextReading::Numeric => {
                querygate_query_api::values::wide_numeric::wide_numeric(column.as_binary(), 1).unwrap().to_string()
            }
            TextReading::Interval => {
                let value = column.as_primitive::<arrow::datatypes::IntervalMonthDayNanoType>().value(1);
                format!("{} {} {}", value.months, value.days, value.nanoseconds)
            }
            TextReading::TimeTz => TimeTz::of_key(column.as_fixed_size_binary().value(1)).unwrap().to_string(),
            TextReading::Inet | TextReading::Cidr => {
                querygate_query_api::values::network::network_at(column.as_fixed_size_binary(), 1).unwrap().to_string()
            }
        })
    }

    #[test]
    fn what_postgresql_prints_is_read() {
        for text in ["0", "-1.50", "NaN", "Infinity", "-Infinity", "123456789012345678901234567890123456789012.000"] {
            assert_eq!(read(TextReading::Numeric, text).as_deref(), Some(text));
        }
        for (text, expected) in [
            ("00:00:00", "0 0 0"),
            ("1 year 2 mons -3 days +04:05:06.7", "14 -3 14706700000000"),
            ("-1 years", "-12 0 0"),
            ("1 day -00:00:01.000001", "0 1 -1000001000"),
            ("100:00:00", "0 0 360000000000000"),
        ] {
            assert_eq!(read(TextReading::Interval, text).as_deref(), Some(expected), "{text}");
        }
        for text in ["10:30:00.5+05:30", "24:00:00-15:59:59", "00:00:00+00"] {
            assert_eq!(read(TextReading::TimeTz, text).as_deref(), Some(text));
        }
        for text in ["10.1.2.3", "10.1.2.3/8", "2001:db8::/32", "::1"] {
            assert_eq!(read(TextReading::Inet, text).as_deref(), Some(text));
        }
        assert_eq!(read(TextReading::Cidr, "10.0.0.0/8").as_deref(), Some("10.0.0.0/8"));
    }

    #[test]
    fn what_is_no_value_is_refused_and_not_read_as_another() {
        for (reading, text) in [
            (TextReading::Numeric, "1,5"),
            (TextReading::Numeric, ""),
            (TextReading::Interval, ""),
            (TextReading::Interval, "infinity"),
            (TextReading::Interval, "1 fortnight"),
            (TextReading::Interval, "2562047788:00:54.775807"),
            (TextReading::Interval, "9999999999 days"),
            (TextReading::TimeTz, "10:30:00"),
            (TextReading::TimeTz, "24:00:01+00"),
            (TextReading::TimeTz, "10:30:00+16"),
            (TextReading::TimeTz, "10:30:00+05:99"),
            (TextReading::TimeTz, "10:30:00+9223372036854775807"),
            (TextReading::TimeTz, "10:30:00+"),
            (TextReading::Inet, "10.1.2"),
            (TextReading::Cidr, "10.1.2.3/8"),
        ] {
            assert_eq!(read(reading, text), None, "{text}");
        }
    }
}
