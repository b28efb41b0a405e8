//! Days, weeks, months, quarters and years as keys of groups: which days they stand for, and which of them is which of another window.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, SecondsFormat, Utc, Weekday};
use querygate_query_api::requests::question::Bucket;

/// The days that a key stands for: from the first to the one behind the last. `None` of no such key.
pub(super) fn days_of(bucket: Bucket, key: &str) -> Option<(NaiveDate, NaiveDate)> {
    let (year, rest) = key.split_once('-').map_or((key, ""), |(year, rest)| (year, rest));
    let year: i32 = year.parse().ok()?;
    let months = |first: u32, count: u32| {
        let from = NaiveDate::from_ymd_opt(year, first, 1)?;
        Some((from, from.checked_add_months(Months::new(count))?))
    };
    match bucket {
        Bucket::Year => months(1, 12),
        Bucket::Quarter => {
            let quarter: u32 = rest.strip_prefix('Q')?.parse().ok().filter(|quarter| (1..=4).contains(quarter))?;
            months(quarter * 3 - 2, 3)
        }
        Bucket::Month => months(rest.parse().ok()?, 1),
        Bucket::Week => {
            let from = NaiveDate::from_isoywd_opt(year, rest.strip_prefix('W')?.parse().ok()?, Weekday::Mon)?;
            Some((from, from.checked_add_days(Days::new(7))?))
        }
        Bucket::Day => {
            let from: NaiveDate = key.parse().ok()?;
            Some((from, from.checked_add_days(Days::new(1))?))
        }
    }
}

/// The key of a day.
fn key_of(bucket: Bucket, day: NaiveDate) -> String {
    match bucket {
        Bucket::Year => format!("{:04}", day.year()),
        Bucket::Quarter => format!("{:04}-Q{}", day.year(), day.month0() / 3 + 1),
        Bucket::Month => format!("{:04}-{:02}", day.year(), day.month()),
        Bucket::Week => {
            let week = day.iso_week();
            format!("{:04}-W{:02}", week.year(), week.week())
        }
        Bucket::Day => day.to_string(),
    }
}

/// How many spans lie between that of a first day and that of another one.
fn spans_between(bucket: Bucket, from: NaiveDate, to: NaiveDate) -> i64 {
    let months = |day: NaiveDate| i64::from(day.year()) * 12 + i64::from(day.month0());
    let days = |day: NaiveDate| i64::from(day.num_days_from_ce());
    // Day 1 is a Monday.
    let number = |day: NaiveDate| match bucket {
        Bucket::Year => i64::from(day.year()),
        Bucket::Quarter => months(day).div_euclid(3),
        Bucket::Month => months(day),
        Bucket::Week => (days(day) - 1).div_euclid(7),
        Bucket::Day => days(day),
    };
    number(to) - number(from)
}

/// A day within the span that is this many behind the one of a day.
fn later(bucket: Bucket, day: NaiveDate, spans: i64) -> Option<NaiveDate> {
    let months = |each: u32| {
        let count = Months::new(u32::try_from(spans.unsigned_abs()).ok()?.checked_mul(each)?);
        let first = day.with_day(1)?;
        if spans < 0 { first.checked_sub_months(count) } else { first.checked_add_months(count) }
    };
    let days = |each: i64| day.checked_add_signed(chrono::TimeDelta::try_days(spans.checked_mul(each)?)?);
    match bucket {
        Bucket::Year => months(12),
        Bucket::Quarter => months(3),
        Bucket::Month => months(1),
        Bucket::Week => days(7),
        Bucket::Day => days(1),
    }
}

/// What a named window of time is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Preset {
    /// The span of this day, or one that many spans away.
    Span(Bucket, i64),
    /// From this many days ago up to now.
    Days(u64),
}

