//! Making dates and times of numbers, taking numbers out of them, and intervals set right.

use super::call::form::{P, R, form};
use super::{Def, Row, Value, strict};
use crate::fault::{Fault, external};
use crate::numbers::numeric::rescaled;
use crate::times::civil::Date;
use crate::times::datetime::Wrong;
use crate::times::datetime::interval::{Interval, parse};
use crate::times::datetime::moment::Moment;
use crate::times::datetime::parse::days_in;
use crate::times::units;
use crate::times::zone::{DAY, SECOND, Zone, is_infinite};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use querygate_query_api::values::timetz::TimeTz;
use querygate_types::{Error, ErrorCode};

const SIX: &[P] = &[P::Int, P::Int, P::Int, P::Int, P::Int, P::Double];

pub(super) const DEFS: &[Def] = &[
    strict(
        "make_date",
        &[form(&[P::Int, P::Int, P::Int], R::Date, |r| {
            let days = civil(r.int(0), r.int(1), r.int(2), "date")?;
            Ok(Value::Date(i32::try_from(days).map_err(|_| Wrong::Range.error("date"))?))
        })],
    ),
    strict(
        "make_time",
        &[form(&[P::Int, P::Int, P::Double], R::Time, |r| {
            Ok(Value::Micros(clock(r.int(0), r.int(1), r.double(2), "time")?))
        })],
    ),
    strict("make_timestamp", &[form(SIX, R::Timestamp, |r| Ok(Value::Micros(local(r)?)))]),
    strict(
        "make_timestamptz",
        &[
            form(SIX, R::Timestamptz, |r| Ok(Value::Micros(r.zone.instant(local(r)?)))),
            form(&[P::Int, P::Int, P::Int, P::Int, P::Int, P::Double, P::Text], R::Timestamptz, |r| {
                Ok(Value::Micros(zone_of(r.text(6))?.instant(local(r)?)))
            }),
        ],
    ),
    strict(
        "make_interval",
        &[form(&[P::Int, P::Int, P::Int, P::Int, P::Int, P::Int, P::Double], R::Interval, |r| {
            let wrong = || Wrong::Range.error("interval");
            let fields = [0, 1, 2, 3, 4, 5].map(|arg| r.int(arg));
            if fields.iter().any(|f| i32::try_from(*f).is_err()) || r.double(6).is_nan() || r.double(6).abs() >= 9e12 {
                return Err(wrong());
            }
            let [years, months, weeks, days, hours, minutes] = fields;
            let micros = (hours * 3_600 + minutes * 60) * SECOND + micros_of(r.double(6));
            let interval = Interval { months: years * 12 + months, days: weeks * 7 + days, micros };
            Ok(Value::Interval(interval.within().map_err(|_| wrong())?))
        })],
    ),
    strict(
        "justify_days",
        &[form(&[P::Interval], R::Interval, |r| Ok(Value::Interval(justified(r.interval(0), true, false))))],
    ),
    strict(
        "justify_hours",
        &[form(&[P::Interval], R::Interval, |r| Ok(Value::Interval(justified(r.interval(0), false, true))))],
    ),
    strict(
        "justify_interval",
        &[form(&[P::Interval], R::Interval, |r| Ok(Value::Interval(justified(r.interval(0), true, true))))],
    ),
    // What intervals are compared by: a month has 30 days, a day 24 hours.
    strict(
        "interval_span",
        &[form(&[P::Interval], R::By(|_, _| Ok(Field::new("span", DataType::Decimal128(38, 0), true))), |r| {
            Ok(Value::Digits(r.interval(0).span()))
        })],
    ),
    strict(
        "interval_cut",
        &[form(&[P::Interval, P::Text], R::Interval, |r| Ok(Value::Interval(cut(r.interval(0), r.text(1)))))],
    ),
    strict(
        "interval_times",
        &[form(&[P::Interval, P::Double], R::Interval, |r| {
            Ok(Value::Interval(scaled(r.interval(0), |part| part * r.double(1))?))
        })],
    ),
    strict(
        "interval_over",
        &[form(&[P::Interval, P::Double], R::Interval, |r| {
            if r.double(1) == 0.0 {
                return Err(crate::fault::Fault::DivisionByZero.error());
            }
            // A quotient: 49 times a 49th is less than 1.
            Ok(Value::Interval(scaled(r.interval(0), |part| part / r.double(1))?))
        })],
    ),
    strict(
        "extract",
        &[
            form(&[P::Text, P::Date], R::By(numeric), |r| {
                in_places(r, true, part(r, midnight(r.date(1))?, Kind::Date)?)
            }),
            form(&[P::Text, P::Timestamp], R::By(numeric), |r| in_places(r, false, part(r, r.micros(1), Kind::Local)?)),
            form(&[P::Text, P::Timestamptz], R::By(numeric), |r| {
                in_places(r, false, part(r, r.micros(1), Kind::Instant)?)
            }),
            form(&[P::Text, P::Time], R::By(numeric), |r| {
                in_places(r, false, of_interval(r, Interval { micros: r.micros(1), ..Interval::default() }, true)?)
            }),
            form(&[P::Text, P::Timetz], R::By(numeric), |r| in_places(r, false, of_timetz(r, r.timetz(1)?)?)),
            form(&[P::Text, P::Interval], R::By(numeric), |r| {
                in_places(r, false, of_interval(r, r.interval(1), false)?)
            }),
        ],
    ),
];

