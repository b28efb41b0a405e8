//! `date_trunc` by the calendar at the time stamp's own precision: every day that the type holds, every field of Postgres.

use super::civil::Date;
use super::datetime::interval::Interval;
use super::units;
use super::zone::{Zone, is_infinite};
use crate::bounds::of_no_rows;
use crate::fault::external;
use crate::functions::{of_arrow, to_arrow};
use arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{
    ArrowTimestampType, DataType, Field, FieldRef, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::functions::datetime;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use querygate_types::{Error, ErrorCode};
use std::sync::Arc;

/// The function to register in place of DataFusion's.
pub(crate) fn function() -> Arc<ScalarUDF> {
    made(false)
}

/// The same of a date, whose result is a local time that stands for a moment: see [`super::local_moments`].
pub(crate) fn of_date() -> Arc<ScalarUDF> {
    made(true)
}

fn made(of_date: bool) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(DateTrunc {
        signature: Signature::user_defined(Volatility::Immutable),
        aliases: vec!["datetrunc".to_owned()],
        times: datetime::date_trunc(),
        of_date,
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateTrunc {
    signature: Signature,
    aliases: Vec<String>,
    /// DataFusion's, for times of day.
    times: Arc<ScalarUDF>,
    of_date: bool,
}

impl ScalarUDFImpl for DateTrunc {
    fn name(&self) -> &'static str {
        "date_trunc"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Dates and texts become time stamps without a zone; a third argument asks for an instant.
    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        let (of, zone) = match args {
            [_, of] => (of, None),
            [_, of, _] => (of, Some(Arc::<str>::from("UTC"))),
            _ => return plan_err!("date_trunc has two or three arguments"),
        };
        let of = match of {
            DataType::Timestamp(unit, None) if zone.is_some() => DataType::Timestamp(*unit, zone.clone()),
            DataType::Timestamp(..) => of.clone(),
            DataType::Time32(_) | DataType::Time64(_) if zone.is_none() => of.clone(),
            DataType::Interval(_) if zone.is_none() => DataType::Interval(IntervalUnit::MonthDayNano),
            DataType::Date32
            | DataType::Date64
            | DataType::Utf8
            | DataType::Utf8View
            | DataType::LargeUtf8
            | DataType::Null => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
            other => {
                return plan_err!("No function matches the given name and argument types 'date_trunc(text, {other})'");
            }
        };
        let mut types = vec![DataType::Utf8, of];
        types.extend(zone.map(|_| DataType::Utf8));
        Ok(types)
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args {
            [_, of, ..] => Ok(of.clone()),
            _ => plan_err!("date_trunc has two or three arguments"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|f| f.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|f| f.is_nullable());
        let field = Field::new(self.name(), self.return_type(&types)?, nullable);
        Ok(Arc::new(if self.of_date { super::local_moments::named(field) } else { field }))
    }

    fn output_ordering(&self, input: &[ExprProperties]) -> Result<SortProperties> {
        match input {
            [unit, of, ..] if unit.sort_properties == SortProperties::Singleton => Ok(of.sort_properties),
            _ => Ok(SortProperties::Unordered),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(nothing) = of_no_rows(&args) {
            return Ok(nothing);
        }
        let (unit, of, named) = match args.args.as_slice() {
            [unit, of] => (unit, of, None),
            [unit, of, zone] => (unit, of, Some(zone)),
            _ => return exec_err!("date_trunc has two or three arguments"),
        };
        if matches!(of.data_type(), DataType::Time32(_) | DataType::Time64(_)) {
            return self.times.invoke_with_args(args);
        }
        let one = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if one { 1 } else { args.number_rows };
        let array = of.to_array(rows)?;
        if matches!(array.data_type(), DataType::Interval(_)) {
            let array = intervals(&array, unit, rows)?;
            return Ok(if one {
                ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
            } else {
                ColumnarValue::Array(array)
            });
        }
        let DataType::Timestamp(precision, own) = array.data_type().clone() else {
            return exec_err!("date_trunc of {} was not planned", array.data_type());
        };
        let units = Units::of(unit, named, own, rows)?;
        let array: ArrayRef = match precision {
            TimeUnit::Second => truncated::<TimestampSecondType>(&array, &units)?,
            TimeUnit::Millisecond => truncated::<TimestampMillisecondType>(&array, &units)?,
            TimeUnit::Microsecond => truncated::<TimestampMicrosecondType>(&array, &units)?,
            TimeUnit::Nanosecond => truncated::<TimestampNanosecondType>(&array, &units)?,
        };
        Ok(if one {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
        } else {
            ColumnarValue::Array(array)
        })
    }
}

/// By what each row is truncated.
struct Units {
    /// One for all rows, or one for each; none is NULL.
    parts: Vec<Option<Part>>,
    zones: Vec<Option<Zone>>,
    /// The zone of the time stamps.
    own: Option<Arc<str>>,
}

impl Units {
    fn of(unit: &ColumnarValue, named: Option<&ColumnarValue>, own: Option<Arc<str>>, rows: usize) -> Result<Self> {
        let parts = each(unit, rows, field)?;
        let zones = match named {
            Some(named) => each(named, rows, Zone::required)?,
            None => vec![Some(own.as_deref().map_or(Ok(Zone::UTC), Zone::required)?)],
        };
        Ok(Self { parts, zones, own })
    }

    /// `None` where one of them is NULL.
    fn at(&self, row: usize) -> Option<(Part, Zone)> {
        let part = self.parts.get(if self.parts.len() == 1 { 0 } else { row }).copied().flatten()?;
        let zone = self.zones.get(if self.zones.len() == 1 { 0 } else { row }).copied().flatten()?;
        Some((part, zone))
    }
}

/// What texts mean: a constant is read once.
fn each<T>(texts: &ColumnarValue, rows: usize, read: impl Fn(&str) -> Result<T>) -> Result<Vec<Option<T>>> {
    let texts = texts.to_array(if matches!(texts, ColumnarValue::Scalar(_)) { 1 } else { rows })?;
    let texts = crate::casts::conversions::texts_of(&texts)?;
    texts.iter().map(|text| text.map(&read).transpose()).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// This many microseconds, at most a day.
    Micros(i64),
    Week,
    /// This many months, from January of year 1 for spans of years.
    Months(i64),
    /// This many years that begin with a year 1 (mod span), as centuries do.
    YearsFromOne(i64),
}

const DAY: i64 = 86_400_000_000;

fn field(unit: &str) -> Result<Part> {
    Ok(match units::field(&unit.trim().to_ascii_lowercase()).unwrap_or_default() {
        "microsecond" => Part::Micros(1),
        "millisecond" => Part::Micros(1_000),
        "second" => Part::Micros(1_000_000),
        "minute" => Part::Micros(60_000_000),
        "hour" => Part::Micros(3_600_000_000),
        "day" => Part::Micros(DAY),
        "week" => Part::Week,
        "month" => Part::Months(1),
        "quarter" => Part::Months(3),
        "year" => Part::Months(12),
        "decade" => Part::Months(120),
        "century" => Part::YearsFromOne(100),
        "millennium" => Part::YearsFromOne(1_000),
        _ => {
            let message = "unit is not recognized for type timestamp";
            return Err(external(Error::new(ErrorCode::InvalidParameterValue, message)));
        }
    })
}

/// Begin of the unit that holds a local time, in microseconds since 1970.
fn begin(micros: i64, part: Part) -> Option<i64> {
    let days = micros.div_euclid(DAY);
    let date = Date::from_days(days);
    let day = match part {
        Part::Micros(span) => return micros.checked_sub(micros.rem_euclid(span)),
        // 1970-01-01 is a Thursday.
        Part::Week => days - (days + 3).rem_euclid(7),
        Part::Months(span) => {
            let months = date.year * 12 + date.month - 1;
            let first = months - months.rem_euclid(span);
            Date::new(first.div_euclid(12), first.rem_euclid(12) + 1, 1).to_days()
        }
        Part::YearsFromOne(span) => Date::new((date.year - 1).div_euclid(span) * span + 1, 1, 1).to_days(),
    };
    day.checked_mul(DAY)
}

fn truncated<T: ArrowTimestampType>(array: &ArrayRef, units: &Units) -> Result<ArrayRef> {
    let overflow = || external(Error::new(ErrorCode::DatetimeOverflow, "timestamp out of range"));
    let values = array.as_primitive::<T>();
    let (per_micro, micros_per) = match T::UNIT {
        TimeUnit::Second => (1, 1_000_000),
        TimeUnit::Millisecond => (1, 1_000),
        TimeUnit::Microsecond => (1, 1),
        TimeUnit::Nanosecond => (1_000, 1),
    };
    let truncate = |value: i64, part: Part, zone: Zone| -> Result<i64> {
        if is_infinite(value) {
            return Ok(value);
        }
        let micros = value.div_euclid(per_micro).checked_mul(micros_per).ok_or_else(overflow)?;
        let begun = if zone == Zone::UTC { begin(micros, part) } else { in_zone(micros, part, zone) };
        begun.and_then(|micros| micros.div_euclid(micros_per).checked_mul(per_micro)).ok_or_else(overflow)
    };
    let rows = values.iter().enumerate().map(|(row, value)| match (value, units.at(row)) {
        (Some(value), Some((part, zone))) => truncate(value, part, zone).map(Some),
        _ => Ok(None),
    });
    let truncated: PrimitiveArray<T> = rows.collect::<Result<_>>()?;
    Ok(Arc::new(truncated.with_timezone_opt(units.own.clone())))
}

/// Intervals without what is finer than a unit.
fn intervals(array: &ArrayRef, unit: &ColumnarValue, rows: usize) -> Result<ArrayRef> {
    let parts = each(unit, rows, field)?;
    let part = |row: usize| parts.get(if parts.len() == 1 { 0 } else { row }).copied().flatten();
    let spans = array.as_primitive::<IntervalMonthDayNanoType>().iter().enumerate();
    let cut = spans.map(|(row, span)| match (span, part(row)) {
        (Some(span), Some(part)) => interval(of_arrow(span), part).map(to_arrow),
        _ => Ok(None),
    });
    Ok(Arc::new(cut.collect::<Result<PrimitiveArray<IntervalMonthDayNanoType>>>()?))
}

fn interval(of: Interval, part: Part) -> Result<Interval> {
    let months = |span: i64| Interval { months: of.months / span * span, ..Interval::default() };
    Ok(match part {
        Part::Micros(DAY) => Interval { micros: 0, ..of },
        Part::Micros(span) => Interval { micros: of.micros / span * span, ..of },
        Part::Months(span) => months(span),
        Part::YearsFromOne(span) => months(span * 12),
        // Months have no whole number of weeks.
        Part::Week => {
            return Err(crate::fault::unsupported("unit \"week\" not supported for type interval"));
        }
    })
}

/// Begin of the unit by the zone's clocks. Units shorter than a day keep the clocks that the moment was read on; of two equal
/// local times, longer ones begin at the later.
fn in_zone(micros: i64, part: Part, zone: Zone) -> Option<i64> {
    let east = i64::from(zone.offset_at(micros)) * 1_000_000;
    let begun = begin(micros.checked_add(east)?, part)?;
    match part {
        Part::Micros(span) if span < DAY => begun.checked_sub(east),
        _ => Some(zone.instant(begun)),
    }
}
