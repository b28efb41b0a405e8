//! Zones whose rules PostgreSQL's table has and the table linked here does not: `PST8PDT` and its kin follow the summer times of the
//! United States alone, and an abbreviation such as `MSK` is what it was at the time. Knows no text.

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, Offset as _, TimeZone as _, Weekday};
use chrono_tz::{OffsetName as _, Tz};

const HOUR: i32 = 3_600;

/// From this year on the states have the summer times of the cities that these zones are links to (1967-01-01).
const CITIES_FROM: i64 = -94_694_400;

/// A zone that is named by its winter and its summer time: seconds east of Greenwich in winter, and the letters of its names.
fn american(zone: Tz) -> Option<(i32, char)> {
    match zone {
        Tz::EST5EDT => Some((-5 * HOUR, 'E')),
        Tz::CST6CDT => Some((-6 * HOUR, 'C')),
        Tz::MST7MDT => Some((-7 * HOUR, 'M')),
        Tz::PST8PDT => Some((-8 * HOUR, 'P')),
        _ => None,
    }
}

/// A zone that has one offset and one name for all times.
fn unchanging(zone: Tz) -> Option<(i32, [char; 3])> {
    match zone {
        Tz::EST => Some((-5 * HOUR, ['E', 'S', 'T'])),
        Tz::MST => Some((-7 * HOUR, ['M', 'S', 'T'])),
        Tz::HST => Some((-10 * HOUR, ['H', 'S', 'T'])),
        _ => None,
    }
}

/// Begin and end of summer times before 1967, on the winter's clock; and what they are called.
fn summers() -> impl Iterator<Item = (i64, i64, char)> {
    let at = |date: Option<NaiveDate>, hour| {
        let time = date.and_then(|date| date.and_hms_opt(hour, 0, 0));
        time.map_or(0, |time| time.and_utc().timestamp())
    };
    let last_sunday = |year, month, last| {
        let day = NaiveDate::from_ymd_opt(year, month, last)?;
        let back = day.weekday().days_since(Weekday::Sun);
        day.checked_sub_days(chrono::Days::new(u64::from(back)))
    };
    let peace = [1918, 1919].map(|year| (at(last_sunday(year, 3, 31), 2), at(last_sunday(year, 10, 31), 1), 'D'));
    // The end of the war changed the name at 23:00 of Greenwich, which no name here is exact about.
    let war = at(NaiveDate::from_ymd_opt(1942, 2, 9), 2);
    let won = at(NaiveDate::from_ymd_opt(1945, 8, 14), 18);
    let over = at(NaiveDate::from_ymd_opt(1945, 9, 30), 1);
    peace.into_iter().chain([(war, won, 'W'), (won, over, 'P')])
}

/// Seconds east of Greenwich and the zone's name at an instant, where the rules are kept here.
pub(crate) fn at(zone: Tz, instant: i64) -> Option<(i32, [char; 3])> {
    if let Some(always) = unchanging(zone) {
        return Some(always);
    }
    let (winter, letter) = american(zone)?;
    if instant >= CITIES_FROM {
        return None;
    }
    let clock = instant + i64::from(winter);
    let summer = summers().find(|(begin, end, _)| (*begin..*end).contains(&clock));
    Some(match summer {
        Some((.., kind)) => (winter + HOUR, [letter, kind, 'T']),
        None => (winter, [letter, 'S', 'T']),
    })
}

/// Seconds east of Greenwich on a wall clock, where the rules are kept here. In a gap the offset before it holds, in an overlap the later.
pub(crate) fn on_clock(zone: Tz, local: i64) -> Option<i32> {
    if let Some((east, _)) = unchanging(zone) {
        return Some(east);
    }
    let (winter, _) = american(zone)?;
    // Neither a change of clocks nor a winter's end is near.
    if local - i64::from(winter) >= CITIES_FROM {
        return None;
    }
    let (in_winter, in_summer) = (local - i64::from(winter), local - i64::from(winter + HOUR));
    let offset = |instant| at(zone, instant).map_or(winter, |(east, _)| east);
    match (offset(in_winter), offset(in_summer)) {
        (east, _) if east == winter => Some(winter),
        (east, before) if east == before => Some(east),
        // The clock was put forward over this time.
        (_, _) => Some(winter),
    }
}

/// What an abbreviation meant at an instant: what it stood for then or, where the zone had another name, the last time before.
pub(crate) fn meant(abbreviation: &str, zone: Tz, instant: i64) -> i32 {
    const STEP: i64 = 30 * 86_400;
    const YEARS_MOST: i64 = 60 * 366 * 86_400;
    let time = |instant| DateTime::from_timestamp(instant, 0).map(|time| time.naive_utc());
    let at = |utc: &NaiveDateTime| {
        let offset = zone.offset_from_utc_datetime(utc);
        (offset.abbreviation() == Some(abbreviation), offset.fix().local_minus_utc())
    };
    let Some(now) = time(instant) else { return 0 };
    let mut back = 0;
    while back < YEARS_MOST {
        match time(instant - back).map(|utc| at(&utc)) {
            Some((true, east)) => return east,
            Some((false, _)) => back += STEP,
            None => break,
        }
    }
    at(&now).1
}
