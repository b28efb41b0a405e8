//! Functions of dates, time stamps, times and intervals.

use super::call::form::{P, R, form, timestamp};
use super::{Def, Row, Value, lenient, strict};
use crate::casts::display::days_of;
use crate::fault::external;
use crate::times::datetime::format::Shown;
use crate::times::datetime::interval::Interval;
use crate::times::datetime::moment::{age, moved};
use crate::times::datetime::{Wrong, parse, read};
use crate::times::local_moments;
use crate::times::zone::{DAY, SECOND, Zone, is_infinite};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use querygate_query_api::values::timetz::TimeTz;
use querygate_types::{Error, ErrorCode};

pub(super) const DEFS: &[Def] = &[
    strict(
        "to_char",
        &[
            form(&[P::Timestamp, P::Text], R::Text, |r| shown(r, Shown::moment(r.micros(0), None), Some(r.micros(0)))),
            form(&[P::Timestamptz, P::Text], R::Text, |r| {
                let (instant, zone) = (r.micros(0), r.zone);
                shown(r, Shown::moment(zone.local(instant), Some((zone, instant))), Some(instant))
            }),
            form(&[P::Interval, P::Text], R::Text, |r| shown(r, Shown::interval(r.interval(0)), None)),
            form(&[P::Time, P::Text], R::Text, |r| {
                shown(r, Shown::interval(Interval { micros: r.micros(0), ..Interval::default() }), None)
            }),
            form(&[P::Int, P::Text], R::Text, super::numbers::to_char_int),
            form(&[P::Numeric, P::Text], R::Text, super::numbers::to_char_decimal),
            form(&[P::Wide, P::Text], R::Text, super::numbers::to_char_wide),
            form(&[P::Real, P::Text], R::Text, super::numbers::to_char_real),
            form(&[P::Double, P::Text], R::Text, super::numbers::to_char_double),
        ],
    ),
    strict(
        "to_date",
        &[form(&[P::Text, P::Text], R::Date, |r| {
            let (local, _) = by_pattern(r)?;
            Ok(Value::Date(i32::try_from(days_of(local)).map_err(|_| Wrong::Range.error("date"))?))
        })],
    ),
    strict(
        "to_timestamp",
        &[
            form(&[P::Double], R::Timestamptz, |r| epoch(r.double(0))),
            form(&[P::Text, P::Text], R::Timestamptz, |r| {
                let (local, zone) = by_pattern(r)?;
                Ok(Value::Micros(zone.unwrap_or(r.zone).instant(local)))
            }),
        ],
    ),
    strict(
        "timezone",
        &[
            form(&[P::Text, P::Timestamp], R::Timestamptz, |r| Ok(Value::Micros(named(r)?.instant(r.micros(1))))),
            form(&[P::Text, P::Timestamptz], R::Timestamp, |r| Ok(Value::Micros(named(r)?.local(r.micros(1))))),
            form(&[P::Interval, P::Timestamp], R::Timestamptz, |r| {
                Ok(Value::Micros(by_interval(r)?.instant(r.micros(1))))
            }),
            form(&[P::Interval, P::Timestamptz], R::Timestamp, |r| {
                Ok(Value::Micros(by_interval(r)?.local(r.micros(1))))
            }),
            // The last argument is the statement's time, which binding puts in: a zone's distance is today's.
            form(&[P::Text, P::Timetz], R::Timetz, |r| in_zone(r, named(r)?, None)),
            form(&[P::Interval, P::Timetz], R::Timetz, |r| in_zone(r, by_interval(r)?, None)),
            form(&[P::Text, P::Timetz, P::Timestamptz], R::Timetz, |r| in_zone(r, named(r)?, Some(r.micros(2)))),
            // Binding makes a time with a zone of the time before this is called.
            form(&[P::Text, P::Time], R::Timetz, |_| internal_err!("a time of day has no zone to change")),
            form(&[P::Interval, P::Time], R::Timetz, |_| internal_err!("a time of day has no zone to change")),
        ],
    ),
    strict(
        "age",
        &[
            form(&[P::Timestamp, P::Timestamp], R::Interval, |r| between(r.micros(0), r.micros(1))),
            form(&[P::Timestamptz, P::Timestamptz], R::Interval, |r| {
                between(r.zone.local(r.micros(0)), r.zone.local(r.micros(1)))
            }),
            // `age(xid)` with today before it: transactions here are those of rows that are there for all, which PostgreSQL gives this age.
            form(&[P::Timestamp, P::Int], R::Int4, |_| Ok(Value::Int(i64::from(i32::MAX)))),
        ],
    ),
    strict(
        "moved",
        &[
            form(&[P::Timestamp, P::Interval], R::By(of_moved), |r| plus(r, 1)),
            form(&[P::Timestamptz, P::Interval], R::Timestamptz, |r| plus(r, 1)),
            form(&[P::Time, P::Interval], R::Time, |r| {
                Ok(Value::Micros((r.micros(0) + r.interval(1).micros).rem_euclid(DAY)))
            }),
            form(&[P::Timetz, P::Interval], R::Timetz, |r| {
                let of = r.timetz(0)?;
                Ok(Value::Timetz(TimeTz { micros: (of.micros + r.interval(1).micros).rem_euclid(DAY), ..of }))
            }),
        ],
    ),
    strict(
        "timetz_of",
        &[
            form(&[P::Text, P::Timestamptz], R::Timetz, |r| {
                let read = parse::timetz(r.text(0), r.zone, Some(r.micros(1)));
                match read.map_err(|wrong| wrong.error("time with time zone"))? {
                    Some(time) => Ok(Value::Timetz(time)),
                    None => Ok(Value::Null),
                }
            }),
            form(&[P::Time, P::Timestamptz], R::Timetz, |r| {
                Ok(Value::Timetz(TimeTz { micros: r.micros(0), east: r.zone.offset_at(r.micros(1)) }))
            }),
        ],
    ),
    strict(
        "timestamptz",
        &[
            form(&[P::Date, P::Time], R::Timestamptz, |r| {
                if matches!(r.date(0), i32::MAX | i32::MIN) {
                    return Ok(Value::Micros(if r.date(0) == i32::MAX { i64::MAX } else { i64::MIN }));
                }
                Ok(Value::Micros(r.zone.instant(on_day(r.date(0), r.micros(1))?)))
            }),
            form(&[P::Date, P::Timetz], R::Timestamptz, |r| {
                if matches!(r.date(0), i32::MAX | i32::MIN) {
                    return Ok(Value::Micros(if r.date(0) == i32::MAX { i64::MAX } else { i64::MIN }));
                }
                Ok(Value::Micros(on_day(r.date(0), r.timetz(1)?.instant())?))
            }),
        ],
    ),
    strict(
        "moved_back",
        &[
            form(&[P::Timestamp, P::Interval], R::By(of_moved), |r| plus(r, -1)),
            form(&[P::Timestamptz, P::Interval], R::Timestamptz, |r| plus(r, -1)),
            form(&[P::Time, P::Interval], R::Time, |r| {
                Ok(Value::Micros((r.micros(0) - r.interval(1).micros).rem_euclid(DAY)))
            }),
            form(&[P::Timetz, P::Interval], R::Timetz, |r| {
                let of = r.timetz(0)?;
                Ok(Value::Timetz(TimeTz { micros: (of.micros - r.interval(1).micros).rem_euclid(DAY), ..of }))
            }),
        ],
    ),
    strict(
        "elapsed",
        &[
            form(&[P::Timestamp, P::Timestamp], R::Interval, elapsed),
            form(&[P::Timestamptz, P::Timestamptz], R::Interval, elapsed),
            form(&[P::Time, P::Time], R::Interval, |r| {
                Ok(Value::Interval(Interval { micros: r.micros(0) - r.micros(1), ..Interval::default() }))
            }),
        ],
    ),
    strict(
        "isfinite",
        &[
            form(&[P::Date], R::Bool, |r| Ok(Value::Bool(!matches!(r.date(0), i32::MAX | i32::MIN)))),
            form(&[P::Timestamp], R::Bool, |r| Ok(Value::Bool(!is_infinite(r.micros(0))))),
            form(&[P::Timestamptz], R::Bool, |r| Ok(Value::Bool(!is_infinite(r.micros(0))))),
            form(&[P::Interval], R::Bool, |_| Ok(Value::Bool(true))),
        ],
    ),
    lenient(
        "overlaps",
        &[
            form(&[P::Timestamp, P::Timestamp, P::Timestamp, P::Timestamp], R::Bool, overlap),
            form(&[P::Timestamp, P::Interval, P::Timestamp, P::Interval], R::Bool, overlap),
            form(&[P::Timestamp, P::Timestamp, P::Timestamp, P::Interval], R::Bool, overlap),
            form(&[P::Timestamp, P::Interval, P::Timestamp, P::Timestamp], R::Bool, overlap),
            form(&[P::Timestamptz, P::Timestamptz, P::Timestamptz, P::Timestamptz], R::Bool, overlap),
            form(&[P::Timestamptz, P::Interval, P::Timestamptz, P::Interval], R::Bool, overlap),
            form(&[P::Timestamptz, P::Timestamptz, P::Timestamptz, P::Interval], R::Bool, overlap),
            form(&[P::Timestamptz, P::Interval, P::Timestamptz, P::Timestamptz], R::Bool, overlap),
            form(&[P::Time, P::Time, P::Time, P::Time], R::Bool, overlap),
            form(&[P::Time, P::Interval, P::Time, P::Interval], R::Bool, overlap),
            form(&[P::Time, P::Time, P::Time, P::Interval], R::Bool, overlap),
            form(&[P::Time, P::Interval, P::Time, P::Time], R::Bool, overlap),
        ],
    ),
    strict(
        "date_bin",
        &[
            form(&[P::Interval, P::Timestamp, P::Timestamp], R::Timestamp, bin),
            form(&[P::Interval, P::Timestamptz, P::Timestamptz], R::Timestamptz, bin),
        ],
    ),
];