fn civil(year: i64, month: i64, day: i64, name: &str) -> Result<i64> {
    // Negative years are before Christ; there is no year 0.
    if year == 0 {
        return Err(Wrong::Field.error(name));
    }
    let year = if year < 0 { year + 1 } else { year };
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) || !(-4_713..=5_874_897).contains(&year) {
        return Err(Wrong::Field.error(name));
    }
    Ok(Date::new(year, month, day).to_days())
}

fn micros_of(seconds: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "callers bound the seconds")]
    let micros = (seconds * 1e6).round_ties_even() as i64;
    micros
}

fn clock(hour: i64, minute: i64, second: f64, name: &str) -> Result<i64> {
    let fits = (0..=24).contains(&hour) && (0..=59).contains(&minute) && (0.0..=60.0).contains(&second);
    if !fits {
        return Err(Wrong::Field.error(name));
    }
    let micros = (hour * 3_600 + minute * 60) * SECOND + micros_of(second);
    if micros > DAY { Err(Wrong::Field.error(name)) } else { Ok(micros) }
}

/// A zone by its name or its distance, which has a sign.
fn zone_of(name: &str) -> Result<Zone> {
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        let message = "invalid input syntax for type numeric time zone";
        let hint = "Numeric time zones must have \"-\" or \"+\" as first character.";
        return Err(external(Error::new(ErrorCode::InvalidParameterValue, message).with_hint(hint)));
    }
    Zone::required(name)
}

fn local(row: &Row<'_>) -> Result<i64> {
    let days = civil(row.int(0), row.int(1), row.int(2), "timestamp")?;
    let clock = clock(row.int(3), row.int(4), row.double(5), "timestamp")?;
    days.checked_mul(DAY).and_then(|d| d.checked_add(clock)).ok_or_else(|| Wrong::Range.error("timestamp"))
}

/// A text of an interval as intervals are printed, without what is finer than a field, if it is one.
pub fn cut_interval(text: &str, finest: &str) -> Option<String> {
    parse(text).ok().map(|of| cut(of, finest).text())
}

/// An interval without what is finer than a field.
fn cut(of: Interval, finest: &str) -> Interval {
    let hour = 3_600 * SECOND;
    match finest {
        "year" => Interval { months: of.months / 12 * 12, ..Interval::default() },
        "month" => Interval { months: of.months, ..Interval::default() },
        "day" => Interval { micros: 0, ..of },
        "hour" => Interval { micros: of.micros / hour * hour, ..of },
        "minute" => Interval { micros: of.micros / (60 * SECOND) * (60 * SECOND), ..of },
        _ => of,
    }
}

/// 24 hours become a day, 30 days a month; signs agree.
fn justified(of: Interval, days: bool, hours: bool) -> Interval {
    let mut of = of;
    if hours {
        of.days += of.micros / DAY;
        of.micros %= DAY;
    }
    if days {
        of.months += of.days / 30;
        of.days %= 30;
    }
    if days && hours {
        let (positive, negative) = (of.months > 0, of.months < 0);
        if positive && (of.days < 0 || of.days == 0 && of.micros < 0) {
            (of.days, of.months) = (of.days + 30, of.months - 1);
        } else if negative && (of.days > 0 || of.days == 0 && of.micros > 0) {
            (of.days, of.months) = (of.days - 30, of.months + 1);
        }
    } else if days && of.months > 0 && of.days < 0 {
        (of.days, of.months) = (of.days + 30, of.months - 1);
    } else if days && of.months < 0 && of.days > 0 {
        (of.days, of.months) = (of.days - 30, of.months + 1);
    }
    if hours && of.days > 0 && of.micros < 0 {
        (of.micros, of.days) = (of.micros + DAY, of.days - 1);
    } else if hours && of.days < 0 && of.micros > 0 {
        (of.micros, of.days) = (of.micros - DAY, of.days + 1);
    }
    of
}