/// The named windows.
pub(super) const PRESETS: [(&str, Preset); 13] = [
    ("today", Preset::Span(Bucket::Day, 0)),
    ("yesterday", Preset::Span(Bucket::Day, -1)),
    ("this_week", Preset::Span(Bucket::Week, 0)),
    ("last_week", Preset::Span(Bucket::Week, -1)),
    ("this_month", Preset::Span(Bucket::Month, 0)),
    ("last_month", Preset::Span(Bucket::Month, -1)),
    ("this_quarter", Preset::Span(Bucket::Quarter, 0)),
    ("last_quarter", Preset::Span(Bucket::Quarter, -1)),
    ("this_year", Preset::Span(Bucket::Year, 0)),
    ("last_year", Preset::Span(Bucket::Year, -1)),
    ("last_7_days", Preset::Days(7)),
    ("last_30_days", Preset::Days(30)),
    ("last_90_days", Preset::Days(90)),
];

/// The first and the last value of a named window, in UTC: days, or a day and this instant. `None`: no window has this name.
pub(super) fn preset(name: &str, now: DateTime<Utc>) -> Option<(String, String)> {
    let (_, preset) = PRESETS.iter().find(|(other, _)| *other == name)?;
    let today = now.date_naive();
    match *preset {
        Preset::Span(bucket, spans) => {
            let (first, next) = days_of(bucket, &key_of(bucket, later(bucket, today, spans)?))?;
            Some((first.to_string(), next.pred_opt()?.to_string()))
        }
        Preset::Days(days) => {
            let first = today.checked_sub_days(Days::new(days))?;
            Some((first.to_string(), now.to_rfc3339_opts(SecondsFormat::Millis, true)))
        }
    }
}

/// What a window of days is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ComparisonKind {
    /// As many days, up to the day before.
    PreviousPeriod,
    PreviousYear,
}

/// The first and the last day of a window.
pub(super) type Window = (NaiveDate, NaiveDate);

/// A day in another year; a leap day is the first of March of a year without one.
fn years_later(day: NaiveDate, years: i32) -> Option<NaiveDate> {
    let year = day.year().checked_add(years)?;
    day.with_year(year).or_else(|| NaiveDate::from_ymd_opt(year, 3, 1))
}

/// The window that one is compared with; `None` beyond the calendar.
pub(super) fn compared_window((first, last): Window, kind: ComparisonKind) -> Option<Window> {
    match kind {
        ComparisonKind::PreviousYear => Some((years_later(first, -1)?, years_later(last, -1)?)),
        ComparisonKind::PreviousPeriod => {
            let days = last.signed_duration_since(first).num_days();
            let end = first.pred_opt()?;
            Some((end.checked_sub_signed(chrono::TimeDelta::try_days(days)?)?, end))
        }
    }
}

