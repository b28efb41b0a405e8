//! Text and binary output of date, time, timestamp and interval. Knows no array.

use crate::calendar::civil_of_days;
use crate::digits::{push_2, push_i64, push_padded};
use crate::wire::Writer;
use querygate_query_api::values::timetz::TimeTz;
use querygate_query_api::values::zone::Zone;
use querygate_types::{Error, ErrorCode, Result};

pub(super) const MICROS_PER_DAY: i64 = 86_400_000_000;
/// Days from 1970-01-01 to PostgreSQL's epoch, 2000-01-01.
pub(crate) const PG_EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub(crate) const PG_EPOCH_MICROS: i64 = 10_957 * MICROS_PER_DAY;

/// How dates are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// `2024-01-02 03:04:05+00`: DateStyle ISO.
    Iso,
    /// `2024-01-02T03:04:05+00:00`: in JSON.
    Json,
}

/// Appends a date; the extremes of the type are infinities, as in PostgreSQL.
pub(super) fn date(out: &mut Vec<u8>, days: i32) {
    match days {
        i32::MAX => out.extend_from_slice(b"infinity"),
        i32::MIN => out.extend_from_slice(b"-infinity"),
        days => {
            let bc = year_month_day(out, i64::from(days));
            era(out, bc);
        }
    }
}

pub(super) fn date_binary(out: &mut Vec<u8>, days: i32) -> Result<()> {
    let days = match days {
        i32::MAX | i32::MIN => days,
        days => days.checked_sub(PG_EPOCH_DAYS).ok_or_else(|| out_of_range("date"))?,
    };
    out.i32(days);
    Ok(())
}

/// Appends `yyyy-mm-dd`; tells whether the year is before Christ.
fn year_month_day(out: &mut Vec<u8>, days: i64) -> bool {
    let (year, month, day) = civil_of_days(days);
    let (shown, bc) = if year > 0 { (year, false) } else { (1 - year, true) };
    if shown > 9_999 {
        push_i64(out, shown);
    } else {
        push_padded(out, shown.unsigned_abs(), 4);
    }
    out.push(b'-');
    push_2(out, month.unsigned_abs());
    out.push(b'-');
    push_2(out, day.unsigned_abs());
    bc
}

fn era(out: &mut Vec<u8>, bc: bool) {
    if bc {
        out.extend_from_slice(b" BC");
    }
}

/// Appends a time of day in microseconds since midnight; 24:00:00 is allowed.
pub(super) fn time(out: &mut Vec<u8>, micros: i64) -> Result<()> {
    if !(0..=MICROS_PER_DAY).contains(&micros) {
        return Err(out_of_range("time"));
    }
    clock(out, micros.unsigned_abs());
    Ok(())
}

/// A time of day with its zone's distance from Greenwich.
pub(super) fn timetz(out: &mut Vec<u8>, key: &[u8]) -> Result<()> {
    let of = TimeTz::of_key(key).ok_or_else(|| out_of_range("time"))?;
    time(out, of.micros)?;
    zone_offset(out, of.east, Layout::Iso);
    Ok(())
}

/// Microseconds of the day, then seconds west of Greenwich.
pub(super) fn timetz_binary(out: &mut Vec<u8>, key: &[u8]) -> Result<()> {
    let of = TimeTz::of_key(key).ok_or_else(|| out_of_range("time"))?;
    out.extend_from_slice(&of.micros.to_be_bytes());
    out.extend_from_slice(&(-of.east).to_be_bytes());
    Ok(())
}

fn clock(out: &mut Vec<u8>, micros: u64) {
    let seconds = micros / 1_000_000;
    push_2(out, seconds / 3600);
    out.push(b':');
    push_2(out, seconds / 60 % 60);
    out.push(b':');
    push_2(out, seconds % 60);
    fraction(out, micros % 1_000_000);
}

