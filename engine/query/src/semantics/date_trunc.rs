//! `date_trunc` by the calendar at the time stamp's own precision: every day that the type holds, every field of Postgres.

use super::civil::Date;
use super::fault::external;
use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{
    ArrowTimestampType, DataType, Field, FieldRef, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::functions::datetime;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use querygate_types::{Error, ErrorCode};
use std::sync::Arc;

/// The function to register in place of DataFusion's.
pub(super) fn function() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(DateTrunc {
        signature: Signature::user_defined(Volatility::Immutable),
        aliases: vec!["datetrunc".to_owned()],
        times: datetime::date_trunc(),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateTrunc {
    signature: Signature,
    aliases: Vec<String>,
    /// DataFusion's, for times of day.
    times: Arc<ScalarUDF>,
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
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn output_ordering(&self, input: &[ExprProperties]) -> Result<SortProperties> {
        match input {
            [unit, of, ..] if unit.sort_properties == SortProperties::Singleton => Ok(of.sort_properties),
            _ => Ok(SortProperties::Unordered),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (unit, of, named) = match args.args.as_slice() {
            [unit, of] => (unit, of, None),
            [unit, of, zone] => (unit, of, Some(zone)),
            _ => return exec_err!("date_trunc has two or three arguments"),
        };
        if matches!(of.data_type(), DataType::Time32(_) | DataType::Time64(_)) {
            return self.times.invoke_with_args(args);
        }
        let (Some(unit), Some(zone)) =
            (constant(unit)?, named.map_or(Ok(Some(None)), |z| constant(z).map(|z| z.map(Some)))?)
        else {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from(of.data_type())?));
        };
        let field = field(&unit)?;
        let one = matches!(of, ColumnarValue::Scalar(_));
        let array = of.to_array(if one { 1 } else { args.number_rows })?;
        let DataType::Timestamp(precision, own) = array.data_type().clone() else {
            return exec_err!("date_trunc of {} was not planned", array.data_type());
        };
        let zone = zone.as_deref().or(own.as_deref()).filter(|z| !is_utc(z)).map(zone_of).transpose()?;
        let array: ArrayRef = match precision {
            TimeUnit::Second => truncated::<TimestampSecondType>(&array, field, zone, own)?,
            TimeUnit::Millisecond => truncated::<TimestampMillisecondType>(&array, field, zone, own)?,
            TimeUnit::Microsecond => truncated::<TimestampMicrosecondType>(&array, field, zone, own)?,
            TimeUnit::Nanosecond => truncated::<TimestampNanosecondType>(&array, field, zone, own)?,
        };
        Ok(if one {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
        } else {
            ColumnarValue::Array(array)
        })
    }
}

/// A constant text; `None` for NULL.
fn constant(value: &ColumnarValue) -> Result<Option<String>> {
    match value {
        ColumnarValue::Scalar(scalar) if scalar.is_null() => Ok(None),
        ColumnarValue::Scalar(scalar) => match scalar.try_as_str().flatten() {
            Some(text) => Ok(Some(text.to_owned())),
            None => exec_err!("a text is needed"),
        },
        ColumnarValue::Array(_) => {
            Err(super::fault::unsupported("the unit and the time zone of date_trunc must be constants"))
        }
    }
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
    let unit = unit.trim().to_ascii_lowercase();
    Ok(match unit.as_str() {
        "microsecond" | "microseconds" | "us" | "usec" | "usecs" => Part::Micros(1),
        "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" => Part::Micros(1_000),
        "second" | "seconds" | "s" | "sec" | "secs" => Part::Micros(1_000_000),
        "minute" | "minutes" | "m" | "min" | "mins" => Part::Micros(60_000_000),
        "hour" | "hours" | "h" | "hr" | "hrs" => Part::Micros(3_600_000_000),
        "day" | "days" | "d" => Part::Micros(DAY),
        "week" | "weeks" | "w" => Part::Week,
        "month" | "months" | "mon" | "mons" => Part::Months(1),
        "quarter" | "qtr" => Part::Months(3),
        "year" | "years" | "y" | "yr" | "yrs" => Part::Months(12),
        "decade" | "decades" | "dec" | "decs" => Part::Months(120),
        "century" | "centuries" | "c" | "cent" => Part::YearsFromOne(100),
        "millennium" | "millennia" | "mil" | "mils" => Part::YearsFromOne(1_000),
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

fn is_utc(zone: &str) -> bool {
    matches!(zone, "UTC" | "utc" | "Z" | "z" | "+00:00" | "-00:00" | "+00" | "Etc/UTC" | "GMT")
}

fn zone_of(name: &str) -> Result<Tz> {
    name.parse().map_err(|_| external(Error::new(ErrorCode::InvalidParameterValue, "time zone is not recognized")))
}

fn truncated<T: ArrowTimestampType>(
    array: &ArrayRef,
    part: Part,
    zone: Option<Tz>,
    own: Option<Arc<str>>,
) -> Result<ArrayRef> {
    let overflow = || external(Error::new(ErrorCode::DatetimeOverflow, "timestamp out of range"));
    let values = array.as_primitive::<T>();
    let (per_micro, micros_per) = match T::UNIT {
        TimeUnit::Second => (1, 1_000_000),
        TimeUnit::Millisecond => (1, 1_000),
        TimeUnit::Microsecond => (1, 1),
        TimeUnit::Nanosecond => (1_000, 1),
    };
    let truncate = |value: i64| -> Result<i64> {
        let micros = value.div_euclid(per_micro).checked_mul(micros_per).ok_or_else(overflow)?;
        let begun = match zone {
            None => begin(micros, part),
            Some(zone) => in_zone(micros, part, zone),
        };
        begun.and_then(|micros| micros.div_euclid(micros_per).checked_mul(per_micro)).ok_or_else(overflow)
    };
    let truncated: PrimitiveArray<T> = values.try_unary(truncate)?;
    Ok(Arc::new(truncated.with_timezone_opt(own)))
}

/// Begin of the unit by the zone's clocks. Of two equal local times the earlier; a local time that was skipped is read
/// with the offset before the gap.
fn in_zone(micros: i64, part: Part, zone: Tz) -> Option<i64> {
    let utc: NaiveDateTime = DateTime::from_timestamp_micros(micros)?.naive_utc();
    let offset = zone.offset_from_utc_datetime(&utc).fix();
    let local = micros.checked_add(i64::from(offset.local_minus_utc()) * 1_000_000)?;
    let begun = begin(local, part)?;
    // Units shorter than an hour never span a change of the clocks.
    if let Part::Micros(span) = part
        && span < 3_600_000_000
    {
        return begun.checked_sub(i64::from(offset.local_minus_utc()) * 1_000_000);
    }
    let clock = DateTime::from_timestamp_micros(begun)?.naive_utc();
    let seconds = match zone.offset_from_local_datetime(&clock) {
        LocalResult::Single(offset) => offset.fix().local_minus_utc(),
        // An hour keeps the clocks it was read on; longer units begin at the first.
        LocalResult::Ambiguous(first, second) if matches!(part, Part::Micros(span) if span < DAY) => {
            let same = [first.fix(), second.fix()].into_iter().find(|o| *o == offset);
            same.unwrap_or_else(|| first.fix()).local_minus_utc()
        }
        LocalResult::Ambiguous(first, _) => first.fix().local_minus_utc(),
        LocalResult::None => {
            let before = clock.checked_sub_signed(TimeDelta::days(1))?;
            zone.offset_from_local_datetime(&before).earliest()?.fix().local_minus_utc()
        }
    };
    begun.checked_sub(i64::from(seconds) * 1_000_000)
}
