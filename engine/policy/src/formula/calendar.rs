//! Days and instants of formulas, in UTC.

use super::Fault;
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, SecondsFormat};

pub(super) const DAY_MS: i64 = 86_400_000;

fn epoch() -> NaiveDate {
    NaiveDate::default()
}

fn day_of(day: i32) -> Result<NaiveDate, Fault> {
    let days = Days::new(u64::from(day.unsigned_abs()));
    if day < 0 { epoch().checked_sub_days(days) } else { epoch().checked_add_days(days) }.ok_or(Fault::Range)
}

fn number(day: NaiveDate) -> Result<i32, Fault> {
    i32::try_from(day.signed_duration_since(epoch()).num_days()).map_err(|_| Fault::Range)
}

/// The day that holds an instant.
pub(super) fn day_at(ms: i64) -> Result<i32, Fault> {
    i32::try_from(ms.div_euclid(DAY_MS)).map_err(|_| Fault::Range)
}

pub(super) fn date_text(day: i32) -> Result<String, Fault> {
    Ok(day_of(day)?.format("%Y-%m-%d").to_string())
}

pub(super) fn instant_text(ms: i64) -> Result<String, Fault> {
    let instant = DateTime::from_timestamp_millis(ms).ok_or(Fault::Range)?;
    Ok(instant.to_rfc3339_opts(SecondsFormat::Millis, true))
}

pub(super) fn add_days(day: i32, days: i64) -> Result<i32, Fault> {
    let sum = i32::try_from(i64::from(day).checked_add(days).ok_or(Fault::Range)?).map_err(|_| Fault::Range)?;
    day_of(sum).map(|_| sum)
}

/// The same day of another month, or that month's last day.
pub(super) fn add_months(day: i32, months: i64) -> Result<i32, Fault> {
    let from = day_of(day)?;
    let count = u32::try_from(months.unsigned_abs()).map_err(|_| Fault::Range)?;
    let to = if months < 0 {
        from.checked_sub_months(Months::new(count))
    } else {
        from.checked_add_months(Months::new(count))
    };
    let to = to.filter(|to| (0..=9999).contains(&to.year())).ok_or(Fault::Range)?;
    number(to)
}