/// Microseconds without trailing zeros.
fn fraction(out: &mut Vec<u8>, micros: u64) {
    if micros != 0 {
        out.push(b'.');
        push_padded(out, micros, 6);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// Appends a timestamp in microseconds since 1970, in `zone` with its offset when one is given.
pub(super) fn timestamp(out: &mut Vec<u8>, micros: i64, zone: Option<Zone>, layout: Layout) -> Result<()> {
    match micros {
        i64::MAX => out.extend_from_slice(b"infinity"),
        i64::MIN => out.extend_from_slice(b"-infinity"),
        micros => {
            let offset = zone.map(|zone| zone.offset_at(micros.div_euclid(1_000_000)));
            let local = micros
                .checked_add(i64::from(offset.unwrap_or_default()) * 1_000_000)
                .ok_or_else(|| out_of_range("timestamp"))?;
            let bc = year_month_day(out, local.div_euclid(MICROS_PER_DAY));
            out.push(match layout {
                Layout::Iso => b' ',
                Layout::Json => b'T',
            });
            clock(out, local.rem_euclid(MICROS_PER_DAY).unsigned_abs());
            if let Some(offset) = offset {
                zone_offset(out, offset, layout);
            }
            era(out, bc);
        }
    }
    Ok(())
}

fn zone_offset(out: &mut Vec<u8>, offset: i32, layout: Layout) {
    out.push(if offset < 0 { b'-' } else { b'+' });
    let seconds = u64::from(offset.unsigned_abs());
    push_2(out, seconds / 3600);
    if seconds % 3600 != 0 || layout == Layout::Json {
        out.push(b':');
        push_2(out, seconds / 60 % 60);
    }
    if seconds % 60 != 0 {
        out.push(b':');
        push_2(out, seconds % 60);
    }
}

pub(super) fn timestamp_binary(out: &mut Vec<u8>, micros: i64) -> Result<()> {
    let micros = match micros {
        i64::MAX | i64::MIN => micros,
        micros => micros.checked_sub(PG_EPOCH_MICROS).ok_or_else(|| out_of_range("timestamp"))?,
    };
    out.extend_from_slice(&micros.to_be_bytes());
    Ok(())
}

pub(super) fn out_of_range(name: &str) -> Error {
    Error::new(ErrorCode::DatetimeOverflow, format!("{name} out of range"))
}

/// An interval as PostgreSQL keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) months: i32,
    pub(super) days: i32,
    pub(super) micros: i64,
}

impl Interval {
    pub(super) fn binary(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.micros.to_be_bytes());
        out.i32(self.days);
        out.i32(self.months);
    }

    /// `EncodeInterval` with IntervalStyle `postgres`.
    pub(super) fn text(self, out: &mut Vec<u8>) {
        let start = out.len();
        let mut before = false;
        for (value, unit) in [(self.months / 12, "year"), (self.months % 12, "mon"), (self.days, "day")] {
            if value == 0 {
                continue;
            }
            if out.len() > start {
                out.push(b' ');
            }
            // After a negative part a positive one carries its sign.
            if before && value > 0 {
                out.push(b'+');
            }
            push_i64(out, i64::from(value));
            out.push(b' ');
            out.extend_from_slice(unit.as_bytes());
            if value != 1 {
                out.push(b's');
            }
            before = value < 0;
        }
        if out.len() == start || self.micros != 0 {
            if out.len() > start {
                out.push(b' ');
            }
            if self.micros < 0 {
                out.push(b'-');
            } else if before {
                out.push(b'+');
            }
            self.clock(out);
        }
    }

    /// Hours may have more than two digits.
    fn clock(self, out: &mut Vec<u8>) {
        let micros = self.micros.unsigned_abs();
        let hours = micros / 3_600_000_000;
        if hours < 100 {
            push_2(out, hours);
        } else {
            crate::digits::push_u64(out, hours);
        }
        out.push(b':');
        push_2(out, micros / 60_000_000 % 60);
        out.push(b':');
        push_2(out, micros / 1_000_000 % 60);
        fraction(out, micros % 1_000_000);
    }

    /// IntervalStyle `iso_8601`.
    pub(super) fn text_iso_8601(self, out: &mut Vec<u8>) {
        if self.months == 0 && self.days == 0 && self.micros == 0 {
            return out.extend_from_slice(b"PT0S");
        }
        out.push(b'P');
        let mut part = |value: i64, unit: u8| {
            if value != 0 {
                push_i64(out, value);
                out.push(unit);
            }
        };
        part(i64::from(self.months / 12), b'Y');
        part(i64::from(self.months % 12), b'M');
        part(i64::from(self.days), b'D');
        if self.micros != 0 {
            out.push(b'T');
            let mut part = |value: i64, unit: u8| {
                if value != 0 {
                    push_i64(out, value);
                    out.push(unit);
                }
            };
            part(self.micros / 3_600_000_000, b'H');
            part(self.micros / 60_000_000 % 60, b'M');
            let seconds = self.micros % 60_000_000;
            if seconds != 0 {
                if seconds < 0 {
                    out.push(b'-');
                }
                crate::digits::push_u64(out, seconds.unsigned_abs() / 1_000_000);
                fraction(out, seconds.unsigned_abs() % 1_000_000);
                out.push(b'S');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::days_of_civil;

    fn printed(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_print_with_era_and_infinity() {
        let check = |days: i64, expected: &str| {
            assert_eq!(printed(|out| date(out, i32::try_from(days).unwrap())), expected);
        };
        check(days_of_civil(2024, 2, 29), "2024-02-29");
        check(days_of_civil(1, 1, 1), "0001-01-01");
        check(days_of_civil(0, 12, 31), "0001-12-31 BC");
        check(days_of_civil(-43, 3, 15), "0044-03-15 BC");
        check(days_of_civil(12_345, 6, 7), "12345-06-07");
        check(i64::from(i32::MAX), "infinity");
        check(i64::from(i32::MIN), "-infinity");
    }

    #[test]
    fn timestamps_print_without_trailing_zeros_and_in_the_sessions_zone() {
        let at = days_of_civil(2024, 7, 1) * MICROS_PER_DAY + 3_600_000_000;
        let check = |micros: i64, zone: Option<Zone>, layout: Layout, expected: &str| {
            assert_eq!(printed(|out| timestamp(out, micros, zone, layout).unwrap()), expected);
        };
        let berlin = Some(Zone::Named(chrono_tz::Europe::Berlin));
        let kolkata = Some(Zone::Named(chrono_tz::Asia::Kolkata));
        check(at, None, Layout::Iso, "2024-07-01 01:00:00");
        check(at + 500_000, None, Layout::Iso, "2024-07-01 01:00:00.5");
        check(at + 1, None, Layout::Iso, "2024-07-01 01:00:00.000001");
        check(at, Some(Zone::UTC), Layout::Iso, "2024-07-01 01:00:00+00");
        check(at, berlin, Layout::Iso, "2024-07-01 03:00:00+02");
        check(at, kolkata, Layout::Iso, "2024-07-01 06:30:00+05:30");
        check(at, berlin, Layout::Json, "2024-07-01T03:00:00+02:00");
        check(days_of_civil(1880, 1, 1) * MICROS_PER_DAY, berlin, Layout::Iso, "1880-01-01 00:53:28+00:53:28");
        check(days_of_civil(-43, 3, 15) * MICROS_PER_DAY, Some(Zone::UTC), Layout::Iso, "0044-03-15 00:00:00+00 BC");
        check(-1, None, Layout::Iso, "1969-12-31 23:59:59.999999");
        check(i64::MAX, berlin, Layout::Iso, "infinity");
        check(i64::MIN, None, Layout::Iso, "-infinity");
    }

    #[test]
    fn intervals_print_as_postgres_prints_them() {
        let check = |months, days, micros, expected: &str, iso: &str| {
            let interval = Interval { months, days, micros };
            assert_eq!(printed(|out| interval.text(out)), expected);
            assert_eq!(printed(|out| interval.text_iso_8601(out)), iso);
        };
        check(0, 0, 0, "00:00:00", "PT0S");
        check(14, 3, 14_706_789_000, "1 year 2 mons 3 days 04:05:06.789", "P1Y2M3DT4H5M6.789S");
        check(0, -1, 14_706_000_000, "-1 days +04:05:06", "P-1DT4H5M6S");
        check(-14, 1, 0, "-1 years -2 mons +1 day", "P-1Y-2M1D");
        check(0, 0, -1_500_000, "-00:00:01.5", "PT-1.5S");
        check(0, 0, 360_000_000_000_000, "100000:00:00", "PT100000H");
        check(1, 0, 0, "1 mon", "P1M");
    }

    #[test]
    fn times_end_at_midnight() {
        assert_eq!(printed(|out| time(out, MICROS_PER_DAY).unwrap()), "24:00:00");
        assert_eq!(printed(|out| time(out, 43_200_000_100).unwrap()), "12:00:00.0001");
        assert!(time(&mut Vec::new(), -1).is_err());
    }
}
