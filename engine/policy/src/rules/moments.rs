//! The one spelling of instants and times of day in a record: milliseconds, as ObjectStack writes them, and microseconds where there are
//! some. A value that is spelled otherwise would be taken for one that a rule has made.

use chrono::{DateTime, SecondsFormat, Utc};

/// Microseconds since 1970-01-01T00:00:00Z, rounded as SQL rounds what is written with more digits.
pub(super) fn micros_of(instant: DateTime<Utc>) -> i64 {
    instant.timestamp() * 1_000_000 + (i64::from(instant.timestamp_subsec_nanos()) + 500) / 1_000
}

/// `2026-03-15T10:00:00.000Z`. `None`: it is beyond the calendar.
#[must_use]
pub fn instant_of_micros(micros: i64) -> Option<String> {
    let instant = DateTime::from_timestamp_micros(micros)?;
    let places = if micros % 1_000 == 0 { SecondsFormat::Millis } else { SecondsFormat::Micros };
    Some(instant.to_rfc3339_opts(places, true))
}

/// `10:00:00`, with a fraction where there is one. `None`: it is no time since midnight.
#[must_use]
pub fn time_of_micros(micros: i64) -> Option<String> {
    let time = DateTime::from_timestamp_micros(micros)?;
    let spelling = match (micros % 1_000_000, micros % 1_000) {
        (0, _) => "%H:%M:%S",
        (_, 0) => "%H:%M:%S%.3f",
        _ => "%H:%M:%S%.6f",
    };
    Some(time.format(spelling).to_string())
}
