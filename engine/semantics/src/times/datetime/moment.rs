//! The fields of a time stamp, a time or an interval, and arithmetic on them. Knows no text.

use super::Wrong;
use super::interval::Interval;
use super::parse::days_in;
use crate::times::civil::Date;
use crate::times::zone::{DAY, SECOND, is_infinite};

/// A wall clock taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Days since 1970.
    pub(crate) days: i64,
    pub(crate) date: Date,
    /// Microseconds of the day.
    pub(crate) clock: i64,
}

impl Moment {
    pub(crate) const fn of(micros: i64) -> Self {
        let days = micros.div_euclid(DAY);
        Self { days, date: Date::from_days(days), clock: micros.rem_euclid(DAY) }
    }

    /// 0 is Sunday.
    pub(crate) const fn day_of_week(&self) -> i64 {
        (self.days + 4).rem_euclid(7)
    }

    /// 1 is Monday.
    pub(crate) const fn iso_day_of_week(&self) -> i64 {
        (self.days + 3).rem_euclid(7) + 1
    }

    pub(crate) const fn day_of_year(&self) -> i64 {
        self.days - Date::new(self.date.year, 1, 1).to_days() + 1
    }

    /// Year and week by ISO 8601: a week belongs to the year that has its Thursday.
    pub(crate) const fn iso_week(&self) -> (i64, i64) {
        let thursday = self.days - self.iso_day_of_week() + 4;
        let year = Date::from_days(thursday).year;
        (year, (thursday - Date::new(year, 1, 1).to_days()) / 7 + 1)
    }

    /// Hour, minute, second, microsecond.
    pub(crate) const fn clock_fields(&self) -> (i64, i64, i64, i64) {
        let seconds = self.clock / SECOND;
        (seconds / 3_600, seconds / 60 % 60, seconds % 60, self.clock % SECOND)
    }
}

/// A time stamp moved by an interval: months by the calendar (days clipped), then days, then time.
pub(crate) fn moved(micros: i64, by: Interval) -> Result<i64, Wrong> {
    if is_infinite(micros) {
        return Ok(micros);
    }
    let moment = Moment::of(micros);
    let days = if by.months == 0 {
        moment.days
    } else {
        let month = moment.date.year * 12 + moment.date.month - 1 + by.months;
        let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
        Date::new(year, month, moment.date.day.min(days_in(year, month))).to_days()
    };
    let result = days
        .checked_add(by.days)
        .and_then(|d| d.checked_mul(DAY))
        .and_then(|d| d.checked_add(moment.clock))
        .and_then(|d| d.checked_add(by.micros));
    // 4714 BC, as in Postgres.
    result.filter(|r| !is_infinite(*r) && *r >= -210_866_803_200 * SECOND).ok_or(Wrong::Range)
}

/// What lies between two time stamps in years, months, days and time (Postgres' `age`).
pub(crate) fn age(later: i64, earlier: i64) -> Interval {
    let negative = later < earlier;
    let (a, b) =
        if negative { (Moment::of(earlier), Moment::of(later)) } else { (Moment::of(later), Moment::of(earlier)) };
    let mut months = (a.date.year - b.date.year) * 12 + a.date.month - b.date.month;
    let mut days = a.date.day - b.date.day;
    let mut micros = a.clock - b.clock;
    if micros < 0 {
        micros += DAY;
        days -= 1;
    }
    while days < 0 {
        // A borrowed month is as long as the one the interval begins in.
        days += days_in(b.date.year, b.date.month);
        months -= 1;
    }
    if negative {
        Interval { months: -months, days: -days, micros: -micros }
    } else {
        Interval { months, days, micros }
    }
}