/// Months, days and time each times a factor; fractions cascade down.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "checked against the types' ranges")]
pub(crate) fn scaled(of: Interval, by: impl Fn(f64) -> f64) -> Result<Interval> {
    let wrong = || Wrong::Range.error("interval");
    let (months, days) = (by(of.months as f64), by(of.days as f64));
    if !(months.abs() < 2_147_483_648.0 && days.abs() < 2_147_483_648.0) {
        return Err(wrong());
    }
    // To microseconds of a second first, as Postgres does: a fraction such as 0.1 has no exact double.
    let tidy = |value: f64| (value * 1e6).round_ties_even() / 1e6;
    let month_days = tidy((months - months.trunc()) * 30.0);
    let mut rest_seconds = tidy((days - days.trunc() + month_days - month_days.trunc()) * 86_400.0);
    let mut carried = 0_i64;
    if rest_seconds.abs() >= 86_400.0 {
        carried = (rest_seconds / 86_400.0) as i64;
        rest_seconds -= carried as f64 * 86_400.0;
    }
    let micros = (by(of.micros as f64) + rest_seconds * 1e6).round_ties_even();
    if micros.is_nan() || micros.abs() >= 9.2e18 {
        return Err(wrong());
    }
    let days = days.trunc() as i64 + month_days.trunc() as i64 + carried;
    let interval = Interval { months: months.trunc() as i64, days, micros: micros as i64 };
    interval.within().map_err(|_| wrong())
}

/// What a field is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Date,
    Local,
    Instant,
}

/// The places after the point are the field's. A field that is a row's value may be any of them.
fn numeric(args: &[FieldRef], constants: &[Option<&ScalarValue>]) -> Result<Field> {
    let of_date = args.get(1).is_some_and(|f| f.data_type() == &DataType::Date32);
    let field = constants.first().and_then(|c| c.and_then(|c| c.try_as_str().flatten()));
    let scale = field.map_or(PLACES_OF_ANY, |field| places(field, of_date));
    Ok(Field::new("extract", DataType::Decimal128(38, scale), true))
}

/// Microseconds of a second.
const PLACES_OF_ANY: i8 = 6;

/// The field that a text in small letters names; empty where it names none.
fn unit(text: &str) -> &'static str {
    units::field(text).unwrap_or_default()
}

fn places(field: &str, of_date: bool) -> i8 {
    match unit(&field.to_ascii_lowercase()) {
        "epoch" if of_date => 0,
        "second" | "epoch" => 6,
        "millisecond" => 3,
        "julian" if !of_date => 20,
        _ => 0,
    }
}

/// A field's value in the places of the result.
fn in_places(row: &Row<'_>, of_date: bool, value: Value) -> Result<Value> {
    let Value::Digits(digits) = value else { return Ok(value) };
    let own = places(row.text(0), of_date);
    if own == row.scale() {
        return Ok(Value::Digits(digits));
    }
    rescaled(digits, own, row.scale()).map(Value::Digits).ok_or_else(|| Fault::OutOfRange("numeric").error())
}

/// Whether a unit is one of some type is told, the unit is not: it may be a row's value.
fn no_unit(row: &Row<'_>, name: &str) -> datafusion::common::DataFusionError {
    let (code, word) = if units::field(&row.text(0).to_ascii_lowercase()).is_some() {
        (ErrorCode::FeatureNotSupported, "not supported")
    } else {
        (ErrorCode::InvalidParameterValue, "not recognized")
    };
    external(Error::new(code, format!("unit {word} for type {name}")))
}

fn part(row: &Row<'_>, micros: i64, kind: Kind) -> Result<Value> {
    let local = if kind == Kind::Instant { row.zone.local(micros) } else { micros };
    let name = match kind {
        Kind::Date => "date",
        Kind::Local => "timestamp without time zone",
        Kind::Instant => "timestamp with time zone",
    };
    if is_infinite(micros) {
        return of_infinity(row, name);
    }
    let moment = Moment::of(local);
    let (hour, minute, second, fraction) = moment.clock_fields();
    let year = moment.date.year;
    let lower = row.patterns.lower(row.text(0));
    let unit = unit(&lower);
    let whole = |value: i64| {
        Ok(Value::Digits(
            i128::from(value) * 10_i128.pow(u32::from(places(row.text(0), kind == Kind::Date).unsigned_abs())),
        ))
    };
    let is_clock = matches!(
        unit,
        "hour" | "minute" | "second" | "millisecond" | "microsecond" | "timezone" | "timezone_hour" | "timezone_minute"
    );
    if kind == Kind::Date && is_clock {
        return Err(no_unit(row, name));
    }
    match unit {
        "year" => whole(if year > 0 { year } else { year - 1 }),
        "month" => whole(moment.date.month),
        "day" => whole(moment.date.day),
        "hour" => whole(hour),
        "minute" => whole(minute),
        "second" | "millisecond" => Ok(Value::Digits(i128::from(second * SECOND + fraction))),
        "microsecond" => whole(second * SECOND + fraction),
        "quarter" => whole((moment.date.month - 1) / 3 + 1),
        "week" => whole(moment.iso_week().1),
        "isoyear" => whole(match moment.iso_week().0 {
            y if y > 0 => y,
            y => y - 1,
        }),
        "dow" => whole(moment.day_of_week()),
        "isodow" => whole(moment.iso_day_of_week()),
        "doy" => whole(moment.day_of_year()),
        "decade" => whole(year.div_euclid(10)),
        "century" => whole(period(year, 100)),
        "millennium" => whole(period(year, 1_000)),
        "epoch" if kind == Kind::Date => whole(micros / SECOND),
        "epoch" => Ok(Value::Digits(i128::from(micros))),
        "julian" => {
            let days = whole(moment.days + 2_440_588)?;
            let Value::Digits(days) = days else { return Ok(days) };
            let of_day =
                if kind == Kind::Date { 0 } else { i128::from(moment.clock) * 10_i128.pow(20) / i128::from(DAY) };
            Ok(Value::Digits(days + of_day))
        }
        "timezone" if kind == Kind::Instant => whole(i64::from(row.zone.offset_at(micros))),
        "timezone_hour" if kind == Kind::Instant => whole(i64::from(row.zone.offset_at(micros) / 3_600)),
        "timezone_minute" if kind == Kind::Instant => whole(i64::from(row.zone.offset_at(micros) / 60 % 60)),
        _ => Err(no_unit(row, name)),
    }
}