/// The key of the window that stands where a key of the compared window stands; the key itself where there is none: a leap day, a week 53.
pub(super) fn counterpart(bucket: Bucket, key: &str, window: Window, kind: ComparisonKind) -> String {
    let found = || {
        let (day, _) = days_of(bucket, key)?;
        match (kind, bucket) {
            (ComparisonKind::PreviousPeriod, _) => {
                let (first, _) = compared_window(window, kind)?;
                Some(key_of(bucket, later(bucket, window.0, spans_between(bucket, first, day))?))
            }
            (ComparisonKind::PreviousYear, Bucket::Week) => {
                let week = day.iso_week();
                let day = NaiveDate::from_isoywd_opt(week.year().checked_add(1)?, week.week(), Weekday::Mon)?;
                Some(key_of(bucket, day))
            }
            (ComparisonKind::PreviousYear, Bucket::Day | Bucket::Month | Bucket::Quarter | Bucket::Year) => {
                Some(key_of(bucket, day.with_year(day.year().checked_add(1)?)?))
            }
        }
    };
    found().unwrap_or_else(|| key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn keys_of_spans_are_days() {
        let days = |bucket, key| days_of(bucket, key).map(|(from, to)| (from.to_string(), to.to_string()));
        let expected = |from: &str, to: &str| Some((from.to_owned(), to.to_owned()));
        assert_eq!(days(Bucket::Year, "2026"), expected("2026-01-01", "2027-01-01"));
        assert_eq!(days(Bucket::Quarter, "2026-Q4"), expected("2026-10-01", "2027-01-01"));
        assert_eq!(days(Bucket::Month, "2026-02"), expected("2026-02-01", "2026-03-01"));
        assert_eq!(days(Bucket::Week, "2026-W01"), expected("2025-12-29", "2026-01-05"));
        assert_eq!(days(Bucket::Day, "2026-02-28"), expected("2026-02-28", "2026-03-01"));
        for (bucket, key) in [(Bucket::Quarter, "2026-Q5"), (Bucket::Month, "2026-13"), (Bucket::Day, "x")] {
            assert_eq!(days(bucket, key), None, "{key}");
        }
    }

    #[test]
    fn named_windows_are_days_of_today() {
        let now: DateTime<Utc> = "2026-03-31T10:20:30Z".parse().unwrap();
        for (name, first, last) in [
            ("today", "2026-03-31", "2026-03-31"),
            ("yesterday", "2026-03-30", "2026-03-30"),
            ("this_week", "2026-03-30", "2026-04-05"),
            ("last_week", "2026-03-23", "2026-03-29"),
            ("this_month", "2026-03-01", "2026-03-31"),
            ("last_month", "2026-02-01", "2026-02-28"),
            ("this_quarter", "2026-01-01", "2026-03-31"),
            ("last_quarter", "2025-10-01", "2025-12-31"),
            ("this_year", "2026-01-01", "2026-12-31"),
            ("last_year", "2025-01-01", "2025-12-31"),
            ("last_7_days", "2026-03-24", "2026-03-31T10:20:30.000Z"),
            ("last_30_days", "2026-03-01", "2026-03-31T10:20:30.000Z"),
            ("last_90_days", "2025-12-31", "2026-03-31T10:20:30.000Z"),
        ] {
            assert_eq!(preset(name, now), Some((first.to_owned(), last.to_owned())), "{name}");
        }
        assert_eq!(preset("Last 7 days", now), None);
    }

    #[test]
    fn windows_lie_a_year_or_their_length_before() {
        let windows = [
            (("2026-01-01", "2026-01-31"), ("2025-12-01", "2025-12-31"), ("2025-01-01", "2025-01-31")),
            (("2026-03-10", "2026-03-12"), ("2026-03-07", "2026-03-09"), ("2025-03-10", "2025-03-12")),
            (("2024-02-29", "2024-02-29"), ("2024-02-28", "2024-02-28"), ("2023-03-01", "2023-03-01")),
        ];
        for ((first, last), period, year) in windows {
            let before = |kind| compared_window((day(first), day(last)), kind).unwrap();
            assert_eq!(before(ComparisonKind::PreviousPeriod), (day(period.0), day(period.1)));
            assert_eq!(before(ComparisonKind::PreviousYear), (day(year.0), day(year.1)));
        }
    }

    #[test]
    fn keys_of_the_compared_window_stand_beside_those_of_the_window() {
        let window = (day("2026-01-01"), day("2026-02-28"));
        let of = |bucket, key, kind| counterpart(bucket, key, window, kind);
        let year = ComparisonKind::PreviousYear;
        assert_eq!(of(Bucket::Month, "2025-01", year), "2026-01");
        assert_eq!(of(Bucket::Quarter, "2025-Q1", year), "2026-Q1");
        assert_eq!(of(Bucket::Year, "2025", year), "2026");
        assert_eq!(of(Bucket::Week, "2025-W02", year), "2026-W02");
        assert_eq!(of(Bucket::Week, "2020-W53", year), "2020-W53");
        assert_eq!(of(Bucket::Day, "2024-02-29", year), "2024-02-29");
        assert_eq!(of(Bucket::Day, "2025-02-28", year), "2026-02-28");
        // 59 days before: the window begins on 2025-11-03.
        let period = ComparisonKind::PreviousPeriod;
        assert_eq!(of(Bucket::Day, "2025-11-03", period), "2026-01-01");
        assert_eq!(of(Bucket::Day, "2025-12-31", period), "2026-02-28");
        assert_eq!(of(Bucket::Month, "2025-11", period), "2026-01");
        assert_eq!(of(Bucket::Month, "2025-12", period), "2026-02");
        assert_eq!(of(Bucket::Week, "2025-W45", period), "2026-W01");
    }
}