/// The first time stamp, in 4714 BC.
const FIRST: i64 = -210_866_803_200 * SECOND;

fn shown(row: &Row<'_>, shown: Shown, instant: Option<i64>) -> Result<Value> {
    let pattern = row.text(1);
    if pattern.is_empty() || instant.is_some_and(is_infinite) {
        return Ok(Value::Null);
    }
    Ok(Value::Text(shown.text(&row.patterns.moments(pattern)?)?))
}

fn by_pattern(row: &Row<'_>) -> Result<(i64, Option<Zone>)> {
    read::read(row.text(0), &row.patterns.moments(row.text(1))?).map_err(|wrong| match wrong {
        Wrong::Syntax => external(Error::new(ErrorCode::InvalidDatetimeFormat, "invalid value for the format pattern")),
        other => other.error("timestamp"),
    })
}

fn epoch(seconds: f64) -> Result<Value> {
    if seconds.is_infinite() {
        return Ok(Value::Micros(if seconds > 0.0 { i64::MAX } else { i64::MIN }));
    }
    // Whole seconds and the fraction apart: their product would lose microseconds.
    let whole = seconds.floor();
    // 4714 BC to 294247.
    if !(-210_866_803_200.0..9_223_372_022_400.0).contains(&whole) {
        return Err(Wrong::Range.error("timestamp"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "in range by the check above")]
    let (whole, fraction) = (whole as i64, ((seconds - whole) * 1e6).round_ties_even() as i64);
    Ok(Value::Micros(whole * SECOND + fraction))
}

/// A time with a zone on the clocks of another.
fn in_zone(row: &Row<'_>, zone: Zone, now: Option<i64>) -> Result<Value> {
    let Some(east) = zone.always().or_else(|| now.map(|now| zone.offset_at(now))) else {
        return internal_err!("the statement's time is missing");
    };
    let micros = (row.timetz(1)?.instant() + i64::from(east) * SECOND).rem_euclid(DAY);
    Ok(Value::Timetz(TimeTz { micros, east }))
}

/// A time of a day, in microseconds since 1970.
fn on_day(day: i32, micros: i64) -> Result<i64> {
    let at = i64::from(day).checked_mul(DAY).and_then(|midnight| midnight.checked_add(micros));
    at.filter(|at| *at >= FIRST).ok_or_else(|| Wrong::Range.error("timestamp"))
}

fn named(row: &Row<'_>) -> Result<Zone> {
    Zone::argument(row.text(0))
}

fn by_interval(row: &Row<'_>) -> Result<Zone> {
    let offset = row.interval(0);
    if offset.months != 0 || offset.days != 0 {
        let message = "interval time zone must not include months or days";
        return Err(external(Error::new(ErrorCode::InvalidParameterValue, message)));
    }
    let seconds = i32::try_from(offset.micros / SECOND).map_err(|_| Wrong::Range.error("interval"))?;
    Ok(Zone::fixed(seconds))
}

fn between(later: i64, earlier: i64) -> Result<Value> {
    if is_infinite(later) || is_infinite(earlier) {
        return Err(Wrong::Range.error("interval"));
    }
    Ok(Value::Interval(age(later, earlier)))
}

/// What is moved keeps its name: a local time that stands for a moment does so afterwards.
fn of_moved(args: &[FieldRef], _: &[Option<&ScalarValue>]) -> Result<Field> {
    let field = Field::new("moved", timestamp(), true);
    Ok(if args.first().is_some_and(|of| local_moments::is_one(of)) { local_moments::named(field) } else { field })
}

fn plus(row: &Row<'_>, sign: i64) -> Result<Value> {
    let by = row.interval(1);
    let by = Interval { months: by.months * sign, days: by.days * sign, micros: by.micros * sign };
    Ok(Value::Micros(shifted(row, row.micros(0), by, row.returns.data_type() == &super::call::form::timestamptz())?))
}

/// A moment and an interval.
fn shifted(row: &Row<'_>, at: i64, by: Interval, zoned: bool) -> Result<i64> {
    let wrong = |wrong: Wrong| wrong.error("timestamp");
    // Months and days of an instant are those of the session's wall clock.
    if zoned && (by.months != 0 || by.days != 0) {
        let date = Interval { micros: 0, ..by };
        let moved_date = row.zone.instant(moved(row.zone.local(at), date).map_err(wrong)?);
        let time = Interval { micros: by.micros, ..Interval::default() };
        return moved(moved_date, time).map_err(wrong);
    }
    moved(at, by).map_err(wrong)
}

/// `(start, end) OVERLAPS (start, end)`, where an end may be how long it lasts.
fn overlap(row: &Row<'_>) -> Result<Value> {
    let (Some(first), Some(second)) = (period(row, 0)?, period(row, 2)?) else { return Ok(Value::Null) };
    if first.0 == second.0 {
        // They share their start, if both have a length or none.
        return Ok(if first.1.is_some() && second.1.is_some() { Value::Bool(true) } else { Value::Null });
    }
    let (earlier, later) = if first.0 < second.0 { (first, second) } else { (second, first) };
    Ok(match (earlier.1, later.1) {
        (None, _) => Value::Null,
        (Some(end), _) if later.0 < end => Value::Bool(true),
        (Some(_), None) => Value::Null,
        (Some(_), Some(_)) => Value::Bool(false),
    })
}

/// A start and maybe an end, the earlier one first; `None` without either.
fn period(row: &Row<'_>, arg: usize) -> Result<Option<(i64, Option<i64>)>> {
    let (start, end) = (!row.is_null(arg), !row.is_null(arg + 1));
    let at = |arg: usize| row.micros(arg);
    if !matches!(row.field(arg + 1).data_type(), DataType::Interval(_)) {
        return Ok(match (start, end) {
            (true, true) => Some((at(arg).min(at(arg + 1)), Some(at(arg).max(at(arg + 1))))),
            (true, false) => Some((at(arg), None)),
            (false, true) => Some((at(arg + 1), None)),
            (false, false) => None,
        });
    }
    if !start {
        return Ok(None);
    }
    if !end {
        return Ok(Some((at(arg), None)));
    }
    let by = row.interval(arg + 1);
    let other = match row.field(arg).data_type() {
        DataType::Time64(_) => (at(arg) + by.micros).rem_euclid(DAY),
        DataType::Timestamp(_, zone) => shifted(row, at(arg), by, zone.is_some())?,
        other => return datafusion::common::internal_err!("{other} is no moment"),
    };
    Ok(Some((at(arg).min(other), Some(at(arg).max(other)))))
}

/// The difference in days and time.
fn elapsed(row: &Row<'_>) -> Result<Value> {
    let (a, b) = (row.micros(0), row.micros(1));
    if is_infinite(a) || is_infinite(b) {
        let message = "cannot subtract infinite timestamps";
        return Err(external(Error::new(ErrorCode::DatetimeOverflow, message)));
    }
    let micros = a.checked_sub(b).ok_or_else(|| Wrong::Range.error("interval"))?;
    Ok(Value::Interval(Interval { months: 0, days: micros / DAY, micros: micros % DAY }))
}

fn bin(row: &Row<'_>) -> Result<Value> {
    let (stride, at, origin) = (row.interval(0), row.micros(1), row.micros(2));
    let refused = |code, message: &'static str| external(Error::new(code, message));
    if stride.months != 0 {
        return Err(refused(
            ErrorCode::FeatureNotSupported,
            "timestamps cannot be binned into intervals containing months or years",
        ));
    }
    let width = stride.days.checked_mul(DAY).and_then(|d| d.checked_add(stride.micros)).filter(|w| *w > 0);
    let Some(width) = width else {
        return Err(refused(ErrorCode::DatetimeOverflow, "stride must be greater than zero"));
    };
    if is_infinite(at) {
        return Ok(Value::Micros(at));
    }
    let since = at.checked_sub(origin).ok_or_else(|| Wrong::Range.error("interval"))?;
    Ok(Value::Micros(origin + since.div_euclid(width) * width))
}