/// What goes on for ever is infinite, which no numeric here is; what comes round again is NULL.
fn of_infinity(row: &Row<'_>, name: &str) -> Result<Value> {
    match unit(&row.text(0).to_ascii_lowercase()) {
        "year" | "isoyear" | "decade" | "century" | "millennium" | "epoch" | "julian" => {
            Err(crate::fault::unsupported("NaN and infinity are not supported in numeric"))
        }
        "month" | "day" | "week" | "dow" | "isodow" | "doy" | "quarter" => Ok(Value::Null),
        "hour" | "minute" | "second" | "millisecond" | "microsecond" | "timezone" | "timezone_hour"
        | "timezone_minute"
            if name != "date" =>
        {
            Ok(Value::Null)
        }
        _ => Err(no_unit(row, name)),
    }
}

/// The midnight of a date in microseconds; infinity stays.
fn midnight(date: i32) -> Result<i64> {
    match date {
        i32::MAX => Ok(i64::MAX),
        i32::MIN => Ok(i64::MIN),
        days => i64::from(days).checked_mul(DAY).ok_or_else(|| Wrong::Range.error("timestamp")),
    }
}

/// Centuries and millennia have no number 0.
const fn period(year: i64, length: i64) -> i64 {
    if year > 0 { (year + length - 1) / length } else { -((length - year) / length) }
}

fn of_timetz(row: &Row<'_>, of: TimeTz) -> Result<Value> {
    let whole = |value: i32| Ok(Value::Digits(i128::from(value)));
    match unit(&row.patterns.lower(row.text(0))) {
        "epoch" => Ok(Value::Digits(i128::from(of.instant()))),
        "timezone" => whole(of.east),
        "timezone_hour" => whole(of.east / 3_600),
        "timezone_minute" => whole(of.east / 60 % 60),
        _ => of_interval(row, Interval { micros: of.micros, ..Interval::default() }, true),
    }
}

fn of_interval(row: &Row<'_>, of: Interval, is_time: bool) -> Result<Value> {
    let whole = |value: i64| {
        Ok(Value::Digits(i128::from(value) * 10_i128.pow(u32::from(places(row.text(0), false).unsigned_abs()))))
    };
    let seconds = of.micros / SECOND;
    match unit(&row.patterns.lower(row.text(0))) {
        "hour" => whole(seconds / 3_600),
        "minute" => whole(seconds / 60 % 60),
        "second" | "millisecond" => Ok(Value::Digits(i128::from(of.micros % (60 * SECOND)))),
        "microsecond" => whole(of.micros % (60 * SECOND)),
        "epoch" if is_time => Ok(Value::Digits(i128::from(of.micros))),
        "epoch" => {
            // A year has 365.25 days, a month 30.
            let days =
                i128::from(of.months / 12) * 36_525 + i128::from(of.months % 12) * 3_000 + i128::from(of.days) * 100;
            Ok(Value::Digits(days * i128::from(DAY) / 100 + i128::from(of.micros)))
        }
        _ if is_time => Err(no_unit(row, "time without time zone")),
        "day" => whole(of.days),
        "month" => whole(of.months % 12),
        "quarter" => whole(of.months % 12 / 3 + 1),
        "year" => whole(of.months / 12),
        "decade" => whole(of.months / 120),
        "century" => whole(of.months / 1_200),
        "millennium" => whole(of.months / 12_000),
        _ => Err(no_unit(row, "interval")),
    }
}
